package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/testbed"
)

// history writes seeded random transactions to two tables and knows which events each of them must give. Table a has REPLICA
// IDENTITY FULL, table b its key alone. Every transaction ends by updating row 0 of table a.
type history struct {
	random *rand.Rand
	rows   map[string]map[int]int // table, id: seq
	ids    map[string][]int       // the ids of rows, to choose from
	want   map[string][]event     // key: all of its events
	txOf   map[int]int            // seq: number of its transaction
	seq    int
	nextID int

	allowed atomic.Int64 // transactions that may be committed
	done    atomic.Int64 // transactions that were committed
	total   int
}

// event is an operation and the row's seq, "u17"; a tombstone is "t".
type event struct {
	tx   int
	text string
}

const historyTables = `CREATE TABLE a (id int PRIMARY KEY, seq int NOT NULL, pad text); ALTER TABLE a REPLICA IDENTITY FULL;
CREATE TABLE b (id int PRIMARY KEY, seq int NOT NULL, pad text);`

// newHistory creates the tables with n rows each.
func newHistory(t testing.TB, pg *testbed.Postgres, database string, seed uint64, n int) *history {
	t.Helper()
	h := &history{
		random: rand.New(rand.NewPCG(seed, 1)), rows: map[string]map[int]int{"a": {}, "b": {}}, ids: map[string][]int{},
		want: map[string][]event{}, txOf: map[int]int{}, nextID: n,
	}
	pg.Exec(t, database, historyTables,
		fmt.Sprintf("INSERT INTO a SELECT n, n + 1, repeat('x', 50) FROM generate_series(0, %d) n", n-1),
		fmt.Sprintf("INSERT INTO b SELECT n, n + 1 + %d, repeat('x', 50) FROM generate_series(0, %d) n", n, n-1))
	for _, table := range []string{"a", "b"} {
		for id := range n {
			h.put(table, id, "c")
		}
	}
	return h
}

// put notes an insert or an update and returns the row's new seq.
func (h *history) put(table string, id int, op string) int {
	h.seq++
	if op == "c" {
		h.ids[table] = append(h.ids[table], id)
	}
	h.rows[table][id], h.txOf[h.seq] = h.seq, h.total
	h.note(table, id, op+strconv.Itoa(h.seq))
	return h.seq
}

// take notes the end of a row.
func (h *history) take(table string, at int) {
	id := h.ids[table][at]
	h.ids[table] = slices.Delete(h.ids[table], at, at+1)
	before := 0 // not in the identity
	if table == "a" {
		before = h.rows[table][id]
	}
	h.note(table, id, "d"+strconv.Itoa(before))
	h.note(table, id, "t")
	delete(h.rows[table], id)
}

func (h *history) note(table string, id int, text string) {
	key := table + strconv.Itoa(id)
	h.want[key] = append(h.want[key], event{h.total, text})
}

// transaction makes up the next transaction.
func (h *history) transaction() string {
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

func (h *history) statement(sql *strings.Builder) {
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
		fmt.Fprintf(sql, "INSERT INTO %s VALUES (%d, %d, 'new');", table, id, h.put(table, id, "c"))
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

// write commits n transactions, as they are allowed. When the server goes away it connects again and goes on, asking the server whether the
// transaction in between was committed.
func (h *history) write(ctx context.Context, dsn string, n int) error {
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			_ = conn.Close(context.WithoutCancel(ctx))
		}
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for at := range n {
		for int64(at) >= h.allowed.Load() && ctx.Err() == nil {
			<-tick.C
		}
		sql := h.transaction()
		for {
			var err error
			if conn == nil || conn.IsClosed() {
				if conn, err = pgx.Connect(ctx, dsn); err == nil {
					var reached int
					if err = conn.QueryRow(ctx, "SELECT seq FROM a WHERE id = 0").Scan(&reached); err == nil && reached == h.seq {
						break
					}
				}
			}
			if err == nil {
				if _, err = conn.PgConn().Exec(ctx, sql).ReadAll(); err == nil {
					break
				}
			}
			if ctx.Err() != nil || conn != nil && !conn.IsClosed() {
				return errors.Join(ctx.Err(), fmt.Errorf("write %.300q: %w", sql, err))
			}
			<-tick.C
		}
		h.done.Add(1)
	}
	return nil
}

// seen is an event that a reader got.
type seen struct {
	key, text string
	lsn       int64 // 0 for a tombstone
}

// check compares what was read with what was written, key by key. A snapshot that was interrupted may have shown rows before.
// With repeats, a window of events may come again.
func (h *history) check(t testing.TB, got []seen, interrupted, repeats bool) {
	t.Helper()
	byKey, first := map[string][]seen{}, h.total+1
	for _, s := range got {
		byKey[s.key] = append(byKey[s.key], s)
		if seq, err := strconv.Atoi(s.text[1:]); err == nil && (s.text[0] == 'c' || s.text[0] == 'u') {
			first = min(first, h.txOf[seq])
		}
	}
	for key := range byKey {
		if h.want[key] == nil {
			t.Errorf("%s was never written, but read: %v", key, byKey[key])
		}
	}
	complaints := 0
	for _, key := range slices.Sorted(maps.Keys(h.want)) {
		list := byKey[key]
		if repeats {
			list = firstOnes(list)
		}
		if problem := compare(h.want[key], list, first, interrupted); problem != "" {
			if complaints++; complaints <= 10 {
				t.Errorf("%s: %s", key, problem)
			}
		}
	}
	if complaints > 10 {
		t.Errorf("%d keys are wrong in total", complaints)
	}
	t.Logf("%d events of %d keys for %d transactions, of which the snapshot has %d", len(got), len(h.want), h.total, first-1)
}

// firstOnes leaves out what was there before, with its tombstone.
func firstOnes(list []seen) []seen {
	var out []seen
	have, again := map[seen]bool{}, false
	for _, s := range list {
		if s.text != "t" {
			again = have[s]
			have[s] = true
		}
		if !again && (s.text != "t" || len(out) > 0 && out[len(out)-1].text[0] == 'd') {
			out = append(out, s)
		}
	}
	return out
}

// compare checks one key: the state before transaction first comes from the snapshot, all the rest from the stream. With an
// interrupted snapshot every attempt shows rows as they were then, and the stream still has every change since the first.
func compare(want []event, got []seen, first int, interrupted bool) string {
	split := 0
	for split < len(want) && want[split].tx < first {
		split++
	}
	var expected, texts []string
	read := split > 0 && (want[split-1].text[0] == 'c' || want[split-1].text[0] == 'u')
	if read && !(interrupted && split < len(want)) {
		expected = append(expected, "r"+want[split-1].text[1:])
	}
	for _, e := range want[split:] {
		expected = append(expected, e.text)
	}
	for _, s := range got {
		if interrupted && s.text[0] == 'r' {
			known := func(e event) bool { return (e.text[0] == 'c' || e.text[0] == 'u') && e.text[1:] == s.text[1:] }
			if !slices.ContainsFunc(want, known) {
				return fmt.Sprintf("the snapshot shows %s, which the row never was", s.text)
			}
			if split < len(want) || slices.Contains(texts, s.text) {
				continue
			}
		}
		texts = append(texts, s.text)
	}
	if slices.Equal(expected, texts) {
		return ""
	}
	return fmt.Sprintf("want %v\n got %v", expected, texts)
}
