package conformance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// Sink is what the checks need of a sink.
type Sink struct {
	// New empties the target and returns what makes tasks that write to it.
	New func(t T) func() connectors.SinkTask
	// Fill adds records with the numbers from … to to the batch; nil: AppendNumber.
	Fill func(w *connectors.Builder, from, to int)
	// Partition is where the batches come from; "": Partition(1). A check after New may have another one.
	Partition func() offsets.Partition
	// Base is added to every number before it becomes a key, and taken off by Read; nil: 0.
	Base func() int
	// Read returns the numbers that the target holds, in its order; nil: what the target holds is not known.
	Read func(t T) []int
	// Texts returns the newest text of each number that the target holds; nil: it is not known.
	Texts func(t T) map[int]string
	// Unordered: the order in which Read has the numbers says nothing.
	Unordered bool
	// ExactlyOnce: no number is there twice, even after batches were sent again from the sink's own position.
	ExactlyOnce bool
	// Mirror: the target has a number once, however often and from wherever it was sent again, and not once it was deleted.
	Mirror bool
	// Topics: the sink takes materialised records (Description.FromTopics).
	Topics bool
	// Poison adds, as number n, a record that the sink cannot write; nil: a few are tried that many sinks cannot.
	Poison func(w *connectors.Builder, n int)
	// Stick makes the target accept nothing until release is called; nil: this is not known how.
	Stick func(t T) (release func())
	// Patience bounds each wait; 0: 20 s.
	Patience time.Duration
	// Seed makes the schedule of faults.
	Seed uint64
	// Processes: the tasks start processes, which end with them.
	Processes bool
	// Ignore tells goroutines of a target in this process, which may outlive a stopped sink.
	Ignore []goleak.Option
}

// SinkChecks checks the contract of connectors.SinkTask. Each check has a fresh target.
func SinkChecks(h Sink) []Check {
	if h.Patience == 0 {
		h.Patience = defaultPatience
	}
	if h.Base == nil {
		h.Base = func() int { return 0 }
	}
	if h.Partition == nil {
		h.Partition = func() offsets.Partition { return Partition(1) }
	}
	return checksOf([]checkOf[*sinkCheck]{
		{"StopBeforeStart", "Stop is safe before Start and twice", (*sinkCheck).stopBeforeStart},
		{"CancelledStart", "Start returns when its context ends, and does not call that its own failure", (*sinkCheck).cancelledStart},
		{"FlushMakesDurable", "after Flush all is acknowledged, once, and in the target, in order", (*sinkCheck).flushMakesDurable},
		{"AcksWhatIsDurable", "an acknowledged batch is in the target at that moment", (*sinkCheck).acksWhatIsDurable},
		{"PositionsWaitTheirTurn", "a batch without records is acknowledged after what came before it", (*sinkCheck).positions},
		{"Changes", "creates, updates and deletes of rows are taken", (*sinkCheck).changes},
		{"Bodies", "materialised records are taken", (*sinkCheck).bodies},
		{"CancelledPut", "a Put whose context has ended takes all or nothing", (*sinkCheck).cancelledPut},
		{"CancelledFlush", "a Flush whose context has ended returns, and loses nothing", (*sinkCheck).cancelledFlush},
		{"StopReleases", "Stop gives back every batch and every charged byte", (*sinkCheck).stopReleases},
		{"BoundedWhenStuck", "what was taken while the target is stuck is held or charged, and arrives", (*sinkCheck).stuck},
		{"SentAgain", "after a restart nothing is missing, nor twice where the sink keeps the position", (*sinkCheck).sentAgain},
		{"SentFromEarlier", "batches from long before do not change the end", (*sinkCheck).sentFromEarlier},
		{"KeepsOffsets", "a sink that keeps positions tells them after a restart", (*sinkCheck).keepsOffsets},
		{"Fences", "once another task took over, an earlier one changes nothing, and says that it is fenced", (*sinkCheck).fences},
		{"SetProgress", "positions can be set and deleted", (*sinkCheck).setProgress},
		{"Poison", "a record that cannot be written is rejected, alone, before its batch is acknowledged", (*sinkCheck).poison},
		{"FaultSchedule", "nothing is lost through random stops, restarts, cancelled calls and batches that come again", (*sinkCheck).schedule},
	}, func(t T) *sinkCheck {
		return &sinkCheck{scope: scope{t, h.Patience}, h: h, make: h.New(t)}
	}, h.Processes, h.Ignore)
}

type sinkCheck struct {
	scope
	h     Sink
	make  func() connectors.SinkTask
	tasks []*sinkRun
}

func (s *sinkCheck) rand() *rand.Rand { return rand.New(rand.NewPCG(s.h.Seed, 3)) }

// sinkRun is a task with its session.
type sinkRun struct {
	connectors.SinkTask
	check *sinkCheck
	ended bool
	onAck func(connectors.BatchID) // called before the acknowledgement counts

	mu       sync.Mutex
	next     connectors.BatchID
	spans    map[connectors.BatchID][2]int // the numbers of a batch
	refused  map[connectors.BatchID]bool   // Put returned an error
	acked    map[connectors.BatchID]int
	released map[connectors.BatchID]int
	order    []connectors.BatchID
	events   []event
	tolerant bool
	settle   error // what Settle returns
	rejected int
	failed   error
	charged  int
}

// event is what a sink told about a rejected record.
type event struct {
	what  string // reject, settle, ack
	batch connectors.BatchID
	index int
	cause error
}

func (s *sinkCheck) start() *sinkRun {
	s.Helper()
	u := s.add()
	u.start()
	if k, ok := u.keeper(); ok {
		s.position(k)
	}
	return u
}

func (u *sinkRun) start() {
	u.check.Helper()
	if err := u.check.call(u.check.ctx(), "Start", func(ctx context.Context) error { return u.Start(ctx, u) }); err != nil {
		u.check.Fatalf("Start: %v", err)
	}
}

func (u *sinkRun) keeper() (connectors.OffsetKeeper, bool) {
	k, ok := u.SinkTask.(connectors.OffsetKeeper)
	return k, ok
}

func (s *sinkCheck) add() *sinkRun {
	u := &sinkRun{
		SinkTask: s.make(), check: s, spans: map[connectors.BatchID][2]int{}, refused: map[connectors.BatchID]bool{},
		acked: map[connectors.BatchID]int{}, released: map[connectors.BatchID]int{},
	}
	s.tasks = append(s.tasks, u)
	return u
}

func (s *sinkCheck) stopAll() {
	for _, u := range s.tasks {
		u.stop()
	}
	s.tasks = nil
}

// stop stops the task, for the first or another time, and looks at what it gave back.
func (u *sinkRun) stop() {
	s := u.check
	s.Helper()
	if err := s.call(s.ctx(), "Stop", u.Stop); err != nil {
		s.Errorf("Stop: %v", err)
	}
	if u.ended {
		return
	}
	u.ended = true
	u.mu.Lock()
	defer u.mu.Unlock()
	for id := range u.next {
		if u.released[id+1] != 1 {
			s.Errorf("batch %d was released %d times after Stop", id+1, u.released[id+1])
		}
	}
	if u.charged != 0 {
		s.Errorf("%d charged bytes were not given back after Stop", u.charged)
	}
}

// Ack implements connectors.SinkSession.
func (u *sinkRun) Ack(id connectors.BatchID) {
	if u.onAck != nil {
		u.onAck(id)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.acked[id]++
	if u.acked[id] > 1 || id > u.next || id == 0 {
		u.check.Errorf("batch %d was acknowledged %d times", id, u.acked[id])
	}
	u.order = append(u.order, id)
	u.events = append(u.events, event{what: "ack", batch: id})
}

// Retrying implements connectors.SinkSession.
func (*sinkRun) Retrying(error) {}

// Settle implements connectors.SinkSession.
func (u *sinkRun) Settle(context.Context) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.events = append(u.events, event{what: "settle"})
	return u.settle
}

// Reject implements connectors.SinkSession.
func (u *sinkRun) Reject(_ context.Context, b *connectors.Batch, record int, cause error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if record < 0 || record >= len(b.Records) {
		u.check.Errorf("record %d of a batch of %d was rejected", record, len(b.Records))
	}
	if u.acked[b.ID] > 0 {
		u.check.Errorf("record %d of batch %d was rejected after the batch was acknowledged", record, b.ID)
	}
	if cause == nil {
		u.check.Errorf("record %d of batch %d was rejected without a cause", record, b.ID)
		cause = fmt.Errorf("no cause")
	}
	u.rejected++
	u.events = append(u.events, event{"reject", b.ID, record, cause})
	if u.tolerant {
		return nil
	}
	return connectors.AsPermanent(cause)
}

// Fail implements connectors.SinkSession.
func (u *sinkRun) Fail(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.failed = err
}

func (u *sinkRun) failure() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.failed
}

// Charge implements connectors.SinkSession.
func (u *sinkRun) Charge(n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.charged += n
	if u.charged < 0 {
		u.check.Errorf("%d bytes more were given back than charged", -u.charged)
		u.charged = 0
	}
}

func (u *sinkRun) wasAcked(id connectors.BatchID) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.acked[id] == 1
}

// durable is the last number of the longest run of acknowledged batches.
func (u *sinkRun) durable(from int) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id := connectors.BatchID(1); id <= u.next && (u.acked[id] == 1 || u.refused[id]); id++ {
		if u.refused[id] {
			continue
		}
		from = max(from, u.spans[id][1])
	}
	return from
}

// batch builds a batch with the numbers from … to (none when to < from) whose memory is spoilt at the last Release.
func (u *sinkRun) batch(from, to int) *connectors.Batch {
	return u.build(from, to, func(w *connectors.Builder) {
		if from <= to {
			u.check.fill(w, from, to)
		}
	})
}

func (u *sinkRun) build(from, to int, fill func(w *connectors.Builder)) *connectors.Batch {
	u.mu.Lock()
	u.next++
	id := u.next
	u.spans[id] = [2]int{from, to}
	u.mu.Unlock()
	base := u.check.h.Base()
	w := connectors.NewBuilder(u.check.h.Partition(), nil, func(b *connectors.Batch) {
		spoil(b)
		u.mu.Lock()
		defer u.mu.Unlock()
		u.released[id]++
	})
	fill(w)
	b := w.Finish(Offset(base+to), Order(base+to))
	b.ID = id
	return b
}

func (s *sinkCheck) fill(w *connectors.Builder, from, to int) {
	base := s.h.Base()
	if s.h.Fill != nil {
		s.h.Fill(w, base+from, base+to)
		return
	}
	stream := w.Stream(Numbers())
	for n := base + from; n <= base+to; n++ {
		AppendNumber(w, stream, n, 20)
	}
}

// spoil overwrites everything that views could still show.
func spoil(b *connectors.Batch) {
	for i := range b.Records {
		r := &b.Records[i]
		for _, row := range []connectors.Row{r.Key, r.Before, r.After, r.Source, r.Headers} {
			cells := b.Cells(row)
			for j, c := range cells {
				switch c.Kind {
				case connectors.KindText, connectors.KindBytes, connectors.KindDecimal, connectors.KindBits:
					for k := range b.Bytes(c) {
						b.Bytes(c)[k] = 0xDB
					}
				}
				cells[j] = connectors.Cell{}
			}
		}
	}
}

// try hands over a batch; what is not taken is released.
func (u *sinkRun) try(ctx context.Context, b *connectors.Batch) error {
	u.check.Helper()
	id := b.ID
	err := u.check.call(ctx, "Put", func(ctx context.Context) error { return u.Put(ctx, b) })
	if err != nil {
		if u.wasAcked(id) {
			u.check.Errorf("batch %d was acknowledged, and Put returned %v: it was not taken", id, err)
		}
		u.mu.Lock()
		u.refused[id] = true
		u.mu.Unlock()
		b.Release()
	}
	return err
}

// put hands over the numbers from … to and returns the id of the batch.
func (u *sinkRun) put(from, to int) connectors.BatchID {
	u.check.Helper()
	b := u.batch(from, to)
	id := b.ID
	if err := u.try(u.check.ctx(), b); err != nil {
		u.check.Fatalf("Put %d…%d: %v", from, to, err)
	}
	return id
}

func (u *sinkRun) tryFlush(ctx context.Context) error {
	u.check.Helper()
	return u.check.call(ctx, "Flush", u.Flush)
}

// flush makes all durable and checks that it was acknowledged.
func (u *sinkRun) flush() {
	u.check.Helper()
	if err := u.tryFlush(u.check.ctx()); err != nil {
		u.check.Fatalf("Flush: %v", err)
	}
	if err := u.failure(); err != nil {
		u.check.Fatalf("the sink failed: %v", err)
	}
}

// flushed is flush, after which every batch is acknowledged.
func (u *sinkRun) flushed() {
	u.check.Helper()
	u.flush()
	u.mu.Lock()
	defer u.mu.Unlock()
	for id := range u.next {
		if u.acked[id+1] != 1 && !u.refused[id+1] {
			u.check.Errorf("batch %d is not acknowledged after Flush", id+1)
		}
	}
}

// holds checks that the target has 1 … n, in order.
func (s *sinkCheck) holds(n int) {
	s.Helper()
	want := make([]int, n)
	for i := range want {
		want[i] = i + 1
	}
	s.has(want, s.h.ExactlyOnce)
}

// has checks what the target has: each once, or at least once.
func (s *sinkCheck) has(want []int, once bool) {
	s.Helper()
	if s.h.Read == nil {
		return
	}
	got := s.h.Read(s.T)
	if !once {
		got = firsts(got)
	}
	if s.h.Unordered {
		slices.Sort(got)
	}
	if !slices.Equal(got, want) {
		s.Errorf("the target holds %v, not %s", got, short(want))
	}
}

// short is a list of numbers for people.
func short(list []int) string {
	for i := range list {
		if list[i] != i+1 {
			return fmt.Sprint(list)
		}
	}
	return fmt.Sprintf("1…%d", len(list))
}

// firsts drops numbers that were there before.
func firsts(list []int) []int {
	seen := map[int]bool{}
	out := []int{}
	for _, n := range list {
		if !seen[n] {
			out = append(out, n)
		}
		seen[n] = true
	}
	return out
}
