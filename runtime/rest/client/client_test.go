package client

import (
	"bufio"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/herder"
)

// recording answers as the reference did (testdata/golden/rest): a test names the step that it makes next, the request must be the
// one of the script, and the answer is the recorded one.
type recording struct {
	t        *testing.T
	requests map[string]request
	answers  map[string]answer
	step     string
	client   *Client
}

type request struct {
	Step, Method, Path string
	Body               json.RawMessage
}

type answer struct {
	Step    string
	Status  int
	Headers map[string]string
	Body    json.RawMessage
}

func play(t *testing.T, scenario string) *recording {
	t.Helper()
	r := &recording{t: t, requests: map[string]request{}, answers: map[string]answer{}}
	lines(t, "script", scenario, func(text []byte) {
		var q request
		must(t, json.Unmarshal(text, &q))
		r.requests[q.Step] = q
	})
	lines(t, "recorded", scenario, func(text []byte) {
		var a answer
		must(t, json.Unmarshal(text, &a))
		r.answers[a.Step] = a
	})
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	c, err := New(Options{URL: server.URL, Patience: time.Second})
	must(t, err)
	t.Cleanup(c.Close)
	r.client = c
	return r
}

func lines(t *testing.T, folder, scenario string, line func([]byte)) {
	t.Helper()
	f, err := os.Open(filepath.Join("../../../testdata/golden/rest", folder, scenario+".jsonl"))
	must(t, err)
	defer func() { _ = f.Close() }()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		line([]byte(strings.NewReplacer("{{RUN}}", "run", "{{DIR}}", "/dir", "{{HOSTPORT}}", "h:8083").Replace(s.Text())))
	}
	must(t, s.Err())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ServeHTTP plays the step.
func (r *recording) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	want, a := r.requests[r.step], r.answers[r.step]
	body, _ := io.ReadAll(q.Body)
	if q.Method != want.Method || q.URL.RequestURI() != want.Path || !sameJSON(body, want.Body) {
		r.t.Errorf("step %s: %s %s %s, want %s %s %s", r.step, q.Method, q.URL.RequestURI(), body, want.Method, want.Path, want.Body)
	}
	if len(body) > 0 && q.Header.Get("Content-Type") != "application/json" {
		r.t.Errorf("step %s: content type %q", r.step, q.Header.Get("Content-Type"))
	}
	for name, v := range a.Headers {
		w.Header().Set(name, v)
	}
	w.WriteHeader(a.Status)
	if string(a.Body) != "null" {
		_, _ = w.Write(a.Body)
	}
}

func sameJSON(a, b []byte) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// check plays a step; want is part of what is returned as JSON, or "error code: text".
func (r *recording) check(step, want string, call func(c *Client) (any, error)) {
	r.t.Helper()
	if _, ok := r.requests[step]; !ok {
		r.t.Fatalf("no step %s", step)
	}
	r.step = step
	out, err := call(r.client)
	text, _ := json.Marshal(out)
	got := string(text)
	var e *Error
	if errors.As(err, &e) {
		got = fmt.Sprintf("error %d: %s", e.Code, e.Message)
	} else if err != nil {
		got = err.Error()
	}
	if !strings.Contains(got, want) || want == "" && got != "null" {
		r.t.Errorf("step %s: got %s, want %s", step, got, want)
	}
}

func TestLifeOfAConnector(t *testing.T) {
	r := play(t, "04-lifecycle")
	ctx := t.Context()
	config := connectors.Config{"connector.class": "FileStreamSource", "tasks.max": "1", "file": "/dir/src.txt", "topic": "run-src"}
	create := func(c *Client) (any, error) { return c.Create(ctx, "run-src", config, "") }
	r.check("create-src", `"name":"run-src","config":{`, create)
	r.check("duplicate", "error 409: Connector run-src already exists", create)
	r.check("wait-src-running", `"connector":{"state":"RUNNING","worker_id":"h:8083","version":"4.3.0"},"tasks":[{"id":0,"state":"RUNNING"`, func(c *Client) (any, error) { return c.Status(ctx, "run-src") })
	r.check("get", `"tasks":[{"connector":"run-src","task":0}],"type":"source"`, func(c *Client) (any, error) { return c.Info(ctx, "run-src") })
	r.check("tasks", `[{"id":{"connector":"run-src","task":0},"config":{"connector.class":"FileStreamSource"`, func(c *Client) (any, error) { return c.Tasks(ctx, "run-src") })
	put := func(config connectors.Config) func(c *Client) (any, error) {
		return func(c *Client) (any, error) {
			info, created, err := c.Put(ctx, "run-put", config)
			return []any{created, info.Type}, err
		}
	}
	own := connectors.Config{"connector.class": "FileStreamSource", "tasks.max": "1", "file": "/dir/put.txt", "topic": "run-put"}
	r.check("put-create", `[true,"source"]`, put(own))
	r.check("put-same-again", `[false,"source"]`, put(own))
	r.check("put-invalid", "error 400: Connector configuration is invalid and contains the following 1 error(s):\nMissing required configuration", put(connectors.Config{"connector.class": "FileStreamSource"}))
	r.check("pause", "", func(c *Client) (any, error) { return nil, c.Pause(ctx, "run-src") })
	r.check("resume", "", func(c *Client) (any, error) { return nil, c.Resume(ctx, "run-src") })
	r.check("stop", "", func(c *Client) (any, error) { return nil, c.Stop(ctx, "run-src") })
	r.check("wait-src-stopped", "", func(c *Client) (any, error) { return nil, c.Wait(ctx, "run-src", runtime.Stopped) })
	r.check("wait-src-paused", "", func(c *Client) (any, error) { return nil, c.Wait(ctx, "run-src", runtime.Paused) })
	r.check("wait-resumed", "", func(c *Client) (any, error) { return nil, c.Wait(ctx, "run-src", runtime.Running) })
	r.check("restart-both", "", func(c *Client) (any, error) { return nil, c.Restart(ctx, "run-src", true, true) })
	r.check("restart-both-false", "", func(c *Client) (any, error) { return nil, c.Restart(ctx, "run-src", false, false) })
	r.check("restart-task", "", func(c *Client) (any, error) { return nil, c.RestartTask(ctx, "run-src", 0) })
	r.check("restart-task-9", "error 404: Unknown task: run-src-9", func(c *Client) (any, error) { return nil, c.RestartTask(ctx, "run-src", 9) })
	r.check("unknown-stop", "error 404: Unknown connector run-none", func(c *Client) (any, error) { return nil, c.Stop(ctx, "run-none") })
	r.check("delete-src", "", func(c *Client) (any, error) { return nil, c.Delete(ctx, "run-src") })
	r.check("deleted-delete", "error 404: Connector run-src not found", func(c *Client) (any, error) { return nil, c.Delete(ctx, "run-src") })
}

func TestOffsets(t *testing.T) {
	r := play(t, "06-offsets-source")
	ctx := t.Context()
	entry := func(file, offset string) []herder.OffsetEntry {
		return []herder.OffsetEntry{{Partition: json.RawMessage(`{"filename":"/dir/` + file + `"}`), Offset: json.RawMessage(offset)}}
	}
	set := func(file, offset string) func(c *Client) (any, error) {
		return func(c *Client) (any, error) { return c.SetOffsets(ctx, "run-os", entry(file, offset)) }
	}
	get := func(c *Client) (any, error) { return c.Offsets(ctx, "run-os") }
	r.check("offsets-running", `[{"partition":{"filename":"/dir/os.txt"},"offset":{"position":17}}]`, get)
	r.check("patch-running", "error 400: Connectors must be in the STOPPED state", set("os.txt", `{"position":6}`))
	r.check("patch-ok", `"The offsets for this connector have been altered successfully"`, set("os.txt", `{"position":6}`))
	r.check("patch-tombstone-one", "altered successfully", set("other.txt", "null"))
	r.check("reset", `"The offsets for this connector have been reset successfully"`, func(c *Client) (any, error) { return c.ResetOffsets(ctx, "run-os") })
	r.check("after-reset", "[]", get)
	r.check("create-nofile", `"name":"run-on"`, func(c *Client) (any, error) {
		return c.Create(ctx, "run-on", connectors.Config{"connector.class": "FileStreamSource", "topic": "run-on"}, runtime.Stopped)
	})
}

func TestTopicsAndLists(t *testing.T) {
	r := play(t, "08-topics")
	r.check("topics", `["run-tp"]`, func(c *Client) (any, error) { return c.Topics(t.Context(), "run-tp") })
	r.check("reset", "", func(c *Client) (any, error) { return nil, c.ResetTopics(t.Context(), "run-tp") })
	r = play(t, "12-expand")
	r.check("expand-both-reversed", `"type":"sink"`, func(c *Client) (any, error) {
		all, err := c.All(t.Context())
		if one := all["run-e1"]; len(all) != 2 || one.Status.Connector.State != runtime.Running || one.Info.Config["topic"] != "run-e1" {
			t.Errorf("got %+v", all)
		}
		return all, err
	})
}

// answers serves these answers, one after the other, the last for ever, and returns what was asked.
func answers(t *testing.T, o Options, list ...answer) (*Client, *[]*http.Request) {
	t.Helper()
	var asked []*http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		asked = append(asked, q)
		a := list[min(len(asked), len(list))-1]
		w.WriteHeader(a.Status)
		_, _ = w.Write(a.Body)
	}))
	t.Cleanup(server.Close)
	o.URL = strings.Replace(o.URL, "HOST", strings.TrimPrefix(server.URL, "http://"), 1)
	if o.URL == "" {
		o.URL = server.URL + "/"
	}
	c, err := New(o)
	must(t, err)
	t.Cleanup(c.Close)
	return c, &asked
}

const (
	stale     = `{"error_code":409,"message":"Cannot complete request momentarily due to stale configuration (typically caused by a concurrent config change)"}`
	rebalance = `{"error_code":500,"message":"Request cannot be completed because a rebalance is expected"}`
)

func TestRebalanceIsWaitedFor(t *testing.T) {
	var heard []string
	c, asked := answers(t, Options{Waiting: func(m string) { heard = append(heard, m) }}, answer{Status: 409, Body: []byte(stale)}, answer{Status: 500, Body: []byte(rebalance)}, answer{Status: 200, Body: []byte(`["a"]`)})
	names, err := c.Names(t.Context())
	if err != nil || len(names) != 1 || len(*asked) != 3 || len(heard) != 2 || !strings.Contains(heard[0], "stale configuration") {
		t.Errorf("got %v, %v after %d requests, %q", names, err, len(*asked), heard)
	}
	c, asked = answers(t, Options{Patience: time.Millisecond}, answer{Status: 409, Body: []byte(stale)})
	if _, err = c.Names(t.Context()); err == nil || !strings.Contains(err.Error(), "stale configuration") || len(*asked) != 1 {
		t.Errorf("got %v after %d requests", err, len(*asked))
	}
	c, asked = answers(t, Options{}, answer{Status: 409, Body: []byte(`{"error_code":409,"message":"Connector a already exists"}`)})
	if _, err = c.Create(t.Context(), "a", nil, ""); err == nil || len(*asked) != 1 {
		t.Errorf("got %v after %d requests", err, len(*asked))
	}
	ctx, cancel := context.WithCancel(t.Context())
	c, _ = answers(t, Options{Waiting: func(string) { cancel() }}, answer{Status: 409, Body: []byte(stale)})
	if _, err = c.Names(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAnswersOfOthers(t *testing.T) {
	for _, c := range []struct {
		code       int
		body, want string
	}{
		{401, "User cannot access the resource.", "User cannot access the resource."},
		{400, "<html>\n<head><title>Error 400 Ambiguous URI path separator</title></head></html>", "Error 400 Ambiguous URI path separator"},
		{502, "<html>no title", "HTTP 502 Bad Gateway"},
		{500, `{"error_code":500,"message":null}`, "HTTP 500 Internal Server Error"},
		{503, "", "HTTP 503 Service Unavailable"},
		{200, "<html>", "is this a Kafka Connect REST API?"},
		{200, `{"a":1}`, "is this a Kafka Connect REST API?"},
	} {
		client, _ := answers(t, Options{}, answer{Status: c.code, Body: []byte(c.body)})
		if _, err := client.Names(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d %s: got %v", c.code, c.body, err)
		}
	}
}

// TestCredentials checks how they are sent, and I12.
func TestCredentials(t *testing.T) {
	good := answer{Status: 200, Body: []byte("[]")}
	for _, c := range []struct {
		options Options
		want    string
	}{
		{Options{}, ""},
		{Options{User: "u", Password: "s3cret"}, "Basic dTpzM2NyZXQ="},
		{Options{Token: "s3cret"}, "Bearer s3cret"},
		{Options{URL: "http://u:s3cret@HOST"}, "Basic dTpzM2NyZXQ="},
	} {
		client, asked := answers(t, c.options, good)
		if _, err := client.Names(t.Context()); err != nil || (*asked)[0].Header.Get("Authorization") != c.want {
			t.Errorf("%+v: %v, got %q", c.options, err, (*asked)[0].Header.Get("Authorization"))
		}
		if strings.Contains(client.URL(), "s3cret") {
			t.Error(client.URL())
		}
	}
	for _, o := range []Options{{URL: "http://u:s3cret@127.0.0.1:1"}, {URL: "http://u:s3cret@[::"}, {URL: "u:s3cret@host"}, {User: "u", Password: "s3cret", Token: "s3cret"}} {
		c, err := New(o)
		if err == nil {
			_, err = c.Names(t.Context())
		}
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v", err)
		}
	}
}

func TestNobodyThere(t *testing.T) {
	c, err := New(Options{URL: "http://127.0.0.1:1"})
	must(t, err)
	_, err = c.Names(t.Context())
	var down *Unreachable
	if !errors.As(err, &down) || !strings.HasPrefix(err.Error(), "no answer from http://127.0.0.1:1: dial tcp") {
		t.Errorf("got %v", err)
	}
}

func TestTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("[]")) }))
	t.Cleanup(server.Close)
	server.Config.ErrorLog = nil
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, pemOf(server.Certificate().Raw), 0o600))
	for _, o := range []struct {
		options Options
		good    bool
	}{{Options{}, false}, {Options{CAFile: ca}, true}, {Options{Insecure: true}, true}} {
		o.options.URL = server.URL
		c, err := New(o.options)
		must(t, err)
		if _, err = c.Names(t.Context()); err == nil != o.good {
			t.Errorf("%+v: %v", o.options, err)
		}
		c.Close()
	}
	if _, err := New(Options{CAFile: "client_test.go"}); err == nil || !strings.Contains(err.Error(), "no certificate in PEM format") {
		t.Errorf("got %v", err)
	}
}

func TestWaitTellsWhatIsMissing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 15*pollEvery)
	defer cancel()
	c, _ := answers(t, Options{}, answer{Status: 404, Body: []byte(`{"error_code":404,"message":"No status found for connector a"}`)},
		answer{Status: 200, Body: []byte(`{"name":"a","connector":{"state":"RUNNING"},"tasks":[{"id":0,"state":"UNASSIGNED"}]}`)})
	if err := c.Wait(ctx, "a", runtime.Running); err == nil || err.Error() != "connector a is not RUNNING yet: connector RUNNING, task 0 UNASSIGNED" {
		t.Errorf("got %v", err)
	}
	c, _ = answers(t, Options{}, answer{Status: 200, Body: []byte(`{"name":"a","connector":{"state":"RUNNING"},"tasks":[{"id":0,"state":"FAILED","trace":"no disk\n\tat x"}]}`)})
	if err := c.Wait(t.Context(), "a", runtime.Running); err == nil || err.Error() != "connector a: task 0 failed: no disk" {
		t.Errorf("got %v", err)
	}
}

func TestChanges(t *testing.T) {
	got := Changes(connectors.Config{"name": "a", "same": "1", "gone": "x", "other": "1"}, connectors.Config{"same": "1", "other": "2", "new": ""})
	text, _ := json.Marshal(got)
	if string(text) != `[{"Key":"gone","Old":"x","New":null},{"Key":"new","Old":null,"New":""},{"Key":"other","Old":"1","New":"2"}]` {
		t.Errorf("got %s", text)
	}
}

func TestParseOffsets(t *testing.T) {
	for in, want := range map[string]string{
		`{"offsets":[{"partition":{"a":1},"offset":null}]}`: `[{"partition":{"a":1},"offset":null}]`, `[{"partition":{"a":12345678901234567890},"offset":{"b":1}}]`: `[{"partition":{"a":12345678901234567890},"offset":{"b":1}}]`,
		"x": "invalid character",
	} {
		got, err := ParseOffsets([]byte(in))
		text, _ := json.Marshal(got)
		if err != nil {
			text = []byte(err.Error())
		}
		if !strings.Contains(string(text), want) {
			t.Errorf("%s: got %s", in, text)
		}
	}
}

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
