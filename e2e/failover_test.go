package e2e

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"

	"github.com/freshet-io/freshet/testbed"
)

// stableAddress leads to the primary.
func stableAddress(t *testing.T, primary *testbed.Postgres) (proxy *toxiproxy.Proxy, host, port string) {
	t.Helper()
	proxy = bed.Toxiproxy(t).Proxy(t, primary.Address())
	host, port, err := net.SplitHostPort(proxy.Listen)
	if err != nil {
		t.Fatal(err)
	}
	return proxy, host, port
}

// failOver kills the primary, promotes the replica, lets the address lead there and commits something new.
func failOver(t *testing.T, primary, replica *testbed.Postgres, proxy *toxiproxy.Proxy) {
	t.Helper()
	primary.Kill(t)
	replica.Promote(t)
	proxy.Upstream = replica.Address()
	if err := proxy.Save(); err != nil {
		t.Fatal(err)
	}
	replica.Exec(t, "postgres", "INSERT INTO bets VALUES (3, 'new', 1)", "INSERT INTO bets VALUES (100, 'new', 1)")
}

// TestFailoverLosesCommits runs one program with a connector to Kafka, exactly once, and one to a table, while the primary dies and
// a replica without the last commits takes over. The first goes on with a warning, every change once; the second stops, and what its
// error advises makes the table equal to its source again.
func TestFailoverLosesCommits(t *testing.T) {
	t.Parallel()
	primary, kafka, target := testbed.StartPostgres(t), bed.Kafka(t), bed.Timescale(t)
	replica := primary.StartReplica(t)
	proxy, host, port := stableAddress(t, primary)
	primary.Exec(t, "postgres", betsTable)
	to, dir := target.NewDatabase(t), t.TempDir()
	connector := func(name string, more map[string]string) map[string]string {
		c := primary.Connector("postgres", name, map[string]string{
			"database.hostname": host, "database.port": port, "slot.failover": "true", "status.update.interval.ms": "100", "topic.prefix": name + to,
		})
		maps.Copy(c, more)
		return c
	}
	events := connector("events", map[string]string{"topic.creation.default.partitions": "1", "topic.creation.default.replication.factor": "1"})
	tables := connector("tables", target.ToTable(to, nil))
	worker := testbed.WriteFile(t, dir, "w.properties", "bootstrap.servers="+kafka.Bootstrap()+"\nexactly.once.source.support=enabled\ngroup.id="+to+
		"\noffset.storage.topic=offsets-"+to+"\noffset.storage.replication.factor=1\noffset.storage.partitions=1\n")
	args := []string{"run", testbed.WriteConnector(t, dir, events), testbed.WriteConnector(t, dir, tables), "-c", worker}
	p := start(t, dir, args...)
	topic := events["topic.prefix"] + ".public.bets"
	arrived := func(inTopic, inTable int) {
		t.Helper()
		kafka.WaitRecords(t, inTopic, deadline, topic)
		p.Until(fmt.Sprintf("%d rows are not in the table", inTable), func() bool {
			return count(t, target, to, "pg_tables WHERE tablename = 'bets'") == 1 && count(t, target, to, "bets") == inTable
		})
	}
	arrived(2, 2)
	replica.SyncSlots(t, primary, 2, func() {})
	replica.StopReceiving(t)
	primary.Exec(t, "postgres", "INSERT INTO bets SELECT g, repeat('lost', 25), 1 FROM generate_series(100, 119) g")
	arrived(22, 22)

	failOver(t, primary, replica, proxy)
	kafka.WaitRecords(t, 24, deadline, topic)
	p.Says("promoted without the last commits", "offset.mismatch.strategy=no_validation", "snapshot.mode=when_needed", "offset.mismatch.strategy=trust_greater_lsn")
	if n := count(t, target, to, "bets"); n != 22 {
		t.Errorf("%d rows in the table after the connector stopped, want the 22 that were delivered", n)
	}
	p.Kill()

	target.Exec(t, to, "TRUNCATE bets")
	tables["snapshot.mode"] = "when_needed"
	testbed.WriteConnector(t, dir, tables)
	p = start(t, dir, args...)
	arrived(24, 4)
	replica.Exec(t, "postgres", "INSERT INTO bets VALUES (4, 'later', 1)", "DELETE FROM bets WHERE id = 100")
	arrived(27, 4) // the delete is a tombstone, too
	from, there := replica.Connect(t, "postgres"), target.Connect(t, to)
	for _, column := range columnsOf(t, from, "bets") {
		p.Until("the table differs from its source", func() bool {
			return slices.Equal(contents(t, from, "bets", "id", column), contents(t, there, "bets", "id", column))
		})
	}
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
	if n := len(kafka.Read(t, topic)); n != 27 {
		t.Errorf("%d records in the topic, want 27", n)
	}
}

// TestFailoverLosesCommitsOfOneSink: of two sinks of one connector only the topic has the commits that the promoted replica lacks; the
// table, from whose position both go on, was held up. The connector stops and names the topic's sink; the snapshot that its error
// advises reaches both.
func TestFailoverLosesCommitsOfOneSink(t *testing.T) {
	t.Parallel()
	primary, kafka, target := testbed.StartPostgres(t), bed.Kafka(t), bed.Timescale(t)
	replica := primary.StartReplica(t)
	proxy, host, port := stableAddress(t, primary)
	primary.Exec(t, "postgres", betsTable)
	to, dir := target.NewDatabase(t), t.TempDir()
	keys := target.ToTable(to, map[string]string{
		"sinks.events.connector.class": "kafka", "database.hostname": host, "database.port": port, "slot.failover": "true",
		"status.update.interval.ms": "100", "topic.prefix": "fan" + to,
	})
	keys["sinks"] += ",events"
	connector := primary.Connector("postgres", "fan", keys)
	worker := testbed.WriteFile(t, dir, "w.properties", "bootstrap.servers="+kafka.Bootstrap()+"\nexactly.once.source.support=enabled\ngroup.id="+to+
		"\noffset.storage.topic=offsets-"+to+"\noffset.storage.replication.factor=1\noffset.storage.partitions=1\n")
	args := []string{"run", testbed.WriteConnector(t, dir, connector), "-c", worker}
	p := start(t, dir, args...)
	topic := connector["topic.prefix"] + ".public.bets"
	inTable := func(n int) {
		t.Helper()
		p.Until(fmt.Sprintf("%d rows are not in the table", n), func() bool {
			return count(t, target, to, "pg_tables WHERE tablename = 'bets'") == 1 && count(t, target, to, "bets") == n
		})
	}
	kafka.WaitRecords(t, 2, deadline, topic)
	inTable(2)
	replica.SyncSlots(t, primary, 1, func() {})
	primary.Exec(t, "postgres", "INSERT INTO bets VALUES (50, 'both', 1)")
	kafka.WaitRecords(t, 3, deadline, topic)
	inTable(3)
	replica.CatchUp(t, primary)
	replica.StopReceiving(t)

	there := target.Connect(t, to)
	for _, q := range []string{"BEGIN", "LOCK TABLE bets IN SHARE MODE"} {
		if _, err := there.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	primary.Exec(t, "postgres", "INSERT INTO bets SELECT g, repeat('lost', 25), 1 FROM generate_series(100, 119) g")
	kafka.WaitRecords(t, 23, deadline, topic)
	p.Kill()
	for _, q := range []string{"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()", "COMMIT"} {
		if _, err := there.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, target, to, "bets"); n != 3 {
		t.Fatalf("%d rows in the table, want 3: it was not held up", n)
	}

	failOver(t, primary, replica, proxy)
	p = start(t, dir, args...)
	if code := p.Ends(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	p.Says("promoted without the last commits", "but sink events has commits up to", "snapshot.mode=when_needed", "offset.mismatch.strategy=trust_greater_lsn")
	if n := count(t, target, to, "bets"); n != 3 {
		t.Errorf("%d rows in the table, want 3: the connector went on", n)
	}

	target.Exec(t, to, "TRUNCATE bets")
	connector["snapshot.mode"] = "when_needed"
	testbed.WriteConnector(t, dir, connector)
	p = start(t, dir, args...)
	kafka.WaitRecords(t, 23+5, deadline, topic)
	inTable(5)
	replica.Exec(t, "postgres", "INSERT INTO bets VALUES (4, 'later', 1)")
	kafka.WaitRecords(t, 23+6, deadline, topic)
	inTable(6)
	from := replica.Connect(t, "postgres")
	for _, column := range columnsOf(t, from, "bets") {
		if !slices.Equal(contents(t, from, "bets", "id", column), contents(t, there, "bets", "id", column)) {
			t.Errorf("column %s of the table differs from its source", column)
		}
	}
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
}
