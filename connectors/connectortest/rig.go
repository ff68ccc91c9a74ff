package connectortest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/schemas"
)

// patience bounds each call of a sink in a Rig.
const patience = 60 * time.Second

// Rig is a sink of rows and what the runtime is to it, for tests of what single changes become. One goroutine uses it.
type Rig struct {
	testing.TB
	Task    connectors.SinkTask
	Session *Session
}

// Start starts a task, which takes the place of the one before and is stopped when the test ends.
func (r *Rig) Start(task connectors.SinkTask) {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := task.Start(ctx, r.Session); err != nil {
		r.Fatalf("Start: %v", err)
	}
	r.Task = task
	r.Cleanup(func() { _ = task.Stop(context.Background()) })
}

// Put hands over a batch that fill makes.
func (r *Rig) Put(fill func(w *connectors.Builder)) error {
	w := connectors.NewBuilder(Partition(1), nil, nil)
	fill(w)
	return r.put(w)
}

func (r *Rig) put(w *connectors.Builder) error {
	id := r.Session.Next()
	b := w.Finish(offsets.Offset(fmt.Sprintf(`{"n":%d}`, id)), connectors.Order{Epoch: 1, Major: uint64(id), Minor: 1})
	b.ID = id
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := r.Task.Put(ctx, b)
	if err != nil {
		b.Release()
	}
	return err
}

// Flush makes durable what was put.
func (r *Rig) Flush() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return r.Task.Flush(ctx)
}

// Write puts changes, whose positions come after those before, and makes them durable.
func (r *Rig) Write(stream *connectors.Stream, list ...Change) {
	r.Helper()
	if err := r.TryWrite(stream, list...); err != nil {
		r.Fatal(err)
	}
}

// TryWrite is Write; it returns the error.
func (r *Rig) TryWrite(stream *connectors.Stream, list ...Change) error {
	major := uint64(r.Session.last) + 1
	err := r.Put(func(w *connectors.Builder) {
		for i, c := range list {
			c.Append(w, stream, connectors.Order{Epoch: 1, Major: major, Minor: uint32(2*i + 1)})
		}
	})
	if err == nil {
		err = r.Flush()
	}
	return err
}

// Refused checks that there is an error that says all of these texts.
func (r *Rig) Refused(err error, texts ...string) {
	r.Helper()
	if err == nil {
		r.Fatal("no error")
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			r.Errorf("error %q does not say %q", err, text)
		}
	}
}

// Change is a change of a row: the new row (of a delete: the row that goes, of which the key counts), and the old one, nil when it was not
// sent. Values are nil, Unavailable, bool, int, uint64, float64, string, time.Time (a timestamp with time zone), Temporal, Text, []any (a list).
type Change struct {
	Op  connectors.Op
	Row []any
	Old []any
}

// Unavailable is a value that the source did not send.
type Unavailable struct{}

// Temporal is a value of a kind that Builder.Temporal takes.
type Temporal struct {
	Kind connectors.Kind
	V    int64
}

// Text is a value of a kind that Builder.Text takes.
type Text struct {
	Kind connectors.Kind
	V    string
}

// Append adds the change to a batch.
func (c Change) Append(w *connectors.Builder, s *connectors.Stream, at connectors.Order) {
	w.Begin(w.Stream(s), c.Op).Order = at
	if c.Op != connectors.OpTruncate && len(s.Table.Key) > 0 {
		w.Key()
		for _, k := range s.Table.Key {
			appendValue(w, c.Row[k])
		}
	}
	if c.Old != nil {
		w.Before()
		for _, v := range c.Old {
			appendValue(w, v)
		}
	}
	switch c.Op {
	case connectors.OpTruncate, connectors.OpDelete, connectors.OpTombstone:
	default:
		w.After()
		for _, v := range c.Row {
			appendValue(w, v)
		}
	}
	w.Commit()
}

func appendValue(w *connectors.Builder, v any) {
	switch v := v.(type) {
	case nil:
		w.Null()
	case Unavailable:
		w.Unavailable()
	case bool:
		w.Bool(v)
	case int:
		w.Int(int64(v))
	case uint64:
		w.Uint(v)
	case float64:
		w.Float64(v)
	case string:
		w.String(v)
	case time.Time:
		w.Temporal(connectors.KindTimestampTZ, v.UnixMicro())
	case Temporal:
		w.Temporal(v.Kind, v.V)
	case Text:
		w.Text(v.Kind, []byte(v.V))
	case []any:
		w.BeginList(connectors.KindList)
		for _, e := range v {
			appendValue(w, e)
		}
		w.EndList()
	default:
		panic(fmt.Sprintf("a Change has no values of type %T", v))
	}
}

// Column is a column of a table, of no particular length.
func Column(name string, typ schemas.Type, spelled string, optional bool) schemas.Column {
	return schemas.Column{Name: name, Type: typ, TypeName: spelled, Length: -1, Scale: -1, Optional: optional}
}

// Table is the stream of a table public.name of a Postgres source, whose first keys columns are the key.
func Table(name string, keys int, columns ...schemas.Column) *connectors.Stream {
	s := &connectors.Stream{
		Topic: "t.public." + name, Row: &schemas.Schema{Kind: schemas.Struct},
		Table: &schemas.Table{Catalog: "db", Schema: "public", Name: name, Columns: columns},
	}
	for i := range keys {
		s.Table.Key = append(s.Table.Key, i)
		s.KeyFields = append(s.KeyFields, connectors.Field{Name: columns[i].Name, Cell: i})
	}
	return s
}

// Bets is a Table with the columns id (the key), horse and stake.
func Bets() *connectors.Stream {
	return Table("bets", 1, Column("id", schemas.TypeInt32, "integer", false), Column("horse", schemas.TypeText, "text", true), Column("stake", schemas.TypeInt32, "integer", true))
}

// Ten is a Table with ten columns of the usual types, for measuring.
func Ten() *connectors.Stream {
	decimal := Column("price", schemas.TypeDecimal, "numeric(12,2)", true)
	decimal.Length, decimal.Scale = 12, 2
	return Table("ten", 1,
		Column("id", schemas.TypeInt64, "bigint", false), Column("customer", schemas.TypeInt32, "integer", true), Column("name", schemas.TypeText, "text", true),
		Column("email", schemas.TypeText, "text", true), decimal, Column("odds", schemas.TypeFloat64, "double precision", true), Column("open", schemas.TypeBool, "boolean", true),
		Column("at", schemas.TypeTimestampTZ, "timestamp with time zone", true), Column("day", schemas.TypeDate, "date", true), Column("note", schemas.TypeText, "text", true))
}

// TenBatch has the rows from … of Ten, as creates.
func TenBatch(s *connectors.Stream, from, rows int) *connectors.Batch {
	w := connectors.NewBuilder(Partition(1), nil, nil)
	AppendTen(w, s, from, rows)
	return w.Finish("{}", connectors.Order{Epoch: 1, Major: uint64(from + rows), Minor: 1})
}

// AppendTen adds those rows to a batch.
func AppendTen(w *connectors.Builder, s *connectors.Stream, from, rows int) {
	for n := from; n < from+rows; n++ {
		w.Begin(w.Stream(s), connectors.OpCreate).Order = connectors.Order{Epoch: 1, Major: uint64(n) + 1, Minor: 1}
		w.Key()
		w.Int(int64(n))
		w.After()
		w.Int(int64(n))
		w.Int(int64(n % 1000))
		w.String("Comet of the Northern Hills")
		w.String("somebody.somewhere@example.org")
		w.Text(connectors.KindDecimal, fmt.Appendf(nil, "%d.67", 10000+n%90000))
		w.Float64(1.5 * float64(n))
		w.Bool(n%2 == 0)
		w.Temporal(connectors.KindTimestampTZ, 1767225600000000+int64(n))
		w.Temporal(connectors.KindDate, 20000+int64(n%1000))
		w.String("a note that is a little longer than the other texts of the row are")
		w.Commit()
	}
}
