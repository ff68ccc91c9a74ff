package clickhouse

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/schemas"
	"github.com/freshet-io/freshet/testbed"
)

const partition = offsets.Partition(`{"server":"t"}`)

var runs atomic.Int64

// rig is a running sink into a database of its own.
type rig struct {
	testing.TB
	server   *testbed.ClickHouse
	database string
	task     connectors.SinkTask
	session  *session
}

// session is what the runtime lends to a sink.
type session struct {
	mu       sync.Mutex
	next     connectors.BatchID
	acked    map[connectors.BatchID]bool
	failed   error
	charged  int
	tolerant bool
	rejected []string
}

func newRig(t testing.TB, server *testbed.ClickHouse, more ...string) *rig {
	t.Helper()
	r := &rig{TB: t, server: server, database: server.NewDatabase(t), session: &session{acked: map[connectors.BatchID]bool{}}}
	r.start(more...)
	return r
}

// start starts a sink, in place of the one before.
func (r *rig) start(more ...string) {
	r.Helper()
	if r.task != nil {
		if err := r.task.Stop(context.Background()); err != nil {
			r.Fatal(err)
		}
	}
	task := newTask(r.TB, settings(r.server, r.database, more...))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := task.Start(ctx, r.session); err != nil {
		r.Fatalf("Start: %v", err)
	}
	r.task = task
	r.Cleanup(func() { _ = task.Stop(context.Background()) })
}

func (r *session) Ack(id connectors.BatchID)  { r.mu.Lock(); defer r.mu.Unlock(); r.acked[id] = true }
func (r *session) Fail(err error)             { r.mu.Lock(); defer r.mu.Unlock(); r.failed = err }
func (r *session) Charge(n int)               { r.mu.Lock(); defer r.mu.Unlock(); r.charged += n }
func (*session) Settle(context.Context) error { return nil }

func (r *session) Reject(_ context.Context, _ *connectors.Batch, _ int, cause error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tolerant {
		r.rejected = append(r.rejected, cause.Error())
		return nil
	}
	return connectors.AsPermanent(cause)
}

func (r *session) number() connectors.BatchID {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	return r.next
}

// put hands over a batch that fill makes.
func (r *rig) put(fill func(w *connectors.Builder)) error {
	id := r.session.number()
	w := connectors.NewBuilder(partition, nil, nil)
	fill(w)
	b := w.Finish(offsets.Offset(fmt.Sprintf(`{"n":%d}`, id)), connectors.Order{Epoch: 1, Major: uint64(id), Minor: 1})
	b.ID = id
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := r.task.Put(ctx, b)
	if err != nil {
		b.Release()
	}
	return err
}

func (r *rig) flush() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return r.task.Flush(ctx)
}

// write puts changes, whose positions go on from those before, and makes them durable.
func (r *rig) write(stream *connectors.Stream, list ...change) {
	r.Helper()
	if err := r.tryWrite(stream, list...); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) tryWrite(stream *connectors.Stream, list ...change) error {
	err := r.put(func(w *connectors.Builder) {
		for i, c := range list {
			c.add(w, stream, connectors.Order{Epoch: 1, Major: uint64(r.session.next), Minor: uint32(2*i + 1)})
		}
	})
	if err == nil {
		err = r.flush()
	}
	return err
}

// query is an answer, a line per row.
func (r *rig) query(sql string) string {
	r.Helper()
	return strings.ReplaceAll(strings.ReplaceAll(r.server.Query(r.TB, r.database, sql), "\t", " "), "\n", " | ")
}

func (r *rig) expect(sql, want string) {
	r.Helper()
	if got := r.query(sql); got != want {
		r.Errorf("%s:\n got %s\nwant %s", sql, got, want)
	}
}

func (r *rig) refused(err error, texts ...string) {
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

// change is a record in a test.
type change struct {
	op  connectors.Op
	row []any
	old []any
}

type unavailable struct{}

func (c change) add(w *connectors.Builder, s *connectors.Stream, at connectors.Order) {
	rec := w.Begin(w.Stream(s), c.op)
	rec.Order = at
	if c.op != connectors.OpTruncate && len(s.Table.Key) > 0 {
		w.Key()
		for _, k := range s.Table.Key {
			cell(w, c.row[k])
		}
	}
	if c.old != nil {
		w.Before()
		for _, v := range c.old {
			cell(w, v)
		}
	}
	switch c.op {
	case connectors.OpTruncate, connectors.OpDelete, connectors.OpTombstone:
	default:
		w.After()
		for _, v := range c.row {
			cell(w, v)
		}
	}
	w.Commit()
}

// temporal is a cell of such a kind.
type temporal struct {
	kind connectors.Kind
	v    int64
}

type text struct {
	kind connectors.Kind
	v    string
}

func cell(w *connectors.Builder, v any) {
	switch v := v.(type) {
	case nil:
		w.Null()
	case unavailable:
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
	case temporal:
		w.Temporal(v.kind, v.v)
	case text:
		w.Text(v.kind, []byte(v.v))
	case []any:
		w.BeginList(connectors.KindList)
		for _, e := range v {
			cell(w, e)
		}
		w.EndList()
	default:
		panic("cell: unknown type")
	}
}

func insert(row ...any) change { return change{op: connectors.OpCreate, row: row} }
func update(row ...any) change { return change{op: connectors.OpUpdate, row: row} }
func remove(row ...any) change { return change{op: connectors.OpDelete, row: row} }
func read(row ...any) change   { return change{op: connectors.OpRead, row: row} }

func col(name string, typ schemas.Type, spelled string, optional bool) schemas.Column {
	return schemas.Column{Name: name, Type: typ, TypeName: spelled, Length: -1, Scale: -1, Optional: optional}
}

// stream is a table with its first keys columns as key.
func stream(name string, keys int, columns ...schemas.Column) *connectors.Stream {
	s := &connectors.Stream{Topic: "t.public." + name, Row: &schemas.Schema{Kind: schemas.Struct}, Table: &schemas.Table{Catalog: "db", Schema: "public", Name: name, Columns: columns}}
	for i := range keys {
		s.Table.Key = append(s.Table.Key, i)
		s.KeyFields = append(s.KeyFields, connectors.Field{Name: columns[i].Name, Cell: i})
	}
	return s
}

func bets() *connectors.Stream {
	return stream("bets", 1, col("id", schemas.TypeInt32, "integer", false), col("horse", schemas.TypeText, "text", true), col("stake", schemas.TypeInt32, "integer", true))
}
