//go:build linux

package main

import (
	"context"
	"fmt"
)

// Sinks alone: the engine and one sink with changes that the worker makes itself, beside the same written by hand.

const (
	madeClickHouse = "made changes → ClickHouse"
	madeTables     = "made changes → TimescaleDB tables"
	madeElastic    = "made changes → Elasticsearch"
)

// longer is how many times the rows of other runs ClickHouse gets: it takes them in less than a second, and the pause before the last insert would count.
const longer = 4

// measureSinks measures each sink beside what its target takes from ready-made data.
func measureSinks(ctx context.Context, b *bench) error {
	if b.ch != nil {
		rows := b.rows * longer
		err := b.sinkBeside(ctx, "ClickHouse", "bare inserts",
			variant{madeClickHouse, func(ctx context.Context) (sample, error) { return b.intoClickHouse(ctx, b.madeFeed(rows)) }},
			variant{bareClickHouse, func(ctx context.Context) (sample, error) { return b.bareInserts(ctx, rows) }},
			func(sink, hand series) []check {
				return []check{{"≥ 0.8 × bare inserts", sink.ratio(hand), 0.8, true}, memoryBudget(sink)}
			})
		if err != nil {
			return err
		}
	}
	if b.target.dsn != nil {
		blocks, err := b.blocks(ctx)
		if err != nil {
			return err
		}
		err = b.sinkBeside(ctx, "TimescaleDB", "by hand",
			variant{madeTables, func(ctx context.Context) (sample, error) { return b.intoTables(ctx, b.madeFeed(b.rows)) }},
			variant{tablesByHand, func(ctx context.Context) (sample, error) { return b.tablesByHandRun(ctx, blocks) }},
			func(sink, hand series) []check {
				return []check{{"≥ 0.9 × by hand", sink.ratio(hand), 0.9, true}, memoryBudget(sink)}
			})
		if err != nil {
			return err
		}
	}
	if b.es == nil {
		return nil
	}
	return b.sinkBeside(ctx, "Elasticsearch", "BulkIndexer",
		variant{madeElastic, func(ctx context.Context) (sample, error) { return b.intoElastic(ctx, b.madeFeed(b.rows)) }},
		variant{bulkIndexer, b.bulkIndexerRun},
		func(sink, hand series) []check {
			perCPU := sink.ratioOf(hand, func(s sample) float64 { return 1 / s.perRow(s.worker) })
			return []check{{fmt.Sprintf("≥ 2 × BulkIndexer per CPU second (%.1f ×)", perCPU), perCPU, 2, true}, memoryBudget(sink)}
		})
}

// sinkBeside runs a sink and then, with what that run showed, the same by hand, in each round.
func (b *bench) sinkBeside(ctx context.Context, target, reference string, sink, hand variant, limit func(sink, hand series) []check) error {
	all, err := b.runRounds(ctx, "sinks", []variant{sink, hand})
	if err != nil {
		return err
	}
	b.report.addRates("Sinks alone: "+target, reference, []series{all[1], all[0]}, budgets{
		sink.name: func(s series, _ float64) []check { return limit(s, all[1]) },
	})
	return nil
}
