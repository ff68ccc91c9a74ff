package rest

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/rest/client"
	"github.com/freshet-io/freshet/testbed"
)

// TestLevelsOfTheCluster: a level with scope=cluster reaches the other worker, and one without does not.
func TestLevelsOfTheCluster(t *testing.T) {
	t.Parallel()
	workers := cluster(t, 2, nil)
	if code, text := testbed.Call(t, "PUT", workers[0]+"/admin/loggers/freshet.kafka", `{"level":"DEBUG"}`); code != 200 || !strings.Contains(text, "freshet.kafka") {
		t.Errorf("set a level: %d %s", code, text)
	}
	if code, text := testbed.Call(t, "PUT", workers[0]+"/admin/loggers/freshet.postgres?scope=cluster", `{"level":"TRACE"}`); code != 204 {
		t.Errorf("set a level of the cluster: %d %s", code, text)
	}
	for _, url := range workers {
		testbed.Eventually(t, func() string { return "the level does not come to " + url }, func() bool { return level(t, url, "freshet.postgres") == "TRACE" })
	}
	if got := level(t, workers[1], "freshet.kafka"); got == "DEBUG" {
		t.Error("a level of one worker came to the other")
	}
}

// level is that of a logger; "" for one that the worker does not know.
func level(t *testing.T, url, logger string) string {
	t.Helper()
	code, text := testbed.Call(t, "GET", url+"/admin/loggers/"+logger, "")
	if code == 404 {
		return ""
	}
	var answer struct{ Level string }
	if err := json.Unmarshal([]byte(text), &answer); code != 200 || err != nil {
		t.Fatalf("ask for a level: %d %s", code, text)
	}
	return answer.Level
}

// TestSecuredWorkers steers two workers that listen with TLS and ask for passwords through the one that does not lead: it forwards
// requests with the user's password, and has the leader store task configurations by requests that the group's key signs.
func TestSecuredWorkers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca, keys := certificate(t, dir)
	properties := map[string]string{
		"listeners": "https://127.0.0.1:0", "freshet.rest.basic.auth.file": testbed.WriteFile(t, dir, "users.properties", "rec=secret\n"),
	}
	for name, value := range map[string]string{"keystore.type": "PEM", "keystore.location": keys, "truststore.type": "PEM", "truststore.location": ca} {
		properties["listeners.https.ssl."+name] = value
	}
	follower := cluster(t, 2, properties)[1]
	options := client.Options{URL: follower, CAFile: ca}
	stranger, err := client.New(options)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	refused := new(client.Error)
	if _, err := stranger.Names(t.Context()); !errors.As(err, &refused) || refused.Code != http.StatusUnauthorized {
		t.Errorf("without a password: %v", err)
	}
	options.User, options.Password = "rec", "secret"
	api, err := client.New(options)
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	lines := testbed.WriteFile(t, dir, "lines.txt", "a line\n")
	on := map[string]bool{}
	for i := range 4 {
		name := fmt.Sprintf("lines%d", i)
		config := map[string]string{"connector.class": "FileStreamSource", "file": lines, "topic": "secured"}
		if _, err := api.Create(t.Context(), name, config, ""); err != nil {
			t.Fatal(err)
		}
		if err := api.Wait(t.Context(), name, runtime.Running); err != nil {
			t.Fatal(err)
		}
		status, err := api.Status(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		on[status.Tasks[0].WorkerID] = true
	}
	if len(on) != 2 {
		t.Errorf("tasks run on %v, want two workers", on)
	}
	if err := api.Stop(t.Context(), "lines0"); err != nil {
		t.Error(err)
	}
	if err := api.Delete(t.Context(), "lines1"); err != nil {
		t.Error(err)
	}
}

// certificate writes one for 127.0.0.1 that signs itself, and a file of it and its key.
func certificate(t *testing.T, dir string) (ca, keys string) {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	key, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}); err != nil {
		t.Fatal(err)
	}
	ca = testbed.WriteFile(t, dir, "ca.pem", text.String())
	if err := pem.Encode(&text, &pem.Block{Type: "PRIVATE KEY", Bytes: key}); err != nil {
		t.Fatal(err)
	}
	return ca, testbed.WriteFile(t, dir, "keys.pem", text.String())
}
