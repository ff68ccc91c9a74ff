package interchange

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Statement is one statement; with rows it is a COPY from the client.
type Statement struct {
	SQL  string
	Rows string `json:",omitempty"`
}

// Exec runs statements one after the other.
func Exec(ctx context.Context, conn *pgx.Conn, statements ...Statement) error {
	for _, s := range statements {
		var err error
		if s.Rows != "" {
			_, err = conn.PgConn().CopyFrom(ctx, strings.NewReader(s.Rows), s.SQL)
		} else {
			_, err = conn.PgConn().Exec(ctx, s.SQL).ReadAll()
		}
		if err != nil {
			return fmt.Errorf("run %.200q: %w", s.SQL, err)
		}
	}
	return nil
}

// Load makes up seeded transactions on two tables: a shows whole old rows, b only the old key. Every transaction ends by
// writing its number into row 0 of table a.
type Load struct {
	random *rand.Rand
	ids    map[string][]int
	next   int
	Number int // of the last transaction
}

// NewLoad creates the tables with n rows each, and the publication.
func NewLoad(seed uint64, n int, publication string) (*Load, []Statement) {
	l := &Load{random: rand.New(rand.NewPCG(seed, 1)), ids: map[string][]int{}, next: n}
	for id := 1; id < n; id++ {
		l.ids["a"], l.ids["b"] = append(l.ids["a"], id), append(l.ids["b"], id)
	}
	return l, []Statement{
		{SQL: "CREATE TABLE a (id int PRIMARY KEY, seq int NOT NULL, note text); ALTER TABLE a REPLICA IDENTITY FULL"},
		{SQL: "CREATE TABLE b (id bigint PRIMARY KEY, seq int NOT NULL, amount numeric(12,2) DEFAULT 1.5, at timestamptz, flags jsonb)"},
		{SQL: fmt.Sprintf("INSERT INTO a SELECT n, 0, 'row ' || n FROM generate_series(0, %d) n", n-1)},
		{SQL: fmt.Sprintf(`INSERT INTO b SELECT n, 0, n / 4.0, '2026-01-01 00:00:00Z'::timestamptz + n * interval '1 minute', '{"n": 1}' FROM generate_series(0, %d) n`, n-1)},
		{SQL: "CREATE PUBLICATION " + publication + " FOR TABLE a, b"},
	}
}

// Transaction is the next transaction, of up to six changes; now and then some of them share one LSN.
func (l *Load) Transaction() []Statement {
	out := []Statement{{SQL: "BEGIN"}}
	for range 1 + l.random.IntN(5) {
		out = append(out, l.statement())
	}
	return l.end(out)
}

// Long is one transaction of n rows, a fifth of which share LSNs.
func (l *Load) Long(n int) []Statement {
	first := l.next
	l.next += n
	out := []Statement{{SQL: "BEGIN"}}
	const part = 500
	for at := first; at < l.next; at += part {
		upTo := min(at+part, l.next)
		copied := at + (upTo-at)/5
		out = append(out, l.copy("b", at, copied),
			Statement{SQL: fmt.Sprintf("INSERT INTO a SELECT n, %d, 'long' FROM generate_series(%d, %d) n", l.Number+1, copied, upTo-1)})
	}
	return l.end(out)
}

func (l *Load) end(out []Statement) []Statement {
	l.Number++
	return append(out, Statement{SQL: fmt.Sprintf("UPDATE a SET seq = %d WHERE id = 0", l.Number)}, Statement{SQL: "COMMIT"})
}

func (l *Load) copy(table string, from, upTo int) Statement {
	var rows strings.Builder
	for id := from; id < upTo; id++ {
		fmt.Fprintf(&rows, "%d\t%d\n", id, l.Number+1)
	}
	return Statement{SQL: "COPY " + table + " (id, seq) FROM STDIN", Rows: rows.String()}
}

func (l *Load) statement() Statement {
	table := []string{"a", "b"}[l.random.IntN(2)]
	ids, seq := l.ids[table], l.Number+1
	at, what := l.random.IntN(len(ids)), l.random.IntN(11)
	id := ids[at]
	if what >= 6 && what < 9 && len(ids) < 10 {
		what = 0
	}
	switch {
	case what < 2:
		l.next++
		l.ids[table] = append(ids, l.next-1)
		return Statement{SQL: fmt.Sprintf("INSERT INTO %s (id, seq) VALUES (%d, %d)", table, l.next-1, seq)}
	case what < 6:
		return Statement{SQL: fmt.Sprintf("UPDATE %s SET seq = %d WHERE id = %d", table, seq, id)}
	case what < 8:
		l.ids[table] = slices.Delete(ids, at, at+1)
		return Statement{SQL: fmt.Sprintf("DELETE FROM %s WHERE id = %d", table, id)}
	case what < 9:
		l.next++
		ids[at] = l.next - 1
		return Statement{SQL: fmt.Sprintf("UPDATE %s SET id = %d, seq = %d WHERE id = %d", table, l.next-1, seq, id)}
	}
	from := l.next
	l.next += 4
	for id := from; id < l.next; id++ {
		l.ids[table] = append(l.ids[table], id)
	}
	return l.copy(table, from, l.next)
}
