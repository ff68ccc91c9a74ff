package plugins

import (
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/plugins/pluginpb"
)

// sink is a sink in a process.
type sink struct {
	remoteTask
	session connectors.SinkSession
	stream  pluginpb.Connector_PutClient
	live    context.Context // of the stream
	empties pace
	writer  *connectors.WireWriter
	more    chan struct{} // capacity 1: outbox has something

	state   sync.Mutex
	outbox  []*frame[*pluginpb.SinkInput]
	flushes uint64                                   // asked for
	held    map[connectors.BatchID]*connectors.Batch // the plugin has their memory, or will: charged here until it has released them (I5)
	sent    int64                                    // bytes on their way: not taken by the plugin
	charged int64                                    // by the plugin, beside batches: chargeable of it to the task
	flushed uint64
	failed  error         // of Put in the plugin, or of the stream: it takes nothing more
	result  error         // of the newest flush
	moved   chan struct{} // closed and made again when any of these changes
}

func newSink(c *Command, d *connectors.Description, config connectors.Config, s connectors.Settings) connectors.SinkTask {
	t := &sink{
		remoteTask: newRemoteTask(c, d, config, s), more: make(chan struct{}, 1), empties: newPace(emptyRate),
		writer: connectors.NewWireWriter(), held: map[connectors.BatchID]*connectors.Batch{}, moved: make(chan struct{}),
	}
	t.writer.Bare = true // the batch is held here, should a record be rejected
	if d.Keeper {
		return &keeper{t}
	}
	return t
}

// Start implements connectors.SinkTask.
func (t *sink) Start(ctx context.Context, s connectors.SinkSession) error {
	t.session = s
	p, live, err := t.open(ctx, t.answer)
	if err != nil {
		return err
	}
	if err := t.start(ctx, p); err != nil {
		return err
	}
	if t.stream, err = p.Put(live); err != nil {
		return p.failed("write to the task", err)
	}
	t.live = live
	t.ended.Go(func() { t.receive(p) })
	t.ended.Go(t.deliver)
	return nil
}

// deliver sends what Put and Flush have written: they heed their contexts, whatever the plugin reads.
func (t *sink) deliver() {
	for {
		t.state.Lock()
		out := t.outbox
		t.outbox = nil
		t.state.Unlock()
		for _, in := range out {
			if t.stream.SendMsg(in) != nil {
				return // receive tells why
			}
		}
		if len(out) > 0 {
			continue
		}
		select {
		case <-t.more:
		case <-t.live.Done():
			return
		}
	}
}

// write has something sent; the state is locked.
func (t *sink) write(in *frame[*pluginpb.SinkInput]) {
	t.outbox = append(t.outbox, in)
	select {
	case t.more <- struct{}{}:
	default:
	}
}

// receive hears what becomes of the input.
func (t *sink) receive(p *process) {
	for {
		out, err := t.stream.Recv()
		if t.live.Err() != nil {
			err = t.live.Err() // whatever had come before
		}
		if err != nil {
			if t.live.Err() == nil {
				err = p.failed("write to the task", err)
				t.session.Fail(err)
			}
			t.fail(err)
			return
		}
		t.hear(p, out)
	}
}

func (t *sink) fail(err error) {
	t.state.Lock()
	defer t.state.Unlock()
	if t.failed == nil {
		t.failed = err
	}
	t.stir()
}

// stir wakes who waits for the state; it is locked.
func (t *sink) stir() {
	close(t.moved)
	t.moved = make(chan struct{})
}

// emptyRate is how many outputs a second may say nothing.
const emptyRate = 1000

// hear takes one output; what is wrong with it ends the process.
func (t *sink) hear(p *process, out *pluginpb.SinkOutput) {
	var err error
	if out.GetError() != nil {
		err = p.error(out.GetError())
	}
	released, flushed, wrong := t.take(out, err)
	for _, b := range released {
		b.Release()
	}
	switch {
	case wrong != "":
		p.refuse("%s", wrong)
	case err != nil && !flushed:
		t.fail(err)
		t.session.Fail(err)
	case err == nil && !flushed && len(released) == 0 && out.GetTaken() == 0:
		p.pause(t.empties.use(1))
	}
}

// take changes the state as an output says, as far as it can be true, and tells what cannot.
func (t *sink) take(out *pluginpb.SinkOutput, err error) (released []*connectors.Batch, flushed bool, wrong string) {
	t.state.Lock()
	defer t.state.Unlock()
	defer t.stir()
	if n := out.GetTaken(); n > uint64(t.sent) {
		return nil, false, fmt.Sprintf("it took %d bytes of batches, and was sent %d", n, t.sent)
	}
	t.sent -= int64(out.GetTaken())
	for _, id := range out.GetReleased() {
		b := t.held[connectors.BatchID(id)]
		if b == nil {
			return released, false, fmt.Sprintf("it released batch %d, which it does not have", id)
		}
		released = append(released, b)
		delete(t.held, connectors.BatchID(id))
	}
	if n := out.GetFlushed(); n != 0 {
		if n <= t.flushed || n > t.flushes {
			return released, false, fmt.Sprintf("it ended flush %d, after %d of %d", n, t.flushed, t.flushes)
		}
		t.flushed, t.result, flushed = n, err, true
	}
	return released, flushed, ""
}

// Put implements connectors.SinkTask. That the plugin's sink does not take the batch shows later, as a failure.
func (t *sink) Put(ctx context.Context, b *connectors.Batch) error {
	p := t.running()
	if p == nil || t.stream == nil {
		return connectors.ErrStopped
	}
	if err := t.until(ctx, func() bool { return t.sent == 0 || t.sent+int64(b.Size()) <= window }); err != nil {
		return err
	}
	text, err := t.writer.Append(p.memory.empty(), b)
	if err != nil {
		return connectors.AsPermanent(fmt.Errorf("write to plugin %s: %w", t.command.name(), err))
	}
	t.state.Lock()
	defer t.state.Unlock()
	t.sent += int64(len(text))
	t.held[b.ID] = b
	t.write(&frame[*pluginpb.SinkInput]{batch: text}) // from here on the batch is taken: a broken stream is told by receive
	return nil
}

// until waits for a condition on the state.
func (t *sink) until(ctx context.Context, holds func() bool) error {
	for {
		t.state.Lock()
		ok, err, moved := holds(), t.failed, t.moved
		t.state.Unlock()
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case ok:
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
		}
	}
}

// Flush implements connectors.SinkTask.
func (t *sink) Flush(ctx context.Context) error {
	if t.running() == nil || t.stream == nil {
		return connectors.ErrStopped
	}
	t.state.Lock()
	t.flushes++
	n := t.flushes
	t.write(&frame[*pluginpb.SinkInput]{message: &pluginpb.SinkInput{Flush: n}})
	t.state.Unlock()
	if err := t.until(ctx, func() bool { return t.flushed >= n }); err != nil {
		return err
	}
	t.state.Lock()
	defer t.state.Unlock()
	return t.result
}

// Stop implements connectors.SinkTask.
func (t *sink) Stop(ctx context.Context) error {
	err := t.stop(ctx)
	t.state.Lock()
	held, charged := t.held, min(t.charged, chargeable)
	t.held, t.charged, t.outbox = map[connectors.BatchID]*connectors.Batch{}, 0, nil
	t.state.Unlock()
	for _, b := range held {
		b.Release()
	}
	if charged != 0 {
		t.session.Charge(int(-charged))
	}
	return err
}

// Claim implements connectors.Claimant; a sink that is none holds "".
func (t *sink) Claim() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.claim
}

// answer does what the sink asks of its session.
func (t *sink) answer(ctx context.Context, call *pluginpb.Call) *pluginpb.Answer {
	switch c := call.GetCall().(type) {
	case *pluginpb.Call_Ack:
		for _, id := range c.Ack.GetIds() {
			t.session.Ack(connectors.BatchID(id)) // which knows what it waits for
		}
		return nil
	case *pluginpb.Call_Sync:
		return result(nil)
	case *pluginpb.Call_Claim:
		if p := t.running(); p != nil {
			t.hold(p, c.Claim)
		}
		return result(nil)
	case *pluginpb.Call_Fail:
		t.session.Fail(t.error(c.Fail))
		return nil
	case *pluginpb.Call_Retrying:
		t.session.Retrying(t.error(c.Retrying))
		return nil
	case *pluginpb.Call_Charge:
		t.charge(c.Charge)
		return nil
	case *pluginpb.Call_Settle:
		return result(t.session.Settle(ctx))
	case *pluginpb.Call_Reject:
		return result(t.reject(ctx, c.Reject))
	}
	return result(errStrange)
}

// chargeable is how many bytes a plugin can charge to the task's budget, which is also the worker's. It holds them in its own memory,
// which plugin.memory.limit bounds.
const chargeable = 256 << 20

// charge passes on what the plugin holds beside batches, as far as that is between nothing and chargeable.
func (t *sink) charge(n int64) {
	t.state.Lock()
	before := t.charged
	after := before + n // no overflow: see below
	if after < 0 || n > math.MaxInt64/2 || n < math.MinInt64/2 || after > math.MaxInt64/2 {
		t.state.Unlock()
		if p := t.running(); p != nil {
			p.refuse("it charges %d bytes to the budget beside %d", n, before)
		}
		return
	}
	t.charged = after
	n = min(after, chargeable) - min(before, chargeable)
	t.state.Unlock()
	if n != 0 {
		t.session.Charge(int(n))
	}
}

func (t *sink) reject(ctx context.Context, r *pluginpb.Reject) error {
	t.state.Lock()
	b := t.held[connectors.BatchID(r.GetBatch())]
	if b != nil {
		b.Retain(1)
	}
	t.state.Unlock()
	if b == nil || int(r.GetRecord()) >= len(b.Records) {
		return connectors.AsPermanent(fmt.Errorf("plugin %s rejects record %d of batch %d, which it does not have", t.command.name(), r.GetRecord(), r.GetBatch()))
	}
	defer b.Release()
	return t.session.Reject(ctx, b, int(r.GetRecord()), t.error(r.GetCause()))
}

// keeper is a sink that stores offsets with the data.
type keeper struct{ *sink }

// Progress implements connectors.OffsetKeeper.
func (t *keeper) Progress(ctx context.Context, p ...offsets.Partition) ([]connectors.Progress, error) {
	proc := t.running()
	if proc == nil {
		return nil, connectors.ErrStopped
	}
	r, err := proc.Progress(ctx, &pluginpb.ProgressRequest{Partitions: texts(p)})
	t.hold(proc, r.GetClaim())
	if err := proc.outcome(ctx, "ask for positions", err, r.GetError()); err != nil {
		return nil, err
	}
	return fromPositions(r.GetPositions())
}

// SetProgress implements connectors.OffsetKeeper.
func (t *keeper) SetProgress(ctx context.Context, list []connectors.Progress) error {
	proc := t.running()
	if proc == nil {
		return connectors.ErrStopped
	}
	r, err := proc.SetProgress(ctx, &pluginpb.SetProgressRequest{Positions: toPositions(list)})
	return proc.outcome(ctx, "set positions", err, r.GetError())
}
