package golden

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/testbed"
)

var bed testbed.Bed

func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }

// produce writes the records of a recording to Kafka as they were.
func produce(t *testing.T, k *testbed.Kafka, rows []string) {
	t.Helper()
	c := k.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.AllowAutoTopicCreation(), kgo.ProducerBatchMaxBytes(10<<20))
	for _, row := range rows {
		var in struct {
			Topic      string
			Partition  int32
			Key, Value json.RawMessage
			Headers    [][2]*string
		}
		if err := json.Unmarshal([]byte(row), &in); err != nil {
			t.Fatal(err)
		}
		r := &kgo.Record{Topic: in.Topic, Partition: in.Partition, Key: original(t, in.Key), Value: original(t, in.Value)}
		for _, h := range in.Headers {
			header := kgo.RecordHeader{Key: *h[0]}
			if h[1] != nil {
				header.Value = []byte(*h[1])
			}
			r.Headers = append(r.Headers, header)
		}
		if err := c.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func original(t *testing.T, text json.RawMessage) []byte {
	t.Helper()
	if string(text) == "null" {
		return nil
	}
	if strings.HasPrefix(string(text), `{"$text"`) {
		var in map[string]string
		if err := json.Unmarshal(text, &in); err != nil {
			t.Fatal(err)
		}
		return []byte(in["$text"])
	}
	return text
}

func TestRecordsAreWrittenAsTheyWere(t *testing.T) {
	t.Parallel()
	k := bed.Kafka(t)
	for _, name := range []string{"crud", "naming-avro", "txmeta"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := ReadScenario(filepath.Join(recordings, name))
			if err != nil {
				t.Fatal(err)
			}
			want := lines(t, filepath.Join(s.Dir, "golden", "records.jsonl"))
			produce(t, k, want)
			r := &play{Player: &Player{Bootstrap: k.Bootstrap()}, Scenario: s, kafka: k.Client(t)}
			names, err := r.mine(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			b, err := r.records(t.Context(), names)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n"); strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("%d records, want %d, or not byte for byte:\n%.300s\n%.300s", len(got), len(want), got[0], want[0])
			}
		})
	}
}

// diary is a worker that only remembers what it was told.
type diary struct {
	mu      sync.Mutex
	state   string
	entries []string
	altered string
}

func (d *diary) enter(state, format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if state != "" {
		d.state = state
	}
	d.entries = append(d.entries, fmt.Sprintf(format, args...))
}

func (d *diary) PutConfig(_ context.Context, name string, c map[string]string) error {
	_, left := c["left.out"]
	d.enter("RUNNING", "put %s %s %s %s %v", name, c["slot.name"], c["publication.name"], c["x"], left)
	return nil
}
func (d *diary) Stop(context.Context, string) error    { d.enter("STOPPED", "stop"); return nil }
func (d *diary) Resume(context.Context, string) error  { d.enter("RUNNING", "resume"); return nil }
func (d *diary) Pause(context.Context, string) error   { d.enter("PAUSED", "pause"); return nil }
func (d *diary) Restart(context.Context, string) error { d.enter("FAILED", "restart"); return nil }
func (d *diary) Delete(context.Context, string) error  { d.enter("GONE", "delete"); return nil }
func (d *diary) Offsets(context.Context, string) (json.RawMessage, error) {
	return json.RawMessage(`{"offsets":[{"partition":{"server":"p"},"offset":{"lsn":7}}]}`), nil
}

func (d *diary) AlterOffsets(_ context.Context, _ string, offsets json.RawMessage) (int, string, error) {
	d.altered = string(offsets)
	return 200, `{"message":"done"}`, nil
}

func (d *diary) ResetOffsets(context.Context, string) (int, string, error) {
	return 405, "not JSON", nil
}

func (d *diary) State(context.Context, string) (string, []TaskState, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch d.state {
	case "", "GONE":
		return "", nil, nil
	case "STOPPED":
		return d.state, nil, nil
	case "FAILED":
		return "RUNNING", []TaskState{{d.state, "a.B: wrong\n\tat x\nCaused by: c.D: 1\n\tat y"}}, nil
	}
	return d.state, []TaskState{{State: d.state}}, nil
}

func TestPlayerPlaysEveryStep(t *testing.T) {
	t.Parallel()
	pg, k := bed.Postgres(t), bed.Kafka(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"setup.sql": "CREATE TABLE a (id int);\nCOPY a FROM STDIN;\n1\n2\n\\.\n", "paced.sql": "INSERT INTO a VALUES (3);\n\nINSERT INTO a VALUES (4);\n",
		"scenario.json": `{"db":"postgres","database":"diary","connector":{"topic.prefix":"di-ary","x":"1","left.out":null},"steps":[
			{"sql":"setup.sql","wait":false},{"start":{"x":"2"},"streaming":false,"quiet":0.1},{"sql":"paced.sql","paced":0.01},{"pause":true},{"resume":true,"streaming":false},
			{"stop":true},{"offsets_restore":1},{"offsets_reset":true},{"exec":"DELETE FROM a WHERE id = 1","wait":false},{"restart":true,"expect":"failed"},{"wait_failed":true}]}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := ReadScenario(dir)
	if err != nil {
		t.Fatal(err)
	}
	worker := new(diary)
	p := Player{Worker: worker, Server: OnPostgres(pg), Bootstrap: k.Bootstrap(), OffsetTopic: "diary-offsets", Log: t.Logf}
	out := t.TempDir()
	if err := p.Record(t.Context(), s, out); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(worker.entries, "; "), "put di-ary di_ary di_ary_pub 2 false; pause; resume; stop; restart; stop; delete"; got != want {
		t.Errorf("the worker was told %s\nwant %s", got, want)
	}
	if !strings.Contains(worker.altered, `"lsn":7`) {
		t.Errorf("altered to %s", worker.altered)
	}
	b, err := os.ReadFile(filepath.Join(out, "states.json"))
	if err != nil {
		t.Fatal(err)
	}
	const offsets = `"offsets":{"offsets":[{"partition":{"server":"p"},"offset":{"lsn":7}}]}`
	want := `[{"after":"pause",` + offsets + `},{"after":"stop",` + offsets + `},{"after":"offsets_restore","status":200,"body":{"message":"done"}},` +
		`{"after":"offsets_reset","status":405,"body":"not JSON"},{"after":"failed","trace":"a.B: wrong","causes":["c.D: 1"]},` +
		`{"after":"end","connector":"RUNNING","tasks":["FAILED"]},{"after":"stop",` + offsets + "}]\n"
	if string(b) != want {
		t.Errorf("states %s\nwant   %s", b, want)
	}
}

func TestPlayerPlaysOnMySQL(t *testing.T) {
	t.Parallel()
	k := bed.Kafka(t)
	for name, my := range map[string]*testbed.MySQL{"mysql": bed.MySQL(t), "mariadb": bed.MariaDB(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			my.Exec(t, "", "CREATE DATABASE left_over")
			dir := t.TempDir()
			for file, text := range map[string]string{
				"setup.sql":     "CREATE TABLE a (id int); -- ;\nINSERT INTO a VALUES (1);\n",
				"scenario.json": `{"db":"mysql","database":"diary","connector":{"topic.prefix":"` + name + `"},"steps":[{"sql":"setup.sql","wait":false},{"start":true,"streaming":false,"quiet":0.1}]}`,
			} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s, err := ReadScenario(dir)
			if err != nil {
				t.Fatal(err)
			}
			history := "schemahistory." + name
			client := k.Client(t, kgo.AllowAutoTopicCreation())
			server := &watched{Server: OnMySQL(my), started: func() {
				if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: history, Value: []byte("{\n \"ddl\" : \"é\"\n}")}).FirstErr(); err != nil {
					t.Fatal(err)
				}
				if n := my.Query(t, "", "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = 'left_over'"); n != "0" {
					t.Errorf("%s databases are left over", n)
				}
			}, dropped: func() {
				if n := my.Query(t, "diary", "SELECT COUNT(*) FROM a"); n != "1" {
					t.Errorf("%s rows", n)
				}
			}}
			p := Player{Worker: new(diary), Server: server, Bootstrap: k.Bootstrap(), OffsetTopic: "diary-offsets", Log: t.Logf}
			out := t.TempDir()
			if err := p.Record(t.Context(), s, out); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(filepath.Join(out, "schema_history.jsonl"))
			if want := "{\"key\":null,\"value\":{\"ddl\":\"é\"}}\n"; err != nil || string(b) != want {
				t.Errorf("schema history %s %v", b, err)
			}
			if b, err = os.ReadFile(filepath.Join(out, "topics.json")); err != nil || !strings.Contains(string(b), history) {
				t.Errorf("topics %s %v", b, err)
			}
		})
	}
}

// watched looks at a server when the connector starts, and before it is dropped.
type watched struct {
	Server
	started, dropped func()
}

func (w *watched) settings(prefix, database, bootstrap, history string) map[string]string {
	w.started()
	return w.Server.settings(prefix, database, bootstrap, history)
}

func (w *watched) drop(ctx context.Context, database string) error {
	w.dropped()
	return w.Server.drop(ctx, database)
}
