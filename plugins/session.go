package plugins

import (
	"context"
	"sync"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/plugins/pluginpb"
)

// asking bounds how many questions of a task are worked on at once.
const asking = 64

// session hears what a task says to the worker: notices and questions that need no waiting in order, others each in a goroutine.
type session struct {
	stream  pluginpb.Connector_SessionClient
	process *process
	// answer does what a call asks for; nil: there is nothing to answer.
	answer func(context.Context, *pluginpb.Call) *pluginpb.Answer

	mu      sync.Mutex
	pending map[uint64]context.CancelFunc // of questions that are worked on: at most asking
}

// callRate is how many calls of a task are heard in a second, beside those that batches bound.
const callRate = 10_000

// serve hears until the stream ends.
func (s *session) serve(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var working sync.WaitGroup
	defer working.Wait()
	defer cancel()
	s.pending = map[uint64]context.CancelFunc{}
	places := make(chan struct{}, asking)
	calls := newPace(callRate)
	for {
		call, err := s.stream.Recv()
		if err != nil || ctx.Err() != nil {
			return
		}
		switch call.GetCall().(type) {
		case *pluginpb.Call_Ack, *pluginpb.Call_Charge:
		default:
			s.process.pause(calls.use(1))
		}
		switch call.GetCall().(type) {
		case *pluginpb.Call_Cancel:
			s.cancelled(call.GetCancel())
			continue
		case *pluginpb.Call_Ack, *pluginpb.Call_Charge, *pluginpb.Call_Fail, *pluginpb.Call_Retrying, *pluginpb.Call_Observation, *pluginpb.Call_Sync, *pluginpb.Call_Reached,
			*pluginpb.Call_Claim:
			s.send(call, s.answer(ctx, call))
			continue
		}
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return
		}
		own, done := context.WithCancel(ctx)
		if !s.begin(call.GetId(), done) {
			done()
			s.process.refuse("it asked question %d while there was one of that number", call.GetId())
			return
		}
		working.Go(func() {
			s.send(call, s.answer(own, call))
			s.end(call.GetId())
			<-places
		})
	}
}

// begin remembers how to cancel a question; false: there is one of its number.
func (s *session) begin(id uint64, done context.CancelFunc) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending[id] != nil {
		return false
	}
	s.pending[id] = done
	return true
}

// cancelled ends the work on a question for which nobody waits any more.
func (s *session) cancelled(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if done := s.pending[id]; done != nil {
		done()
	}
}

// end forgets a question that is answered.
func (s *session) end(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending[id]()
	delete(s.pending, id)
}

func (s *session) send(call *pluginpb.Call, a *pluginpb.Answer) {
	if a == nil || call.GetId() == 0 {
		return
	}
	a.Id = call.GetId()
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.stream.Send(a) // a broken stream shows in Recv
}

// result is an answer that has nothing but perhaps an error.
func result(err error) *pluginpb.Answer { return &pluginpb.Answer{Error: toError(err)} }

var errStrange = connectors.AsPermanent(errorText("the plugin made a call that a task of its kind cannot make"))

type errorText string

func (e errorText) Error() string { return string(e) }
