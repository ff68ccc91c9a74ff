package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// sink takes batches by encoding them into the block that is being filled; the writer inserts the other one meanwhile.
type sink struct {
	cfg       *config
	log       *slog.Logger
	connector string
	token     string // what insert_deduplication_token begins with: differs for each run of a task
	server    *server
	about     about
	task      connectors.SinkSession
	buffer    *changes.DoubleBuffer[*block]
	blocks    uint64 // that were written, of the writer's goroutine

	// Of Put's goroutine.
	rows    *changes.Rows
	plans   map[*connectors.Stream]*plan // nil: its records are left out
	tables  map[string]*plan             // the newest plan of each source table and topic
	targets map[string]string            // source table of each target
	used    []*plan                      // per stream of the batch at hand
	dropped bool                         // plans, by planFor: those in used may be among them
	parts   []*section
}

const maxPlans = 1000

var _ connectors.SinkTask = (*sink)(nil)

func newSink(cfg *config, token, connector string, log *slog.Logger) *sink {
	return &sink{
		cfg: cfg, log: log, connector: connector, token: token, server: newServer(cfg),
		plans: map[*connectors.Stream]*plan{}, tables: map[string]*plan{}, targets: map[string]string{},
	}
}

// Start implements connectors.SinkTask.
func (s *sink) Start(ctx context.Context, task connectors.SinkSession) (err error) {
	if s.about, err = s.server.probe(ctx); err != nil {
		return err
	}
	s.task = task
	s.rows = changes.NewRows(changes.RowsOptions{
		KeyMode: s.cfg.keyMode, KeyFields: s.cfg.keyFields, Unavailable: s.cfg.placeholder, Events: s.cfg.mode == modeAppend, Charge: task.Charge,
	})
	s.buffer = changes.NewDoubleBuffer(changes.DoubleBufferOptions[*block]{
		Connector: s.connector, Session: task, Write: s.write, Bytes: s.cfg.bytes, Rows: s.cfg.rows, Interval: s.cfg.interval,
	}, [2]*block{{}, {}})
	return nil
}

// Put implements connectors.SinkTask.
func (s *sink) Put(ctx context.Context, b *connectors.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.buffer == nil {
		return errors.New("the sink was not started")
	}
	reject := func(i int, cause error) error { return s.task.Reject(ctx, b, i, cause) }
	return s.rows.Hand(b, reject, func(rows *connectors.Batch) error { return s.put(ctx, rows) })
}

// put takes over a batch of changes: encoded, its memory is not needed any more.
func (s *sink) put(ctx context.Context, b *connectors.Batch) error {
	find := func(stream *connectors.Stream) (*plan, error) { return s.planFor(ctx, stream) }
	for s.dropped = true; s.dropped; { // a later stream may have altered the target of an earlier one
		s.dropped = false
		var err error
		if s.used, err = changes.ByStream(s.used, b, find); err != nil {
			return err
		}
	}
	return s.buffer.Take(ctx, b, func(blk *block) error { return s.take(ctx, blk, b) })
}

// take encodes b into a block.
func (s *sink) take(ctx context.Context, blk *block, b *connectors.Batch) error {
	s.parts = s.parts[:0]
	for _, p := range s.used {
		if p == nil {
			s.parts = append(s.parts, nil)
			continue
		}
		s.parts = append(s.parts, blk.section(p))
	}
	for i := range b.Records {
		r := &b.Records[i]
		to := s.parts[r.Stream]
		if to == nil {
			continue
		}
		row, err := changes.RowOf(b, r)
		if err == nil {
			err = s.apply(to, b, i, &row)
		}
		if err == nil {
			blk.rows = max(blk.rows, to.rows)
			continue
		}
		if err := s.task.Reject(ctx, b.Origin(), i, connectors.AsPermanent(err)); err != nil {
			return err
		}
	}
	return nil
}

func (s *sink) apply(to *section, b *connectors.Batch, record int, row *changes.Row) error {
	w := to.plan.wanted
	switch {
	case row.Kind == changes.RowNone:
		return nil
	case s.cfg.mode == modeReference && row.Kind != changes.RowWrite:
		return nil // it only inserts
	case s.cfg.mode == modeMirror && row.Kind == changes.RowTruncate:
		if to.plan.truncate != "" {
			to.wipe()
		}
		return nil
	case s.cfg.mode == modeMirror && w.keys == 0 && row.Op != connectors.OpCreate && row.Op != connectors.OpRead:
		return fmt.Errorf("write to table %s: table %s has no key, by which the row that was changed or deleted could be found; add a primary key, name key columns with message.key.columns of the source (%s:column), or keep every change with %s=append",
			to.plan.target, w.id(), w.id(), keyMode)
	}
	return to.add(b, record, row)
}

// planFor finds the plan of a stream. A new version of a table waits until everything taken before is durable, then the target is made to fit.
func (s *sink) planFor(ctx context.Context, stream *connectors.Stream) (*plan, error) {
	if stream.Table == nil {
		return nil, nil
	}
	id := stream.Table.ID() + "\x00" + stream.Topic
	p, known := s.plans[stream]
	current := s.tables[id]
	if known && p == current {
		return p, nil
	}
	if err := s.buffer.Drain(ctx); err != nil {
		return nil, err
	}
	switch {
	case p != nil:
	case current != nil && current.fits(stream):
		p = current
	default:
		var err error
		if p, err = s.prepare(ctx, stream, current); err != nil {
			return nil, err
		}
	}
	if len(s.plans) >= maxPlans {
		clear(s.plans)
	}
	s.plans[stream], s.tables[id] = p, p
	return p, nil
}

// drop forgets the plans of a target that was altered: a column may have another name. What was taken by them is durable.
func (s *sink) drop(w *wanted) {
	for stream, p := range s.plans {
		if p != nil && p.wanted.database == w.database && p.wanted.table == w.table {
			delete(s.plans, stream)
			s.dropped = true
		}
	}
}

// prepare makes the target fit a new version of a table; nil: there is none, and its records are left out.
func (s *sink) prepare(ctx context.Context, stream *connectors.Stream, before *plan) (*plan, error) {
	w, err := s.cfg.want(stream, s.about.version)
	if err != nil {
		return nil, err
	}
	var was *wanted
	if before != nil {
		was = before.wanted
	}
	name := quote(w.database, w.table)
	if other := s.targets[name]; other != "" && other != w.id() && s.cfg.mode != modeReference {
		return nil, connectors.AsPermanent(fmt.Errorf("tables %s and %s have the same target %s.%s; tell them apart with %s, such as ${source.schema}_${source.table}, or with %s", other, w.id(), w.database, w.table, keyFormat, keyMap))
	}
	var p *plan
	err = s.insist(ctx, "prepare the target table", func(ctx context.Context) error {
		t, ddl, err := s.cfg.ensure(ctx, s.server, s.about, w, was, changes.KeysOnly(stream))
		if len(ddl) > 0 {
			s.drop(w)
			s.log.Info("the target table is made to fit", "table", w.id(), "target", w.database+"."+w.table, "statements", ddl, "dry run", s.cfg.dryRun)
		}
		if err != nil {
			return err
		}
		if t == nil && changes.KeysOnly(stream) {
			return nil // nothing to delete from
		}
		if t == nil {
			s.log.Warn("the target table does not exist, and records for it are left out, as "+keySuppress+" asks", "topic", stream.Topic, "target", w.database+"."+w.table)
			return nil
		}
		p, err = s.cfg.newPlan(w, t)
		return err
	})
	if err != nil || p == nil {
		return nil, err
	}
	s.targets[name] = w.id()
	for i := range stream.KeyFields {
		p.keyed = append(p.keyed, stream.KeyFields[i].Name)
	}
	if before != nil {
		p.snapshot, p.seq = before.snapshot, before.seq
	}
	return p, nil
}

// Flush implements connectors.SinkTask.
func (s *sink) Flush(ctx context.Context) error {
	if s.buffer == nil {
		return nil
	}
	return s.buffer.Drain(ctx)
}

// Stop implements connectors.SinkTask.
func (s *sink) Stop(ctx context.Context) error {
	defer s.server.close()
	if s.buffer == nil {
		return nil
	}
	return s.buffer.Stop(ctx)
}
