//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	pacedWriters = 4             // sessions that share a paced load
	idsOfWriter  = 1_000_000_000 // writer i has the ids from (i+1) × this number on
	tick         = time.Millisecond
	pipelined    = 200 // most transactions that a session sends before it reads the answers
)

// paced is a load of one-row transactions at a rate. Its rows carry the server's clock just before their commit.
type paced struct {
	writers []writer
	sent    []int // per writer; valid after run

	committed func(writer, n int) // called by the writers; nil: nobody
}

// writer is one session of the load.
type writer interface {
	// write commits n one-row transactions, with ids from first on, and returns when all of them are.
	write(ctx context.Context, first, n int) error
	close() error
}

func (b *bench) newPaced(ctx context.Context) (*paced, error) {
	l := &paced{sent: make([]int, pacedWriters)}
	for range pacedWriters {
		w, err := b.source.writer(ctx)
		if err != nil {
			return nil, errors.Join(err, l.close())
		}
		l.writers = append(l.writers, w)
	}
	return l, nil
}

func (l *paced) close() error {
	var errs []error
	for _, w := range l.writers {
		errs = append(errs, w.close())
	}
	return errors.Join(errs...)
}

// run writes at the rate (transactions a second) for so long and returns how many there were.
func (l *paced) run(ctx context.Context, rate int, lasting time.Duration) (int, error) {
	began := time.Now()
	errs := make([]error, pacedWriters)
	before := l.total()
	var running sync.WaitGroup
	for i := range pacedWriters {
		running.Go(func() { errs[i] = l.write(ctx, i, began, float64(rate)/pacedWriters, lasting) })
	}
	running.Wait()
	return l.total() - before, errors.Join(errs...)
}

func (l *paced) total() int {
	sum := 0
	for _, n := range l.sent {
		sum += n
	}
	return sum
}

// write is one writer: at every tick it sends what is due.
func (l *paced) write(ctx context.Context, writer int, began time.Time, rate float64, lasting time.Duration) error {
	first := l.sent[writer]
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		elapsed := time.Since(began)
		if elapsed >= lasting {
			return nil
		}
		due := int(elapsed.Seconds()*rate) - (l.sent[writer] - first)
		if due = min(due, pipelined); due > 0 {
			if err := l.send(ctx, writer, due); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// send writes n transactions.
func (l *paced) send(ctx context.Context, writer, n int) error {
	first := (writer+1)*idsOfWriter + l.sent[writer]
	l.sent[writer] += n
	if err := l.writers[writer].write(ctx, first, n); err != nil {
		return fmt.Errorf("write one-row transactions: %w", err)
	}
	if l.committed != nil {
		l.committed(writer, n)
	}
	return nil
}
