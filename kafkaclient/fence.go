package kafkaclient

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// epochError says that a broker refused this producer's epoch: either somebody took over, or the coordinator ended a
// transaction that was open for too long. verdict finds out which.
type epochError struct{ code sarama.KError }

func (e *epochError) Error() string { return explain(e.code).Error() }

// verdict replaces an epochError by ErrFenced or ErrTransactionAborted, for good; other errors pass. When it cannot find out
// before ctx ends, the error stays what it is.
func (p *Producer) verdict(ctx context.Context, err error) error {
	var refused *epochError
	if !errors.As(err, &refused) {
		return err
	}
	p.judging.Lock()
	defer p.judging.Unlock()
	p.mu.Lock()
	if p.judged != nil {
		defer p.mu.Unlock()
		return p.judged
	}
	old := p.txnBegun && time.Since(p.txnSince) >= p.cfg.TransactionTimeout // a younger one did not time out
	p.mu.Unlock()

	timedOut := false
	if old {
		if timedOut, err = p.endedByCoordinator(ctx); err != nil {
			return fmt.Errorf("find out who owns transactional id %s: %w: %w", p.cfg.TransactionalID, ErrUnknownOutcome, err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if timedOut {
		p.identity.epoch++ // what the coordinator raised it to; Abort goes on from there
		p.timedOut = true
		p.judged = fmt.Errorf("%w: it was open for longer than transaction.timeout.ms=%d", ErrTransactionAborted, p.cfg.TransactionTimeout.Milliseconds())
	} else {
		p.judged = fmt.Errorf("%w: transactional id %s: %w", ErrFenced, p.cfg.TransactionalID, refused)
	}
	if errors.As(p.err, &refused) {
		p.err = p.judged
	}
	return p.judged
}

// endedByCoordinator tells whether the coordinator itself aborted the open transaction: it then raised the epoch by one. A
// producer that takes over raises it once more, but shows the same in between, so only a transaction that was open for the whole
// time limit is asked for. Brokers before 3.0 cannot tell; there it counts as a take-over.
func (p *Producer) endedByCoordinator(ctx context.Context) (bool, error) {
	var state sarama.TransactionState
	code, err := p.insist(ctx, func(b *sarama.Broker) (sarama.KError, error) {
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
			return sarama.ErrConcurrentTransactions, nil // wait for its end
		}
		return state.ErrorCode, nil
	})
	if errors.Is(err, sarama.ErrUnsupportedVersion) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	ours := code == sarama.ErrNoError && state.ProducerID == p.identity.id && state.ProducerEpoch == p.identity.epoch+1
	return ours && state.TransactionState == "CompleteAbort", nil
}
