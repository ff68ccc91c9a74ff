package mysql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// open fixes the position, the schema and the rows that belong to it.
func (s *snapshot) open(ctx context.Context) error {
	t := s.t
	if err := wait(ctx, t.cfg.snapshot.delay); err != nil {
		return err
	}
	var err error
	if s.meta, err = s.connect(ctx); err != nil {
		return err
	}
	if s.resumed, err = s.continues(ctx); err != nil {
		return err
	}
	all, err := s.readTables(ctx)
	if err != nil {
		return err
	}
	described := s.choose(all)
	if err := s.takeLock(ctx); err != nil {
		return err
	}
	if err := s.fix(ctx); err != nil {
		return err
	}
	if err := s.describe(ctx, described); err != nil {
		return err
	}
	if s.kind != snapshotRows {
		return s.unlock(ctx)
	}
	if t.cfg.snapshot.locking != "extended" {
		if err := s.unlock(ctx); err != nil {
			return err
		}
	}
	return s.prepare(ctx)
}

// fix reads the position and opens the transactions of the readers.
func (s *snapshot) fix(ctx context.Context) error {
	t := s.t
	if s.recovering() {
		s.pos, s.id = s.stored, s.from
		s.pos.snapshot = "INITIAL"
		return nil
	}
	var err error
	s.pos = position{seconds: time.Now().Unix(), snapshot: "INITIAL"}
	s.pos.file, s.pos.pos, s.pos.gtids, err = t.cfg.logEnd(ctx, s.meta)
	switch {
	case errors.Is(err, errNoBinlog) && !s.streaming:
		t.log.Warn("the server keeps no binlog: the rows have no position", "snapshot.mode", t.cfg.snapshot.mode)
	case errors.Is(err, errNoBinlog):
		return connectors.AsPermanent(fmt.Errorf("read the end of the binlog: %w", err))
	case err != nil:
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	if len(s.captured) > 0 {
		for range t.cfg.snapshot.Threads {
			r, err := s.newReader(ctx)
			if err != nil {
				return err
			}
			s.readers = append(s.readers, r)
		}
	}
	if s.id, err = t.identityAt(ctx, s.meta, &s.pos, s.from); err != nil {
		return err
	}
	if s.resumed {
		t.log.Info("the rows are read as of now, and the stream begins where the snapshot that was interrupted began",
			"position", fmt.Sprintf("%s:%d", s.stored.file, s.stored.pos), "now", fmt.Sprintf("%s:%d", s.pos.file, s.pos.pos))
		s.pos, s.id = s.stored, s.from
	}
	s.announced = s.resumed || !s.streaming
	s.secured = s.announced
	return nil
}

// correctPosition takes the place in the binlog of a reader's transaction, where the server tells it. The readers after it see what it sees,
// or more.
func (s *snapshot) correctPosition(ctx context.Context, conn *client.Conn) error {
	cfg := s.t.cfg
	file, pos, ok, err := cfg.snapshotPosition(ctx, conn)
	if err != nil || !ok {
		return err
	}
	if cfg.flavor == flavorMariaDB {
		if s.pos.gtids, err = cfg.value(ctx, conn, fmt.Sprintf("SELECT binlog_gtid_pos(%s, %d)", quoteLiteral(file), pos)); err != nil {
			return err
		}
	} else if s.pos.gtids != "" {
		return nil // what was executed before is less, and what counts
	}
	s.pos.file, s.pos.pos = file, pos
	return nil
}

// describe reads the structure of tables. An attempt before has put it into the history as it was at the position; what the rows look like
// now is needed besides.
func (s *snapshot) describe(ctx context.Context, tables []changes.TableID) error {
	if s.resumed {
		s.current = s.t.schema.catalog.Empty()
		tables = s.captured
	}
	statements, err := s.structure(ctx, tables)
	if err != nil {
		return err
	}
	if !s.resumed {
		s.events, err = s.t.schema.describe(ctx, s.pos, statements)
		return err
	}
	for _, x := range statements {
		if _, err := s.current.Apply(x.database, x.text, 0); err != nil {
			return connectors.AsPermanent(fmt.Errorf("read the structure of the tables of %s: %w", x.database, err))
		}
	}
	return s.t.schema.recover(ctx, s.pos)
}

// prepare makes the plan and starts reading.
func (s *snapshot) prepare(ctx context.Context) error {
	t := s.t
	state, err := changes.SnapshotPartition(t.partition)
	if err != nil {
		return err
	}
	s.notes = changes.SnapshotNotes{Partition: state, Config: changes.RowsDigest(t.cfg.raw), Stored: s.noted}
	if err := s.addTables(ctx); err != nil {
		return err
	}
	if s.begun != nil {
		s.plan.Resume(s.begun)
	}
	s.plan.OrderBySize(t.cfg.snapshot.orderBySize)
	s.read(ctx)
	return nil
}

// continues tells whether the position of an attempt before is kept: it has delivered rows, the server is the same, and its binlog still has
// all that was written since. What was delivered may have been deleted since; only the stream from there tells (docs/adr/0006).
func (s *snapshot) continues(ctx context.Context) (bool, error) {
	t := s.t
	if !s.stored.unfinished() || !s.from.own || !s.streaming || s.kind != snapshotRows {
		return false, nil
	}
	p, err := changes.SnapshotPartition(t.partition)
	if err != nil {
		return false, err
	}
	entries, err := t.session.Offsets(ctx, p)
	if err != nil {
		return false, fmt.Errorf("read the progress of the snapshot: %w", err)
	}
	before, err := changes.FindSnapshotProgress(entries, p, s.from.Offset)
	if err != nil {
		return false, connectors.AsPermanent(err)
	}
	if before == nil {
		return false, nil
	}
	s.noted = true
	why, err := t.missing(ctx, &s.stored, s.from)
	if err != nil {
		return false, err
	}
	if why == "" {
		there, err := t.schema.kept(ctx)
		if err != nil {
			return false, err
		}
		if !there {
			why = "the schema history is missing: it was looked for in " + t.cfg.history.place()
		}
	}
	if why != "" {
		t.log.Warn("cannot go on with the snapshot that was interrupted, taking a new one: rows that were delivered and have been deleted since stay in the targets", "reason", why)
		t.session.Anew(t.partition)
		return false, nil
	}
	if before.Usable(changes.RowsDigest(t.cfg.raw)) {
		s.begun = before
	}
	t.log.Info("going on with the snapshot that was interrupted", "tables_read", len(before.Tables))
	return true, nil
}
