package e2e

import (
	"maps"
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
