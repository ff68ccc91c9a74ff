package plugins

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/plugins/pluginpb"
)

// caller carries what a task says to the worker, in order, and the answers to what it asks. Notices that follow each other are
// joined: there are never more of them waiting than there are batches and questions. Safe for concurrent use.
type caller struct {
	task context.Context

	mu      sync.Mutex
	out     []*pluginpb.Call
	more    chan struct{} // capacity 1: out has something
	last    uint64
	waiting map[uint64]chan *pluginpb.Answer
}

func newCaller(task context.Context) *caller {
	return &caller{task: task, more: make(chan struct{}, 1), waiting: map[uint64]chan *pluginpb.Answer{}}
}

// tell sends a notice.
func (c *caller) tell(call *pluginpb.Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(call)
}

func (c *caller) add(call *pluginpb.Call) {
	if !c.joined(call) {
		c.out = append(c.out, call)
	}
	select {
	case c.more <- struct{}{}:
	default:
	}
}

// joined joins a notice with one that waits: what comes between them must be notices that may as well come after it.
func (c *caller) joined(call *pluginpb.Call) bool {
	for i := len(c.out) - 1; i >= 0; i-- {
		before := c.out[i]
		if join(before, call) {
			return true
		}
		if _, ok := call.GetCall().(*pluginpb.Call_Retrying); ok {
			return false // an acknowledgement ends what it tells
		}
		switch before.GetCall().(type) {
		case *pluginpb.Call_Ack, *pluginpb.Call_Charge, *pluginpb.Call_Observation:
		default:
			return false
		}
	}
	return false
}

// join makes one notice of two of the same kind.
func join(before, after *pluginpb.Call) bool {
	if before.GetId() != 0 || after.GetId() != 0 {
		return false
	}
	switch b := before.GetCall().(type) {
	case *pluginpb.Call_Ack:
		if a, ok := after.GetCall().(*pluginpb.Call_Ack); ok {
			b.Ack.Ids = append(b.Ack.Ids, a.Ack.GetIds()...)
			return true
		}
	case *pluginpb.Call_Charge:
		if a, ok := after.GetCall().(*pluginpb.Call_Charge); ok {
			b.Charge += a.Charge
			return true
		}
	case *pluginpb.Call_Retrying:
		if a, ok := after.GetCall().(*pluginpb.Call_Retrying); ok {
			b.Retrying = a.Retrying
			return true
		}
	case *pluginpb.Call_Fail:
		_, ok := after.GetCall().(*pluginpb.Call_Fail) // the first one counts
		return ok
	case *pluginpb.Call_Observation:
		if a, ok := after.GetCall().(*pluginpb.Call_Observation); ok {
			b.Observation = a.Observation
			return true
		}
	}
	return false
}

// ask sends a question and waits for its answer.
func (c *caller) ask(ctx context.Context, call *pluginpb.Call) (*pluginpb.Answer, error) {
	answer := make(chan *pluginpb.Answer, 1)
	c.mu.Lock()
	c.last++
	call.Id = c.last
	c.waiting[call.GetId()] = answer
	c.add(call)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.waiting, call.GetId())
		c.mu.Unlock()
	}()
	select {
	case a := <-answer:
		return a, fromError(a.GetError(), nil)
	case <-ctx.Done():
		c.tell(&pluginpb.Call{Call: &pluginpb.Call_Cancel{Cancel: call.GetId()}})
		return nil, ctx.Err()
	case <-c.task.Done():
		return nil, connectors.ErrStopped
	}
}

const observeEvery = time.Second

// serve sends until the worker or the task ends the stream. observe is nil for a task that tells nothing more of itself.
func (c *caller) serve(stream pluginpb.Connector_SessionServer, observe func() connectors.Observation) error {
	ended := make(chan error, 1)
	go func() { ended <- c.receive(stream) }() // ends with the stream
	var tick <-chan time.Time
	if observe != nil {
		ticker := time.NewTicker(observeEvery)
		defer ticker.Stop()
		tick = ticker.C
	}
	var observed *pluginpb.Observation
	for {
		select {
		case err := <-ended:
			return err
		case <-c.more:
		case <-tick:
			if o := toObservation(observe()); !proto.Equal(o, observed) {
				observed = o
				c.tell(&pluginpb.Call{Call: &pluginpb.Call_Observation{Observation: o}})
			}
		}
		c.mu.Lock()
		out := c.out
		c.out = nil
		c.mu.Unlock()
		for _, call := range out {
			if err := stream.Send(call); err != nil {
				return err
			}
		}
	}
}

func (c *caller) receive(stream pluginpb.Connector_SessionServer) error {
	for {
		a, err := stream.Recv()
		if err != nil {
			return err
		}
		c.mu.Lock()
		answer := c.waiting[a.GetId()]
		delete(c.waiting, a.GetId())
		c.mu.Unlock()
		if answer != nil { // else nobody waits for it any more
			answer <- a
		}
	}
}

var errTwice = errors.New("the call comes once in the life of a task")

// turn is the call that carries the batches of a task: there is one in its life, and none once it is awaited.
type turn struct {
	called sync.Once
	ended  chan struct{} // closed when the call has ended, or will not come
}

func newTurn() turn { return turn{ended: make(chan struct{})} }

// begin tells that this is the call; the caller ends it.
func (t *turn) begin() (first bool) {
	t.called.Do(func() { first = true })
	return first
}

func (t *turn) end() { close(t.ended) }

// wait returns when the task is not called any more, nor will be.
func (t *turn) wait(ctx context.Context) error {
	if t.begin() {
		t.end() // a call that comes later is refused
	}
	select {
	case <-t.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the task's batches to end: %w", errors.Join(ctx.Err(), connectors.ErrStopped))
	}
}
