//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The names of what is measured; budgets are found by them.
const (
	snapshotNothing  = "Freshet → nothing"
	snapshotNothing2 = "Freshet → nothing, 2 threads"
	snapshotKafka    = "Freshet → Kafka JSON"
	snapshotKafka2   = "Freshet → Kafka JSON, 2 threads"
)

// measureSnapshot reads one table with the reference tool, over one connection, and with Freshet.
func measureSnapshot(ctx context.Context, b *bench) error {
	if err := b.source.createTables(ctx); err != nil {
		return err
	}
	b.say("snapshot: loading %s rows", thousands(float64(b.rows)))
	if err := b.source.fill(ctx, b.rows); err != nil {
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
	l := b.source.limits()
	variants := []variant{{l.snapshotTool, b.snapshotReference}, nothing(snapshotNothing, nil), kafka(snapshotKafka, nil)}
	if parallel {
		variants = append(variants, nothing(snapshotNothing2, threads), kafka(snapshotKafka2, threads))
	} else {
		b.say("snapshot: snapshot.max.threads=2 is not supported by this build")
	}
	variants = append(variants, variant{brokerAlone, func(ctx context.Context) (sample, error) { return b.produceEncoded(ctx, template, b.rows) }})
	targets, err := b.snapshotsToTargets(ctx)
	if err != nil {
		return err
	}
	variants = append(variants, targets...)
	all, err := b.runRounds(ctx, "snapshot", append(variants, b.snapshotsRemote()...))
	if err != nil {
		return err
	}
	limits := snapshotBudgets(l.snapshot, all)
	limits.addTargets(all)
	b.report.addRates("Snapshot of one table", l.snapshot, all, limits)
	b.report.addComparison("Snapshot: Freshet beside the Connect worker", all)
	return nil
}

// snapshotsToTargets are the snapshots into tables, beside the same by hand.
func (b *bench) snapshotsToTargets(ctx context.Context) ([]variant, error) {
	var list []variant
	if b.target.dsn != nil {
		blocks, err := b.blocks(ctx)
		if err != nil {
			return nil, err
		}
		list = append(list,
			variant{toTables, func(ctx context.Context) (sample, error) { return b.intoTables(ctx, b.tableFeed()) }},
			variant{tablesByHand, func(ctx context.Context) (sample, error) { return b.tablesByHandRun(ctx, blocks) }})
	}
	if b.ch != nil {
		list = append(list,
			variant{toClickHouse, func(ctx context.Context) (sample, error) { return b.intoClickHouse(ctx, b.tableFeed()) }},
			variant{bareClickHouse, func(ctx context.Context) (sample, error) { return b.bareInserts(ctx, b.rows) }})
	}
	return list, nil
}

// snapshotBudgets: the database's rate per connection, unless the broker's own is lower.
func snapshotBudgets(reference string, all []series) budgets {
	broker := find(all, brokerAlone)
	kafka := func(s series, ratio float64) []check {
		return []check{{"≥ 0.8 × " + reference + " or × the broker alone", max(ratio, s.ratio(*broker)), 0.8, true}, memoryBudget(s)}
	}
	nothing := func(_ series, ratio float64) []check { return []check{ratioBudget(ratio, 0.8)} }
	return budgets{snapshotNothing: nothing, snapshotNothing2: nothing, snapshotKafka: kafka, snapshotKafka2: kafka}
}

// supports asks the program whether it takes these keys of the source.
func (b *bench) supports(ctx context.Context, keys map[string]string) (bool, error) {
	text, err := json.Marshal(b.source.snapshot("probe").with(keys).config)
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

func (b *bench) snapshotReference(ctx context.Context) (sample, error) {
	cmd, err := b.source.snapshotTool(ctx)
	if err != nil {
		return sample{}, err
	}
	return b.timedTool(ctx, b.rows, cmd, b.source.reads())
}

func (b *bench) snapshotToNothing(ctx context.Context, more map[string]string) (sample, error) {
	name := b.name("snapshot")
	defer b.release(ctx, name)
	p, err := b.startWorker(ctx, worker{child: true, rows: b.rows, source: b.source.snapshot(name).with(discarded(), more)})
	if err != nil {
		return sample{}, err
	}
	defer p.stop()
	return b.timed(ctx, b.rows, p.pid(), p.ended, b.source.reads(), p.printed(endLine))
}

// snapshotToKafka also returns the first record.
func (b *bench) snapshotToKafka(ctx context.Context, more map[string]string) (sample, *kgo.Record, error) {
	name := b.name("snapshot")
	defer b.release(ctx, name)
	topic := name + ".bench.rows"
	p, err := b.startWorker(ctx, worker{source: b.source.snapshot(name).with(jsonConverters(false), more), properties: b.kafkaProperties()})
	if err != nil {
		return sample{}, nil, err
	}
	defer p.stop()
	s, err := b.timed(ctx, b.rows, p.pid(), p.ended, b.source.reads(), b.holds(topic, b.rows))
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
