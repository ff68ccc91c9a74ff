package mysql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/mysql/ddl"
)

// errNoHistory tells that there is an offset, but no schema history to go with it.
var errNoHistory = errors.New("the schema history is missing: put it back; or start once with snapshot.mode=recovery, which makes it anew, when no table " +
	"changed since the offset; or with snapshot.mode=when_needed, which takes a new snapshot " +
	"(The db history topic is missing. You may attempt to recover it by reconfiguring the connector to recovery.)")

// schema is what the tables look like at the position of the stream. Each statement that changes them goes into the schema history
// before anything that follows from it is emitted (I1). It belongs to the goroutine of Poll.
type schema struct {
	cfg       *config
	log       *slog.Logger
	lower     bool // names of tables are in lower case
	history   history
	catalog   *ddl.Catalog
	topic     *schemaTopic
	filter    []*regexp.Regexp // statements that are passed over
	preferDDL bool             // prefer.ddl: recover from statements, not from the tables stored with them
	timestamps
	changed uint64
	warned  bool // of statements that change rows
	redo    *redo
	failed  error // a statement was applied and could not be stored
}

// redo is what was recorded of the statement that the server will send first: the catalog before it, and its records.
type redo struct {
	before  *ddl.Catalog
	records []historyRecord
}

// statement is one as the server gives it, with the database in which it ran.
type statement struct{ database, text string }

// newSchema makes an empty schema; lower: the server compares names of tables in lower case (lower_case_table_names above 0). source
// is the block of records of the schema change topic, headers are those of every record.
func newSchema(cfg *config, lower bool, source *connectors.SourceBlock, headers []connectors.Header, log *slog.Logger) (*schema, error) {
	h, err := newHistory(cfg, log)
	if err != nil {
		return nil, err
	}
	s := &schema{cfg: cfg, log: log, lower: lower, history: h, topic: newSchemaTopic(cfg, source, headers)}
	s.preferDDL = strings.EqualFold(strings.TrimSpace(cfg.raw[historyKeys+"prefer.ddl"]), "true")
	if s.filter, err = statementFilter(cfg.raw); err != nil {
		return nil, err
	}
	s.catalog = ddl.NewCatalog(s.flavor(), lower)
	return s, nil
}

func (s *schema) flavor() ddl.Flavor {
	if s.cfg.flavor == flavorMariaDB {
		return ddl.MariaDB
	}
	return ddl.MySQL
}

// table returns a table; nil: not known.
func (s *schema) table(id ddl.ID) *ddl.Table { return s.catalog.Table(id) }

// version grows whenever a table may be another one than before.
func (s *schema) version() uint64 { return s.changed }

func (s *schema) close() { s.history.close() }

// kept tells whether there is a history.
func (s *schema) kept(ctx context.Context) (bool, error) {
	if err := s.history.open(ctx); err != nil {
		return false, err
	}
	return s.history.exists(ctx)
}

// recover reads the history up to a position, whose GTIDs count when both have them. errNoHistory: there is none.
func (s *schema) recover(ctx context.Context, at position) error {
	began := time.Now()
	stop, err := newStopPoint(at, s.cfg.flavor == flavorMariaDB, s.cfg.gtids.accepts, s.log)
	if err != nil {
		return connectors.AsPermanent(fmt.Errorf("recover the schema history: %w", err))
	}
	stop.byFile = s.cfg.gtids.ignore
	there, err := s.kept(ctx)
	if err != nil {
		return err
	}
	if !there {
		return fmt.Errorf("%w; it was looked for in %s", errNoHistory, s.cfg.history.place())
	}
	s.catalog, s.redo, s.failed = ddl.NewCatalog(s.flavor(), s.lower), nil, nil
	s.changed++
	records, applied, reader := 0, 0, newHistoryReader()
	if err := s.history.read(ctx, func(place string, data []byte) error {
		records++
		h, err := reader.decode(data)
		if err != nil {
			return connectors.AsPermanent(fmt.Errorf("%s: %w: restore the record, or make the history anew with snapshot.mode=recovery", place, err))
		}
		if h.server != s.cfg.naming.Prefix {
			return nil
		}
		ok, again, err := stop.reached(&h.position)
		if err != nil {
			return connectors.AsPermanent(fmt.Errorf("%s: %w", place, err))
		}
		if !ok {
			return nil
		}
		applied++
		if again && s.redo == nil {
			s.redo = &redo{before: s.catalog.Clone()}
		}
		if again {
			s.redo.records = append(s.redo.records, h)
		} else if s.redo != nil { // the reference writes earlier records another time when it is stopped in between
			if err := s.restore(s.redo.before, &h, place); err != nil {
				return err
			}
		}
		return s.restore(s.catalog, &h, place)
	}); err != nil {
		return err
	}
	s.log.Info("recovered the schema history", "records", records, "applied", applied, "tables", len(s.catalog.Tables()), "took", time.Since(began))
	return nil
}

// restore applies one record to a catalog.
func (s *schema) restore(to *ddl.Catalog, h *historyRecord, place string) error {
	if s.preferDDL || len(h.changes) == 0 {
		if h.ddl == "" || s.filtered(h.ddl) {
			return nil
		}
		if _, err := to.Apply(h.database, h.ddl, s.usual()); err != nil {
			return s.unparseable(place, h.database, err)
		}
		return nil
	}
	for i := range h.changes {
		c := &h.changes[i]
		switch c.Kind {
		case ddl.Drop:
			to.Remove(c.ID)
			continue
		case ddl.Alter:
			if c.Previous != (ddl.ID{}) {
				to.Remove(c.Previous)
			} else if to.Table(c.ID) == nil {
				// ALTER TABLE … RENAME: only the statement has the former name. When it cannot be read, a table is left that is not there.
				_, _ = to.Apply(h.database, h.ddl, 0)
			}
		}
		to.Put(c.Table)
	}
	return nil
}

// usual is the mode of a statement that does not say its own: a history has none.
func (s *schema) usual() ddl.SQLMode {
	if s.implicit {
		return ddl.ImplicitTimestamp
	}
	return 0
}

// unparseable is the error of a statement, nil when those are passed over.
func (s *schema) unparseable(place, database string, err error) error {
	err = fmt.Errorf("parse the statement at %s (database %q): %w", place, database, err)
	if s.cfg.history.skipUnparseable {
		s.log.Warn("passing over a statement that cannot be parsed (schema.history.internal.skip.unparseable.ddl=true): tables may be another way than known here", "error", err)
		return nil
	}
	return connectors.AsPermanent(fmt.Errorf("%w: if it changes no captured table, set schema.history.internal.skip.unparseable.ddl=true and start again", err))
}

// apply follows a statement of the binlog; at is the position behind it as the offset has it. What it returns is to be emitted: events
// of the schema change topic when include.schema.changes asks for them, and tables that were emptied (ddl.Truncate). The records of the
// history are durable then.
func (s *schema) apply(ctx context.Context, at position, database, text string, mode ddl.SQLMode) ([]schemaEvent, error) {
	return s.run(ctx, at, mode, statement{database, text})
}

// describe follows statements of a snapshot, which say what is there; their records are written together.
func (s *schema) describe(ctx context.Context, at position, statements []statement) ([]schemaEvent, error) {
	return s.run(ctx, at, 0, statements...)
}

func (s *schema) run(ctx context.Context, at position, mode ddl.SQLMode, statements ...statement) ([]schemaEvent, error) {
	if s.failed != nil {
		return nil, s.failed
	}
	if err := s.history.open(ctx); err != nil {
		return nil, &sessionError{err}
	}
	known := s.rewind(&at)
	var emit []schemaEvent
	var records []historyRecord
	for _, st := range statements {
		events, err := s.follow(&at, mode, st)
		if err != nil {
			return nil, err
		}
		for _, e := range events {
			if r := s.record(&at, &e); s.stores(&e) && !known(&r) {
				records = append(records, r)
			}
			if e.Kind == ddl.Truncate || s.cfg.schemaChanges {
				emit = append(emit, e)
			}
		}
	}
	if len(records) == 0 {
		return emit, nil
	}
	if err := s.history.append(ctx, records); err != nil {
		s.failed = &sessionError{err}
		return nil, s.failed
	}
	return emit, nil
}

// rewind goes back before the first statement after a recovery when the history has it already. known tells what it has.
func (s *schema) rewind(at *position) (known func(*historyRecord) bool) {
	r := s.redo
	s.redo = nil
	if r == nil || !s.sameStatement(&r.records[0].position, at) {
		return func(*historyRecord) bool { return false }
	}
	s.catalog = r.before
	s.changed++
	return func(h *historyRecord) bool {
		return slices.ContainsFunc(r.records, func(k historyRecord) bool {
			return k.ddl == h.ddl && k.database == h.database && k.position.event == h.position.event
		})
	}
}

// sameStatement tells whether both positions are behind the same statement of one server, or of one transaction.
func (s *schema) sameStatement(p, q *position) bool {
	if p.gtids != "" && q.gtids != "" {
		mariadb := s.cfg.flavor == flavorMariaDB
		a, err := parseGTIDSet(p.gtids, mariadb)
		b, err2 := parseGTIDSet(q.gtids, mariadb)
		return err == nil && err2 == nil && a.within(b) && b.within(a)
	}
	return p.file == q.file && p.pos == q.pos && p.event == q.event
}

// follow applies a statement and returns what the reference calls its schema change events.
func (s *schema) follow(at *position, mode ddl.SQLMode, st statement) ([]schemaEvent, error) {
	text := strings.TrimSpace(valid(st.text))
	if s.passes(text) {
		return nil, nil
	}
	done, err := s.catalog.Apply(st.database, text, mode)
	if err != nil {
		if err := s.unparseable(fmt.Sprintf("%s:%d", at.file, at.pos), st.database, err); err != nil {
			return nil, err
		}
	}
	var events []schemaEvent
	for i := range done {
		if d := &done[i]; len(d.Unknown) > 0 && (slices.ContainsFunc(d.Tables, s.captures) || slices.ContainsFunc(d.Unknown, s.captures)) {
			s.log.Warn("a statement that concerns a captured table builds on tables that the schema history does not have; rows of the captured table cannot be read "+
				"without binlog_row_metadata=FULL: when the task stops at them, start once with snapshot.mode=recovery", "tables", d.Tables, "unknown", d.Unknown, "file", at.file, "pos", at.pos)
		}
		for _, c := range done[i].Changes {
			s.changed++
			if c.Statement != "" { // the others follow from it
				events = append(events, schemaEvent{Change: c, database: c.ID.Database})
			}
		}
	}
	if len(events) == 0 {
		events = []schemaEvent{{Change: ddl.Change{Statement: text}, database: st.database}}
	}
	if s.cfg.history.capturedTables && !slices.ContainsFunc(events, s.concerns) {
		return nil, nil
	}
	nameTables(events)
	return slices.DeleteFunc(events, func(e schemaEvent) bool {
		return e.database != "" && !s.cfg.selection.Database(e.database) && (s.cfg.history.capturedTables || s.cfg.history.capturedDatabases)
	}), nil
}

// passes tells what is no definition of data, or of nobody's concern.
func (s *schema) passes(text string) bool {
	switch text {
	case "", "BEGIN", "END", "FLUSH PRIVILEGES":
		return true
	}
	if s.filtered(text) && !truncateTable.MatchString(text) {
		return true
	}
	if rowStatement.MatchString(text) {
		if !s.warned {
			s.warned = true
			s.log.Warn("a statement that changes rows stands in the binlog; its rows are lost to this connector: the server, or a session, writes with binlog_format=STATEMENT or MIXED")
		}
		return true
	}
	return secretStatement.MatchString(text) // I12
}

func (s *schema) filtered(text string) bool {
	return slices.ContainsFunc(s.filter, func(r *regexp.Regexp) bool { return r.MatchString(text) })
}

// concerns tells whether a captured table or database has to do with an event, or all have.
func (s *schema) concerns(e schemaEvent) bool {
	switch e.Kind {
	case 0:
		return globalSet(&e)
	case ddl.Database:
		return e.database == "" || s.cfg.selection.Database(e.database)
	}
	return s.captures(e.ID)
}

func (s *schema) captures(id ddl.ID) bool {
	return s.cfg.selection.Table(changes.TableID{Catalog: id.Database, Name: id.Table})
}

// stores tells whether an event goes into the history.
func (s *schema) stores(e *schemaEvent) bool {
	switch {
	case e.Kind == ddl.Truncate:
		return false
	case !s.cfg.history.capturedTables, globalSet(e):
		return true
	}
	return e.ID.Table != "" && s.captures(e.ID)
}

func globalSet(e *schemaEvent) bool {
	return e.database == "" && len(e.Statement) > 4 && strings.EqualFold(e.Statement[:4], "SET ")
}

// record is what the history keeps of an event.
func (s *schema) record(at *position, e *schemaEvent) historyRecord {
	h := historyRecord{server: s.cfg.naming.Prefix, position: *at, time: time.Now(), database: e.database, ddl: e.Statement}
	switch e.Kind {
	case ddl.Create, ddl.Alter, ddl.Drop:
		c := e.Change
		if len(c.Statement) < 6 || !strings.EqualFold(c.Statement[:6], "RENAME") {
			c.Previous = ddl.ID{} // the reference says it of RENAME TABLE only
		}
		c.Table = s.describable(c.Table)
		h.changes = []ddl.Change{c}
	}
	return h
}

// describable is a table without the comments that the configuration does not ask for.
func (s *schema) describable(t *ddl.Table) *ddl.Table {
	if t == nil || s.cfg.commented() {
		return t
	}
	plain := *t
	plain.Comment, plain.Columns = "", slices.Clone(t.Columns)
	for i := range plain.Columns {
		plain.Columns[i].Comment = ""
	}
	return &plain
}
