package timescaledb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// sink takes batches by encoding them into the block that is being filled; the writer writes the other one meanwhile.
type sink struct {
	cfg    *config
	log    *slog.Logger
	task   connectors.SinkSession
	buffer *changes.DoubleBuffer[*block]
	writer *writer
	ledger ledger // the writer's goroutine only, once that runs

	// Of Put's goroutine.
	plans   map[*connectors.Stream]*plan
	tables  map[string]*plan // the newest plan of each target
	staging int
	used    []*plan // per stream of the batch at hand
	dropped bool    // plans, by planFor: those in used may be among them
	parts   []*section
	rows    *changes.Rows // makes changes of records from topics

	// Where tasks share the connector: the partitions of this one, and through where each was taken. Of who takes a batch, or has
	// the buffer's Between.
	assigned map[offsets.Partition]connectors.Order
}

const maxPlans = 1000

var (
	_ connectors.SinkTask     = (*sink)(nil)
	_ connectors.OffsetKeeper = (*sink)(nil)
	_ connectors.Claimant     = (*sink)(nil)
)

func newSink(cfg *config, s connectors.Settings, log *slog.Logger) *sink {
	return &sink{
		cfg: cfg, log: log, ledger: ledger{connector: s.Connector, sink: s.Sink, shared: s.Shared},
		plans: map[*connectors.Stream]*plan{}, tables: map[string]*plan{},
	}
}

// Start implements connectors.SinkTask.
func (s *sink) Start(ctx context.Context, task connectors.SinkSession) error {
	conn, err := s.open(ctx)
	if err != nil {
		return err
	}
	s.task = task
	s.rows = changes.NewRows(changes.RowsOptions{
		KeyMode: s.cfg.keys, KeyFields: s.cfg.keyFields, Unavailable: s.cfg.placeholder, Nulls: s.cfg.mode != modeAppend, Events: s.cfg.mode == modeAppend, Charge: task.Charge,
	})
	s.writer = &writer{sink: s, conn: conn, staged: map[*plan]int{}}
	s.buffer = changes.NewDoubleBuffer(changes.DoubleBufferOptions[*block]{
		Connector: s.ledger.connector, Session: task, Write: s.writer.write, Bytes: s.cfg.bytes, Rows: s.cfg.rows,
	}, [2]*block{{}, {}})
	return nil
}

// open connects and makes sure of the offsets table.
func (s *sink) open(ctx context.Context) (*pgx.Conn, error) {
	conn, err := s.cfg.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err = s.cfg.checkRights(ctx, conn); err == nil {
		err = s.ledger.open(ctx, conn, s.cfg.offsets)
	}
	if err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return conn, nil
}

// Progress implements connectors.OffsetKeeper. Where tasks share the connector, each call with partitions is a new assignment, and one
// without takes nothing over.
func (s *sink) Progress(ctx context.Context, p ...offsets.Partition) (out []connectors.Progress, err error) {
	err = s.call(ctx, func(ctx context.Context, conn *pgx.Conn) (err error) {
		if s.ledger.shared && len(p) == 0 {
			out, err = s.ledger.stand(ctx, conn)
			return err
		}
		if err = s.endEarlier(ctx, conn); err != nil {
			return err
		}
		if s.ledger.shared {
			if out, err = s.ledger.assign(ctx, conn, p); err == nil {
				err = s.assign(p, out)
			}
			return err
		}
		out, err = s.ledger.takeOver(ctx, conn, p)
		return err
	})
	return out, err
}

// assign notes what an assignment begins with. What was taken before it and is not durable yet would be read a second time: then the
// instance ends, and the next one begins with nothing on its way.
func (s *sink) assign(p []offsets.Partition, at []connectors.Progress) error {
	err := s.buffer.Between(func(waiting bool) error {
		if waiting {
			return errors.New("partitions were given away before all that was read of them is durable; the rest is read again")
		}
		s.assigned = make(map[offsets.Partition]connectors.Order, len(p))
		for _, x := range p {
			s.assigned[x] = connectors.Order{}
		}
		for _, x := range at {
			s.assigned[x.Partition] = x.Through
		}
		return nil
	})
	if err != nil {
		s.task.Fail(err)
		return fmt.Errorf("%w (%w)", err, &lostError{p[0]})
	}
	return nil
}

// fresh returns how many leading records of b were taken before: read twice around an assignment. A partition that is another task's is
// an error: nothing of it may be acknowledged here.
func (s *sink) fresh(b *connectors.Batch) (from int, moves bool, err error) {
	if !s.ledger.shared {
		return 0, true, nil
	}
	through, mine := s.assigned[b.Source]
	if !mine {
		return 0, false, &lostError{b.Source}
	}
	read := b.Origin().Records // their orders are places in the partition
	for from < len(read) && read[from].Order.Compare(through) <= 0 {
		from++
	}
	if moves = b.Through.Compare(through) > 0; moves {
		s.assigned[b.Source] = b.Through
	}
	return from, moves, nil
}

// endEarlier ends what earlier sessions of this task have under way, unless somebody else has taken over (I6).
func (s *sink) endEarlier(ctx context.Context, conn *pgx.Conn) error {
	if err := s.ledger.check(ctx, conn); err != nil {
		return err
	}
	var ended int
	if err := conn.QueryRow(ctx, endOwner, s.cfg.application).Scan(&ended); err != nil {
		return fmt.Errorf("end the transactions of an earlier task: %w", err)
	}
	if ended > 0 {
		s.log.Warn("ended open transactions of an earlier session of this connector in the target", "sessions", ended)
	}
	return nil
}

// SetProgress implements connectors.OffsetKeeper. It works on a task that was not started, too.
func (s *sink) SetProgress(ctx context.Context, p []connectors.Progress) error {
	set := func(ctx context.Context, conn *pgx.Conn) error { return s.ledger.set(ctx, conn, p) }
	if s.buffer != nil {
		return s.call(ctx, set)
	}
	conn, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return set(ctx, conn)
}

// Claim implements connectors.Claimant.
func (s *sink) Claim() string {
	if s.ledger.claim == (claim{}) {
		return ""
	}
	text, _ := json.Marshal(s.ledger.claim) // numbers
	return string(text)
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
	find := func(stream *connectors.Stream) (*plan, error) {
		return s.planFor(ctx, stream, b.Origin() != b && changes.KeysOnly(stream))
	}
	for s.dropped = true; s.dropped; { // a later stream may have altered the target of an earlier one
		s.dropped = false
		var err error
		if s.used, err = changes.ByStream(s.used, b, find); err != nil {
			return err
		}
	}
	return s.buffer.Take(ctx, b, func(blk *block) error { return s.take(ctx, blk, b) })
}

// take encodes b, and the position after it, into a block.
func (s *sink) take(ctx context.Context, blk *block, b *connectors.Batch) error {
	from, moves, err := s.fresh(b)
	if err != nil {
		return err
	}
	s.parts = s.parts[:0]
	for _, p := range s.used {
		if p == nil {
			s.parts = append(s.parts, nil)
			continue
		}
		s.parts = append(s.parts, blk.section(p))
	}
	for i := from; i < len(b.Records); i++ {
		r := &b.Records[i]
		to := s.parts[r.Stream]
		if to == nil {
			continue
		}
		row, err := changes.RowOf(b, r)
		if err == nil {
			err = s.apply(to, b, i, &row)
		}
		if errors.Is(err, errLate) {
			next := blk.behind(to)
			for n := range s.parts {
				if s.parts[n] == to {
					s.parts[n] = next
				}
			}
			err = s.apply(next, b, i, &row)
		}
		if err == nil {
			continue
		}
		if err := s.task.Reject(ctx, b.Origin(), i, connectors.AsPermanent(err)); err != nil {
			return err
		}
	}
	if err := s.task.Settle(ctx); err != nil { // I1: the block has the position
		return err
	}
	blk.rows += len(b.Records) - from
	if moves {
		blk.place(position{partition: b.Source, offset: b.Offset, through: b.Through})
	}
	for _, e := range b.Extra {
		blk.place(position{partition: e.Partition, offset: e.Offset, extra: true})
	}
	return nil
}

func (s *sink) apply(to *section, b *connectors.Batch, record int, row *changes.Row) error {
	every := s.cfg.mode == modeAppend
	switch {
	case row.Kind == changes.RowNone, row.Kind == changes.RowTruncate && !s.cfg.truncates, row.Kind == changes.RowDelete && !s.cfg.deletes:
		return nil
	case every:
		return to.keep(b, record, row)
	case row.Kind == changes.RowTruncate:
		return to.wipe()
	case row.Kind == changes.RowDelete:
		if to.plan.keys == 0 {
			return fmt.Errorf("delete from table %s: table %s has no key by which the row can be found; add one, name key columns with message.key.columns of the source, or set %s=false", to.plan.target, to.plan.id, keyDelete)
		}
	}
	return to.add(b, row)
}

// planFor finds the plan of a stream. A new version of a table waits until everything taken before is durable, then the target is made to fit.
func (s *sink) planFor(ctx context.Context, stream *connectors.Stream, keysOnly bool) (*plan, error) {
	if stream.Table == nil || keysOnly && !s.cfg.deletes {
		return nil, nil
	}
	p := s.plans[stream]
	id := stream.Table.ID() + "\x00" + stream.Topic
	current := s.tables[id]
	if p != nil && p == current {
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
		if p, err = s.prepare(ctx, stream, keysOnly); p == nil {
			return nil, err
		}
		s.drop(p)
	}
	if len(s.plans) >= maxPlans {
		clear(s.plans)
	}
	s.plans[stream], s.tables[id] = p, p
	return p, nil
}

// drop forgets the plans that were made for another state of the target of p: the form of a value in COPY is that of its column. Nothing is
// encoded by them any more: what was taken is durable, and the batch at hand is not encoded yet.
func (s *sink) drop(p *plan) {
	stale := func(q *plan) bool { return q.target == p.target && q.state != p.state }
	for stream, q := range s.plans {
		if stale(q) {
			delete(s.plans, stream)
			s.dropped = true
		}
	}
	for id, q := range s.tables {
		if stale(q) {
			delete(s.tables, id)
			s.dropped = true
		}
	}
}

// prepare makes the target fit a new version of a table. nil without an error: there are deletes only, and no table.
func (s *sink) prepare(ctx context.Context, stream *connectors.Stream, keysOnly bool) (*plan, error) {
	w, err := s.cfg.want(stream, keysOnly)
	if err != nil {
		return nil, err
	}
	s.staging++
	var p *plan
	err = s.call(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		t, ddl, err := s.cfg.ensure(ctx, conn, w)
		if err != nil || t == nil {
			return err
		}
		if len(ddl) > 0 {
			s.log.Info("the target table was made to fit", "table", w.id(), "target", t.id(), "statements", ddl)
		}
		p, err = newPlan(s.cfg, w, t, fmt.Sprintf("freshet_%d", s.staging), stream)
		return err
	})
	if err != nil || p == nil {
		return nil, err
	}
	for i := range stream.KeyFields {
		p.keyed = append(p.keyed, stream.KeyFields[i].Name)
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
	if s.buffer == nil {
		return nil
	}
	err := s.buffer.Stop(ctx)
	if err == nil {
		s.writer.disconnect()
	}
	return err
}
