package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/freshet-io/freshet/runtime/herder"
	"github.com/freshet-io/freshet/testbed"
)

// clusterWorker is one process of a cluster.
type clusterWorker struct {
	*testbed.Program
	url, id string
}

// startWorker runs a worker and waits until it is ready.
func startWorker(t testing.TB, dir string) *clusterWorker {
	t.Helper()
	p := start(t, dir, "worker", "-c", "worker.properties")
	url, id := p.Ready()
	return &clusterWorker{p, url, id}
}

// clusterFile writes the properties of a cluster with a name of its own.
func clusterFile(t testing.TB, dir, name string, kafka *testbed.Kafka, more map[string]string) {
	t.Helper()
	properties := map[string]string{
		"offset.storage.partitions": "5", "value.converter": "org.apache.kafka.connect.storage.StringConverter",
		"session.timeout.ms": "6000", "heartbeat.interval.ms": "500", "scheduled.rebalance.max.delay.ms": "0",
	}
	maps.Copy(properties, more)
	testbed.WriteWorker(t, dir, kafka.Bootstrap(), name, properties)
}

// ask runs a command that has to be done.
func ask(t testing.TB, url string, args ...string) string {
	t.Helper()
	out, code := once(t, t.TempDir(), append(args, "--url", url)...)
	if code != 0 {
		t.Fatalf("freshet %s: exit code %d:\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// runsOn is the worker that runs the only task of a connector; "" while none does.
func runsOn(t testing.TB, url, name string) string {
	t.Helper()
	var tasks []herder.TaskStatus
	if err := json.Unmarshal([]byte(ask(t, url, "connectors", "tasks", name, "-o", "json")), &tasks); err != nil {
		t.Fatal(err)
	}
	if len(tasks) != 1 || tasks[0].State != "RUNNING" {
		return ""
	}
	return tasks[0].WorkerID
}

// TestWorkersTakeOver steers three workers through the command line. What one of them ran that is killed, or stops, goes on at
// another, and every line arrives once.
func TestWorkersTakeOver(t *testing.T) {
	t.Parallel()
	kafka := bed.Kafka(t)
	dir := t.TempDir()
	topic := kafka.NewTopic(t, 1, nil)
	clusterFile(t, dir, topic+"-cluster", kafka, map[string]string{"exactly.once.source.support": "enabled"})
	workers := map[string]*clusterWorker{}
	for range 3 {
		w := startWorker(t, dir)
		workers[w.id] = w
	}
	input := filepath.Join(dir, "in.txt")
	lines := 0
	grow := func(n int) {
		t.Helper()
		f, err := os.OpenFile(input, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			lines++
			if _, err = fmt.Fprintf(f, "line %d\n", lines); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		kafka.WaitRecords(t, lines, deadline, topic)
	}
	any := func() *clusterWorker {
		for _, w := range workers {
			return w
		}
		t.Fatal("no worker is left")
		return nil
	}
	connector := testbed.WriteConnector(t, dir, map[string]string{
		"name": "lines", "connector.class": "FileStreamSource", "file": input, "topic": topic, "topic.creation.default.partitions": "1", "topic.creation.default.replication.factor": "1",
	})
	if err := os.WriteFile(input, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := ask(t, any().url, "connectors", "apply", "-f", connector, "--wait"); !strings.Contains(out, "connector lines: created") {
		t.Errorf("apply said %s", out)
	}
	grow(100)
	for _, end := range []func(*clusterWorker){
		func(w *clusterWorker) { w.Kill() },
		func(w *clusterWorker) {
			if code := w.Stop(); code != 0 {
				t.Errorf("exit code %d after SIGTERM:\n%s", code, w.Output())
			}
		},
	} {
		var owner string
		var w *clusterWorker
		any().Until("the task runs on no worker", func() bool {
			owner = runsOn(t, any().url, "lines")
			w = workers[owner]
			return w != nil
		})
		delete(workers, owner)
		end(w)
		any().Until("the task has no other worker", func() bool {
			on := runsOn(t, any().url, "lines")
			return on != "" && on != owner
		})
		grow(100)
	}
	ask(t, any().url, "connectors", "stop", "lines", "--wait")
	if out := ask(t, any().url, "offsets", "get", "lines", "-o", "json"); !strings.Contains(out, input) {
		t.Errorf("offsets %s", out)
	}
	ask(t, any().url, "connectors", "delete", "lines")
	if code := any().Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM:\n%s", code, any().Output())
	}
	seen := map[string]bool{}
	for _, r := range kafka.Read(t, topic) {
		if seen[string(r.Value)] {
			t.Errorf("%s came twice", r.Value)
		}
		seen[string(r.Value)] = true
	}
	if len(seen) != lines {
		t.Errorf("%d lines came, %d were written", len(seen), lines)
	}
}

// A worker says what is wrong with its configuration, and waits for brokers.
func TestWorkerRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	testbed.WriteFile(t, dir, "w.properties", "bootstrap.servers=127.0.0.1:1\n")
	out, code := once(t, dir, "worker", "-c", "w.properties")
	if code != 1 || !strings.Contains(out, "The 'group.id' value is invalid: A value is required") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	kafka := bed.Kafka(t)
	clusterFile(t, dir, kafka.NewTopic(t, 1, nil)+"-c", kafka, map[string]string{"bootstrap.servers": "127.0.0.1:1"})
	p := start(t, dir, "worker", "-c", "worker.properties")
	p.Says("Kafka cannot be reached yet")
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d while it waits:\n%s", code, p.Output())
	}
	for _, c := range []struct{ policy, want string }{{"compact", "has 3 partitions: it must have a single one"}, {"delete", "has cleanup.policy=delete"}} {
		topic := kafka.NewTopic(t, 3, map[string]string{"cleanup.policy": c.policy})
		clusterFile(t, dir, topic+"-c", kafka, map[string]string{"config.storage.topic": topic})
		if out, code := once(t, dir, "worker", "-c", "worker.properties"); code != 1 || !strings.Contains(out, topic) || !strings.Contains(out, c.want) {
			t.Errorf("exit code %d:\n%s", code, out)
		}
	}
}

// Without a broker a graceful stop gives up after a while; the second signal ends the worker at once.
func TestWorkerStopsWithoutBroker(t *testing.T) {
	t.Parallel()
	kafka := testbed.StartKafka(t)
	dir := t.TempDir()
	// Both keep their place in the group for as long as it takes to kill the broker.
	clusterFile(t, dir, "alone", kafka, map[string]string{"task.shutdown.graceful.timeout.ms": "1000", "session.timeout.ms": "60000"})
	graceful, hurried := startWorker(t, dir), startWorker(t, dir)
	input := testbed.WriteFile(t, dir, "in.txt", "line 1\n")
	ask(t, graceful.url, "connectors", "apply", "--wait", "-f", testbed.WriteConnector(t, dir, map[string]string{
		"name": "lines", "connector.class": "FileStreamSource", "file": input, "topic": "lines",
	}))
	kafka.Kill(t)
	graceful.Signal(syscall.SIGTERM)
	hurried.Signal(syscall.SIGTERM)
	hurried.Says("stopping gracefully")
	hurried.Signal(syscall.SIGTERM)
	if code := hurried.Ends(); code != 1 {
		t.Errorf("exit code %d after the second signal, want 1", code)
	}
	if code := graceful.Ends(); code != 0 {
		t.Errorf("exit code %d after the first signal:\n%s", code, graceful.Output())
	}
}
