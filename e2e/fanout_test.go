package e2e

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/testbed"
)

// One connector feeds a file and, exactly once, a topic; the program is killed again and again while rows arrive. Both have
// every change once.
func TestFanOutSurvivesKills(t *testing.T) {
	t.Parallel()
	pg, kafka := bed.Postgres(t), bed.Kafka(t)
	database := pg.NewDatabase(t)
	pg.Exec(t, database, betsTable)
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	keys := testbed.ToFile(out)
	maps.Copy(keys, map[string]string{
		"sinks":                        "out,events",
		"sinks.events.connector.class": "kafka",
	})
	c := pg.Connector(database, "fan-"+database, keys)
	worker := testbed.WriteFile(t, dir, "w.properties", "bootstrap.servers="+kafka.Bootstrap()+"\nexactly.once.source.support=enabled\ngroup.id="+database+
		"\noffset.storage.topic=offsets-"+database+"\noffset.storage.replication.factor=1\noffset.storage.partitions=1\n")
	file := testbed.WriteConnector(t, dir, c)
	topic := c["topic.prefix"] + ".public.bets"

	conn := pg.Connect(t, database)
	const rounds, perRound = 4, 500
	rows := 2
	for round := range rounds {
		p := start(t, dir, "run", file, "-c", worker)
		p.Says("msg=streaming")
		if round == 0 { // the snapshot: one that did not reach every sink begins again
			kafka.WaitRecords(t, rows, deadline, topic)
			p.Until("not all rows are in the file", func() bool { return lines(out) >= rows })
		}
		for i := range perRound {
			if _, err := conn.Exec(t.Context(), "INSERT INTO bets VALUES ($1, 'Comet', 1)", 10+round*perRound+i); err != nil {
				t.Fatal(err)
			}
			if i == perRound/2 {
				p.Kill() // half of the rows of a round come while nobody reads
			}
		}
		rows += perRound
	}
	p := start(t, dir, "run", file, "-c", worker)
	p.Until("not all rows are in the file", func() bool { return lines(out) >= rows })
	kafka.WaitRecords(t, rows, deadline, topic)
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
	records := kafka.Read(t, topic)
	seen := map[string]bool{}
	for _, r := range records {
		seen[string(r.Key)] = true
	}
	if len(records) != rows || len(seen) != rows {
		t.Errorf("topic: %d records with %d keys, want %d", len(records), len(seen), rows)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	var twice []string
	for line := range strings.Lines(string(text)) {
		_, id, _ := strings.Cut(line, `"after":`)
		id, _, _ = strings.Cut(id, ",")
		if ids[id] {
			twice = append(twice, id)
		}
		ids[id] = true
	}
	if n := lines(out); n != rows || len(ids) != rows {
		t.Errorf("file: %d lines with %d rows, want %d; again: %.2000s", n, len(ids), rows, strings.Join(twice, " "))
	}
}

// The server of one sink is away when the connector starts a second time, and the other sink is ahead: the slot keeps what the one lacks until
// it is back.
func TestSlotKeepsWhatAnAbsentSinkLacks(t *testing.T) {
	t.Parallel()
	pg, kafka, target := bed.Postgres(t), bed.Kafka(t), bed.Timescale(t)
	proxy, host, port := stableAddress(t, target)
	database, to, dir := pg.NewDatabase(t), target.NewDatabase(t), t.TempDir()
	pg.Exec(t, database, betsTable)
	c := pg.Connector(database, "fan-"+database, target.ToTable(to, map[string]string{
		"sinks": "db,events", "sinks.events.connector.class": "kafka", "status.update.interval.ms": "100",
		"sinks.db.connection.url": "jdbc:postgresql://" + net.JoinHostPort(host, port) + "/" + to, "sinks.db.on.failure": "stop", "sinks.db.hold.max.ms": "1000",
	}))
	clusterFile(t, dir, database, kafka, map[string]string{
		"exactly.once.source.support": "enabled", "offset.flush.interval.ms": "100", "value.converter": "org.apache.kafka.connect.json.JsonConverter",
	})
	topic := c["topic.prefix"] + ".public.bets"
	inTable := func(n int) bool {
		return count(t, target, to, "pg_tables WHERE tablename = 'bets'") == 1 && count(t, target, to, "bets") == n
	}
	conn := pg.Connect(t, database)
	confirmed := func() (lsn string) {
		if err := conn.QueryRow(t.Context(), "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = $1", c["slot.name"]).Scan(&lsn); err != nil {
			t.Fatal(err)
		}
		return lsn
	}

	p := startWorker(t, dir)
	ask(t, p.url, "connectors", "apply", "--wait", "-f", testbed.WriteConnector(t, dir, c))
	kafka.WaitRecords(t, 2, deadline, topic)
	p.Until("the snapshot is not in the table", func() bool { return inTable(2) })
	testbed.Cut(t, proxy)
	for id := range 20 { // a commit each
		pg.Exec(t, database, fmt.Sprintf("INSERT INTO bets VALUES (%d, 'Comet', 1)", 100+id))
	}
	kafka.WaitRecords(t, 22, deadline, topic)
	p.Until("the sink has not dropped out", func() bool {
		return strings.Contains(ask(t, p.url, "connectors", "tasks", c["name"], "-o", "json"), "dropped out")
	})
	p.Kill()
	held := confirmed()
	p = startWorker(t, dir)
	p.Says("msg=streaming")
	for id := range 5 { // each is delivered, and the server told of it
		pg.Exec(t, database, fmt.Sprintf("INSERT INTO bets VALUES (%d, 'Comet', 1)", 200+id))
		kafka.WaitRecords(t, 23+id, deadline, topic)
	}
	if now := confirmed(); now != held {
		t.Errorf("the slot moved from %s to %s while a sink was away", held, now)
	}
	testbed.Heal(t, proxy)
	p.Until("not all rows are in the table", func() bool { return inTable(27) })
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
}
