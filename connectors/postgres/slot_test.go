package postgres

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/testbed"
)

func permanent(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if connectors.ClassOf(err) != connectors.Permanent {
		t.Errorf("%s error: %v", connectors.ClassOf(err), err)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error does not say %q: %v", p, err)
		}
	}
	if strings.Contains(err.Error(), "password=") {
		t.Errorf("error shows the password: %v", err)
	}
}

func oneRow(t *testing.T, config connectors.Config) *rig {
	t.Helper()
	r := newRig(t, config)
	r.exec("CREATE TABLE a (id int PRIMARY KEY, v text)", "INSERT INTO a VALUES (1,'x')")
	r.start()
	r.until(1)
	return r
}

func TestSlotDroppedWhileAway(t *testing.T) {
	t.Parallel()
	r := oneRow(t, nil)
	r.exec("INSERT INTO a VALUES (2,'y')")
	r.until(2)
	r.stop()
	r.exec("INSERT INTO a VALUES (3,'lost')", "SELECT pg_drop_replication_slot('"+r.config["slot.name"]+"')")
	permanent(t, r.tryStart(), "replication slot "+r.config["slot.name"]+" does not exist", "snapshot.mode=when_needed")
	r.stop()
	// Somebody makes it anew: the change in between is gone all the same.
	r.exec("SELECT pg_create_logical_replication_slot('" + r.config["slot.name"] + "', 'pgoutput')")
	permanent(t, r.tryStart(), "no longer in the server's log", "created the slot anew")
	r.stop()
	r.config["snapshot.mode"] = "when_needed"
	r.events = nil
	r.start()
	r.until(3)
	want(t, r.events, `
		public.a r (1) after (1,x) first
		public.a r (2) after (2,y) true
		public.a r (3) after (3,lost) last last.`)
	r.exec("INSERT INTO a VALUES (4,'z')")
	r.until(4)
}

func TestSlotDroppedWhileStreaming(t *testing.T) {
	t.Parallel()
	r := oneRow(t, nil)
	r.streaming()
	r.eventually("slot dropped", func() bool {
		_, err := r.sql.Exec(t.Context(), "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1", r.config["slot.name"])
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.sql.Exec(t.Context(), "SELECT pg_drop_replication_slot($1)", r.config["slot.name"])
		return err == nil
	})
	permanent(t, r.pollError(), "was dropped while this connector was using it")
}

func TestSlotInvalidated(t *testing.T) {
	t.Parallel()
	pg := testbed.StartPostgres(t, "max_slot_wal_keep_size=1MB", "min_wal_size=32MB", "max_wal_size=32MB")
	r := rigOn(t, pg, pg.NewDatabase(t), nil)
	r.exec("CREATE TABLE a (id int PRIMARY KEY, v text)", "INSERT INTO a VALUES (1,'x')")
	r.start()
	r.until(1)
	r.stop()
	r.eventually("slot lost", func() bool {
		r.exec("CREATE TABLE filler AS SELECT repeat('x', 1000) FROM generate_series(1, 5000); DROP TABLE filler; SELECT pg_switch_wal()", "CHECKPOINT")
		s, err := readSlot(t.Context(), r.sql, r.config["slot.name"])
		if err != nil {
			t.Fatal(err)
		}
		return s.lost() != ""
	})
	permanent(t, r.tryStart(), "was invalidated by the server", "snapshot.mode=when_needed")
	r.stop()
	r.config["snapshot.mode"] = "when_needed"
	r.start()
	r.until(2)
	r.exec("INSERT INTO a VALUES (2,'z')")
	r.until(3)
}

func TestSlotInUse(t *testing.T) {
	t.Parallel()
	r := oneRow(t, connectors.Config{"slot.max.retries": "2", "slot.retry.delay.ms": "200"})
	r.streaming()
	other := rigOn(t, r.pg, r.db, r.config)
	other.store = r.store
	other.start()
	permanent(t, other.pollError(), "is in use by the session with pid", "application_name", "slot.name of its own")
}

// A connector that was stopped or cut off for a while, and finds that another one reads on with its slot, ends as one that is fenced.
func TestSlotTakenOver(t *testing.T) {
	t.Parallel()
	r := oneRow(t, nil)
	r.exec("INSERT INTO a VALUES (2,'y')")
	r.until(2)
	other := rigOn(t, r.pg, r.db, r.config)
	other.store = r.store
	r.eventually("slot taken over", func() bool {
		r.exec("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active AND slot_name = '" + r.config["slot.name"] + "'")
		return other.tryStart() == nil
	})
	other.streaming()
	before := r.slotLSN()
	r.exec("INSERT INTO a VALUES (3,'z')", "INSERT INTO a VALUES (4,'z')")
	other.until(2)
	r.eventually("slot moved on", func() bool {
		other.quiet(100 * time.Millisecond)
		return r.slotLSN() > max(before, r.task.stream.startLSN())
	})
	err := r.pollError()
	if connectors.ClassOf(err) != connectors.Fenced || !strings.Contains(err.Error(), "has taken over") || !strings.Contains(err.Error(), "with pid") {
		t.Errorf("%s error: %v", connectors.ClassOf(err), err)
	}
}

func TestIdleSlotMoves(t *testing.T) {
	t.Parallel()
	r := oneRow(t, connectors.Config{"table.include.list": "public.a", "status.update.interval.ms": "200"})
	r.exec("CREATE TABLE other (x int)")
	before := r.slotLSN()
	r.exec("INSERT INTO other SELECT generate_series(1, 10000)")
	var end string
	if err := r.sql.QueryRow(t.Context(), "SELECT pg_current_wal_lsn()::text").Scan(&end); err != nil {
		t.Fatal(err)
	}
	target, _ := parseLSN(end)
	r.eventually("slot confirmed", func() bool {
		r.quiet(100 * time.Millisecond)
		return r.slotLSN() >= target
	})
	if o := r.offset(); uint64(o["lsn_commit"].(float64)) < target || o["messageType"] != "COMMIT" || before >= target {
		t.Errorf("offset %v, confirmed before %d, target %d", o, before, target)
	}
	r.crash()
	r.exec("INSERT INTO a VALUES (2,'y')")
	r.start()
	r.until(2)
}

func TestReconnectsAfterServerRestart(t *testing.T) {
	t.Parallel()
	pg := testbed.StartPostgres(t)
	r := rigOn(t, pg, pg.NewDatabase(t), nil)
	r.exec("CREATE TABLE a (id int PRIMARY KEY, v text)", "INSERT INTO a VALUES (1,'x')")
	r.start()
	r.until(1)
	r.streaming()
	pg.Kill(t)
	pg.Restart(t)
	r.sql = pg.Connect(t, r.db)
	r.exec("INSERT INTO a VALUES (2,'y')")
	r.until(2)
	r.quiet(100 * time.Millisecond)
}

func TestSnapshotModes(t *testing.T) {
	t.Parallel()
	r := oneRow(t, connectors.Config{"snapshot.mode": "initial_only"})
	if err := r.pollError(); !errors.Is(err, io.EOF) {
		t.Fatalf("after the snapshot: %v", err)
	}
	if s, _ := readSlot(t.Context(), r.sql, r.config["slot.name"]); s != nil {
		t.Error("initial_only made a slot")
	}
	r.stop()
	r.start()
	if err := r.pollError(); !errors.Is(err, io.EOF) {
		t.Fatalf("after a restart: %v", err)
	}
	always := oneRow(t, connectors.Config{"snapshot.mode": "always"})
	always.exec("INSERT INTO a VALUES (2,'y')")
	always.until(2)
	always.stop()
	always.exec("INSERT INTO a VALUES (3,'away')")
	always.start()
	always.exec("INSERT INTO a VALUES (4,'later')")
	always.until(6)
	want(t, always.events[2:5], `
		public.a r (1) after (1,x) first
		public.a r (2) after (2,y) true
		public.a r (3) after (3,away) true`)
}

// TestUnfinishedSnapshotStartsAgain stops in the middle of a snapshot.
func TestUnfinishedSnapshotStartsAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.exec("CREATE TABLE a (id int PRIMARY KEY, v text)", "INSERT INTO a SELECT g, 'v' FROM generate_series(1, 20000) g", "CREATE TABLE zz (x int)")
	r.start()
	if err := r.poll(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if n := len(r.events); n == 0 || n >= 20000 || r.offset()["snapshot_completed"] != false {
		t.Fatalf("%d rows, offset %v", n, r.offset())
	}
	r.crash()
	r.exec("DELETE FROM a WHERE id = 7", "INSERT INTO a VALUES (20001, 'new')")
	r.events = nil
	r.start()
	r.until(20000)
	if !strings.HasSuffix(r.events[19999], "last last.") || slices.Contains(r.events, "public.a r (7) after (7,v) true") {
		t.Errorf("last row %s", r.events[19999])
	}
	// What changed since the slot was made comes too: the delete of a row that the first attempt had delivered, above all.
	r.exec("INSERT INTO a VALUES (20002, 'stream')")
	r.until(20004)
	if gone := r.events[20000]; !strings.HasPrefix(gone, "public.a d (7)") {
		t.Errorf("after the snapshot comes %s, want the delete of row 7", gone)
	}
}

// TestAnotherServer points a connector with an offset at a server on which its positions mean something else.
func TestAnotherServer(t *testing.T) {
	t.Parallel()
	r := oneRow(t, nil)
	r.stop()
	pg := testbed.StartPostgres(t)
	other := rigOn(t, pg, pg.NewDatabase(t), nil)
	other.exec("CREATE TABLE a (id int PRIMARY KEY, v text)", "INSERT INTO a VALUES (1,'x')", "SELECT pg_create_logical_replication_slot('"+other.config["slot.name"]+"', 'pgoutput')")
	other.store = r.store
	permanent(t, other.tryStart(), "belongs to the database system", "take a new snapshot")
	other.stop()
	other.config["snapshot.mode"] = "when_needed"
	other.start()
	other.until(1)
}
