package kafkaclient

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/IBM/sarama"
)

// refusable reports the answers with which a broker refuses a batch for what a record of it is: larger than max.message.bytes or
// segment.bytes of the topic, or against its rules, such as one without a key for a compacted topic. CORRUPT_MESSAGE is not among
// them: the bytes were hurt on their way, and are sent again.
func refusable(k sarama.KError) bool {
	return k == sarama.ErrMessageSizeTooLarge || k == sarama.ErrMessageSetSizeTooLarge || k == sarama.ErrInvalidRecord
}

// divide looks for the record that a broker refuses a chunk for: it is halved until that one is alone. p.mu is held.
func (p *Producer) divide(c *chunk, cause error) {
	pt := c.part
	p.stats.Retries++
	pt.muted = true
	if c.n > 1 {
		d := c.split()
		for _, m := range d.marks {
			p.marks[m-p.firstMark].left++
		}
		p.used += d.held
		p.pending++
		p.unsettled[d.txn&1]++
		pt.retry = append(pt.retry, c, d)
		return
	}
	pt.retry = append(pt.retry, c)
	refused := refusal(c, explain(cause))
	if p.opts.Refused == nil || c.refs[0] == 0 {
		p.fail(refused)
		return
	}
	c.refused = refused
}

// refer notes what the caller knows the newest record of the chunk by, and charges the memory for it (I5).
func (p *Producer) refer(c *chunk, ref uint64) {
	if have := cap(c.refs); len(c.refs) == have {
		c.refs = slices.Grow(c.refs, max(have, 32))
		bytes := int64(cap(c.refs)-have) * 8
		p.mu.Lock()
		p.used += bytes
		c.held += bytes
		p.mu.Unlock()
	}
	c.refs = append(c.refs, ref)
}

// leaveOut asks what is to become of the refused record at the head of a partition. It runs on the steward.
func (p *Producer) leaveOut(pt *partition) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p.mu.Lock()
	if p.err != nil || p.aborting || len(pt.queue) == 0 || pt.queue[0].refused == nil {
		p.mu.Unlock()
		return
	}
	c := pt.queue[0]
	ref, refused := c.refs[0], c.refused
	p.undo = cancel // by Abort and Close
	p.mu.Unlock()
	err := p.opts.Refused(ctx, ref, refused)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.undo = nil
	switch {
	case len(pt.queue) == 0 || pt.queue[0] != c: // everything was dropped meanwhile
	case err != nil:
		p.fail(err)
	default:
		p.drop(pt)
	}
}

// drop goes on without the record at the head of a partition. Nothing of the partition is on its way, and the broker has taken
// nothing behind that record: what follows moves up to its place in the sequence (I4). p.mu is held.
func (p *Producer) drop(pt *partition) {
	c := pt.queue[0]
	pt.queue = slices.Delete(pt.queue, 0, 1)
	pt.repeated = max(0, pt.repeated-1)
	if c.sequenced {
		for _, x := range pt.queue {
			if x.sequenced {
				x.sequence = addSequence(x.sequence, -c.n)
				x.unseal()
			}
		}
		pt.sequence = addSequence(pt.sequence, -c.n)
	}
	p.settle(c)
}

// trying notes why what was appended is tried again. p.mu is held.
func (p *Producer) trying(what string, cause error) {
	if p.pending > 0 || len(p.retained) > 0 { // else nothing would tell that it is over
		p.note(what, cause)
	}
}

// note is for deliver to tell. p.mu is held.
func (p *Producer) note(what string, cause error) {
	if p.opts.Retrying == nil {
		return
	}
	cause = explain(cause)
	if _, answered := asKError(cause); !answered && !errors.Is(cause, ErrCoordinatorBusy) && !errors.Is(cause, ErrTransactionAborted) {
		cause = fmt.Errorf("%w; check that the brokers run and can be reached from here", cause)
	}
	p.trouble = fmt.Errorf("%s (brokers %v): %w", what, p.session.brokers, cause)
	signal(p.wakeDeliver)
}

// told returns when nothing more is told of what is over.
func (p *Producer) told() {
	p.telling.Lock()
	defer p.telling.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trouble = nil
}

// lasting tells that trouble which began then is worth being told of.
func lasting(since time.Time) bool { return time.Since(since) > patience }
