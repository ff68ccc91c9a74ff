package e2e

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/freshet-io/freshet/testbed"
)

// Both the program and the broker are killed while rows change: a reader of committed records sees every change of every row
// once and in order.
func TestKafkaExactlyOnceSurvivesKills(t *testing.T) {
	t.Parallel()
	pg, kafka := bed.Postgres(t), testbed.StartKafka(t)
	database := pg.NewDatabase(t)
	pg.Exec(t, database, betsTable, "TRUNCATE bets")
	dir := t.TempDir()
	c := pg.Connector(database, "once", map[string]string{
		"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
		"key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "false",
		"decimal.handling.mode":             "double",
		"topic.creation.default.partitions": "3", "topic.creation.default.replication.factor": "1",
	})
	worker := testbed.WriteFile(t, dir, "w.properties", "bootstrap.servers="+kafka.Bootstrap()+
		"\nexactly.once.source.support=enabled\noffset.storage.replication.factor=1\noffset.storage.partitions=1\n")
	file := testbed.WriteConnector(t, dir, c)
	topic := c["topic.prefix"] + ".public.bets"

	const ids, rounds, perRound = 5, 4, 300
	conn := pg.Connect(t, database)
	changes := ids
	p := start(t, dir, "run", file, "-c", worker)
	p.Says("msg=streaming")
	pg.Exec(t, database, "INSERT INTO bets VALUES (0, 'Comet', 5)") // nothing is committed before the first record
	kafka.WaitRecords(t, 1, deadline, topic)
	for round := range rounds {
		for i := range perRound {
			changes++
			if _, err := conn.Exec(t.Context(), "INSERT INTO bets VALUES ($1, 'Comet', $2) ON CONFLICT (id) DO UPDATE SET stake = EXCLUDED.stake",
				changes%ids, changes); err != nil {
				t.Fatal(err)
			}
			if i != perRound/2 {
				continue
			}
			if round%2 == 0 {
				p.Kill()
				p = start(t, dir, "run", file, "-c", worker)
				p.Says("msg=streaming")
			} else {
				kafka.Kill(t)
				kafka.Restart(t)
				// A broker that is alone loses markers of transactions when it starts (docs/cluster.md, "Limits"): the next one must be
				// committed before the program may be killed.
				kafka.WaitRecords(t, changes-ids+1, deadline, topic)
			}
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.Output())
		}
	})
	kafka.WaitRecords(t, changes-ids+1, deadline, topic)
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0:\n%s", code, p.Output())
	}
	last := map[string]float64{}
	records := kafka.Read(t, topic)
	for _, r := range records {
		var event struct{ After struct{ Stake float64 } }
		if err := json.Unmarshal(r.Value, &event); err != nil {
			t.Fatal(err)
		}
		key := string(r.Key)
		want := last[key] + ids
		if last[key] == 0 { // 5 for id 0, which is there first, 6 … 9 for the others
			want = event.After.Stake
			if want < ids || want >= 2*ids {
				t.Errorf("%s begins at %v", key, want)
			}
		}
		if event.After.Stake != want {
			t.Fatalf("%s: change %v in place of %v", key, event.After.Stake, want)
		}
		last[key] = want
	}
	if len(records) != changes-ids+1 {
		t.Errorf("%d records for %d changes: %s", len(records), changes-ids+1, fmt.Sprint(last))
	}
}
