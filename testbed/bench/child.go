//go:build linux

package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync/atomic"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/clickhouse"
	"github.com/freshet-io/freshet/connectors/elasticsearch"
	"github.com/freshet-io/freshet/connectors/kafka"
	mysqlsource "github.com/freshet-io/freshet/connectors/mysql"
	postgressource "github.com/freshet-io/freshet/connectors/postgres"
	"github.com/freshet-io/freshet/connectors/timescaledb"
	"github.com/freshet-io/freshet/converters"
	jsonconverter "github.com/freshet-io/freshet/converters/json"
	"github.com/freshet-io/freshet/kafkaclient"
	freshet "github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/standalone"
)

// The child is this program as a worker, with the engine as a library: it can write to nothing, and it counts allocations.

// endLine is what it prints when a discarding sink has everything; then it goes on until SIGTERM and prints its childStats.
const endLine = "end"

// childStats is what a child prints last, as JSON: from its first batch to the end.
type childStats struct {
	Rows    int64
	Mallocs uint64
	Bytes   uint64 // allocated
}

func childMain(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("bench worker", flag.ContinueOnError)
	properties := f.String("c", "", "worker properties")
	rows := f.Int64("rows", 0, "the end is after so many rows; 0: at the marker")
	profile := f.String("profile", "", "file for a CPU profile")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *profile != "" {
		to, err := os.Create(*profile)
		if err != nil {
			return fmt.Errorf("make the file of a profile: %w", err)
		}
		defer func() { _ = to.Close() }() // what is missing shows when it is read
		if err := pprof.StartCPUProfile(to); err != nil {
			return fmt.Errorf("start a profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	var counted counter
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	err := standalone.Run(ctx, context.Background(), standalone.Options{
		Connectors: f.Args(), Worker: *properties, Logger: log, Version: "bench",
		Catalog: freshet.NewCatalog(
			[]connectors.SourceFactory{
				countedSource{postgressource.Factory{Version: "bench"}, &counted},
				countedSource{mysqlsource.Factory{Version: "bench"}, &counted},
				madeFactory{},
			},
			[]connectors.SinkFactory{
				&kafka.Factory{Converters: converters.Set{jsonconverter.Kind()}, Pool: &kafkaclient.Pool{}, Version: "bench"},
				timescaledb.Factory{Version: "bench"},
				clickhouse.Factory{Version: "bench"},
				elasticsearch.Factory{Version: "bench"},
				discardFactory{*rows},
			}),
	})
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(counted.stats())
}

// counter counts what a source hands out, and allocations since its first batch.
type counter struct {
	rows  atomic.Int64
	first runtime.MemStats // read before the first batch is delivered
}

func (c *counter) stats() childStats {
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	return childStats{c.rows.Load(), now.Mallocs - c.first.Mallocs, now.TotalAlloc - c.first.TotalAlloc}
}

// countedSource makes sources that are counted.
type countedSource struct {
	connectors.SourceFactory
	counter *counter
}

// NewSource implements connectors.SourceFactory.
func (f countedSource) NewSource(c connectors.Config, s connectors.Settings) (connectors.SourceTask, error) {
	task, err := f.SourceFactory.NewSource(c, s)
	return countedTask{task, f.counter}, err
}

type countedTask struct {
	connectors.SourceTask
	counter *counter
}

// Poll implements connectors.SourceTask.
func (t countedTask) Poll(ctx context.Context) (*connectors.Batch, error) {
	b, err := t.SourceTask.Poll(ctx)
	if err == nil && len(b.Records) > 0 && t.counter.rows.Add(int64(len(b.Records))) == int64(len(b.Records)) {
		runtime.ReadMemStats(&t.counter.first)
	}
	return b, err
}

// discardClass is the connector class of a sink that forgets what it is given.
const discardClass = "Discard"

// discardFactory makes sinks that tell when they have had so many rows, or the marker.
type discardFactory struct{ rows int64 }

// Describe implements connectors.Factory.
func (discardFactory) Describe() connectors.Description {
	return connectors.Description{Class: discardClass, Sink: true, Version: "bench", Doc: "Forgets what it is given.", Config: &connectors.ConfigDef{}}
}

// Validate implements connectors.Factory: it has no keys.
func (discardFactory) Validate(context.Context, connectors.Config) []connectors.ConfigValue {
	return nil
}

// Tasks implements connectors.Factory.
func (discardFactory) Tasks(_ context.Context, c connectors.Config, _ int) ([]connectors.Config, error) {
	return []connectors.Config{c}, nil
}

// NewSink implements connectors.SinkFactory.
func (f discardFactory) NewSink(connectors.Config, connectors.Settings) (connectors.SinkTask, error) {
	return &discard{rows: f.rows}, nil
}

type discard struct {
	rows, taken int64
	told        bool
	session     connectors.SinkSession
}

// Start implements connectors.SinkTask.
func (d *discard) Start(_ context.Context, s connectors.SinkSession) error {
	d.session = s
	return nil
}

// Put implements connectors.SinkTask. The marker is the last row of its range.
func (d *discard) Put(_ context.Context, b *connectors.Batch) error {
	if n := len(b.Records); n > 0 && !d.told {
		d.taken += int64(n)
		topic := b.Streams[b.Records[n-1].Stream].Topic
		d.told = d.rows > 0 && d.taken >= d.rows || d.rows == 0 && strings.HasSuffix(topic, "."+markerTable)
		if d.told {
			fmt.Println(endLine)
		}
	}
	d.session.Ack(b.ID)
	b.Release()
	return nil
}

// Flush implements connectors.SinkTask.
func (*discard) Flush(context.Context) error { return nil }

// Stop implements connectors.SinkTask.
func (*discard) Stop(context.Context) error { return nil }
