package demo

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"
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
	tables  []table
	writers []*writer
	cancel  context.CancelFunc
	running sync.WaitGroup
	done    atomic.Int64 // changes committed
}

func newLoad(ctx context.Context, s source, tables []table, seed uint64) (*load, error) {
	l := &load{tables: tables}
	for i := range int64(writers) {
		session, err := s.open(ctx)
		if err != nil {
			l.close()
			return nil, fmt.Errorf("start writer %d: %w", i, err)
		}
		l.writers = append(l.writers, newWriter(i, seed, session, tables))
	}
	return l, nil
}

// fill writes the rows that are there before the worker starts.
func (l *load) fill(ctx context.Context) error {
	for _, w := range l.writers {
		n, err := w.fill(ctx)
		if err != nil {
			return fmt.Errorf("fill the source: %w", err)
		}
		l.done.Add(int64(n))
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
		w.session.close()
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

// commitTimes says when a change was committed, by its version. Nil: the server tells.
type commitTimes map[int64]time.Time

// of returns the time that the workload knows, or the one that the server told.
func (c commitTimes) of(version int64, told time.Time) time.Time {
	if c == nil {
		return told
	}
	return c[version]
}

func (l *load) commitTimes() commitTimes {
	var out commitTimes
	for _, w := range l.writers {
		if out == nil {
			out = w.sent
			continue
		}
		maps.Copy(out, w.sent)
	}
	return out
}

// transact runs f's statements as one transaction and enters its changes into the history once they are committed.
func (w *writer) transact(ctx context.Context, f func(*tx)) (int, error) {
	t := &tx{tables: w.tables, version: w.version}
	f(t)
	sent, err := w.session.run(ctx, t.statements, !t.abandoned)
	if err != nil {
		return 0, fmt.Errorf("run a transaction: %w", err)
	}
	w.version = t.version
	if t.abandoned {
		return 0, nil
	}
	for _, f := range t.committed {
		f()
	}
	if !w.forgetful {
		w.history = append(w.history, t.changes...)
		if !sent.IsZero() {
			w.date(t.changes, sent)
		}
	}
	if t.ledger != 0 {
		w.newest.Store(t.ledger)
	}
	return len(t.changes), nil
}

func (w *writer) date(changes []change, sent time.Time) {
	if w.sent == nil {
		w.sent = commitTimes{}
	}
	for _, c := range changes {
		w.sent[c.version] = sent
	}
}

// tx collects the statements of a transaction.
type tx struct {
	tables     []table
	statements []statement
	changes    []change
	version    int64
	ledger     int64
	abandoned  bool
	committed  []func() // what changes in the writer's picture of its rows
}

// next numbers a change.
func (t *tx) next() int64 {
	t.version += writers
	return t.version
}

// onCommit runs f when the transaction has been committed.
func (t *tx) onCommit(f func()) { t.committed = append(t.committed, f) }

// do enters a statement and the change that it makes to a key.
func (t *tx) do(number int, s statement, op byte, key []*string, version int64) {
	s.table = &t.tables[number]
	t.statements = append(t.statements, s)
	t.changes = append(t.changes, change{number, s.table.joined(key), op, version})
}

// insert inserts a row; values are those of all columns but the version.
func (t *tx) insert(number int, values ...any) { t.insertAs(number, t.next(), values...) }

func (t *tx) insertAs(number int, version int64, values ...any) {
	row := texts(append(values, version)...)
	var set []assignment
	for i, c := range t.tables[number].columns {
		set = append(set, assignment{column: c.name, value: row[i]})
	}
	var key []*string
	for _, k := range t.tables[number].key {
		key = append(key, row[k])
	}
	t.do(number, statement{set: set}, 'c', key, version)
}

// update changes the row with this key.
func (t *tx) update(number int, key []*string, set ...assignment) {
	v := t.next()
	t.do(number, statement{set: append(set, to("version", v)), key: key}, 'u', key, v)
}

// move gives a row another key, of one column: an event stream shows that as a delete of the old key and a create of the new one.
func (t *tx) move(number int, key, other []*string) {
	table := &t.tables[number]
	t.changes = append(t.changes, change{number, table.joined(key), 'd', t.next()})
	v := t.next()
	name := table.columns[table.key[0]].name
	t.do(number, statement{set: []assignment{{column: name, value: other[0]}, to("version", v)}, key: key}, 'c', other, v)
}

// remove deletes the row with this key.
func (t *tx) remove(number int, key []*string) {
	t.do(number, statement{key: key}, 'd', key, t.next())
}

func to(column string, value any) assignment {
	return assignment{column: column, value: texts(value)[0]}
}

func plus(column string, value any) assignment {
	return assignment{column: column, value: texts(value)[0], add: true}
}
