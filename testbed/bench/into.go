//go:build linux

package main

import (
	"context"
	"fmt"
	"maps"

	"github.com/jackc/pgx/v5"
)

// feed is what a worker reads for a run into tables or documents: a range of the log, the table, or changes that it makes itself. The ids of its
// rows are 1 to rows.
type feed struct {
	rows  int
	child bool // this program as the worker
	read  func(ctx context.Context, name string) (reading, error)
	begun func(name string, p *process) question
}

func (b *bench) rangeFeed(r logRange) feed {
	return feed{
		rows:  r.rows,
		read:  func(ctx context.Context, name string) (reading, error) { return b.source.stream(ctx, name, &r) },
		begun: func(name string, _ *process) question { return b.source.sends(name) },
	}
}

func (b *bench) tableFeed() feed {
	return feed{
		rows:  b.rows,
		read:  func(_ context.Context, name string) (reading, error) { return b.source.snapshot(name), nil },
		begun: func(string, *process) question { return b.source.reads() },
	}
}

func (b *bench) madeFeed(rows int) feed {
	return feed{
		rows: rows, child: true,
		read:  func(_ context.Context, name string) (reading, error) { return madeReading(name, rows), nil },
		begun: func(_ string, p *process) question { return p.printed(beginLine) },
	}
}

// into runs a worker with a sink until the target has everything.
func (b *bench) into(ctx context.Context, f feed, name string, sink map[string]string, arrived question) (sample, error) {
	source, err := f.read(ctx, name)
	if err != nil {
		return sample{}, err
	}
	defer b.release(ctx, name)
	p, err := b.startWorker(ctx, worker{child: f.child || b.profile != "", profile: true, source: source.with(sink)})
	if err != nil {
		return sample{}, err
	}
	defer p.stop()
	return b.timed(ctx, f.rows, p.pid(), p.ended, f.begun(name, p), arrived)
}

// intoTables is a run until the last row can be seen in the target, which has them in order.
func (b *bench) intoTables(ctx context.Context, f feed, more ...map[string]string) (sample, error) {
	if err := b.clearTarget(ctx); err != nil {
		return sample{}, err
	}
	config := b.tablesConfig()
	for _, m := range more {
		maps.Copy(config, m)
	}
	var s sample
	err := b.target.session(ctx, func(conn *pgx.Conn) (err error) {
		last := fmt.Sprintf("bench.rows WHERE id = %d", f.rows)
		s, err = b.into(ctx, f, b.name("tables"), config, func(ctx context.Context) (bool, error) { return hasRow(ctx, conn, last) })
		if err != nil {
			return err
		}
		return expectRows(ctx, conn, "bench.rows", f.rows)
	})
	return s, err
}
