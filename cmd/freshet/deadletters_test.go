package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/deadletter"
)

// deadLetters runs `freshet dead-letters` and returns what it prints.
func deadLetters(t *testing.T, args ...string) (string, error) {
	t.Helper()
	c := rootCommand()
	var out bytes.Buffer
	c.SetOut(&out)
	c.SetErr(&out)
	c.SetArgs(append([]string{"dead-letters"}, args...))
	err := c.ExecuteContext(t.Context())
	return out.String(), err
}

func writeJSON(t *testing.T, name string, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A queue in a topic is listed, and replayed into the topic where its records came from, once.
func TestDeadLettersOfATopic(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "bets"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	servers := strings.Join(c.ListenAddrs(), ",")
	worker := filepath.Join(t.TempDir(), "worker.properties")
	if err := os.WriteFile(worker, []byte("bootstrap.servers="+servers+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := connectors.Config{
		"name": "sink", "connector.class": "FileStreamSink", "topics": "bets", "errors.tolerance": "all",
		"errors.deadletterqueue.topic.name": "dead", "errors.deadletterqueue.topic.replication.factor": "1", "errors.deadletterqueue.context.headers.enable": "true",
	}
	file := writeJSON(t, "sink.json", config)
	for _, name := range []string{"sink", "another"} { // one queue of two connectors
		q, err := newProgram().deadLetters().Open(t.Context(), config, connectors.Settings{Connector: name, Worker: connectors.Config{"bootstrap.servers": servers}})
		if err != nil {
			t.Fatal(err)
		}
		letter := &runtime.DeadLetter{
			Stage: connectors.StageValueConverter, Class: "x", Cause: context.Canceled,
			Raw: &connectors.Raw{Topic: "bets", Partition: 1, Offset: 7, Timestamp: 1700000000000, Key: []byte("k"), Value: []byte("{"), Headers: []connectors.RawHeader{{Key: []byte("own"), Value: []byte("1")}}},
		}
		if err := q.Add(t.Context(), letter); err != nil {
			t.Fatal(err)
		}
		if err := q.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := q.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	list, err := deadLetters(t, "list", file, "-c", worker)
	if err != nil || strings.Count(list, "\n") != 2 || !strings.Contains(list, "2023-11-14T22:13:20Z  bets:1:7  VALUE_CONVERTER  context canceled") {
		t.Errorf("%v:\n%s", err, list)
	}
	if out, err := deadLetters(t, "replay", file, "-c", worker); err != nil || out != "1 records were replayed\n" {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := deadLetters(t, "replay", file, "-c", worker); err != nil || out != "0 records were replayed\n" {
		t.Errorf("%v: %s", err, out)
	}
	if list, err := deadLetters(t, "list", file, "-c", worker, "-o", "json", "--all"); err != nil || !strings.Contains(list, `"value_text":"{"`) {
		t.Errorf("%v:\n%s", err, list)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(servers), kgo.ConsumeTopics("bets"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	records := client.PollFetches(t.Context()).Records()
	if len(records) != 1 || records[0].Partition != 1 || string(records[0].Value) != "{" || len(records[0].Headers) != 1 || string(records[0].Key) != "k" {
		t.Errorf("replayed %+v", records)
	}
}

// A queue of a direct connector in a file is replayed into its sink, once.
func TestDeadLettersIntoASink(t *testing.T) {
	dir := t.TempDir()
	dead, out := filepath.Join(dir, "dead.jsonl"), filepath.Join(dir, "out.json")
	var lines []byte
	for _, n := range []string{"1", "2"} {
		line, err := deadletter.AppendLine(nil, &deadletter.Record{
			Key: []byte(`{"schema":{"type":"int32","optional":false},"payload":` + n + `}`), Value: []byte(`{"schema":{"type":"string","optional":false},"payload":"row ` + n + `"}`), Timestamp: 5,
			Headers: []connectors.RawHeader{{Key: []byte(deadletter.HeaderTopic), Value: []byte("shop.bets")}, {Key: []byte(deadletter.HeaderConnector), Value: []byte("direct")}},
		})
		if err != nil {
			t.Fatal(err)
		}
		lines = append(append(lines, line...), '\n')
	}
	if err := os.WriteFile(dead, append(lines, `{"headers":[`...), 0o600); err != nil { // a line that a crash cut off
		t.Fatal(err)
	}
	file := writeJSON(t, "direct.json", connectors.Config{
		"name": "direct", "connector.class": "PostgresConnector", "errors.tolerance": "all", "errors.deadletterqueue.file": dead,
		"sinks": "f", "sinks.f.connector.class": "FileStreamSinkConnector", "sinks.f.file": out,
	})
	list, err := deadLetters(t, "list", file)
	if err != nil || strings.Count(list, "shop.bets") != 2 {
		t.Errorf("%v:\n%s", err, list)
	}
	for _, want := range []string{"2", "0"} {
		if text, err := deadLetters(t, "replay", file); err != nil || text != want+" records were replayed\n" {
			t.Errorf("%v: %s", err, text)
		}
	}
	text, err := os.ReadFile(out)
	if want := `{"topic":"shop.bets","key":1,"value":"row 1"}` + "\n" + `{"topic":"shop.bets","key":2,"value":"row 2"}` + "\n"; err != nil || string(text) != want {
		t.Errorf("%v: %s", err, text)
	}
}
