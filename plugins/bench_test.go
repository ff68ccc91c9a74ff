package plugins_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/plugins/plugintest"
)

const benchRows = 1000 // of ten columns, a batch

// endless is a source of batches that were made before, and a sink that acknowledges at once.
type endless struct{ session connectors.SourceSession }

type endlessSource struct{ connectors.Factory }

// Describe implements connectors.Factory.
func (endlessSource) Describe() connectors.Description {
	return connectors.Description{Class: "EndlessSource", Source: true, Config: &connectors.ConfigDef{}}
}

// NewSource implements connectors.SourceFactory.
func (endlessSource) NewSource(connectors.Config, connectors.Settings) (connectors.SourceTask, error) {
	return &endless{}, nil
}

func (t *endless) Start(_ context.Context, s connectors.SourceSession) error {
	t.session = s
	return nil
}

func (t *endless) Poll(ctx context.Context) (*connectors.Batch, error) {
	w, err := t.session.NewBatch(ctx, connectortest.Partition(1))
	if err != nil {
		return nil, err
	}
	connectortest.AppendTen(w, ten, 0, benchRows)
	return w.Finish("{}", connectors.Order{Epoch: 1, Major: benchRows, Minor: 1}), nil
}

func (*endless) Commit(context.Context, []offsets.Entry) error { return nil }
func (*endless) Stop(context.Context) error                    { return nil }

var ten = connectortest.Ten()

type nullSink struct{ connectors.Factory }

// Describe implements connectors.Factory.
func (nullSink) Describe() connectors.Description {
	return connectors.Description{Class: "NullSink", Sink: true, Config: &connectors.ConfigDef{}}
}

// NewSink implements connectors.SinkFactory.
func (nullSink) NewSink(connectors.Config, connectors.Settings) (connectors.SinkTask, error) {
	return &null{}, nil
}

type null struct{ session connectors.SinkSession }

func (t *null) Start(_ context.Context, s connectors.SinkSession) error {
	t.session = s
	return nil
}

func (t *null) Put(_ context.Context, b *connectors.Batch) error {
	t.session.Ack(b.ID)
	b.Release()
	return nil
}

func (*null) Flush(context.Context) error { return nil }
func (*null) Stop(context.Context) error  { return nil }

// lender is the session of a source that is measured.
type lender struct {
	connectors.SourceSession
	pool connectors.Pool
}

// NewBatch implements connectors.SourceSession.
func (s *lender) NewBatch(_ context.Context, p offsets.Partition) (*connectors.Builder, error) {
	return connectors.NewBuilder(p, &s.pool, nil), nil
}

// cpu is what this process and its children that have ended have used, in seconds.
func cpu(b *testing.B, who int) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

func report(b *testing.B, measure func()) {
	b.Helper()
	own, child := cpu(b, syscall.RUSAGE_SELF), cpu(b, syscall.RUSAGE_CHILDREN)
	measure()
	rows := float64(b.N) * benchRows
	b.ReportMetric((cpu(b, syscall.RUSAGE_SELF)-own)*1e9/rows, "worker-cpu-ns/row")
	b.ReportMetric((cpu(b, syscall.RUSAGE_CHILDREN)-child)*1e9/rows, "plugin-cpu-ns/row")
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/rows, "ns/row")
}

func BenchmarkSource(b *testing.B) {
	tls, socket := plugintest.Command(b), plugintest.Command(b)
	socket.Socket = true
	for _, kind := range []struct {
		name    string
		factory connectors.SourceFactory
	}{{"in", endlessSource{}}, {"tls", tls.IsolateSource(endlessSource{})}, {"socket", socket.IsolateSource(endlessSource{})}} {
		b.Run(kind.name, func(b *testing.B) {
			task, err := kind.factory.NewSource(nil, connectors.Settings{})
			if err == nil {
				err = task.Start(b.Context(), &lender{})
			}
			if err != nil {
				b.Fatal(err)
			}
			report(b, func() {
				for b.Loop() {
					batch, err := task.Poll(b.Context())
					if err != nil {
						b.Fatal(err)
					}
					batch.Release()
				}
				if err := task.Stop(context.Background()); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

func BenchmarkSink(b *testing.B) {
	tls, socket := plugintest.Command(b), plugintest.Command(b)
	socket.Socket = true
	for _, kind := range []struct {
		name    string
		factory connectors.SinkFactory
	}{{"in", nullSink{}}, {"tls", tls.IsolateSink(nullSink{})}, {"socket", socket.IsolateSink(nullSink{})}} {
		b.Run(kind.name, func(b *testing.B) {
			task, err := kind.factory.NewSink(nil, connectors.Settings{})
			if err == nil {
				err = task.Start(b.Context(), &connectortest.Session{})
			}
			if err != nil {
				b.Fatal(err)
			}
			batch := connectortest.TenBatch(ten, 0, benchRows)
			report(b, func() {
				for n := connectors.BatchID(1); b.Loop(); n++ {
					batch.Retain(1)
					one := batch.From(0)
					one.ID = n
					if err := task.Put(b.Context(), one); err != nil {
						b.Fatal(err)
					}
				}
				if err := task.Flush(b.Context()); err != nil {
					b.Fatal(err)
				}
				if err := task.Stop(context.Background()); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}
