package runtime

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
)

func TestCatalog(t *testing.T) {
	c := NewCatalog([]connectors.SourceFactory{connectortest.Sources{}}, []connectors.SinkFactory{connectortest.Sinks{Target: connectortest.NewTarget()}})
	for _, class := range []string{"io.freshet.test.FeedSourceConnector", "FeedSourceConnector", "FeedSource"} {
		if c.Source(class) == nil {
			t.Errorf("%s is not found", class)
		}
	}
	for _, class := range []string{"", "Feed", "TargetSink", "test.FeedSourceConnector"} {
		if c.Source(class) != nil {
			t.Errorf("%s is found", class)
		}
	}
	if list := c.List(); len(list) != 2 || !list[0].Sink || !list[1].Source {
		t.Errorf("got %v", list)
	}
}

func TestValidation(t *testing.T) {
	b := newBench(t, 2)
	b.open()
	for _, c := range []struct {
		set  string // key=value, separated by blanks; "-key" removes
		want string // "" for valid
	}{
		{"", ""},
		{"tasks.max=3 errors.tolerance=none transforms= predicates= key.converter=x key.converter.y=1 topic.creation.default.partitions=1 producer.override.acks=all sinks.s0.value.converter=x", ""},
		{"errors.retry.timeout=-1 errors.log.enable=true exactly.once.support=requested transaction.boundary=poll feed.name=x", ""},
		{"connector.class=Nope", `class "Nope" is not here; available: io.freshet.test.Target0Connector, Target0, io.freshet.test.Target1Connector, Target1, io.freshet.test.FeedSourceConnector, FeedSource`},
		{"connector.class=Target0 topics=a", "is a sink, and a sink connector that reads topics is not supported yet"},
		{"sinks.s0.connector.class=Nope", `find sinks.s0.connector.class: class "Nope" is not here`},
		{"-sinks.s0.connector.class", "The 'sinks.s0.connector.class' value is invalid: A value is required"},
		{"sinks=s0,s0", `sinks names "s0" twice`},
		{"-sinks -sinks.s0.connector.class -sinks.s1.connector.class", `the default sink "kafka" is not here`},
		{"feed.nam=x", "unknown key feed.nam; did you mean feed.name?"},
		{"sinks.s0.target.nane=x", "unknown key sinks.s0.target.nane; did you mean sinks.s0.target.name?"},
		{"sinks.other.target.name=x", `unknown key sinks.other.target.name; sinks does not name "other"`},
		{"zzzzzzzz=x", "unknown key zzzzzzzz\n"},
		{"tasks.max=0", "Invalid value 0 for configuration tasks.max: Value must be at least 1"},
		{"tasks.max=x", "Invalid value x for configuration tasks.max: Not a number of type INT"},
		{"transforms=a transforms.a.type=x", "Invalid value x for configuration transforms.a.type: Class x could not be found."},
		{"sinks.s0.transforms=a sinks.s0.transforms.a.type=x", "The 'sinks.s0.transforms' value is invalid: not supported yet"},
		{"transforms=a transforms.a.type=org.apache.kafka.connect.transforms.Filter", "transforms.a.type: not supported yet"},
		{"predicates=a", `Missing required configuration "predicates.a.type"`},
		{"errors.tolerance=all errors.log.include.messages=true errors.retry.timeout=5000 sinks.s0.errors.tolerance=none", ""},
		{"errors.tolerance=some", "Invalid value some for configuration errors.tolerance: String must be one of: none, all"},
		{"sinks.s0.errors.tolerance=some", "sinks.s0: Invalid value some for configuration errors.tolerance: String must be one of: none, all"},
		{"errors.tolerance=all errors.deadletterqueue.file=dead", "there are no dead-letter queues here"},
		{"sinks.s1.errors.tolerance=all sinks.s1.errors.deadletterqueue.file=dead", "there are no dead-letter queues here"},
		{"errors.deadletterqueue.file.max.bytes=-1", "Value must be at least 0"},
		{"transaction.boundary=interval transaction.boundary.interval.ms=100", ""},
		{"transaction.boundary.interval.ms=x", "Invalid value x for configuration transaction.boundary.interval.ms: Not a number of type LONG"},
		{"exactly.once.support=required", "This worker does not have exactly-once source support enabled."},
		{"offsets.storage.topic=x", "The 'offsets.storage.topic' value is invalid: not supported yet here"},
		{"connector.plugin.version=99", "not found that matches the version range [99,99], available versions: ["},
	} {
		config := b.connector()
		config["name"] = "c"
		for _, item := range strings.Fields(c.set) {
			if name, ok := strings.CutPrefix(item, "-"); ok && !strings.Contains(item, "=") {
				delete(config, name)
				continue
			}
			name, value, _ := strings.Cut(item, "=")
			config[name] = value
		}
		got := strings.Join(connectors.Errors(b.worker.Validate(context.Background(), config)), "\n") + "\n"
		if c.want == "" && got != "\n" || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %s, want %s", c.set, got, c.want)
		}
	}
	b.close()
}

func TestPutRefuses(t *testing.T) {
	b := newBench(t, 1)
	b.open()
	ctx := context.Background()
	for _, c := range []struct {
		config connectors.Config
		want   string
	}{
		{nil, "Connector config contains no connector type"},
		{connectors.Config{"connector.class": "FeedSource", "name": "d"}, "Connector name configuration (d) doesn't match connector name in the URL (c)"},
		{connectors.Config{"connector.class": "Nope"}, "Connector configuration is invalid and contains the following 1 error(s):\nfind connector.class: class \"Nope\" is not here"},
	} {
		err := b.worker.Put(ctx, "c", c.config, "")
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	if names := b.worker.Names(); len(names) != 0 {
		t.Errorf("a refused connector exists: %v", names)
	}
	b.close()
	if err := b.worker.Put(ctx, "c", b.connector(), ""); err == nil || !strings.Contains(err.Error(), "the worker is stopping") {
		t.Errorf("got %v", err)
	}
}

func TestUnknownConnector(t *testing.T) {
	b := newBench(t, 1)
	b.open()
	ctx := context.Background()
	_, status := b.worker.Status("x")
	_, config := b.worker.Config("x")
	_, list := b.worker.Offsets(ctx, "x")
	_, reset := b.worker.ResetOffsets(ctx, "x")
	for want, err := range map[string]error{
		"No status found for connector x": status, "Connector x not found": config, "Connector x not found ": list, " Connector x not found": reset,
		"Unknown connector: x": b.worker.Restart(ctx, "x", true, true), "Unknown connector: x ": b.worker.RestartTask(ctx, "x", 0),
		"Unknown connector x": b.worker.Pause(ctx, "x"), "  Connector x not found": b.worker.Delete(ctx, "x"),
	} {
		var r *RequestError
		if !errors.As(err, &r) || r.Kind != NotFound || r.Message != strings.TrimSpace(want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	b.close()
}

func TestLifeOfAConnector(t *testing.T) {
	bubble(t, 1, func(b *bench) {
		ctx := context.Background()
		check := func(err error) {
			b.Helper()
			if err != nil {
				b.Fatal(err)
			}
		}
		states := func(connector, task State) {
			b.Helper()
			s, err := b.worker.Status("c")
			check(err)
			if s.State != connector || (task == "") != (len(s.Tasks) == 0) || task != "" && s.Tasks[0].State != task {
				b.Errorf("got %+v, want %s %s", s, connector, task)
			}
		}
		b.feed.Extend(p1, 5)
		b.start()
		b.has(5)
		states(Running, Running)
		check(b.worker.Pause(ctx, "c"))
		states(Paused, Paused)
		b.feed.Extend(p1, 5)
		time.Sleep(time.Second)
		if b.targets[0].Has(p1) != 5 {
			b.Error("a paused connector goes on")
		}
		check(b.worker.Resume(ctx, "c"))
		b.has(10)
		check(b.worker.Stop(ctx, "c"))
		states(Stopped, "")
		check(b.worker.Stop(ctx, "c"))
		config := b.connector()
		config["tasks.max"] = "2"
		check(b.worker.Put(ctx, "c", config, ""))
		states(Stopped, "")
		check(b.worker.Put(ctx, "c", config, Running))
		b.feed.Extend(p1, 5)
		b.has(15)
		starts := b.feed.Starts()
		check(b.worker.Restart(ctx, "c", false, false))
		check(b.worker.Restart(ctx, "c", true, true))
		if b.feed.Starts() != starts {
			b.Error("a running task was restarted")
		}
		check(b.worker.RestartTask(ctx, "c", 0))
		b.until("restarted", func() bool { return b.feed.Starts() == starts+1 })
		if err := b.worker.RestartTask(ctx, "c", 1); err == nil || err.Error() != "Unknown task: c-1" {
			b.Errorf("got %v", err)
		}
		if got, err := b.worker.Config("c"); err != nil || got["tasks.max"] != "2" || got["name"] != "c" {
			b.Errorf("got %v, %v", got, err)
		}
		check(b.worker.Delete(ctx, "c"))
		if len(b.worker.Names()) != 0 || !strings.Contains(b.stored(), `{"n":15}`) {
			b.Errorf("left %v, stored %s", b.worker.Names(), b.stored())
		}
		b.close()
	})
}

func TestChangingOffsets(t *testing.T) {
	for _, keep := range []bool{false, true} {
		bubble(t, 1, func(b *bench) {
			ctx := context.Background()
			b.targets[0].Keep = keep
			b.feed.Extend(p1, 5)
			b.start()
			b.has(5)
			to2 := []offsets.Entry{{Partition: p1, Offset: connectortest.FeedOffset(2)}}
			_, err := b.worker.AlterOffsets(ctx, "c", to2)
			if err == nil || err.Error() != "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified connector by issuing a 'PUT' request to the '/connectors/c/stop' endpoint" {
				b.Errorf("got %v", err)
			}
			if err := b.worker.Stop(ctx, "c"); err != nil {
				b.Fatal(err)
			}
			if _, err := b.worker.AlterOffsets(ctx, "c", nil); err == nil || err.Error() != "Partitions / offsets need to be provided for an alter offsets request" {
				b.Errorf("got %v", err)
			}
			message, err := b.worker.AlterOffsets(ctx, "c", to2)
			if err != nil || !strings.HasPrefix(message, "The Connect framework-managed offsets for this connector have been altered successfully.") {
				b.Errorf("got %s, %v", message, err)
			}
			resumed := func(want int) {
				b.Helper()
				before := len(b.targets[0].Durable(p1))
				if err := b.worker.Resume(ctx, "c"); err != nil {
					b.Fatal(err)
				}
				b.has(5)
				if err := b.worker.Stop(ctx, "c"); err != nil {
					b.Fatal(err)
				}
				if got := len(b.targets[0].Durable(p1)) - before; got != want {
					b.Errorf("%d records came again, not %d", got, want)
				}
			}
			resumed(3)
			message, err = b.worker.ResetOffsets(ctx, "c")
			if err != nil || !strings.Contains(message, "have been reset successfully") || b.stored() != "[]" {
				b.Errorf("got %s, %v, stored %s", message, err, b.stored())
			}
			resumed(5)
			if list, err := b.worker.Offsets(ctx, "c"); err != nil || len(list) != 1 {
				b.Errorf("got %v, %v", list, err)
			}
			b.close()
		})
	}
}

// TestFanOut: each sink has its own record, the plain one is the lowest, and a sink gets nothing twice that it has.
func TestFanOut(t *testing.T) {
	bubble(t, 2, func(b *bench) {
		b.targets[1].Schedule = never
		b.sink = func(task connectors.SinkTask) connectors.SinkTask { return task }
		b.feed.Extend(p1, 9)
		b.start()
		b.until("the first sink's position is stored", func() bool { return strings.Contains(b.stored(), `"sink":"s0"`) })
		time.Sleep(time.Second)
		if got := b.stored(); got != `[{{"feed":1,"sink":"s0"} {"offset":"{\"n\":9}","order":"1/9/1"}}]` {
			b.Errorf("stored %s", got)
		}
		dead, cancel := context.WithCancel(context.Background())
		cancel()
		_ = b.worker.Close(dead) // a kill: the second sink loses what it held
		b.targets[1].Schedule = nil
		b.start()
		b.has(9)
		b.close()
		if first, second := b.targets[0].Durable(p1), b.targets[1].Durable(p1); len(first) != 9 || len(second) != 9 {
			b.Errorf("got %v and %v", first, second)
		}
	})
}

func TestASinkWithoutPositionStopsTheConnector(t *testing.T) {
	bubble(t, 2, func(b *bench) {
		b.feed.Extend(p1, 4)
		b.start()
		b.has(4)
		b.close()
		b.targets = append(b.targets, connectortest.NewTarget())
		b.start()
		b.until("failed", func() bool { return b.task().State == Failed })
		if trace := b.task().Trace; !strings.Contains(trace, "sink s2 has no stored position") || !strings.Contains(trace, "resetting the offsets of connector c") {
			b.Errorf("trace %s", trace)
		}
		b.close()
	})
	bubble(t, 1, func(b *bench) { // from one sink to two
		b.feed.Extend(p1, 4)
		b.start()
		b.has(4)
		b.close()
		b.targets = append(b.targets, connectortest.NewTarget())
		b.feed.Extend(p1, 4)
		b.start()
		b.until("failed", func() bool { return b.task().State == Failed })
		if trace := b.task().Trace; !strings.Contains(trace, "has no stored position") {
			b.Errorf("trace %s", trace)
		}
		b.close()
		if n := len(b.targets[1].Durable(p1)); n != 0 {
			b.Errorf("%d records were written", n)
		}
	})
}

func TestCovers(t *testing.T) {
	at := connectors.Order{Epoch: 1, Major: 5, Minor: 3}
	for o, want := range map[connectors.Order]bool{
		{Epoch: 1, Major: 5, Minor: 3}: true, {Epoch: 1, Major: 5, Minor: 2}: true, {Epoch: 1, Major: 4, Minor: 9}: true, {Epoch: 0, Major: 9}: true,
		{Epoch: 1, Major: 5, Minor: 4}: false, {Epoch: 1, Major: 6}: false, {Epoch: 2}: false,
	} {
		if covers(at, o) != want {
			t.Errorf("%v: not %v", o, want)
		}
	}
	snapshot := connectors.Order{Epoch: 1, Major: 5}
	if covers(snapshot, snapshot) {
		t.Error("one row of a snapshot covers the others")
	}
}

// TestKeeperOverridesTheStore: the sink's position counts, the store holds a copy; an empty sink begins again.
func TestKeeperOverridesTheStore(t *testing.T) {
	for _, own := range []bool{false, true} {
		bubble(t, 1, func(b *bench) {
			b.own = own
			b.config["exactly.once.source.support"] = "enabled"
			b.config["offset.flush.interval.ms"] = "3600000"
			b.targets[0].Keep = true
			b.feed.Extend(p1, 6)
			b.start()
			b.until("durable", func() bool { return b.targets[0].Has(p1) == 6 })
			dead, cancel := context.WithCancel(context.Background())
			cancel()
			_ = b.worker.Close(dead)
			b.config["offset.flush.interval.ms"] = "100"
			b.feed.Extend(p1, 3)
			b.start()
			b.until("durable", func() bool { return b.targets[0].Has(p1) == 9 })
			b.until("committed", func() bool { return b.feed.Committed(p1) == 9 })
			b.close()
			if n := len(b.targets[0].Durable(p1)); n != 9 {
				b.Errorf("%d records", n)
			}
			want := `[{{"feed":1} {"n":9}}]`
			if own {
				want = "[]" // the sink's transactions are the records
			}
			if got := b.stored(); got != want {
				b.Errorf("stored %s", got)
			}
			if own {
				return
			}
			b.targets[0] = connectortest.NewTarget()
			b.targets[0].Keep = true
			b.start()
			b.until("all again", func() bool { return b.targets[0].Has(p1) == 9 })
			b.close()
		})
	}
}

func TestWorkerMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.targets[0].Schedule = never
		b.feed.Width = 4000
		b.feed.Extend(p1, 300)
		b.feed.End()
		b.open()
		b.worker.memory = newBudget(50000, nil)
		if err := b.worker.Put(context.Background(), "c", b.connector(), ""); err != nil {
			t.Fatal(err)
		}
		b.has(300)
		if peak := b.targets[0].Peak(); peak > 5 {
			t.Errorf("%d batches were held at once", peak)
		}
		b.close()
		if used := b.worker.memory.inUse(); used != 0 {
			t.Errorf("%d bytes were not given back", used)
		}
	})
}

// TestSourceThatKeepsItsOwnOffsets: committing to it is the durable write. Where the source cannot alter them, nobody is told that they
// were altered; what the worker stores beside them can be reset.
func TestSourceThatKeepsItsOwnOffsets(t *testing.T) {
	bubble(t, 1, func(b *bench) {
		ctx := context.Background()
		b.ownOffsets = true
		b.feed.Extend(p1, 6)
		b.source = func(task connectors.SourceTask) connectors.SourceTask { return task }
		b.start()
		b.until("committed", func() bool { return b.feed.Committed(p1) == 6 })
		if err := b.worker.Stop(ctx, "c"); err != nil {
			b.Fatal(err)
		}
		if b.store.count() != 0 {
			b.Errorf("stored %s", b.stored())
		}
		if list, err := b.worker.Offsets(ctx, "c"); err != nil || len(list) != 0 {
			b.Errorf("got %v, %v", list, err)
		}
		if err := b.store.Save(ctx, "c", []offsets.Entry{{Partition: `{"freshet":"orders"}`, Offset: `{"last":7}`}}); err != nil {
			b.Fatal(err)
		}
		_, err := b.worker.AlterOffsets(ctx, "c", []offsets.Entry{{Partition: p1, Offset: connectortest.FeedOffset(2)}})
		if request := (*RequestError)(nil); !errors.As(err, &request) || request.Kind != BadRequest || !strings.Contains(err.Error(), "are kept by the system that it reads") {
			b.Errorf("got %v", err)
		}
		message, err := b.worker.ResetOffsets(ctx, "c")
		if err != nil || !strings.Contains(message, "manually reset in the system that the connector uses") || b.stored() != "[]" {
			b.Errorf("got %s, %v, stored %s", message, err, b.stored())
		}
		b.close()
	})
}

// TestOperationsWhileClosing: whatever is asked of a worker while it closes, nothing runs afterwards (goleak looks).
func TestOperationsWhileClosing(t *testing.T) {
	for range 20 {
		bubble(t, 1, func(b *bench) {
			ctx := context.Background()
			b.feed.Extend(p1, 5)
			b.start()
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = b.worker.RestartTask(ctx, "c", 0)
				_ = b.worker.Stop(ctx, "c")
				_ = b.worker.Resume(ctx, "c")
				_ = b.worker.Put(ctx, "c", b.connector(), "")
			}()
			b.close()
			<-done
		})
	}
}
