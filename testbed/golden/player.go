package golden

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/testbed"
)

const (
	stateTimeout = time.Minute
	quietTimeout = 90 * time.Second
	poll         = 100 * time.Millisecond
)

// Player plays scenarios. A database server is needed for each scenario that plays at the same time, as their databases have
// the names that the recordings have; they can share the broker and the worker.
type Player struct {
	Worker      Worker
	Server      Server
	Bootstrap   string // bootstrap.servers
	OffsetTopic string // of the worker
	Survives    bool   // the worker goes on where the reference's task failed
	Log         func(format string, args ...any)
}

// play is one scenario being played.
type play struct {
	*Player
	*Scenario
	kafka  *kgo.Client
	states []any
	noted  []json.RawMessage // offsets after each stop and pause
	first  map[testbed.TopicPartition]int64
}

// Record plays a scenario and writes the recording to a folder.
func (p *Player) Record(ctx context.Context, s *Scenario, out string) (err error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(p.Bootstrap))
	if err != nil {
		return fmt.Errorf("make a Kafka client: %w", err)
	}
	defer client.Close()
	r := &play{Player: p, Scenario: s, kafka: client}
	if err := r.reset(ctx); err != nil {
		return err
	}
	defer func() {
		if e := r.cleanUp(context.WithoutCancel(ctx)); e != nil {
			err = errors.Join(err, fmt.Errorf("clean up: %w", e))
		}
	}()
	if r.first, err = testbed.EndOffsets(ctx, client, []string{p.OffsetTopic}); err != nil {
		return err
	}
	for i, st := range s.steps {
		p.Log("step %d: %s %s", i, st.op, st.text)
		if err := r.step(ctx, st); err != nil {
			return fmt.Errorf("play %s, step %d (%s %s): %w", s.Name, i, st.op, st.text, err)
		}
	}
	if err := r.finish(ctx); err != nil {
		return fmt.Errorf("play %s: %w", s.Name, err)
	}
	return r.write(ctx, out)
}

// reset makes the database anew and removes topics of an earlier run.
func (r *play) reset(ctx context.Context) error {
	if err := r.Server.create(ctx, r.database); err != nil {
		return err
	}
	names, err := r.mine(ctx)
	if err != nil {
		return err
	}
	return testbed.DeleteTopics(ctx, r.kafka, append(names, r.history()))
}

func (r *play) cleanUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	state, _, err := r.Worker.State(ctx, r.connector)
	if err != nil {
		return err
	}
	if state != "" {
		if err := r.Worker.Delete(ctx, r.connector); err != nil {
			return err
		}
	}
	return r.Server.drop(ctx, r.database)
}

// finish notes the last state and stops the connector.
func (r *play) finish(ctx context.Context) error {
	connector, tasks, err := r.Worker.State(ctx, r.connector)
	if err != nil || connector == "" {
		return err
	}
	states := []string{}
	for _, t := range tasks {
		states = append(states, t.State)
	}
	r.note("after", "end", "connector", connector, "tasks", states)
	if slices.Contains(states, "FAILED") && !slices.ContainsFunc(r.states, func(s any) bool { return s.(pairs)[1] == "failed" }) {
		if err := r.step(ctx, step{op: "wait_failed"}); err != nil {
			return err
		}
	}
	return r.step(ctx, step{op: "stop"})
}

// pairs is a JSON object with its members in order: name, value, name, value …
type pairs []any

// MarshalJSON keeps the order.
func (p pairs) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, v := range p {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("encode state: %w", err)
		}
		if i > 0 {
			out = append(out, ",:"[i%2])
		}
		out = append(out, b...)
	}
	return append(out, '}'), nil
}

func (r *play) note(members ...any) { r.states = append(r.states, pairs(members)) }

func (r *play) step(ctx context.Context, st step) error {
	switch st.op {
	case "sql":
		return r.runFile(ctx, st)
	case "exec":
		if err := r.sql(ctx, st.text); err != nil {
			return err
		}
		return r.afterSQL(ctx, st)
	case "start", "config":
		if err := r.Worker.PutConfig(ctx, r.connector, r.config(st.changes)); err != nil {
			return err
		}
		return r.settle(ctx, st)
	case "resume":
		if err := r.Worker.Resume(ctx, r.connector); err != nil {
			return err
		}
		return r.settle(ctx, st)
	case "restart":
		if err := r.Worker.Restart(ctx, r.connector); err != nil {
			return err
		}
		return r.settle(ctx, st)
	case "stop":
		return r.halt(ctx, "stop", "STOPPED", r.Worker.Stop)
	case "pause":
		return r.halt(ctx, "pause", "PAUSED", r.Worker.Pause)
	case "delete":
		return r.Worker.Delete(ctx, r.connector)
	case "sleep":
		return sleep(ctx, duration(st.number))
	case "quiet":
		return r.quiet(ctx, duration(st.number))
	case "offsets_restore":
		if n := int(st.number); n < 0 || n >= len(r.noted) {
			return fmt.Errorf("%d offsets were noted", len(r.noted))
		}
		status, body, err := r.Worker.AlterOffsets(ctx, r.connector, r.noted[int(st.number)])
		return r.answer(st.op, status, body, err)
	case "offsets_reset":
		status, body, err := r.Worker.ResetOffsets(ctx, r.connector)
		return r.answer(st.op, status, body, err)
	case "wait_failed":
		if r.Survives {
			return r.quiet(ctx, quietAfterSQL)
		}
		return r.failure(ctx)
	}
	return errors.New("unknown operation")
}

func (r *play) answer(op string, status int, body string, err error) error {
	if err != nil {
		return err
	}
	var v any = body
	if json.Valid([]byte(body)) {
		v = json.RawMessage(body)
	}
	r.note("after", op, "status", status, "body", v)
	return nil
}

// halt stops or pauses the connector and notes its offsets.
func (r *play) halt(ctx context.Context, what, state string, f func(context.Context, string) error) error {
	if err := f(ctx, r.connector); err != nil {
		return err
	}
	if _, err := r.waitState(ctx, state); err != nil {
		return err
	}
	offsets, err := r.Worker.Offsets(ctx, r.connector)
	if err != nil {
		return err
	}
	r.noted = append(r.noted, offsets)
	r.note("after", what, "offsets", offsets)
	return nil
}

var causedBy = regexp.MustCompile(`Caused by: (.*)`)

func (r *play) failure(ctx context.Context) error {
	var trace string
	err := r.until(ctx, "a failed task", stateTimeout, func() (bool, error) {
		_, tasks, err := r.Worker.State(ctx, r.connector)
		failed := slices.ContainsFunc(tasks, func(t TaskState) bool { return t.State == "FAILED" })
		if failed {
			trace = tasks[0].Trace
		}
		return failed, err
	})
	if err != nil {
		return err
	}
	causes := []string{}
	for _, m := range causedBy.FindAllStringSubmatch(trace, -1) {
		causes = append(causes, m[1])
	}
	head, _, _ := strings.Cut(trace, "\n\tat")
	r.note("after", "failed", "trace", head, "causes", causes)
	return nil
}

// history is the topic of a schema history.
func (r *play) history() string { return "schemahistory." + *r.settings["topic.prefix"] }

// config is the connector's configuration: the scenario's settings and what depends on the servers.
func (r *play) config(changes map[string]*string) map[string]string {
	c := map[string]string{"tasks.max": "1", "poll.interval.ms": "50"}
	maps.Copy(c, r.Server.settings(*r.settings["topic.prefix"], r.database, r.Bootstrap, r.history()))
	settings := maps.Clone(r.settings)
	maps.Copy(settings, changes)
	for name, value := range settings {
		if value == nil {
			delete(c, name)
		} else {
			c[name] = *value
		}
	}
	return c
}

func (r *play) runFile(ctx context.Context, st step) error {
	b, err := os.ReadFile(filepath.Join(r.Dir, st.text))
	if err != nil {
		return fmt.Errorf("read SQL: %w", err)
	}
	if st.paced == 0 {
		if err := r.sql(ctx, string(b)); err != nil {
			return err
		}
		return r.afterSQL(ctx, st)
	}
	// One line at a time, each in its own session, so that what the connector looks up in the catalog does not depend on speed.
	for line := range strings.Lines(string(b)) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		if err := r.sql(ctx, line); err != nil {
			return err
		}
		if err := sleep(ctx, st.paced); err != nil {
			return err
		}
	}
	return r.afterSQL(ctx, st)
}

// sql runs the statements of a text one by one in a session of its own.
func (r *play) sql(ctx context.Context, text string) error {
	statements, err := split(text, r.Server.token)
	if err != nil {
		return err
	}
	return r.Server.run(ctx, r.database, statements)
}
