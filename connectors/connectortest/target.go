package connectortest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest/conformance"
	"github.com/freshet-io/freshet/offsets"
)

// Target is what sinks of a test write to: the numbers of a Feed that are durable, per partition. It also checks the contract:
// batches in order, memory unspoilt until Release. Safe for concurrent use; it outlives the sink tasks.
type Target struct {
	// Schedule decides for each batch when it becomes durable and is acknowledged. nil: at once.
	Schedule func(held int) (acknowledge int)
	// Fail is called in each Put; an error is returned from it. nil: never.
	Fail func() error
	// Reject tells that record n cannot be written; nil: none. What is tolerated does not become durable here.
	Reject func(n int) bool
	// Unreadable is that of the feed: these records do not come.
	Unreadable func(n int) bool
	// Keep makes its sinks OffsetKeepers.
	Keep bool

	mu       sync.Mutex
	durable  map[offsets.Partition][]int // in the order in which they became durable
	progress map[offsets.Partition]connectors.Progress
	epoch    int
	problems []string
	peak     int
}

// NewTarget returns an empty target.
func NewTarget() *Target {
	return &Target{durable: map[offsets.Partition][]int{}, progress: map[offsets.Partition]connectors.Progress{}}
}

// Durable returns what is durable of p, in the order in which it became so; a replay shows numbers again.
func (t *Target) Durable(p offsets.Partition) []int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.durable[p])
}

// Has tells how many of the numbers 1 … are durable without a gap.
func (t *Target) Has(p offsets.Partition) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return prefix(t.durable[p])
}

func prefix(list []int) int {
	seen := map[int]bool{}
	for _, n := range list {
		seen[n] = true
	}
	n := 0
	for seen[n+1] {
		n++
	}
	return n
}

// Problems lists what broke the contract.
func (t *Target) Problems() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.problems)
}

// Peak is the largest number of batches that a sink held at once.
func (t *Target) Peak() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.peak
}

func (t *Target) problem(format string, args ...any) {
	t.problems = append(t.problems, fmt.Sprintf(format, args...))
}

// NewSink returns a task that writes to the target: it acknowledges late, in any order and in groups, as Schedule says. A keeper
// with a claim goes on only if no other one has begun since.
func (t *Target) NewSink(claim string) connectors.SinkTask {
	s := &targetSink{target: t, last: map[offsets.Partition]int{}, left: map[connectors.BatchID]map[int]bool{}}
	s.epoch, _ = strconv.Atoi(claim) // "": none
	if t.Keep {
		return &keepingSink{s}
	}
	return s
}

type targetSink struct {
	target  *Target
	session connectors.SinkSession
	epoch   int
	held    []*connectors.Batch
	last    map[offsets.Partition]int           // the newest record that was put
	left    map[connectors.BatchID]map[int]bool // indexes of records that were rejected, and that is tolerated
	stopped bool
}

var errStoppedSink = errors.New("the sink was stopped")

func (s *targetSink) Start(ctx context.Context, session connectors.SinkSession) error {
	s.session = session
	return ctx.Err()
}

func (s *targetSink) Put(ctx context.Context, b *connectors.Batch) error {
	if s.stopped {
		return errStoppedSink
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	t := s.target
	if t.Fail != nil {
		if err := t.Fail(); err != nil {
			return err
		}
	}
	for i := range b.Records {
		n := number(b, &b.Records[i])
		if op := b.Records[i].Op; op == connectors.OpUpdate || op == connectors.OpDelete {
			if err := s.leave(ctx, b, i, fmt.Errorf("number %d is there for ever", n)); err != nil {
				return err
			}
			continue
		}
		if last, ok := s.last[b.Source]; ok && n != t.after(last) {
			t.mu.Lock()
			t.problem("%s: record %d was put after %d", b.Source, n, last)
			t.mu.Unlock()
		}
		s.last[b.Source] = n
		if t.Reject != nil && t.Reject(n) {
			if err := s.leave(ctx, b, i, fmt.Errorf("number %d is not liked", n)); err != nil {
				return err
			}
		}
	}
	if t.Keep {
		if err := s.session.Settle(ctx); err != nil {
			return err
		}
	}
	s.held = append(s.held, b)
	t.mu.Lock()
	t.peak = max(t.peak, len(s.held))
	t.mu.Unlock()
	for t.Schedule != nil && len(s.held) > 0 {
		i := t.Schedule(len(s.held))
		if i < 0 {
			return nil
		}
		if err := s.write(i % len(s.held)); err != nil {
			s.session.Fail(err) // b was taken
			return nil
		}
	}
	if t.Schedule == nil {
		if err := s.Flush(context.WithoutCancel(ctx)); err != nil {
			s.session.Fail(err)
		}
	}
	return nil
}

// leave rejects a record.
func (s *targetSink) leave(ctx context.Context, b *connectors.Batch, record int, cause error) error {
	if err := s.session.Reject(ctx, b, record, cause); err != nil {
		return err
	}
	if s.left[b.ID] == nil {
		s.left[b.ID] = map[int]bool{}
	}
	s.left[b.ID][record] = true
	return nil
}

// after is the number of the record that follows.
func (t *Target) after(n int) int {
	for n++; t.Unreadable != nil && t.Unreadable(n); n++ {
	}
	return n
}

func number(b *connectors.Batch, r *connectors.Record) int {
	return int(b.Cells(r.Key)[0].Int())
}

// write makes batch i of those held durable, acknowledges and releases it. A keeper can only do so in order.
func (s *targetSink) write(i int) error {
	t := s.target
	if t.Keep || len(s.held[i].Records) == 0 {
		i = 0 // a position comes after everything before it
	}
	b := s.held[i]
	t.mu.Lock()
	if t.Keep && s.epoch != t.epoch {
		t.mu.Unlock()
		return connectors.AsFenced(errors.New("another sink took over"))
	}
	for j := range b.Records {
		r := &b.Records[j]
		if s.left[b.ID][j] {
			continue
		}
		row := b.Cells(r.After)
		n := number(b, r)
		if int(row[0].Int()) != n || b.Bytes(row[1])[0] != conformance.Letter(n) {
			t.problem("%s: record %d was spoilt before Release", b.Source, n)
		}
		t.durable[b.Source] = append(t.durable[b.Source], n)
	}
	delete(s.left, b.ID)
	if t.Keep {
		p := t.progress[b.Source]
		p.Partition, p.Through = b.Source, b.Through
		if b.Offset != "" {
			p.Offset = b.Offset
		}
		t.progress[b.Source] = p
	}
	t.mu.Unlock()
	s.held = append(s.held[:i], s.held[i+1:]...)
	s.session.Ack(b.ID)
	b.Release()
	return nil
}

func (s *targetSink) Flush(ctx context.Context) error {
	for len(s.held) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.write(0); err != nil {
			return err
		}
	}
	return nil
}

func (s *targetSink) Stop(context.Context) error {
	s.stopped = true
	for _, b := range s.held {
		b.Release()
	}
	s.held = nil
	return nil
}

// keepingSink keeps offsets with the data, and fences earlier sinks.
type keepingSink struct{ *targetSink }

func (s *keepingSink) Progress(_ context.Context, p ...offsets.Partition) ([]connectors.Progress, error) {
	t := s.target
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.epoch > 0 && s.epoch != t.epoch {
		return nil, connectors.AsFenced(errors.New("another sink took over"))
	}
	t.epoch++
	s.epoch = t.epoch
	var out []connectors.Progress
	for name, at := range t.progress {
		if len(p) == 0 || slices.Contains(p, name) {
			out = append(out, at)
		}
	}
	return out, nil
}

func (s *keepingSink) Claim() string { return strconv.Itoa(s.epoch) }

func (s *keepingSink) SetProgress(_ context.Context, p []connectors.Progress) error {
	t := s.target
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, at := range p {
		if at.Offset == "" {
			delete(t.progress, at.Partition)
			continue
		}
		t.progress[at.Partition] = at
	}
	return nil
}

// Sinks is a factory of the class "TargetSink" over a target chosen by the caller.
type Sinks struct {
	Target *Target
	Name   string // alias; "" is "TargetSink"
	// Wrap changes each new task, for example with Loopback; nil: not.
	Wrap func(connectors.SinkTask) connectors.SinkTask
}

// Describe implements connectors.Factory.
func (s Sinks) Describe() connectors.Description {
	name := s.Name
	if name == "" {
		name = "TargetSink"
	}
	return connectors.Description{Class: "io.freshet.test." + name + "Connector", Aliases: []string{name}, Sink: true, Version: "1", Keeper: s.Target.Keep, Config: &connectors.ConfigDef{Keys: []connectors.Key{
		{Name: "target.name", Type: connectors.TypeString, Importance: "LOW"},
		{Name: "target.password", Type: connectors.TypePassword, Importance: "LOW"},
	}}}
}

// Validate implements connectors.Factory.
func (s Sinks) Validate(_ context.Context, c connectors.Config) []connectors.ConfigValue {
	values, _ := s.Describe().Config.Validate(c)
	return values
}

// Tasks implements connectors.Factory.
func (Sinks) Tasks(_ context.Context, c connectors.Config, _ int) ([]connectors.Config, error) {
	return []connectors.Config{c}, nil
}

// NewSink implements connectors.SinkFactory.
func (s Sinks) NewSink(_ connectors.Config, settings connectors.Settings) (connectors.SinkTask, error) {
	task := s.Target.NewSink(settings.Claim)
	if s.Wrap != nil {
		task = s.Wrap(task)
	}
	return task, nil
}
