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

// reselect reads values again that events do not have.
type reselect struct {
	*changes.Reselector // nil: no post-processor
	by                  *rereader
}

// rereader is a connection of its own.
type rereader struct {
	cfg    *config
	result *resultReader // nil: not connected
}

func newReselect(t *source) (reselect, error) {
	r, err := changes.NewReselector(t.cfg.raw, t.log)
	return reselect{r, &rereader{cfg: t.cfg}}, err
}

// note remembers how the rows of a stream become cells.
func (r reselect) note(t *table) {
	if r.Reselector == nil || t == nil || r.Knows(t.stream) {
		return
	}
	t = t.clone()
	r.Note(t.stream, func(ctx context.Context, l *changes.Lookup) error { return r.by.fetch(ctx, t, l) })
}

// fetch runs one SELECT.
func (r *rereader) fetch(ctx context.Context, t *table, l *changes.Lookup) error {
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

func (r *rereader) read(sql string, t *table, l *changes.Lookup) error {
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

func (r *rereader) connect(ctx context.Context) error {
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
func (r *rereader) close() {
	if r != nil && r.result != nil {
		_ = r.result.conn.Close()
		r.result = nil
	}
}

// lookupSQL selects one field per column of t.selected; those that are not asked for are NULL.
func (t *table) lookupSQL(l *changes.Lookup) (string, error) {
	fields := make([]string, len(t.selected))
	for n, i := range t.selected {
		fields[n] = "NULL"
		if c := &t.columns[i]; l.Asks(c.cell) {
			fields[n] = c.selected()
		}
	}
	return l.SQL(fields, quoteTable(t.id), quote, keyLiteral)
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
