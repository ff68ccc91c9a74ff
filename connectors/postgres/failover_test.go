package postgres

import (
	"bytes"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"
	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/testbed"
)

// cluster is a primary, replicas, and one address that leads to whichever is the primary.
type cluster struct {
	t       *testing.T
	primary *testbed.Postgres
	proxy   *toxiproxy.Proxy
	sql     *pgx.Conn // on the primary
	rigs    []*rig
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, primary: testbed.StartPostgres(t)}
	c.proxy = bed.Toxiproxy(t).Proxy(t, c.primary.Address())
	c.sql = c.primary.Connect(t, "postgres")
	c.exec("CREATE TABLE a (id int PRIMARY KEY, v text)")
	return c
}

func (c *cluster) exec(sql ...string) {
	c.t.Helper()
	for _, q := range sql {
		if _, err := c.sql.PgConn().Exec(c.t.Context(), q).ReadAll(); err != nil {
			c.t.Fatalf("%s: %v", q, err)
		}
	}
}

// text is the one value that a query on the primary answers.
func (c *cluster) text(sql string) string {
	c.t.Helper()
	var out string
	if err := c.sql.QueryRow(c.t.Context(), sql).Scan(&out); err != nil {
		c.t.Fatalf("%s: %v", sql, err)
	}
	return out
}

func (c *cluster) lsn(sql string) uint64 {
	c.t.Helper()
	lsn, err := parseLSN(c.text(sql))
	if err != nil {
		c.t.Fatal(err)
	}
	return lsn
}

// rig is a connector that reaches the primary by the stable address, streaming from a failover slot.
func (c *cluster) rig(name string, config connectors.Config) *rig {
	c.t.Helper()
	host, port, err := net.SplitHostPort(c.proxy.Listen)
	if err != nil {
		c.t.Fatal(err)
	}
	all := connectors.Config{
		"database.hostname": host, "database.port": port, "slot.name": name, "slot.failover": "true", "snapshot.mode": "no_data",
		"table.include.list": "public.a", "status.update.interval.ms": "100", "connection.validation.timeout.ms": "5000",
	}
	maps.Copy(all, config)
	r := rigOn(c.t, c.primary, "postgres", all)
	r.start()
	r.streaming()
	c.rigs = append(c.rigs, r)
	return r
}

// synced makes the replica keep the failover slots of all rigs, and waits until it has everything there is.
func (c *cluster) synced(replica *testbed.Postgres) {
	c.t.Helper()
	slots := 0
	for _, r := range c.rigs {
		if r.config["slot.failover"] == "true" {
			slots++
		}
	}
	replica.SyncSlots(c.t, c.primary, slots, func() {
		for _, r := range c.rigs {
			r.quiet(50 * time.Millisecond)
		}
	})
}

// failOver kills the primary, promotes the replica and lets the address lead there.
func (c *cluster) failOver(replica *testbed.Postgres) {
	c.t.Helper()
	c.primary.Kill(c.t)
	replica.Promote(c.t)
	c.leadTo(replica)
}

// leadTo makes another server the primary that everybody reaches.
func (c *cluster) leadTo(replica *testbed.Postgres) {
	c.t.Helper()
	c.proxy.Upstream = replica.Address()
	if err := c.proxy.Save(); err != nil {
		c.t.Fatal(err)
	}
	c.primary = replica
	c.sql = replica.Connect(c.t, "postgres")
	for _, r := range c.rigs {
		r.pg, r.sql = replica, c.sql
	}
}

// next polls until there are n more records, and returns them.
func (r *rig) next(n int) []string {
	r.t.Helper()
	had := len(r.events)
	r.until(had + n)
	return r.events[had:]
}

// logged starts to keep what the source says.
func (r *rig) logged() *logText {
	l := &logText{}
	r.log = slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return l
}

type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) says(t *testing.T, parts ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range parts {
		if !strings.Contains(l.text.String(), p) {
			t.Errorf("the log does not say %q:\n%s", p, l.text.String())
		}
	}
}

// promotion is a failover to a replica that lacks the last commits, with connectors that have delivered them.
type promotion struct {
	*cluster
	logged *logText // of inPlace

	inPlace, inPlaceDirect     *rig // streaming all the while
	restarted, restartedDirect *rig // away during the failover, as all below
	trustOffset                *rig
	straddling                 *rig // stopped between two rows of the last transaction but two
	byHandSlot, withoutSlot    *rig // their slots are not on the replica
	fanOut                     *rig // has the first two commits, as one of its sinks; the other has all
}

func lossyPromotion(t *testing.T) *promotion {
	t.Helper()
	c := &promotion{cluster: newCluster(t)}
	replica := c.primary.StartReplica(t)
	c.inPlace, c.inPlaceDirect = c.rig("in_place", nil), c.rig("in_place_direct", connectors.Config{"sinks": "x"})
	c.restarted, c.restartedDirect = c.rig("restarted", nil), c.rig("restarted_direct", connectors.Config{"sinks": "x"})
	c.trustOffset = c.rig("trust_offset", connectors.Config{"offset.mismatch.strategy": "trust_offset"})
	c.straddling = c.rig("straddling", connectors.Config{"sinks": "x"})
	c.fanOut = c.rig("fan_out", connectors.Config{"sinks": "far,near"})
	c.byHandSlot = c.rig("by_hand", connectors.Config{"slot.failover": "false"})
	c.withoutSlot = c.rig("without_slot", connectors.Config{"slot.failover": "false"})
	c.exec("INSERT INTO a VALUES (1,'both')")
	for _, r := range c.rigs {
		r.until(1)
	}
	c.synced(replica)
	c.exec("INSERT INTO a VALUES (2,'both')")
	c.fanOut.until(2)
	c.fanOut.stop()

	// A transaction whose rows reach the replica, and whose commit does not.
	half := c.primary.Connect(t, "postgres")
	for _, q := range []string{"BEGIN", "INSERT INTO a VALUES (3,'lost'), (4,'lost')"} {
		if _, err := half.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	c.exec("CHECKPOINT")
	replica.CatchUp(t, c.primary)
	replica.StopReceiving(t)
	if _, err := half.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	c.straddling.task.stream.records = 1
	for len(c.straddling.events) < 3 {
		if err := c.straddling.poll(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
	c.straddling.crash()
	c.exec("INSERT INTO a SELECT g, repeat('lost', 100) FROM generate_series(10, 29) g", "UPDATE a SET v = 'lost' WHERE id = 1")
	for _, r := range c.rigs {
		if r != c.straddling && r != c.fanOut {
			r.until(2 + 2 + 20 + 1)
		}
		if r != c.inPlace && r != c.inPlaceDirect {
			r.stop()
		}
	}
	last := func(r *rig) connectors.Order { return r.orders[len(r.orders)-1] }
	c.fanOut.reached = []connectors.Reached{{Sink: "near", Through: last(c.fanOut)}, {Sink: "far", Through: last(c.restarted)}}
	delivered := c.lsn("SELECT pg_current_wal_lsn()::text")
	c.logged = c.inPlace.logged()
	c.inPlace.task.log = c.inPlace.log
	c.failOver(replica)
	c.exec("INSERT INTO a VALUES (3,'new'), (10,'new')", "UPDATE a SET v = 'new' WHERE id = 2")
	if end := c.lsn("SELECT pg_current_wal_lsn()::text"); end >= delivered {
		t.Fatalf("the new commits end at %X, not below what was delivered, %X", end, delivered)
	}
	return c
}

// What the new primary commits first, and what is said of the commits that it lacks.
const newCommits = `
	public.a c (3) after (3,new)
	public.a c (10) after (10,new) last.
	public.a u (2) after (2,new) last.`

var (
	lostCommits = []string{"promoted without the last commits", "left timeline 1 at", "the targets have commits up to"}
	remedies    = append(slices.Clone(lostCommits), "snapshot.mode=when_needed", "offset.mismatch.strategy=trust_greater_lsn")
)

// goesOn starts a connector that then delivers the new commits, with a warning.
func (r *rig) goesOn(t *testing.T, strategy string) {
	t.Helper()
	r.config["offset.mismatch.strategy"] = strategy
	logged := r.logged()
	r.start()
	want(t, r.next(3), newCommits)
	logged.says(t, lostCommits...)
	if lost := r.task.Observe().Lost; len(lost) != 1 || !strings.Contains(lost[0].Text, "commits of timeline 1 that the promoted server does not have") {
		t.Errorf("lost ranges %+v", lost)
	}
}

func (r *rig) refuses(t *testing.T, parts ...string) {
	t.Helper()
	permanent(t, r.tryStart(), parts...)
	r.stop()
}

// TestReplicaWithoutLastCommitsIsPromoted: connectors have delivered commits that the promoted replica lacks, and it makes others at
// the same log positions. Each connector stops with an error that names what is lost, or goes on by its configuration, and
// then delivers every commit of the new primary exactly once (I8).
func TestReplicaWithoutLastCommitsIsPromoted(t *testing.T) {
	t.Parallel()
	c := lossyPromotion(t)

	// In place, and after a restart. Towards Kafka a source goes on by default, with a warning; towards tables it stops.
	want(t, c.inPlace.next(3), newCommits)
	c.logged.says(t, lostCommits...)
	permanent(t, c.inPlaceDirect.pollError(), remedies...)
	c.inPlaceDirect.stop()
	c.inPlaceDirect.goesOn(t, "trust_greater_lsn")
	c.restarted.goesOn(t, "no_validation")
	c.restartedDirect.refuses(t, remedies...)
	c.restartedDirect.config["offset.mismatch.strategy"] = "trust_slot" // delivers again what was confirmed after the slot was synchronised
	c.restartedDirect.start()
	want(t, c.restartedDirect.next(4), "public.a c (2) after (2,both) last."+newCommits)
	c.trustOffset.refuses(t, remedies...)
	c.trustOffset.goesOn(t, "trust_greater_lsn")

	// The row that was delivered last lies before the switch point; only its commit does not.
	c.straddling.refuses(t, remedies...)
	delete(c.straddling.config, "sinks")
	c.straddling.goesOn(t, "no_validation")

	// The position of all sinks is in the server's history, but one of them is further. A new snapshot is for both.
	c.fanOut.refuses(t, "promoted without the last commits", "left timeline 1 at", "but sink far has commits up to", "snapshot.mode=when_needed", "offset.mismatch.strategy=trust_greater_lsn")
	reached := c.fanOut.reached
	c.fanOut.config["snapshot.mode"] = "when_needed"
	c.fanOut.start()
	if c.fanOut.task.snapshot == nil || c.fanOut.reached != nil {
		t.Errorf("when_needed: snapshot %v, the sinks still leave out what is below %v", c.fanOut.task.snapshot, c.fanOut.reached)
	}
	c.fanOut.stop()
	c.fanOut.config["snapshot.mode"], c.fanOut.reached = "no_data", reached
	c.fanOut.config["offset.mismatch.strategy"] = "trust_greater_lsn"
	logged := c.fanOut.logged()
	c.fanOut.start()
	want(t, c.fanOut.next(3), newCommits)
	logged.says(t, "promoted without the last commits", "but sink far has commits up to")

	// A slot that was made by hand, or not at all, holds nothing of what came before it.
	c.byHandSlot.refuses(t, "replication slot by_hand does not exist")
	c.exec("SELECT pg_create_logical_replication_slot('by_hand', 'pgoutput')")
	c.byHandSlot.refuses(t, "no longer in the server's log", "created the slot anew")
	c.byHandSlot.config["offset.mismatch.strategy"] = "trust_slot"
	c.byHandSlot.start()
	c.withoutSlot.refuses(t, "replication slot without_slot does not exist", "snapshot.mode=when_needed")
	c.withoutSlot.config["snapshot.mode"] = "when_needed"
	c.withoutSlot.start()
	want(t, c.withoutSlot.next(4), `
		public.a r (1) after (1,both) first
		public.a r (3) after (3,new) true
		public.a r (10) after (10,new) true
		public.a r (2) after (2,new) last last.`)

	for _, r := range c.rigs {
		if r != c.inPlace {
			r.stop()
			r.start()
		}
		r.streaming()
	}
	c.goOnAsEver(t)
}

// TestPromotionsWithoutLoss: nothing is lost or comes twice over two promotions in a row, whether a connector streams all the while, is
// ahead of the switch point because the log moved without commits, stopped inside a transaction, or is away for both.
func TestPromotionsWithoutLoss(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	first, second := c.primary.StartReplica(t), c.primary.StartReplica(t)
	inPlace, away, torn := c.rig("in_place", nil), c.rig("away", nil), c.rig("torn", connectors.Config{"sinks": "x"})
	c.exec("INSERT INTO a VALUES (1,'x')")
	for _, r := range c.rigs {
		r.until(1)
	}
	c.synced(second)
	c.synced(first)
	c.exec("INSERT INTO a VALUES (2,'x'), (3,'x')")
	torn.task.stream.records = 1
	for len(torn.events) < 2 {
		if err := torn.poll(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
	torn.crash()
	away.until(3)
	away.stop()
	inPlace.until(3)
	first.CatchUp(t, c.primary)
	second.StopReceiving(t)
	first.StopReceiving(t)
	c.exec("SELECT pg_switch_wal()", "CHECKPOINT")
	end := c.lsn("SELECT pg_current_wal_lsn()::text")
	inPlace.eventually("the idle stream's position has moved", func() bool {
		inPlace.quiet(20 * time.Millisecond)
		return uint64(inPlace.offset()["lsn"].(float64)) >= end
	})

	c.failOver(first)
	c.exec("INSERT INTO a VALUES (4,'x')")
	if now := c.lsn("SELECT pg_current_wal_lsn()::text"); now >= end {
		t.Fatalf("the new commit ends at %X, not below the position of the idle stream, %X", now, end)
	}
	want(t, inPlace.next(1), "public.a c (4) after (4,x) last.")
	torn.start()
	want(t, torn.next(2), "public.a c (3) after (3,x) last.\npublic.a c (4) after (4,x) last.")

	host, port := away.config["database.hostname"], away.config["database.port"]
	away.config["database.hostname"], away.config["database.port"] = second.Host(), strconv.Itoa(second.Port())
	if err := away.tryStart(); connectors.ClassOf(err) != connectors.Retriable || !strings.Contains(err.Error(), "waiting for its promotion") {
		t.Errorf("a standby: %v", err)
	}
	away.stop()
	away.config["database.hostname"], away.config["database.port"] = host, port

	second.Follow(t, first)
	second.CatchUp(t, c.primary)
	c.failOver(second)
	c.exec("INSERT INTO a VALUES (5,'x')")
	for _, r := range []*rig{inPlace, torn} {
		want(t, r.next(1), "public.a c (5) after (5,x) last.")
	}
	away.start()
	want(t, away.next(2), "public.a c (4) after (4,x) last.\npublic.a c (5) after (5,x) last.")
	if o := away.orders[len(away.orders)-2:]; o[0].Epoch != 2 || o[1].Epoch != 3 {
		t.Errorf("orders %v, want timelines 2 and 3", o)
	}
	c.goOnAsEver(t)

	away.stop()
	c.exec("COPY (SELECT) TO PROGRAM 'cat >/dev/null; rm pg_wal/00000003.history'")
	away.refuses(t, "pg_wal/00000003.history", "copy the file")
}

// TestPromotionInsideATransaction: what was counted of a transaction is counted on by the server that was promoted in the middle of it.
func TestPromotionInsideATransaction(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	replica := c.primary.StartReplica(t)
	r := c.rig("counted", connectors.Config{"provide.transaction.metadata": "true"})
	c.synced(replica)
	const rows = 50_000 // more than the connection has under way
	upTo := func(events int) any {
		t.Helper()
		for len(r.events) < events {
			if err := r.poll(t.Context(), true); err != nil {
				t.Fatal(err)
			}
		}
		return r.offset()["transaction_data_collection_order_public.a"]
	}
	c.exec("INSERT INTO a SELECT g, repeat('x', 400) FROM generate_series(1, 50000) g")
	if n := upTo(2); n == float64(rows) {
		t.Fatal("all of the transaction came at once")
	}
	replica.CatchUp(t, c.primary)
	c.failOver(replica)
	if n := upTo(1 + rows); n != float64(rows) { // BEGIN is one
		t.Errorf("the last row is number %v of its transaction, want %d", n, rows)
	}
}

// goOnAsEver checks that every connector gets what comes, on the latest timeline, and confirms it.
func (c *cluster) goOnAsEver(t *testing.T) {
	t.Helper()
	c.exec("INSERT INTO a VALUES (1000,'later')")
	end := c.lsn("SELECT pg_current_wal_lsn()::text")
	for _, r := range c.rigs {
		want(t, r.next(1), "public.a c (1000) after (1000,later) last.")
		if last := r.orders[len(r.orders)-1]; last.Epoch != r.task.stream.server.timeline || r.orders[0].Epoch != 1 {
			t.Errorf("%s: orders %v to %v", r.config["slot.name"], r.orders[0], last)
		}
		r.eventually("the slot is confirmed", func() bool {
			r.quiet(20 * time.Millisecond)
			return r.slotLSN() >= end
		})
	}
}

// TestServerWithoutItsLastCommits: the server is replaced by an older state of itself, with the same identity on the same timeline, while
// connectors are streaming and while they are away. They must not wait at a position that its log reaches again some time, since they
// would skip the commits below it (I8).
func TestServerWithoutItsLastCommits(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	older := c.primary.StartReplica(t)
	inPlace, away := c.rig("in_place", nil), c.rig("away", nil)
	trusting := c.rig("trusting", connectors.Config{"offset.mismatch.strategy": "trust_slot"})
	torn := c.rig("torn", connectors.Config{"sinks": "x"})
	c.exec("INSERT INTO a VALUES (1,'both')")
	for _, r := range c.rigs {
		r.until(1)
	}
	c.synced(older)
	older.StopReceiving(t)
	c.exec("INSERT INTO a SELECT g, repeat('lost', 100) FROM generate_series(10, 29) g")
	torn.until(1 + 20)
	torn.task.stream.records = 1
	c.exec("BEGIN; INSERT INTO a VALUES (2,'lost'), (3,'lost'); COMMIT")
	torn.until(1 + 20 + 1)
	torn.crash()
	for _, r := range []*rig{inPlace, away, trusting} {
		r.until(1 + 20 + 2)
	}
	away.stop()
	c.primary.Kill(t)
	older.Exec(t, "postgres", "COPY (SELECT) TO PROGRAM 'cat >/dev/null; rm standby.signal'")
	older.Kill(t)
	older.Restart(t)
	c.leadTo(older)
	c.exec("INSERT INTO a VALUES (3,'new')")

	beyond := []string{"beyond the end", "lost its last commits", "snapshot.mode=when_needed", "offset.mismatch.strategy=trust_slot"}
	permanent(t, inPlace.pollError(), beyond...)
	away.refuses(t, beyond...)
	torn.refuses(t, beyond...)
	want(t, trusting.next(1), "public.a c (3) after (3,new) last.")
	trusting.stop()
	away.config["offset.mismatch.strategy"] = "trust_slot"
	away.start()
	want(t, away.next(1), "public.a c (3) after (3,new) last.")
}

// TestServerIsRestored: the server is replaced by an older state of itself, as from a backup that has no slots, and the operator creates the
// slot by hand. On the same timeline its log reaches the stored offset again some time, with other commits below it, which must not be
// skipped (I8), by a connector that was away, nor by one that streamed; after a recovery to a point in time there is a timeline of its own.
func TestServerIsRestored(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	backup, recovered := c.primary.StartReplica(t), c.primary.StartReplica(t, "restore_command=false")
	plain := connectors.Config{"slot.failover": "false"}
	stops, streams, anew := c.rig("stops", plain), c.rig("streams", plain), c.rig("anew", plain)
	trusts := c.rig("trusts", connectors.Config{"slot.failover": "false", "offset.mismatch.strategy": "trust_slot"})
	c.exec("INSERT INTO a VALUES (1,'both')")
	for _, r := range c.rigs {
		r.until(1)
	}
	for _, older := range []*testbed.Postgres{backup, recovered} {
		older.CatchUp(t, c.primary)
		older.StopReceiving(t)
	}
	c.exec("INSERT INTO a SELECT g, repeat('lost', 100) FROM generate_series(1001, 2000) g", "INSERT INTO a VALUES (5,'lost')")
	for _, r := range c.rigs {
		r.until(1 + 1000 + 1)
		if r != streams && r != trusts {
			r.stop()
		}
	}
	end := c.lsn("SELECT pg_current_wal_lsn()::text")
	c.primary.Kill(t)
	restore := func(older *testbed.Postgres, command string) {
		t.Helper()
		older.Exec(t, "postgres", "COPY (SELECT) TO PROGRAM 'cat >/dev/null; "+command+"'")
		older.Kill(t)
		older.Restart(t)
		older.Writable(t)
		c.leadTo(older)
	}

	restore(backup, "rm standby.signal")
	stops.refuses(t, "replication slot stops does not exist", "snapshot.mode=when_needed")
	for _, r := range c.rigs {
		c.exec("SELECT pg_create_logical_replication_slot('" + r.config["slot.name"] + "', 'pgoutput')")
	}
	stops.refuses(t, "beyond the end", "lost its last commits")
	c.exec("INSERT INTO a VALUES (2,'new')", "CREATE TABLE other AS SELECT g FROM generate_series(1, 20000) g")
	if now := c.lsn("SELECT pg_current_wal_lsn()::text"); now <= end {
		t.Fatalf("the log ends at %X, not beyond the stored offset, %X", now, end)
	}

	stops.start()
	for _, r := range []*rig{stops, streams} {
		permanent(t, r.pollError(), "is not in the server's log", "restored from an earlier state", "snapshot.mode=when_needed", "offset.mismatch.strategy=trust_slot")
		r.stop()
	}
	want(t, trusts.next(1), "public.a c (2) after (2,new) last.")
	trusts.stop()
	anew.config["snapshot.mode"] = "when_needed"
	anew.start()
	want(t, anew.next(2), "public.a r (1) after (1,both) first\npublic.a r (2) after (2,new) last last.")
	anew.stop()

	restore(recovered, "mv standby.signal recovery.signal")
	c.exec("SELECT pg_create_logical_replication_slot('streams', 'pgoutput')", "INSERT INTO a VALUES (3,'recovered')")
	stops.refuses(t, "replication slot stops does not exist", "snapshot.mode=when_needed")
	streams.refuses(t, "no longer in the server's log", "created the slot anew")
	streams.config["offset.mismatch.strategy"] = "trust_slot"
	streams.start()
	want(t, streams.next(1), "public.a c (3) after (3,recovered) last.")
	c.rigs = []*rig{streams}
	c.goOnAsEver(t)
}

// A slot that was made before slot.failover=true becomes a failover slot at the next start.
func TestSlotBecomesAFailoverSlot(t *testing.T) {
	t.Parallel()
	r := oneRow(t, nil)
	failover := func() bool {
		s, err := readSlot(t.Context(), r.sql, r.config["slot.name"])
		if err != nil || s == nil {
			t.Fatal(s, err)
		}
		return s.failover
	}
	if failover() {
		t.Fatal("a failover slot without slot.failover")
	}
	r.stop()
	r.config["slot.failover"] = "true"
	r.start()
	if !failover() {
		t.Error("not a failover slot")
	}
	r.exec("INSERT INTO a VALUES (2,'y')")
	r.until(2)
}
