package kafkaclient

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

// Producer writes records to topics, idempotent always: batches per partition, up to five requests per broker on their
// way, in order through retries, leader changes and lost connections (I4). One goroutine appends (Topic, Append, Mark,
// Cut); the other methods may be called from any.
//
// Batches form because requests are in flight: what is marked is sent at once when there is none, or when it is half a batch, and joins
// the last batch of its partition otherwise, until an answer comes or it is. No timer holds anything back.
//
// Goroutines, all ended by Close: lane (one per broker; builds and sends requests), steward (finds leaders, adds
// partitions to the transaction, waits out back-offs), deliver (calls Done in order).
type Producer struct {
	cfg     ProducerConfig
	opts    ProducerOptions
	session *Session
	log     *slog.Logger
	packer  packer
	broken  atomic.Bool // err is set; the appender's cheap look
	quit    chan struct{}
	wg      sync.WaitGroup

	// The appender's own.
	touched []*partition
	mark    uint64 // of the batch being appended; starts at 1
	txnNext uint64 // transaction that appended records belong to

	mu        sync.Mutex
	err       error
	closed    bool
	topics    map[string]*Topic
	lanes     map[int32]*lane
	waiting   []*partition // for the steward
	held      []*partition // for the next transaction
	marks     []mark       // of batches not yet complete, from firstMark on
	firstMark uint64
	delivered uint64 // Done was called for every mark below
	used      int64  // bytes charged
	pending   int    // chunks handed over and not yet done
	free      []*chunk
	freeBytes int64
	changed   chan struct{} // closed and renewed when anybody waits
	watchers  int
	warned    time.Time
	trouble   error // why something is tried again, which was not told yet
	stats     Stats

	identity  identity
	txnOpen   uint64 // transaction whose chunks may be sent
	txnState  txnState
	txnSince  time.Time // the coordinator may know of it
	aborting  bool      // nothing is sent, and errors are not looked at
	enlisting bool      // a request to add partitions is on its way
	unsettled [2]int    // chunks of the transaction with this parity that are not acknowledged
	retained  []*chunk  // acknowledged ones of the open transaction, kept until it is committed
	spare     int64     // bytes that they hold beyond those of their records
	broke     *breach   // why the open transaction has to be sent again
	repeats   int       // how often it was
	stray     bool      // the answer to a request of the open transaction was lost: it may still be under way
	undo      func()    // ends the repetition under way
	ending    sync.Mutex
	busySince time.Time     // the coordinator is ending the transaction before this one
	busyLimit time.Duration // for how long that is waited for

	telling sync.Mutex // held while Retrying is called; taken before mu

	wakeSteward chan struct{}
	wakeDeliver chan struct{}
}

// ProducerOptions are the caller's side of a Producer.
type ProducerOptions struct {
	// Done is told the token of each Mark when all records before it are acknowledged by all in-sync replicas, in the
	// order of the Marks, from one goroutine. Transactional producers do not call it: see Commit.
	Done func(token uint64)
	// Failed is told once when the producer has given up; afterwards every call returns this error.
	Failed func(err error)
	// Refused is asked, from one goroutine, about a record that a broker refuses for what it is, and that has a Ref: too large for its
	// topic, or against the topic's rules. It was found by halving its batch, the others of which are written, in order. nil: it is
	// left out, before the Mark behind it is done and before the transaction is committed; else the producer gives up with that error.
	// Without it, and for records without a Ref, the producer gives up with the RecordError.
	Refused func(ctx context.Context, ref uint64, err *RecordError) error
	// Retrying is told why something that was appended is tried again, at each attempt once that goes on for longer than a second. The
	// Done or the Commit of that comes later. It must not call the producer.
	Retrying func(err error)
	// Spare is told of memory that the open transaction holds beyond the bytes of its records, as differences: what is
	// acknowledged is kept until it is committed. It must not call the producer.
	Spare func(bytes int)
	// Recall is asked when this producer has initialised its transactional id again and either somebody else may have used
	// it in between, or, ended, this producer has tried to commit and does not know whether it did. It reads back what is
	// committed: true when that is the open transaction; ErrFenced when it is somebody else's. Without it such a transaction
	// is an ErrUnknownOutcome.
	Recall func(ctx context.Context, ended bool) (committed bool, err error)
	// Claimed is told what the producer holds when it has initialised its transactional id again, before it does anything under it.
	Claimed func(ctx context.Context, c Claim)
	// Claim is what an earlier producer of the same owner held. The new one begins only if nobody has taken over since; without
	// a claim it takes over from whoever there is.
	Claim  Claim
	Logger *slog.Logger
}

// Stats counts since the producer was made.
type Stats struct {
	Records, Bytes, Requests, Retries int64 // Bytes: before compression
	Buffered                          int64 // bytes of memory in use now
	InFlight                          int   // requests on their way now
}

type mark struct {
	token  uint64
	left   int // chunks not yet acknowledged
	closed bool
}

// Topic is a handle on a topic's partitions for Append.
type Topic struct {
	name   string
	parts  []*partition
	sticky int32
}

// Name returns the topic's name.
func (t *Topic) Name() string { return t.name }

// Partitions returns the number of partitions when the handle was last asked for.
func (t *Topic) Partitions() int32 { return int32(len(t.parts)) }

type place uint8

const (
	nowhere place = iota
	ready         // in its lane's list
	waits         // in the steward's list
	holds         // for the next transaction
)

type partition struct {
	topic *Topic
	id    int32

	open *chunk // the appender's own

	// Guarded by Producer.mu.
	queue     []*chunk
	inflight  []*chunk
	retry     []*chunk // answered with an error; they go first when all answers are in
	muted     bool     // answers are still to come after an error: nothing new is sent
	place     place
	leader    int32     // -1: unknown
	stale     bool      // the leader that we knew refused
	repeated  int       // chunks at the head that were sent before: one at a time
	known     bool      // the broker has taken a chunk of this identity
	acked     time.Time // when it took the newest
	failures  int
	failing   time.Time // since when
	notBefore time.Time
	identity  identity
	spent     bool // the identity has no epoch left: the steward gets another
	bump      bool // the broker lost the producer's state: begin a new epoch
	sequence  int32
	sends     uint64
	enlisted  uint64 // last transaction it was added to
}

// NewProducer makes a producer over a session. A transactional one initialises its id first, which fences every earlier
// holder (I11); ctx bounds that. ErrFenced: somebody has taken over what opts.Claim names.
func NewProducer(ctx context.Context, s *Session, cfg ProducerConfig, opts ProducerOptions) (*Producer, error) {
	p := &Producer{
		cfg: cfg, opts: opts, session: s, log: opts.Logger, quit: make(chan struct{}),
		mark: 1, firstMark: 1, delivered: 1, marks: []mark{{}}, topics: map[string]*Topic{}, lanes: map[int32]*lane{},
		changed: make(chan struct{}), wakeSteward: make(chan struct{}, 1), wakeDeliver: make(chan struct{}, 1),
		txnNext: 1, txnOpen: 1, busyLimit: max(cfg.TransactionTimeout, minPatience),
		packer: packer{codec: cfg.Codec, level: cfg.Level},
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if err := p.begin(ctx, opts.Claim); err != nil {
		return nil, err
	}
	p.wg.Add(2)
	go p.steward()
	go p.deliver()
	return p, nil
}

func (p *Producer) transactional() bool { return p.cfg.TransactionalID != "" }

// Topic returns a handle and learns of new partitions. A topic that does not exist is created by brokers that do so; else
// ErrTopicMissing after some seconds. While no broker can be reached it tries on until ctx ends.
func (p *Producer) Topic(ctx context.Context, name string) (*Topic, error) {
	deadline := time.Now().Add(10 * time.Second)
	var ids []int32
	began := time.Now()
	for {
		var err error
		ids, err = wait(ctx, func() ([]int32, error) { return p.session.client.Partitions(name) })
		if err == nil && len(ids) > 0 {
			break
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("look up topic %s: %w", name, ctx.Err())
		}
		if err != nil && !retriable(err) {
			return nil, &RecordError{Topic: name, Partition: -1, Records: 1, Err: explain(err)}
		}
		if _, answered := asKError(err); (err == nil || answered) && time.Now().After(deadline) {
			return nil, fmt.Errorf("look up topic %s: %w (%v): create it, or let it be created (topic.creation.*, or "+
				"auto.create.topics.enable of the broker)", name, ErrTopicMissing, err)
		} else if err != nil && !answered {
			p.log.Warn("a Kafka topic cannot be looked up; trying again", "topic", name, "brokers", p.session.brokers, "error", err)
			if lasting(began) {
				p.mu.Lock()
				p.note("look up topic "+name, err)
				p.mu.Unlock()
			}
		}
		if err := sleep(ctx, p.cfg.RetryBackoffMax); err != nil {
			return nil, fmt.Errorf("look up topic %s: %w", name, err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.topics[name]
	if t == nil {
		t = &Topic{name: name, sticky: rand.Int32N(int32(len(ids)))}
		p.topics[name] = t
	}
	for id := int32(len(t.parts)); id <= slices.Max(ids); id++ {
		t.parts = append(t.parts, &partition{topic: t, id: id, leader: -1, identity: p.identity})
	}
	return t, nil
}

// openChunks counts what the appender has filled and not handed over.
func (p *Producer) openChunks() int {
	n := 0
	for _, pt := range p.touched {
		if pt.open != nil && pt.open.n > 0 {
			n++
		}
	}
	return n
}

// takeChunk returns the partition's last queued chunk if it cannot be sent yet and has room, else a fresh one.
func (p *Producer) takeChunk(pt *partition, size int) *chunk {
	if k := len(pt.queue); k > 0 {
		c := pt.queue[k-1]
		crowded := k > 1 || pt.place != ready || pt.leader < 0 || p.joins(p.lanes[pt.leader], c)
		if crowded && !c.sequenced && c.refused == nil && c.txn == p.txnNext && c.size+size <= p.cfg.BatchBytes {
			pt.queue[k-1] = nil
			pt.queue = pt.queue[:k-1]
			p.pending--
			p.unsettled[c.txn&1]--
			return c
		}
	}
	var c *chunk
	if k := len(p.free); k > 0 {
		c = p.free[k-1]
		p.free[k-1] = nil
		p.free = p.free[:k-1]
		p.freeBytes -= c.held
	} else {
		c = &chunk{size: batchOverhead}
	}
	p.used += c.held
	c.part, c.txn, c.born, c.plain = pt, p.txnNext, time.Now(), p.cfg.Codec == sarama.CompressionNone
	return c
}

// push hands the partition's open chunk over for sending; p.mu is held.
func (p *Producer) push(pt *partition) {
	c := pt.open
	pt.open = nil
	if c.counted != c.lastMark {
		c.counted = c.lastMark
		p.marks[c.lastMark-p.firstMark].left++
	}
	p.pending++
	p.unsettled[c.txn&1]++
	if len(pt.queue) == 0 && len(pt.inflight) == 0 && c.born.Sub(pt.acked) >= forgottenAfter {
		pt.known = false
	}
	pt.queue = append(pt.queue, c)
	p.schedule(pt)
}

// handOver pushes every chunk that has records; p.mu is held.
func (p *Producer) handOver() {
	for _, pt := range p.touched {
		if pt.open != nil && pt.open.n > 0 {
			p.push(pt)
		}
	}
}

// Mark ends a batch: what was appended since the last Mark goes out, and when it is durable Done is told the token.
func (p *Producer) Mark(token uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handOver()
	for _, l := range p.lanes { // many small chunks may be due together
		if l.inflight > 0 && p.due(l) {
			signal(l.wake)
		}
	}
	p.touched = p.touched[:0]
	m := &p.marks[p.mark-p.firstMark]
	m.token, m.closed = token, true
	p.mark++
	p.marks = append(p.marks, mark{})
	signal(p.wakeDeliver)
}

// Flush returns when everything marked before is acknowledged and Done was told of it.
func (p *Producer) Flush(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	upTo := p.firstMark + uint64(len(p.marks)) - 1
	if err := p.await(ctx, func() bool { return p.delivered >= upTo }); err != nil {
		return fmt.Errorf("flush %d batches to Kafka: %w", p.pending, err)
	}
	return nil
}

// await waits until ok, an error, Close, or the end of ctx; p.mu is held, released while it waits, and held again.
func (p *Producer) await(ctx context.Context, ok func() bool) error {
	for {
		switch {
		case p.err != nil && (!p.aborting || p.closed):
			return p.err
		case ok():
			return nil
		}
		ch := p.changed
		p.watchers++
		p.mu.Unlock()
		var err error
		select {
		case <-ch:
		case <-ctx.Done():
			err = ctx.Err()
		}
		p.mu.Lock()
		p.watchers--
		if err != nil {
			return err
		}
	}
}

// notify wakes everybody in await; p.mu is held.
func (p *Producer) notify() {
	if p.watchers > 0 {
		close(p.changed)
		p.changed = make(chan struct{})
	}
}

// deliver calls Done for complete marks, in order, and Retrying before them.
func (p *Producer) deliver() {
	defer p.wg.Done()
	var tokens []uint64
	for {
		tokens = tokens[:0]
		p.telling.Lock()
		p.mu.Lock()
		k := 0
		for p.marks[k].closed && p.marks[k].left == 0 && p.err == nil {
			tokens = append(tokens, p.marks[k].token)
			k++
		}
		p.marks = slices.Delete(p.marks, 0, k)
		p.firstMark += uint64(k)
		trouble := p.trouble
		p.trouble = nil
		p.mu.Unlock()
		if trouble != nil {
			p.opts.Retrying(trouble)
		}
		p.telling.Unlock()
		if p.opts.Done != nil && !p.transactional() {
			for _, t := range tokens {
				p.opts.Done(t)
			}
		}
		if k > 0 {
			p.mu.Lock()
			p.delivered += uint64(k)
			p.notify()
			p.mu.Unlock()
			continue
		}
		select {
		case <-p.wakeDeliver:
		case <-p.quit:
			return
		}
	}
}

// done is told that the broker has the chunk; p.mu is held.
func (p *Producer) done(c *chunk) {
	p.stats.Records += int64(c.n)
	p.stats.Bytes += int64(c.size)
	p.settle(c)
}

// settle lets a chunk go of which nothing more is to be sent; p.mu is held.
func (p *Producer) settle(c *chunk) {
	for _, m := range c.marks {
		p.marks[m-p.firstMark].left--
	}
	p.discard(c)
	signal(p.wakeDeliver)
}

// discard gives the chunk's memory back; p.mu is held.
func (p *Producer) discard(c *chunk) {
	p.pending--
	p.unsettled[c.txn&1]--
	p.used -= c.held
	if p.transactional() && c.refused == nil {
		p.retain(c)
	} else {
		p.recycle(c)
	}
	p.notify()
}

// recycle keeps the chunk's memory for the next one, or lets it go; p.mu is held.
func (p *Producer) recycle(c *chunk) {
	limit := p.cfg.BufferBytes / 4
	if p.pending == 0 {
		limit = min(limit, 256<<10) // an idle producer holds next to nothing
		for p.freeBytes > limit {
			k := len(p.free) - 1
			p.freeBytes -= p.free[k].held
			p.free[k] = nil
			p.free = p.free[:k]
		}
	}
	if c.held = c.capacity(); p.freeBytes+c.held <= limit {
		c.reset()
		p.free = append(p.free, c)
		p.freeBytes += c.held
	}
}

// fail gives up: nothing more is sent and every call returns err; p.mu is held.
func (p *Producer) fail(err error) {
	if p.err != nil || p.closed || p.aborting {
		return
	}
	p.err = err
	p.broken.Store(true)
	p.notify()
	if p.opts.Failed != nil {
		p.wg.Add(1)
		go func() {
			defer p.wg.Done()
			p.opts.Failed(err)
		}()
	}
}

// Err returns why the producer gave up, or nil.
func (p *Producer) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Stats returns the counters.
func (p *Producer) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Buffered = p.used
	for _, l := range p.lanes {
		s.InFlight += l.inflight
	}
	return s
}

// Close stops sending and returns when the background work has ended. What was not acknowledged may or may not be written.
func (p *Producer) Close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		p.wg.Wait()
		return
	}
	p.closed = true
	if p.err == nil {
		p.err = ErrClosed
	}
	p.broken.Store(true)
	p.notify()
	close(p.quit)
	if p.undo != nil {
		p.undo()
	}
	p.mu.Unlock()
	p.wg.Wait()
	p.mu.Lock()
	p.forgetRetained()
	p.mu.Unlock()
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
