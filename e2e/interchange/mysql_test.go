package interchange

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/testbed"
	"github.com/freshet-io/freshet/testbed/history"
)

const (
	// seedVariable plays the same load and the same moments again.
	seedVariable = "FRESHET_INTERCHANGE_SEED"
	// turnsVariable makes it long: how many turns there are, in every combination of settings.
	turnsVariable = "FRESHET_INTERCHANGE_TURNS"
	// shortTurns hand over in both directions.
	shortTurns = 3
	// turnLoad is how many transactions each turn has.
	turnLoad = 80
)

// mysqlCase is how a connector is handed over.
type mysqlCase struct {
	exactlyOnce string
	first       string // who takes the snapshot
	positions   bool   // of files, on a server without GTIDs
}

func (c mysqlCase) name() string {
	by := "GTIDs"
	if c.positions {
		by = "positions"
	}
	return by + ", exactly once " + c.exactlyOnce + ", " + c.first + " first"
}

// TestMySQLInTurns hands a connector to and fro between the real Debezium and Freshet at random moments of a load that does not stop:
// offsets, topics and schema history are the other's. Tables get columns in every turn, and while nobody reads. No event is lost, repeated
// or out of order, and both go on with the schema history that the other has written.
func TestMySQLInTurns(t *testing.T) {
	t.Parallel()
	seed, turns := variable(t, seedVariable, rand.Uint64N(1<<40)), int(variable(t, turnsVariable, shortTurns))
	cases := []mysqlCase{{exactlyOnce: "disabled", first: "Debezium"}, {exactlyOnce: "enabled", first: freshetName, positions: true}}
	if turns > shortTurns {
		cases = append(cases, mysqlCase{exactlyOnce: "enabled", first: freshetName}, mysqlCase{exactlyOnce: "disabled", first: "Debezium", positions: true})
	}
	for _, c := range cases {
		t.Run(c.name(), func(t *testing.T) {
			t.Parallel()
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("%s=%d plays this again", seedVariable, seed)
				}
			})
			x := newTurns(t, c, seed, turns)
			writers := []Writer{x.debezium, x.freshet}
			if c.first == freshetName {
				slices.Reverse(writers)
			}
			for turn := range turns {
				x.turn(turn, writers[turn%2])
			}
			x.check()
		})
	}
}

// variable is a number of the environment.
func variable(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// mysqlTurns is a connector that goes from writer to writer.
type mysqlTurns struct {
	*testing.T
	random *rand.Rand
	turns  int
	// Without GTIDs Debezium applies statements of the history that are behind its offset, too: a turn ends when none is.
	positions bool
	server    *testbed.MySQL
	kafka     *testbed.Kafka
	name      string // of database and connector, and the topic prefix
	h         *history.History
	written   chan error
	tail      *Tail
	debezium  *Debezium
	freshet   *Freshet
	columns   int // that were added to each table
}

func newTurns(t *testing.T, c mysqlCase, seed uint64, turns int) *mysqlTurns {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	var settings []string
	if c.positions {
		settings = []string{"gtid-mode=OFF", "enforce-gtid-consistency=OFF"}
	}
	x := &mysqlTurns{
		T: t, random: rand.New(rand.NewPCG(seed, 5)), turns: turns, positions: c.positions,
		server: bed.MySQL(t, settings...), kafka: bed.Kafka(t), written: make(chan error, 1),
	}
	x.name = x.server.NewDatabase(t)
	group, dir := "turns-"+x.name, t.TempDir()
	worker := map[string]string{
		"exactly.once.source.support": c.exactlyOnce, "offset.flush.interval.ms": "1000",
		"key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "false",
		"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
	}
	java := testbed.StartConnect(t, x.kafka, group, worker)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Kafka Connect said:\n%s", java.Log(t))
		}
	})
	properties := filepath.Join(dir, "worker.properties")
	worker["bootstrap.servers"], worker["group.id"], worker["offset.storage.topic"] = x.kafka.Bootstrap(), group, group+"-offsets"
	if err := Properties(properties, worker); err != nil {
		t.Fatal(err)
	}
	config := x.server.Connector(x.name, x.name, testbed.HistoryOn(x.kafka.Bootstrap(), x.history()), map[string]string{
		"topic.prefix": x.name, "poll.interval.ms": "20", "tasks.max": "1",
	})
	x.debezium = &Debezium{Worker: &Connect{Running: true, REST: java.URL()}, Config: config}
	x.freshet = &Freshet{Binary: path, Properties: properties, Config: config, Dir: dir}
	t.Cleanup(func() {
		if x.freshet.Running() {
			_ = x.freshet.Kill() // it may just have ended
		}
		if text, err := os.ReadFile(x.freshet.log()); err == nil && t.Failed() {
			t.Logf("freshet said:\n%s", text[max(0, len(text)-10000):])
		}
	})
	t.Cleanup(func() {
		if t.Failed() {
			x.tell(group + "-offsets")
		}
	})
	x.h = history.New(t, history.OnMySQL(func() *testbed.MySQL { return x.server }, x.name), seed, 200)
	x.h.Pace(time.Millisecond)
	for _, topic := range x.topics() {
		x.kafka.CreateTopic(t, topic, 1, nil)
	}
	if x.tail, err = NewTail(x.kafka.Bootstrap(), x.topics()...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.tail.Close)
	go func() { x.written <- x.h.Write(t.Context(), turns*turnLoad) }()
	return x
}

func (x *mysqlTurns) history() string { return x.name + "-history" }

func (x *mysqlTurns) topics() []string {
	return []string{x.name + "." + x.name + ".a", x.name + "." + x.name + ".b"}
}

// turn lets a writer run, and stops it at a random moment; the last one goes on until everything is there.
func (x *mysqlTurns) turn(number int, w Writer) {
	x.Helper()
	ctx, cancel := context.WithTimeout(x.Context(), 2*time.Minute)
	defer cancel()
	must := func(err error) {
		x.Helper()
		if err != nil {
			x.Fatalf("turn %d (%s): %v", number, w.Name(), err)
		}
	}
	from := len(x.tail.Events())
	must(w.Start(ctx))
	if number == 0 {
		must(x.wait(ctx, w, "the snapshot", func(events int) bool { return events >= 2*200 }))
		from += 2 * 200
	}
	x.h.Allow((number + 1) * turnLoad)
	x.alter()
	if number == x.turns-1 {
		must(<-x.written)
		last := x.h.Seq(x.h.Done())
		must(x.tail.Wait(ctx, "the last transaction", func(_, seq int) bool { return seq >= last }))
	} else if x.positions {
		quota := (number + 1) * turnLoad
		must(x.tail.Wait(ctx, "the turn's last transaction", func(_, seq int) bool { return x.h.Done() >= quota && seq >= x.h.Seq(quota) }))
	} else {
		to := from + 1 + x.random.IntN(turnLoad*3)
		must(x.wait(ctx, w, "a random moment", func(events int) bool { return events >= to }))
	}
	must(w.Stop(ctx))
	x.Logf("turn %d: %s, %d events", number, w.Name(), len(x.tail.Events())-from)
	if number < x.turns-1 {
		x.alter() // while nobody reads
	}
}

// tell logs the statements of the schema history with their positions, and the offsets.
func (x *mysqlTurns) tell(offsets string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.Context()), 10*time.Second)
	defer cancel()
	records, err := testbed.ReadCommitted(ctx, x.kafka.Bootstrap(), []string{x.history(), offsets})
	if err != nil {
		x.Logf("read the schema history and the offsets: %v", err)
	}
	for _, r := range records {
		var change struct {
			Position json.RawMessage
			DDL      string
		}
		if json.Unmarshal(r.Value, &change) == nil && change.DDL != "" {
			x.Logf("%s %s %s: %s %.60q", r.Timestamp.Format(time.StampMilli), r.Topic, x.name, change.Position, change.DDL)
		} else {
			x.Logf("%s %s %s: %s", r.Timestamp.Format(time.StampMilli), r.Topic, r.Key, r.Value)
		}
	}
}

// wait waits for a number of events, or the writer's failure.
func (x *mysqlTurns) wait(ctx context.Context, w Writer, what string, ok func(events int) bool) error {
	e := &Exchange{Rig: &Rig{Tail: x.tail}, now: w}
	return e.wait(ctx, what, func(events, _ int) bool { return ok(events) })
}

// alter adds a column to each table.
func (x *mysqlTurns) alter() {
	x.Helper()
	x.columns++
	x.server.Exec(x, x.name, fmt.Sprintf("ALTER TABLE a ADD COLUMN more%d INT NOT NULL DEFAULT %d, ALGORITHM=INSTANT", x.columns, x.columns),
		fmt.Sprintf("ALTER TABLE b ADD COLUMN more%d VARCHAR(10) NOT NULL DEFAULT 'x%d'", x.columns, x.columns))
}

// check compares all that came with all that was written.
func (x *mysqlTurns) check() {
	x.Helper()
	ends := map[string]int64{}
	found, err := testbed.CommittedEnds(x.Context(), x.kafka.Client(x), x.topics())
	if err != nil {
		x.Fatal(err)
	}
	for partition, end := range found {
		ends[partition.Topic] = end
	}
	if err := x.tail.Reach(x.Context(), ends); err != nil {
		x.Fatal(err)
	}
	var seen []history.Seen
	widest := map[string]int{}
	for _, e := range x.tail.Events() {
		s, err := history.Understand(e.Record.Topic, e.Record.Key, e.Record.Value)
		if err != nil {
			x.Fatal(err)
		}
		seen = append(seen, s)
		if e.Op != "c" && e.Op != "u" {
			continue
		}
		n := x.width(e)
		if n < widest[e.Table] {
			x.Errorf("a row of %s has %d columns, one before had %d: %s", e.Table, n, widest[e.Table], e.Record.Value)
		}
		widest[e.Table] = n
	}
	v := x.h.Check(seen, false, false)
	v.Report(x)
	for table, n := range widest {
		if n != x.columns {
			x.Errorf("the last row of %s has %d added columns, the table %d", table, n, x.columns)
		}
	}
	x.ddl()
	x.Logf("%d events, lost %d, twice %d, %d columns added", v.Events, v.Lost, v.Twice, x.columns)
}

// width is how many added columns a row has; each must have its default.
func (x *mysqlTurns) width(e Event) int {
	x.Helper()
	var value struct{ After map[string]any }
	if err := json.Unmarshal(e.Record.Value, &value); err != nil {
		x.Fatal(err)
	}
	n := 0
	for name, got := range value.After {
		number, added := strings.CutPrefix(name, "more")
		if !added {
			continue
		}
		n++
		if want := map[string]string{"a": number, "b": "x" + number}[e.Table]; fmt.Sprint(got) != want {
			x.Errorf("%s of table %s is %v, want %s", name, e.Table, got, want)
		}
	}
	return n
}

var added = regexp.MustCompile(`ALTER TABLE (\w) ADD COLUMN more(\d+)`)

// ddl checks that the schema history and the topic of schema changes have each statement, in order. What is behind the last stored offset may
// come again, as the reference does it.
func (x *mysqlTurns) ddl() {
	x.Helper()
	for _, topic := range []string{x.history(), x.name} {
		last := map[string]int{}
		for _, r := range x.kafka.Read(x, topic) {
			var change struct{ DatabaseName, DDL string }
			if err := json.Unmarshal(r.Value, &change); err != nil {
				x.Fatal(err)
			}
			m := added.FindStringSubmatch(change.DDL)
			if m == nil || change.DatabaseName != x.name { // the server's other databases are there, too
				continue
			}
			n, err := strconv.Atoi(m[2])
			if err != nil {
				x.Fatal(err)
			}
			table := m[1]
			if n > last[table]+1 {
				x.Errorf("topic %s: column %d of %s comes after %d", topic, n, table, last[table])
			}
			last[table] = max(last[table], n)
		}
		if last["a"] != x.columns || last["b"] != x.columns {
			x.Errorf("topic %s ends with columns %v, want %d of each table", topic, last, x.columns)
		}
	}
}
