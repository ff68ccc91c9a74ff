package kafkaclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// ReadPart is a partition to read.
type ReadPart struct {
	TopicPartition
	ID   [16]byte // of the topic: a topic that is made again under its name is another one; zero: not known
	Next int64    // where to begin; below 0: where auto.offset.reset says
}

// Receiver takes what a Reader reads. Its functions are called by several goroutines, those about one partition one after the other;
// i is the partition's place in the list that the Reader was given.
type Receiver struct {
	// Take is called when n bytes of partition i have come. It calls read, once, when there is room for them (I5), and returns when it
	// has taken them over. An error of its own ends the reading.
	Take func(ctx context.Context, i, n int, read func() (*Fetched, error)) error
	// Changed tells that partition i cannot be read on as it is: ErrOutOfRange, ErrFormat, or its topic is away, is another one by now, or
	// may not be read. It is tried again.
	Changed func(i int, err error)
}

// ErrOutOfRange: the log does not have an offset, and no other one is to be taken in its place.
var ErrOutOfRange = errors.New("the log does not have this offset")

// ErrFormat: records are in a message format older than Kafka 0.11, which is not read.
var ErrFormat = errors.New("records are in a message format older than Kafka 0.11, which is not read: copy the topic with a client of Kafka 0.11 or later")

// Reader reads partitions, each from the broker that leads it or that the leader names for the rack of the client. What a broker has sent
// is read from its connection partition by partition, as the receiver has room for it: there is no more in memory than the answer of one
// partition for each broker.
type Reader struct {
	session   *Session
	conf      *sarama.Config
	retry     *ProducerConfig
	to        Receiver
	log       *slog.Logger
	unpackers unpackers
	wake      chan struct{}
	ended     sync.WaitGroup // lanes

	mu     sync.Mutex
	lost   []*readPart // in no lane
	lanes  map[int32]*readLane
	warned time.Time
}

// readPart belongs to its lane, or to Run while it is in none.
type readPart struct {
	ReadPart
	index     int
	epoch     int32 // of the leader
	bytes     int32 // to ask for
	served    uint64
	astray    bool  // the log does not have Next
	replica   int32 // the broker that its leader named; -1: none
	until     time.Time
	failures  int
	failing   time.Time
	notBefore time.Time
}

func (p *readPart) sameTopic(q *readPart) bool { return p.ID == q.ID && p.Topic == q.Topic }

// readLane reads from one broker.
type readLane struct {
	broker  int32
	address string
	parts   []*readPart // Reader.mu

	line   *line
	worked bool // it has answered
	asked  []*readPart
	byID   bool
	served uint64 // counts partitions that had something
}

// NewReader returns a reader of partitions for Run.
func (s *Session) NewReader(c *Config, parts []ReadPart, to Receiver, log *slog.Logger) *Reader {
	r := &Reader{session: s, conf: c.Sarama(), retry: &c.Producer, to: to, log: log, wake: make(chan struct{}, 1), lanes: map[int32]*readLane{}}
	for i, p := range parts {
		r.lost = append(r.lost, &readPart{ReadPart: p, index: i, replica: -1, bytes: r.conf.Consumer.Fetch.Default})
	}
	return r
}

// Run reads until ctx ends.
func (r *Reader) Run(ctx context.Context) {
	defer r.ended.Wait()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		due, pause := r.due(time.Now())
		if len(due) > 0 {
			r.place(ctx, due)
			continue
		}
		timer.Reset(pause)
		select {
		case <-r.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// due takes the lost partitions whose time has come; pause: until the next one's.
func (r *Reader) due(now time.Time) (due []*readPart, pause time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pause = time.Hour
	r.lost = slices.DeleteFunc(r.lost, func(p *readPart) bool {
		if left := p.notBefore.Sub(now); left > 0 {
			pause = min(pause, left)
			return false
		}
		due = append(due, p)
		return true
	})
	return due, pause
}

// place gives partitions to the lanes of their brokers.
func (r *Reader) place(ctx context.Context, due []*readPart) {
	stale := map[string]bool{}
	for _, p := range due {
		if p.failures > 0 {
			stale[p.Topic] = true
		}
	}
	if len(stale) > 0 {
		names := make([]string, 0, len(stale))
		for name := range stale {
			names = append(names, name)
		}
		_, _ = wait(ctx, func() (struct{}, error) { return struct{}{}, r.session.client.RefreshMetadata(names...) }) // what follows tells
	}
	brokers := make([]*sarama.Broker, len(due))
	for i, p := range due {
		var err error
		if brokers[i], err = r.find(ctx, p); ctx.Err() != nil {
			return
		} else if err != nil {
			r.lose(nil, p, err)
		}
	}
	r.give(ctx, due, brokers)
}

// find looks where a partition begins, and which broker it is read from.
func (r *Reader) find(ctx context.Context, p *readPart) (*sarama.Broker, error) {
	if p.Next < 0 || p.astray {
		if err := r.begin(ctx, p); err != nil {
			return nil, err
		}
		p.astray = false
	}
	return wait(ctx, func() (*sarama.Broker, error) {
		leader, epoch, err := r.session.client.LeaderAndEpoch(p.Topic, p.Partition)
		if err != nil {
			return nil, err
		}
		p.epoch = epoch
		if p.replica >= 0 && time.Now().Before(p.until) {
			if b, err := r.session.client.Broker(p.replica); err == nil {
				return b, nil
			}
		}
		p.replica = -1
		return leader, nil
	})
}

// begin sets where a partition is read on that has no offset, or one that the log does not have. An offset beyond the end is not for the
// reader to change: it is of another log.
func (r *Reader) begin(ctx context.Context, p *readPart) error {
	first, end, err := r.session.Bounds(ctx, p.Topic, p.Partition)
	switch {
	case err != nil:
		return err
	case p.Next >= first && p.Next <= end:
		return nil
	case p.Next > end, !r.conf.Consumer.Group.ResetInvalidOffsets:
		err = fmt.Errorf("%w: %d is not between %d and %d", ErrOutOfRange, p.Next, first, end)
		r.to.Changed(p.index, err)
		return err
	case r.conf.Consumer.Offsets.Initial == sarama.OffsetNewest:
		p.Next = end
	default:
		p.Next = first
	}
	return nil
}

// give puts each partition into the lane of its broker, if it has one; a lane that is new begins with all of its partitions.
func (r *Reader) give(ctx context.Context, parts []*readPart, brokers []*sarama.Broker) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, b := range brokers {
		if b == nil {
			continue
		}
		l := r.lanes[b.ID()]
		if l == nil {
			l = &readLane{broker: b.ID(), address: b.Addr()}
			r.lanes[b.ID()] = l
			r.ended.Add(1)
			go r.run(ctx, l) // it waits for mu
		}
		l.parts = append(l.parts, parts[i])
	}
}

// lose takes a partition out of its lane; after a pause it is given to one again. l may be nil.
func (r *Reader) lose(l *readLane, p *readPart, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l != nil {
		l.parts = slices.DeleteFunc(l.parts, func(q *readPart) bool { return p == q })
	}
	now := time.Now()
	if p.failures++; p.failures == 1 {
		p.failing = now
	}
	p.replica = -1
	p.notBefore = now.Add(r.retry.backoff(p.failures))
	r.lost = append(r.lost, p)
	signal(r.wake)
	level := slog.LevelDebug
	if now.Sub(p.failing) > patience && now.Sub(r.warned) > 10*time.Second {
		r.warned, level = now, slog.LevelWarn
	}
	r.log.Log(context.Background(), level, "reading from Kafka is being retried", "topic", p.Topic, "partition", p.Partition, "offset", p.Next, "attempt", p.failures, "error", explain(err))
}

// run is the goroutine of a lane, until no partition is left in it.
func (r *Reader) run(ctx context.Context, l *readLane) {
	defer r.ended.Done()
	defer l.hangUp()
	for {
		if len(r.partsOf(l)) == 0 {
			return
		}
		err := r.round(ctx, l)
		var own *ownError
		switch {
		case ctx.Err() != nil, errors.As(err, &own):
			return
		case err == nil:
		case l.worked: // brokers close connections that were idle, or whose login is over
			l.hangUp()
		default:
			l.hangUp()
			for _, p := range r.partsOf(l) {
				r.lose(l, p, fmt.Errorf("read from the broker at %s: %w", l.address, err))
			}
		}
	}
}

func (l *readLane) hangUp() {
	if l.line != nil {
		l.line.close()
	}
	l.line, l.worked, l.asked = nil, false, nil
}

// partsOf returns the partitions of a lane, those first that had something the longest time ago: a broker fills its answer in the
// order of the request. A lane without any is taken away.
func (r *Reader) partsOf(l *readLane) []*readPart {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(l.parts) == 0 && r.lanes[l.broker] == l {
		delete(r.lanes, l.broker)
	}
	slices.SortStableFunc(l.parts, func(a, b *readPart) int { return cmp.Compare(a.served, b.served) })
	return slices.Clone(l.parts)
}

// ask sends a request for what the lane has.
func (r *Reader) ask(l *readLane) error {
	r.mu.Lock()
	empty := len(l.parts) == 0
	r.mu.Unlock()
	if empty {
		return nil
	}
	parts := r.partsOf(l)
	byID, err := l.line.request(r.conf, parts)
	if err == nil {
		l.asked, l.byID = parts, byID
	}
	return err
}

// round reads one answer. The next request is sent before the last of it is taken over, so that the broker works meanwhile.
func (r *Reader) round(ctx context.Context, l *readLane) (err error) {
	if l.line == nil {
		if l.line, err = openLine(ctx, r.session.outlets, r.conf, l.address); err != nil {
			return err
		}
	}
	if len(l.asked) == 0 {
		if err := r.ask(l); err != nil || len(l.asked) == 0 {
			return err
		}
	}
	asked := l.asked
	l.asked = nil
	a, err := l.line.answer(l.byID)
	if err != nil {
		return err
	}
	l.worked = true
	found := 0
	for head := (partAnswer{}); a.next(&head); {
		var p *readPart
		for range asked { // it has the order of the request, as a rule
			if q := asked[found%len(asked)]; q.Partition == head.partition && (a.byID && q.ID == a.id || !a.byID && q.Topic == a.topic) {
				p = q
				break
			}
			found++
		}
		if err := r.part(ctx, l, a, &head, p); err != nil {
			return err
		}
	}
	if a.err == nil && !a.done { // it named no partition
		a.end()
	}
	if a.err == nil && len(l.asked) == 0 {
		return r.ask(l)
	}
	return a.err
}

// part reads what an answer has of a partition.
func (r *Reader) part(ctx context.Context, l *readLane, a *answer, head *partAnswer, p *readPart) error {
	switch {
	case p == nil:
	case head.err != sarama.ErrNoError:
		r.refused(l, p, head.err)
	case head.replica >= 0 && head.replica != l.broker:
		r.move(l, p, head.replica)
	case p.replica == l.broker && time.Now().After(p.until): // the leader is to name it again
		r.move(l, p, -1)
	case head.records > 0:
		return r.take(ctx, l, a, head, p)
	default:
		p.failures = 0
	}
	a.skip(head.records)
	return r.next(l, a)
}

// next ends a partition's part of an answer; behind the last one it sends the next request.
func (r *Reader) next(l *readLane, a *answer) error {
	if last := a.over(); a.err != nil || !last {
		return a.err
	}
	return r.ask(l)
}

// take hands the records of a partition over.
func (r *Reader) take(ctx context.Context, l *readLane, a *answer, head *partAnswer, p *readPart) error {
	var broken error // of the connection
	taken := false
	err := r.to.Take(ctx, p.index, head.records, func() (*Fetched, error) {
		taken = true
		data := make([]byte, head.records) // not used again: values share its memory
		a.full(data)
		if broken = a.err; broken != nil {
			return nil, broken
		}
		n, next, need, err := wholeBatches(data)
		if n == 0 && err != nil {
			if errors.Is(err, ErrFormat) {
				r.to.Changed(p.index, err)
			}
			r.lose(l, p, err)
		}
		f := &Fetched{Next: p.Next, from: p.Next, data: data[:n:n], committed: r.conf.Consumer.IsolationLevel == sarama.ReadCommitted, aborted: head.aborted, unpackers: &r.unpackers}
		slices.SortFunc(f.aborted, func(a, b abortedTransaction) int { return cmp.Compare(a.first, b.first) }) // brokers list them by their ends
		switch {
		case n > 0:
			l.served++
			f.Next = max(f.from, next)
			p.Next, p.bytes, p.served, p.failures = f.Next, r.conf.Consumer.Fetch.Default, l.served, 0
		case err == nil: // a batch that is larger
			p.bytes = int32(min(max(int64(need), 2*int64(p.bytes)), 1<<31-1))
		}
		broken = r.next(l, a) // what has come counts all the same
		return f, nil
	})
	switch {
	case broken != nil:
		return broken
	case err != nil:
		return &ownError{err}
	case !taken:
		return &ownError{errors.New("what was read was not taken")}
	}
	return nil
}

// refused decides what becomes of a partition that a broker does not give.
func (r *Reader) refused(l *readLane, p *readPart, code sarama.KError) {
	switch code {
	case sarama.ErrOffsetOutOfRange:
		p.astray = p.replica != l.broker // a follower may lack what the leader has
	case sarama.ErrUnknownTopicOrPartition, errUnknownTopicID, errInconsistentTopicID, sarama.ErrTopicAuthorizationFailed:
		r.to.Changed(p.index, code)
	}
	r.lose(l, p, code)
}

// move hands a partition to another broker; below 0: to its leader.
func (r *Reader) move(l *readLane, p *readPart, replica int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l.parts = slices.DeleteFunc(l.parts, func(q *readPart) bool { return p == q })
	p.replica, p.until = replica, time.Now().Add(max(r.conf.Metadata.RefreshFrequency, time.Second))
	r.lost = append(r.lost, p)
	signal(r.wake)
}
