package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// TestMain is also the command that freshet plugin test reads the target and writes to the source with: it gets a URL, with the arguments
// as query, and prints the answer.
func TestMain(m *testing.M) {
	url := os.Getenv("PLUGIN_GO_GET")
	if url == "" {
		os.Exit(m.Run())
	}
	answer, err := http.Get(url + "?" + strings.Join(os.Args[1:], "&")) //nolint:gosec // the test's own server
	if err == nil {
		_, err = io.Copy(os.Stdout, answer.Body)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// TestInstalled: what make install leaves passes freshet plugin test.
func TestInstalled(t *testing.T) {
	dir := t.TempDir()
	run(t, "make", "install", "PLUGINS="+dir)
	run(t, "go", "-C", "../..", "build", "-o", dir, "./cmd/freshet")
	for class, start := range map[string]func(t *testing.T) (config map[string]string, flag, command string){
		"io.freshet.examples.JetStreamSinkConnector": broker, "io.freshet.examples.HttpPollSourceConnector": endpoint,
	} {
		t.Run(class, func(t *testing.T) {
			t.Parallel()
			config, flag, command := start(t)
			config["name"], config["connector.class"] = "t", class
			text, err := json.Marshal(config)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "connector.json")
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			report := run(t, filepath.Join(dir, "freshet"), "plugin", "test", filepath.Join(dir, "plugin-go-0.1.0"), "-c", file, flag, command, "--patience", "1m")
			if !strings.Contains(report, "ok    FaultSchedule") {
				t.Error(report)
			}
		})
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// get is a shell command that gets an answer of h.
func get(t *testing.T, h http.HandlerFunc) (base, command string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return s.URL, fmt.Sprintf("PLUGIN_GO_GET='%s/command' '%s'", s.URL, self)
}

// endpoint answers with objects, which a command adds.
func endpoint(t *testing.T) (config map[string]string, flag, command string) {
	var mu sync.Mutex
	ids := []int{}
	base, command := get(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		q := r.URL.Query()
		if r.URL.Path == "/command" {
			from, _ := strconv.Atoi(q.Get("from")) // the suite writes numbers
			to, _ := strconv.Atoi(q.Get("to"))
			for ; from <= to; from++ {
				ids = append(ids, from)
			}
			return
		}
		since, _ := strconv.Atoi(q.Get("since")) // none: 0
		for _, id := range ids {
			if id >= since {
				fmt.Fprintf(w, "{\"id\":%d}\n", id)
			}
		}
	})
	return map[string]string{
		"http.url": base, "http.interval.ms": "10", "http.cursor.field": "id", "http.cursor.parameter": "since", "topic": "things", "columns": "id:int64", "key.field": "id",
	}, "--write", command + ` "from=$1" "to=$2"`
}

// broker is a NATS server with a stream; a command shows the rows of the stream's messages.
func broker(t *testing.T) (config map[string]string, flag, command string) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(time.Minute) {
		t.Fatal("the server does not start")
	}
	conn, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "CHANGES", Subjects: []string{"changes.>"}, Storage: jetstream.MemoryStorage})
	if err != nil {
		t.Fatal(err)
	}
	_, command = get(t, func(w http.ResponseWriter, r *http.Request) {
		info, err := stream.Info(r.Context())
		for n := uint64(1); err == nil && n <= info.State.LastSeq; n++ {
			var m *jetstream.RawStreamMsg
			if m, err = stream.GetMsg(r.Context(), n); err == nil && !strings.HasPrefix(string(m.Data), `{"op":"d"`) {
				fmt.Fprintf(w, "%s\n", m.Data)
			}
		}
		if err != nil {
			fmt.Fprintln(w, err) // is no row, which the suite tells
		}
	})
	return map[string]string{"nats.servers": s.ClientURL()}, "--read", command
}
