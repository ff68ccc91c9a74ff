package clickhouse

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"sync"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// inserters is how many tables of a block are inserted into at a time.
const inserters = 4

// write makes a block durable, however often it takes (I1); an error means that it cannot be.
func (s *sink) write(ctx context.Context, blk *block) error {
	s.blocks++
	var live []*section
	for i, sec := range blk.sections {
		if sec.rows == 0 && !sec.truncate {
			continue
		}
		// One token for one content: sending it again is the same insert, and an equal block of later rows is another one.
		sec.token = fmt.Sprintf("%s-%d-%d", s.token, s.blocks, i)
		live = append(live, sec)
	}
	if len(live) == 1 {
		return s.table(ctx, live[0])
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	var once sync.Once
	var first error // the others may be about ctx
	places := make(chan struct{}, inserters)
	for _, sec := range live {
		places <- struct{}{}
		group.Go(func() {
			defer func() { <-places }()
			if err := s.table(ctx, sec); err != nil {
				once.Do(func() { first = err })
				cancel()
			}
		})
	}
	group.Wait()
	return first
}

// table truncates a table where that is asked, then inserts its rows.
func (s *sink) table(ctx context.Context, sec *section) error {
	what := "write to table " + sec.plan.target
	if sec.truncate {
		err := s.insist(ctx, what, func(ctx context.Context) error {
			_, err := s.server.statement(ctx, sec.plan.truncate, url.Values{"max_table_size_to_drop": {"0"}})
			return err
		})
		if err != nil || sec.rows == 0 {
			return err
		}
	}
	return s.insist(ctx, what, func(ctx context.Context) error { return s.server.insert(ctx, sec) })
}

const (
	firstPause = 50 * time.Millisecond
	busyPause  = time.Second // of a server that says it has too much to do
	longPause  = 30 * time.Second
)

// insist calls do until it succeeds or cannot, with pauses that grow.
func (s *sink) insist(ctx context.Context, what string, do func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := s.buffer.Context()
	defer context.AfterFunc(stop, cancel)()
	for attempt := 0; ; attempt++ {
		err := do(ctx)
		switch {
		case err == nil:
			return nil
		case stop.Err() != nil:
			return connectors.ErrStopped
		case ctx.Err() != nil:
			return fmt.Errorf("%s: %w", what, ctx.Err())
		case connectors.ClassOf(err) != connectors.Retriable:
			return connectors.AsPermanent(fmt.Errorf("%s: %w", what, err))
		}
		pause := pauseAfter(err, attempt)
		if attempt > 0 || pause >= busyPause {
			s.task.Retrying(fmt.Errorf("%s: %w", what, err))
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// pauseAfter grows with the attempts, with jitter; it begins long where the server needs time to merge or to free memory.
func pauseAfter(err error, attempt int) time.Duration {
	first := firstPause
	if code := codeOf(err); code == codeTooManyParts || code == codeMemory {
		first = busyPause
	}
	limit := min(first<<min(attempt, 12), longPause)
	return limit/2 + time.Duration(rand.Int64N(int64(limit/2)+1))
}
