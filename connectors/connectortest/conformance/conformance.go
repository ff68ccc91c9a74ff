// Package conformance proves that a connector keeps the contract of package connectors. SourceChecks and SinkChecks are the checks of
// a source or a sink whose harness knows how to fill and read the other side; FactorySourceChecks and FactorySinkChecks are those of a
// connector of which only its factory and a configuration are known. Run runs checks and reports; package connectortest runs them as
// subtests. The package does not import testing.
//
// A call of a connector runs in a goroutine of its own, so that one that does not return fails its check in place of stopping all.
package conformance

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet-io/freshet/connectors"
)

// T is what a check tells its findings to.
type T interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any) // does not return
	// NotApplicable says why the check, or a part of it, says nothing about this connector.
	NotApplicable(format string, args ...any)
	// Cleanup adds what runs when the check has ended, the last first.
	Cleanup(func())
	// Context ends when nobody waits for the check any more; in Cleanup it has ended already.
	Context() context.Context
}

// Check is one check; each run begins with a fresh connector.
type Check struct {
	Name  string
	Shows string // what holds when it passes
	Run   func(t T)
}

// tasks are those of one check.
type tasks interface {
	stopAll()
	leftBehind(processes bool, ignore []goleak.Option) (compare func())
}

// checkOf is a check of tasks of one kind.
type checkOf[S tasks] struct {
	name, shows string
	run         func(S)
}

// checksOf are the checks, each with fresh tasks, of which nothing is left when they are stopped.
func checksOf[S tasks](list []checkOf[S], fresh func(T) S, processes bool, ignore []goleak.Option) []Check {
	var out []Check
	for _, c := range list {
		out = append(out, Check{Name: c.name, Shows: c.shows, Run: func(t T) {
			s := fresh(t)
			t.Cleanup(func() { s.stopAll() })
			compare := s.leftBehind(processes, ignore)
			c.run(s)
			s.stopAll()
			compare()
		}})
	}
	return out
}

// defaultPatience bounds each wait of a check.
const defaultPatience = 20 * time.Second

// scope is a check on its way.
type scope struct {
	T
	patience time.Duration
}

// ctx is a context for one call.
func (s *scope) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.Context()), s.patience)
	s.Cleanup(cancel)
	return ctx
}

// call makes one call of the connector and returns its error. The check fails when the call does not return, even when its context ends.
func (s *scope) call(ctx context.Context, name string, f func(context.Context) error) error {
	s.Helper()
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("%s panicked: %v\n%s", name, p, debug.Stack())
			}
		}()
		done <- f(ctx)
	}()
	return s.wait(name, done)
}

// wait waits for what a call returns: as long as the call's context lasts, and once more.
func (s *scope) wait(name string, done <-chan error) error {
	s.Helper()
	timer := time.NewTimer(2 * s.patience)
	defer timer.Stop()
	nobody := s.Context().Done()
	if s.Context().Err() != nil {
		nobody = nil // this is Cleanup
	}
	select {
	case err := <-done:
		return err
	case <-nobody:
		s.Fatalf("%s was left alone: the run was ended", name)
	case <-timer.C:
		s.Fatalf("%s does not return, though its context has ended", name)
	}
	return nil
}

// ended is a context that has ended already.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// innocent checks what a connector returns when its context ends: that is no failure of its own.
func (s *scope) innocent(name string, err error) {
	s.Helper()
	if c := connectors.ClassOf(err); err != nil && c != connectors.Retriable {
		s.Errorf("%s returned a %s error when its context had ended: %v", name, c, err)
	}
}

// leftBehind compares goroutines, and processes of this one where asked, with what there was before.
func (s *scope) leftBehind(processes bool, ignore []goleak.Option) (compare func()) {
	before := goleak.IgnoreCurrent()
	var children map[int]string
	if processes {
		children = childProcesses()
	}
	return func() {
		s.Helper()
		if err := goleak.Find(append(ignore, before)...); err != nil {
			s.Errorf("after Stop: %v", err)
		}
		if !processes {
			return
		}
		left := map[int]string{}
		deadline := time.Now().Add(s.patience)
		for {
			clear(left)
			for id, name := range childProcesses() {
				if _, ok := children[id]; !ok {
					left[id] = name
				}
			}
			if len(left) == 0 {
				return
			}
			if time.Now().After(deadline) {
				s.Errorf("after Stop these processes are still there: %v", left)
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}
