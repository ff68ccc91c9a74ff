package testbed

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// WriteWorker writes the properties of a worker of a group, as connect-distributed.properties has them, and returns the file's path. Its
// three topics are <group>-configs, -offsets and -status; by default it listens on a free port. More keys come on top.
func WriteWorker(t testing.TB, dir, bootstrap, group string, more map[string]string) string {
	t.Helper()
	properties := map[string]string{
		"bootstrap.servers": bootstrap,
		"group.id":          group,
		"key.converter":     "org.apache.kafka.connect.json.JsonConverter",
		"value.converter":   "org.apache.kafka.connect.json.JsonConverter",
		"listeners":         "http://127.0.0.1:0",
	}
	for topic, name := range map[string]string{"config": "configs", "offset": "offsets", "status": "status"} {
		properties[topic+".storage.topic"] = group + "-" + name
		properties[topic+".storage.replication.factor"] = "1"
	}
	maps.Copy(properties, more)
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		fmt.Fprintf(&text, "%s=%s\n", key, properties[key])
	}
	return WriteFile(t, dir, "worker.properties", text.String())
}

var readyLine = regexp.MustCompile(`msg="freshet worker is ready" url=(\S+) group=\S+ worker=(\S+)`)

// Ready waits until a worker is ready and returns the URL of its REST API and its worker id.
func (p *Program) Ready() (url, id string) {
	p.t.Helper()
	p.Says("freshet worker is ready")
	m := readyLine.FindStringSubmatch(p.Output())
	if m == nil {
		p.t.Fatalf("the line of a ready worker is another one:\n%s", p.Output())
	}
	return strings.TrimSuffix(m[1], "/"), m[2]
}

var restLine = regexp.MustCompile(`msg="the REST API is ready" url=(\S+)`)

// TaskStatus is what the REST API says of a task. Restarts are known below /freshet/ alone.
type TaskStatus struct {
	State, Trace string
	Records      struct{ Restarts int }
}

// Task is the first task that a path of the REST API of a program with listeners shows: connectors/NAME/status or
// freshet/connectors/NAME. It is empty while nothing is known.
func (p *Program) Task(path string) TaskStatus {
	p.t.Helper()
	m := restLine.FindStringSubmatch(p.Output())
	if m == nil {
		return TaskStatus{}
	}
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, strings.TrimSuffix(m[1], "/")+"/"+path, http.NoBody)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return TaskStatus{}
	}
	defer func() { _ = resp.Body.Close() }()
	var status struct{ Tasks []TaskStatus }
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(body, &status) != nil || len(status.Tasks) == 0 {
		return TaskStatus{}
	}
	return status.Tasks[0]
}
