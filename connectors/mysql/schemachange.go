package mysql

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/mysql/ddl"
)

// minorsPerStatement is how many places in the order a statement takes that changes structure: more than it has records.
const minorsPerStatement = 1 << 16

// ddl handles a statement that may have changed structure. Outside of a transaction it is one of its own.
func (s *stream) ddl(ctx context.Context, e *logEvent, q *queryEvent) error {
	if s.resume.armed && s.tx.group && s.tx.events < s.resume.events {
		return nil // it is in the history, and was delivered
	}
	alone := !s.tx.group || s.tx.standalone
	if !s.tx.group {
		s.beginGroup(false, -1)
	}
	s.pos.seconds = s.seconds()
	at := s.pos
	at.gtids = s.completed()
	mode, text := q.decode()
	events, err := s.schema.apply(ctx, at, q.database, text, mode)
	if err != nil {
		return err
	}
	order, emitted := s.order(s.tx.minor), s.b.Len()
	for i := range events {
		if err := s.structureChanged(e, &events[i], order); err != nil {
			return err
		}
		order.Minor++
	}
	s.tx.minor += minorsPerStatement
	if s.b.Len() > emitted {
		s.flush()
		s.mark = mark{pos: s.pos, exact: s.pos, gtid: s.current, whole: alone}
		if m := &s.mark; alone {
			m.exact.file, m.exact.pos, m.exact.event, m.exact.row = s.file, s.at+s.size, 0, 0
		} else {
			m.exact.file, m.exact.pos, m.exact.event, m.exact.row = s.tx.file, s.tx.start, s.tx.events+1, 0
		}
		s.tx.inBatch, s.tx.records = true, true
	}
	if alone {
		s.endGroup()
	}
	return nil
}

// seconds is the time of the change as offsets have it.
func (s *stream) seconds() int64 {
	n := s.micros / 1e6
	if s.micros%1e6 < 0 {
		n--
	}
	return n
}

// structureChanged emits what a statement did to one table: a truncate event, or a record of the schema change topic.
func (s *stream) structureChanged(e *logEvent, event *schemaEvent, order connectors.Order) error {
	v := sourceValues{
		micros: s.micros / 1e3 * 1e3, serverID: e.server, gtid: string(s.gtid), file: s.file, pos: s.at, thread: s.tx.thread, query: s.tx.query,
	}
	if event.Kind != ddl.Truncate {
		r := s.schema.appendEvent(s.b, event, v.values, time.Unix(0, e.at))
		r.Order, s.through = order, order
		return nil
	}
	id := changes.TableID{Catalog: event.ID.Database, Name: event.ID.Table}
	def := s.schema.table(event.ID)
	if def == nil || !s.cfg.selection.Table(id) || s.tx.filtered || s.cfg.operations.Skips(connectors.OpTruncate) {
		return nil
	}
	t := s.known[id]
	if t == nil || t.def != def {
		made, err := s.makeTable(def)
		if err != nil {
			return err
		}
		t = &tracked{def: def, table: made}
		s.known[id] = t
	}
	rec := s.b.Begin(s.index(t), connectors.OpTruncate)
	v.append(s.b)
	rec.Timestamp, rec.Order = e.at, order
	s.b.Commit()
	s.through = order
	return nil
}

// The status variables of a QUERY event: a code, then a value whose length the code gives (MySQL, Query_event).
const (
	statusFlags2     = 0
	statusSQLMode    = 1
	statusCatalog    = 2
	statusIncrement  = 3
	statusCharset    = 4
	statusTimeZone   = 5
	statusCatalogNZ  = 6
	statusLocale     = 7
	statusCharsetDB  = 8
	statusBitsUpdate = 9
)

// decode returns the SQL mode in which the statement ran, and its text in UTF-8.
func (q *queryEvent) decode() (ddl.SQLMode, string) {
	var mode ddl.SQLMode
	text := q.text
	c := cursor{data: q.status}
	for len(c.data) > 0 && !c.short {
		switch c.byte() {
		case statusFlags2, statusIncrement:
			c.take(4)
		case statusSQLMode:
			if b := c.take(8); b != nil {
				mode = ddl.SQLMode(binary.LittleEndian.Uint64(b))
			}
		case statusCatalog:
			c.take(uint64(c.byte()) + 1)
		case statusCharset:
			if b := c.take(6); b != nil {
				if set := collationCharset(binary.LittleEndian.Uint16(b)); set != nil && !set.plain(text) {
					text = set.appendUTF8(nil, text)
				}
			}
		case statusTimeZone, statusCatalogNZ:
			c.take(uint64(c.byte()))
		case statusLocale, statusCharsetDB:
			c.take(2)
		case statusBitsUpdate:
			c.take(8)
		default:
			return mode, string(text) // nothing that is needed comes behind
		}
	}
	return mode, string(text)
}
