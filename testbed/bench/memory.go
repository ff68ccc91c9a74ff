//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const (
	starts   = 20              // how often start-up is measured
	idleTime = 5 * time.Second // how long an idle worker is watched
)

// measureStart measures the program's start, and a worker that has nothing to do.
func measureStart(ctx context.Context, b *bench) error {
	t := table{title: "Start and idle", header: []string{"what", "", "budget", ""}}
	add := func(name, value string, checks ...check) {
		budget, met := verdict(checks)
		t.rows = append(t.rows, []string{name, value, budget, met})
		b.say("start: %s: %s", name, value)
	}
	version, err := repeat(starts, func() error { return exec.CommandContext(ctx, b.binary, "version").Run() })
	if err != nil {
		return fmt.Errorf("freshet version: %w", err)
	}
	add("freshet version", fmt.Sprintf("%.0f ms", version), check{"≤ 100 ms", version, 100, false})
	ready, err := repeat(starts, func() error { return b.startWithoutDatabase(ctx) })
	if err != nil {
		return fmt.Errorf("freshet run: %w", err)
	}
	add("freshet run of a file connector, until its first line has arrived", fmt.Sprintf("%.0f ms", ready), check{"≤ 100 ms", ready, 100, false})
	resident, busy, err := b.idle(ctx)
	if err != nil {
		return fmt.Errorf("idle worker: %w", err)
	}
	add("idle worker, source → Kafka: resident set", fmt.Sprintf("%.0f MiB", resident), check{"≤ 64 MiB", resident, 64, false})
	add("idle worker, source → Kafka: CPU", fmt.Sprintf("%.1f %% of a core", busy))
	b.report.tables = append(b.report.tables, t)
	return nil
}

// repeat gives the median duration in ms.
func repeat(times int, do func() error) (float64, error) {
	var all []float64
	for range times {
		began := time.Now()
		if err := do(); err != nil {
			return 0, err
		}
		all = append(all, time.Since(began).Seconds()*1000)
	}
	return median(all), nil
}

// startWithoutDatabase runs a connector from a file to a file until its first line has arrived.
func (b *bench) startWithoutDatabase(ctx context.Context) error {
	name := b.name("start")
	in, out := filepath.Join(b.work, name+".in"), filepath.Join(b.work, name+".out")
	if err := os.WriteFile(in, []byte("line\n"), 0o600); err != nil {
		return fmt.Errorf("write a file to read: %w", err)
	}
	p, err := b.startWorker(ctx, worker{source: reading{name: name, config: map[string]string{
		"name": name, "connector.class": "FileStreamSource", "file": in, "topic": name,
		"sinks": "out", "sinks.out.connector.class": "FileStreamSink", "sinks.out.file": out,
	}}})
	if err != nil {
		return err
	}
	defer func() { // what it does after the line has arrived is not start-up
		_ = p.cmd.Process.Kill() // it may have ended already
		<-p.done
	}()
	return until(ctx, time.Millisecond, p.ended, func(context.Context) (bool, error) {
		written, err := os.Stat(out)
		if errors.Is(err, os.ErrNotExist) {
			return false, nil
		}
		return err == nil && written.Size() > 0, err
	})
}

// idle is the resident set in MiB and the CPU in percent of a core of a worker that waits for changes.
func (b *bench) idle(ctx context.Context) (resident, busy float64, err error) {
	if err := b.source.createTables(ctx); err != nil {
		return 0, 0, err
	}
	name := b.name("idle")
	source, err := b.source.stream(ctx, name, nil)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, b.source.release(context.WithoutCancel(ctx), name)) }()
	p, err := b.startWorker(ctx, worker{source: source.with(jsonConverters(false)), properties: b.kafkaProperties()})
	if err != nil {
		return 0, 0, err
	}
	defer p.stop()
	if err := until(ctx, endEvery, p.ended, b.source.sends(name)); err != nil {
		return 0, 0, err
	}
	before, err := processCPU(p.pid())
	if err != nil {
		return 0, 0, err
	}
	if err := pause(ctx, idleTime); err != nil {
		return 0, 0, err
	}
	after, err := processCPU(p.pid())
	if err != nil {
		return 0, 0, err
	}
	now, _, err := memory(p.pid())
	return float64(now) / (1 << 20), 100 * (after - before).Seconds() / idleTime.Seconds(), err
}

// measureGiant drains one transaction of very many rows.
func measureGiant(ctx context.Context, b *bench) error {
	if err := b.source.createTables(ctx); err != nil {
		return err
	}
	b.say("giant: loading %s rows in one transaction", thousands(float64(b.giant)))
	r, err := b.source.load(ctx, b.name("keep"), b.giant, b.giant)
	if err != nil {
		return err
	}
	defer func() { _ = b.source.forget(context.WithoutCancel(ctx), r) }() // the database goes at the end
	s, err := b.drainToKafka(ctx, r, jsonConverters(false), nil, nil)
	if err != nil {
		return err
	}
	b.say("giant: %s rows/s, resident set at most %.0f MiB", thousands(s.rate()), s.mebibytes())
	one := series{name: toKafka, samples: []sample{s}}
	budget, met := verdict([]check{memoryBudget(one)})
	b.report.tables = append(b.report.tables, table{
		title: "One transaction of many rows", header: []string{"what", "rows", "rows/s", "peak RSS", "budget", ""},
		rows: [][]string{{one.name, thousands(float64(b.giant)), thousands(s.rate()), fmt.Sprintf("%.0f MiB", s.mebibytes()), budget, met}},
	})
	return nil
}
