package plugins

import (
	"context"
	"sync"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/plugins/pluginpb"
)

// drain puts what arrives to a sink, and is the session that the sink knows.
type drain struct {
	calls *caller
	pool  connectors.Pool
	turn  // Put

	mu   sync.Mutex
	out  pluginpb.SinkOutput // taken and released, to be sent
	more chan struct{}       // capacity 1: out has something
}

func newDrain(calls *caller) *drain {
	return &drain{calls: calls, turn: newTurn(), more: make(chan struct{}, 1)}
}

// serve hands input to the sink, from this goroutine alone, until the task or the stream ends.
func (d *drain) serve(ctx context.Context, sink connectors.SinkTask, stream pluginpb.Connector_PutServer) error {
	if !d.begin() {
		return errTwice
	}
	results := make(chan *pluginpb.SinkOutput)
	sending := make(chan struct{})
	go func() { // ends when results is closed
		defer close(sending)
		d.send(stream, results)
	}()
	defer func() {
		d.end()
		close(results)
		<-sending
	}()
	inputs := receive(ctx, stream)
	reader := connectors.NewWireReader()
	for {
		var in *frame[*pluginpb.SinkInput]
		select {
		case in = <-inputs:
		case <-ctx.Done():
		}
		if in == nil {
			return nil
		}
		if n := in.message.GetFlush(); n != 0 {
			results <- &pluginpb.SinkOutput{Flushed: n, Error: toError(d.flush(ctx, sink))}
			continue
		}
		err := d.put(ctx, sink, reader, in.batch)
		in.free()
		if err != nil {
			results <- &pluginpb.SinkOutput{Error: toError(err)}
			<-ctx.Done() // the worker ends the task
		}
	}
}

// receive hands out what arrives, until ctx or the stream ends; then it closes the channel.
func receive(ctx context.Context, stream pluginpb.Connector_PutServer) <-chan *frame[*pluginpb.SinkInput] {
	inputs := make(chan *frame[*pluginpb.SinkInput])
	go func() {
		defer close(inputs)
		for {
			in := &frame[*pluginpb.SinkInput]{message: &pluginpb.SinkInput{}}
			if stream.RecvMsg(in) != nil {
				return
			}
			select {
			case inputs <- in:
			case <-ctx.Done():
				return
			}
		}
	}()
	return inputs
}

// flush returns when the worker has heard the acknowledgements, too.
func (d *drain) flush(ctx context.Context, sink connectors.SinkTask) error {
	if err := sink.Flush(ctx); err != nil {
		return err
	}
	_, err := d.calls.ask(ctx, &pluginpb.Call{Call: &pluginpb.Call_Sync{Sync: &pluginpb.Sync{}}})
	return err
}

func (d *drain) put(ctx context.Context, sink connectors.SinkTask, reader *connectors.WireReader, text []byte) error {
	b, err := reader.Decode(text, &d.pool, d.released)
	if err != nil {
		return connectors.AsPermanent(err)
	}
	if err := sink.Put(ctx, b); err != nil {
		b.Release()
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.out.Taken += uint64(len(text))
	d.stir()
	return nil
}

// released is called when the sink needs the memory of a batch no more.
func (d *drain) released(b *connectors.Batch) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.out.Released = append(d.out.Released, uint64(b.ID))
	d.stir()
}

func (d *drain) stir() {
	select {
	case d.more <- struct{}{}:
	default:
	}
}

// send sends results, and between them what else became of the input. After an error it only takes.
func (d *drain) send(stream pluginpb.Connector_PutServer, results <-chan *pluginpb.SinkOutput) {
	broken := false
	for open := true; open; {
		var out *pluginpb.SinkOutput
		select {
		case out, open = <-results:
		case <-d.more:
		}
		d.mu.Lock()
		if out == nil {
			out = &pluginpb.SinkOutput{}
		}
		out.Taken, out.Released = d.out.GetTaken(), d.out.GetReleased()
		d.out.Taken, d.out.Released = 0, nil
		d.mu.Unlock()
		if !broken {
			broken = stream.Send(out) != nil
		}
	}
}

// Ack implements connectors.SinkSession.
func (d *drain) Ack(id connectors.BatchID) {
	d.calls.tell(&pluginpb.Call{Call: &pluginpb.Call_Ack{Ack: &pluginpb.Acks{Ids: []uint64{uint64(id)}}}})
}

// Reject implements connectors.SinkSession.
func (d *drain) Reject(ctx context.Context, b *connectors.Batch, record int, cause error) error {
	_, err := d.calls.ask(ctx, &pluginpb.Call{Call: &pluginpb.Call_Reject{Reject: &pluginpb.Reject{
		Batch: uint64(b.ID), Record: uint32(record), Cause: toError(cause),
	}}})
	return err
}

// Settle implements connectors.SinkSession.
func (d *drain) Settle(ctx context.Context) error {
	_, err := d.calls.ask(ctx, &pluginpb.Call{Call: &pluginpb.Call_Settle{Settle: &pluginpb.Settle{}}})
	return err
}

// Fail implements connectors.SinkSession.
func (d *drain) Fail(err error) {
	d.calls.tell(&pluginpb.Call{Call: &pluginpb.Call_Fail{Fail: toError(err)}})
}

// KeepClaim implements connectors.ClaimKeeper.
func (d *drain) KeepClaim(ctx context.Context, claim string) {
	_, _ = d.calls.ask(ctx, &pluginpb.Call{Call: &pluginpb.Call_Claim{Claim: claim}}) // it fails only when the task is being stopped
}

// Retrying implements connectors.SinkSession.
func (d *drain) Retrying(err error) {
	d.calls.tell(&pluginpb.Call{Call: &pluginpb.Call_Retrying{Retrying: toError(err)}})
}

// Charge implements connectors.SinkSession.
func (d *drain) Charge(n int) {
	d.calls.tell(&pluginpb.Call{Call: &pluginpb.Call_Charge{Charge: int64(n)}})
}
