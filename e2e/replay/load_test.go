package replay

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
)

const table = `CREATE TABLE bets (id bigint PRIMARY KEY, seq int NOT NULL, stake numeric(12,2), note text, at timestamptz)`

// chunk is how many keys a transaction changes.
const chunk = 5000

// written is what a load did.
type written struct {
	changes int // of rows; a change of a key is a delete and an insert
	records int // that they are in a topic, tombstones included
}

// write makes at least so many changes on keys: every pass over them updates all, deletes some, brings back those that the pass before
// deleted, and moves some to keys above.
func write(t testing.TB, conn *pgx.Conn, changes, keys int) (w written) {
	t.Helper()
	exec := func(changes, records int, sql string, args ...any) {
		tag, err := conn.Exec(t.Context(), sql, args...)
		if err != nil {
			t.Fatal(err)
		}
		n := int(tag.RowsAffected())
		w.changes, w.records = w.changes+n*changes, w.records+n*records
	}
	for pass := 0; w.changes < changes; pass++ {
		for from := 0; from < keys && w.changes < changes; from += chunk {
			to := min(from+chunk, keys)
			exec(1, 1, `INSERT INTO bets SELECT id, $3, id % 1000 / 4.0, 'new ' || id, '2026-01-01'::timestamptz + id * interval '1 millisecond'
FROM generate_series($1::bigint, $2 - 1) id ON CONFLICT (id) DO NOTHING`, from, to, pass)
			exec(1, 1, `UPDATE bets SET seq = $3, stake = CASE WHEN id % 9 = $3 % 9 THEN NULL ELSE ($3 + id % 100) / 8.0 END, note = CASE WHEN id % 7 > 0 THEN 'pass ' || $3 END,
at = at + interval '1 microsecond' WHERE id >= $1 AND id < $2`, from, to, pass)
			exec(1, 2, "DELETE FROM bets WHERE id >= $1 AND id < $2 AND id % 11 = $3 % 11", from, to, pass)
			exec(2, 3, "UPDATE bets SET id = id + $4::bigint * ($3 + 1) WHERE id >= $1 AND id < $2 AND id % 101 = $3 % 101", from, to, pass, keys)
		}
	}
	return w
}

// lines reads a column of text.
func lines(t testing.TB, conn *pgx.Conn, sql string) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// difference says where two lists begin to differ; "" when they do not.
func difference(want, got []string) string {
	for i := range max(len(want), len(got)) {
		var a, b string
		if i < len(want) {
			a = want[i]
		}
		if i < len(got) {
			b = got[i]
		}
		if a != b {
			return fmt.Sprintf("%d rows, want %d; row %d is %q, want %q", len(got), len(want), i, b, a)
		}
	}
	return ""
}
