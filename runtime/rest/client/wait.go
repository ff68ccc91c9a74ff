package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/herder"
)

const (
	pollEvery = 200 * time.Millisecond
	// A state of before the request may be shown for a moment: a failure counts when it stays.
	failureStays = 3 * time.Second
)

// Wait returns when a connector and all its tasks have the state (RUNNING with at least one task, STOPPED with none), with an error
// when one of them fails and stays so, or when ctx ends: it says what the states were.
func (c *Client) Wait(ctx context.Context, name string, state runtime.State) error {
	var failed time.Time
	var last herder.Status
	for {
		status, err := c.Status(ctx, name)
		if err != nil && !Missing(err) { // there is none for a moment after it was made
			if ctx.Err() != nil {
				return timeout(name, state, last)
			}
			return err
		}
		last = status
		if reached(status, state) {
			return nil
		}
		problem := Problem(status)
		switch {
		case problem == "":
			failed = time.Time{}
		case failed.IsZero():
			failed = time.Now()
		case time.Since(failed) > failureStays:
			return fmt.Errorf("connector %s: %s", name, problem)
		}
		if wait(ctx, pollEvery) != nil {
			return timeout(name, state, last)
		}
	}
}

func timeout(name string, state runtime.State, s herder.Status) error {
	if s.Connector.State == "" {
		return fmt.Errorf("connector %s is not %s yet: it has no status", name, state)
	}
	texts := []string{"connector " + string(s.Connector.State)}
	for _, t := range s.Tasks {
		texts = append(texts, fmt.Sprintf("task %d %s", t.ID, t.State))
	}
	if len(s.Tasks) == 0 {
		texts = append(texts, "no tasks")
	}
	return errors.New("connector " + name + " is not " + string(state) + " yet: " + strings.Join(texts, ", "))
}

func reached(s herder.Status, state runtime.State) bool {
	if s.Connector.State != state || state == runtime.Running && len(s.Tasks) == 0 || state == runtime.Stopped && len(s.Tasks) > 0 {
		return false
	}
	for _, t := range s.Tasks {
		if t.State != state {
			return false
		}
	}
	return true
}

// Problem is the first failure in a status, in one line; "" when there is none.
func Problem(s herder.Status) string {
	if s.Connector.State == runtime.Failed {
		return "it failed: " + FirstLine(s.Connector.Trace)
	}
	for _, t := range s.Tasks {
		if t.State == runtime.Failed {
			return fmt.Sprintf("task %d failed: %s", t.ID, FirstLine(t.Trace))
		}
	}
	return ""
}

// FirstLine is the part of a trace that names the error.
func FirstLine(trace string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(trace), "\n")
	return strings.TrimSpace(line)
}
