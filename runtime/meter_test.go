package runtime

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/freshet-io/freshet/connectors"
)

// TestMetrics: what a task has done, over the end of an instance, and what it holds.
func TestMetrics(t *testing.T) {
	bubble(t, 2, func(b *bench) {
		var armed atomic.Bool
		b.feed.Fail = func() error {
			if armed.CompareAndSwap(true, false) {
				return errAway
			}
			return nil
		}
		b.feed.Extend(p1, 30)
		b.start()
		b.has(30)
		armed.Store(true)
		b.feed.Extend(p1, 50)
		b.has(80)
		b.until("metrics", func() bool {
			list := b.worker.Metrics()
			if len(list) != 1 {
				return false
			}
			m := &list[0]
			return m.Records >= 80 && m.Active == 0 && m.Commits > 0 && m.Restarts == 1 && m.Errors == 1 && m.State == Running
		})
		m := b.worker.Metrics()[0]
		if m.Connector != "c" || m.Class != "FeedSource" || m.Batches == 0 || m.Bytes == 0 || m.QueueLimit != defaultBudget || m.LastEvent.IsZero() || m.LastError.IsZero() ||
			len(m.Freshness) != 2 || m.Observed || m.Written < 80 || m.Written > m.Records {
			b.Errorf("metrics %+v", m)
		}
		b.close()
	})
}

// observedSource has lost the same range in every instance, and another one in the second.
type observedSource struct {
	connectors.SourceTask
	lost []connectors.LostRange
}

func (s *observedSource) Observe() connectors.Observation {
	return connectors.Observation{Kind: "feed", Lost: s.lost}
}

// TestLostRangesOutliveTheirInstance: what a source has found stays, once, when an instance ends.
func TestLostRangesOutliveTheirInstance(t *testing.T) {
	bubble(t, 1, func(b *bench) {
		var armed atomic.Bool
		b.feed.Fail = func() error {
			if armed.CompareAndSwap(true, false) {
				return errAway
			}
			return nil
		}
		lost := []connectors.LostRange{{From: "1", To: "3", Bytes: 2}}
		b.source = func(s connectors.SourceTask) connectors.SourceTask {
			defer func() { lost = append(lost, connectors.LostRange{From: "5", To: "9", Bytes: 4}) }()
			return &observedSource{s, lost}
		}
		b.feed.Extend(p1, 30)
		b.start()
		b.has(30)
		armed.Store(true)
		b.feed.Extend(p1, 10)
		b.has(40)
		if m := b.worker.Metrics()[0]; m.LostRanges != 2 || m.LostBytes != 6 || len(m.Lost) != 2 || !m.Observed {
			t.Errorf("got %+v", m)
		}
		b.close()
	})
}

// traces is a tracer that keeps what it is told.
type traces struct {
	mu   sync.Mutex
	list []BatchTrace
}

func (t *traces) Batch(b BatchTrace) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = append(t.list, b)
}

// TestABatchThatIsGivenUpIsTraced: once as given up, and again when the next instance has sent it.
func TestABatchThatIsGivenUpIsTraced(t *testing.T) {
	bubble(t, 1, func(b *bench) {
		b.failsFirstPut()
		tracer := &traces{}
		b.tracer = tracer
		b.feed.Extend(p1, 30)
		b.start()
		b.has(30)
		b.close()
		failed, written := 0, 0
		for _, s := range tracer.list {
			if s.Connector != "c" || s.Task != 0 || s.Sink == "" || s.Partition != p1 || s.Offset == "" || s.Bytes == 0 || s.Taken.IsZero() || s.Ended.Before(s.Taken) {
				t.Errorf("got %+v", s)
			}
			if s.Err != nil {
				failed++
			} else {
				written += s.Records
			}
		}
		if failed != 1 || written != 30 {
			t.Errorf("%d given up, %d records written", failed, written)
		}
	})
}

// TestFreshnessIsCounted: from the oldest commit of a batch until the sink has it, once per record.
func TestFreshnessIsCounted(t *testing.T) {
	t.Parallel()
	var h Histogram
	h.add(0.004, 3)
	h.add(0.005, 1)
	h.add(400, 2)
	buckets, n, sum := h.Read()
	if n != 6 || buckets[0.0025] != 0 || buckets[0.005] != 4 || buckets[300] != 4 || sum < 800 || sum > 801 {
		t.Errorf("%d, %v, %v", n, buckets, sum)
	}
	in := newInstance(t.Context(), "c", limits{budget: 1 << 20}, nil, nil, nil)
	in.addSink(sinkPlan{alias: "a", factory: describedSink{}}, nil, false, false)
	in.unsettled.Add(7)
	s := in.sinks[0]
	s.held[1] = weight{7, 1}
	s.Ack(1)
	if _, n, _ := s.fresh.Read(); n != 7 || in.active() != 0 {
		t.Errorf("%d changes in the histogram, %d active", n, in.active())
	}
	if n := in.meter.settled.Load(); n != 7 {
		t.Errorf("%d records settled", n)
	}
}

// TestWhatAnInstanceLosesWasNotWritten: records that were taken and not acknowledged when an instance ended are not counted as written.
func TestWhatAnInstanceLosesWasNotWritten(t *testing.T) {
	bubble(t, 1, func(b *bench) {
		b.failsFirstPut()
		b.feed.Extend(p1, 30)
		b.start()
		b.has(30)
		b.until("metrics", func() bool {
			m := b.worker.Metrics()[0]
			return m.Restarts == 1 && m.Active == 0 && m.Written == 30
		})
		if m := b.worker.Metrics()[0]; m.Records <= 30 {
			t.Errorf("%d records taken, %d written", m.Records, m.Written)
		}
		b.close()
	})
}

type describedSink struct{ connectors.SinkFactory }

func (describedSink) Describe() connectors.Description { return connectors.Description{Class: "x"} }
