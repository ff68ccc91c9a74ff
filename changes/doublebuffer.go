package changes

import (
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// Block is what a table sink writes at once: the rows of some batches, as its target takes them.
type Block interface {
	Size() int      // bytes of memory that its rows take
	Rows() int      // how many of them count against DoubleBufferOptions.Rows
	Reset(keep int) // makes it empty; memory of about so many bytes may stay
}

// DoubleBufferOptions say how a sink writes its blocks.
type DoubleBufferOptions[B Block] struct {
	Connector string // of the goroutine's label
	Session   connectors.SinkSession
	// Write makes a block durable, however often it takes (I1). An error means that it cannot be, and fails the task, unless ctx is done:
	// that is Stop.
	Write func(ctx context.Context, block B) error
	Bytes int // of a block that takes no further batch (I5)
	Rows  int // likewise; 0: any number
	// Interval lies between the begins of two blocks that are not full, unless somebody waits for the second.
	Interval time.Duration
}

// DoubleBuffer is the two blocks of a table sink: the goroutine of Put encodes batches into one of them, while a goroutine that the buffer
// owns, the writer, makes the other one durable and acknowledges its batches.
type DoubleBuffer[B Block] struct {
	o      DoubleBufferOptions[B]
	ctx    context.Context // of the writer
	cancel context.CancelFunc
	work   chan struct{} // a batch was taken, or somebody waits
	moved  chan struct{} // a block was begun or is durable
	calls  chan func()
	ended  chan struct{}
	next   time.Time // of the writer: when a block that is not full may begin

	mu      sync.Mutex
	filling *buffered[B]
	spare   *buffered[B] // nil while it is written
	urgent  bool         // somebody waits for what was taken
	failed  error
}

// buffered is a block and the batches in it.
type buffered[B Block] struct {
	block   B
	taken   []connectors.BatchID
	charged int // bytes of the task's budget (I5)
}

// batchOverhead is what a batch in flight costs beside its rows, in bytes.
const batchOverhead = 256

// NewDoubleBuffer starts the writer; two are the empty blocks. Stop ends it.
func NewDoubleBuffer[B Block](o DoubleBufferOptions[B], two [2]B) *DoubleBuffer[B] {
	d := &DoubleBuffer[B]{
		o: o, work: make(chan struct{}, 1), moved: make(chan struct{}, 1), calls: make(chan func()), ended: make(chan struct{}),
		filling: &buffered[B]{block: two[0]}, spare: &buffered[B]{block: two[1]},
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	go pprof.Do(d.ctx, pprof.Labels("connector", o.Connector, "goroutine", "writer"), func(context.Context) { d.run() })
	return d
}

// Context is done when the writer is to end.
func (d *DoubleBuffer[B]) Context() context.Context { return d.ctx }

// Take waits for room, and takes over a batch: encode puts its rows into the block, and the batch's memory is not needed any more. After an
// error the batch is the caller's, and nothing more is written: rows of it may be in the block.
func (d *DoubleBuffer[B]) Take(ctx context.Context, b *connectors.Batch, encode func(block B) error) error {
	if err := d.wait(ctx, d.hasRoom, false); err != nil {
		return err
	}
	if err := d.take(b, encode); err != nil {
		return err
	}
	b.Release()
	signal(d.work)
	return nil
}

func (d *DoubleBuffer[B]) take(b *connectors.Batch, encode func(block B) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed != nil {
		return d.failed
	}
	if err := encode(d.filling.block); err != nil {
		d.failed = err
		return err
	}
	f := d.filling
	f.taken = append(f.taken, b.ID)
	grown := f.block.Size() + len(f.taken)*batchOverhead - f.charged
	f.charged += grown
	d.o.Session.Charge(grown) // before the writer can give it back
	return nil
}

// Drain returns when all that was taken is durable.
func (d *DoubleBuffer[B]) Drain(ctx context.Context) error { return d.wait(ctx, d.drained, true) }

// Call runs do on the writer's goroutine, between two blocks, and returns its error. do's context ends with ctx and with Stop.
func (d *DoubleBuffer[B]) Call(ctx context.Context, do func(context.Context) error) error {
	done := make(chan error, 1)
	call := func() {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(d.ctx, cancel)()
		done <- do(ctx)
	}
	select {
	case d.calls <- call:
		return <-done
	case <-d.ended:
		return connectors.ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Between runs do while no batch is being taken; waiting tells that some were taken whose block has not begun. After an error of do
// nothing more is written.
func (d *DoubleBuffer[B]) Between(do func(waiting bool) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := do(len(d.filling.taken) > 0)
	if err != nil {
		d.failed = err
	}
	return err
}

// Stop ends the writer and drops what is not durable.
func (d *DoubleBuffer[B]) Stop(ctx context.Context) error {
	d.cancel()
	select {
	case <-d.ended:
	case <-ctx.Done():
		return fmt.Errorf("stop the writer: %w", ctx.Err())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed == nil {
		d.failed = connectors.ErrStopped
	}
	d.empty(d.filling, 0)
	return nil
}

// wait returns when a condition on what mu guards holds. urgent: what was taken is not to wait for more.
func (d *DoubleBuffer[B]) wait(ctx context.Context, holds func() bool, urgent bool) error {
	for {
		d.mu.Lock()
		ok, failed := holds(), d.failed
		d.urgent = urgent && !ok
		d.mu.Unlock()
		switch {
		case failed != nil:
			return failed
		case ok:
			return nil
		}
		signal(d.work)
		select {
		case <-d.moved:
		case <-d.ended:
			return d.end()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// end is why the writer has ended.
func (d *DoubleBuffer[B]) end() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed != nil {
		return d.failed
	}
	return connectors.ErrStopped
}

// hasRoom tells that the block can take another batch (I5). Called with mu held, as the next two are.
func (d *DoubleBuffer[B]) hasRoom() bool { return len(d.filling.taken) == 0 || !d.full() }

func (d *DoubleBuffer[B]) full() bool {
	return d.filling.charged >= d.o.Bytes || d.o.Rows > 0 && d.filling.block.Rows() >= d.o.Rows
}

func (d *DoubleBuffer[B]) drained() bool { return len(d.filling.taken) == 0 && d.spare != nil }

// run is the writer.
func (d *DoubleBuffer[B]) run() {
	defer close(d.ended)
	for d.ctx.Err() == nil {
		blk, rest := d.begin()
		if blk != nil {
			if !d.write(blk) {
				return
			}
			continue
		}
		var again <-chan time.Time
		if rest > 0 {
			again = time.After(rest)
		}
		select {
		case <-d.work:
		case call := <-d.calls:
			call()
		case <-again:
		case <-d.ctx.Done():
		}
	}
}

// begin returns the block that is to be written now, or nil: then there is nothing to write, or not before rest has passed.
func (d *DoubleBuffer[B]) begin() (blk *buffered[B], rest time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.filling.taken) == 0 || d.failed != nil {
		return nil, 0
	}
	if rest = time.Until(d.next); rest > 0 && !d.urgent && !d.full() {
		return nil, rest
	}
	if !d.full() {
		d.next = time.Now().Add(d.o.Interval)
	}
	blk, d.filling, d.spare = d.filling, d.spare, nil
	signal(d.moved)
	return blk, 0
}

// write makes a block durable; false: the writer has ended.
func (d *DoubleBuffer[B]) write(blk *buffered[B]) bool {
	err := d.o.Write(d.ctx, blk.block)
	if err != nil && d.ctx.Err() != nil {
		err = connectors.ErrStopped
	}
	if err == nil {
		for _, id := range blk.taken {
			d.o.Session.Ack(id) // I1
		}
	}
	d.empty(blk, d.o.Bytes)
	d.mu.Lock()
	d.spare = blk
	if err != nil {
		d.failed = err
	}
	d.mu.Unlock()
	if err != nil && !errors.Is(err, connectors.ErrStopped) {
		d.o.Session.Fail(err)
	}
	signal(d.moved)
	return err == nil
}

// empty gives back what a block is charged.
func (d *DoubleBuffer[B]) empty(blk *buffered[B], keep int) {
	d.o.Session.Charge(-blk.charged)
	blk.block.Reset(keep)
	blk.taken, blk.charged = blk.taken[:0], 0
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
