// Package history writes seeded random transactions to a database and knows which events each of them must give. Imported by
// tests only.
package history

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// History writes seeded random transactions to two tables and knows which events each of them must give. In PostgreSQL table a has
// REPLICA IDENTITY FULL, table b its key alone. Every transaction ends by updating row 0 of table a.
type History struct {
	database Database
	random   *rand.Rand
	rows     map[string]map[int]int // table, id: seq
	ids      map[string][]int       // the ids of rows, to choose from
	want     map[string][]event     // key: all of its events
	seq      int
	nextID   int

	allowed atomic.Int64 // transactions that may be committed
	done    atomic.Int64 // transactions that were committed
	total   int
	pace    time.Duration

	mu   sync.Mutex // of what follows, and of want
	ends []uint64   // of each transaction that was committed: a place behind its last record
	seqs []int      // and its last seq
}

// event is an operation and the row's seq, "u17"; a tombstone is "t".
type event struct {
	tx   int
	text string
}

// Database is what a history is written to: OnPostgres, OnMySQL.
type Database interface {
	// create makes the tables a and b (id, seq, pad) with rows of ids below n, whose seq is the id plus first of its table.
	create(t testing.TB, n int, first map[string]int)
	connect(ctx context.Context) (session, error)
	// wholeBefore reports whether a delete of a row of the table shows the row, or its key alone.
	wholeBefore(table string) bool
}

// session is a connection. A place is a number that grows with what is committed: an LSN, or how many transactions there are.
type session interface {
	// commit runs a transaction and returns a place behind it.
	commit(ctx context.Context, sql string) (end uint64, err error)
	// last is the seq of row 0 of table a, and a place behind it.
	last(ctx context.Context) (seq int, end uint64, err error)
	// lost reports whether an error means that another connection is needed.
	lost(err error) bool
	close(ctx context.Context)
}

// New creates the tables with n rows each.
func New(t testing.TB, database Database, seed uint64, n int) *History {
	t.Helper()
	h := &History{
		database: database,
		random:   rand.New(rand.NewPCG(seed, 1)), rows: map[string]map[int]int{"a": {}, "b": {}}, ids: map[string][]int{},
		want: map[string][]event{}, nextID: n,
	}
	database.create(t, n, map[string]int{"a": 1, "b": n + 1})
	for _, table := range []string{"a", "b"} {
		for id := range n {
			h.put(table, id, "c")
		}
	}
	return h
}

// Allow lets n transactions be committed, in all.
func (h *History) Allow(n int) { h.allowed.Store(int64(n)) }

// Pace sets how long to wait behind each transaction, before Write.
func (h *History) Pace(d time.Duration) { h.pace = d }

// Allowed is how many transactions may be committed.
func (h *History) Allowed() int { return int(h.allowed.Load()) }

// Done is how many transactions were committed.
func (h *History) Done() int { return int(h.done.Load()) }

// Rows is what a table holds at the end: id, seq.
func (h *History) Rows(table string) map[int]int { return h.rows[table] }

// Through is the number of the last transaction that ends at or before a place: an LSN, or how many transactions a MySQL has executed;
// 0 for none. From any goroutine.
func (h *History) Through(place uint64) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return sort.Search(len(h.ends), func(i int) bool { return h.ends[i] > place })
}

// Seq is the seq that row 0 of table a has after a transaction. From any goroutine, for one that was committed.
func (h *History) Seq(transaction int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seqs[transaction-1]
}

// put notes an insert or an update and returns the row's new seq.
func (h *History) put(table string, id int, op string) int {
	h.seq++
	if op == "c" {
		h.ids[table] = append(h.ids[table], id)
	}
	h.rows[table][id] = h.seq
	h.note(table, id, op+strconv.Itoa(h.seq))
	return h.seq
}

// take notes the end of a row.
func (h *History) take(table string, at int) {
	id := h.ids[table][at]
	h.ids[table] = slices.Delete(h.ids[table], at, at+1)
	before := 0 // not in the identity
	if h.database.wholeBefore(table) {
		before = h.rows[table][id]
	}
	h.note(table, id, "d"+strconv.Itoa(before))
	h.note(table, id, "t")
	delete(h.rows[table], id)
}

func (h *History) note(table string, id int, text string) {
	key := table + strconv.Itoa(id)
	h.want[key] = append(h.want[key], event{h.total, text})
}

// transaction makes up the next transaction.
func (h *History) transaction() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.total++
	var sql strings.Builder
	sql.WriteString("BEGIN;")
	statements := 1 + h.random.IntN(5)
	if h.random.IntN(50) == 0 {
		statements = 400
	}
	for range statements {
		h.statement(&sql)
	}
	fmt.Fprintf(&sql, "UPDATE a SET seq = %d WHERE id = 0; COMMIT", h.put("a", 0, "u"))
	return sql.String()
}

func (h *History) statement(sql *strings.Builder) {
	table := []string{"a", "b"}[h.random.IntN(2)]
	ids := h.ids[table]
	at := 1 + h.random.IntN(len(ids)-1) // row 0 stays
	if h.random.IntN(2) == 0 {
		at = max(1, len(ids)-1-h.random.IntN(5)) // a row that was touched lately
	}
	id, what := ids[at], h.random.IntN(10)
	if what >= 7 && len(ids) < 10 {
		what = 0
	}
	switch {
	case what < 3:
		id = h.nextID
		h.nextID++
		fmt.Fprintf(sql, "INSERT INTO %s (id, seq, pad) VALUES (%d, %d, 'new');", table, id, h.put(table, id, "c"))
	case what < 6:
		fmt.Fprintf(sql, "UPDATE %s SET seq = %d WHERE id = %d;", table, h.put(table, id, "u"), id)
	case what < 7:
		fmt.Fprintf(sql, "SAVEPOINT s; DELETE FROM %s WHERE id = %d; ROLLBACK TO s;", table, id)
	case what < 9:
		h.take(table, at)
		fmt.Fprintf(sql, "DELETE FROM %s WHERE id = %d;", table, id)
	default:
		h.take(table, at)
		moved := h.nextID
		if h.random.IntN(2) == 0 {
			h.nextID++
		} else {
			moved = id + 1_000_000 // and perhaps an id that was there before
		}
		if _, taken := h.rows[table][moved]; taken {
			moved, h.nextID = h.nextID, h.nextID+1
		}
		fmt.Fprintf(sql, "UPDATE %s SET id = %d, seq = %d WHERE id = %d;", table, moved, h.put(table, moved, "c"), id)
	}
}

// Write commits n transactions, as they are allowed. When the server goes away it connects again and goes on, asking the server
// whether the transaction in between was committed.
func (h *History) Write(ctx context.Context, n int) error {
	var conn session
	defer func() {
		if conn != nil {
			conn.close(context.WithoutCancel(ctx))
		}
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for at := range n {
		for int64(at) >= h.allowed.Load() && ctx.Err() == nil {
			<-tick.C
		}
		sql := h.transaction()
		var end uint64
		for end == 0 {
			var err error
			if conn == nil {
				if conn, err = h.database.connect(ctx); err == nil {
					end, err = h.committed(ctx, conn)
				}
			}
			if err == nil && end == 0 {
				end, err = conn.commit(ctx, sql)
			}
			if err == nil {
				continue
			}
			if ctx.Err() != nil || conn != nil && !conn.lost(err) {
				return errors.Join(ctx.Err(), fmt.Errorf("write %.300q: %w", sql, err))
			}
			if conn != nil {
				conn.close(ctx)
				conn = nil
			}
			<-tick.C
		}
		h.mu.Lock()
		h.ends, h.seqs = append(h.ends, end), append(h.seqs, h.seq)
		h.mu.Unlock()
		h.done.Add(1)
		if h.pace > 0 {
			select {
			case <-time.After(h.pace):
			case <-ctx.Done():
			}
		}
	}
	return nil
}

// committed asks whether the last transaction that was made up is there, and returns a place behind it, 0 when it is not.
func (h *History) committed(ctx context.Context, conn session) (uint64, error) {
	reached, end, err := conn.last(ctx)
	if err != nil || reached != h.seq {
		return 0, err
	}
	return end, nil
}
