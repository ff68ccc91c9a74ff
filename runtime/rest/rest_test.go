package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/herder"
	"github.com/freshet-io/freshet/runtime/workerconfig"
	player "github.com/freshet-io/freshet/testbed/rest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// configure reads worker properties; they listen at a free port of this machine unless they say otherwise.
func configure(t *testing.T, props connectors.Config, env map[string]string) Config {
	t.Helper()
	all := connectors.Config{
		"bootstrap.servers": "localhost:1", "group.id": "g", "config.storage.topic": "c", "offset.storage.topic": "o", "status.storage.topic": "s",
		"key.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter": "org.apache.kafka.connect.json.JsonConverter",
		"listeners": "http://127.0.0.1:0",
	}
	for k, v := range props {
		all[k] = v
	}
	w, err := workerconfig.New(all, workerconfig.Distributed)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Configure(w, func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// serve runs a server until the test ends and returns it.
func serve(t *testing.T, h Herder, c Config, o Options) *Server {
	t.Helper()
	s, err := Listen(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, h, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	s.URL = strings.TrimSuffix(s.URL, "/")
	return s
}

// call sends one request; body "" is none.
func call(t *testing.T, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(context.Background(), method, url, in)
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

const golden = "../../testdata/golden/rest"

// TestRecorded plays the recordings that need no more than the fake: the HTTP layer, names, log levels, expand.
func TestRecorded(t *testing.T) {
	t.Parallel()
	f := newFake()
	s := serve(t, f, configure(t, nil, nil), Options{Levels: f.levels})
	player.Play(t, golden, s.URL, "", []string{"disposable"}, nil, "01", "03", "10", "12", "17")
}

func TestRecordedBasicAuth(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	users, jaas := filepath.Join(dir, "users.properties"), filepath.Join(dir, "jaas.conf")
	write(t, users, "rec=rec\nother: x:y\n")
	write(t, jaas, "KafkaConnect {\n  org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule required\n  file=\""+users+"\";\n};\n")
	props := connectors.Config{"rest.extension.classes": "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension"}
	s := serve(t, newFake(), configure(t, props, map[string]string{"KAFKA_OPTS": "-Xmx1g -Djava.security.auth.login.config=" + jaas}), Options{
		Extra: map[string]http.Handler{"/metrics": http.NotFoundHandler()},
	})
	player.Play(t, golden, s.URL, "", []string{"basic-auth"}, map[string]string{"AUTH": "rec:rec"}, "16")
	for credentials, want := range map[string]int{"other:x:y": 200, "other:x": 401, "other": 401, ":": 401, "": 401} {
		r, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, s.URL+"/connectors", nil)
		user, password, _ := strings.Cut(credentials, ":")
		r.SetBasicAuth(user, password)
		if resp, _ := call(t, "GET", s.URL+"/connectors", "", "Authorization", r.Header.Get("Authorization")); resp.StatusCode != want {
			t.Errorf("%q: %d, want %d", credentials, resp.StatusCode, want)
		}
	}
	if resp, _ := call(t, "GET", s.URL+"/metrics", ""); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("/metrics without a password: %d", resp.StatusCode)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestErrors maps what a herder answers to codes and texts.
func TestErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		code int
		text string
	}{
		{&runtime.RequestError{Kind: runtime.Conflict, Message: "m"}, 409, "m"},
		{&runtime.RequestError{Kind: 503, Message: "m"}, 503, "m"},
		{&runtime.RequestError{Kind: 7, Message: "m"}, 500, "m"},
		{fmt.Errorf("read: %w", &runtime.RequestError{Kind: runtime.NotFound, Message: "m"}), 404, "m"},
		{errors.New("Request cannot be completed because a rebalance is expected"), 500, "Request cannot be completed because a rebalance is expected"},
		{&herder.NotLeader{}, 409, "Cannot complete request momentarily due to no known leader URL, likely because a rebalance was underway."},
		{
			&runtime.ConfigError{Connector: "c", Values: []connectors.ConfigValue{{Name: "k", Errors: []string{"bad <k>"}}}}, 400,
			"Connector configuration is invalid and contains the following 1 error(s):\nbad <k>\n" +
				"You can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`",
		},
	} {
		f := newFake()
		f.broken = c.err
		w := httptest.NewRecorder()
		NewAPI(f, Config{}, Options{}).Handler(true, true).ServeHTTP(w, httptest.NewRequest("DELETE", "/connectors/c", nil))
		var m message
		if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil || w.Code != c.code || m != (message{c.code, c.text}) {
			t.Errorf("%v: %d %s", c.err, w.Code, w.Body)
		}
	}
}

// slow is a herder whose Delete waits for the end of its context.
type slow struct{ *fake }

func (slow) Delete(ctx context.Context, _ string) error {
	<-ctx.Done()
	return fmt.Errorf("delete: %w", ctx.Err())
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	NewAPI(slow{newFake()}, Config{}, Options{Timeout: time.Millisecond}).Handler(true, true).ServeHTTP(w, httptest.NewRequest("DELETE", "/connectors/c", nil))
	if w.Code != 500 || !strings.Contains(w.Body.String(), `"Request timed out. The worker is currently working on DELETE /connectors/c, which began at 2`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestPanicIsAnswered(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.panics = true
	s := serve(t, f, configure(t, nil, nil), Options{})
	for range 2 {
		if resp, body := call(t, "GET", s.URL+"/connectors/c", ""); resp.StatusCode != 500 || !strings.Contains(body, "internal error: fake") {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	for state, want := range map[string]int{"healthy": 200, "starting": 503, "unhealthy": 500} {
		f := newFake()
		f.healthy = state
		w := httptest.NewRecorder()
		NewAPI(f, Config{}, Options{}).Handler(true, true).ServeHTTP(w, httptest.NewRequest("GET", "/health", nil))
		if w.Code != want || !strings.HasPrefix(w.Body.String(), `{"status":"`+state+`","message":"`) {
			t.Errorf("%s: %d %s", state, w.Code, w.Body)
		}
	}
}

// TestForwarding sends requests through a follower, and through two that believe in each other.
func TestForwarding(t *testing.T) {
	t.Parallel()
	leader := newFake()
	to := serve(t, leader, configure(t, nil, nil), Options{})
	follower := newFake()
	follower.leader = &herder.NotLeader{URL: to.URL + "/"}
	from := serve(t, follower, configure(t, nil, nil), Options{})

	config := `{"connector.class":"FileStreamSource","topic":"t"}`
	resp, body := call(t, "POST", from.URL+"/connectors", `{"name":"a b;c","config":`+config+`}`)
	if want := from.URL + "/connectors/a%20b;c"; resp.StatusCode != 201 || resp.Header.Get("Location") != want || !strings.Contains(body, `"name":"a b;c"`) {
		t.Errorf("create: %d %v %s", resp.StatusCode, resp.Header, body)
	}
	if resp, body := call(t, "PUT", from.URL+"/connectors/p/config", config); resp.StatusCode != 201 || resp.Header.Get("Location") != from.URL+"/connectors/p" {
		t.Errorf("put: %d %v %s", resp.StatusCode, resp.Header, body)
	}
	if resp, body := call(t, "PUT", from.URL+"/connectors/p/config", config); resp.StatusCode != 200 || resp.Header.Get("Location") != "" {
		t.Errorf("put again: %d %v %s", resp.StatusCode, resp.Header, body)
	}
	// The fake follower knows nothing of the connectors, so these are answers of the leader.
	if resp, body := call(t, "POST", from.URL+"/connectors/a%20b%3Bc/restart?includeTasks=true", ""); resp.StatusCode != 202 ||
		strings.Count(body, "RESTARTING") != 2 {
		t.Errorf("restart: %d %s", resp.StatusCode, body)
	}
	if resp, body := call(t, "DELETE", from.URL+"/connectors/a%20b%3Bc", ""); resp.StatusCode != 204 || body != "" {
		t.Errorf("delete: %d %s", resp.StatusCode, body)
	}
	if resp, body := call(t, "DELETE", from.URL+"/connectors/none", ""); resp.StatusCode != 404 || body != `{"error_code":404,"message":"Connector none not found"}` {
		t.Errorf("delete nothing: %d %s", resp.StatusCode, body)
	}
	// A signed request keeps its signature.
	if resp, body := call(t, "POST", from.URL+"/connectors/p/tasks", `[{"a":"b"}]`, headerSignature, "11", headerAlgorithm, "Length"); resp.StatusCode != 204 {
		t.Errorf("tasks: %d %s", resp.StatusCode, body)
	}

	leader.mu.Lock()
	leader.leader = &herder.NotLeader{URL: from.URL}
	leader.mu.Unlock()
	const conflict = `{"error_code":409,"message":"Cannot complete request because of a conflicting operation (e.g. worker rebalance)"}`
	for _, query := range []string{"", "?forward=true", "?forward=false"} {
		if resp, body := call(t, "DELETE", from.URL+"/connectors/p"+query, ""); resp.StatusCode != 409 || body != conflict {
			t.Errorf("circle%s: %d %s", query, resp.StatusCode, body)
		}
	}
}

// TestForwardingToNobody asks for a leader that cannot be reached, answers nonsense, or sends elsewhere.
func TestForwardingToNobody(t *testing.T) {
	t.Parallel()
	var asked []*http.Request
	odd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r)
		switch r.URL.Path {
		case "/connectors/html":
			w.WriteHeader(502)
			_, _ = w.Write([]byte("<html>"))
		default:
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		}
	}))
	defer odd.Close()
	f := newFake()
	f.leader = &herder.NotLeader{URL: odd.URL}
	s := serve(t, f, configure(t, nil, nil), Options{})
	for path, want := range map[string]string{"html": "answered 502 without a text", "away": "answered 302: it is not followed"} {
		if resp, body := call(t, "DELETE", s.URL+"/connectors/"+path+"?x=y", "", "Authorization", "Basic x", "X-Other", "y"); resp.StatusCode != 500 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	for _, r := range asked {
		if r.URL.RawQuery != "forward=true" || r.Header.Get("Authorization") != "Basic x" || r.Header.Get("X-Other") != "" ||
			r.Header.Get("User-Agent") != "kafka-connect" || r.Header.Get("Accept") != "application/json" {
			t.Errorf("forwarded as %s %v", r.URL, r.Header)
		}
	}
	f.leader = &herder.NotOwner{URL: "http://127.0.0.1:1"}
	if resp, body := call(t, "DELETE", s.URL+"/connectors/c", ""); resp.StatusCode != 500 || !strings.Contains(body, "IO Error trying to forward REST request: ") {
		t.Errorf("nobody: %d %s", resp.StatusCode, body)
	}
}

// TestShutdownWaits ends the server while a request is on its way.
func TestShutdownWaits(t *testing.T) {
	t.Parallel()
	h := &held{fake: newFake(), entered: make(chan struct{}), leave: make(chan struct{})}
	s, err := Listen(configure(t, nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, h, Options{}) }()
	status := make(chan int, 1)
	go func() {
		resp, err := http.Get(s.URL + "connectors/c/status")
		if err != nil {
			status <- 0
			return
		}
		_ = resp.Body.Close()
		status <- resp.StatusCode
	}()
	<-h.entered
	cancel()
	for end := time.Now().Add(10 * time.Second); ; { // no new ones
		c, err := net.Dial("tcp", s.ID)
		if err != nil {
			break
		}
		_ = c.Close()
		if time.Now().After(end) {
			t.Fatal("still listening")
		}
	}
	select {
	case err := <-done:
		t.Errorf("ended with a request on its way: %v", err)
	default:
	}
	close(h.leave)
	if got := <-status; got != 404 {
		t.Errorf("status %d", got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
}

type held struct {
	*fake
	entered, leave chan struct{}
}

func (h *held) Status(ctx context.Context, name string) (herder.Status, error) {
	close(h.entered)
	<-h.leave
	return h.fake.Status(ctx, name)
}
