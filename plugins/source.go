package plugins

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/plugins/pluginpb"
)

// source is a source in a process.
type source struct {
	remoteTask
	session connectors.SourceSession
	stream  pluginpb.Connector_PollClient
	reader  *connectors.WireReader
	in      chan *frame[*pluginpb.SourceOutput]
	next    *frame[*pluginpb.SourceOutput] // received, and not yet taken: Poll was cancelled

	polling sync.Mutex // polled
	polled  uint64
	passed  chan struct{} // closed and made again when polled grows

	observing sync.Mutex
	observed  connectors.Observation
}

func newSource(c *Command, d *connectors.Description, config connectors.Config, s connectors.Settings) connectors.SourceTask {
	t := &source{
		remoteTask: newRemoteTask(c, d, config, s),
		reader:     connectors.NewWireReader(), in: make(chan *frame[*pluginpb.SourceOutput], ahead+1), passed: make(chan struct{}), // one place is for an error
	}
	if d.Observed {
		return &observedSource{t}
	}
	return t
}

// observedSource is a source that tells more about itself.
type observedSource struct{ *source }

// Observe implements connectors.Observed; it is at most a second old.
func (t *observedSource) Observe() connectors.Observation {
	t.observing.Lock()
	defer t.observing.Unlock()
	return t.observed
}

// Start implements connectors.SourceTask.
func (t *source) Start(ctx context.Context, s connectors.SourceSession) error {
	t.session = s
	p, live, err := t.open(ctx, t.answer)
	if err != nil {
		return err
	}
	if err := t.start(ctx, p); err != nil {
		return err
	}
	if t.stream, err = p.Poll(live, grpc.MaxCallRecvMsgSize(messageLimit)); err != nil {
		return p.failed("read from the task", err)
	}
	t.ended.Go(func() { t.receive(live, p) })
	return nil
}

var errEmpty = connectors.AsPermanent(errorText("the plugin sent neither a batch nor an error"))

// receive reads ahead as far as the plugin may send ahead, and not behind a batch that is larger than all of that.
func (t *source) receive(live context.Context, p *process) {
	for n := uint64(1); ; n++ {
		out := &frame[*pluginpb.SourceOutput]{message: &pluginpb.SourceOutput{}}
		err := t.stream.RecvMsg(out)
		if err == nil && out.batch != nil && len(t.in) == ahead {
			p.refuse("it sent more than %d batches ahead", ahead)
			err = errAhead
		}
		if err != nil {
			out.free()
			out.message.Error = toError(p.failed("read from the task", err))
		}
		size, last := len(out.batch), out.batch == nil // Poll owns out from here on
		t.in <- out
		if last || size > window && t.behind(live, n) != nil {
			return
		}
	}
}

var errAhead = errors.New("batches come that were not asked for")

// Poll implements connectors.SourceTask.
func (t *source) Poll(ctx context.Context) (*connectors.Batch, error) {
	if t.next == nil {
		select {
		case t.next = <-t.in:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if t.next.batch == nil {
		return nil, cmp.Or(fromError(t.next.message.GetError(), t.secrets), errEmpty) // and again, as nothing follows
	}
	b, err := t.take(ctx, t.next.batch)
	if err != nil {
		return nil, err
	}
	t.next.free()
	t.next = nil
	t.tell()
	t.polling.Lock()
	defer t.polling.Unlock()
	t.polled++
	close(t.passed)
	t.passed = make(chan struct{})
	return b, nil
}

// tell says that a batch was taken. A plugin always reads that.
func (t *source) tell() {
	p := t.running()
	if p == nil {
		return
	}
	late := time.AfterFunc(t.command.patience(), func() { p.refuse("it does not read which batches were taken") })
	defer late.Stop()
	if err := t.stream.Send(&pluginpb.Taken{}); err != nil && !errors.Is(err, context.Canceled) {
		t.log().Debug("the plugin does not hear that a batch was taken", "error", err) // the stream's end says why
	}
}

// take makes a batch that is charged to the task (I5).
func (t *source) take(ctx context.Context, text []byte) (*connectors.Batch, error) {
	head, err := t.reader.Head(text)
	if err != nil {
		return nil, connectors.AsPermanent(fmt.Errorf("read from plugin %s: %w", t.command.name(), err))
	}
	w, err := t.session.NewBatch(ctx, head.Source)
	if err != nil {
		return nil, err
	}
	o, through, err := t.reader.Fill(w, text)
	if err != nil {
		w.Abandon()
		return nil, connectors.AsPermanent(fmt.Errorf("read from plugin %s: %w", t.command.name(), err))
	}
	return w.Finish(o, through), nil
}

// behind waits until the batches that the plugin had sent when it asked have been polled.
func (t *source) behind(ctx context.Context, sent uint64) error {
	for {
		t.polling.Lock()
		polled, passed := t.polled, t.passed
		t.polling.Unlock()
		if polled >= sent {
			return nil
		}
		select {
		case <-passed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Commit implements connectors.SourceTask.
func (t *source) Commit(ctx context.Context, upTo []offsets.Entry) error {
	p := t.running()
	if p == nil {
		return connectors.ErrStopped
	}
	r, err := p.Commit(ctx, &pluginpb.CommitRequest{UpTo: toEntries(upTo)})
	return p.outcome(ctx, "commit to the task", err, r.GetError())
}

// Stop implements connectors.SourceTask.
func (t *source) Stop(ctx context.Context) error { return t.stop(ctx) }

// answer does what the source asks of its session.
func (t *source) answer(ctx context.Context, call *pluginpb.Call) *pluginpb.Answer {
	switch c := call.GetCall().(type) {
	case *pluginpb.Call_Sync:
		return result(nil)
	case *pluginpb.Call_Observation:
		t.observing.Lock()
		defer t.observing.Unlock()
		t.observed = fromObservation(c.Observation, t.secrets)
		return nil
	case *pluginpb.Call_Offsets:
		return t.entries(ctx, c.Offsets, t.session.Offsets)
	case *pluginpb.Call_State:
		return t.entries(ctx, c.State, t.session.State)
	case *pluginpb.Call_Remember:
		entries, err := fromEntries(c.Remember.GetEntries())
		if err != nil {
			return result(err)
		}
		return result(t.session.Remember(ctx, entries...))
	case *pluginpb.Call_Reached:
		p, err := fromPartition(c.Reached)
		if err != nil {
			return result(err)
		}
		a := &pluginpb.Answer{}
		for _, r := range t.session.Reached(p) {
			a.Reached = append(a.Reached, &pluginpb.Reached{Sink: r.Sink, Through: toOrder(r.Through)})
		}
		return a
	case *pluginpb.Call_Anew:
		p, err := fromPartition(c.Anew.GetPartition())
		if err == nil {
			err = t.behind(ctx, c.Anew.GetSent())
		}
		if err == nil {
			t.session.Anew(p)
		}
		return result(err)
	case *pluginpb.Call_Drain:
		list, err := fromPartitions(c.Drain.GetPartitions())
		if err == nil {
			err = t.behind(ctx, c.Drain.GetSent())
		}
		if err == nil {
			err = t.session.Drain(ctx, list...)
		}
		return result(err)
	case *pluginpb.Call_Tolerate:
		cause := c.Tolerate.GetCause()
		raw, err := fromRaw(c.Tolerate.GetRaw())
		if err != nil {
			return result(err)
		}
		at := connectors.Stage(cause.GetStage())
		if !slices.Contains(stages, at) {
			return result(connectors.AsPermanent(fmt.Errorf("plugin %s tolerates a record in the unknown stage %q", t.command.name(), shorten(string(at), 40))))
		}
		return result(t.session.Tolerate(ctx, raw, at, t.error(cause)))
	}
	return result(errStrange)
}

func (t *source) entries(ctx context.Context, of *pluginpb.Partitions, load func(context.Context, ...offsets.Partition) ([]offsets.Entry, error)) *pluginpb.Answer {
	list, err := fromPartitions(of.GetPartitions())
	if err != nil {
		return result(err)
	}
	entries, err := load(ctx, list...)
	return &pluginpb.Answer{Error: toError(err), Entries: toEntries(entries)}
}
