package kafkaclient

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/IBM/sarama"
)

// lane sends to one broker. Its fields are guarded by Producer.mu.
type lane struct {
	broker   int32
	ready    []*partition
	inflight int
	broken   *connection // to be dropped by the lane
	frame    [][]byte    // the lane's own: of the request being sent
	wake     chan struct{}
}

type connection struct {
	broker     *sarama.Broker
	generation uint64
}

// forgottenAfter is how long a partition may be idle before its broker counts as one that does not know the producer: much shorter
// than any sensible producer.id.expiration.ms (a day unless configured), and rare enough to cost nothing.
const forgottenAfter = time.Minute

// schedule puts the partition where its next chunk has to go; p.mu is held.
func (p *Producer) schedule(pt *partition) {
	if pt.place == ready && len(pt.queue) > 0 && pt.leader >= 0 { // its chunk was taken back, and has grown
		p.rouse(p.lanes[pt.leader], pt.queue[0])
	}
	if pt.place != nowhere || pt.muted || len(pt.queue) == 0 {
		return
	}
	// A broker that does not know the producer takes any sequence for its first, so the first chunk goes alone (I4).
	if alone := pt.repeated > 0 || !pt.known; alone && len(pt.inflight) > 0 {
		return
	}
	switch {
	case pt.queue[0].txn != p.txnOpen:
		pt.place = holds
		p.held = append(p.held, pt)
	case pt.leader < 0, pt.spent, pt.queue[0].refused != nil, !pt.notBefore.IsZero(), p.transactional() && pt.enlisted != p.txnOpen:
		pt.place = waits
		p.waiting = append(p.waiting, pt)
		signal(p.wakeSteward)
	default:
		l := p.lanes[pt.leader]
		if l == nil {
			l = &lane{broker: pt.leader, wake: make(chan struct{}, 1)}
			p.lanes[pt.leader] = l
			if !p.closed {
				p.wg.Add(1)
				go p.runLane(l)
			}
		}
		pt.place = ready
		l.ready = append(l.ready, pt)
		p.rouse(l, pt.queue[0])
	}
}

// joins tells that a chunk is not sent for now, so that what comes meanwhile can join it: the broker has as many requests as it may
// have, or one, and the chunk is small. A broker answers the requests of a connection one by one: a small one behind another is only
// more work for it. p.mu is held.
func (p *Producer) joins(l *lane, c *chunk) bool {
	return l.inflight >= p.cfg.InFlight || l.inflight > 0 && c.size < p.cfg.BatchBytes/2
}

// rouse wakes the lane when the chunk need not wait; p.mu is held.
func (p *Producer) rouse(l *lane, c *chunk) {
	if !p.joins(l, c) {
		signal(l.wake)
	}
}

// due tells that the lane may send a request: there is none on its way, or the chunks that are ready are as much as one that goes by
// itself. p.mu is held.
func (p *Producer) due(l *lane) bool {
	if l.inflight == 0 || l.inflight >= p.cfg.InFlight {
		return l.inflight == 0
	}
	bytes := 0
	for _, pt := range l.ready {
		if len(pt.queue) > 0 {
			bytes += pt.queue[0].size
		}
		if bytes >= p.cfg.BatchBytes/2 {
			return true
		}
	}
	return false
}

func (p *Producer) runLane(l *lane) {
	defer p.wg.Done()
	for {
		p.mu.Lock()
		broken := l.broken
		l.broken = nil
		var chunks []*chunk
		if broken == nil && p.err == nil && !p.aborting {
			chunks = p.assemble(l)
		}
		p.mu.Unlock()
		switch {
		case broken != nil:
			p.session.drop(broken.broker, broken.generation)
		case len(chunks) > 0:
			p.send(l, chunks)
		default:
			select {
			case <-l.wake:
			case <-p.quit:
				return
			}
		}
	}
}

// assemble takes at most one chunk of each ready partition, up to a request's bytes; p.mu is held.
func (p *Producer) assemble(l *lane) []*chunk {
	if len(l.ready) == 0 || !p.due(l) {
		return nil
	}
	var chunks []*chunk
	total, taken := 0, 0
	for _, pt := range l.ready {
		if len(pt.queue) > 0 && len(chunks) > 0 && total+pt.queue[0].size > p.cfg.RequestBytes {
			break
		}
		taken++
		pt.place = nowhere
		if pt.leader != l.broker || pt.muted || len(pt.queue) == 0 || pt.queue[0].txn != p.txnOpen || pt.queue[0].refused != nil {
			p.schedule(pt)
			continue
		}
		c := pt.queue[0]
		pt.queue = slices.Delete(pt.queue, 0, 1)
		p.number(pt, c)
		pt.sends++
		c.sent = pt.sends
		pt.inflight = append(pt.inflight, c)
		chunks = append(chunks, c)
		total += c.size
		p.schedule(pt) // behind the others, when there is more; range looks at the old length
	}
	l.ready = slices.Delete(l.ready, 0, taken)
	if len(chunks) > 0 {
		l.inflight++
		p.stats.Requests++
	}
	return chunks
}

// number gives the chunk its place in the partition's sequence, once.
func (p *Producer) number(pt *partition, c *chunk) {
	if c.sequenced {
		return
	}
	c.sequenced, c.producer, c.sequence = true, pt.identity, pt.sequence
	pt.sequence = addSequence(pt.sequence, c.n)
}

// send hands a request to the connection. It is sarama's but for its record batches, which the connection takes from
// their pages (outlet).
func (p *Producer) send(l *lane, chunks []*chunk) {
	if err := p.seal(chunks); err != nil {
		p.answered(l, chunks, nil, err, nil)
		return
	}
	req := &sarama.ProduceRequest{
		RequiredAcks: sarama.WaitForAll, Timeout: int32(p.cfg.RequestTimeout / time.Millisecond), Version: 8,
	}
	if p.transactional() {
		req.TransactionalID = &p.cfg.TransactionalID
	}
	broker, err := p.session.client.Broker(l.broker)
	if err != nil {
		p.answered(l, chunks, nil, err, nil)
		return
	}
	conn := &connection{broker, p.session.generation(broker)}
	l.frame = appendFrame(l.frame[:0], chunks)
	err = p.session.outlets.produce(broker, req, l.frame, p.quit, func(resp *sarama.ProduceResponse, err error) { p.answered(l, chunks, resp, err, conn) })
	clear(l.frame)
	if err != nil {
		p.answered(l, chunks, nil, err, conn)
	}
}

// seal renders the batches and charges what compression took (I5).
func (p *Producer) seal(chunks []*chunk) error {
	for _, c := range chunks {
		if err := c.seal(&p.packer, p.transactional()); err != nil {
			return err
		}
	}
	if p.cfg.Codec == sarama.CompressionNone {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range chunks {
		held := c.capacity()
		p.used += held - c.held
		c.held = held
	}
	return nil
}

// answered takes a request's answer or its failure. It runs on the broker's reader, so it calls nothing of the broker.
func (p *Producer) answered(l *lane, chunks []*chunk, resp *sarama.ProduceResponse, err error, conn *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.inflight--
	if err != nil && conn != nil {
		l.broken = conn
	}
	for _, c := range chunks {
		pt := c.part
		if i := slices.Index(pt.inflight, c); i >= 0 {
			pt.inflight = slices.Delete(pt.inflight, i, i+1)
		}
		cause := err
		if cause == nil {
			if block := resp.GetBlock(pt.topic.name, pt.id); block == nil {
				cause = sarama.ErrIncompleteResponse
			} else if block.Err != sarama.ErrNoError && block.Err != sarama.ErrDuplicateSequenceNumber {
				cause = block.Err
				if block.ErrorMessage != nil && *block.ErrorMessage != "" {
					cause = fmt.Errorf("%w: %s", block.Err, *block.ErrorMessage)
				}
			}
		}
		if cause == nil {
			pt.failures, pt.acked = 0, time.Now()
			pt.known = pt.known || c.producer == pt.identity
			p.done(c) // c is another's from here on
			pt.repeated = max(0, pt.repeated-1)
			p.schedule(pt)
		} else {
			p.refused(c, cause)
		}
		if pt.muted && len(pt.inflight) == 0 {
			p.resume(pt)
		}
	}
	if len(l.ready) > 0 || l.broken != nil {
		signal(l.wake)
	}
	p.notify() // Abort waits for the last answer
}

// refused decides what becomes of a chunk that the broker did not take; p.mu is held.
func (p *Producer) refused(c *chunk, cause error) {
	pt := c.part
	code := sarama.ErrNoError
	if k, ok := asKError(cause); ok {
		code = k
	}
	// An earlier chunk has to go first, so this one could only be refused.
	earlier := func(x *chunk) bool { return x.sent < c.sent }
	behind := slices.ContainsFunc(pt.retry, earlier) || slices.ContainsFunc(pt.inflight, earlier)
	switch {
	case behind && (code == sarama.ErrOutOfOrderSequenceNumber || code == sarama.ErrUnknownProducerID):
	case fencing(code) && p.transactional():
		p.interrupt(&breach{code: code, cause: cause})
	case p.transactional() && (abortable(code) || code == sarama.ErrOutOfOrderSequenceNumber || code == sarama.ErrUnknownProducerID):
		p.interrupt(&breach{cause: refusal(c, cause)})
	case fencing(code), code == sarama.ErrOutOfOrderSequenceNumber, code == sarama.ErrUnknownProducerID:
		// The broker lost this producer's state (retention, an unclean election, a re-created topic): go on in a new epoch.
		pt.bump = true
	case refusable(code):
		p.divide(c, cause)
		return
	case !retriable(cause):
		p.fail(refusal(c, explain(cause)))
	case p.cfg.DeliveryTimeout > 0 && time.Since(c.born) > p.cfg.DeliveryTimeout:
		p.fail(fmt.Errorf("%w: %w", ErrDeliveryTimeout, refusal(c, explain(cause))))
	}
	pt.retry = append(pt.retry, c)
	p.muteFor(pt, cause)
}

func (p *Producer) muteFor(pt *partition, cause error) {
	p.stats.Retries++
	if !pt.muted {
		pt.muted = true
		pt.failures++
	}
	pt.stale = true
	p.warn(pt, cause)
}

// resume puts refused chunks back before the others, when no answer is outstanding; p.mu is held.
func (p *Producer) resume(pt *partition) {
	pt.muted = false
	// Answers come in the order of sending, but for requests that could not be written: those fail before the others do.
	slices.SortStableFunc(pt.retry, func(a, b *chunk) int { return cmp.Compare(a.sent, b.sent) })
	pt.queue = slices.Concat(pt.retry, pt.queue)
	pt.retry = pt.retry[:0]
	// What was sent before goes alone: the broker knows only the last five batches, and a repeated one must be among them.
	pt.repeated = 0
	for pt.repeated < len(pt.queue) && pt.queue[pt.repeated].sent > 0 {
		pt.repeated++
	}
	if pt.bump {
		p.renumber(pt)
	}
	pt.leader = -1
	pt.notBefore = time.Now().Add(p.cfg.backoff(pt.failures))
	if pt.place == holds { // behind it there is a chunk of the next transaction
		p.held = slices.DeleteFunc(p.held, func(x *partition) bool { return x == pt })
		pt.place = nowhere
	}
	p.schedule(pt) // from another list it is taken when its turn comes
}

// renumber starts a new epoch for one partition; brokers keep a producer's state per partition. After the last epoch it needs
// another id.
func (p *Producer) renumber(pt *partition) {
	pt.bump, pt.known = false, false
	pt.sequence = 0
	switch {
	case pt.identity.epoch < math.MaxInt16:
		pt.identity.epoch++
	case pt.identity.id != p.identity.id: // another partition has asked for one
		pt.identity = p.identity
	default:
		pt.spent = true
	}
	for _, c := range pt.queue {
		if c.sequenced {
			c.sequenced = false
			c.unseal()
		}
	}
}

// backoff grows from retry.backoff.ms to retry.backoff.max.ms, with jitter. The first retry comes almost at once: brokers close
// idle connections, and a leader that moved is known by then.
func (c *ProducerConfig) backoff(failures int) time.Duration {
	d := c.RetryBackoff
	if failures <= 1 {
		return d / 20
	}
	for i := 2; i < failures && d < c.RetryBackoffMax; i++ {
		d *= 2
	}
	d = min(d, c.RetryBackoffMax)
	return d*4/5 + time.Duration(rand.Int64N(int64(d)*2/5+1))
}

// patience is how long a partition is retried before that is worth a warning: a new topic's leaders and a moved one are known
// sooner.
const patience = time.Second

// warn reports that writes are being retried, at most every ten seconds, once that goes on for longer than patience.
func (p *Producer) warn(pt *partition, cause error) {
	now := time.Now()
	if pt.failures <= 1 {
		pt.failing = now
	}
	level := slog.LevelDebug
	if lasting(pt.failing) {
		p.trying(fmt.Sprintf("write to topic %s partition %d", pt.topic.name, pt.id), cause)
		if now.Sub(p.warned) <= 10*time.Second {
			return
		}
		p.warned, level = now, slog.LevelWarn
	}
	p.log.Log(context.Background(), level, "writes to Kafka are being retried", "topic", pt.topic.name, "partition", pt.id,
		"attempt", pt.failures, "buffered", p.used, "error", explain(cause))
}

func refusal(c *chunk, err error) *RecordError {
	return &RecordError{Topic: c.part.topic.name, Partition: c.part.id, Bytes: c.size, Records: c.n, Err: err}
}
