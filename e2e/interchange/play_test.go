package interchange

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet-io/freshet/testbed"
)

const recordings = "../../testdata/golden/interchange"

var (
	bed    testbed.Bed
	binary = sync.OnceValues(func() (string, error) {
		dir, err := os.MkdirTemp("", "freshet-interchange-")
		if err != nil {
			return "", err
		}
		return Build(context.Background(), dir)
	})
)

func TestMain(m *testing.M) {
	code := bed.Main(m)
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path)) // a leftover in the temporary directory harms nobody
	}
	os.Exit(code)
}

// play is a recording on this test's servers.
type play struct {
	*testing.T
	*Exchange
	r     *Recording
	f     *Freshet
	start uint64 // where the slot was created
}

func newPlay(t *testing.T, name, exactlyOnce string) *play {
	t.Helper()
	r, err := ReadRecording(filepath.Join(recordings, name))
	if err != nil {
		t.Fatal(err)
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	pg, kafka := bed.Postgres(t), bed.Kafka(t)
	database, dir := pg.NewDatabase(t), t.TempDir()
	p := &play{T: t, r: r}
	rig, err := NewRig(t.Context(), pg.DSN(database), kafka.Bootstrap(), database, "offsets-"+database, 0, 2, r.Config)
	if err != nil {
		t.Fatal(err)
	}
	rig.Setup = nil
	for _, s := range r.Setup {
		s.SQL = strings.ReplaceAll(s.SQL, r.Name, database)
		rig.Setup = append(rig.Setup, s)
	}
	p.must(rig.Prepare(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
		defer cancel()
		if err := rig.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	p.Exchange = &Exchange{Rig: rig}
	properties := filepath.Join(dir, "worker.properties")
	p.must(Properties(properties, map[string]string{
		"bootstrap.servers": kafka.Bootstrap(), "group.id": database, "offset.storage.topic": rig.OffsetTopic, "exactly.once.source.support": exactlyOnce,
	}))
	kafka.CreateTopic(t, rig.OffsetTopic, 5, map[string]string{"cleanup.policy": "compact"})
	p.f = &Freshet{Binary: path, Properties: properties, Config: rig.Config, Dir: dir}
	t.Cleanup(func() {
		if p.f.Running() {
			_ = p.f.Kill() // it may just have ended
		}
		if text, err := os.ReadFile(p.f.log()); err == nil && t.Failed() {
			t.Logf("freshet said:\n%s", text)
		}
	})
	var lsn int64
	p.must(rig.Conn.QueryRow(t.Context(), "SELECT (lsn - '0/0')::int8 FROM pg_create_logical_replication_slot($1, 'pgoutput')", database).Scan(&lsn))
	p.start = uint64(lsn)
	return p
}

func (p *play) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// debezium plays a turn.
func (p *play) debezium(turn int) {
	p.Helper()
	p.must(Exec(p.Context(), p.Conn, p.r.Turns[turn].SQL...))
	p.must(p.r.Play(p.Context(), p.Rig, turn, p.start))
	p.Load.Number = p.r.Turns[turn].Number
	p.must(p.HandOver(p.Context(), &Debezium{}, "stop"))
}

// freshet goes on with a turn.
func (p *play) freshet(turn int) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), time.Minute)
	defer cancel()
	p.must(Exec(ctx, p.Conn, p.r.Turns[turn].SQL...))
	p.must(p.begin(ctx, p.f))
	p.Load.Number = p.r.Turns[turn].Number
	p.must(p.wait(ctx, "the last transaction", func(int, int) bool { return p.Tail.Streamed() >= p.Load.Number }))
	p.must(p.end(ctx, p.f, "stop"))
}

// events are this test's as Normal texts, in the order of one topic; repeated ones are left out.
func (p *play) events(topic string) []string {
	h, err := p.History(p.Context())
	p.must(err)
	var list []Event
	for _, e := range p.Tail.Events() {
		if e.Record.Topic == p.Rig.Name+"."+topic {
			list = append(list, e)
		}
	}
	return normal(h, list, p.Rig.Name)
}

func normal(h *History, events []Event, name string) []string {
	var out []string
	var lsn uint64
	var had []string // at this LSN
	for _, e := range events {
		text := h.Normal(e, name)
		if e.Op != "t" && e.LSN != lsn {
			lsn, had = e.LSN, nil
		}
		if e.Op != "r" && slices.Contains(had, text) {
			continue
		}
		had = append(had, text)
		out = append(out, text)
	}
	return out
}

// asDebezium compares every event and its bytes with what Debezium wrote when it went on alone.
func (p *play) asDebezium() {
	p.Helper()
	for _, topic := range []string{"public.a", "public.b"} {
		recorded, err := p.r.Events(topic)
		p.must(err)
		want, got := normal(p.r.History, recorded, p.r.Name), p.events(topic)
		for i := range min(len(want), len(got)) {
			if want[i] != got[i] {
				from := 0 // the long common beginning says nothing
				for from < min(len(want[i]), len(got[i])) && want[i][from] == got[i][from] {
					from++
				}
				from = max(0, from-100)
				p.Errorf("%s, event %d differs:\nDebezium …%s\n     got …%s", topic, i, want[i][from:], got[i][from:])
				break
			}
		}
		if len(want) != len(got) {
			p.Errorf("%s: %d events, Debezium wrote %d", topic, len(got), len(want))
		}
	}
}

// clean checks the topics against what the server decoded.
func (p *play) clean(again int) {
	p.Helper()
	h, err := p.History(p.Context())
	p.must(err)
	c := Compare(h, p.Tail.Events(), p.HandOvers())
	if !c.Clean(false) || c.AtLast > again {
		p.Errorf("%+v", c)
	}
	p.Logf("%d hand-overs, %d rows of the snapshot, %d events, lost %d, again at the last LSN %d, otherwise %d", len(p.Ends)-1, c.Rows, c.Events, c.Lost, c.AtLast, c.Repeated)
}

// sameOffset compares the offset that Freshet stored with the one that Debezium stored at the same place, byte for byte but for what
// differs by nature; it is what Debezium goes on from when it takes the connector back.
func (p *play) sameOffset(turn int) {
	p.Helper()
	h, err := p.History(p.Context())
	p.must(err)
	// In the first transaction of a slot there is no commit before it. Going on inside of it, Debezium fills in where it went on.
	want := strings.Replace(p.r.History.NormalOffset(p.r.Turns[turn].Offset), `"lsn_commit":s,`, "", 1)
	got := h.NormalOffset(p.Turns[turn].Offset)
	if want != got {
		p.Errorf("turn %d: offset %s, Debezium stored %s", turn, got, want)
	}
	if want, got := p.r.History.mark(p.r.Turns[turn].Confirmed), h.mark(p.Turns[turn].Confirmed); want != got {
		p.Errorf("turn %d: the slot is confirmed up to %s, by Debezium up to %s", turn, got, want)
	}
}

// Debezium, Freshet, Debezium, Freshet, each stopped when everything was delivered: every event comes once, in the bytes that Debezium
// alone wrote, and the offset at every hand-over is Debezium's.
func TestQuietHandOvers(t *testing.T) {
	t.Parallel()
	for _, exactlyOnce := range []string{"disabled", "enabled"} {
		t.Run("exactly once "+exactlyOnce, func(t *testing.T) {
			t.Parallel()
			p := newPlay(t, "quiet", exactlyOnce)
			for turn := range p.r.Turns {
				if turn%2 == 0 {
					p.debezium(turn)
					continue
				}
				p.freshet(turn)
				p.sameOffset(turn)
			}
			p.clean(0)
			p.asDebezium()
		})
	}
}

// Debezium stopped in the middle of a transaction. Freshet delivers the rest of it; only records of the last LSN may come again.
func TestHandOverInsideATransaction(t *testing.T) {
	t.Parallel()
	p := newPlay(t, "transaction", "enabled")
	p.debezium(0)
	h, err := p.History(t.Context())
	p.must(err)
	if n := len(p.Tail.Events()); n == 0 || n >= len(h.Changes) {
		t.Fatalf("the recording has %d events for %d changes: it does not stop inside the transaction", n, len(h.Changes))
	}
	p.freshet(1)
	p.sameOffset(1)
	p.clean(len(h.Changes))
	p.asDebezium()
}

// Debezium stopped in the middle of its snapshot. Freshet takes it again, and every row ends as it is.
func TestHandOverInsideTheSnapshot(t *testing.T) {
	t.Parallel()
	p := newPlay(t, "snapshot", "enabled")
	p.debezium(0)
	before := len(p.Tail.Events())
	p.freshet(1)
	p.sameOffset(1)
	h, err := p.History(t.Context())
	p.must(err)
	rows, err := p.Rows(t.Context())
	p.must(err)
	c := CompareState(h, p.Tail.Events(), p.HandOvers(), rows)
	if !c.Clean(false) || before == 0 || c.Rows < before+len(rows["a"])/2 {
		t.Errorf("%d rows by Debezium, %+v", before, c)
	}
}

var place = regexp.MustCompile(`[cxt]\d+`)

// Freshet is killed inside a transaction: its offset has the form of Debezium's inside one, and points to a change of it.
func TestOffsetInsideATransaction(t *testing.T) {
	t.Parallel()
	p := newPlay(t, "transaction", "enabled")
	p.debezium(0)
	p.freshet(1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const rows = 60_000
	for came := rows; came >= rows; { // on a busy machine all may have come before the kill
		p.must(p.begin(ctx, p.f))
		first := len(p.Turns) * 1_000_000
		insert := fmt.Sprintf("INSERT INTO a SELECT n, 1, 'long' FROM generate_series(%d, %d) n", first, first+rows-1)
		from := len(p.Tail.Events())
		p.must(p.Exchange.Run(ctx, []Statement{{SQL: "BEGIN"}, {SQL: insert}, {SQL: "COMMIT"}}))
		p.must(p.wait(ctx, "the middle of a transaction", func(events, _ int) bool { return events > from }))
		p.must(p.end(ctx, p.f, "kill -9"))
		came = len(p.Tail.Events()) - from
	}
	h, err := p.History(ctx)
	p.must(err)
	got := p.Turns[len(p.Turns)-1].Offset
	want := place.ReplaceAllString(p.r.History.NormalOffset(p.r.Turns[0].Offset), "place")
	want = strings.Replace(want, `"lsn":`, `"lsn_commit":place,"lsn":`, 1) // the recorded one is in the first transaction
	if text := place.ReplaceAllString(h.NormalOffset(got), "place"); text != want {
		t.Errorf("offset %s, Debezium's have the form %s", text, want)
	}
	if last := h.lastOf(p.HandOvers()[len(p.Turns)-1]); !strings.Contains(got, fmt.Sprintf(`"lsn":%d,`, last)) {
		t.Errorf("offset %s, the last record has LSN %d", got, last)
	}
}
