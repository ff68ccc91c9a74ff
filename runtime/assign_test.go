package runtime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// given are tasks with these numbers, as Plan makes them.
func (b *bench) given(ids ...int) []Task {
	b.Helper()
	config := b.connector()
	config["name"] = "c"
	configs, err := b.worker.Plan(context.Background(), "c", config)
	if err != nil || len(configs) != 1 {
		b.Fatalf("got %v, %v", configs, err)
	}
	var out []Task
	for _, id := range ids {
		out = append(out, Task{ID: id, Config: configs[0]})
	}
	return out
}

func (b *bench) states() string {
	s, err := b.worker.Status("c")
	if err != nil {
		return "none"
	}
	var out []string
	for _, t := range s.Tasks {
		out = append(out, fmt.Sprintf("%d %s", t.ID, t.State))
	}
	return strings.Join(out, ", ")
}

// TestAssign: the worker runs exactly what it is given, and what has not changed is not touched.
func TestAssign(t *testing.T) {
	bubble(t, 1, func(b *bench) {
		b.open()
		ctx := context.Background()
		assign := func(target State, tasks []Task, starts int, want string) {
			b.Helper()
			if err := b.worker.Assign(ctx, "c", target, tasks); err != nil {
				b.Fatal(err)
			}
			b.until(want, func() bool { return b.states() == want })
			time.Sleep(time.Second)
			if got := b.feed.Starts(); got != starts || b.states() != want {
				b.Errorf("%d starts, %s; want %d, %s", got, b.states(), starts, want)
			}
		}
		assign(Running, b.given(2, 0), 2, "0 RUNNING, 2 RUNNING")
		assign(Running, b.given(0, 1, 2), 3, "0 RUNNING, 1 RUNNING, 2 RUNNING")
		assign(Paused, b.given(0, 1), 3, "0 PAUSED, 1 PAUSED")
		assign(Running, b.given(0, 1), 3, "0 RUNNING, 1 RUNNING")
		again := b.given(0, 1)
		again[1].Run = 7
		assign(Running, again, 4, "0 RUNNING, 1 RUNNING")
		assign(Running, again, 4, "0 RUNNING, 1 RUNNING")
		changed := b.given(0)
		changed[0].Config = maps.Clone(changed[0].Config)
		changed[0].Config["feed.name"] = "x"
		assign(Running, changed, 5, "0 RUNNING")
		broken := b.given(0, 1, 2)
		broken[0].Problem = "no secret"
		broken[1].Config = connectors.Config{"connector.class": "Nope"}
		assign(Running, broken, 6, "0 FAILED, 1 FAILED, 2 RUNNING")
		if s, _ := b.worker.Status("c"); s.Tasks[0].Trace != "no secret" || !strings.Contains(s.Tasks[1].Trace, `class "Nope" is not here`) {
			b.Errorf("got %+v", s.Tasks)
		}
		assign(Stopped, nil, 6, "none")
		if names := b.worker.Names(); len(names) != 0 {
			b.Errorf("left %v", names)
		}
		b.close()
	})
}

// TestPlan: a task configuration has everything that a task needs.
func TestPlan(t *testing.T) {
	b := newBench(t, 2)
	b.open()
	config := b.connector()
	config["name"], config["unknown.key"] = "c", "kept"
	tasks, err := b.worker.Plan(context.Background(), "c", config)
	if err != nil || len(tasks) != 1 {
		t.Fatal(tasks, err)
	}
	config["task.class"] = "io.freshet.test.FeedSourceTask"
	if !maps.Equal(tasks[0], config) {
		t.Errorf("got %v, want %v", tasks[0], config)
	}
	_, err = b.worker.Plan(context.Background(), "c", connectors.Config{"connector.class": "Nope", "name": "c"})
	if _, ok := errors.AsType[*ConfigError](err); !ok {
		t.Errorf("got %v", err)
	}
	for class, want := range map[string]string{
		"org.apache.kafka.connect.file.FileStreamSinkConnector": "org.apache.kafka.connect.file.FileStreamSinkTask",
		"io.debezium.connector.postgresql.PostgresConnector":    "io.debezium.connector.postgresql.PostgresConnectorTask",
		"io.debezium.connector.jdbc.JdbcSinkConnector":          "io.debezium.connector.jdbc.JdbcSinkConnectorTask",
	} {
		if got := taskClass(class); got != want {
			t.Errorf("%s: %s", class, got)
		}
	}
	b.close()
}

// TestAbort: what is ended at once writes nothing more, no offsets either (I6), whichever of what it is told it hears first.
func TestAbort(t *testing.T) {
	for name, abort := range map[string]func(*bench) error{
		"all": func(b *bench) error { return b.worker.Abort(context.Background(), errAway) },
		"one": func(b *bench) error {
			b.worker.Kill("c", 0, errAway)
			return b.worker.Assign(context.Background(), "c", Running, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(b *bench) {
				b.config["offset.flush.interval.ms"] = "3600000" // only a stop writes
				b.feed.Extend(p1, 5)
				b.open()
				if err := b.worker.Assign(context.Background(), "c", Running, b.given(0)); err != nil {
					b.Fatal(err)
				}
				b.until("all is durable", func() bool { return b.targets[0].Has(p1) == 5 })
				for _, k := range b.worker.find("c").tasks {
					stop, kill := k.stop, k.kill
					k.stop = func() { stop(); time.Sleep(time.Second) }
					k.kill = func(cause error) { kill(cause); time.Sleep(time.Second) }
				}
				if err := abort(b); err != nil {
					b.Fatal(err)
				}
				if b.states() != "none" || b.store.count() != 0 {
					b.Errorf("%s, stored %s", b.states(), b.stored())
				}
				if err := b.worker.Assign(context.Background(), "c", Running, b.given(0)); err != nil {
					b.Fatal(err)
				}
				b.until("it runs again", func() bool { return len(b.targets[0].Durable(p1)) == 10 })
				b.close()
				if b.store.count() == 0 {
					b.Error("a graceful stop wrote nothing")
				}
			})
		})
	}
}
