package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"

	library "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// reselect reads values again that events do not have, over a connection of its own.
type reselect struct {
	*changes.Reselector
	cfg    *config
	result *resultReader // nil: not connected
	known  map[*connectors.Stream]*table
}

// newReselect returns nil without a post-processor.
func newReselect(t *source) (*reselect, error) {
	r, err := changes.NewReselector(t.cfg.raw, t.log)
	if r == nil || err != nil {
		return nil, err
	}
	return &reselect{Reselector: r, cfg: t.cfg, known: map[*connectors.Stream]*table{}}, nil
}

// note remembers how the rows of a stream become cells. Safe on nil.
func (r *reselect) note(t *table) {
	if r == nil || t == nil || r.known[t.stream] != nil {
		return
	}
	if len(r.known) >= 1000 {
		clear(r.known)
	}
	r.known[t.stream] = t.clone()
}

// fill is Fill with the connection that it needs. Safe on nil.
func (r *reselect) fill(ctx context.Context, w *connectors.Builder) error {
	if r == nil {
		return nil
	}
	return r.Fill(ctx, w, r.fetch)
}

// due tells that enough is missing for a SELECT. Safe on nil.
func (r *reselect) due(w *connectors.Builder) bool { return r != nil && w != nil && r.Due(w) }

func (r *reselect) begin() {
	if r != nil {
		r.Begin()
	}
}

// fetch runs one SELECT.
func (r *reselect) fetch(ctx context.Context, l *changes.Lookup) error {
	t := r.known[l.Stream]
	if t == nil {
		return connectors.AsPermanent(errors.New("the table is not known any more"))
	}
	sql, err := t.lookupSQL(l)
	if err != nil {
		return connectors.AsPermanent(err)
	}
	if err := r.connect(ctx); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, r.result.interrupt)
	err = r.read(sql, t, l)
	if !stop() || r.result.err != nil || r.result.busy {
		r.close()
	}
	if errors.As(err, new(*library.MyError)) {
		err = connectors.AsPermanent(err) // of this statement
	}
	return err
}

func (r *reselect) read(sql string, t *table, l *changes.Lookup) error {
	if err := r.result.query(sql, len(t.selected)); err != nil {
		return err
	}
	for {
		fields, err := r.result.row()
		if err != nil || fields == nil {
			return err
		}
		if err := l.Row(func(w *connectors.Builder) error { return t.appendTextRow(w, fields) }); err != nil {
			return err
		}
	}
}

func (r *reselect) connect(ctx context.Context) error {
	if r.result != nil {
		return nil
	}
	conn, err := r.cfg.connect(ctx)
	if err != nil {
		return err
	}
	r.result = &resultReader{}
	r.result.takeOver(conn)
	return nil
}

// close ends the connection. Safe on nil.
func (r *reselect) close() {
	if r != nil && r.result != nil {
		_ = r.result.conn.Close()
		r.result = nil
	}
}

// lookupSQL selects one field per column of t.selected; those that are not asked for are NULL.
func (t *table) lookupSQL(l *changes.Lookup) (string, error) {
	var sql strings.Builder
	sql.WriteString("SELECT ")
	for n, i := range t.selected {
		if n > 0 {
			sql.WriteString(", ")
		}
		if c := &t.columns[i]; c.cell >= 0 && l.Columns[c.cell] {
			sql.WriteString(c.selected())
		} else {
			sql.WriteString("NULL")
		}
	}
	names := make([]string, len(l.Key))
	for i, k := range l.Key {
		names[i] = quote(l.Stream.Table.Columns[k].Name)
	}
	fmt.Fprintf(&sql, " FROM %s WHERE (%s) IN (", quoteTable(t.id), strings.Join(names, ", "))
	for i, key := range l.Keys {
		if i > 0 {
			sql.WriteString(", ")
		}
		sql.WriteByte('(')
		for j, c := range key {
			text, ok := l.Text(c)
			if !ok {
				return "", errors.New("its key holds values that rows cannot be found by")
			}
			if j > 0 {
				sql.WriteString(", ")
			}
			sql.WriteString(keyLiteral(c, text))
		}
		sql.WriteByte(')')
	}
	sql.WriteByte(')')
	return sql.String(), nil
}

// keyLiteral writes the text of a key's value as SQL. The session is in UTC, so that a TIMESTAMP is written without its zone.
func keyLiteral(c connectors.Cell, text string) string {
	switch c.Kind {
	case connectors.KindText:
		return fmt.Sprintf("_utf8mb4 x'%x'", text)
	case connectors.KindBytes:
		return "x'" + text + "'"
	case connectors.KindBits:
		return "b'" + text + "'"
	case connectors.KindDate, connectors.KindTime, connectors.KindTimestamp, connectors.KindTimestampTZ:
		return "'" + strings.TrimSuffix(text, "+00:00") + "'"
	}
	return text
}
