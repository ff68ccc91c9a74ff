//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// The benchmark's tables are in schema bench: rows, and a marker whose row ends a range of WAL.
const (
	schema      = "bench"
	rowsTable   = "rows"
	markerTable = "marker"
	publication = "bench"
)

// columns are the ten columns of the load, with what makes a row of number n: about 190 bytes in a pgoutput message.
func columns() [10][3]string {
	return [10][3]string{
		{"id", "bigint PRIMARY KEY", "n"},
		{"customer", "integer NOT NULL", "(n * 7919 % 100000)::int"},
		{"account", "bigint NOT NULL", "100000000000 + n * 31"},
		{"amount", "numeric(12,2) NOT NULL", "(n % 1000000) / 100.0"},
		{"odds", "double precision NOT NULL", "1 + n % 997 / 8.0"},
		{"state", "text NOT NULL", "(ARRAY['open','won','lost','void'])[1 + n % 4]"},
		{"note", "text", "'selection ' || n % 5000 || ' in race ' || n % 97"},
		{"live", "boolean NOT NULL", "n % 3 = 0"},
		{"placed", "timestamptz NOT NULL", "timestamptz '2026-01-01 00:00:00.123456Z' + n * interval '1 second'"},
		{"sent", "timestamptz NOT NULL", "clock_timestamp()"},
	}
}

// createTables makes the source's tables and their publication anew.
func (b *bench) createTables(ctx context.Context) error {
	var list []string
	for _, c := range columns() {
		list = append(list, c[0]+" "+c[1])
	}
	return b.source.exec(ctx,
		"DROP PUBLICATION IF EXISTS "+publication, "DROP SCHEMA IF EXISTS "+schema+" CASCADE", "CREATE SCHEMA "+schema,
		"CREATE TABLE bench.rows ("+strings.Join(list, ", ")+")",
		"CREATE TABLE bench.marker (id bigint PRIMARY KEY)",
		"CREATE PUBLICATION "+publication+" FOR TABLE bench.rows, bench.marker")
}

// insert is the statement that inserts rows from to to, without the semicolon.
func insert(from, to int) string {
	var names, values []string
	for _, c := range columns() {
		names, values = append(names, c[0]), append(values, c[2])
	}
	return fmt.Sprintf("INSERT INTO bench.rows (%s) SELECT %s FROM generate_series(%d::bigint, %d) n",
		strings.Join(names, ", "), strings.Join(values, ", "), from, to)
}

// walRange is a stretch of WAL that a slot begins at.
type walRange struct {
	slot string // kept; every reader gets a copy
	rows int
	end  string // LSN after the marker's commit
	size int64  // bytes of WAL
}

// load writes rows in transactions of size rows each, then the marker. A second row behind the marker lets a reader that waits
// for the end see something beyond it.
func (b *bench) load(ctx context.Context, rows, size int) (walRange, error) {
	r := walRange{slot: b.name("keep"), rows: rows}
	err := b.source.session(ctx, func(conn *pgx.Conn) error {
		var begin string
		if err := conn.QueryRow(ctx, "SELECT lsn::text FROM pg_create_logical_replication_slot($1, 'pgoutput')", r.slot).Scan(&begin); err != nil {
			return fmt.Errorf("create slot: %w", err)
		}
		for from := 1; from <= rows; from += size {
			if _, err := conn.Exec(ctx, insert(from, min(from+size-1, rows))); err != nil {
				return fmt.Errorf("load: %w", err)
			}
		}
		if _, err := conn.Exec(ctx, "INSERT INTO bench.marker SELECT coalesce(max(id), 0) + 1 FROM bench.marker"); err != nil {
			return fmt.Errorf("load: %w", err)
		}
		// With commits that are not waited for, the write position would be behind.
		if err := conn.QueryRow(ctx, "SELECT l::text, (l - $1::pg_lsn)::bigint FROM pg_current_wal_insert_lsn() l", begin).Scan(&r.end, &r.size); err != nil {
			return fmt.Errorf("read the end of WAL: %w", err)
		}
		if _, err := conn.Exec(ctx, "INSERT INTO bench.marker SELECT max(id) + 1 FROM bench.marker"); err != nil {
			return fmt.Errorf("load: %w", err)
		}
		_, err := conn.Exec(ctx, "ANALYZE bench.rows")
		return err
	})
	return r, err
}

// createSlot makes a slot for what is written from now on.
func (b *bench) createSlot(ctx context.Context, name string) error {
	return b.source.exec(ctx, fmt.Sprintf("SELECT pg_create_logical_replication_slot('%s', 'pgoutput')", name))
}

// copySlot makes a slot at the beginning of the range.
func (b *bench) copySlot(ctx context.Context, r walRange) (string, error) {
	name := b.name("slot")
	return name, b.source.exec(ctx, fmt.Sprintf("SELECT pg_copy_logical_replication_slot('%s', '%s')", r.slot, name))
}
