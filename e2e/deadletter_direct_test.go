package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/testbed"
)

// letterLine is a line of a queue in a file.
type letterLine struct {
	Headers []struct{ Name, Value string }
	Key     struct {
		Payload struct{ ID int }
	}
	Value json.RawMessage
}

// stake is that of a row's change.
func (l *letterLine) stake(t *testing.T) int {
	t.Helper()
	var v struct {
		Payload struct{ After struct{ Stake int } }
	}
	if err := json.Unmarshal(l.Value, &v); err != nil {
		t.Fatal(err)
	}
	return v.Payload.After.Stake
}

func (l *letterLine) header(name string) string {
	for _, h := range l.Headers {
		if h.Name == "__connect.errors."+name {
			return h.Value
		}
	}
	return ""
}

func letterLines(t *testing.T, path string) []letterLine {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var out []letterLine
	for line := range strings.Lines(string(text)) {
		if !strings.HasSuffix(line, "\n") {
			break // it is being written
		}
		var l letterLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		out = append(out, l)
	}
	return out
}

// Rows of a Postgres that the target table refuses are in the dead-letter queue, a topic or a file, and the others in the table, in the
// snapshot and in the stream, also when the worker is killed in between.
func TestDirectRowsThatDoNotFit(t *testing.T) {
	t.Parallel()
	const perRound, every = 4000, 5 // every fifth is above the range of smallint
	for _, inTopic := range []bool{false, true} {
		t.Run(map[bool]string{false: "file", true: "topic"}[inTopic], func(t *testing.T) {
			t.Parallel()
			pg := bed.Postgres(t)
			from, to, dir := pg.NewDatabase(t), pg.NewDatabase(t), t.TempDir()
			insert := func(round int) {
				pg.Exec(t, from, fmt.Sprintf("INSERT INTO bets SELECT i, CASE WHEN i %% %d = 0 THEN 40000 ELSE 7 END FROM generate_series(%d, %d) i", every, round*perRound+1, (round+1)*perRound))
			}
			pg.Exec(t, from, "CREATE TABLE bets (id int PRIMARY KEY, stake int)")
			pg.Exec(t, to, "CREATE TABLE bets (id int PRIMARY KEY, stake smallint)")
			insert(0)
			queue := filepath.Join(dir, "letters")
			c := pg.Connector(from, "fit-"+from, nil)
			maps.Copy(c, pg.ToTable(to, map[string]string{"sinks.db.schema.evolution": "none", "errors.tolerance": "all"}))
			read := func() []letterLine { return letterLines(t, queue) }
			if inTopic {
				k := bed.Kafka(t)
				queue = "letters-" + from
				maps.Copy(c, map[string]string{
					"errors.deadletterqueue.topic.name": queue, "errors.deadletterqueue.topic.replication.factor": "1", "producer.override.bootstrap.servers": k.Bootstrap(),
				})
				k.CreateTopic(t, queue, 1, nil)
				read = func() (out []letterLine) {
					for _, r := range k.Read(t, queue) {
						var l letterLine
						if err := json.Unmarshal(r.Key, &l.Key); err != nil {
							t.Fatal(err)
						}
						l.Value = r.Value
						for _, h := range r.Headers {
							l.Headers = append(l.Headers, struct{ Name, Value string }{h.Key, string(h.Value)})
						}
						out = append(out, l)
					}
					return out
				}
			} else {
				c["errors.deadletterqueue.file"] = queue
			}
			file := testbed.WriteConnector(t, dir, c)
			p := start(t, dir, "run", file)
			conn := pg.Connect(t, to)
			for round := range 3 {
				if round > 0 {
					insert(round)
					p.Kill()
					p = start(t, dir, "run", file)
				}
				want := (round + 1) * perRound
				var rows, letters int
				testbed.Eventually(t, func() string {
					return fmt.Sprintf("%d rows and %d letters of %d; freshet said:\n%s", rows, letters, want, p.Output())
				}, func() bool {
					if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM bets WHERE stake = 7").Scan(&rows); err != nil {
						t.Fatal(err)
					}
					if rows < want*(every-1)/every {
						return false
					}
					ids := map[int]bool{}
					for _, l := range read() {
						ids[l.Key.Payload.ID] = true
						if l.Key.Payload.ID%every != 0 || l.stake(t) != 40000 || l.header("stage") != "TASK_PUT" || !strings.Contains(l.header("exception.message"), "stake") {
							t.Fatalf("letter %+v", l)
						}
					}
					letters = len(ids)
					return letters == want/every
				})
				if rows != want*(every-1)/every {
					t.Errorf("%d rows, want %d", rows, want*(every-1)/every)
				}
			}
			if code := p.Stop(); code != 0 {
				t.Errorf("exit code %d: %s", code, p.Output())
			}
		})
	}
}

// A record that the producer, or only the broker, does not take is in the queue with the reference's stage for that, and the others are in
// the topic, with and without transactions.
func TestRecordThatKafkaDoesNotTake(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ exact, request, topic, cause string }{
		{"disabled", "2000", "100000", "larger than max.request.size=2000"},
		{"enabled", "2000", "100000", "larger than max.request.size=2000"},
		{"disabled", "100000", "2000", "raise max.message.bytes of the topic"},
		{"enabled", "100000", "2000", "raise max.message.bytes of the topic"},
	} {
		t.Run("exactly once "+c.exact+", "+c.cause, func(t *testing.T) {
			t.Parallel()
			k, dir := bed.Kafka(t), t.TempDir()
			topic := k.NewTopic(t, 1, map[string]string{"max.message.bytes": c.topic})
			queue, in := filepath.Join(dir, "letters"), filepath.Join(dir, "in")
			large := strings.Repeat("x", 3000)
			if err := os.WriteFile(in, []byte("a\n"+large+"\nb\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			worker := testbed.WriteFile(t, dir, "w.properties", "bootstrap.servers="+k.Bootstrap()+"\nexactly.once.source.support="+c.exact+
				"\noffset.storage.topic=offsets-"+topic+"\noffset.storage.replication.factor=1\noffset.storage.file.filename="+dir+"/offsets\nvalue.converter=org.apache.kafka.connect.storage.StringConverter\n")
			p := start(t, dir, "run", testbed.WriteConnector(t, dir, map[string]string{
				"name": "file-" + topic, "connector.class": "FileStreamSource", "file": in, "topic": topic, "producer.override.max.request.size": c.request,
				"errors.tolerance": "all", "errors.deadletterqueue.file": queue,
			}), "-c", worker)
			var values []string
			testbed.Eventually(t, func() string { return fmt.Sprintf("values %q; freshet said:\n%s", values, p.Output()) }, func() bool {
				values = values[:0]
				for _, r := range k.Read(t, topic) {
					values = append(values, string(r.Value))
				}
				return slices.Contains(values, "b")
			})
			if code := p.Stop(); code != 0 {
				t.Errorf("exit code %d: %s", code, p.Output())
			}
			letters := letterLines(t, queue)
			if !slices.Equal(values, []string{"a", "b"}) || len(letters) != 1 || letters[0].header("stage") != "KAFKA_PRODUCE" ||
				letters[0].header("class.name") != "org.apache.kafka.connect.runtime.WorkerSourceTask" || !strings.Contains(letters[0].header("exception.message"), c.cause) {
				t.Errorf("values %q, letters %+v", values, letters)
			}
		})
	}
}
