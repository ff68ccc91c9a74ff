//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The names of what is measured; budgets are found by them.
const (
	copyOut          = "COPY … TO STDOUT"
	snapshotNothing  = "Freshet → nothing"
	snapshotNothing2 = "Freshet → nothing, 2 threads"
	snapshotKafka    = "Freshet → Kafka JSON"
	snapshotKafka2   = "Freshet → Kafka JSON, 2 threads"
)

// measureSnapshot reads one table with COPY, which is one connection, and with Freshet.
func measureSnapshot(ctx context.Context, b *bench) error {
	if err := b.createTables(ctx); err != nil {
		return err
	}
	b.say("snapshot: loading %s rows", thousands(float64(b.rows)))
	if err := b.source.exec(ctx, insert(1, b.rows), "VACUUM (FREEZE, ANALYZE) bench.rows"); err != nil {
		return err
	}
	threads := map[string]string{"snapshot.max.threads": "2"}
	parallel, err := b.supports(ctx, threads)
	if err != nil {
		return err
	}
	var template *kgo.Record
	nothing := func(name string, more map[string]string) variant {
		return variant{name, func(ctx context.Context) (sample, error) { return b.snapshotToNothing(ctx, more) }}
	}
	kafka := func(name string, more map[string]string) variant {
		return variant{name, func(ctx context.Context) (sample, error) {
			s, first, err := b.snapshotToKafka(ctx, more)
			template = first
			return s, err
		}}
	}
	variants := []variant{{copyOut, b.copyOut}, nothing(snapshotNothing, nil), kafka(snapshotKafka, nil)}
	if parallel {
		variants = append(variants, nothing(snapshotNothing2, threads), kafka(snapshotKafka2, threads))
	} else {
		b.say("snapshot: snapshot.max.threads=2 is not supported by this build")
	}
	variants = append(variants, variant{brokerAlone, func(ctx context.Context) (sample, error) { return b.produceEncoded(ctx, template, b.rows) }})
	all, err := b.runRounds(ctx, "snapshot", append(variants, b.snapshotsRemote()...))
	if err != nil {
		return err
	}
	b.report.addRates("Snapshot of one table", "COPY", all, snapshotBudgets(all))
	b.report.addComparison("Snapshot: Freshet beside the Connect worker", all)
	return nil
}

// snapshotBudgets: the database's rate per connection, unless the broker's own is lower.
func snapshotBudgets(all []series) budgets {
	broker := find(all, brokerAlone)
	kafka := func(s series, ratio float64) []check {
		return []check{{"≥ 0.8 × COPY or × the broker alone", max(ratio, s.ratio(*broker)), 0.8, true}, memoryBudget(s)}
	}
	nothing := func(_ series, ratio float64) []check { return []check{ratioBudget(ratio, 0.8)} }
	return budgets{snapshotNothing: nothing, snapshotNothing2: nothing, snapshotKafka: kafka, snapshotKafka2: kafka}
}

// supports asks the program whether it takes these keys of a Postgres source.
func (b *bench) supports(ctx context.Context, keys map[string]string) (bool, error) {
	text, err := json.Marshal(b.sourceConfig("probe", "probe", keys))
	if err != nil {
		return false, fmt.Errorf("encode the connector: %w", err)
	}
	path := filepath.Join(b.work, "probe.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return false, fmt.Errorf("write the connector's file: %w", err)
	}
	said, err := exec.CommandContext(ctx, b.binary, "validate", "--offline", path).CombinedOutput()
	if err == nil {
		return true, nil
	}
	if !strings.Contains(string(said), "not supported yet") {
		return false, fmt.Errorf("ask the program what it supports: %w: %s", err, said)
	}
	return false, nil
}

func (b *bench) copyOut(ctx context.Context) (sample, error) {
	cmd, err := b.source.tool(ctx, "psql", "-X", "-q", "-d", b.source.connection(), "-c", "COPY bench.rows TO STDOUT", "-o", "/dev/null")
	if err != nil {
		return sample{}, err
	}
	return b.timedTool(ctx, b.rows, cmd, b.copies())
}

func snapshotOnly(more map[string]string) map[string]string {
	c := map[string]string{"snapshot.mode": "initial_only", "table.include.list": "bench.rows"}
	maps.Copy(c, more)
	return c
}

func (b *bench) snapshotToNothing(ctx context.Context, more map[string]string) (sample, error) {
	name := b.name("snapshot")
	defer func() { _ = b.source.dropSlot(context.WithoutCancel(ctx), name) }() // the database goes at the end
	p, err := b.startWorker(worker{child: true, rows: b.rows, connector: b.sourceConfig(name, name, discarded(), snapshotOnly(more))})
	if err != nil {
		return sample{}, err
	}
	defer p.stop()
	return b.timed(ctx, b.rows, p.pid(), p.ended, b.copies(), p.printed(endLine))
}

// snapshotToKafka also returns the first record.
func (b *bench) snapshotToKafka(ctx context.Context, more map[string]string) (sample, *kgo.Record, error) {
	name := b.name("snapshot")
	defer func() { _ = b.source.dropSlot(context.WithoutCancel(ctx), name) }() // the database goes at the end
	topic := name + ".bench.rows"
	p, err := b.startWorker(worker{connector: b.sourceConfig(name, name, jsonConverters(false), snapshotOnly(more)), properties: b.kafkaProperties()})
	if err != nil {
		return sample{}, nil, err
	}
	defer p.stop()
	s, err := b.timed(ctx, b.rows, p.pid(), p.ended, b.copies(), b.holds(topic, b.rows))
	if err != nil {
		return s, nil, err
	}
	p.stop()
	first, err := b.firstRecord(ctx, topic)
	if err != nil {
		return s, nil, err
	}
	return s, first, b.checkTopic(ctx, name, b.rows)
}
