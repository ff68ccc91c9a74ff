//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/testbed"
)

// hotPath is a benchmark of `make microbench` that has a budget.
type hotPath struct {
	what, pkg, benchmark string
	metric               string
	limit                float64 // ns; 0: none
}

func hotPaths() []hotPath {
	return []hotPath{
		{"ClickHouse: a row of ten columns into a block", "connectors/clickhouse", "BenchmarkEncode", "cpu-ns/row", 300},
		{"ClickHouse: the same with ch-go's columns", "connectors/clickhouse", "BenchmarkEncodeChGo", "cpu-ns/row", 0},
		{"TimescaleDB: a row of ten columns into COPY", "connectors/timescaledb", "BenchmarkSection", "ns/row", 250},
		{"Elasticsearch: a row of ten columns into a document", "connectors/elasticsearch", "BenchmarkRender", "ns/op", 0},
		{documentBySink, "connectors/elasticsearch", "BenchmarkBulk/freshet", "cpu-ns/doc", 0},
		{documentByIndexer, "connectors/elasticsearch", "BenchmarkBulk/bulkindexer", "cpu-ns/doc", 0},
		{"Avro: an envelope of ten columns", "converters/avro", "BenchmarkEnvelope", "cpu-ns/op", 300},
		{"JSON: an envelope of ten columns", "converters/json", "BenchmarkEnvelope/schemaless", "ns/op", 0},
	}
}

const (
	documentBySink    = "Elasticsearch: a row of ten columns, and its share of a request, to a stub"
	documentByIndexer = "Elasticsearch: a ready-made document with go-elasticsearch's BulkIndexer, to a stub"
)

// measureEncode runs the benchmarks of hot paths that have a budget, each as often as there are rounds. They read no database: the first source has
// them in its tables.
func measureEncode(ctx context.Context, b *bench) error {
	if b.origin != sourcePostgres {
		return nil
	}
	root, err := testbed.Root()
	if err != nil {
		return err
	}
	t := table{title: "Hot paths, without servers", header: []string{"what", "CPU, ns", "allocations", "budget", ""}}
	found := map[string]float64{}
	for _, h := range hotPaths() {
		cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", benchmarkPattern(h.benchmark), "-benchmem", "-count", fmt.Sprint(b.rounds), "./"+h.pkg)
		cmd.Dir, cmd.Stderr = root, os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("run %s of %s: %w: %s", h.benchmark, h.pkg, err, out)
		}
		ns, err := metric(out, h.metric)
		if err != nil {
			return fmt.Errorf("read %s of %s: %w", h.benchmark, h.pkg, err)
		}
		allocations, err := metric(out, "allocs/op")
		if err != nil {
			return fmt.Errorf("read %s of %s: %w", h.benchmark, h.pkg, err)
		}
		found[h.what] = ns
		var checks []check
		if h.limit > 0 {
			checks = append(checks, check{fmt.Sprintf("≤ %g ns", h.limit), ns, h.limit, false})
		}
		if h.what == documentByIndexer {
			checks = append(checks, check{fmt.Sprintf("≥ 2 × the sink's (%.1f ×)", ns/found[documentBySink]), ns / found[documentBySink], 2, true})
		}
		budget, met := verdict(checks)
		t.rows = append(t.rows, []string{h.what, fmt.Sprintf("%.0f", ns), fmt.Sprintf("%.0f", allocations), budget, met})
		b.say("encode: %-80s %6.0f ns", h.what, ns)
	}
	b.report.tables = append(b.report.tables, t)
	return nil
}

// benchmarkPattern matches one benchmark and no other whose name begins so.
func benchmarkPattern(name string) string {
	parts := strings.Split(name, "/")
	for i := range parts {
		parts[i] = "^" + parts[i] + "$"
	}
	return strings.Join(parts, "/")
}

// metric is the median of a number in the lines that go test prints for benchmarks.
func metric(out []byte, unit string) (float64, error) {
	var all []float64
	for line := range bytes.Lines(out) {
		fields := strings.Fields(string(line))
		at := slices.Index(fields, unit)
		if at < 1 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		v, err := strconv.ParseFloat(fields[at-1], 64)
		if err != nil {
			return 0, fmt.Errorf("read %s: %w", unit, err)
		}
		all = append(all, v)
	}
	if len(all) == 0 {
		return 0, errors.New("there is no " + unit)
	}
	return median(all), nil
}
