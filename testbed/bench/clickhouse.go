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

// askClickHouse is how often the server is asked at most: a look at its table of tables is work that an insert would not have.
const askClickHouse = 50 * time.Millisecond

// inClickHouse asks whether a table, which may not be there yet, has so many rows.
func (b *bench) inClickHouse(table string, rows int) question {
	sql := fmt.Sprintf("SELECT count() FROM system.tables WHERE database = '%s' AND name = '%s' AND total_rows >= %d", database, table, rows)
	var asked time.Time
	return func(ctx context.Context) (bool, error) {
		if time.Since(asked) < askClickHouse {
			return false, nil
		}
		asked = time.Now()
		n, err := b.ch.Ask(ctx, "", sql)
		return n == "1", err
	}
}

// intoClickHouse is a run until all rows can be seen. It notes how many rows an insert had.
func (b *bench) intoClickHouse(ctx context.Context, f feed) (sample, error) {
	if err := b.clearClickHouse(ctx); err != nil {
		return sample{}, err
	}
	s, err := b.into(ctx, f, b.name("clickhouse"), b.clickHouseConfig(), b.inClickHouse("rows", f.rows))
	if err != nil {
		return s, err
	}
	if err := b.expectBlocks(ctx, "rows_current", f.rows); err != nil {
		return s, err
	}
	// A part of one block is an insert; those that were merged away are listed for some minutes.
	answer, err := b.ch.Ask(ctx, "", "SELECT count() FROM system.parts WHERE database = '"+database+"' AND table = 'rows' AND min_block_number = max_block_number")
	if err != nil {
		return s, err
	}
	inserts, err := strconv.Atoi(answer)
	if err != nil || inserts == 0 {
		return s, fmt.Errorf("count the inserts: %q: %w", answer, err)
	}
	b.blockRows = (f.rows + inserts - 1) / inserts
	return s, nil
}

func (b *bench) expectBlocks(ctx context.Context, table string, rows int) error {
	n, err := b.ch.Ask(ctx, database, "SELECT count() FROM "+table)
	if err == nil && n != strconv.Itoa(rows) {
		err = fmt.Errorf("table %s of ClickHouse has %s rows, not %d", table, n, rows)
	}
	return err
}

// bareInserts puts the rows of the run before into a table like its table, one insert after the other, as ready-made blocks of the Native
// format with as many rows as the inserts of that run had.
func (b *bench) bareInserts(ctx context.Context, rows int) (sample, error) {
	if b.blockRows == 0 {
		return sample{}, errors.New("no run has shown how many rows an insert has")
	}
	var blocks []string
	for from := 1; from <= rows; from += b.blockRows {
		block, err := b.ch.Ask(ctx, database, fmt.Sprintf("SELECT * FROM rows WHERE id >= %d AND id < %d ORDER BY id FORMAT Native", from, min(from+b.blockRows, rows+1)))
		if err != nil {
			return sample{}, err
		}
		blocks = append(blocks, block)
	}
	for _, sql := range []string{"CREATE TABLE bare AS rows", "DROP TABLE rows_current", "DROP TABLE rows SYNC"} {
		if _, err := b.ch.Ask(ctx, database, sql); err != nil {
			return sample{}, err
		}
	}
	b.say("  %d bare inserts of %s rows", len(blocks), thousands(float64(b.blockRows)))
	s, err := b.within(rows, func() error {
		for _, block := range blocks {
			if err := b.ch.Insert(ctx, database, "INSERT INTO bare FORMAT Native", block); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return s, err
	}
	return s, b.expectBlocks(ctx, "bare FINAL", rows)
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

func (r *blockReader) rows() int { return len(r.found) }

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
