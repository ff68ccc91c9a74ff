package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// snapshot reads the captured tables as they were at one position of the log, by COPY over one connection. It belongs to
// the goroutine of Poll.
//
// The position and the rows fit exactly: both come from the creation of a slot, of the connector's own when it is new, else of a
// temporary one. Streaming from the connector's slot then starts at that position, or earlier (see position).
type snapshot struct {
	t         *source
	streaming bool // streaming follows
	again     bool // an earlier attempt may have delivered rows: no snapshot was ever completed

	opened bool
	tx     *pgx.Conn // the catalog as of the snapshot
	copy   wire
	server server
	pos    position
	order  connectors.Order
	seq    string
	tables []changes.TableID
	at     int // table being read

	rel     *relation
	reading bool   // a COPY is under way
	row     []byte // read and not yet handled, a view
	rows    int64  // of this table
	total   int64
	b       *connectors.Builder
	stream  uint32
	fresh   bool // b does not know the table's stream yet
}

func newSnapshot(t *source, streaming bool) *snapshot { return &snapshot{t: t, streaming: streaming} }

// next returns the next batch. The batch that ends the snapshot says so in its offset, and hands over to the stream.
func (s *snapshot) next(ctx context.Context) (*connectors.Batch, error) {
	if !s.opened {
		if err := s.open(ctx); err != nil {
			return nil, err
		}
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		s.copy.interrupt()
		close(interrupted)
	})
	b, err := s.read(ctx)
	if !stop() {
		<-interrupted
		s.copy.proceed()
	}
	return b, err
}

// read fills batches. A batch is handed out only when another row is there, so that the last row can still be marked.
func (s *snapshot) read(ctx context.Context) (*connectors.Batch, error) {
	for {
		if !s.reading {
			if s.at == len(s.tables) {
				return s.end(ctx)
			}
			if err := s.beginTable(ctx); err != nil {
				return nil, err
			}
			continue
		}
		if s.row == nil {
			kind, body, err := s.copy.message(true)
			if err != nil {
				return nil, fmt.Errorf("read table %s: %w", s.rel.id, err)
			}
			switch kind {
			case 'd':
				s.row = body
			case 'E':
				return nil, fmt.Errorf("read table %s: %w", s.rel.id, serverError(body))
			case 'Z':
				s.endTable()
				continue
			default:
				continue
			}
		}
		if s.b != nil && s.b.Len() > 0 && (s.b.Len() >= maxRecords || s.b.Size() >= batchBytes) {
			return s.finish(), nil
		}
		if s.b == nil {
			b, err := s.t.session.NewBatch(ctx, s.t.partition)
			if err != nil {
				return nil, err
			}
			s.b, s.fresh = b, true
		}
		if err := s.appendRow(); err != nil {
			s.b.Discard()
			return nil, err
		}
		s.row = nil
	}
}

func (s *snapshot) beginTable(ctx context.Context) error {
	id := s.tables[s.at]
	rel, err := s.t.catalog.snapshotRelation(ctx, id)
	if err != nil {
		return err
	}
	if rel == nil {
		s.at++
		return nil
	}
	from := rel.quotedName()
	if statement := s.override(id); statement != "" {
		from = "(" + statement + ") AS snapshot_select"
	}
	s.t.log.Info("reading table", "table", id.String(), "number", s.at+1, "of", len(s.tables))
	if err := s.copy.query("COPY (SELECT " + rel.selectList() + " FROM " + from + ") TO STDOUT"); err != nil {
		return fmt.Errorf("read table %s: %w", id, err)
	}
	s.rel, s.reading, s.rows, s.fresh = rel, true, 0, true
	return nil
}

// override is the statement of snapshot.select.statement.overrides.<table>, "" for none.
func (s *snapshot) override(id changes.TableID) string {
	for _, name := range []string{id.String(), id.Catalog + "." + id.String()} {
		if statement := s.t.cfg.snapshot.overrides[name]; statement != "" {
			return statement
		}
	}
	return ""
}

func (s *snapshot) appendRow() error {
	w := s.b
	fields, err := s.rel.splitCopy(s.row)
	if err != nil {
		return err
	}
	if s.fresh {
		s.stream, s.fresh = w.Stream(s.rel.stream), false
	}
	rec := w.Begin(s.stream, connectors.OpRead)
	w.After()
	if err := s.rel.appendTextRow(w, fields); err != nil {
		return err
	}
	if !s.rel.keyless() {
		w.Key()
		if err := s.rel.appendTextKey(w, rec.After, fields); err != nil {
			return err
		}
	}
	marker := changes.SnapshotTrue
	switch {
	case s.total == 0:
		marker = changes.SnapshotFirst
	case s.rows == 0:
		marker = changes.SnapshotFirstTable
	}
	w.Source()
	w.Int(s.pos.micros)
	w.String(marker)
	w.String(s.seq)
	if s.pos.txID != 0 {
		w.Int(s.pos.txID)
	} else {
		w.Null()
	}
	w.Int(int64(s.pos.lsn))
	w.Null()
	w.Null()
	w.Null()
	rec.Timestamp, rec.Order = s.copy.read.Load(), s.order
	w.Commit()
	s.rows++
	s.total++
	return nil
}

// mark replaces the snapshot marker of the last row.
func (s *snapshot) mark(marker string) {
	w := s.b
	records := w.Records()
	rec := records[len(records)-1]
	w.Headers() // a cell of its own for the text
	w.String(marker)
	w.SetCell(rec.Source, changes.SourceSnapshot, w.Row(w.Record().Headers)[0])
}

func (s *snapshot) endTable() {
	if s.rows > 0 && s.total > 1 {
		s.mark(changes.SnapshotLastTable)
	}
	s.t.log.Info("table was read", "table", s.rel.id.String(), "rows", s.rows)
	s.reading = false
	s.at++
}

// end finishes the last batch and hands over to the stream.
func (s *snapshot) end(ctx context.Context) (*connectors.Batch, error) {
	if s.b == nil {
		b, err := s.t.session.NewBatch(ctx, s.t.partition)
		if err != nil {
			return nil, err
		}
		s.b = b
	}
	if s.total > 0 {
		s.mark(changes.SnapshotLast)
		r := s.b.Records()
		r[len(r)-1].Last = true
	}
	s.pos.last, s.pos.completed = true, true
	b := s.finish()
	t := s.t
	t.log.Info("snapshot completed", "tables", len(s.tables), "rows", s.total, "position", pglogrepl.LSN(s.pos.lsn).String())
	s.close()
	t.snapshot = nil
	t.catalog.use(t.meta)
	if s.streaming {
		p := position{lsn: s.pos.lsn, txID: s.pos.txID, micros: s.pos.micros}
		t.beginStream(p, resume{})
		t.stream.server = s.server
		t.pauseBeforeStream = t.cfg.snapshot.streamingDelay
	}
	return b, nil
}

func (s *snapshot) finish() *connectors.Batch {
	o := s.pos.offset()
	b := s.b.Finish(o, s.order)
	id := identity{System: s.server.system, Timeline: s.server.timeline}
	b.Extra = []offsets.Entry{{Partition: s.t.state, Offset: id.offset(o)}}
	s.b = nil
	return b
}

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
	if err := s.openTransaction(ctx, created.snapshot); err != nil {
		s.close()
		return err
	}
	s.pos = position{snapshot: true, lsn: created.consistent}
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
// not completed the rows are those of now, but the position stays where the connector's slot is: what that attempt delivered
// may have been deleted since, and only the stream from there tells. Changes that the rows already have come again.
func (s *snapshot) position(ctx context.Context, pc *pgconn.PgConn) (createdSlot, error) {
	t := s.t
	var kept uint64 // where the connector's slot is
	if s.streaming {
		slot, err := t.freeSlot(ctx) // before a row is written: its reader's sink may be ours, too
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
			return t.createSlot(ctx, pc, t.cfg.slot, false, true)
		}
		if s.again {
			kept = slot.confirmed
			t.log.Warn("the replication slot exists, but no completed snapshot is stored: taking a full one; if there should be one, look at offset.storage.*",
				"slot", t.cfg.slot)
		}
	}
	name := fmt.Sprintf("%.40s_snapshot_%d", t.cfg.slot, pc.PID())
	created, err := t.createSlot(ctx, pc, strings.ToLower(name), true, true)
	if kept != 0 {
		created.consistent = min(created.consistent, kept)
	}
	return created, err
}

// openTransaction imports the exported snapshot into a connection for the catalog and one for COPY.
func (s *snapshot) openTransaction(ctx context.Context, name string) error {
	config, err := s.t.cfg.connConfig(false)
	if err != nil {
		return connectors.AsPermanent(err)
	}
	begin := "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT " + quoteLiteral(name)
	if s.tx, err = pgx.ConnectConfig(ctx, config); err != nil {
		return fmt.Errorf("connect for the snapshot: %w", err)
	}
	if _, err := s.tx.PgConn().Exec(ctx, begin).ReadAll(); err != nil {
		return fmt.Errorf("open the snapshot: %w", err)
	}
	s.t.catalog.use(s.tx)
	pc, err := s.copy.dial(ctx, &config.Config)
	if err != nil {
		return fmt.Errorf("connect for the snapshot: %w", err)
	}
	if _, err := pc.Exec(ctx, begin).ReadAll(); err != nil {
		_ = pc.Close(ctx)
		return fmt.Errorf("open the snapshot: %w", err)
	}
	return s.copy.takeOver(pc)
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
	s.tables = tables
	return s.orderBySize(ctx)
}

// lock keeps the tables from being altered while they are read (snapshot.locking.mode=shared).
func (s *snapshot) lock(ctx context.Context, tables []changes.TableID) error {
	if len(tables) == 0 {
		return nil
	}
	sql := fmt.Sprintf("SET LOCAL lock_timeout = %d; LOCK TABLE %s IN ACCESS SHARE MODE", s.t.cfg.snapshot.lockTimeout.Milliseconds(), tableList(tables))
	if _, err := s.tx.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		return fmt.Errorf("lock the tables for the snapshot (snapshot.lock.timeout.ms is %s): %w", s.t.cfg.snapshot.lockTimeout, err)
	}
	return nil
}

// orderBySize sorts by the planner's estimate of rows (snapshot.tables.order.by.row.count).
func (s *snapshot) orderBySize(ctx context.Context) error {
	how := s.t.cfg.snapshot.orderBySize
	if how != "ascending" && how != "descending" {
		return nil
	}
	sizes := map[changes.TableID]float64{}
	for _, id := range s.tables {
		if s.override(id) != "" { // the reference does not count what such a table gives, and takes it as the largest
			sizes[id] = math.Inf(1)
			continue
		}
		var n float64
		err := s.t.catalog.row(ctx, "SELECT reltuples::float8 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname = $1 AND relname = $2",
			[]any{id.Schema, id.Name}, &n)
		if err != nil {
			return fmt.Errorf("read the size of table %s: %w", id, err)
		}
		sizes[id] = n
	}
	slices.SortStableFunc(s.tables, func(a, b changes.TableID) int {
		x, y := sizes[a], sizes[b]
		if how == "descending" {
			x, y = y, x
		}
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	return nil
}

// close ends the transactions.
func (s *snapshot) close() {
	if s.b != nil {
		s.b.Abandon()
		s.b = nil
	}
	if s.copy.conn != nil {
		_ = s.copy.conn.Close()
		s.copy.conn = nil
	}
	if s.tx != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.tx.Close(ctx)
		s.tx = nil
	}
}
