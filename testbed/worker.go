package testbed

import (
	"fmt"
	"maps"
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
