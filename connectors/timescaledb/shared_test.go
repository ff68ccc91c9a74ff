package timescaledb

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/offsets"
)

// sharer is one task of several.
type sharer struct {
	*rig
	at map[offsets.Partition]uint64 // the next offset of what it was assigned
}

func newSharer(r *rig, number int, more ...string) *sharer {
	r.Helper()
	keys := append([]string{keyInsert, "insert", keyKeyMode, "none", keyDelete, "false"}, more...)
	task, err := Factory{}.NewSink(settings(r.server, r.database, keys...), connectors.Settings{Connector: "orders", Task: number, Shared: true})
	if err != nil {
		r.Fatal(err)
	}
	out := &sharer{rig: &rig{connectortest.Rig{TB: r.TB, Session: &connectortest.Session{}}, r.server, r.database, r.conn}}
	out.Start(task)
	return out
}

// assign is a rebalance of the group: exactly these partitions from now on.
func (s *sharer) assign(p ...offsets.Partition) error {
	at, err := s.Task.(connectors.OffsetKeeper).Progress(s.Context(), p...)
	s.at = map[offsets.Partition]uint64{}
	for _, x := range at {
		s.at[x.Partition] = x.Through.Major + 1
	}
	return err
}

// read takes n records of a partition from where it is.
func (s *sharer) read(p offsets.Partition, n int) error {
	from := s.at[p]
	s.at[p] += uint64(n)
	return s.put(p, from, n)
}

func (s *sharer) put(p offsets.Partition, from uint64, n int) error {
	keyless := connectortest.Table("feed", 0, connectortest.Bets().Table.Columns[0])
	w := connectors.NewBuilder(p, nil, nil)
	for i := range n {
		insert(int(from)+i).Append(w, keyless, connectors.Order{})
		w.Records()[i].Order = connectors.Order{Epoch: 1, Major: from + uint64(i), Minor: 1}
	}
	last := from + uint64(n) - 1
	b := w.Finish(offsets.Offset(fmt.Sprintf(`{"kafka_offset":%d}`, last+1)), connectors.Order{Epoch: 1, Major: last, Minor: 1})
	b.ID = s.Session.Next()
	err := s.Task.Put(s.Context(), b)
	if err != nil {
		b.Release()
	}
	return err
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

const (
	first  = offsets.Partition(`{"kafka_partition":0,"kafka_topic":"feed"}`)
	second = offsets.Partition(`{"kafka_partition":1,"kafka_topic":"feed"}`)
	counts = "SELECT id || ': ' || count(*) FROM feed GROUP BY id ORDER BY id"
)

// Two tasks of a connector have partitions of their own; each assignment takes over those, and those only.
func TestSharedPartitions(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.Postgres(t))
	a, b := newSharer(r, 0), newSharer(r, 1)
	must(t, a.assign(first), b.assign(second), b.read(second, 2), a.read(first, 3), a.Flush(), b.Flush())
	r.expect(counts, "0: 2 | 1: 2 | 2: 1")

	// What was read is durable before a partition is given away: nothing is lost or repeated.
	must(t, a.assign(first, second), a.read(second, 1), a.Flush())
	r.expect("SELECT \"offset\" FROM freshet_offsets WHERE partition LIKE '%:1,%'", `{"kafka_offset":3}`)

	// The one before writes nothing more, and is not fenced for good: it joins its group again.
	must(t, b.read(second, 1))
	err := b.Flush()
	if connectors.ClassOf(err) != connectors.Retriable || !strings.Contains(err.Error(), "given to another task") {
		t.Errorf("the owner before got %v, want a retriable error", err)
	}
	r.expect(counts, "0: 2 | 1: 2 | 2: 2")

	// What a new assignment finds on its way, or what comes late, is not read twice.
	must(t, a.read(first, 2), a.Flush())
	from := a.at[first] - 2
	must(t, a.put(first, from, 4), a.Flush())
	r.expect(counts, "0: 2 | 1: 2 | 2: 2 | 3: 1 | 4: 1 | 5: 1 | 6: 1")
	must(t, a.assign(second))
	if err := a.put(first, 7, 1); connectors.ClassOf(err) != connectors.Retriable || err == nil {
		t.Errorf("a batch of a partition that is another task's: %v, want a retriable error", err)
	}
}

// A task that is cut off in a transaction holds nobody up.
func TestSharedWithAZombie(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.Postgres(t))
	a := newSharer(r, 0)
	must(t, a.assign(first), a.read(first, 2), a.Flush())
	zombie := r.server.Connect(t, r.database)
	if _, err := zombie.Exec(t.Context(), "BEGIN; UPDATE freshet_offsets SET flush = 77; INSERT INTO feed VALUES (99)"); err != nil {
		t.Fatal(err)
	}
	b := newSharer(r, 1)
	must(t, b.assign(first), b.read(first, 1), b.Flush())
	if _, err := zombie.Exec(t.Context(), "COMMIT"); err == nil {
		t.Error("the transaction of the one before was committed")
	}
	r.expect(counts, "0: 1 | 1: 1 | 2: 1")
}

// Positions that were set while no task runs are where the next assignment begins; without tasks nothing is taken over by looking.
func TestSharedPositionsAreSet(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.Postgres(t))
	a, b := newSharer(r, 0), newSharer(r, 1)
	must(t, a.assign(first), a.read(first, 2), a.Flush())
	seen, err := b.Task.(connectors.OffsetKeeper).Progress(t.Context())
	if err != nil || len(seen) != 1 || seen[0].Offset != `{"kafka_offset":2}` {
		t.Fatalf("seen %v (%v)", seen, err)
	}
	must(t, a.read(first, 1), a.Flush()) // nobody took over
	set := connectors.Progress{Partition: first, Offset: `{"kafka_offset":1}`}
	must(t, b.Task.(connectors.OffsetKeeper).SetProgress(t.Context(), []connectors.Progress{set}))
	must(t, b.assign(first))
	if b.at[first] != 1 { // no order is known: any is above
		t.Errorf("it goes on at %d", b.at[first])
	}
	must(t, b.put(first, 1, 2), b.Flush())
	r.expect(counts, "0: 1 | 1: 2 | 2: 2")
}

// Tasks that meet a new table at the same time all find it made.
func TestSharedTableIsMadeOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.Postgres(t))
	const tasks = 6
	done := make(chan error, tasks)
	for n := range tasks {
		s := newSharer(r, n)
		p := offsets.Partition(fmt.Sprintf(`{"kafka_partition":%d,"kafka_topic":"feed"}`, n))
		must(t, s.assign(p))
		go func() { done <- errors.Join(s.read(p, 1), s.Flush()) }()
	}
	for range tasks {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	r.expect(counts, fmt.Sprintf("0: %d", tasks))
}
