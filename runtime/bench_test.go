package runtime

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/offsets"
)

// counter is a source that makes batches of the same rows.
type counter struct {
	session connectors.SourceSession
	stream  *connectors.Stream
	rows    int
	left    int
	order   uint64
}

func (c *counter) Start(_ context.Context, s connectors.SourceSession) error {
	c.session = s
	return nil
}

func (c *counter) Poll(ctx context.Context) (*connectors.Batch, error) {
	if c.left--; c.left < 0 {
		return nil, io.EOF
	}
	w, err := c.session.NewBatch(ctx, `{"server":"a"}`)
	if err != nil {
		return nil, err
	}
	at := w.Stream(c.stream)
	for n := range c.rows {
		connectortest.AppendFeedRecord(w, at, n, 20)
	}
	c.order++
	return w.Finish(`{"n":1}`, connectors.Order{Major: c.order}), nil
}

func (c *counter) Commit(context.Context, []offsets.Entry) error { return nil }
func (c *counter) Stop(context.Context) error                    { return nil }

// nullSink acknowledges at once.
type nullSink struct{ session connectors.SinkSession }

func (s *nullSink) Start(_ context.Context, session connectors.SinkSession) error {
	s.session = session
	return nil
}

func (s *nullSink) Put(_ context.Context, b *connectors.Batch) error {
	id := b.ID
	b.Release()
	s.session.Ack(id)
	return nil
}
func (s *nullSink) Flush(context.Context) error { return nil }
func (s *nullSink) Stop(context.Context) error  { return nil }

// BenchmarkEngine is the cost of the loop itself, with one no-op sink: per batch, and per row of two columns that the source builds.
func BenchmarkEngine(b *testing.B) {
	for name, rows := range map[string]int{"position": 0, "1row": 1, "1000rows": 1000} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			source := &counter{stream: connectortest.FeedStream(), rows: rows, left: b.N}
			l := limits{budget: defaultBudget, grace: time.Second, interval: 100 * time.Millisecond}
			in := newInstance(context.Background(), "c", l, offsets.NewMemory(), newBudget(defaultMemory, nil), slog.New(slog.NewTextHandler(io.Discard, nil)))
			in.source = source
			in.addSink(sinkPlan{factory: connectortest.Sinks{Target: connectortest.NewTarget()}}, &nullSink{}, false, false)
			stop, cancel := context.WithCancel(context.Background())
			in.changed = func() {
				if in.idle.Load() {
					cancel()
				}
			}
			b.ResetTimer()
			if err := in.run(stop); err != nil {
				b.Fatal(err)
			}
			if rows > 0 {
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
			}
		})
	}
}
