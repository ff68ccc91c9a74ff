//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	pacedWriters = 4             // sessions that share a paced load
	idsOfWriter  = 1_000_000_000 // writer i has the ids from (i+1) × this number on
	tick         = time.Millisecond
	pipelined    = 200 // most transactions that a session sends before it reads the answers
)

// paced is a load of one-row transactions at a rate. Its rows carry the server's clock just before their commit.
type paced struct {
	conns []*pgx.Conn
	sent  []int // per writer; valid after run

	committed func(n int) // called by the writers; nil: nobody
}

// pacedInsert makes one row; every statement is its own transaction.
const pacedInsert = "INSERT INTO bench.rows VALUES ($1, 1, 2, 3.5, 2.25, 'open', 'selection 17 in race 3', true, " +
	"timestamptz '2026-01-01 00:00:00.123456Z', clock_timestamp())"

func (b *bench) newPaced(ctx context.Context) (*paced, error) {
	l := &paced{sent: make([]int, pacedWriters)}
	for range pacedWriters {
		conn, err := pgx.Connect(ctx, b.source.dsn.String())
		if err != nil {
			return nil, errors.Join(fmt.Errorf("connect a writer: %w", err), l.close())
		}
		l.conns = append(l.conns, conn)
		if _, err := conn.PgConn().Prepare(ctx, "insert", pacedInsert, nil); err != nil {
			return nil, errors.Join(fmt.Errorf("prepare the load: %w", err), l.close())
		}
	}
	return l, nil
}

func (l *paced) close() error {
	var errs []error
	for _, conn := range l.conns {
		errs = append(errs, conn.Close(context.Background()))
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

// send writes n transactions in one pipeline.
func (l *paced) send(ctx context.Context, writer, n int) error {
	p := l.conns[writer].PgConn().StartPipeline(ctx)
	for range n {
		id := (writer+1)*idsOfWriter + l.sent[writer]
		p.SendQueryPrepared("insert", [][]byte{strconv.AppendInt(nil, int64(id), 10)}, nil, nil)
		p.SendPipelineSync() // ends the transaction
		l.sent[writer]++
	}
	err := p.Flush()
	for synced := 0; err == nil && synced < n; {
		var result any
		if result, err = p.GetResults(); err != nil {
			break
		}
		switch result := result.(type) {
		case *pgconn.PipelineSync:
			synced++
		case *pgconn.ResultReader:
			_, err = result.Close()
		}
	}
	if err := errors.Join(err, p.Close()); err != nil {
		return fmt.Errorf("write one-row transactions: %w", err)
	}
	if l.committed != nil {
		l.committed(n)
	}
	return nil
}
