package golden

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/freshet-io/freshet/testbed"
)

// How long topics must not grow, unless the step says otherwise. Two such pauses stay below the 10 s after which an idle connector
// stores how far the log has moved.
const (
	quietAfterSQL   = 3500 * time.Millisecond
	quietAfterStart = 3500 * time.Millisecond
)

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// until polls a condition.
func (r *play) until(ctx context.Context, what string, limit time.Duration, done func() (bool, error)) error {
	end := time.Now().Add(limit)
	for {
		ok, err := done()
		if ok {
			return nil
		}
		if time.Now().After(end) {
			if err != nil {
				return fmt.Errorf("wait for %s: nothing within %s: %w", what, limit, err)
			}
			return fmt.Errorf("wait for %s: nothing within %s", what, limit)
		}
		if err := sleep(ctx, poll); err != nil {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
	}
}

func (r *play) afterSQL(ctx context.Context, st step) error {
	if st.noWait {
		return nil
	}
	return r.quiet(ctx, max(st.quiet, quietAfterSQL))
}

// settle waits until the connector runs, streams and has nothing more to write.
func (r *play) settle(ctx context.Context, st step) error {
	if st.expect == "failed" && !r.Survives || st.noSettle {
		return nil
	}
	trace, err := r.waitState(ctx, "RUNNING")
	if err != nil {
		return err
	}
	if trace != "" {
		if st.expect == "any" {
			return nil
		}
		return fmt.Errorf("the task failed: %.3000s", trace)
	}
	if !st.noStreaming {
		if err := r.until(ctx, "a replication connection", stateTimeout, func() (bool, error) { return r.Server.streaming(ctx, r.database) }); err != nil {
			return err
		}
	}
	return r.quiet(ctx, max(st.quiet, quietAfterStart))
}

// waitState waits for a state of connector and tasks; a task that fails instead ends the wait with its trace.
func (r *play) waitState(ctx context.Context, want string) (trace string, err error) {
	err = r.until(ctx, "connector state "+want, stateTimeout, func() (bool, error) {
		connector, tasks, err := r.Worker.State(ctx, r.connector)
		if err != nil || connector == "" {
			return false, err
		}
		if i := slices.IndexFunc(tasks, func(t TaskState) bool { return t.State == "FAILED" }); i >= 0 && want == "RUNNING" {
			trace = tasks[i].Trace + " "
			return true, nil
		}
		if want == "STOPPED" {
			return connector == want && len(tasks) == 0, nil
		}
		all := !slices.ContainsFunc(tasks, func(t TaskState) bool { return t.State != want })
		return connector == want && all && len(tasks) > 0, nil
	})
	return trace, err
}

// mine lists the scenario's topics.
func (r *play) mine(ctx context.Context) ([]string, error) {
	there, err := testbed.Partitions(ctx, r.kafka)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(there)) {
		for _, re := range r.topics {
			if re.MatchString(name) {
				names = append(names, name)
				break
			}
		}
	}
	return names, nil
}

// quiet waits until no topic has grown for a while. Heartbeats do not count.
func (r *play) quiet(ctx context.Context, long time.Duration) error {
	var last map[testbed.TopicPartition]int64
	since := time.Now()
	return r.until(ctx, "topics that do not grow", quietTimeout, func() (bool, error) {
		names, err := r.mine(ctx)
		if err != nil {
			return false, err
		}
		names = append(slices.DeleteFunc(names, func(n string) bool { return strings.HasPrefix(n, heartbeats) }), r.history())
		ends, err := testbed.EndOffsets(ctx, r.kafka, names)
		if err != nil {
			return false, err
		}
		if last == nil || !maps.Equal(ends, last) {
			last, since = ends, time.Now()
			return false, nil
		}
		return time.Since(since) >= long, nil
	})
}
