package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// open fixes the position and the rows that belong to it.
func (s *snapshot) open(ctx context.Context) error {
	t := s.t
	if err := wait(ctx, t.cfg.snapshot.delay); err != nil {
		return err
	}
	if t.meta.IsClosed() {
		if err := t.connectMeta(ctx); err != nil {
			return err
		}
	}
	pc, err := t.connectReplication(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = pc.Close(context.WithoutCancel(ctx)) }()
	if s.server, err = identify(ctx, pc); err != nil {
		return err
	}
	created, err := s.position(ctx, pc)
	if err != nil {
		return err
	}
	exported, err := s.openTransaction(ctx, created.snapshot)
	if err != nil {
		s.close()
		return err
	}
	state, err := changes.SnapshotPartition(t.partition)
	if err != nil {
		s.close()
		return err
	}
	s.notes = changes.SnapshotNotes{Partition: state, Config: changes.RowsDigest(t.cfg.raw), Stored: s.begun != nil}
	s.plan = newPlan(t, exported)
	s.pos, s.seen = position{snapshot: true, lsn: created.consistent}, created.seen
	s.order = connectors.Order{Epoch: s.server.epoch(created.consistent), Major: created.consistent}
	s.seq = `[null,"` + strconv.FormatUint(created.consistent, 10) + `"]`
	if err := s.prepare(ctx); err != nil {
		s.close()
		return err
	}
	s.opened = true
	return nil
}

// position creates a slot: the connector's, or a temporary one when the connector's is there already. After an attempt that was
// not completed the rows are those of now, but the position stays where that attempt's was, or where the connector's slot is:
// what was delivered may have been deleted since, and only the stream from there tells (docs/adr/0006). Changes that the rows
// already have come again.
func (s *snapshot) position(ctx context.Context, pc *pgconn.PgConn) (createdSlot, error) {
	t := s.t
	var kept uint64 // where the connector's slot is
	if s.streaming {
		read := t.readSlot
		if s.base != 0 {
			read = t.formerSlot
		}
		slot, err := t.freeSlot(ctx, read) // before a row is written: its reader's sink may be ours, too
		if err != nil {
			return createdSlot{}, err
		}
		if slot != nil {
			if problem := slot.usable(t.cfg.slot, t.cfg.database); problem != "" {
				return createdSlot{}, connectors.AsPermanent(errors.New(problem))
			}
			if why := slot.lost(); why != "" {
				t.log.Warn("dropping the invalidated replication slot: the snapshot starts anew", "slot", t.cfg.slot, "reason", why)
				if err := dropSlot(ctx, t.meta, t.cfg.slot); err != nil {
					return createdSlot{}, err
				}
				slot = nil
			}
		}
		if slot == nil {
			s.begun = nil
			created, err := t.createSlot(ctx, pc, t.cfg.slot, false, true)
			if err == nil {
				s.missed(created.consistent)
			}
			return created, err
		}
		if s.continues(slot) {
			kept = s.base
			t.log.Info("going on with the snapshot that was interrupted", "tables_read", len(s.begun.Tables))
		} else if s.again {
			s.begun, kept = nil, slot.confirmed
			if s.from.System == s.server.system && s.from.Timeline == s.server.timeline {
				kept = max(kept, s.base) // a sink that has rows of that attempt leaves out what is ordered before them
			}
			t.log.Warn("the replication slot exists, but no completed snapshot is stored: taking a full one; if there should be one, look at offset.storage.*",
				"slot", t.cfg.slot)
			s.missed(slot.confirmed)
		}
	}
	name := fmt.Sprintf("%.40s_snapshot_%d", t.cfg.slot, pc.PID())
	created, err := t.createSlot(ctx, pc, strings.ToLower(name), true, true)
	if kept != 0 {
		created.consistent = min(created.consistent, kept)
	}
	return created, err
}

// missed tells of what the attempt before has delivered and nothing corrects any more (I8), when the slot holds only changes behind
// lsn: somebody else made it, or it is another server's. A direct connector has stopped for that reason, or was told to go on.
func (s *snapshot) missed(lsn uint64) {
	_, direct := s.t.cfg.raw["sinks"]
	same := s.from.System == s.server.system && s.from.Timeline == s.server.timeline
	if direct || s.base == 0 || same && lsn <= s.base {
		return
	}
	const text = "rows that the interrupted snapshot delivered and that were deleted since stay in the topics: the changes between are not in the server's log any more; " +
		"where that matters, empty the topics and take a snapshot again (snapshot.mode=always for one start)"
	s.t.log.Warn(text, "slot", s.t.cfg.slot, "from", pglogrepl.LSN(s.base).String(), "to", pglogrepl.LSN(lsn).String())
	s.t.watch.lose(s.base, lsn, text)
}

// openTransaction imports the exported snapshot into a connection for the catalog, which exports it again for the readers.
func (s *snapshot) openTransaction(ctx context.Context, name string) (exported string, err error) {
	config, err := s.t.cfg.connConfig(false)
	if err != nil {
		return "", connectors.AsPermanent(err)
	}
	if s.tx, err = pgx.ConnectConfig(ctx, config); err != nil {
		return "", fmt.Errorf("connect for the snapshot: %w", err)
	}
	if err := importSnapshot(ctx, s.tx.PgConn(), name); err != nil {
		return "", err
	}
	s.t.catalog.use(s.tx)
	if err := s.t.catalog.row(ctx, "SELECT pg_export_snapshot()", nil, &exported); err != nil {
		return "", fmt.Errorf("export the snapshot to its readers: %w", err)
	}
	return exported, nil
}

// prepare finds the tables in their order and notes the transaction and the time of the snapshot.
func (s *snapshot) prepare(ctx context.Context) error {
	t := s.t
	const sql = `SELECT CASE WHEN pg_is_in_recovery() THEN 0 ELSE txid_current() END, (extract(epoch FROM now()) * 1000000)::int8`
	if err := t.catalog.row(ctx, sql, nil, &s.pos.txID, &s.pos.micros); err != nil {
		return fmt.Errorf("read the snapshot's time: %w", err)
	}
	tables, err := t.catalog.tables(ctx)
	if err != nil {
		return err
	}
	if include := t.cfg.snapshot.include; len(include) > 0 {
		tables = slices.DeleteFunc(tables, func(id changes.TableID) bool { return !include.Match(id.String()) })
	}
	if t.cfg.snapshot.lockShared {
		if err := s.lock(ctx, tables); err != nil {
			return err
		}
	}
	if err := s.plan.describe(ctx, tables); err != nil {
		return err
	}
	if s.begun != nil {
		s.plan.Resume(s.begun)
	}
	s.plan.OrderBySize(t.cfg.snapshot.orderBySize)
	return nil
}

// lock keeps the tables from being altered while they are read (snapshot.locking.mode=shared).
func (s *snapshot) lock(ctx context.Context, tables []changes.TableID) error {
	if len(tables) == 0 {
		return nil
	}
	sql := fmt.Sprintf("SET LOCAL lock_timeout = %d; LOCK TABLE %s IN ACCESS SHARE MODE", s.t.cfg.snapshot.lockTimeout.Milliseconds(), tableList(tables))
	if _, err := s.tx.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		if altered(err) {
			err = errAltered
		}
		return fmt.Errorf("lock the tables for the snapshot (snapshot.lock.timeout.ms is %s): %w", s.t.cfg.snapshot.lockTimeout, err)
	}
	for _, id := range tables {
		var oid uint32
		switch err := s.t.catalog.row(ctx, fmt.Sprintf(alteredSQL, "$1", "$2"), []any{id.Schema, id.Name}, &oid); {
		case err == nil:
			return fmt.Errorf("lock table %s for the snapshot: %w", id, errAltered)
		case !errors.Is(err, pgx.ErrNoRows):
			return fmt.Errorf("lock table %s for the snapshot: %w", id, err)
		}
	}
	return nil
}
