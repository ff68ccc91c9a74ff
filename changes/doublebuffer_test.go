package changes_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
)

// numbers is a block of numbers, of one byte each.
type numbers struct{ list []int }

func (b *numbers) Size() int { return len(b.list) }
func (b *numbers) Rows() int { return len(b.list) }
func (b *numbers) Reset(int) { b.list = nil }

// bufferRig is a buffer whose blocks are written when the test says how that ends.
type bufferRig struct {
	*testing.T
	buffer  *changes.DoubleBuffer[*numbers]
	session *connectortest.Session
	begun   chan []int
	outcome chan error
	n       int
	free    sync.WaitGroup // batches that are not released
}

func newBufferRig(t *testing.T, rows int, interval time.Duration) *bufferRig {
	r := &bufferRig{T: t, session: &connectortest.Session{}, begun: make(chan []int), outcome: make(chan error)}
	r.buffer = changes.NewDoubleBuffer(changes.DoubleBufferOptions[*numbers]{
		Connector: "c", Session: r.session, Bytes: 1 << 20, Rows: rows, Interval: interval,
		Write: func(ctx context.Context, b *numbers) error {
			select {
			case r.begun <- slices.Clone(b.list):
			case <-ctx.Done():
				return ctx.Err()
			}
			select {
			case err := <-r.outcome:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}, [2]*numbers{{}, {}})
	t.Cleanup(func() {
		if err := r.buffer.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *bufferRig) take(ctx context.Context, encode func(*numbers) error) error {
	r.free.Add(1)
	b := connectors.NewBuilder(connectortest.Partition(1), nil, func(*connectors.Batch) { r.free.Done() }).Finish("{}", connectors.Order{})
	b.ID = r.session.Next()
	err := r.buffer.Take(ctx, b, encode)
	if err != nil {
		b.Release()
	}
	return err
}

// put takes the next number.
func (r *bufferRig) put() {
	r.Helper()
	r.n++
	n := r.n
	if err := r.take(r.Context(), func(b *numbers) error { b.list = append(b.list, n); return nil }); err != nil {
		r.Fatal(err)
	}
}

func (r *bufferRig) begins(want ...int) {
	r.Helper()
	if got := <-r.begun; !slices.Equal(got, want) {
		r.Errorf("block %v is written, not %v", got, want)
	}
}

// TestDoubleBufferGathers: what comes while a block is written is the next one, up to its bound; what is durable is acknowledged in order and
// is not charged any more.
func TestDoubleBufferGathers(t *testing.T) {
	t.Parallel()
	r := newBufferRig(t, 2, 0)
	r.put()
	r.begins(1)
	r.put()
	r.put()
	full, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.take(full, func(*numbers) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a full block takes a batch: %v", err)
	}
	if acked := r.session.Acked(); len(acked) > 0 || r.session.Charged() == 0 {
		t.Errorf("acknowledged %v, charged %d, and nothing is durable", acked, r.session.Charged())
	}
	r.outcome <- nil
	r.begins(2, 3)
	done := make(chan error, 1)
	go func() { done <- r.buffer.Drain(t.Context()) }()
	r.outcome <- nil
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if acked := r.session.Acked(); !slices.Equal(acked, []connectors.BatchID{1, 2, 3}) || r.session.Charged() != 0 {
		t.Errorf("acknowledged %v, charged %d", acked, r.session.Charged())
	}
	r.free.Wait()
}

// TestDoubleBufferWaits: within the interval a block that is not full is begun only when somebody waits for it.
func TestDoubleBufferWaits(t *testing.T) {
	t.Parallel()
	r := newBufferRig(t, 3, time.Hour)
	r.put()
	r.begins(1)
	r.outcome <- nil
	r.put()
	r.put()
	r.put()
	r.begins(2, 3, 4) // full
	r.outcome <- nil
	r.put()
	r.put()
	done := make(chan error, 1)
	go func() { done <- r.buffer.Drain(t.Context()) }()
	r.begins(5, 6)
	r.outcome <- nil
	if err := <-done; err != nil {
		t.Fatal(err)
	}

	r = newBufferRig(t, 3, time.Hour)
	if err := r.take(t.Context(), func(b *numbers) error { b.list = append(b.list, 1, 2, 3); return nil }); err != nil {
		t.Fatal(err)
	}
	r.begins(1, 2, 3)
	r.put()
	r.outcome <- nil
	r.begins(1) // what follows a full one does not wait
	r.outcome <- nil
}

// TestDoubleBufferFails: after an error nothing more is taken, written or acknowledged, and everybody hears of it.
func TestDoubleBufferFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	r := newBufferRig(t, 0, 0)
	r.put()
	r.begins(1)
	r.put()
	r.outcome <- broken
	if err := r.buffer.Drain(t.Context()); !errors.Is(err, broken) || !errors.Is(r.session.Failure(), broken) {
		t.Errorf("Drain says %v, the task failed with %v", err, r.session.Failure())
	}
	if err := r.take(t.Context(), func(*numbers) error { t.Error("a failed buffer takes a batch"); return nil }); !errors.Is(err, broken) {
		t.Errorf("Take says %v", err)
	}
	if err := r.buffer.Call(t.Context(), func(context.Context) error { return nil }); !errors.Is(err, connectors.ErrStopped) {
		t.Errorf("Call says %v", err)
	}
	if err := r.buffer.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(r.session.Acked()) > 0 || r.session.Charged() != 0 {
		t.Errorf("acknowledged %v, charged %d", r.session.Acked(), r.session.Charged())
	}
	r.free.Wait()

	r = newBufferRig(t, 0, time.Hour)
	r.put()
	r.begins(1)
	r.outcome <- nil
	r.put()
	if err := r.take(t.Context(), func(*numbers) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("Take of what cannot be encoded says %v", err)
	}
	if err := r.buffer.Drain(t.Context()); !errors.Is(err, broken) {
		t.Errorf("Drain after that says %v", err)
	}
	if err := r.buffer.Call(t.Context(), func(context.Context) error { return nil }); err != nil {
		t.Errorf("Call after that says %v", err)
	}
}

// TestDoubleBufferCalls: a call is made between two blocks, and ends with the caller and with the buffer.
func TestDoubleBufferCalls(t *testing.T) {
	t.Parallel()
	r := newBufferRig(t, 0, 0)
	r.put()
	r.begins(1)
	called := make(chan error, 1)
	go func() {
		called <- r.buffer.Call(t.Context(), func(context.Context) error {
			return r.buffer.Between(func(waiting bool) error {
				if waiting {
					return errors.New("batches wait that were not put")
				}
				return nil
			})
		})
	}()
	select {
	case err := <-called:
		t.Fatalf("called while a block is written: %v", err)
	case r.outcome <- nil:
	}
	if err := <-called; err != nil {
		t.Error(err)
	}
	inside := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	if err := r.buffer.Call(ctx, inside); !errors.Is(err, context.Canceled) {
		t.Errorf("a call that is cancelled says %v", err)
	}
	started := make(chan struct{})
	go func() {
		called <- r.buffer.Call(t.Context(), func(ctx context.Context) error { close(started); return inside(ctx) })
	}()
	<-started
	if err := r.buffer.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-called; !errors.Is(err, context.Canceled) {
		t.Errorf("a call during Stop says %v", err)
	}
}
