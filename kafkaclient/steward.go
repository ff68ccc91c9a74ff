package kafkaclient

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

func asKError(err error) (sarama.KError, bool) {
	var k sarama.KError
	ok := errors.As(err, &k)
	return k, ok
}

// steward serves the partitions that cannot be sent yet: it finds their leaders, adds them to the transaction, and waits
// out their back-off. It sends a transaction again that cannot be committed.
func (p *Producer) steward() {
	defer p.wg.Done()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		p.repeat()
		n := p.triage(time.Now())
		switch {
		case len(n.refused) > 0:
			p.leaveOut(n.refused[0])
			continue
		case len(n.spent) > 0:
			p.replaceID(n.spent)
			continue
		case len(n.leaderless) > 0:
			p.findLeaders(n.leaderless)
			continue
		case len(n.strangers) > 0:
			p.enlist(n.strangers)
			continue
		}
		timer.Reset(n.pause)
		select {
		case <-p.wakeSteward:
		case <-timer.C:
		case <-p.quit:
			return
		}
	}
}

// needs are the partitions to act on now, by what they need, and how long nothing is to be done when there are none.
type needs struct {
	refused, leaderless, strangers, spent []*partition
	pause                                 time.Duration
}

func (p *Producer) triage(now time.Time) needs {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := needs{pause: time.Hour}
	if p.err != nil || p.aborting {
		return n
	}
	list := p.waiting
	p.waiting = nil
	for _, pt := range list {
		switch {
		case pt.muted || len(pt.queue) == 0 || pt.queue[0].txn != p.txnOpen:
			pt.place = nowhere
			p.schedule(pt)
			continue
		case pt.queue[0].refused != nil:
			n.refused = append(n.refused, pt)
		case pt.notBefore.After(now):
			n.pause = min(n.pause, pt.notBefore.Sub(now))
		case pt.spent:
			n.spent = append(n.spent, pt)
		case pt.leader < 0:
			n.leaderless = append(n.leaderless, pt)
		case p.transactional() && pt.enlisted != p.txnOpen:
			n.strangers = append(n.strangers, pt)
		default:
			pt.notBefore = time.Time{}
			pt.place = nowhere
			p.schedule(pt)
			continue
		}
		p.waiting = append(p.waiting, pt)
	}
	p.enlisting = len(n.refused) == 0 && len(n.leaderless) == 0 && len(n.spent) == 0 && len(n.strangers) > 0
	return n
}

// replaceID gets another producer id for partitions that have used up the epochs of theirs. No chunk of them is on its way.
func (p *Producer) replaceID(parts []*partition) {
	ctx, cancel := context.WithTimeout(context.Background(), p.cfg.RequestTimeout)
	defer cancel()
	err := p.interruptible(func() error { return p.initProducerID(ctx, identity{-1, -1}) })
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pt := range parts {
		switch {
		case p.err != nil:
		case err == nil:
			pt.identity, pt.spent = p.identity, false
		case !retriable(err) && !errors.Is(err, context.Canceled):
			p.fail(err)
		default:
			p.postpone(pt, err)
		}
	}
}

// findLeaders asks for the leaders of partitions, of all stale topics in one question.
func (p *Producer) findLeaders(parts []*partition) {
	var stale []string
	seen := map[string]bool{}
	for _, pt := range parts {
		p.mu.Lock()
		ask := pt.stale && !seen[pt.topic.name]
		p.mu.Unlock()
		if ask {
			seen[pt.topic.name] = true
			stale = append(stale, pt.topic.name)
		}
	}
	var err error
	if len(stale) > 0 {
		err = p.interruptible(func() error { return p.session.client.RefreshMetadata(stale...) })
	}
	for _, pt := range parts {
		var leader *sarama.Broker
		cause := err
		if cause == nil || !seen[pt.topic.name] {
			cause = p.interruptible(func() (err error) {
				leader, err = p.session.client.Leader(pt.topic.name, pt.id)
				return err
			})
		}
		p.mu.Lock()
		switch {
		case p.err != nil:
		case cause == nil:
			pt.leader, pt.stale, pt.notBefore = leader.ID(), false, time.Time{}
		case !retriable(cause) && !errors.Is(cause, context.Canceled):
			p.fail(&RecordError{Topic: pt.topic.name, Partition: pt.id, Records: 1, Err: explain(cause)})
		default:
			p.postpone(pt, cause)
		}
		p.mu.Unlock()
	}
}

// postpone tries the partition again later, unless its records have waited too long; p.mu is held.
func (p *Producer) postpone(pt *partition, cause error) {
	pt.failures++
	pt.stale = true
	pt.notBefore = time.Now().Add(p.cfg.backoff(pt.failures))
	p.warn(pt, cause)
	if len(pt.queue) > 0 && p.cfg.DeliveryTimeout > 0 && time.Since(pt.queue[0].born) > p.cfg.DeliveryTimeout {
		p.fail(fmt.Errorf("%w: %w", ErrDeliveryTimeout, refusal(pt.queue[0], explain(cause))))
	}
}

// interruptible runs a blocking call of sarama and leaves it alone when the producer is closed; the call then ends by its
// own time limit.
func (p *Producer) interruptible(call func() error) error {
	done := make(chan error, 1)
	go func() { done <- call() }()
	select {
	case err := <-done:
		return err
	case <-p.quit:
		return context.Canceled
	}
}
