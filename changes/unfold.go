package changes

import (
	"fmt"
	"strings"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/schemas"
)

// The values of primary.key.mode: where the key of a row comes from (Debezium's JDBC sink connector).
const (
	KeyNone   = "none"
	KeyKafka  = "kafka" // topic, partition and offset of the record
	KeyRecord = "record_key"
	KeyValue  = "record_value"
	KeyHeader = "record_header"
)

// RowsOptions say how records of topics are read as rows.
type RowsOptions struct {
	KeyMode   string   // "" is KeyRecord
	KeyFields []string // primary.key.fields: the fields of the key that count, in order; none given: all. It names a key that is no struct
	// KeysApart leaves fields of the key that the value lacks out of the columns of Table; else they are its first ones.
	KeysApart bool
	// Unavailable is unavailable.value.placeholder of the source; a value that is it, in any of the forms that the reference gives it,
	// becomes KindUnavailable. "": there is none.
	Unavailable string
	// Events is for sinks that keep every change: it leaves a tombstone of a topic of envelopes what it is, as the delete before it has said
	// all, and gives the changes of envelopes the time of their commit (CommitTimeOf).
	Events bool
	// Nulls makes a column of a field of schemaless records that has been null only, as TypeOther with the TypeName NullType: for sinks that
	// update some columns of a row and have to write NULL to one that the target has. They make no column for it. Else the field is left
	// out until it has a value.
	Nulls bool
	// Charge is SinkSession.Charge: what the rows take beside the bodies, and gives it back when they are released (I5). May be nil.
	Charge func(n int)
}

// NullType is the TypeName of a column of which only NULL has been seen.
const NullType = "null"

// DefaultUnavailable is the default of unavailable.value.placeholder.
const DefaultUnavailable = "__debezium_unavailable_value"

// Rows turns records with bodies, as topics have them, into changes with cells. So a table sink has one way to write, which begins
// with Batch in Put:
//
//	rows, err := s.rows.Batch(b, func(i int, cause error) error { return s.task.Reject(ctx, b, i, cause) })
//	if err != nil {
//		return err // b is still the caller's
//	}
//	… RowOf(rows, &rows.Records[i]) …; s.task.Ack(rows.ID); rows.Release()
//
// rows has one record for each of b's; a record that was rejected, and one that says nothing about a table, is RowNone (its stream has no
// Table). Reject a record later with rows.Origin(), under the same index; Origin has its offset in Order.Major, too.
//
// Streams have Table, KeyFields, Fields, Key and Row. Table is named as the source block says (catalog, schema, name), without one by
// the topic. Its columns are those of the Connect schema: Type is what the logical type means, TypeName the database's own one where
// column.propagate.source.type gives it, else "" or a name that is the same everywhere; nested values are TypeJSON. The same shape
// gives the same *Stream; a new shape makes a new one. Without schemas the columns are those that records of the topic had so far; numbers
// become TypeFloat64 when one has a fraction; a field that changes its kind otherwise is an error of that record.
//
// What becomes what: an envelope its operation (also of ExtractNewRecordState's rows, by __op and __deleted, which are no columns); any
// other value a write (OpUpdate); null a delete of the record's key. A tombstone whose topic had no value yet has a stream of key columns
// alone, see KeysOnly.
//
// Order comes from the source block of Postgres and MySQL, comparable with what these sources say themselves for one key as long as
// the log goes on (after a failover that lost commits it may not); else it is the Kafka offset. Batch.Through stays the offset.
//
// A Rows belongs to one goroutine; a batch may be released on another.
type Rows struct {
	o           RowsOptions
	placeholder *placeholder
	pool        connectors.Pool
	topics      map[string]*topicRows
	plans       int // of all topics
	places      map[offsets.Partition]*place
	scratch     []byte
	none        map[string]*connectors.Stream // of records that are no rows, by topic
}

// topicRows is what is known of a topic.
type topicRows struct {
	last  *rowPlan // of the last value
	plans map[planKey]*rowPlan
	row   looseShape
	key   looseShape
}

// planKey tells plans of one topic apart.
type planKey struct {
	key, value *schemas.Schema
	id         TableID
}

// The bounds of what is kept; beyond them all is made again.
const (
	maxRowPlans = 1000
	maxPlaces   = 10_000
)

// NewRows returns a Rows without any memory of topics.
func NewRows(o RowsOptions) *Rows {
	if o.KeyMode = strings.ToLower(o.KeyMode); o.KeyMode == "" {
		o.KeyMode = KeyRecord
	}
	if o.Charge == nil {
		o.Charge = func(int) {}
	}
	return &Rows{
		o: o, placeholder: newPlaceholder(o.Unavailable), topics: map[string]*topicRows{}, places: map[offsets.Partition]*place{}, none: map[string]*connectors.Stream{},
	}
}

// KeysOnly tells a stream whose Table has only the columns of the key: it has deletes, and nothing is known of the other columns.
// A sink makes no table for it; where there is none, there is nothing to delete.
func KeysOnly(s *connectors.Stream) bool { return s.Table != nil && s.Row == nil }

// Batch returns the changes of b: b itself when no record has a body, else a batch that owns the caller's reference of b. reject is asked
// about a record that is no row, as SinkSession.Reject: nil leaves it out, an error ends Batch, which then leaves b to the caller.
func (r *Rows) Batch(b *connectors.Batch, reject func(record int, cause error) error) (*connectors.Batch, error) {
	if len(b.Bodies) == 0 || !hasBody(b) {
		return b, nil
	}
	w := connectors.Derive(b, &r.pool, func(rows *connectors.Batch) { r.o.Charge(-rows.Size()) })
	at := r.place(b)
	for i := range b.Records {
		rec := &b.Records[i]
		if rec.Value == 0 {
			copyRecord(w, b, rec)
			continue
		}
		err := r.record(w, b, i, at)
		if err == nil {
			continue
		}
		w.Discard()
		err = fmt.Errorf("read a record of topic %s, partition %d, as a row: %w", b.Streams[rec.Stream].Topic, rec.KafkaPartition, err)
		if err := reject(i, connectors.AsPermanent(err)); err != nil {
			w.Abandon()
			return nil, err
		}
		r.nothing(w, b, rec)
	}
	out := w.Finish(b.Offset, b.Through)
	r.o.Charge(out.Size())
	return out, nil
}

// Hand gives the changes of b (Batch) to a function that takes them over, and b with them, unless it returns an error: the rule of
// SinkTask.Put, for a Put to be made of.
func (r *Rows) Hand(b *connectors.Batch, reject func(record int, cause error) error, to func(rows *connectors.Batch) error) error {
	b.Retain(1) // rows owns one, and b is the caller's again when it is not taken
	rows, err := r.Batch(b, reject)
	if err == nil {
		if err = to(rows); err != nil {
			rows.Release()
			return err
		}
	}
	b.Release()
	return err
}

func hasBody(b *connectors.Batch) bool {
	for i := range b.Records {
		if b.Records[i].Value != 0 {
			return true
		}
	}
	return false
}

// nothing appends a record that is no row.
func (r *Rows) nothing(w *connectors.Builder, b *connectors.Batch, rec *connectors.Record) {
	topic := b.Streams[rec.Stream].Topic
	s := r.none[topic]
	if s == nil {
		if len(r.none) >= maxRowPlans {
			clear(r.none)
		}
		s = &connectors.Stream{Topic: topic}
		r.none[topic] = s
	}
	begin(w, w.Stream(s), connectors.OpNone, rec)
	w.Commit()
}

// begin starts a record that has of rec what is not the change itself.
func begin(w *connectors.Builder, stream uint32, op connectors.Op, rec *connectors.Record) *connectors.Record {
	out := w.Begin(stream, op)
	out.Last, out.KafkaPartition, out.Timestamp, out.Order = rec.Last, rec.KafkaPartition, rec.Timestamp, rec.Order
	return out
}

// record appends record i, which has a body.
func (r *Rows) record(w *connectors.Builder, b *connectors.Batch, i int, at *place) error {
	rec := &b.Records[i]
	body := &b.Bodies[rec.Value-1]
	t := r.topic(b.Streams[rec.Stream].Topic)
	if body.Value.Value == nil {
		return r.tombstone(w, b, i, t, at)
	}
	if body.Key.Value == nil {
		r.peek(t, b, i) // it may be a truncate, of a table whose key the next record tells
	}
	p, err := r.plan(t, b.Streams[rec.Stream].Topic, body)
	if err != nil {
		return err
	}
	if p.stream.Table == nil {
		r.nothing(w, b, rec)
		return nil
	}
	c := change{op: connectors.OpUpdate, body: body, batch: b, rec: rec}
	if err := c.read(p); err != nil {
		return err
	}
	out := begin(w, w.Stream(p.stream), c.op, rec)
	if p.envelope {
		at.set(out, p, c.source, b.Streams[rec.Stream].Table == nil)
		if c.nanos != 0 {
			out.Timestamp = c.nanos
		}
	}
	if micros, ok := c.committedAt(p); ok && p.stream.Source != nil {
		w.Source()
		w.Int(micros)
	}
	return r.write(w, p, &c)
}

// write appends the rows of a change.
func (r *Rows) write(w *connectors.Builder, p *rowPlan, c *change) error {
	if len(p.keys) > 0 && c.op != connectors.OpTruncate {
		w.Key()
		for i := range p.keys {
			k := &p.keys[i]
			if err := r.appendKey(w, k, c); err != nil {
				return fmt.Errorf("key field %s: %w", k.Name, err)
			}
		}
	}
	if c.before != nil {
		w.Before()
		if err := r.appendRow(w, p, c, c.before); err != nil {
			return err
		}
	}
	if c.after != nil {
		w.After()
		if err := r.appendRow(w, p, c, c.after); err != nil {
			return err
		}
	}
	if c.before != nil && c.after != nil {
		doubtful(w, p)
	}
	w.Commit()
	return nil
}

func (r *Rows) appendRow(w *connectors.Builder, p *rowPlan, c *change, row schemas.Value) error {
	for i := range p.columns {
		col := &p.columns[i]
		var err error
		if col.key >= 0 {
			err = r.appendKey(w, &p.keys[col.key], c)
		} else {
			err = r.appendCell(w, &col.column, pick(row, col.at, col.Name))
		}
		if err != nil {
			return fmt.Errorf("field %s: %w", col.Name, err)
		}
	}
	return nil
}

// doubtful takes out of the old row what may stand for a value that is not known, where the new row leaves one open: the reference fills
// an old row that has only the key with NULL and defaults.
func doubtful(w *connectors.Builder, p *rowPlan) {
	rec := w.Record()
	before := w.Row(rec.Before)
	for i, c := range w.Row(rec.After) {
		if c.Kind == connectors.KindUnavailable && substitute(w, before[i], p.columns[i].field.WhenNull) {
			w.SetCell(rec.Before, i, connectors.Cell{})
		}
	}
}

func substitute(w *connectors.Builder, c connectors.Cell, fallback schemas.Value) bool {
	switch c.Kind {
	case connectors.KindNull:
		return true
	case connectors.KindText, connectors.KindBytes:
		switch v := fallback.(type) {
		case string:
			return string(w.Bytes(c)) == v
		case []byte:
			return string(w.Bytes(c)) == string(v)
		}
		return false
	case connectors.KindList, connectors.KindMap:
		return len(w.List(c)) == 0
	}
	return fallback != nil // of fixed size: never stored apart
}

// pick returns a member of a row.
func pick(row schemas.Value, at int, name string) schemas.Value {
	switch row := row.(type) {
	case schemas.StructValue:
		if at >= 0 && at < len(row) {
			return row[at]
		}
	case schemas.MapValue:
		if at >= 0 && at < len(row) && row[at].Key == schemas.Value(name) {
			return row[at].Value
		}
		for i := range row {
			if row[i].Key == schemas.Value(name) {
				return row[i].Value
			}
		}
	}
	return nil
}

// copyRecord appends a record that is a change already.
func copyRecord(w *connectors.Builder, b *connectors.Batch, rec *connectors.Record) {
	begin(w, w.Stream(b.Streams[rec.Stream]), rec.Op, rec)
	for _, part := range []struct {
		row   connectors.Row
		begin func()
	}{{rec.Key, w.Key}, {rec.Before, w.Before}, {rec.After, w.After}, {rec.Source, w.Source}} {
		if part.row.Absent() {
			continue
		}
		part.begin()
		for _, c := range b.Cells(part.row) {
			copyCell(w, b, c)
		}
	}
	w.Commit()
}

func copyCell(w *connectors.Builder, b *connectors.Batch, c connectors.Cell) {
	switch c.Kind {
	case connectors.KindDecimal, connectors.KindText, connectors.KindBytes, connectors.KindBits:
		w.Text(c.Kind, b.Bytes(c))
	case connectors.KindInterval:
		w.Interval(b.Interval(c))
	case connectors.KindList, connectors.KindMap, connectors.KindPoint:
		w.BeginList(c.Kind)
		for _, e := range b.List(c) {
			copyCell(w, b, e)
		}
		w.EndList()
	default:
		w.Cell(c)
	}
}
