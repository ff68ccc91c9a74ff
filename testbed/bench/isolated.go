//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
)

// The names of what measureIsolated compares; the first of each is the reference.
const (
	fileInProcess   = "Freshet → file"
	fileSinkAway    = "… sink in a process"
	fileSourceAway  = "… source in a process"
	fileBothAway    = "… both"
	tablesInProcess = "Freshet → TimescaleDB tables"
	tablesSinkAway  = "… its sink in a process"
)

// measureIsolated reads one range of the log into a file and into tables, with the source or the sink in processes of their own.
func measureIsolated(ctx context.Context, b *bench) error {
	if err := b.source.createTables(ctx); err != nil {
		return err
	}
	b.say("isolated: loading %s rows in transactions of %d", thousands(float64(b.rows)), b.transaction)
	r, err := b.source.load(ctx, b.name("keep"), b.rows, b.transaction)
	if err != nil {
		return err
	}
	defer func() { _ = b.source.forget(context.WithoutCancel(ctx), r) }() // the database goes at the end
	file := func(name, source, sink string) variant {
		return variant{name, func(ctx context.Context) (sample, error) {
			return b.intoFile(ctx, b.rangeFeed(r), map[string]string{"plugin.isolation": source, "sinks.out.plugin.isolation": sink})
		}}
	}
	files, err := b.runRounds(ctx, "isolated", []variant{
		file(fileInProcess, "none", "none"), file(fileSinkAway, "none", "process"), file(fileSourceAway, "process", "none"), file(fileBothAway, "process", "process"),
	})
	if err != nil {
		return err
	}
	limits := budgets{}
	for _, name := range []string{fileSinkAway, fileSourceAway, tablesSinkAway} {
		limits[name] = func(_ series, ratio float64) []check { return []check{{"≥ 0.8 × in process", ratio, 0.8, true}} }
	}
	b.report.addRates("Processes of their own: into a file", "in process", files, limits)
	if b.target.dsn == nil {
		return nil
	}
	tables := func(name, sink string) variant {
		return variant{name, func(ctx context.Context) (sample, error) {
			return b.intoTables(ctx, b.rangeFeed(r), map[string]string{"sinks.db.plugin.isolation": sink})
		}}
	}
	all, err := b.runRounds(ctx, "isolated", []variant{tables(tablesInProcess, "none"), tables(tablesSinkAway, "process")})
	if err != nil {
		return err
	}
	b.report.addRates("Processes of their own: into tables", "in process", all, limits)
	return nil
}

const inMemory = "/dev/shm"

// intoFile is a run until the marker, which comes behind the rows, is in the file.
func (b *bench) intoFile(ctx context.Context, f feed, more map[string]string) (sample, error) {
	name := b.name("file")
	dir := b.work
	if info, err := os.Stat(inMemory); err == nil && info.IsDir() {
		dir = inMemory // a disk would be what is measured
	}
	path := filepath.Join(dir, "freshet-bench-"+name)
	defer func() {
		_ = os.Remove(path) // what stays goes with the folder, or is told by the next run's count
		_ = os.Remove(path + ".freshet")
	}()
	sink := map[string]string{"sinks": "out", "sinks.out.connector.class": "FileStreamSinkConnector", "sinks.out.file": path}
	maps.Copy(sink, more)
	s, err := b.into(ctx, f, name, sink, func(context.Context) (bool, error) { return endsWith(path, []byte(".marker")) })
	if err != nil {
		return s, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	if n := bytes.Count(text, []byte{'\n'}); n < f.rows {
		return s, fmt.Errorf("the file has %d lines, not %d rows", n, f.rows)
	}
	return s, nil
}

// lastBytes is more than a line of the marker's table has.
const lastBytes = 4 << 10

// endsWith tells whether the end of a file, which need not be there, has a text.
func endsWith(path string, text []byte) (bool, error) {
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // it was only read
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return false, err
	}
	tail := make([]byte, min(size, lastBytes))
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil && err != io.EOF { //nolint:errorlint // as io.ReaderAt says
		return false, err
	}
	return bytes.Contains(tail, text), nil
}
