package standalone

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/runtime"
)

// refusedSources are another class.
type refusedSources struct{ awaySources }

func (s refusedSources) Describe() connectors.Description {
	d := s.awaySources.Describe()
	d.Class, d.Aliases = "RefusedSource", nil
	return d
}

// A server that comes up later and refuses does not end the other connectors. The end tells of it.
func TestARefusalThatComesLaterEndsNothingElse(t *testing.T) {
	for _, untilDone := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRun(t)
			away := 2
			r.o.Catalog = runtime.NewCatalog([]connectors.SourceFactory{
				connectortest.Sources{Feed: r.feed},
				refusedSources{awaySources{connectortest.Sources{Feed: connectortest.NewFeed()}, &away, true, true}},
			}, []connectors.SinkFactory{connectortest.Sinks{Target: r.target}})
			r.o.Connectors = append(r.o.Connectors, r.file("d.json", `{"name":"d","connector.class":"RefusedSource","sinks":"a","sinks.a.connector.class":"TargetSink"}`))
			r.o.UntilDone = untilDone
			started := 0
			r.o.Started = func(*runtime.Worker) { started++ }
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			time.AfterFunc(time.Minute, func() { // after the refusal
				r.feed.Extend(connectortest.Partition(1), 3)
				r.feed.End()
				if !untilDone {
					time.AfterFunc(time.Minute, cancel)
				}
			})
			err := r.run(ctx)
			if err == nil || !strings.Contains(err.Error(), "connector d failed: ") || !strings.Contains(err.Error(), "the password is wrong") {
				t.Errorf("got %v", err)
			}
			if log := r.log.String(); strings.Count(log, "the connector has failed") != 1 || !strings.Contains(log, "connector=d") || started != 1 {
				t.Errorf("%d times started, log %s", started, log)
			}
			if got := r.stored(); got != `[{{"feed":1} {"n":3}}]` {
				t.Errorf("stored %s", got)
			}
		})
	}
}

// awaySources cannot reach their server in the first validations; then the server may refuse.
type awaySources struct {
	connectortest.Sources
	away    *int
	passing bool
	refuses bool
}

func (s awaySources) Validate(ctx context.Context, c connectors.Config) []connectors.ConfigValue {
	values := s.Sources.Validate(ctx, c)
	if *s.away > 0 {
		*s.away--
		values = append(values, connectors.ConfigValue{Name: "feed.name", Errors: []string{"the server at x:1 is away"}, Passing: s.passing})
	} else if s.refuses {
		values = append(values, connectors.ConfigValue{Name: "feed.name", Errors: []string{"the password is wrong"}})
	}
	return values
}

// waiter is a run whose source is away for so many validations.
func waiter(t *testing.T, away int, passing bool) *run {
	r := newRun(t)
	r.o.Catalog = runtime.NewCatalog([]connectors.SourceFactory{awaySources{connectortest.Sources{Feed: r.feed}, &away, passing, false}}, []connectors.SinkFactory{connectortest.Sinks{Target: r.target}})
	r.feed.Extend(connectortest.Partition(1), 3)
	r.feed.End()
	r.o.UntilDone = true
	return r
}

func TestRunWaitsForServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := waiter(t, 3, true)
		started := 0
		r.o.Started = func(*runtime.Worker) { started++ }
		before := time.Now()
		if err := r.run(context.Background()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(before); took < 7*time.Second || took > 8*time.Second || started != 1 {
			t.Errorf("it took %v, %d times started", took, started)
		}
		if log := r.log.String(); strings.Count(log, "connector waits for a server") != 3 || !strings.Contains(log, "the server at x:1 is away") {
			t.Errorf("log %s", log)
		}
		if got := r.stored(); got != `[{{"feed":1} {"n":3}}]` {
			t.Errorf("stored %s", got)
		}
	})
}

func TestWaitingEndsWithASignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, topic := range []bool{false, true} {
			r := waiter(t, 1000, true)
			if topic {
				r.file("worker.properties", "offset.storage.topic=o\n")
				r.o.KafkaStore = func(context.Context, connectors.Config, string) (offsets.Store, error) {
					return nil, errors.New("away")
				}
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			if err := r.run(ctx); err != nil {
				t.Error(err)
			}
			cancel()
		}
	})
}

func TestRunDoesNotWaitForWhatStays(t *testing.T) {
	r := waiter(t, 1000, false)
	if err := r.run(limited(t)); err == nil || !strings.Contains(err.Error(), "the server at x:1 is away") {
		t.Errorf("got %v", err)
	}
	r = waiter(t, 1000, true)
	r.file("c.json", `{"name":"c","connector.class":"FeedSource","sinks":"a","sinks.a.connector.class":"TargetSink","feed.nam":"x"}`)
	if err := r.run(limited(t)); err == nil || !strings.Contains(err.Error(), "unknown key feed.nam") {
		t.Errorf("got %v", err)
	}
}

func TestRunWaitsForTheOffsetTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := waiter(t, 0, true)
		r.file("worker.properties", "offset.storage.topic=o\n")
		attempts := 0
		r.o.KafkaStore = func(context.Context, connectors.Config, string) (offsets.Store, error) {
			if attempts++; attempts < 4 {
				return nil, errors.New("the broker is away")
			}
			return offsets.NewMemory(), nil
		}
		if err := r.run(context.Background()); err != nil || attempts != 4 {
			t.Errorf("%d attempts, %v", attempts, err)
		}
		r.o.KafkaStore = func(context.Context, connectors.Config, string) (offsets.Store, error) {
			return nil, connectors.AsPermanent(errors.New("the login was refused"))
		}
		if err := r.run(context.Background()); err == nil || !strings.Contains(err.Error(), "the login was refused") {
			t.Errorf("got %v", err)
		}
	})
}
