//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/freshet-io/freshet/testbed"
)

// clickHouseConfig lets a source write into ClickHouse's tables.
func (b *bench) clickHouseConfig() map[string]string {
	return map[string]string{
		"sinks": "ch", "sinks.ch.connector.class": "clickhouse", "sinks.ch.hostname": b.ch.Host(), "sinks.ch.port": strconv.Itoa(b.ch.Port()),
		"sinks.ch.database": database, "sinks.ch.username": testbed.ClickHouseUser, "sinks.ch.password": testbed.ClickHousePassword,
	}
}

// clearClickHouse removes what an earlier run wrote.
func (b *bench) clearClickHouse(ctx context.Context) error {
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + database, "CREATE DATABASE " + database} {
		if _, err := b.ch.Ask(ctx, "", sql); err != nil {
			return err
		}
	}
	return nil
}

// inClickHouse asks whether a table, which may not be there yet, has so many rows.
func (b *bench) inClickHouse(table string, rows int) question {
	sql := fmt.Sprintf("SELECT count() FROM system.tables WHERE database = '%s' AND name = '%s' AND total_rows >= %d", database, table, rows)
	return func(ctx context.Context) (bool, error) {
		n, err := b.ch.Ask(ctx, "", sql)
		return n == "1", err
	}
}

// drainToClickHouse is the freshet program until all rows can be seen. The marker comes with the last of them.
func (b *bench) drainToClickHouse(ctx context.Context, r logRange) (sample, error) {
	if err := b.clearClickHouse(ctx); err != nil {
		return sample{}, err
	}
	name := b.name("clickhouse")
	source, err := b.source.stream(ctx, name, &r)
	if err != nil {
		return sample{}, err
	}
	defer b.release(ctx, name)
	p, err := b.startWorker(ctx, worker{source: source.with(b.clickHouseConfig())})
	if err != nil {
		return sample{}, err
	}
	defer p.stop()
	s, err := b.timed(ctx, r.rows, p.pid(), p.ended, b.source.sends(name), b.inClickHouse("rows", r.rows))
	if err != nil {
		return s, err
	}
	if err := until(ctx, endEvery, p.ended, b.inClickHouse("marker", 1)); err != nil {
		return s, err
	}
	p.stop()
	n, err := b.ch.Ask(ctx, database, "SELECT count() FROM rows_current")
	if err == nil && n != strconv.Itoa(r.rows) {
		err = fmt.Errorf("ClickHouse has %s rows, not %d", n, r.rows)
	}
	return s, err
}

// freshClickHouse starts the freshet program into ClickHouse, and looks for new rows in the view of the current ones.
func (b *bench) freshClickHouse(ctx context.Context) (*fresh, error) {
	if err := b.clearClickHouse(ctx); err != nil {
		return nil, err
	}
	name := b.name("fresh")
	source, err := b.source.stream(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	p, err := b.startWorker(ctx, worker{source: source.with(b.clickHouseConfig())})
	if err != nil {
		return nil, err
	}
	return &fresh{process: p.ended, pid: p.pid(), reader: &blockReader{b: b, last: make(seenIDs, pacedWriters)}, close: func() error {
		p.stop()
		return b.source.release(context.WithoutCancel(ctx), name)
	}}, nil
}

// blockReader asks ClickHouse for rows that it has not seen.
type blockReader struct {
	b     *bench
	last  seenIDs
	found []arrival
	there bool
}

func (r *blockReader) arrivals() []arrival { return r.found }

func (r *blockReader) read(ctx context.Context) error {
	if !r.there {
		var err error
		if r.there, err = r.b.inClickHouse("rows", 1)(ctx); err != nil || !r.there {
			return errors.Join(err, pause(ctx, tick))
		}
	}
	answer, err := r.b.ch.Ask(ctx, database, r.last.query("id, toUnixTimestamp64Micro(sent)", "rows_current"))
	if err != nil {
		return err
	}
	now := time.Now()
	for line := range strings.Lines(answer) {
		first, second, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		id, err := strconv.ParseInt(first, 10, 64)
		sent, err2 := strconv.ParseInt(second, 10, 64)
		if err := errors.Join(err, err2); err != nil {
			return fmt.Errorf("read a new row: %w", err)
		}
		r.found = append(r.found, arrival{committed: time.UnixMicro(sent), seen: now})
		r.last.saw(id)
	}
	return pause(ctx, tick)
}
