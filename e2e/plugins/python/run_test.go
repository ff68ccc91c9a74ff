package python_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/testbed"
)

// install makes a folder of examples/plugin-python for plugin.path, which starts in the virtual environment of the tests.
func install(t *testing.T, path string) {
	t.Helper()
	root, err := testbed.Root()
	if err != nil {
		t.Fatal(err)
	}
	interpreter, packages := python(t)
	dir := filepath.Join(path, "plugin-python")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"plugin.json", "plugin.py", "mqtt_source.py", "sqlite_sink.py"} {
		text, err := os.ReadFile(filepath.Join(root, "examples/plugin-python", name))
		if err != nil {
			t.Fatal(err)
		}
		testbed.WriteFile(t, dir, name, string(text))
	}
	script := fmt.Sprintf("#!/bin/sh\nPYTHONPATH='%s' exec '%s' '%s'\n", packages, interpreter, filepath.Join(dir, "plugin.py"))
	if err := os.Chmod(testbed.WriteFile(t, dir, "run", script), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
}

// TestExamplesInAWorker copies the topics of an MQTT broker into a table: what is published while the worker runs, and while it is away
// after a kill -9. Nothing is lost; the source may repeat what was not yet committed.
func TestExamplesInAWorker(t *testing.T) {
	broker := testbed.StartMosquitto(t)
	dir := t.TempDir()
	install(t, filepath.Join(dir, "plugins"))
	testbed.WriteFile(t, dir, "worker.properties", "plugin.path=plugins\noffset.flush.interval.ms=200\n")
	database := filepath.Join(dir, "copy.db")
	config, err := json.Marshal(map[string]string{
		"name": "sensors", "connector.class": "MqttSource", "mqtt.host": broker.Host(), "mqtt.port": strconv.Itoa(broker.Port()),
		"mqtt.topics": "sensors/#", "mqtt.client.id": "sensors", "table": "sensors",
		"sinks": "copy", "sinks.copy.connector.class": "SqliteSink", "sinks.copy.path": database,
	})
	if err != nil {
		t.Fatal(err)
	}
	testbed.WriteFile(t, dir, "sensors.json", string(config))

	p := bed.Freshet(t, dir, "run", "sensors.json", "-c", "worker.properties")
	p.Says("subscribed")
	publish(t, broker, 1, 300)
	p.Until("the rows of the messages are missing", func() bool { return len(payloads(t, database)) == 300 })
	p.Kill()
	publish(t, broker, 301, 600)

	p = bed.Freshet(t, dir, "run", "sensors.json", "-c", "worker.properties")
	p.Until("the rows of the messages from between are missing", func() bool { return len(payloads(t, database)) == 600 })
	publish(t, broker, 601, 700)
	p.Until("the rows of the last messages are missing", func() bool { return len(payloads(t, database)) == 700 })
	if code := p.Stop(); code != 0 {
		t.Errorf("freshet ended with %d:\n%s", code, p.Output())
	}
	for n := 1; n <= 700; n++ {
		if !payloads(t, database)[strconv.Itoa(n)] {
			t.Fatalf("message %d is missing", n)
		}
	}
}

// TestMessageThatIsNoText: errors.tolerance decides about a message whose payload is not UTF-8. What comes before it is in the table; where it
// is tolerated, what comes behind it, too, and the message in the dead-letter queue.
func TestMessageThatIsNoText(t *testing.T) {
	broker := testbed.StartMosquitto(t)
	dir := t.TempDir()
	install(t, filepath.Join(dir, "plugins"))
	testbed.WriteFile(t, dir, "worker.properties", "plugin.path=plugins\noffset.flush.interval.ms=200\n")
	database := filepath.Join(dir, "copy.db")
	config := map[string]string{
		"name": "sensors", "connector.class": "MqttSource", "mqtt.host": broker.Host(), "mqtt.port": strconv.Itoa(broker.Port()),
		"mqtt.topics": "sensors/#", "mqtt.client.id": "sensors", "table": "sensors",
		"sinks": "copy", "sinks.copy.connector.class": "SqliteSink", "sinks.copy.path": database,
	}
	testbed.WriteConnector(t, dir, config)
	p := bed.Freshet(t, dir, "run", "sensors.json", "-c", "worker.properties")
	p.Says("subscribed")
	publish(t, broker, 1, 3)
	run(t, publishBroken, broker.Host(), strconv.Itoa(broker.Port()))
	publish(t, broker, 4, 6)
	p.Says("read a message of topic sensors/broken: its payload is not UTF-8; set payload=bytes", "errors.tolerance=all")
	p.Until("the rows before it are missing", func() bool { return len(payloads(t, database)) == 3 })
	p.Stop()

	config["errors.tolerance"], config["errors.log.enable"], config["errors.deadletterqueue.file"] = "all", "true", filepath.Join(dir, "dead.jsonl")
	testbed.WriteConnector(t, dir, config)
	p = bed.Freshet(t, dir, "run", "sensors.json", "-c", "worker.properties")
	p.Says("a record cannot be processed and is put into the dead-letter queue")
	p.Until("the rows behind it are missing", func() bool { return len(payloads(t, database)) == 6 })
	if code := p.Stop(); code != 0 {
		t.Errorf("freshet ended with %d:\n%s", code, p.Output())
	}
	dead, err := os.ReadFile(filepath.Join(dir, "dead.jsonl"))
	if text := string(dead); err != nil || strings.Count(text, "\n") != 1 || !strings.Contains(text, `"value_base64":"/wA="`) || !strings.Contains(text, `"sensors/broken"`) {
		t.Errorf("dead letters %s, %v", dead, err)
	}
}

// publish publishes numbers and returns when the broker has them.
func publish(t *testing.T, broker *testbed.Mosquitto, from, to int) {
	t.Helper()
	run(t, publishNumbers, broker.Host(), strconv.Itoa(broker.Port()), strconv.Itoa(from), strconv.Itoa(to))
}

const publishNumbers = `import sys, paho.mqtt.client as mqtt
host, port, first, last = sys.argv[1], *map(int, sys.argv[2:])
c = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
c.connect(host, port)
c.loop_start()
sent = [c.publish(f"sensors/{n % 7}", str(n), qos=1) for n in range(first, last + 1)]
for m in sent:
    m.wait_for_publish(60)
    assert m.is_published()
c.disconnect()
c.loop_stop()`

const publishBroken = `import sys, paho.mqtt.publish as publish
publish.single("sensors/broken", b"\xff\x00", qos=1, hostname=sys.argv[1], port=int(sys.argv[2]))`

// payloads are those that the table has.
func payloads(t *testing.T, database string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, line := range strings.Fields(run(t, `import sqlite3, sys
db = sqlite3.connect(f"file:{sys.argv[1]}?mode=rwc", uri=True, timeout=60)
if db.execute("SELECT 1 FROM sqlite_master WHERE name='sensors'").fetchone():
    for x, in db.execute("SELECT DISTINCT payload FROM sensors"): print(x)`, database)) {
		out[line] = true
	}
	return out
}
