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

// reselect reads values again that events do not have, over a connection of its own.
type reselect struct {
	*changes.Reselector
	cfg   *config
	conn  *pgx.Conn // nil: not connected
	known map[*connectors.Stream]*relation
}

// newReselect returns nil without a post-processor.
func newReselect(t *source) (*reselect, error) {
	r, err := changes.NewReselector(t.cfg.raw, t.log)
	if r == nil || err != nil {
		return nil, err
	}
	return &reselect{Reselector: r, cfg: t.cfg, known: map[*connectors.Stream]*relation{}}, nil
}

// note remembers how the rows of a stream become cells. Safe on nil.
func (r *reselect) note(rel *relation) {
	if r == nil {
		return
	}
	if len(r.known) >= 1000 {
		clear(r.known)
	}
	r.known[rel.stream] = rel
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
	rel := r.known[l.Stream]
	if rel == nil {
		return connectors.AsPermanent(errors.New("the table is not known any more"))
	}
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

func (r *reselect) read(ctx context.Context, sql string, rel *relation, l *changes.Lookup) error {
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

func (r *reselect) connect(ctx context.Context) error {
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
func (r *reselect) close(ctx context.Context) {
	if r != nil && r.conn != nil {
		_ = r.conn.Close(ctx)
		r.conn = nil
	}
}

// lookupSQL selects one field per column of a tuple; those that are not asked for are NULL.
func (r *relation) lookupSQL(l *changes.Lookup) (string, error) {
	var sql strings.Builder
	sql.WriteString("SELECT ")
	for i := range r.tuple {
		if i > 0 {
			sql.WriteString(", ")
		}
		if c := &r.tuple[i]; c.cell >= 0 && l.Columns[c.cell] {
			sql.WriteString(quoteName(c.name))
		} else {
			sql.WriteString("NULL")
		}
	}
	names := make([]string, len(l.Key))
	for i, k := range l.Key {
		names[i] = quoteName(l.Stream.Table.Columns[k].Name)
	}
	fmt.Fprintf(&sql, " FROM %s WHERE (%s) IN (", r.quotedName(), strings.Join(names, ", "))
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
			if c.Kind == connectors.KindBytes {
				text = `\x` + text
			}
			if j > 0 {
				sql.WriteString(", ")
			}
			sql.WriteString(quoteLiteral(text))
		}
		sql.WriteByte(')')
	}
	sql.WriteByte(')')
	return sql.String(), nil
}
