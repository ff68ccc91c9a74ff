package mysql

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
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
	mode, text := q.decode(s.schema.timestamps)
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

// The status variables of a QUERY event, in the order of their codes: a code, then a value whose length the code gives (MySQL, Query_event).
const (
	statusFlags2       = 0
	statusSQLMode      = 1
	statusCatalog      = 2
	statusIncrement    = 3
	statusCharset      = 4
	statusTimeZone     = 5
	statusCatalogNZ    = 6
	statusLocale       = 7
	statusCharsetDB    = 8
	statusBitsUpdate   = 9
	statusDataWritten  = 10
	statusInvoker      = 11
	statusDatabases    = 12
	statusMicroseconds = 13
	statusExplicit     = 16 // explicit_defaults_for_timestamp

	manyDatabases = 254 // statusDatabases: more than are named
)

// timestamps is how to know explicit_defaults_for_timestamp of a statement. MySQL's events have it as a status variable.
type timestamps struct {
	implicit bool // OFF on the server now
	flagged  bool // MariaDB: sessions have a value of their own, which their events have among the flags
}

// flagExplicit is the bit of statusFlags2 in which MariaDB says explicit_defaults_for_timestamp=ON.
const flagExplicit = 1 << 24

// readTimestamps asks the server.
func (t *source) readTimestamps(ctx context.Context) (how timestamps, err error) {
	const name = "'explicit_defaults_for_timestamp'"
	rows, err := t.cfg.texts(ctx, t.meta, "SHOW GLOBAL VARIABLES LIKE "+name)
	if err == nil && len(rows) > 0 {
		how.implicit = rows[0][1] == "OFF"
	}
	if err == nil && t.cfg.flavor == flavorMariaDB {
		rows, err = t.cfg.texts(ctx, t.meta, "SELECT VARIABLE_SCOPE FROM information_schema.SYSTEM_VARIABLES WHERE VARIABLE_NAME = "+name)
		how.flagged = err == nil && len(rows) > 0 && rows[0][0] == "SESSION"
	}
	if err != nil {
		return how, fmt.Errorf("read explicit_defaults_for_timestamp: %w", err)
	}
	return how, nil
}

// decode returns the SQL mode in which the statement ran, and its text in UTF-8.
func (q *queryEvent) decode(how timestamps) (ddl.SQLMode, string) {
	var mode ddl.SQLMode
	text, implicit := q.text, how.implicit
	for c := (cursor{data: q.status}); len(c.data) > 0 && !c.short; {
		switch code := c.byte(); code {
		case statusFlags2:
			if b := c.take(4); b != nil && how.flagged {
				implicit = binary.LittleEndian.Uint32(b)&flagExplicit == 0
			}
		case statusSQLMode:
			if b := c.take(8); b != nil {
				mode = ddl.SQLMode(binary.LittleEndian.Uint64(b))
			}
		case statusCharset:
			if b := c.take(6); b != nil {
				if set := collationCharset(binary.LittleEndian.Uint16(b)); set != nil && !set.plain(text) {
					text = set.appendUTF8(nil, text)
				}
			}
		case statusExplicit:
			implicit = c.byte() == 0
		default:
			if !c.skipStatus(code) { // nothing that is needed comes behind
				c.data = nil
			}
		}
	}
	if implicit {
		mode |= ddl.ImplicitTimestamp
	}
	return mode, string(text)
}

// skipStatus passes the value of a status variable; false: its length is not known.
func (c *cursor) skipStatus(code byte) bool {
	switch code {
	case statusIncrement, statusDataWritten:
		c.take(4)
	case statusCatalog:
		c.take(uint64(c.byte()) + 1)
	case statusTimeZone, statusCatalogNZ:
		c.take(uint64(c.byte()))
	case statusLocale, statusCharsetDB:
		c.take(2)
	case statusBitsUpdate:
		c.take(8)
	case statusMicroseconds:
		c.take(3)
	case statusInvoker:
		c.take(uint64(c.byte()))
		c.take(uint64(c.byte()))
	case statusDatabases:
		n := c.byte()
		for i := byte(0); n != manyDatabases && i < n && !c.short; i++ {
			c.take(uint64(bytes.IndexByte(c.data, 0)) + 1)
		}
	default:
		return false
	}
	return true
}
