package python_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/connectors/file"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/json"
	"github.com/freshet-io/freshet/offsets"
)

// BenchmarkSink puts batches of 2,000 rows of ten columns into a sink in Python that looks at every value.
func BenchmarkSink(b *testing.B) {
	for _, as := range []string{"rows", "numpy", "arrow"} {
		b.Run(as, func(b *testing.B) {
			args := []string{"columns"}
			if as == "rows" {
				args = nil
			}
			_, sinks, err := command(b, args...).Open(b.Context(), slog.Default())
			if err != nil {
				b.Fatal(err)
			}
			session := &sinkSession{}
			for _, f := range sinks {
				if f.Describe().Class != "test.Discard" {
					continue
				}
				if session.task, err = f.NewSink(connectors.Config{"as": as}, connectors.Settings{}); err != nil {
					b.Fatal(err)
				}
			}
			session.bench(b)
		})
	}
}

// BenchmarkSource writes batches of 2,000 rows of ten columns, of a source in Python that is given them as tuples, into a file.
func BenchmarkSource(b *testing.B) {
	sources, _, err := command(b).Open(b.Context(), slog.Default())
	if err != nil {
		b.Fatal(err)
	}
	var task connectors.SourceTask
	for _, f := range sources {
		if f.Describe().Class == "test.Ten" {
			task, err = f.NewSource(connectors.Config{}, connectors.Settings{})
		}
	}
	if err == nil {
		err = task.Start(b.Context(), &sourceSession{})
	}
	if err != nil {
		b.Fatal(err)
	}
	to := file.Sinks{Converters: converters.Set{json.Kind()}}
	sink, err := to.NewSink(connectors.Config{"file": filepath.Join(b.TempDir(), "out"), "key.converter": json.Class, "value.converter": json.Class}, connectors.Settings{Connector: "c"})
	if err == nil {
		err = sink.Start(b.Context(), &sinkSession{})
	}
	if err == nil {
		_, err = sink.(connectors.OffsetKeeper).Progress(b.Context()) //nolint:forcetypeassert // the sink of a named file is one
	}
	if err != nil {
		b.Fatal(err)
	}
	rows := 0
	copyOne := func(id int) {
		batch, err := task.Poll(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		batch.ID = connectors.BatchID(id)
		rows += len(batch.Records)
		if err := sink.Put(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	copyOne(1)
	rows = 0
	b.ResetTimer()
	for i := range b.N {
		copyOne(i + 2)
	}
	if err := sink.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
	b.StopTimer()
	for _, stop := range []func(context.Context) error{task.Stop, sink.Stop} {
		if err := stop(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

// sourceSession has no offset, and lends memory.
type sourceSession struct {
	connectors.SourceSession
	pool connectors.Pool
}

// Offsets implements connectors.SourceSession.
func (*sourceSession) Offsets(context.Context, ...offsets.Partition) ([]offsets.Entry, error) {
	return nil, nil
}

// NewBatch implements connectors.SourceSession.
func (s *sourceSession) NewBatch(_ context.Context, p offsets.Partition) (*connectors.Builder, error) {
	return connectors.NewBuilder(p, &s.pool, nil), nil
}

// sinkSession takes what a sink says and forgets it.
type sinkSession struct {
	connectors.SinkSession
	task connectors.SinkTask
}

// Ack implements connectors.SinkSession.
func (*sinkSession) Ack(connectors.BatchID) {}

// Charge implements connectors.SinkSession.
func (*sinkSession) Charge(int) {}

// Settle implements connectors.SinkSession.
func (*sinkSession) Settle(context.Context) error { return nil }

func (s *sinkSession) bench(b *testing.B) {
	if err := s.task.Start(b.Context(), s); err != nil {
		b.Fatal(err)
	}
	const rows = 2000
	stream := connectortest.Ten()
	put := func(id int) {
		batch := connectortest.TenBatch(stream, 0, rows)
		batch.ID = connectors.BatchID(id)
		if err := s.task.Put(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	flush := func() {
		if err := s.task.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	put(1)
	flush()
	b.ResetTimer()
	for i := range b.N {
		put(i + 2)
	}
	flush()
	b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "rows/s")
	b.StopTimer()
	if err := s.task.Stop(b.Context()); err != nil {
		b.Fatal(err)
	}
}
