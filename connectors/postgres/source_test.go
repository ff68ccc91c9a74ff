package postgres

import (
	"strings"
	"testing"
	"time"
)

func want(t *testing.T, got []string, lines string) {
	t.Helper()
	var w []string
	for _, l := range strings.Split(strings.TrimSpace(lines), "\n") {
		w = append(w, strings.TrimSpace(l))
	}
	if strings.Join(got, "\n") != strings.Join(w, "\n") {
		t.Fatalf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(w, "\n"))
	}
}

func TestSnapshotThenStream(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.exec("CREATE TABLE a (id int PRIMARY KEY, v text)", "CREATE TABLE b (x int)", "CREATE TABLE z_empty (x int)", "CREATE SCHEMA aa", "CREATE TABLE aa.t (id int PRIMARY KEY)",
		"INSERT INTO a VALUES (1,'one'),(2,E'tab\\t\\\\n'),(3,NULL); INSERT INTO b VALUES (7); INSERT INTO aa.t VALUES (5)")
	r.start()
	r.until(5)
	want(t, r.events, `
		aa.t r (5) after (5) first
		public.a r (1) after (1,one) first_in_data_collection
		public.a r (2) after (2,tab	\n) true
		public.a r (3) after (3,null) last_in_data_collection
		public.b r () after (7) last last.`)
	if o := r.offset(); o["snapshot_completed"] != true || o["last_snapshot_record"] != true || o["snapshot"] != "INITIAL" {
		t.Fatalf("offset %v", o)
	}
	if o := r.task.Observe(); o.Kind != "postgres" || !o.Snapshot.Completed || o.Snapshot.Running || o.Snapshot.Tables != 4 || o.Snapshot.Remaining != 0 || o.Snapshot.Rows["public.a"] != 3 {
		t.Fatalf("after the snapshot: %+v", o)
	}
	r.events = nil
	r.exec("INSERT INTO a VALUES (4,'four')", "BEGIN; UPDATE a SET v = 'x' WHERE id = 4; UPDATE a SET id = 40 WHERE id = 4; DELETE FROM a WHERE id = 40; COMMIT", "TRUNCATE b", "INSERT INTO b VALUES (8)")
	r.until(8)
	want(t, r.events, `
		public.a c (4) after (4,four) last.
		public.a u (4) after (4,x)
		public.a d (4) before (4,-) __debezium.newkey=[40]
		public.a 0 (4) __debezium.newkey=[40]
		public.a c (40) after (40,x) __debezium.oldkey=[4]
		public.a d (40) before (40,-)
		public.a 0 (40) last.
		public.b c () after (8) last.`)
	if o := r.task.Observe(); !o.Connected || o.LastTransaction == "" || o.Read == 0 || o.LogEnd < o.Read || o.Held > o.Read {
		t.Fatalf("while streaming: %+v", o)
	}
	o := r.offset()
	if o["messageType"] != "INSERT" || o["lsn"] != o["lsn_proc"] || o["lsn_commit"] == nil || o["txId"] == nil {
		t.Fatalf("offset %v", o)
	}
	r.stop()
	r.exec("INSERT INTO a VALUES (50,'away')")
	r.start()
	r.until(9)
	r.quiet(200 * time.Millisecond)
}
