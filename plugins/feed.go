package plugins

import (
	"context"
	"sync"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/plugins/pluginpb"
)

// ahead is how many batches a source may have sent that the worker has not taken: one is on its way while another is used, and what is
// committed meanwhile comes as one batch.
const ahead = 2

// feed sends what a source polls, and is the session that the source knows. Its batches, from NewBatch until they are sent, are bounded
// in bytes (I5).
type feed struct {
	calls  *caller
	memory *buffers
	pool   connectors.Pool
	room   *room
	turn   // Poll

	mu   sync.Mutex
	sent uint64
}

func newFeed(calls *caller, memory *buffers, window int64) *feed {
	return &feed{calls: calls, memory: memory, room: newRoom(window), turn: newTurn()}
}

// serve polls the source and sends, until the task or the stream ends.
func (f *feed) serve(ctx context.Context, source connectors.SourceTask, stream pluginpb.Connector_PollServer) error {
	if !f.begin() {
		return errTwice
	}
	defer f.end()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	taken := make(chan struct{}, ahead)
	go func() { // ends with the stream
		defer cancel()
		for {
			if _, err := stream.Recv(); err != nil {
				return
			}
			select {
			case <-taken:
			default:
				return // more was taken than there is
			}
		}
	}()
	writer := connectors.NewWireWriter()
	for {
		b, err := source.Poll(ctx)
		if err != nil {
			return stream.Send(&pluginpb.SourceOutput{Error: toError(err)})
		}
		out := &frame[*pluginpb.SourceOutput]{}
		out.batch, err = writer.Append(f.memory.empty(), b)
		b.Release()
		if err != nil {
			return stream.Send(&pluginpb.SourceOutput{Error: toError(connectors.AsPermanent(err))})
		}
		select {
		case taken <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		f.mu.Lock()
		f.sent++
		f.mu.Unlock()
		if err := stream.SendMsg(out); err != nil {
			return err
		}
	}
}

func (f *feed) position() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sent
}

// NewBatch implements connectors.SourceSession.
func (f *feed) NewBatch(ctx context.Context, p offsets.Partition) (*connectors.Builder, error) {
	held, err := f.room.enter(ctx, f.calls.task)
	if err != nil {
		return nil, err
	}
	w := connectors.NewBuilder(p, &f.pool, func(*connectors.Batch) { f.room.leave(held) })
	w.OnFinish(func(b *connectors.Batch) { held = f.room.settle(held, int64(b.Size())) })
	return w, nil
}

// Offsets implements connectors.SourceSession.
func (f *feed) Offsets(ctx context.Context, p ...offsets.Partition) ([]offsets.Entry, error) {
	return f.entries(ctx, &pluginpb.Call{Call: &pluginpb.Call_Offsets{Offsets: toPartitions(p)}})
}

func (f *feed) entries(ctx context.Context, call *pluginpb.Call) ([]offsets.Entry, error) {
	a, err := f.calls.ask(ctx, call)
	if err != nil {
		return nil, err
	}
	return fromEntries(a.GetEntries())
}

// Reached implements connectors.SourceSession.
func (f *feed) Reached(p offsets.Partition) []connectors.Reached {
	a, err := f.calls.ask(f.calls.task, &pluginpb.Call{Call: &pluginpb.Call_Reached{Reached: string(p)}})
	if err != nil {
		return nil
	}
	var out []connectors.Reached
	for _, r := range a.GetReached() {
		out = append(out, connectors.Reached{Sink: r.GetSink(), Through: fromOrder(r.GetThrough())})
	}
	return out
}

// Anew implements connectors.SourceSession.
func (f *feed) Anew(p offsets.Partition) {
	// Without an answer the task has ended.
	_, _ = f.calls.ask(f.calls.task, &pluginpb.Call{Call: &pluginpb.Call_Anew{Anew: &pluginpb.Mark{Partition: string(p), Sent: f.position()}}})
}

// State implements connectors.SourceSession.
func (f *feed) State(ctx context.Context, p ...offsets.Partition) ([]offsets.Entry, error) {
	return f.entries(ctx, &pluginpb.Call{Call: &pluginpb.Call_State{State: toPartitions(p)}})
}

// Remember implements connectors.SourceSession.
func (f *feed) Remember(ctx context.Context, state ...offsets.Entry) error {
	_, err := f.calls.ask(ctx, &pluginpb.Call{Call: &pluginpb.Call_Remember{Remember: &pluginpb.Entries{Entries: toEntries(state)}}})
	return err
}

// Tolerate implements connectors.SourceSession.
func (f *feed) Tolerate(ctx context.Context, r *connectors.Raw, at connectors.Stage, cause error) error {
	t := &pluginpb.Tolerate{Raw: toRaw(r), Cause: toError(cause)}
	t.Cause.Stage = string(at)
	_, err := f.calls.ask(ctx, &pluginpb.Call{Call: &pluginpb.Call_Tolerate{Tolerate: t}})
	return err
}

// Drain implements connectors.SourceSession.
func (f *feed) Drain(ctx context.Context, p ...offsets.Partition) error {
	_, err := f.calls.ask(ctx, &pluginpb.Call{Call: &pluginpb.Call_Drain{Drain: &pluginpb.Drain{Partitions: texts(p), Sent: f.position()}}})
	return err
}
