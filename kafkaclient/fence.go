package kafkaclient

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// txnState is what is known of the open transaction at the coordinator, which ends none that was not begun.
type txnState uint8

const (
	txnNone    txnState = iota
	txnInDoubt          // the answer to a request that begins or ends it was lost
	txnOpen
)

// Claim is what a producer holds of its transactional id, for the next one of the same owner (ProducerOptions.Claim). The zero
// Claim holds nothing.
type Claim struct {
	Held  bool
	ID    int64
	Epoch int16
	Open  bool // a transaction may be open, which the coordinator ends by itself after transaction.timeout.ms
}

// Claim returns what the producer holds; also after Close.
func (p *Producer) Claim() Claim {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Claim{p.transactional(), p.identity.id, p.identity.epoch, p.txnState != txnNone}
}

// begin gets the identity of a new producer. With a claim it is the one after that, so that an owner who was stopped for a while
// does not throw out whoever has taken over meanwhile (I6, KIP-360).
func (p *Producer) begin(ctx context.Context, c Claim) error {
	if !c.Held || !p.transactional() {
		return p.initProducerID(ctx, identity{id: -1, epoch: -1})
	}
	p.identity = identity{c.ID, c.Epoch}
	if c.Open {
		p.txnState = txnInDoubt
	}
	owner, err := p.judge(ctx, sarama.ErrNoError)
	if err == nil {
		_, err = p.renewID(ctx, owner)
	}
	p.txnState = txnNone
	return err
}

// renewID initialises the id again, from the identity that this producer has. A coordinator refuses that when it is stale. An epoch that the
// coordinator has raised is told before the request raises it once more: who is killed then has a claim that is at most one behind.
func (p *Producer) renewID(ctx context.Context, owner ownership) (ownership, error) {
	p.claimed(ctx, owner == revived)
	err := p.initProducerID(ctx, p.identity)
	if errors.Is(err, ErrFenced) && owner == kept { // by somebody, or by a request of its own that came late
		if owner, err = p.judge(ctx, sarama.ErrProducerFenced); err == nil {
			p.claimed(ctx, owner == revived)
			err = p.initProducerID(ctx, p.identity)
		}
	}
	p.claimed(ctx, err == nil)
	return owner, err
}

// claimed tells what this producer holds, when that has changed.
func (p *Producer) claimed(ctx context.Context, changed bool) {
	if changed && p.opts.Claimed != nil {
		p.opts.Claimed(ctx, p.Claim())
	}
}

// ownership is what judge finds out about an epoch.
type ownership int

const (
	kept    ownership = iota // the coordinator knows this producer as the owner
	revived                  // it has ended this producer's transaction and raised the epoch
	expired                  // it has forgotten the transactional id
)

// settlePause is for how long the coordinator's state has to stay the same before an aborted transaction, which is not known to have
// been open for its whole time limit, counts as ended by the coordinator: whoever takes over asks again much sooner.
const settlePause = 2 * time.Second

// judge finds out why a broker refused this producer's epoch with code: ErrFenced when somebody took over. Otherwise the id can be
// initialised again from p.identity, which the coordinator refuses when somebody has taken over meanwhile. Without a code nothing
// was refused yet: it must be asked before the id is initialised with an epoch that may be stale, for a coordinator aborts the
// open transaction of whoever owns the id before it looks at the epoch.
func (p *Producer) judge(ctx context.Context, code sarama.KError) (ownership, error) {
	p.mu.Lock()
	begun := p.txnState != txnNone
	old := p.txnState == txnOpen && time.Since(p.txnSince) >= p.cfg.TransactionTimeout
	p.mu.Unlock()
	for until := time.Now().Add(settlePause); ; {
		state, err := p.describe(ctx)
		fenced := fmt.Errorf("%w: transactional id %s: producer %d with epoch %d owns it, this one is %d with epoch %d",
			ErrFenced, p.cfg.TransactionalID, state.ProducerID, state.ProducerEpoch, p.identity.id, p.identity.epoch)
		switch {
		case errors.Is(err, sarama.ErrUnsupportedVersion): // brokers before 3.0 cannot tell
			if code == sarama.ErrNoError {
				return kept, nil
			}
			return 0, fmt.Errorf("%w: transactional id %s: %w", ErrFenced, p.cfg.TransactionalID, explain(code))
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
		case state.ProducerEpoch != p.identity.epoch+1:
			return 0, fenced
		case state.TransactionState == "Empty" && code == sarama.ErrNoError:
			return kept, nil // its own request may have done that, and the answer be lost: the coordinator knows
		case !begun || state.TransactionState != "CompleteAbort":
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
