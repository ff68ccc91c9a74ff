package testbed

import (
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var bed Bed

func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }

func TestPostgresKeepsPortAndDataOverKill(t *testing.T) {
	t.Parallel()
	pg := StartPostgres(t, "max_wal_senders=7")
	db := pg.NewDatabase(t)
	pg.Exec(t, db, "CREATE TABLE a (id int); INSERT INTO a VALUES (1)", "SELECT pg_create_logical_replication_slot('s', 'pgoutput')")
	pg.Kill(t)
	if err := postgresReady(t.Context(), pg.Address()); err == nil {
		t.Fatal("a killed server answers")
	}
	pg.Restart(t)
	var n, senders int
	var level string
	conn := pg.Connect(t, db)
	if err := conn.QueryRow(t.Context(), "SELECT count(*), current_setting('max_wal_senders')::int, current_setting('wal_level') FROM a").Scan(&n, &senders, &level); err != nil {
		t.Fatal(err)
	}
	if n != 1 || senders != 7 || level != "logical" {
		t.Fatalf("rows %d, max_wal_senders %d, wal_level %s", n, senders, level)
	}
}

func TestTimescaleIsInNewDatabases(t *testing.T) {
	t.Parallel()
	ts := bed.Timescale(t)
	db := ts.NewDatabase(t)
	ts.Exec(t, db, "CREATE TABLE h (at timestamptz NOT NULL); SELECT create_hypertable('h', 'at')")
}

func TestKafkaTransactionsAndKill(t *testing.T) {
	t.Parallel()
	k := StartKafka(t)
	topic := k.NewTopic(t, 2, map[string]string{"cleanup.policy": "compact"})
	c := k.Client(t, kgo.TransactionalID("tx"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	send := func(value string, end kgo.TransactionEndTry) {
		t.Helper()
		if err := c.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: 1, Key: []byte("k"), Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := c.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	send("aborted", kgo.TryAbort)
	send("committed", kgo.TryCommit)
	send("aborted at the end", kgo.TryAbort)
	check := func() {
		t.Helper()
		got := k.WaitRecords(t, 1, time.Minute, topic, "no-such-topic")
		if len(got) != 1 || string(got[0].Value) != "committed" || got[0].Partition != 1 {
			t.Fatalf("read %v", got)
		}
	}
	check()
	k.Kill(t)
	k.Restart(t)
	check()
}

func TestToxiproxyCuts(t *testing.T) {
	t.Parallel()
	pg := bed.Postgres(t)
	proxy := bed.Toxiproxy(t).Proxy(t, pg.Address())
	if err := postgresReady(t.Context(), proxy.Listen); err != nil {
		t.Fatal(err)
	}
	if err := proxy.Disable(); err != nil {
		t.Fatal(err)
	}
	if err := postgresReady(t.Context(), proxy.Listen); err == nil {
		t.Fatal("a disabled proxy passes connections on")
	}
}

func TestSharedServerIsOne(t *testing.T) {
	t.Parallel()
	if a, b := bed.Postgres(t), bed.Postgres(t); a != b {
		t.Fatal("two servers")
	}
	if a, b := bed.Postgres(t).NewDatabase(t), bed.Postgres(t).NewDatabase(t); a == b {
		t.Fatal("one database")
	}
}
