package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Sources of the workload.
const (
	Postgres = "postgres"
	MySQL    = "mysql" // a MariaDB
)

// source is the server that the workload writes to and the worker reads from. What differs between the kinds of servers is behind
// it: the process, the SQL of one statement, the worker's configuration.
type source interface {
	// start returns when the server takes connections; its database is empty.
	start(ctx context.Context) error
	// stop may be called whether it was started or not.
	stop() error
	// create creates the workload's tables.
	create(ctx context.Context, tables []table) error
	// open connects a writer.
	open(ctx context.Context) (session, error)
	// rows reads a table by key; a key that is there twice is noted in the report.
	rows(ctx context.Context, t *table, r *report) (map[string]stored, error)
	// connector are the keys of a connector of that name that reads the tables.
	connector(name string, tables []table) map[string]string
	// space is the schema or the database of the tables, as the names of topics have it.
	space() string
	// hint is a command line that looks inside.
	hint() string
}

// session is a writer's connection.
type session interface {
	// run runs the statements as one transaction, which it commits or rolls back. sent is when COMMIT was sent; zero where the
	// server itself tells the time of a commit.
	run(ctx context.Context, statements []statement, commit bool) (sent time.Time, err error)
	close()
}

// newSource makes the source of that kind, not started yet.
func newSource(kind, cache, work string) (source, error) {
	if kind == MySQL {
		port, err := freePort()
		return &mariadb{cache: cache, work: work, address: fmt.Sprintf("127.0.0.1:%d", port), password: rand.Text()}, err
	}
	d, err := newDatabase("source", cache, work)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// statement changes exactly one row. Without a key it inserts, without assignments it deletes.
type statement struct {
	table *table
	set   []assignment
	key   []*string // of the row as it is before
}

// assignment gives a column a value, as text; nil is NULL.
type assignment struct {
	column string
	value  *string
	add    bool // to what the column has
}

var errNoRows = errors.New("a statement of the workload changed no row")

// changed checks the number of rows that the statement changed.
func (s *statement) changed(rows int64) error {
	if rows != 1 {
		return fmt.Errorf("%w: table %s, key %s", errNoRows, s.table.name, s.table.joined(s.key))
	}
	return nil
}

// sql is the statement's text, with every value as place writes it.
func (s *statement) sql(place func(c *column, value *string) string) string {
	var set, where []string
	for _, a := range s.set {
		c := s.table.column(a.column)
		v := place(c, a.value)
		switch {
		case a.add:
			v = c.name + " = " + c.name + " + " + v
		case s.key != nil:
			v = c.name + " = " + v
		}
		set = append(set, v)
	}
	if s.key == nil {
		return "INSERT INTO " + s.table.name + " VALUES (" + strings.Join(set, ", ") + ")"
	}
	for i, k := range s.table.key {
		c := &s.table.columns[k]
		where = append(where, c.name+" = "+place(c, s.key[i]))
	}
	condition := " WHERE " + strings.Join(where, " AND ")
	if set == nil {
		return "DELETE FROM " + s.table.name + condition
	}
	return "UPDATE " + s.table.name + " SET " + strings.Join(set, ", ") + condition
}

// texts are values as every source reads them; nil is NULL.
func texts(values ...any) []*string {
	out := make([]*string, len(values))
	for i, v := range values {
		var s string
		switch x := v.(type) {
		case nil:
			continue
		case bool:
			s = "0"
			if x {
				s = "1"
			}
		case time.Time:
			s = x.UTC().Format("2006-01-02 15:04:05.000000")
		default:
			s = fmt.Sprint(x)
		}
		out[i] = &s
	}
	return out
}
