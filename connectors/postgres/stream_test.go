package postgres

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/testbed"
)

func TestReplicaIdentities(t *testing.T) {
	t.Parallel()
	r := newRig(t, connectors.Config{"skip.messages.without.change": "true"})
	r.exec("CREATE TABLE f (id int PRIMARY KEY, v text, big text)", "ALTER TABLE f REPLICA IDENTITY FULL", "ALTER TABLE f ALTER big SET STORAGE EXTERNAL",
		"CREATE TABLE d (id int PRIMARY KEY, v text, big text)", "ALTER TABLE d ALTER big SET STORAGE EXTERNAL",
		"CREATE TABLE i (id int, u int NOT NULL UNIQUE, v text)", "ALTER TABLE i REPLICA IDENTITY USING INDEX i_u_key",
		"CREATE TABLE n (id int PRIMARY KEY, v text)", "ALTER TABLE n REPLICA IDENTITY NOTHING")
	r.start()
	if err := r.poll(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("0123456789", 1000)
	for _, table := range []string{"d", "f"} {
		r.exec("INSERT INTO "+table+" VALUES (1,'x','"+big+"')", "UPDATE "+table+" SET v = 'y'", "UPDATE "+table+" SET v = 'y'", "DELETE FROM "+table)
	}
	r.exec("INSERT INTO i VALUES (1,2,'x')", "UPDATE i SET v = 'y'", "UPDATE i SET u = 3", "DELETE FROM i", "INSERT INTO n VALUES (1,'x')")
	r.until(17)
	for i := range r.events {
		r.events[i] = strings.TrimPrefix(strings.TrimSuffix(strings.ReplaceAll(r.events[i], big, "big"), " last."), "public.")
	}
	want(t, r.events, `
		d c (1) after (1,x,big)
		d u (1) after (1,y,?)
		d u (1) after (1,y,?)
		d d (1) before (1,-,-)
		d 0 (1)
		f c (1) after (1,x,big)
		f u (1) before (1,x,big) after (1,y,big)
		f d (1) before (1,y,big)
		f 0 (1)
		i c (2) after (1,2,x)
		i u (2) after (1,2,y)
		i d (2) before (-,2,-) __debezium.newkey=[3]
		i 0 (2) __debezium.newkey=[3]
		i c (3) after (1,3,y) __debezium.oldkey=[2]
		i d (3) before (-,3,-)
		i 0 (3)
		n c (1) after (1,x)`)
}

func TestSchemaChangesWhileRunning(t *testing.T) {
	t.Parallel()
	r := oneRow(t, nil)
	r.events = nil
	r.exec("INSERT INTO a VALUES (2,'y')", "ALTER TABLE a ADD COLUMN n int DEFAULT 7", "INSERT INTO a VALUES (3,'z')", "ALTER TABLE a DROP COLUMN v", "INSERT INTO a VALUES (4, 8)",
		"CREATE TABLE late (k text PRIMARY KEY)", "INSERT INTO late VALUES ('k')", "ALTER TABLE a RENAME n TO m", "UPDATE a SET m = 9 WHERE id = 4")
	r.until(5)
	want(t, r.events, `
		public.a c (2) after (2,y) last.
		public.a c (3) after (3,z,7) last.
		public.a c (4) after (4,8) last.
		public.late c (k) after (k) last.
		public.a u (4) after (4,9) last.`)
}

func TestLogicalMessages(t *testing.T) {
	t.Parallel()
	r := oneRow(t, connectors.Config{"message.prefix.exclude.list": "private"})
	r.events = nil
	r.exec("SELECT pg_logical_emit_message(false, 'alone', 'x')", "SELECT pg_logical_emit_message(false, 'private', 'x')",
		"BEGIN; INSERT INTO a VALUES (2,'y'); SELECT pg_logical_emit_message(true, 'inside', 'x'); COMMIT", "SELECT pg_logical_emit_message(false, 'end', 'x')")
	r.until(4)
	want(t, r.events, `
		message m [alone]
		public.a c (2) after (2,y)
		message m [inside]
		message m [end]`)
	r.stop()
	r.exec("INSERT INTO a VALUES (3,'z')")
	r.start()
	r.until(5)
}

// TestOffsetOfTheReference resumes from offsets that somebody else wrote: a message that is alone at its LSN is not repeated, of
// a group with one LSN none is missed.
func TestOffsetOfTheReference(t *testing.T) {
	t.Parallel()
	for _, group := range []bool{false, true} {
		r := oneRow(t, nil)
		r.streaming()
		r.task.stream.records = 1
		r.events = nil
		tail := "INSERT INTO a VALUES (50,'alone'); INSERT INTO a VALUES (51,'after')"
		first, again := 2, 1
		if group {
			first, again = 4, 4
		}
		r.exec("BEGIN", "INSERT INTO a VALUES (10,'before')")
		if group {
			copyRows(t, r, 20, 3)
		} else {
			r.exec("INSERT INTO a VALUES (20,'alone')")
		}
		r.exec(tail, "COMMIT")
		for len(r.events) < first {
			if err := r.poll(t.Context(), true); err != nil {
				t.Fatal(err)
			}
		}
		plain, _ := partitionOf("p")
		o := r.store[plain]
		clear(r.store)
		r.store[plain] = o
		r.crash()
		all := r.events
		r.events = nil
		r.start()
		r.until(again + 1)
		if group && (!strings.Contains(r.events[0], "(20)") || strings.Join(r.events[:3], "\n") != strings.Join(all[1:4], "\n")) {
			t.Errorf("after a group: %s", strings.Join(r.events, "\n"))
		}
	}
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	r := newRig(t, connectors.Config{"heartbeat.interval.ms": "100", "heartbeat.action.query": "UPDATE hb SET n = n + 1", "table.include.list": "public.a"})
	r.exec("CREATE TABLE a (id int PRIMARY KEY, v text)", "CREATE TABLE hb (id int PRIMARY KEY, n int)", "INSERT INTO hb VALUES (1, 0)")
	before := ""
	r.start()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for len(r.events) < 4 {
		if err := r.poll(ctx, true); err != nil {
			t.Fatal(err)
		}
		if len(r.events) > 0 && r.events[0] != "__debezium-heartbeat.p - [p]" {
			t.Fatal(r.events)
		}
		if o := fmt.Sprint(r.offset()); o == before {
			r.events = r.events[:len(r.events)-1] // nothing was committed in between
		} else {
			before = o
		}
	}
	if o := r.offset(); o["messageType"] != "COMMIT" || o["lsn"] != o["lsn_commit"] {
		t.Errorf("offset %v", o)
	}
}

func TestPublications(t *testing.T) {
	t.Parallel()
	r := newRig(t, connectors.Config{"publication.autocreate.mode": "disabled"})
	r.exec("CREATE TABLE a (id int PRIMARY KEY)", "CREATE TABLE b (id int PRIMARY KEY)", "CREATE TABLE c (id int PRIMARY KEY)")
	permanent(t, r.tryStart(), "publication dbz_publication does not exist", "CREATE PUBLICATION")
	r.stop()
	published := func(tables string) {
		t.Helper()
		var got string
		if err := r.sql.QueryRow(t.Context(), "SELECT coalesce(string_agg(tablename, ',' ORDER BY tablename), '') FROM pg_publication_tables WHERE pubname = 'dbz_publication'").Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != tables {
			t.Errorf("published: %s, want %s", got, tables)
		}
	}
	r.config["publication.autocreate.mode"] = "filtered"
	r.config["table.include.list"] = "public.a,public.b"
	r.start()
	published("a,b")
	r.stop()
	r.config["table.include.list"] = "public.b,public.c"
	r.start()
	published("b,c")
	r.stop()
	r.config["table.include.list"] = "public.none"
	permanent(t, r.tryStart(), "no table of database")
	r.stop()
	var truncate bool
	if err := r.sql.QueryRow(t.Context(), "SELECT pubtruncate FROM pg_publication").Scan(&truncate); err != nil || truncate {
		t.Errorf("truncate is published although it is skipped: %v", err)
	}
	r.exec("DROP PUBLICATION dbz_publication", "CREATE ROLE u"+r.db+" LOGIN REPLICATION PASSWORD 'secret-word'")
	r.config["database.user"], r.config["database.password"] = "u"+r.db, "secret-word"
	delete(r.config, "table.include.list")
	for mode, need := range map[string]string{"all_tables": "must be a superuser", "filtered": "must own the captured tables"} {
		r.config["publication.autocreate.mode"] = mode
		permanent(t, r.tryStart(), need, "CREATE PUBLICATION")
		r.stop()
	}
	r.config["database.password"] = "wrong-word"
	err := r.tryStart()
	permanent(t, err, "database.password")
	if strings.Contains(err.Error(), "wrong-word") {
		t.Error("the error shows the password")
	}
}

func TestSlotDropOnStopAndIdentityAutoset(t *testing.T) {
	t.Parallel()
	r := newRig(t, connectors.Config{"slot.drop.on.stop": "true", "replica.identity.autoset.values": "public.a:FULL,public.b:INDEX b_u"})
	r.exec("CREATE TABLE a (id int PRIMARY KEY)", "CREATE TABLE b (u int NOT NULL)", "CREATE UNIQUE INDEX b_u ON b (u)")
	r.start()
	r.quiet(100 * time.Millisecond)
	var identities string
	if err := r.sql.QueryRow(t.Context(), "SELECT string_agg(relname || relreplident::text, ',' ORDER BY relname) FROM pg_class WHERE relname IN ('a', 'b')").Scan(&identities); err != nil || identities != "af,bi" {
		t.Errorf("replica identities %s, %v", identities, err)
	}
	r.stop()
	if s, err := readSlot(t.Context(), r.sql, r.config["slot.name"]); s != nil || err != nil {
		t.Errorf("slot %+v, %v", s, err)
	}
}

func TestOverTLS(t *testing.T) {
	t.Parallel()
	pg := testbed.StartPostgres(t, "ssl=on", "ssl_cert_file=/etc/ssl/certs/ssl-cert-snakeoil.pem", "ssl_key_file=/etc/ssl/private/ssl-cert-snakeoil.key")
	r := rigOn(t, pg, pg.NewDatabase(t), connectors.Config{"database.sslmode": "require"})
	r.exec("CREATE TABLE a (id int PRIMARY KEY, v text)", "INSERT INTO a VALUES (1,'x')")
	r.start()
	r.until(1)
	r.exec("INSERT INTO a SELECT g, repeat('x', 100) FROM generate_series(2, 50000) g")
	r.until(50000)
	r.exec("INSERT INTO a VALUES (60000, 'tail')")
	r.until(50001)
}

func TestWALLevel(t *testing.T) {
	t.Parallel()
	pg := testbed.StartPostgres(t, "wal_level=replica")
	r := rigOn(t, pg, pg.NewDatabase(t), nil)
	permanent(t, r.tryStart(), "wal_level is replica", "ALTER SYSTEM SET wal_level = logical")
}

func TestOffsetMismatch(t *testing.T) {
	t.Parallel()
	r := oneRow(t, nil)
	plain, _ := partitionOf("p")
	early := r.store[plain]
	r.exec("INSERT INTO a VALUES (2,'y')", "INSERT INTO a VALUES (3,'z')")
	r.until(3)
	r.exec("INSERT INTO a VALUES (4,'w')")
	r.until(4)
	r.eventually("confirmed", func() bool {
		r.quiet(20 * time.Millisecond)
		p, _ := parsePosition(early)
		return r.slotLSN() > p.confirmable()
	})
	r.stop()
	newest := r.store[plain]
	for _, c := range []struct{ strategy, sinks, problem string }{
		{"no_validation", "", ""},
		{"trust_slot", "", ""},
		{"trust_greater_lsn", "", ""},
		{"trust_offset", "", "no longer in the server's log"},
		{"no_validation", "x", "no longer in the server's log"},
	} {
		r.store[plain] = early
		r.config["offset.mismatch.strategy"] = c.strategy
		delete(r.config, "sinks")
		if c.sinks != "" {
			r.config["sinks"] = c.sinks
		}
		err := r.tryStart()
		if c.problem == "" && err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		lost := r.task.Observe().Lost
		if p, _ := parsePosition(early); c.problem == "" && (len(lost) != 1 || lost[0].From != pglogrepl.LSN(p.confirmable()).String() || lost[0].Bytes == 0) || c.problem != "" && len(lost) > 0 {
			t.Errorf("%+v: lost %+v", c, lost)
		}
		if c.problem != "" {
			permanent(t, err, c.problem)
		}
		r.stop()
	}
	r.store[plain] = newest
}
