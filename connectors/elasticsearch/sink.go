package elasticsearch

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"runtime/pprof"
	"sync"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// sink takes batches by writing their documents into the blocks of its lanes; each lane sends one block while the next one fills.
type sink struct {
	cfg       *config
	log       *slog.Logger
	task      connectors.SinkSession
	connector string
	client    *client
	server    *server
	gate      *gate
	lanes     []*lane
	seed      maphash.Seed
	cancel    context.CancelFunc
	ended     sync.WaitGroup // lanes
	moved     chan struct{}  // a block was begun or is durable
	stopped   bool

	// Of Put's goroutine. Lanes read indexes of items that were taken before.
	rows    *changes.Rows
	plans   map[*connectors.Stream]*plan
	tables  map[string]*plan // the newest plan of each source table
	used    []*plan          // per stream of the batch at hand
	scratch []byte
	turn    int // lane of the next batch without keys

	mu       sync.Mutex
	indexes  []knownIndex // by number
	queue    []*held      // in the order in which they were taken
	flushing bool
	failed   error
}

const maxPlans = 1000

var _ connectors.SinkTask = (*sink)(nil)

func newSink(cfg *config, s connectors.Settings, log *slog.Logger) *sink {
	return &sink{
		cfg: cfg, log: log, connector: s.Connector, seed: maphash.MakeSeed(), moved: make(chan struct{}, 1),
		plans: map[*connectors.Stream]*plan{}, tables: map[string]*plan{},
	}
}

// Start implements connectors.SinkTask.
func (s *sink) Start(ctx context.Context, task connectors.SinkSession) error {
	client, err := newClient(s.cfg)
	if err != nil {
		return connectors.AsPermanent(err)
	}
	if s.server, err = client.hello(ctx); err != nil {
		client.close()
		return err
	}
	s.task, s.client, s.gate = task, client, newGate(s.cfg.lanes)
	s.rows = changes.NewRows(changes.RowsOptions{Unavailable: changes.DefaultUnavailable, Events: s.cfg.mode == modeAppend, Charge: task.Charge})
	s.log.Info("connected to "+s.server.product(), "version", s.server.Version.Number, "cluster", s.server.Name)
	running, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	for range s.cfg.lanes {
		l := newLane(s)
		s.lanes = append(s.lanes, l)
		s.ended.Add(1)
		go pprof.Do(running, pprof.Labels("connector", s.connector, "goroutine", "lane"), func(ctx context.Context) {
			defer s.ended.Done()
			l.run(ctx)
		})
	}
	return nil
}

// Put implements connectors.SinkTask.
func (s *sink) Put(ctx context.Context, b *connectors.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.client == nil {
		return errors.New("the sink was not started")
	}
	if s.cfg.mode == modeReference {
		return s.put(ctx, b)
	}
	reject := func(i int, cause error) error { return s.task.Reject(ctx, b, i, cause) }
	return s.rows.Hand(b, reject, func(rows *connectors.Batch) error { return s.put(ctx, rows) })
}

// put takes over a batch of changes, or of values in mode reference.
func (s *sink) put(ctx context.Context, b *connectors.Batch) error {
	find := func(stream *connectors.Stream) (*plan, error) {
		if s.cfg.mode == modeReference {
			return s.prepareReference(ctx, b, stream)
		}
		return s.planFor(ctx, stream)
	}
	var err error
	if s.used, err = changes.ByStream(s.used, b, find); err != nil {
		return err
	}
	if err := s.wait(ctx, s.hasRoom); err != nil {
		return err
	}
	h := &held{batch: b, id: b.ID, left: 1}
	s.mu.Lock()
	if s.failed != nil {
		defer s.mu.Unlock()
		return s.failed
	}
	grown, err := s.take(ctx, h)
	if err != nil { // rows of b may be in blocks, and b is the caller's again: nothing of them may be written
		s.failed = err
		s.mu.Unlock()
		return err
	}
	s.queue = append(s.queue, h)
	s.drop(h)
	s.settle()
	s.mu.Unlock()
	s.task.Charge(grown)
	for _, l := range s.lanes {
		l.wake()
	}
	return nil
}

// take writes the documents of a batch into the blocks.
func (s *sink) take(ctx context.Context, h *held) (grown int, err error) {
	b := h.batch
	for i := range b.Records {
		r := &b.Records[i]
		p := s.used[r.Stream]
		if p == nil || p.skipped {
			continue
		}
		if r.Op == connectors.OpTruncate && r.Value == 0 && s.cfg.mode == modeMirror {
			if err := s.truncate(ctx, h, p, r); err != nil {
				return 0, err
			}
			continue
		}
		err := s.add(h, p, i)
		if err == nil {
			continue
		}
		if err := s.task.Reject(ctx, b.Origin(), i, connectors.AsPermanent(err)); err != nil {
			return 0, err
		}
	}
	for _, l := range s.lanes {
		size := l.filling.size()
		grown += size - l.filling.charged
		l.filling.charged = size
	}
	return grown, nil
}

// add writes one change.
func (s *sink) add(h *held, p *plan, record int) error {
	if s.cfg.mode == modeReference {
		return s.addReference(h, p, record)
	}
	row, err := changes.RowOf(h.batch, &h.batch.Records[record])
	switch {
	case err != nil:
		return err
	case row.Kind == changes.RowNone:
		return nil
	case s.cfg.mode == modeAppend:
		return s.addAppend(h, p, record, &row)
	}
	return s.addMirror(h, p, record, &row)
}

// planFor finds the plan of a stream. A new version of a table waits until everything taken before is durable, then the index is made to fit.
func (s *sink) planFor(ctx context.Context, stream *connectors.Stream) (*plan, error) {
	if stream.Table == nil {
		return nil, nil
	}
	p := s.plans[stream]
	id := stream.Table.ID() + "\x00" + stream.Topic
	current := s.tables[id]
	if p != nil && p == current {
		return p, nil
	}
	switch {
	case p != nil:
	case current != nil && current.fits(stream):
		p = current
	default:
		if err := s.wait(ctx, s.drained); err != nil {
			return nil, err
		}
		var err error
		if p, err = s.prepare(ctx, stream); err != nil {
			return nil, err
		}
	}
	if p.skipped {
		return p, nil // for now
	}
	if len(s.plans) >= maxPlans {
		clear(s.plans)
	}
	s.plans[stream], s.tables[id] = p, p
	return p, nil
}

// prepare makes the index fit a new version of a table.
func (s *sink) prepare(ctx context.Context, stream *connectors.Stream) (*plan, error) {
	name, err := s.cfg.target(stream)
	if err != nil {
		return nil, connectors.AsPermanent(err)
	}
	p, err := newPlan(s.cfg, stream, name)
	if err != nil {
		return nil, err
	}
	if err := s.retry(ctx, func(ctx context.Context) error { return s.ensure(ctx, p, stream) }); err != nil {
		return nil, fmt.Errorf("prepare index %s for table %s: %w", name, p.id, err)
	}
	uuid := ""
	if s.cfg.usage == "disabled" && !s.cfg.streams() {
		if err := s.retry(ctx, func(ctx context.Context) error {
			have, err := s.uuids(ctx, []string{name})
			uuid = have[name]
			return err
		}); err != nil {
			return nil, fmt.Errorf("prepare index %s for table %s: %w", name, p.id, err)
		}
	}
	p.number = s.know(name, uuid)
	return p, nil
}

// drop gives up one hold on a batch; at the last one it is written. Called with mu held, as the next three are.
func (s *sink) drop(h *held) {
	if h.left--; h.left == 0 {
		h.done = true
		h.batch.Release()
	}
}

// written ends a block; with an error nothing more is written.
func (s *sink) written(blk *block, err error) {
	if err != nil {
		if s.failed == nil {
			s.failed = err
		}
		return
	}
	for _, h := range blk.held {
		s.drop(h)
	}
	s.settle()
}

// settle acknowledges the batches up to the first that is not written: a position comes after all before it.
func (s *sink) settle() {
	n := 0
	for n < len(s.queue) && s.queue[n].done {
		s.task.Ack(s.queue[n].id)
		s.queue[n] = nil
		n++
	}
	s.queue = s.queue[n:]
	if len(s.queue) == 0 {
		s.queue, s.flushing = nil, false
	}
}

// hasRoom tells that the lanes can take another batch (I5).
func (s *sink) hasRoom() bool {
	for _, l := range s.lanes {
		if l.busy && (l.filling.size() >= s.cfg.bytes || l.filling.live >= s.cfg.items) || l.filling.size() >= maxRequest {
			return false
		}
	}
	return true
}

func (s *sink) drained() bool {
	if len(s.queue) > 0 {
		s.flushing = true
	}
	return len(s.queue) == 0
}

// wait returns when a condition on what mu guards holds.
func (s *sink) wait(ctx context.Context, holds func() bool) error {
	for {
		s.mu.Lock()
		ok, failed, hurry := holds(), s.failed, s.flushing && s.cfg.linger > 0
		s.mu.Unlock()
		switch {
		case failed != nil:
			return failed
		case ok:
			return nil
		case hurry:
			for _, l := range s.lanes {
				l.wake()
			}
		}
		select {
		case <-s.moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *sink) stir() {
	select {
	case s.moved <- struct{}{}:
	default:
	}
}

// Flush implements connectors.SinkTask.
func (s *sink) Flush(ctx context.Context) error {
	if s.client == nil {
		return nil
	}
	return s.wait(ctx, s.drained)
}

// Stop implements connectors.SinkTask.
func (s *sink) Stop(ctx context.Context) error {
	if s.client == nil || s.stopped {
		return nil
	}
	s.cancel()
	done := make(chan struct{})
	go func() {
		s.ended.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("stop the lanes: %w", ctx.Err())
	}
	s.stopped = true
	s.client.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = connectors.ErrStopped
	}
	for _, h := range s.queue {
		if !h.done {
			h.batch.Release()
		}
	}
	s.queue = nil
	for _, l := range s.lanes {
		s.task.Charge(-l.filling.charged)
		l.filling.reset(0)
	}
	return nil
}
