package kafkaclient

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/IBM/sarama"
)

// breach is why the open transaction cannot be committed as it is.
type breach struct {
	cause error
	code  sarama.KError // an epoch was refused with it: somebody may have taken over
	ended bool          // a commit was asked for, and whether it was done is not known
	stray bool          // it is committed, and a request whose answer was lost may still be under way: it needs a new epoch
}

// mostRepeats is how often in a row a transaction is sent again before the producer gives up.
const mostRepeats = 10

// abortable reports the answers after which a transaction can only be aborted and begun again (KIP-890, KIP-1050).
func abortable(k sarama.KError) bool {
	return k == sarama.ErrInvalidTxnState || k == errTransactionAbortable
}

// interrupt stops sending; the steward then sends the open transaction again. p.mu is held.
func (p *Producer) interrupt(b *breach) {
	if p.err != nil || p.closed || p.aborting {
		return
	}
	p.aborting, p.broke = true, b
	signal(p.wakeSteward)
}

// repeat ends the transaction that cannot be committed and puts its records back, in the order in which they were first sent.
// It runs on the steward, when there is anything to do.
func (p *Producer) repeat() {
	p.mu.Lock()
	b := p.broke
	if b == nil || p.closed {
		p.mu.Unlock()
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p.undo = cancel // by Abort and Close
	if !b.stray {
		p.repeats++
	}
	attempt := p.repeats
	p.mu.Unlock()
	p.ending.Lock()
	defer p.ending.Unlock()

	committed, err := false, error(nil)
	if attempt > mostRepeats {
		err = fmt.Errorf("%w %d times in a row: %w", ErrTransactionAborted, mostRepeats, b.cause)
	} else {
		committed, err = p.beginAgain(ctx, b, attempt)
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	p.undo = nil
	if p.broke == nil || p.closed {
		return // Abort or Close has taken over
	}
	p.aborting, p.broke = false, nil
	if err != nil {
		p.fail(err)
		return
	}
	if !b.stray {
		records := 0
		for _, c := range p.retained {
			records += c.n
		}
		p.log.Warn("a Kafka transaction could not be committed and is sent again", "transactional.id", p.cfg.TransactionalID,
			"attempt", attempt, "acknowledged records", records, "committed after all", committed, "error", b.cause)
		if attempt > 1 && !committed {
			p.trying("commit transaction "+p.cfg.TransactionalID, b.cause)
		}
	}
	p.putBack(committed)
	p.notify()
}

// beginAgain makes the transactional id fit for a new transaction; committed tells that the open one was committed after all.
func (p *Producer) beginAgain(ctx context.Context, b *breach, attempt int) (committed bool, err error) {
	if attempt > 1 {
		if err := sleep(ctx, p.cfg.backoff(attempt)); err != nil {
			return false, err
		}
	}
	p.mu.Lock()
	err = p.await(ctx, p.quiet)
	begun := p.txnState != txnNone
	p.mu.Unlock()
	if err != nil {
		return false, err
	}
	owner := kept
	if b.code != 0 {
		if owner, err = p.judge(ctx, b.code); err != nil {
			return false, err
		}
	}
	aborted := false
	if (begun || b.stray) && owner == kept { // a commit that was done is not undone by this: the coordinator refuses it
		ended, err := p.endTxn(ctx, false)
		switch {
		case err == nil:
			aborted = true
		case ended == nil:
			return false, err
		case ended.code != 0:
			if owner, err = p.judge(ctx, ended.code); err != nil {
				return false, err
			}
		}
	}
	if owner, err = p.renewID(ctx, owner); err != nil {
		return false, err
	}
	unknown := b.ended && !aborted
	switch {
	case !unknown && owner == kept:
		return false, nil
	case p.opts.Recall != nil:
		return p.opts.Recall(ctx, unknown)
	case unknown:
		return false, fmt.Errorf("%w: %w", ErrUnknownOutcome, b.cause)
	}
	return false, nil
}

// putBack makes the records of the open transaction, and those of the next one, ready to be sent under the new identity;
// a committed transaction is over instead. p.mu is held, and no request is on its way.
func (p *Producer) putBack(committed bool) {
	if !committed {
		for _, c := range p.retained {
			c.part.retry = append(c.part.retry, c)
			p.pending++
			p.unsettled[c.txn&1]++
			p.used += c.held
		}
		p.retained = nil
		p.tellSpare(-p.spare)
	}
	for _, l := range p.lanes {
		l.ready = nil
	}
	p.waiting, p.held = nil, nil
	for _, t := range p.topics {
		for _, pt := range t.parts {
			pt.renew(p.identity)
		}
	}
	p.txnState, p.stray, p.busySince = txnNone, false, time.Time{}
	if committed {
		p.nextTxn()
	}
	for _, t := range p.topics {
		for _, pt := range t.parts {
			p.schedule(pt)
		}
	}
}

// renew puts everything that was sent before in front again, unnumbered.
func (pt *partition) renew(as identity) {
	pt.queue = slices.Concat(pt.retry, pt.queue)
	slices.SortStableFunc(pt.queue, func(a, b *chunk) int {
		switch {
		case a.sequenced && b.sequenced:
			return int(int32(uint32(a.sequence-b.sequence)<<1) >> 1) // they count in 31 bits
		case a.sequenced:
			return -1
		case b.sequenced:
			return 1
		}
		return 0
	})
	for _, c := range pt.queue {
		c.sequenced, c.sent, c.refused, c.born = false, 0, nil, time.Now()
		c.unseal()
	}
	pt.retry = nil
	pt.muted, pt.bump, pt.known, pt.repeated, pt.failures, pt.notBefore = false, false, false, 0, 0, time.Time{}
	pt.place, pt.enlisted = nowhere, 0
	pt.sequence, pt.identity = 0, as
}

// retain keeps an acknowledged chunk until its transaction is committed; p.mu is held.
func (p *Producer) retain(c *chunk) {
	c.marks, c.lastMark, c.counted = c.marks[:0], 0, 0
	p.retained = append(p.retained, c)
	p.tellSpare(c.held - int64(c.given))
}

// forgetRetained lets the memory of what is committed, or dropped, go; p.mu is held.
func (p *Producer) forgetRetained() {
	for _, c := range p.retained {
		p.recycle(c)
	}
	clear(p.retained)
	p.retained = p.retained[:0]
	p.tellSpare(-p.spare)
}

func (p *Producer) tellSpare(n int64) {
	p.spare += n
	if p.opts.Spare != nil && n != 0 {
		p.opts.Spare(int(n))
	}
}
