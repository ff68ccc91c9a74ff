package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

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
	cfg  *config
	conn *pgx.Conn // nil: not connected
}

func newReselect(t *source) (reselect, error) {
	r, err := changes.NewReselector(t.cfg.raw, t.log)
	return reselect{r, &rereader{cfg: t.cfg}}, err
}

// note remembers how the rows of a stream become cells.
func (r reselect) note(rel *relation) {
	if r.Reselector != nil {
		r.Note(rel.stream, func(ctx context.Context, l *changes.Lookup) error { return r.by.fetch(ctx, rel, l) })
	}
}

// fetch runs one SELECT.
func (r *rereader) fetch(ctx context.Context, rel *relation, l *changes.Lookup) error {
	if err := r.connect(ctx); err != nil {
		return err
	}
	sql, err := rel.lookupSQL(l)
	if err != nil {
		return connectors.AsPermanent(err)
	}
	err = r.read(ctx, sql, rel, l)
	if r.conn.IsClosed() {
		r.conn = nil
	} else if sqlState(err) != "" && !strings.HasPrefix(sqlState(err), "57") {
		err = connectors.AsPermanent(err) // of this statement
	}
	return err
}

func (r *rereader) read(ctx context.Context, sql string, rel *relation, l *changes.Lookup) error {
	answer := r.conn.PgConn().Exec(ctx, sql)
	for answer.NextResult() {
		rows := answer.ResultReader()
		for rows.NextRow() {
			fields := rows.Values()
			if err := l.Row(func(w *connectors.Builder) error { return rel.appendTextRow(w, fields) }); err != nil {
				return errors.Join(connectors.AsPermanent(err), answer.Close())
			}
		}
		if _, err := rows.Close(); err != nil {
			return errors.Join(err, answer.Close())
		}
	}
	return answer.Close()
}

func (r *rereader) connect(ctx context.Context) error {
	if r.conn != nil {
		return nil
	}
	config, err := r.cfg.connConfig(false)
	if err != nil {
		return connectors.AsPermanent(err)
	}
	if r.conn, err = pgx.ConnectConfig(ctx, config); err != nil {
		r.conn = nil
		var server *pgconn.PgError
		if errors.As(err, &server) {
			return fmt.Errorf("connect: the server answered %q (%s)", server.Message, server.Code)
		}
		return errors.New("connect: the server cannot be reached") // pgx shows the configuration
	}
	return nil
}

// close ends the connection. Safe on nil.
func (r *rereader) close(ctx context.Context) {
	if r != nil && r.conn != nil {
		_ = r.conn.Close(ctx)
		r.conn = nil
	}
}

// lookupSQL selects one field per column of a tuple; those that are not asked for are NULL.
func (r *relation) lookupSQL(l *changes.Lookup) (string, error) {
	fields := make([]string, len(r.tuple))
	for i := range r.tuple {
		fields[i] = "NULL"
		if c := &r.tuple[i]; l.Asks(c.cell) {
			fields[i] = quoteName(c.name)
		}
	}
	return l.SQL(fields, r.quotedName(), quoteName, keyLiteral)
}

// keyLiteral writes the text of a key's value as SQL.
func keyLiteral(c connectors.Cell, text string) string {
	if c.Kind == connectors.KindBytes {
		text = `\x` + text
	}
	return quoteLiteral(text)
}
