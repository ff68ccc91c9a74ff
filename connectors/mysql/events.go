package mysql

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/mysql/ddl"
)

// tracked is a table of the current session under the number that a TABLE_MAP event gave it.
type tracked struct {
	def    *ddl.Table
	table  *table // nil: not captured
	layout *layout
	raw    []byte // of the TABLE_MAP event: the same bytes mean the same
	schema uint64 // version of the schema that the table was looked up in
	skip   bool   // its rows are left out: inconsistent.schema.handling.mode
	stream uint32 // index in the batch build
	build  uint64
}

// minorsPerRow is how many places in the order a row takes: its records at the most, a delete, a tombstone and a create, so that the order
// is the same whatever is filtered.
const minorsPerRow = 3

// tableMap says what the rows that follow look like.
func (s *stream) tableMap(e *logEvent) error {
	if len(e.body) < 6 {
		return badEvent("TABLE_MAP", errShortControl)
	}
	c := cursor{data: e.body}
	id := c.uint48()
	version := s.schema.version()
	t := s.tables[id]
	if t == nil || t.schema != version || !bytes.Equal(t.raw, e.body) {
		var err error
		if t, err = s.lookUp(e.body, version); err != nil {
			return err
		}
		s.tables[id] = t
	}
	s.recent, s.recentID = t, id
	return nil
}

func (s *stream) lookUp(raw []byte, version uint64) (*tracked, error) {
	m, err := parseTableMap(raw, s.mariadb)
	if err != nil {
		return nil, err
	}
	t := &tracked{raw: bytes.Clone(raw), schema: version}
	id := changes.TableID{Catalog: m.database, Name: m.table}
	if !s.cfg.selection.Table(id) {
		t.layout, err = newLayout(nil, m)
		return t, err
	}
	if t.def = s.schema.table(ddl.ID{Database: m.database, Table: m.table}); t.def == nil {
		if t.def, err = s.unknown(id, m); err != nil {
			return nil, err
		}
		if t.skip = t.def == nil; t.skip {
			t.layout, err = newLayout(nil, m)
			return t, err
		}
	}
	if known := s.known[id]; known != nil && known.def == t.def {
		t.table = known.table
	} else if t.table, err = s.makeTable(t.def); err != nil {
		return nil, err
	}
	if t.layout, err = newLayout(t.table, m); err != nil {
		return nil, err
	}
	s.known[id] = t
	return t, nil
}

func (s *stream) makeTable(def *ddl.Table) (*table, error) {
	t, err := newTable(s.cfg, def, s.cfg.sourceBlock(s.version, def.Database, def.ID.Table), s.headers)
	if err == nil {
		t.warn(s.log)
	}
	return t, err
}

// unknown decides about a captured table that the schema history does not have; nil: its rows are left out, as those of sequences are. With
// binlog_row_metadata=FULL the binlog says enough to read them.
func (s *stream) unknown(id changes.TableID, m *tableMap) (*ddl.Table, error) {
	if s.mariadb && m.sequence() {
		return nil, nil
	}
	if def := m.definition(); def != nil {
		s.log.Warn("the schema history does not have a table whose rows are in the binlog; they are read by what the binlog says of it (binlog_row_metadata=FULL)",
			"table", id.String(), "file", s.file, "pos", s.at)
		return def, nil
	}
	text := fmt.Sprintf("Encountered change event for table %s whose schema isn't known to this connector", id)
	what := "One possible cause is an incomplete database schema history topic. Take a new snapshot in this case (snapshot.mode=recovery reads the structure of the tables alone), " +
		"or set binlog_row_metadata=FULL on the server"
	switch s.cfg.inconsistent {
	case "warn":
		s.log.Warn(text+". The event will be ignored. "+what, "file", s.file, "pos", s.at)
	case "skip":
		s.log.Debug(text+". The event will be ignored. "+what, "file", s.file, "pos", s.at)
	default:
		return nil, connectors.AsPermanent(fmt.Errorf("%s (at %s:%d). %s", text, s.file, s.at, what))
	}
	return nil, nil
}

func (s *stream) track(id uint64) (*tracked, error) {
	if s.recent != nil && s.recentID == id {
		return s.recent, nil
	}
	t := s.tables[id]
	if t == nil {
		return nil, connectors.AsPermanent(fmt.Errorf("read the binlog: rows of table number %d at %s:%d came before the table was described", id, s.file, s.at))
	}
	s.recent, s.recentID = t, id
	return t, nil
}

// index is the stream's number in the batch being built.
func (s *stream) index(t *tracked) uint32 {
	if t.build != s.build {
		t.stream, t.build = s.b.Stream(t.table.stream), s.build
		s.reselect.note(t.table)
	}
	return t.stream
}

// rowsOf handles a rows event.
func (s *stream) rowsOf(e *logEvent) error {
	var err error
	r := &s.rowsEvent
	if *r, err = s.rows.read(byte(e.kind), e.body); err == nil {
		err = s.changes(e, r)
	}
	if err != nil {
		if s.b != nil {
			s.b.Discard()
		}
		if err = s.undecodable(err); err != nil {
			return err
		}
	}
	if r.last {
		s.tx.query, s.queryCell.build = "", 0
	}
	return nil
}

// undecodable is event.deserialization.failure.handling.mode.
func (s *stream) undecodable(err error) error {
	var lent *sessionError
	if errors.As(err, &lent) || s.cfg.undecodable == "fail" {
		return fmt.Errorf("at %s:%d: %w. Use the mysqlbinlog tool to view the event: mysqlbinlog --start-position=%d --stop-position=%d --verbose %s", s.file, s.at, err, s.at, s.at+s.size, s.file)
	}
	if s.cfg.undecodable == "warn" {
		s.log.Warn("an event of the binlog cannot be decoded and is left out", "file", s.file, "pos", s.at, "error", err)
	}
	return nil
}

// rowRun is one rows event being handled.
type rowRun struct {
	t      *tracked
	l      *layout
	e      *logEvent
	r      *rowsEvent
	stream uint32
	order  connectors.Order
	row    int64
	name   string // of the table; "": there is no transaction metadata
}

func (s *stream) changes(e *logEvent, r *rowsEvent) error {
	t, err := s.track(r.table)
	if err != nil {
		return err
	}
	if err := t.layout.fits(r); err != nil {
		return err
	}
	run := rowRun{t: t, l: t.layout, e: e, r: r, order: s.order(s.tx.minor)}
	skipped := s.skipped()
	silent := t.table == nil || s.tx.filtered || s.cfg.operations.Skips(r.op) || s.resume.armed && s.tx.events < s.resume.events
	if !silent {
		run.stream = s.index(t)
		if s.txns != nil && s.tx.open {
			run.name = t.table.id.String()
		}
	}
	emitted, data := s.b.Len(), r.data
	for run.row = 0; len(data) > 0; run.row++ {
		var rest []byte
		if silent || run.row < skipped {
			rest, err = run.skip(data)
		} else {
			rest, err = s.row(&run, data)
		}
		if err != nil {
			break
		}
		data = rest
		run.order.Minor += minorsPerRow
	}
	if s.b.Len() > emitted {
		s.marked(run.row)
	}
	if err != nil { // what is left out counts, too
		for len(data) > 0 {
			var broken error
			if data, broken = run.skip(data); broken != nil {
				break
			}
			run.order.Minor += minorsPerRow
		}
	}
	s.tx.minor = run.order.Minor
	return err
}

// skipped is how many rows of this event were delivered before.
func (s *stream) skipped() int64 {
	if s.resume.armed && s.resume.total > 0 {
		left := s.resume.total - s.passed()
		if left <= 0 {
			s.resume = resume{}
		}
		return max(left, 0)
	}
	if !s.resume.armed || s.tx.events < s.resume.events {
		return 0
	}
	n := s.resume.rows
	s.resume = resume{}
	return n
}

// passed is how many rows of the open transaction were read before this event.
func (s *stream) passed() int64 { return int64(s.tx.minor-1) / minorsPerRow }

// skip passes over the images of one row.
func (run *rowRun) skip(data []byte) ([]byte, error) {
	before, after := run.images(data)
	if run.r.op != connectors.OpCreate {
		var err error
		if data, err = run.l.skipRow(before); err != nil {
			return nil, err
		}
	}
	if run.r.op != connectors.OpDelete {
		after.data = data
		return run.l.skipRow(after)
	}
	return data, nil
}

func (run *rowRun) images(data []byte) (before, after image) {
	return image{data: data, present: run.r.before}, image{data: data, present: run.r.after, partial: run.r.partial}
}

// row delivers one row and returns what follows it.
func (s *stream) row(run *rowRun, data []byte) ([]byte, error) {
	switch run.r.op {
	case connectors.OpCreate:
		return s.insert(run, data)
	case connectors.OpUpdate:
		return s.update(run, data)
	}
	return s.delete(run, data)
}

func (s *stream) insert(run *rowRun, data []byte) ([]byte, error) {
	w := s.b
	_, im := run.images(data)
	rec := w.Begin(run.stream, connectors.OpCreate)
	w.After()
	rest, err := run.l.appendRow(w, data, im.present, connectors.Row{})
	if err != nil {
		return nil, err
	}
	if err := run.key(w, rec.After, im, image{}); err != nil {
		return nil, err
	}
	s.source(run)
	s.emit(rec, run, run.order)
	return rest, nil
}

func (s *stream) update(run *rowRun, data []byte) ([]byte, error) {
	w, l := s.b, run.l
	old, _ := run.images(data)
	rec := w.Begin(run.stream, connectors.OpUpdate)
	w.Before()
	data, err := l.appendRow(w, data, old.present, connectors.Row{})
	if err != nil {
		return nil, err
	}
	_, updated := run.images(data)
	w.After()
	rest, err := l.appendAfter(w, updated, old, rec.Before)
	if err != nil {
		return nil, err
	}
	if !s.cfg.operations.Unchanged && (l.same(old, updated, rest) || changes.Equal(w, w.Row(rec.Before), w.Row(rec.After))) {
		w.Discard()
		return rest, nil
	}
	if !l.keyless() {
		changed, err := l.keyChanged(w, rec.Before, rec.After, old, updated)
		if err != nil {
			return nil, err
		}
		if changed {
			return rest, s.moveKey(rec, run, old, updated)
		}
	}
	if err := run.key(w, rec.After, updated, old); err != nil {
		return nil, err
	}
	s.source(run)
	s.emit(rec, run, run.order)
	return rest, nil
}

// moveKey emits an update that changed the key: a delete and a tombstone of the old key, and a create of the new one, each
// naming the other key in a header (Debezium, "Change events", primary key updates).
func (s *stream) moveKey(rec *connectors.Record, run *rowRun, old, updated image) error {
	w := s.b
	after := rec.After
	if err := run.key(w, after, updated, old); err != nil {
		return err
	}
	created := rec.Key
	if err := run.key(w, rec.Before, old, image{}); err != nil {
		return err
	}
	deleted := rec.Key
	s.source(run)
	source := rec.Source
	keyHeader(w, changes.HeaderNewKey, created)
	rec.Op, rec.After = connectors.OpDelete, connectors.Row{}
	headers, order := rec.Headers, run.order
	s.emit(rec, run, order)
	if s.cfg.operations.Tombstones {
		s.tombstone(run, deleted, headers, source)
	}
	rec = w.Begin(run.stream, connectors.OpCreate)
	rec.Key, rec.After, rec.Source = created, after, source
	if run.name != "" {
		s.source(run) // an event of its own
	}
	keyHeader(w, changes.HeaderOldKey, deleted)
	order.Minor += 2
	s.emit(rec, run, order)
	return nil
}

func keyHeader(w *connectors.Builder, name string, key connectors.Row) {
	w.Headers()
	w.String(name)
	w.BeginList(connectors.KindList)
	for i := range key.Count {
		w.Cell(w.Row(key)[i])
	}
	w.EndList()
}

func (s *stream) delete(run *rowRun, data []byte) ([]byte, error) {
	w := s.b
	im, _ := run.images(data)
	rec := w.Begin(run.stream, connectors.OpDelete)
	w.Before()
	rest, err := run.l.appendRow(w, data, im.present, connectors.Row{})
	if err != nil {
		return nil, err
	}
	if err := run.key(w, rec.Before, im, image{}); err != nil {
		return nil, err
	}
	s.source(run)
	key, source := rec.Key, rec.Source
	s.emit(rec, run, run.order)
	if s.cfg.operations.Tombstones {
		s.tombstone(run, key, connectors.Row{}, source)
	}
	return rest, nil
}

func (s *stream) tombstone(run *rowRun, key, headers, source connectors.Row) {
	rec := s.b.Begin(run.stream, connectors.OpTombstone)
	rec.Key, rec.Headers, rec.Source = key, headers, source
	order := run.order
	order.Minor++
	s.emit(rec, run, order)
}

func (run *rowRun) key(w *connectors.Builder, row connectors.Row, im, old image) error {
	if run.l.keyless() {
		return nil
	}
	w.Key()
	return run.l.appendKey(w, row, im, old)
}

// source writes the per-record fields of the source block.
func (s *stream) source(run *rowRun) {
	w := s.b
	w.Source()
	w.Int(s.micros)
	w.Null() // snapshot
	w.Null() // sequence
	w.Int(int64(run.e.server))
	if len(s.gtid) > 0 {
		s.shared(&s.gtidCell, s.gtid)
	} else {
		w.Null()
	}
	s.sharedText(&s.fileCell, s.file)
	w.Int(int64(s.at))
	w.Int(run.row)
	if s.tx.thread >= 0 {
		w.Int(s.tx.thread)
	} else {
		w.Null()
	}
	if s.tx.query != "" {
		s.sharedText(&s.queryCell, s.tx.query)
	} else {
		w.Null()
	}
	if run.name != "" {
		s.txns.Event(w, run.name, s.txnID)
	}
}

// shared appends a text of which a batch holds one copy.
func (s *stream) shared(c *sharedCell, text []byte) {
	w := s.b
	if c.build == s.build {
		w.Cell(c.cell)
		return
	}
	w.Text(connectors.KindText, text)
	s.keep(c)
}

func (s *stream) sharedText(c *sharedCell, text string) {
	if c.build == s.build {
		s.b.Cell(c.cell)
		return
	}
	s.b.String(text)
	s.keep(c)
}

func (s *stream) keep(c *sharedCell) {
	row := s.b.Row(s.b.Record().Source)
	c.cell, c.build = row[len(row)-1], s.build
}

// emit commits the record.
func (s *stream) emit(rec *connectors.Record, run *rowRun, order connectors.Order) {
	rec.Timestamp, rec.Order = run.e.at, order
	s.b.Commit()
	s.through = order
}

// marked notes the offset after so many rows of the event being handled.
func (s *stream) marked(rows int64) {
	s.flush()
	s.pos.seconds = s.seconds()
	m := mark{pos: s.pos, gtid: s.current, rows: s.passed() + rows, meta: s.tx.open}
	m.pos.row = rows
	m.exact = m.pos
	if s.tx.group {
		m.exact.file, m.exact.pos, m.exact.event = s.tx.file, s.tx.start, s.tx.events
	}
	s.mark, s.tx.inBatch, s.tx.records = m, true, true
}
