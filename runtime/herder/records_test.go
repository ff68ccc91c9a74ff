package herder

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
)

// recorded reads records of one of Kafka Connect's topics.
func recorded(t *testing.T, path string) []Message {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// placeholders of the recording
	text = bytes.ReplaceAll(text, []byte(`\"<ms>\"`), []byte("7"))
	text = bytes.ReplaceAll(text, []byte("<base64 of 32 bytes>"), []byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="))
	var out []Message
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r struct {
			Key   string
			Value *string
		}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		m := Message{Key: r.Key}
		if r.Value != nil {
			m.Value = []byte(*r.Value)
		}
		out = append(out, m)
	}
	return out
}

func (d *desired) String() string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(d.connectors)) {
		e := d.connectors[name]
		line := fmt.Sprintf("%s %s %s, %d tasks", name, e.target, e.config["connector.class"], len(e.tasks))
		if e.inconsistent {
			line += ", inconsistent"
		}
		if e.unfenced {
			line += ", unfenced"
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

// TestRecordedConfigs: the state that Kafka Connect's own records say.
func TestRecordedConfigs(t *testing.T) {
	d := newDesired()
	messages := recorded(t, "testdata/configs.jsonl")
	at := map[int64]string{
		41: "k1 RUNNING FileStreamSink, 3 tasks, unfenced\nk2 RUNNING FileStreamSink, 3 tasks, unfenced\nrace RUNNING FileStreamSource, 1 tasks, unfenced\n" +
			"s1 RUNNING FileStreamSource, 1 tasks, unfenced\ns2 RUNNING FileStreamSource, 1 tasks, unfenced",
		112: "k1 RUNNING FileStreamSink, 3 tasks, unfenced\nk2 RUNNING FileStreamSink, 3 tasks, unfenced\nop-bad RUNNING FileStreamSink, 1 tasks, unfenced\n" +
			"op-stopped STOPPED FileStreamSource, 0 tasks\ns1 RUNNING FileStreamSource, 1 tasks, unfenced\ns2 RUNNING FileStreamSource, 1 tasks, unfenced",
	}
	restarts, levels := 0, ""
	for i, m := range messages {
		e, err := d.apply(int64(i), m)
		if err != nil {
			t.Errorf("%s: %v", m.Key, err)
		}
		if e.restart != nil && e.restart.Tasks && !e.restart.OnlyFailed {
			restarts++
		}
		levels += e.logger + e.level
		if want, ok := at[int64(i)]; ok && d.String() != want {
			t.Errorf("after %d:\n%s\nwant\n%s", i, d, want)
		}
		switch name, target := "race", runtime.State(""); i {
		case 23:
			target = runtime.Paused
			fallthrough
		case 27:
			if target == "" {
				target = runtime.Stopped
			}
			if e := d.connectors[name]; e.target != target {
				t.Errorf("after %d: %s is %s", i, name, e.target)
			}
		}
	}
	if restarts != 7 || levels != "org.exampleDEBUG" || d.offset != int64(len(messages)) || d.session == nil || len(d.session.Key) != 32 || d.session.Algorithm != "HmacSHA256" {
		t.Errorf("%d restarts, levels %s, offset %d, key %v", restarts, levels, d.offset, d.session)
	}
	if got := d.connectors["k1"].tasks[2]; got["task.class"] != "org.apache.kafka.connect.file.FileStreamSinkTask" || len(got) != 6 {
		t.Errorf("got %v", got)
	}
}

// sorted renders a recorded value with its properties in order: the reference writes them as a hash map of Java has them, Freshet sorted.
func sorted(t *testing.T, m Message) string {
	t.Helper()
	var r propertiesRecord
	if json.Unmarshal(m.Value, &r) == nil && r.Properties != nil {
		list := slices.Sorted(maps.Keys(r.Properties))
		var out []string
		for _, k := range list {
			out = append(out, fmt.Sprintf("%q:%q", k, r.Properties[k]))
		}
		return `{"properties":{` + strings.Join(out, ",") + "}}"
	}
	if m.Value == nil {
		return "null"
	}
	return string(m.Value)
}

// TestOperationsWriteTheReferencesRecords: what the recording did with connector op-src and others, byte for byte.
func TestOperationsWriteTheReferencesRecords(t *testing.T) {
	w, ctx := newWorld(t, nil), context.Background()
	var want []string
	for i, m := range recorded(t, "testdata/configs.jsonl") {
		// of the restarts without options only what they made is in the log: nothing; sinks come from Kafka, which this catalog has not
		if i >= 88 && !strings.Contains(m.Key, "op-sink") && !strings.Contains(m.Key, "op-bad") {
			want = append(want, m.Key+" "+sorted(t, m))
		}
	}
	ran := func(state string) { t.Helper(); w.reaches("op-src", state) }
	config := props("file", "{{DIR}}/in", "topic", "topicdump", "tasks.max", "1")
	_, err := w.Create(ctx, "op-src", config, "")
	w.ok(err)
	ran("RUNNING RUNNING")
	_, err = w.Create(ctx, "op-stopped", config, runtime.Stopped)
	w.ok(err)
	w.ok(w.Pause(ctx, "op-src"))
	w.ok(w.Resume(ctx, "op-src"))
	_, err = w.Patch(ctx, "op-src", Properties{"batch.size": ptr("5")})
	w.ok(err)
	w.until("the tasks are made anew", func() bool {
		tasks, err := w.Tasks(ctx, "op-src")
		return err == nil && len(tasks) == 1 && tasks[0].Config["batch.size"] == "5"
	})
	ran("RUNNING RUNNING")
	anew := func(restart func() error) {
		t.Helper()
		n := len(w.source.starts())
		w.ok(restart())
		w.until("started anew", func() bool { return len(w.source.starts()) > n })
	}
	anew(func() error {
		_, err := w.RestartWith(ctx, "op-src", true, false)
		return err
	})
	w.ok(w.Restart(ctx, "op-src"))
	anew(func() error { return w.RestartTask(ctx, "op-src", 0) }) // one that comes before the last one's start begins none of its own
	w.ok(w.Stop(ctx, "op-src"))
	ran("STOPPED")
	w.ok(w.SetLogLevel(ctx, "org.example", "DEBUG"))
	w.ok(w.Delete(ctx, "op-src"))
	if got := w.log.take(); !slices.Equal(got, want) {
		t.Errorf("wrote\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	key := newSessionKey(hmacSHA256)
	var r map[string]any
	if err := json.Unmarshal(key.Value, &r); err != nil || len(r) != 3 || !strings.HasPrefix(string(key.Value), `{"key":"`) || !strings.Contains(string(key.Value), `","algorithm":"HmacSHA256","creation-timestamp":1`) {
		t.Errorf("got %s", key.Value)
	}
}

// TestBadRecords: what is not one of Kafka Connect's records is passed over and changes nothing.
func TestBadRecords(t *testing.T) {
	d := newDesired()
	good := []Message{
		connectorMessage("a", connectors.Config{"connector.class": "x"}), targetMessage("a", runtime.Paused),
		{keyTask + "a-0", []byte(`{"properties":{"k":"v"}}`)},
		{keyCommit + "a", []byte(`{"tasks":1}`)},
		{keyTarget + "later", []byte(`{"state":"PAUSED"}`)}, // of a worker that knows no state.v2
		connectorMessage("later", connectors.Config{}),
		{keyTask + "gone-0", []byte(`{"properties":{}}`)},
		{keyCommit + "gone", []byte(`{"tasks":1}`)},
		{keyTask + "a-0", nil},
	}
	for i, m := range good {
		if _, err := d.apply(int64(i), m); err != nil {
			t.Errorf("%s: %v", m.Key, err)
		}
	}
	want := d.String()
	if want != "a PAUSED x, 1 tasks, unfenced\nlater PAUSED , 0 tasks" {
		t.Errorf("got %s", want)
	}
	for i, m := range []Message{
		{"", nil},
		{"other", []byte("{}")},
		{"connector", []byte("{}")},
		{"connector-a", []byte("")},
		{"connector-a", []byte("{")},
		{"connector-a", []byte("[]")},
		{"connector-a", []byte(`{"properties":[]}`)},
		{"connector-a", []byte(`{}`)},
		{"connector-a", []byte(`{"properties":{"k":1}}`)},
		{"target-state-a", []byte("{}")},
		{"target-state-a", []byte(`{"state":"RUNNING"}`)},
		{"target-state-a", []byte(`{"state":1}`)},
		{"target-state-a", []byte(`"STARTED"`)},
		{"task-a", []byte(`{"properties":{}}`)},
		{"task-a-x", []byte(`{"properties":{}}`)},
		{"task-a-0", []byte(`{"properties":"x"}`)},
		{"task-a--1", []byte(`{"properties":null}`)},
		{"commit-a", nil},
		{"commit-a", []byte(`{"tasks":"1"}`)},
		{"commit-a", []byte(`{"tasks":-1}`)},
		{"commit-a", []byte(`{}`)},
		{"tasks-fencing-a", []byte(`{"task-count":"1"}`)},
		{"tasks-fencing-a", []byte(`7`)},
		{"session-key", nil},
		{"session-key", []byte(`{"key":"!","algorithm":"x","creation-timestamp":1}`)},
		{"session-key", []byte(`{"key":""}`)},
		{"restart-connector-a", nil},
		{"restart-connector-a", []byte(`{"include-tasks":true}`)},
		{"logger-cluster-a", []byte(`{"level":1}`)},
		{"logger-cluster-a", []byte(`{}`)},
	} {
		if _, err := d.apply(int64(100+i), m); err == nil {
			t.Errorf("%s %s: no error", m.Key, m.Value)
		}
		if got := d.String(); got != want || d.session != nil {
			t.Fatalf("%s %s: got %s", m.Key, m.Value, got)
		}
	}
	// A commit that compaction or a crash has robbed of a task configuration.
	e, err := d.apply(200, Message{keyCommit + "a", []byte(`{"tasks":2}`)})
	if err == nil || !e.reshaped || d.connectors["a"].plan == 0 || d.String() != "a PAUSED x, 0 tasks, inconsistent, unfenced\nlater PAUSED , 0 tasks" {
		t.Errorf("got %v, %+v, %s", err, e, d)
	}
	for i, m := range tasksMessages("a", []connectors.Config{{"k": "v"}, {"k": "w"}}) {
		if _, err := d.apply(int64(201+i), m); err != nil {
			t.Error(err)
		}
	}
	if d.String() != "a PAUSED x, 2 tasks, unfenced\nlater PAUSED , 0 tasks" {
		t.Errorf("got %s", d)
	}
}

// TestRecordedStatuses: what Kafka Connect's status topic says, and that Freshet's records are those.
func TestRecordedStatuses(t *testing.T) {
	s := newStatuses()
	for _, m := range recorded(t, "testdata/status.jsonl") {
		if _, err := s.apply(m); err != nil {
			t.Errorf("%s: %v", m.Key, err)
		}
		if m.Value == nil {
			continue
		}
		var again []byte
		if strings.HasPrefix(m.Key, keyStatusTopic) {
			var r topicRecord
			if err := json.Unmarshal(m.Value, &r); err != nil {
				t.Error(err)
			}
			if again = encode(r); m.Key != topicKey(r.Topic.Connector, r.Topic.Name) {
				t.Errorf("%s is %s", m.Key, topicKey(r.Topic.Connector, r.Topic.Name))
			}
		} else {
			var r statusRecord
			if err := json.Unmarshal(m.Value, &r); err != nil {
				t.Error(err)
			}
			again = encode(r)
		}
		if !bytes.Equal(again, m.Value) {
			t.Errorf("%s: got %s, want %s", m.Key, again, m.Value)
		}
	}
	var got []string
	for _, name := range slices.Sorted(maps.Keys(s.parts)) {
		for _, id := range slices.Sorted(maps.Keys(s.parts[name])) {
			got = append(got, fmt.Sprintf("%s %s", TaskID{name, id}, s.parts[name][id].State))
		}
	}
	want := "k1--1 RUNNING, k1-0 RUNNING, k1-1 RUNNING, k1-2 RUNNING, k2--1 RUNNING, k2-0 RUNNING, k2-1 RUNNING, k2-2 RUNNING, op-bad--1 RUNNING, op-bad-0 FAILED, op-stopped--1 STOPPED, s1--1 RUNNING, s1-0 RUNNING, s2--1 RUNNING, s2-0 RUNNING"
	if strings.Join(got, ", ") != want {
		t.Errorf("got %s", strings.Join(got, ", "))
	}
	if topics := slices.Sorted(maps.Keys(s.topics)); !slices.Equal(topics, []string{"k1", "k2", "s1", "s2"}) {
		t.Errorf("topics of %v", topics)
	}
}

// TestLateUnassigned: a worker that writes late cannot hide what another one runs since.
func TestLateUnassigned(t *testing.T) {
	s := newStatuses()
	put := func(state runtime.State, worker string, generation int32) runtime.State {
		t.Helper()
		if _, err := s.apply(Message{"status-task-a-b-0", encode(statusRecord{State: state, WorkerID: worker, Generation: generation})}); err != nil {
			t.Fatal(err)
		}
		return s.parts["a-b"][0].State
	}
	put(runtime.Running, "w1", 5)
	for _, c := range []struct {
		state      runtime.State
		worker     string
		generation int32
		want       runtime.State
	}{
		{runtime.Unassigned, "w2", 4, runtime.Running}, {runtime.Unassigned, "w2", 5, runtime.Unassigned}, {runtime.Running, "w2", 4, runtime.Running}, {runtime.Unassigned, "w2", 3, runtime.Unassigned},
	} {
		if got := put(c.state, c.worker, c.generation); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
	for _, m := range []Message{{"status-other", nil}, {"status-task-a", []byte("{}")}, {"status-connector-a", []byte("{}")}, {"status-connector-a", []byte("[")}, {"status-topic-t", []byte("{}")}} {
		if _, err := s.apply(m); err == nil {
			t.Errorf("%s: no error", m.Key)
		}
	}
}
