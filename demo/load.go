package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// writers is how many sessions write at the same time. Each owns its rows, so that the order of changes per key is known.
const writers = 4

// change is one row change of the workload.
type change struct {
	table   int
	key     string // as table.keyOf
	op      byte   // c u d, as in the envelope
	version int64  // of the row that it wrote; of a delete: its place in the writer's order
}

// load is the workload with its writers.
type load struct {
	writers []*writer
	cancel  context.CancelFunc
	running sync.WaitGroup
	done    atomic.Int64 // changes committed
}

func newLoad(ctx context.Context, dsn string, seed uint64) (*load, error) {
	l := &load{}
	for i := range int64(writers) {
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			l.close()
			return nil, fmt.Errorf("connect writer %d to the source: %w", i, err)
		}
		l.writers = append(l.writers, newWriter(i, seed, conn))
	}
	return l, nil
}

// fill writes the rows that are there before the worker starts.
func (l *load) fill(ctx context.Context) error {
	for _, w := range l.writers {
		if err := w.fill(ctx); err != nil {
			return fmt.Errorf("fill the source: %w", err)
		}
		l.done.Add(int64(len(w.history)))
	}
	return nil
}

// start lets every writer work at its share of rate until stop. A writer that fails cancels the run.
func (l *load) start(ctx context.Context, rate int, cancel context.CancelCauseFunc) {
	ctx, l.cancel = context.WithCancel(ctx)
	for _, w := range l.writers {
		l.running.Add(1)
		go func() {
			defer l.running.Done()
			if err := l.write(ctx, w, float64(rate)/writers); err != nil {
				cancel(fmt.Errorf("writer %d of the workload: %w", w.id, err))
			}
		}()
	}
}

// write is the life of one writer. A transaction that was begun is always finished, so that its outcome is known.
func (l *load) write(ctx context.Context, w *writer, rate float64) error {
	began, n := time.Now(), 0
	for ctx.Err() == nil {
		k, err := w.transaction(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
		n += k
		l.done.Add(int64(k))
		due := began.Add(time.Duration(float64(n) / rate * float64(time.Second)))
		if err := until(ctx, due); err != nil {
			return nil // stopped
		}
	}
	return nil
}

// stop ends the writers after their current transaction; it may be called twice.
func (l *load) stop() {
	if l.cancel != nil {
		l.cancel()
	}
	l.running.Wait()
}

func (l *load) close() {
	l.stop()
	for _, w := range l.writers {
		_ = w.conn.Close(context.Background()) // nothing is lost with it
	}
}

// changes is how many changes have been committed so far.
func (l *load) changes() int64 { return l.done.Load() }

// newest returns the id of the newest row that each writer has committed to the ledger.
func (l *load) newest() []int64 {
	var out []int64
	for _, w := range l.writers {
		out = append(out, w.newest.Load())
	}
	return out
}

// transact runs f's statements as one transaction and enters its changes into the history once they are committed.
func (w *writer) transact(ctx context.Context, f func(*tx)) (int, error) {
	t := &tx{w: w, version: w.version}
	t.batch.Queue("BEGIN")
	f(t)
	end := "COMMIT"
	if t.abandoned {
		end = "ROLLBACK"
	}
	t.batch.Queue(end)
	if err := w.conn.SendBatch(ctx, &t.batch).Close(); err != nil {
		return 0, fmt.Errorf("run a transaction: %w", err)
	}
	w.version = t.version
	if t.abandoned {
		return 0, nil
	}
	for _, f := range t.committed {
		f()
	}
	w.history = append(w.history, t.changes...)
	if t.ledger != 0 {
		w.newest.Store(t.ledger)
	}
	return len(t.changes), nil
}

// tx collects the statements of a transaction.
type tx struct {
	w         *writer
	batch     pgx.Batch
	changes   []change
	version   int64
	ledger    int64
	abandoned bool
	committed []func() // what changes in the writer's picture of its rows
}

// next numbers a change.
func (t *tx) next() int64 {
	t.version += writers
	return t.version
}

func (t *tx) note(table int, key string, op byte, version int64) {
	t.changes = append(t.changes, change{table, key, op, version})
}

// onCommit runs f when the transaction has been committed.
func (t *tx) onCommit(f func()) { t.committed = append(t.committed, f) }

var errNoRows = errors.New("a statement of the workload changed no row")

// queue adds a statement that must change exactly one row.
func (t *tx) queue(sql string, args ...any) {
	t.batch.Queue(sql, args...).Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() != 1 {
			return fmt.Errorf("%w: %s", errNoRows, sql)
		}
		return nil
	})
}
