package kafkaclient

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

// A transactional producer has one transaction open at a time. Append and Mark fill it; Cut, called by the appender
// between batches, ends it, so that what is appended later belongs to the next one; Commit, from any goroutine, makes it
// visible. What belongs to the next transaction is kept back until then.

// Cut ends the transaction being filled. Commit must have returned before the next Cut.
func (p *Producer) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.txnNext++
}

// Commit waits until every record before the last Cut is acknowledged and commits the transaction. What cannot be committed
// is aborted and sent again, in the same order, by the producer itself. ErrFenced: stop. A *RecordError: nothing was
// committed. ErrUnknownOutcome (also when ctx ends too early): make a new producer and read back what was committed.
func (p *Producer) Commit(ctx context.Context) error {
	if err := p.commit(ctx); err != nil {
		return err
	}
	p.told()
	return nil
}

func (p *Producer) commit(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.txnOpen == p.txnNext {
		return errors.New("commit without Cut")
	}
	for txn := p.txnOpen; ; {
		err := p.await(ctx, func() bool { return p.txnOpen != txn || p.unsettled[txn&1] == 0 && !p.aborting })
		if err != nil {
			return fmt.Errorf("write the transaction's records: %w", err)
		}
		if p.txnOpen != txn {
			return nil // what was read back shows that it is committed
		}
		if p.txnState == txnNone {
			break
		}
		p.mu.Unlock()
		ended, err := p.endTxn(ctx, true)
		p.mu.Lock()
		if err == nil {
			break
		}
		if ended == nil || ctx.Err() != nil {
			p.fail(err)
			return err
		}
		p.interrupt(ended)
	}
	if p.stray { // it could begin, or even commit, the next transaction: a new epoch shuts it out
		p.stray = false
		p.interrupt(&breach{cause: errors.New("a request may still be under way"), stray: true})
	}
	p.nextTxn()
	return nil
}

// nextTxn forgets the records of the committed transaction and lets the chunks of the next one go; p.mu is held.
func (p *Producer) nextTxn() {
	p.forgetRetained()
	p.txnOpen++
	p.txnState, p.repeats = txnNone, 0
	held := p.held
	p.held = nil
	for _, pt := range held {
		pt.place = nowhere
		p.schedule(pt)
	}
}

// Abort drops everything that is not committed, of the transaction being committed and the one being filled, aborts at the
// coordinator, and makes the producer fit for new records: the caller may send the same ones again, in the same order. The
// appender must be at rest. ErrFenced: stop.
func (p *Producer) Abort(ctx context.Context) error {
	p.mu.Lock()
	if p.closed || errors.Is(p.err, ErrFenced) {
		defer p.mu.Unlock()
		return p.err
	}
	p.aborting, p.broke = true, nil
	p.broken.Store(true)
	if p.undo != nil {
		p.undo()
	}
	p.mu.Unlock()
	p.ending.Lock()
	defer p.ending.Unlock()
	p.mu.Lock()
	err := p.await(ctx, p.quiet)
	begun := p.txnState != txnNone
	p.mu.Unlock()
	if err != nil {
		err = fmt.Errorf("wait for requests before the abort: %w", err)
	}
	owner := kept
	switch {
	case err != nil:
	case begun:
		var ended *breach
		if ended, err = p.endTxn(ctx, false); ended != nil {
			if err = nil; ended.code != 0 {
				owner, err = p.judge(ctx, ended.code)
			}
		}
	default:
		owner, err = p.judge(ctx, sarama.ErrNoError)
	}
	if err == nil {
		_, err = p.renewID(ctx, owner)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	p.aborting = false
	if err != nil {
		p.err = nil
		p.fail(err)
		return err
	}
	p.startAfresh()
	return nil
}

// quiet reports that no request is on its way; p.mu is held.
func (p *Producer) quiet() bool {
	if p.enlisting {
		return false
	}
	for _, l := range p.lanes {
		if l.inflight > 0 {
			return false
		}
	}
	return true
}

// startAfresh forgets every record; p.mu is held, and no request is on its way.
func (p *Producer) startAfresh() {
	for _, t := range p.topics {
		for _, pt := range t.parts {
			*pt = partition{topic: t, id: pt.id, leader: pt.leader, stale: pt.stale, identity: p.identity}
		}
	}
	for _, l := range p.lanes {
		l.ready = nil
	}
	p.touched, p.waiting, p.held = nil, nil, nil
	p.marks = []mark{{}}
	p.firstMark, p.delivered = p.mark, p.mark
	p.used, p.pending, p.free, p.freeBytes = 0, 0, nil, 0
	p.unsettled = [2]int{}
	p.forgetRetained()
	p.repeats, p.stray = 0, false
	p.txnNext++
	p.txnOpen, p.txnState = p.txnNext, txnNone
	p.err = nil
	p.broken.Store(false)
	p.notify()
}

// enlist adds partitions to the open transaction, in one request.
func (p *Producer) enlist(parts []*partition) {
	defer func() {
		p.mu.Lock()
		p.enlisting = false
		p.notify()
		p.mu.Unlock()
	}()
	req := &sarama.AddPartitionsToTxnRequest{
		Version: 3, TransactionalID: p.cfg.TransactionalID, ProducerID: p.identity.id, ProducerEpoch: p.identity.epoch,
		TopicPartitions: map[string][]int32{},
	}
	p.mu.Lock()
	txn, before := p.txnOpen, p.txnState
	if before == txnNone {
		p.txnState, p.txnSince = txnInDoubt, time.Now()
	}
	p.mu.Unlock()
	for _, pt := range parts {
		req.TopicPartitions[pt.topic.name] = append(req.TopicPartitions[pt.topic.name], pt.id)
	}
	var resp *sarama.AddPartitionsToTxnResponse
	err := p.interruptible(func() (err error) {
		resp, err = askCoordinator(p, func(b *sarama.Broker) (*sarama.AddPartitionsToTxnResponse, error) {
			return b.AddPartitionsToTxn(req)
		})
		return err
	})
	codes := map[string]map[int32]sarama.KError{}
	if err == nil {
		for topic, list := range resp.Errors {
			codes[topic] = map[int32]sarama.KError{}
			for _, e := range list {
				codes[topic][e.Partition] = e.Err
			}
		}
	}
	moved, busy := false, false
	p.mu.Lock()
	if p.txnState = max(before, begins(codes)); err != nil {
		p.txnState = max(before, txnInDoubt)
	}
	for _, pt := range parts {
		if p.err != nil || p.aborting {
			break
		}
		code, answered := codes[pt.topic.name][pt.id]
		switch {
		case err != nil:
			p.postpone(pt, err)
		case !answered:
			p.postpone(pt, sarama.ErrIncompleteResponse)
		case code == sarama.ErrNoError:
			pt.enlisted = txn
		case code == sarama.ErrConcurrentTransactions:
			busy = true
			pt.notBefore = time.Now().Add(p.stillBusy()) // the markers of the last one are still being written
		case code == sarama.ErrOperationNotAttempted:
		case fencing(code):
			p.interrupt(&breach{code: code, cause: fmt.Errorf("add partitions to transaction: %w", explain(code))})
		case abortable(code):
			p.interrupt(&breach{cause: fmt.Errorf("add partitions to transaction: %w", code)})
		case retriable(code):
			moved = moved || coordinatorMoved(code)
			p.postpone(pt, code)
		default:
			p.fail(&RecordError{Topic: pt.topic.name, Partition: pt.id, Records: 1, Err: explain(code)})
		}
	}
	if !busy && err == nil {
		p.busySince = time.Time{}
	}
	p.mu.Unlock()
	if moved {
		p.refreshCoordinator()
	}
}

// begins tells what the answer to a request to add partitions says of the transaction.
func begins(answer map[string]map[int32]sarama.KError) txnState {
	state := txnNone
	for _, codes := range answer {
		for _, code := range codes {
			switch {
			case code == sarama.ErrNoError:
				return txnOpen
			case retriable(code) && code != sarama.ErrConcurrentTransactions:
				state = txnInDoubt // the coordinator may have written it down
			}
		}
	}
	return state
}

const (
	// A new transaction asks again after so long while the last one's markers are being written: soon at first.
	minConcurrentPause, maxConcurrentPause = 2 * time.Millisecond, 100 * time.Millisecond
	// minPatience is for how long at least a coordinator may be busy with that.
	minPatience = 30 * time.Second
)

// stillBusy is told of each CONCURRENT_TRANSACTIONS when partitions are added; p.mu is held. It returns the pause before the
// next attempt, warns when that takes long, and gives up when it does not end.
func (p *Producer) stillBusy() time.Duration {
	if p.busySince.IsZero() {
		p.busySince = time.Now()
	}
	since := time.Since(p.busySince)
	p.warnBusy(since)
	if since > p.busyLimit {
		p.fail(fmt.Errorf("add partitions to transaction %s: %w", p.cfg.TransactionalID, ErrCoordinatorBusy))
	}
	return concurrentPause(since)
}

// concurrentPause is how long to wait before asking a coordinator again that has been busy for so long.
func concurrentPause(since time.Duration) time.Duration {
	return min(max(since/10, minConcurrentPause), maxConcurrentPause)
}

// warnBusy says, at most every ten seconds, that a coordinator has been busy for long.
func (p *Producer) warnBusy(since time.Duration) {
	if since < patience || time.Since(p.warned) < 10*time.Second {
		return
	}
	p.warned = time.Now()
	p.trying("begin transaction "+p.cfg.TransactionalID, ErrCoordinatorBusy)
	p.log.Warn("a Kafka transaction waits for the one before it", "transactional.id", p.cfg.TransactionalID,
		"for", since.Round(time.Millisecond), "limit", p.busyLimit, "error", ErrCoordinatorBusy)
}

func coordinatorMoved(code sarama.KError) bool {
	return code == sarama.ErrNotCoordinatorForConsumer || code == sarama.ErrConsumerCoordinatorNotAvailable
}

func (p *Producer) refreshCoordinator() {
	// A failure shows at the next request to the coordinator, which is retried.
	_ = p.interruptible(func() error { return p.session.client.RefreshTransactionCoordinator(p.cfg.TransactionalID) })
}

// askCoordinator sends one request to the transaction coordinator and drops a broken connection.
func askCoordinator[T any](p *Producer, call func(*sarama.Broker) (T, error)) (T, error) {
	var zero T
	b, err := p.session.client.TransactionCoordinator(p.cfg.TransactionalID)
	if err != nil {
		return zero, err
	}
	generation := p.session.generation(b)
	resp, err := call(b)
	if err != nil {
		p.mu.Lock()
		p.stray = true
		p.mu.Unlock()
		p.session.drop(b, generation)
		// The next attempt must not stick to a broker that is gone.
		_ = p.session.client.RefreshTransactionCoordinator(p.cfg.TransactionalID)
	}
	return resp, err
}

// endTxn commits or aborts. A lost answer is no end: the same request is repeated, which a coordinator answers with what
// has happened, until ctx ends. With an error, a breach says that the transaction has come to another end, which can be
// found out.
func (p *Producer) endTxn(ctx context.Context, commit bool) (*breach, error) {
	verb := "abort transaction"
	if commit {
		verb = "commit transaction"
	}
	req := &sarama.EndTxnRequest{
		Version: 3, TransactionalID: p.cfg.TransactionalID, ProducerID: p.identity.id, ProducerEpoch: p.identity.epoch,
		TransactionResult: commit,
	}
	var lost atomic.Bool // a call that ctx cut short may still set it
	code, err := p.insist(ctx, func(b *sarama.Broker) (sarama.KError, error) {
		resp, err := b.EndTxn(req)
		if err != nil {
			lost.Store(true)
			return 0, err
		}
		if resp.Err == sarama.ErrRequestTimedOut || resp.Err == sarama.ErrConcurrentTransactions {
			lost.Store(true) // it may have been done, or be under way
		}
		return resp.Err, nil
	})
	if err != nil || lost.Load() {
		p.mu.Lock()
		p.txnState = min(p.txnState, txnInDoubt)
		p.mu.Unlock()
	}
	switch {
	case err != nil && (lost.Load() || ctx.Err() != nil):
		return nil, fmt.Errorf("%s: %w: %w", verb, ErrUnknownOutcome, err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", verb, err)
	case code == sarama.ErrNoError:
		return nil, nil
	}
	err = fmt.Errorf("%s: %w", verb, explain(code))
	switch {
	case fencing(code):
		return &breach{code: code, cause: err, ended: commit && lost.Load()}, err
	case abortable(code):
		return &breach{cause: err, ended: commit && lost.Load()}, err
	}
	return nil, err
}

// insist asks the coordinator until it answers with something final or ctx ends.
func (p *Producer) insist(ctx context.Context, call func(*sarama.Broker) (sarama.KError, error)) (sarama.KError, error) {
	var last error
	var busy time.Time
	began := time.Now()
	for attempt := 1; ; attempt++ {
		code, err := wait(ctx, func() (sarama.KError, error) { return askCoordinator(p, call) })
		pause := p.cfg.backoff(attempt)
		switch {
		case ctx.Err() != nil:
			return 0, errors.Join(ctx.Err(), last)
		case err != nil:
			if k, ok := asKError(err); ok && !retriable(k) {
				return 0, explain(err)
			}
			last = err
		case code == sarama.ErrConcurrentTransactions:
			if last = code; busy.IsZero() {
				busy = time.Now()
			}
			since := time.Since(busy)
			if since > p.busyLimit {
				return 0, fmt.Errorf("transactional id %s: %w", p.cfg.TransactionalID, ErrCoordinatorBusy)
			}
			p.mu.Lock()
			p.warnBusy(since)
			p.mu.Unlock()
			pause = concurrentPause(since)
		case !retriable(code):
			return code, nil
		default:
			last = code
			if coordinatorMoved(code) {
				p.refreshCoordinator()
			}
		}
		select {
		case <-p.quit:
			return 0, ErrClosed
		default:
		}
		if lasting(began) {
			p.mu.Lock()
			p.trying("ask the coordinator of transaction "+p.cfg.TransactionalID, last)
			p.mu.Unlock()
		}
		if err := sleep(ctx, pause); err != nil {
			return 0, errors.Join(err, last)
		}
	}
}

// initProducerID gets the producer's identity. With a transactional id it fences every earlier holder and ends its open
// transaction; current is the identity to raise when this producer holds the id already, else {-1, -1}.
func (p *Producer) initProducerID(ctx context.Context, current identity) error {
	if !p.transactional() {
		for attempt := 1; ; attempt++ {
			resp, err := wait(ctx, p.session.client.InitProducerID)
			if err == nil && resp.Err == sarama.ErrNoError {
				p.mu.Lock()
				p.identity = identity{resp.ProducerID, resp.ProducerEpoch}
				p.mu.Unlock()
				return nil
			}
			if err == nil {
				err = resp.Err
			}
			if !retriable(err) || ctx.Err() != nil {
				return fmt.Errorf("get a producer id: %w", explain(err))
			}
			if serr := sleep(ctx, p.cfg.backoff(attempt)); serr != nil {
				return fmt.Errorf("get a producer id: %w", errors.Join(serr, err))
			}
			// sarama strikes out brokers whose connection broke here, and has them back with the metadata only.
			_, _ = wait(ctx, func() (struct{}, error) { return struct{}{}, p.session.client.RefreshMetadata() }) // the next attempt tells
		}
	}
	var got identity
	code, err := p.insist(ctx, func(b *sarama.Broker) (sarama.KError, error) {
		resp, err := b.InitProducerID(&sarama.InitProducerIDRequest{
			Version: 4, TransactionalID: &p.cfg.TransactionalID, TransactionTimeout: p.cfg.TransactionTimeout,
			ProducerID: current.id, ProducerEpoch: current.epoch,
		})
		if err != nil {
			return 0, err
		}
		got = identity{resp.ProducerID, resp.ProducerEpoch}
		return resp.Err, nil
	})
	switch {
	case err != nil:
	case code == sarama.ErrNoError:
		p.mu.Lock()
		p.identity = got
		p.mu.Unlock()
		return nil
	case fencing(code):
		err = ErrFenced
	default:
		err = explain(code)
	}
	return fmt.Errorf("initialise transactional id %s: %w", p.cfg.TransactionalID, err)
}
