package conformance

import (
	"context"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// span is how many numbers a check of a sink may use.
const span = 1000

// FactorySinkChecks checks a sink of which only this is known. Each check has keys and a partition of its own, for the target stays as
// it is between them.
func FactorySinkChecks(f connectors.SinkFactory, s *Subject) []Check {
	s.prepare()
	d := f.Describe()
	out := s.factoryChecks(f, false, func(t *scope, c connectors.Config) error {
		task, err := f.NewSink(c, s.settings())
		return attempt(t, task, err, func(ctx context.Context) error { return task.Start(ctx, &sinkRun{check: &sinkCheck{scope: *t}}) })
	})
	check := 0
	h := Sink{
		New: func(t T) func() connectors.SinkTask {
			check++
			config := s.task(t, f)
			return func() connectors.SinkTask {
				settings := s.settings()
				settings.ExactlyOnce = d.Keeper
				task, err := f.NewSink(config, settings)
				if err != nil {
					t.Fatalf("make a sink: %v", err)
				}
				return task
			}
		},
		Base:      func() int { return s.First + check*span },
		Partition: func() offsets.Partition { return Partition(s.First + check*span) },
		Unordered: true, ExactlyOnce: d.Keeper, Mirror: s.Mirror, Topics: d.FromTopics,
		Patience: s.Patience, Seed: s.Seed, Processes: s.Processes,
	}
	if s.Read != nil {
		h.Read = func(t T) []int {
			var out []int
			for _, item := range s.items(t, h.Base()) {
				out = append(out, item.Number)
			}
			return out
		}
		h.Texts = func(t T) map[int]string {
			out := map[int]string{}
			for _, item := range s.items(t, h.Base()) {
				if item.Texted {
					out[item.Number] = item.Text
				}
			}
			if len(out) == 0 {
				t.NotApplicable(partly + "the texts in the target are not known: they come with JSON objects that have a member text")
				return nil
			}
			return out
		}
	}
	return append(out, SinkChecks(h)...)
}

// items are those of one check, with their numbers from 1 on.
func (s *Subject) items(t T, base int) []Item {
	t.Helper()
	sc := &scope{t, s.Patience}
	var list []Item
	if err := sc.call(sc.ctx(), "the command that reads the target", func(ctx context.Context) (err error) {
		list, err = s.Read(ctx)
		return err
	}); err != nil {
		t.Fatalf("%v", err)
	}
	var out []Item
	for _, item := range list {
		if item.Number -= base; item.Number > 0 && item.Number < span {
			out = append(out, item)
		}
	}
	return out
}
