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
		leaderless, strangers, spent, pause := p.triage(time.Now())
		switch {
		case len(spent) > 0:
			p.replaceID(spent)
			continue
		case len(leaderless) > 0:
			p.findLeaders(leaderless)
			continue
		case len(strangers) > 0:
			p.enlist(strangers)
			continue
		}
		timer.Reset(pause)
		select {
		case <-p.wakeSteward:
		case <-timer.C:
		case <-p.quit:
			return
		}
	}
}

// triage returns the partitions to act on now, and how long nothing is to be done when there are none.
func (p *Producer) triage(now time.Time) (leaderless, strangers, spent []*partition, pause time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pause = time.Hour
	if p.err != nil || p.aborting {
		return nil, nil, nil, pause
	}
	list := p.waiting
	p.waiting = nil
	for _, pt := range list {
		switch {
		case pt.muted || len(pt.queue) == 0 || pt.queue[0].txn != p.txnOpen:
			pt.place = nowhere
			p.schedule(pt)
			continue
		case pt.notBefore.After(now):
			pause = min(pause, pt.notBefore.Sub(now))
		case pt.spent:
			spent = append(spent, pt)
		case pt.leader < 0:
			leaderless = append(leaderless, pt)
		case p.transactional() && pt.enlisted != p.txnOpen:
			strangers = append(strangers, pt)
		default:
			pt.notBefore = time.Time{}
			pt.place = nowhere
			p.schedule(pt)
			continue
		}
		p.waiting = append(p.waiting, pt)
	}
	p.enlisting = len(leaderless) == 0 && len(spent) == 0 && len(strangers) > 0
	return leaderless, strangers, spent, pause
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
	pt.notBefore = time.Now().Add(p.backoff(pt.failures))
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
