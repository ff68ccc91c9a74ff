package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// worker answers requests ("GET /connectors") with these bodies, and notes what else was asked. A body "404 text" is an error.
type worker struct {
	answers map[string]string
	asked   []string // method, path and body of what changes something
	auth    string
	url     string
}

func startWorker(t *testing.T, answers map[string]string) *worker {
	t.Helper()
	w := &worker{answers: answers}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	w.url = server.URL
	for _, name := range []string{"FRESHET_URL", "FRESHET_USER", "FRESHET_TOKEN", "FRESHET_CACERT"} {
		t.Setenv(name, "")
	}
	t.Setenv("FRESHET_URL", w.url)
	return w
}

// ServeHTTP implements http.Handler.
func (w *worker) ServeHTTP(out http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	w.auth = q.Header.Get("Authorization")
	if q.Method != http.MethodGet {
		w.asked = append(w.asked, strings.TrimSpace(q.Method+" "+q.URL.RequestURI()+" "+string(body)))
	}
	answer, ok := w.answers[q.Method+" "+q.URL.RequestURI()]
	if !ok {
		answer = "404 Unknown"
	}
	var code int
	var text string
	if n, _ := fmt.Sscanf(answer, "%d", &code); n == 1 && code >= 400 {
		text = strings.TrimPrefix(answer, fmt.Sprintf("%d ", code))
		out.WriteHeader(code)
		answer = fmt.Sprintf(`{"error_code":%d,"message":%q}`, code, text)
	}
	_, _ = io.WriteString(out, answer)
}

const (
	infoOf   = `{"name":"orders","config":{"name":"orders","connector.class":"FileStreamSource","tasks.max":"1","file":"/f","topic":"t","database.password":"s3cret"},"tasks":[{"connector":"orders","task":0}],"type":"source"}`
	statusOf = `{"name":"orders","connector":{"state":"RUNNING","worker_id":"h:8083","version":"1"},"tasks":[{"id":0,"state":"RUNNING","worker_id":"h:8083"},{"id":1,"state":"FAILED","worker_id":"i:8083","trace":"disk is full\n\tat x"}],"type":"source"}`
)

func ordersWorker(t *testing.T) *worker {
	return startWorker(t, map[string]string{
		"GET /connectors": `["orders","lines"]`,
		"GET /connectors?expand=info&expand=status":                         `{"orders":{"info":` + infoOf + `,"status":` + statusOf + `},"lines":{"info":{"name":"lines","config":{"connector.class":"X"},"tasks":[],"type":"sink"},"status":{"name":"lines","connector":{"state":"STOPPED","worker_id":"i:8083"},"tasks":[],"type":"sink"}},"new":{"info":{"name":"new","config":{},"tasks":[],"type":"unknown"}}}`,
		"GET /connectors/orders":                                            infoOf,
		"GET /connectors/orders/status":                                     statusOf,
		"GET /connectors/orders/topics":                                     `{"orders":{"topics":["t2","t"]}}`,
		"GET /connectors/orders/tasks":                                      `[{"id":{"connector":"orders","task":1},"config":{"a.password":"s3cret"}},{"id":{"connector":"orders","task":0},"config":{}}]`,
		"GET /connectors/orders/offsets":                                    `{"offsets":[{"partition":{"filename": "/f"},"offset":{"position":17}}]}`,
		"PUT /connectors/orders/pause":                                      "",
		"PUT /connectors/orders/stop":                                       "",
		"DELETE /connectors/orders":                                         "",
		"DELETE /connectors/gone":                                           "404 Connector gone not found",
		"POST /connectors/orders/tasks/1/restart":                           "",
		"PUT /connectors/orders/topics/reset":                               "",
		"PATCH /connectors/orders/offsets":                                  `{"message":"The offsets for this connector have been altered successfully"}`,
		"DELETE /connectors/orders/offsets":                                 "400 Connectors must be in the STOPPED state before their offsets can be modified.",
		"PUT /connectors/orders/config":                                     infoOf,
		"PUT /connectors/lines/config":                                      `{"name":"lines","config":{},"tasks":[],"type":"source"}`,
		"POST /connectors":                                                  `{"name":"idle","config":{},"tasks":[],"type":"source"}`,
		"PUT /connector-plugins/X/config/validate":                          `{"name":"X","error_count":1,"groups":[],"configs":[{"definition":null,"value":{"name":"file","value":null,"recommended_values":[],"errors":["it is not there"],"visible":true}}]}`,
		"POST /connectors/orders/restart?includeTasks=true&onlyFailed=true": "",
		"PUT /connector-plugins/FileStreamSource/config/validate":           `{"name":"FileStreamSource","error_count":0,"groups":[],"configs":[]}`,
	})
}

func TestListAndDescribe(t *testing.T) {
	ordersWorker(t)
	for _, c := range []struct {
		args, want string
	}{
		{"connectors list", `NAME    TYPE    STATE    TASKS                WORKER  CLASS
lines   sink    STOPPED  -                    i:8083  X
new     -       -        -                    -       -
orders  source  RUNNING  1 FAILED, 1 RUNNING  h:8083  FileStreamSource
`},
		{"connectors describe orders", `Name:     orders
Type:     source
State:    RUNNING
Worker:   h:8083
Version:  1
Topics:   t, t2
Tasks:
  0  RUNNING on h:8083
  1  FAILED on i:8083
    disk is full
        at x
Config:
  connector.class = FileStreamSource
  database.password = [hidden]
  file = /f
  name = orders
  tasks.max = 1
  topic = t
`},
		{"connectors tasks orders", `TASK  STATE    WORKER  VERSION  ERROR
0     RUNNING  h:8083  -        -
1     FAILED   i:8083  -        disk is full
`},
		{"connectors topics orders", "t\nt2\n"},
		{"offsets get orders", "PARTITION          OFFSET\n{\"filename\":\"/f\"}  {\"position\":17}\n"},
	} {
		out, err := freshet(t, strings.Fields(c.args)...)
		if err != nil || out != c.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", c.args, err, out, c.want)
		}
		out, err = freshet(t, append(strings.Fields(c.args), "-o", "json")...)
		if err != nil || !json.Valid([]byte(out)) || strings.Contains(out, "s3cret") {
			t.Errorf("%s as JSON: %v\n%s", c.args, err, out)
		}
	}
	if out, err := freshet(t, "connectors", "describe", "orders", "--show-secrets"); err != nil || !strings.Contains(out, "database.password = s3cret") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestSteering(t *testing.T) {
	for _, c := range []struct{ args, asked, out, failed string }{
		{"connectors pause orders", "PUT /connectors/orders/pause", "connector orders: told to pause\n", ""},
		{"connectors stop orders", "PUT /connectors/orders/stop", "connector orders: told to stop\n", ""},
		{"connectors delete gone orders", "DELETE /connectors/gone DELETE /connectors/orders", "connector orders: deleted\n", "connector gone: Connector gone not found"},
		{"connectors restart orders --tasks --only-failed", "POST /connectors/orders/restart?includeTasks=true&onlyFailed=true", "connector orders: restarted\n", ""},
		{"connectors restart orders --task 1", "POST /connectors/orders/tasks/1/restart", "connector orders: restarted\n", ""},
		{"connectors topics orders --reset", "PUT /connectors/orders/topics/reset", "connector orders: its topics are forgotten\n", ""},
		{`offsets set orders --partition {"a":1} --offset null`, `PATCH /connectors/orders/offsets {"offsets":[{"partition":{"a":1},"offset":null}]}`, "connector orders: The offsets for this connector have been altered successfully\n", ""},
		{"offsets reset orders", "DELETE /connectors/orders/offsets", "", "connector orders: Connectors must be in the STOPPED state"},
		{"connectors resume nobody", "PUT /connectors/nobody/resume", "", "connector nobody: Unknown"},
	} {
		w := ordersWorker(t)
		out, err := freshet(t, strings.Fields(c.args)...)
		if got := strings.Join(w.asked, " "); got != c.asked {
			t.Errorf("%s: asked %s", c.args, got)
		}
		if out != c.out || err == nil != (c.failed == "") || err != nil && !strings.Contains(err.Error(), c.failed) {
			t.Errorf("%s: %v\n%s", c.args, err, out)
		}
	}
}

func TestApply(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	same := file("same.json", `{"name":"orders","config":{"connector.class":"FileStreamSource","tasks.max":1,"file":"/f","topic":"t","database.password":"s3cret"}}`)
	other := file("other.json", `{"name":"orders","connector.class":"FileStreamSource","tasks.max":"2","file":"/f","topic":"t","database.password":"s3cret2","batch.size":"7"}`)
	fresh := file("lines.properties", "name=lines\nconnector.class=FileStreamSource\n")
	idle := file("idle.json", `{"name":"idle","config":{"connector.class":"FileStreamSource"},"initial_state":"stopped"}`)
	broken := file("broken.json", `{"name":"b","connector.class":"X"}`)
	const changes = "  + batch.size = 7\n  ~ database.password = [hidden] (was [hidden])\n  ~ tasks.max = 2 (was 1)\n"
	for _, c := range []struct {
		args, asked, out, failed string
	}{
		{"apply -f " + same, "", "connector orders: unchanged\n", ""},
		{"apply -f " + other, "PUT /connectors/orders/config", "connector orders: updated\n" + changes, ""},
		{"apply --dry-run -f " + other, "PUT /connector-plugins/FileStreamSource/config/validate", "connector orders: would be updated\n" + changes, ""},
		{"apply -f " + fresh + " -f " + idle, "PUT /connectors/lines/config POST /connectors", "connector lines: created\n  + connector.class = FileStreamSource\nconnector idle: created\n  + connector.class = FileStreamSource\n", ""},
		{"apply --dry-run -f " + broken, "PUT /connector-plugins/X/config/validate", "", "connector b (" + broken + "): file: it is not there"},
		{"apply -f " + same + " -f " + other, "", "", "connector orders is in " + same + " and in " + other},
		{"apply --wait -f " + same, "", "connector orders: unchanged\n", "connector orders: task 1 failed: disk is full"},
		{"validate -f " + same, "PUT /connector-plugins/FileStreamSource/config/validate", same + ": connector orders: good\n", ""},
		{"validate -f " + broken, "PUT /connector-plugins/X/config/validate", broken + ": connector b: file: it is not there\n", "exit code 1"},
	} {
		w := ordersWorker(t)
		out, err := freshet(t, append([]string{"connectors"}, strings.Fields(c.args)...)...)
		var asked []string
		for _, a := range w.asked {
			method, rest, _ := strings.Cut(a, " ")
			path, _, _ := strings.Cut(rest, " ")
			asked = append(asked, method+" "+path)
		}
		if got := strings.Join(asked, " "); got != c.asked {
			t.Errorf("%s: asked %s", c.args, got)
		}
		if out != c.out || err == nil != (c.failed == "") || err != nil && !strings.Contains(err.Error(), c.failed) {
			t.Errorf("%s: %v\n%s", c.args, err, out)
		}
		if strings.Contains(out+fmt.Sprint(err), "s3cret") {
			t.Errorf("%s shows a secret:\n%s\n%v", c.args, out, err)
		}
	}
}

func TestWhoAsks(t *testing.T) {
	w := ordersWorker(t)
	secret := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(secret, []byte("abc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		environ map[string]string
		args    string
		want    string
	}{
		{nil, "", ""},
		{nil, "--user u:p", "Basic dTpw"},
		{nil, "--token @" + secret, "Bearer abc"},
		{map[string]string{"FRESHET_USER": "u:p"}, "", "Basic dTpw"},
		{map[string]string{"FRESHET_TOKEN": "@" + secret}, "", "Bearer abc"},
		{map[string]string{"FRESHET_USER": "u:p"}, "--token abc", "Bearer abc"},
		{map[string]string{"FRESHET_TOKEN": "abc"}, "--user u:p", "Basic dTpw"},
	} {
		for _, name := range []string{"FRESHET_USER", "FRESHET_TOKEN"} {
			t.Setenv(name, c.environ[name])
		}
		if _, err := freshet(t, append([]string{"connectors", "list"}, strings.Fields(c.args)...)...); err != nil || w.auth != c.want {
			t.Errorf("%+v: %v, asked as %q", c, err, w.auth)
		}
	}
}

func TestNoWorker(t *testing.T) {
	w := startWorker(t, map[string]string{"GET /connectors/a": "401 User cannot access the resource."})
	if _, err := freshet(t, "connectors", "describe", "a"); err == nil || err.Error() != "User cannot access the resource. (HTTP 401); --user or --token says who asks" {
		t.Errorf("got %v", err)
	}
	if _, err := freshet(t, "connectors", "list", "--url", "http://127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "no answer from http://127.0.0.1:1: ") || !strings.Contains(err.Error(), "is a worker running there?") {
		t.Errorf("got %v", err)
	}
	if len(w.asked) > 0 {
		t.Error(w.asked)
	}
	for _, args := range []string{"connectors list --url nonsense", "connectors list -o xml", "connectors nonsense", "connectors list x", "connectors apply", "offsets set a", "offsets set a -f x --offset {}", "offsets set a --offset { --partition {}", "connectors restart a --task 1 --tasks", "connectors pause"} {
		_, err := freshet(t, strings.Fields(args)...)
		var usage usageError
		if !errors.As(err, &usage) {
			t.Errorf("%s: %v, want a usage error", args, err)
		}
	}
	var code exitError
	if _, err := freshet(t, "connectors"); !errors.As(err, &code) || code.code != exitUsage {
		t.Errorf("got %v", err)
	}
}

func TestCompletion(t *testing.T) {
	ordersWorker(t)
	complete := func(args ...string) []string {
		out, err := freshet(t, append([]string{"__complete"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		return lines[:len(lines)-1] // the last is a directive
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"connectors", "pause", ""}, "[lines orders]"},
		{[]string{"connectors", "pause", "orders", ""}, "[lines]"},
		{[]string{"offsets", "get", "orders", ""}, "[]"},
		{[]string{"connectors", "describe", "--url", "http://127.0.0.1:1", ""}, "[]"},
		{[]string{"connectors", "list", "--output", ""}, "[table json]"},
	} {
		if got := fmt.Sprint(complete(c.args...)); got != c.want {
			t.Errorf("%v: %s", c.args, got)
		}
	}
	var script bytes.Buffer
	root := rootCommand()
	root.SetOut(&script)
	root.SetArgs([]string{"completion", "bash"})
	if err := root.ExecuteContext(t.Context()); err != nil || !strings.Contains(script.String(), "__start_freshet") {
		t.Errorf("%v: %d bytes", err, script.Len())
	}
}
