package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

func copyRows(t *testing.T, r *rig, from, n int) {
	t.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%d\trow %d\n", from+i, from+i)
	}
	if _, err := r.sql.PgConn().CopyFrom(t.Context(), strings.NewReader(b.String()), "COPY a FROM STDIN"); err != nil {
		t.Fatal(err)
	}
}

func workload(t *testing.T, r *rig) {
	t.Helper()
	r.exec("INSERT INTO a VALUES (1,'x')", "BEGIN; INSERT INTO a VALUES (2,'y'); UPDATE a SET v = 'z'; UPDATE a SET id = 20 WHERE id = 2; DELETE FROM a WHERE id = 1; COMMIT")
	r.exec("INSERT INTO uncaptured VALUES (1)", "BEGIN; INSERT INTO a VALUES (3,'kept'); SAVEPOINT s; INSERT INTO a VALUES (4,'undone'); ROLLBACK TO s; INSERT INTO uncaptured VALUES (2); COMMIT")
	r.exec("SELECT pg_logical_emit_message(false, 'f', 'alone')", "BEGIN; SELECT pg_logical_emit_message(true, 'f', 'inside'); INSERT INTO a VALUES (5,'with'); COMMIT")
	copyRows(t, r, 100, 300)
	r.exec("BEGIN; INSERT INTO a SELECT g, 's' FROM generate_series(1000, 1040) g; UPDATE a SET v = 'u' WHERE id BETWEEN 1000 AND 1010; COMMIT", "TRUNCATE b, a")
	r.exec("ALTER TABLE a ADD COLUMN extra int DEFAULT 5", "INSERT INTO a VALUES (6, 'new', 1)", "INSERT INTO b VALUES (1)")
}

// TestResumeAnywhere cuts the source off after every batch, in three ways, and compares with a run that was never cut.
func TestResumeAnywhere(t *testing.T) {
	for _, metadata := range []bool{false, true} {
		t.Run(fmt.Sprintf("transaction metadata %t", metadata), func(t *testing.T) {
			t.Parallel()
			resumeAnywhere(t, metadata)
		})
	}
}

func resumeAnywhere(t *testing.T, metadata bool) {
	t.Helper()
	pg := bed.Postgres(t)
	db := pg.NewDatabase(t)
	config := func(prefix string) connectors.Config {
		return connectors.Config{
			"topic.prefix": "p", "slot.name": prefix + db, "snapshot.mode": "no_data", "skipped.operations": "none",
			"table.include.list": "public.a,public.b", "provide.transaction.metadata": strconv.FormatBool(metadata),
		}
	}
	whole := rigOn(t, pg, db, config("whole_"))
	whole.exec("CREATE TABLE a (id int PRIMARY KEY, v text)", "CREATE TABLE b (x int)", "CREATE TABLE uncaptured (x int)")
	whole.start()
	var cut []*rig
	for i := range 3 {
		r := rigOn(t, pg, db, config(fmt.Sprintf("cut%d_", i)))
		r.start()
		cut = append(cut, r)
	}
	workload(t, whole)
	last := "public.b c () after (1)"
	strip := func(events []string) []string {
		out := make([]string, len(events))
		for i, e := range events {
			out[i] = strings.TrimSuffix(e, " last.")
		}
		return out
	}
	finished := func(r *rig) bool {
		events := strip(r.events)
		if metadata { // the END of its transaction follows
			n := len(events)
			return n > 1 && strings.HasPrefix(events[n-1], "transaction - [END ") && strings.HasPrefix(events[n-2], last)
		}
		return len(events) > 0 && events[len(events)-1] == last
	}
	read := func(r *rig) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := r.poll(ctx, true); err != nil {
			t.Fatalf("poll: %v after %d records", err, len(r.events))
		}
	}
	for !finished(whole) {
		read(whole)
	}
	expected := strings.Join(strip(whole.events), "\n")
	for i, r := range cut {
		how := []string{"graceful stop", "crash", "crash with a batch that was not stored"}[i]
		for !finished(r) {
			r.task.stream.records = 1
			read(r)
			if i == 2 && !finished(r) {
				// The first batch after a start may be the only one that is there; then there is nothing to lose.
				n := len(r.events)
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				_ = r.poll(ctx, false)
				cancel()
				r.events, r.orders = r.events[:n], r.orders[:n]
			}
			if i == 0 {
				r.stop()
			} else {
				r.crash()
			}
			r.start()
		}
		if got := strings.Join(strip(r.events), "\n"); got != expected {
			t.Errorf("%s: got %d records, want %d:\n%s\n--- want\n%s", how, len(r.events), len(whole.events), got, expected)
		}
		if !slices.Equal(r.orders, whole.orders) {
			t.Errorf("%s: another order: %v, want %v", how, r.orders, whole.orders)
		}
		t.Logf("%s: %d batches, %d records", how, r.batches, len(r.events))
	}
}

// TestTransactionThatDoesNotComeAgain stops in the middle of a transaction and goes on with a publication that has none of its rows. The
// position of the idle stream moves all the same, once the log was read to where it ended at the start.
func TestTransactionThatDoesNotComeAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, connectors.Config{"snapshot.mode": "no_data", "publication.name": "first", "publication.autocreate.mode": "disabled", "status.update.interval.ms": "200"})
	r.exec("CREATE TABLE a (id int PRIMARY KEY, v text)", "CREATE TABLE b (id int PRIMARY KEY, v text)", "CREATE PUBLICATION first FOR TABLE a", "CREATE PUBLICATION second FOR TABLE b")
	r.start()
	r.streaming()
	r.task.stream.records = 1
	r.exec("INSERT INTO a VALUES (1,'x'), (2,'x'), (3,'x')")
	r.until(1)
	r.crash()
	r.config["publication.name"] = "second"
	r.start()
	r.exec("CREATE TABLE other AS SELECT generate_series(1, 10000)")
	var end string
	if err := r.sql.QueryRow(t.Context(), "SELECT pg_current_wal_lsn()::text").Scan(&end); err != nil {
		t.Fatal(err)
	}
	target, _ := parseLSN(end)
	r.eventually("the slot is confirmed", func() bool {
		r.quiet(100 * time.Millisecond)
		return r.slotLSN() >= target
	})
	r.exec("INSERT INTO b VALUES (1,'x')")
	r.until(2)
}

// A server that is asked otherwise than before need not have the last commit that was delivered: it is not a restored one for that.
func TestResumeWithOtherStreamParameters(t *testing.T) {
	t.Parallel()
	r := newRig(t, connectors.Config{"snapshot.mode": "no_data", "table.include.list": "public.a", "status.update.interval.ms": "600000"})
	origin := "o_" + r.db // of the whole server
	r.exec("CREATE TABLE a (id int PRIMARY KEY, v text)", "SELECT pg_replication_origin_create('"+origin+"')")
	r.start()
	r.streaming()
	r.exec("SELECT pg_replication_origin_session_setup('"+origin+"')", "INSERT INTO a VALUES (1,'copied')", "SELECT pg_replication_origin_session_reset()")
	want(t, r.next(1), "public.a c (1) after (1,copied) last.")
	r.crash()
	if lsn, ok := r.offset()["lsn"].(float64); !ok || r.slotLSN() > uint64(lsn) {
		t.Fatalf("the slot is confirmed up to %d, the offset is %v", r.slotLSN(), r.offset())
	}
	r.config["slot.stream.params"] = "origin=none"
	r.exec("INSERT INTO a VALUES (2,'own')")
	r.start()
	want(t, r.next(1), "public.a c (2) after (2,own) last.")
}
