package connectortest

import (
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/freshet-io/freshet/connectors"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFeed(t *testing.T) {
	var feed *Feed
	RunSource(t, SourceHarness{
		New: func(*testing.T) func() connectors.SourceTask {
			feed = NewFeed()
			return feed.NewSource
		},
		Write:  func(_ *testing.T, from, to int) { feed.Extend(Partition(1), to-from+1) },
		Number: number,
	})
}

func TestTarget(t *testing.T) {
	schedules := map[string]func(int) int{
		"AtOnce": nil,
		"Late":   func(held int) int { return held - 3 },
		"Never":  func(int) int { return -1 },
		"Newest": func(held int) int {
			if held < 2 {
				return -1
			}
			return held - 1
		},
	}
	for name, schedule := range schedules {
		for _, keep := range []bool{false, true} {
			for _, loop := range []bool{false, true} {
				t.Run(name, func(t *testing.T) { runTarget(t, schedule, keep, loop) })
			}
		}
	}
}

func runTarget(t *testing.T, schedule func(int) int, keep, loop bool) {
	var target *Target
	RunSink(t, SinkHarness{
		New: func(*testing.T) func() connectors.SinkTask {
			target = NewTarget()
			target.Schedule, target.Keep = schedule, keep
			return func() connectors.SinkTask {
				if loop {
					return Loopback(target.NewSink(""))
				}
				return target.NewSink("")
			}
		},
		Read:        func(*testing.T) []int { return sorted(target, keep) },
		ExactlyOnce: keep,
	})
	if p := target.Problems(); len(p) > 0 {
		t.Error(p)
	}
}

// sorted is what the target holds; without Keep it may have become durable in any order.
func sorted(target *Target, keep bool) []int {
	out := target.Durable(Partition(1))
	if !keep {
		slices.Sort(out)
	}
	return out
}
