package kafkaclient

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// ownership is what judge finds out about a refused epoch.
type ownership int

const (
	kept    ownership = iota // the coordinator knows this producer as the owner
	revived                  // it has ended this producer's transaction and raised the epoch
	expired                  // it has forgotten the transactional id
)

// settlePause is for how long the coordinator's state has to stay the same before an aborted transaction, which was not open for
// its whole time limit, counts as ended by the coordinator: whoever takes over asks again much sooner.
const settlePause = 2 * time.Second

// judge finds out why a broker refused this producer's epoch: ErrFenced when somebody took over. Otherwise the id can be
// initialised again from p.identity, which the coordinator refuses when somebody has taken over meanwhile.
func (p *Producer) judge(ctx context.Context, code sarama.KError) (ownership, error) {
	fenced := fmt.Errorf("%w: transactional id %s: %w", ErrFenced, p.cfg.TransactionalID, explain(code))
	p.mu.Lock()
	old := p.txnBegun && time.Since(p.txnSince) >= p.cfg.TransactionTimeout
	p.mu.Unlock()
	for until := time.Now().Add(settlePause); ; {
		state, err := p.describe(ctx)
		switch {
		case errors.Is(err, sarama.ErrUnsupportedVersion): // brokers before 3.0 cannot tell
			return 0, fenced
		case err != nil:
			return 0, fmt.Errorf("find out who owns transactional id %s: %w: %w", p.cfg.TransactionalID, ErrUnknownOutcome, err)
		case state.ErrorCode == errTransactionalIDNotFound:
			return expired, nil
		case state.ErrorCode != sarama.ErrNoError:
			return 0, fmt.Errorf("find out who owns transactional id %s: %w", p.cfg.TransactionalID, explain(state.ErrorCode))
		case state.ProducerID != p.identity.id:
			return 0, fenced
		case state.ProducerEpoch == p.identity.epoch:
			return kept, nil
		case state.ProducerEpoch != p.identity.epoch+1 || state.TransactionState != "CompleteAbort":
			return 0, fenced
		}
		// A time-out shows this, and for a moment a take-over, which then raises the epoch once more.
		if old || time.Now().After(until) {
			p.mu.Lock()
			p.identity.epoch++ // what the coordinator raised it to
			p.mu.Unlock()
			return revived, nil
		}
		if err := sleep(ctx, settlePause/20); err != nil {
			return 0, fmt.Errorf("find out who owns transactional id %s: %w: %w", p.cfg.TransactionalID, ErrUnknownOutcome, err)
		}
	}
}

// describe asks the coordinator for the state of the transactional id, and waits for the end of a transaction that is being
// ended.
func (p *Producer) describe(ctx context.Context) (sarama.TransactionState, error) {
	var state sarama.TransactionState
	_, err := p.insist(ctx, func(b *sarama.Broker) (sarama.KError, error) {
		resp, err := b.DescribeTransactions(&sarama.DescribeTransactionsRequest{TransactionalIDs: []string{p.cfg.TransactionalID}})
		if err != nil {
			return 0, err
		}
		if len(resp.TransactionStates) != 1 {
			return 0, sarama.ErrIncompleteResponse
		}
		state = resp.TransactionStates[0]
		switch state.TransactionState {
		case "PrepareAbort", "PrepareEpochFence", "PrepareCommit":
			return sarama.ErrConcurrentTransactions, nil
		}
		return state.ErrorCode, nil
	})
	return state, err
}
