package postgres

import (
	"context"
	"strings"
	"testing"
	"time"
)

// TestResumeFromThePlainOffset starts the source again after every batch with the reference's keys alone: as after the
// reference has run in between, it may repeat rows of the last LSN and never misses one. The rows of a COPY share LSNs.
func TestResumeFromThePlainOffset(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{"snapshot.mode": "no_data", "table.include.list": "public.a"})
	r.exec("CREATE TABLE a (id int PRIMARY KEY, v text)")
	r.start()
	const first, last = 1, 700
	r.exec("INSERT INTO a VALUES (1, 'x')")
	copyRows(t, r, 2, 299)
	r.exec("INSERT INTO a SELECT g, 's' FROM generate_series(301, 320) g")
	r.exec("BEGIN")
	copyRows(t, r, 321, 200)
	copyRows(t, r, 521, 179)
	r.exec("COMMIT", "INSERT INTO a VALUES (700, 'y')")

	const group = 200 // no page holds the rows of more
	next, repeated := first, 0
	for next <= last {
		for new := next; next == new; { // a group that is repeated whole is a batch of its own
			r.task.stream.records = 1
			seen := len(r.events)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			err := r.poll(ctx, true)
			cancel()
			if err != nil {
				t.Fatalf("poll: %v; row %d has not come", err, next)
			}
			for _, e := range r.events[seen:] {
				id := rowNumber(t, e)
				switch {
				case id == next:
					next++
				case id > next:
					t.Fatalf("row %d came, row %d did not", id, next)
				case id < next-group:
					t.Fatalf("row %d came again before row %d: it is not of the last LSN", id, next)
				default:
					repeated++
				}
			}
		}
		state := r.task.state
		r.crash()
		delete(r.store, state)
		r.start()
	}
	if repeated == 0 {
		t.Error("no row came again: the test does not resume inside a transaction")
	}
	t.Logf("%d rows, %d repeated", last, repeated)
}

// rowNumber is the id in the text of an insert.
func rowNumber(t *testing.T, event string) int {
	t.Helper()
	n := 0
	_, row, found := strings.Cut(event, "after (")
	for found && row != "" && row[0] >= '0' && row[0] <= '9' {
		n, row = 10*n+int(row[0]-'0'), row[1:]
	}
	if n == 0 {
		t.Fatalf("no number in %q", event)
	}
	return n
}
