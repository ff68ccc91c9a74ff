package changes

import (
	"crypto/md5" //nolint:gosec // a version 3 UUID is made of it
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// change is one record taken apart.
type change struct {
	op            connectors.Op
	before, after schemas.Value // StructValue or MapValue; nil when absent
	source        schemas.Value
	nanos         int64 // when the source read the change; 0: not known
	body          *connectors.Body
	batch         *connectors.Batch
	rec           *connectors.Record
}

// read takes the value apart.
func (c *change) read(p *rowPlan) error {
	v := c.body.Value.Value
	if !p.envelope {
		c.after = asRow(v, p.value == nil)
		if op, ok := pick(v, p.at.op, "__op").(string); ok && p.at.op >= 0 && len(op) == 1 {
			if k := strings.IndexByte("rcud", op[0]); k >= 0 {
				c.op = [...]connectors.Op{connectors.OpRead, connectors.OpCreate, connectors.OpUpdate, connectors.OpDelete}[k]
			}
		}
		if p.at.deleted >= 0 && isTrue(pick(v, p.at.deleted, "__deleted")) {
			c.op = connectors.OpDelete
		}
		if c.op == connectors.OpDelete {
			c.before, c.after = c.after, nil
		}
		return nil
	}
	op, _ := pick(v, p.at.op, "op").(string)
	c.before, c.after = pick(v, p.at.before, "before"), pick(v, p.at.after, "after")
	c.source = pick(v, p.at.source, "source")
	c.nanos = c.time(p, v)
	switch op {
	case "r":
		c.op = connectors.OpRead
	case "c":
		c.op = connectors.OpCreate
	case "u":
	case "d":
		c.op, c.after = connectors.OpDelete, nil
		return nil
	case "t":
		c.op, c.before, c.after = connectors.OpTruncate, nil, nil
		return nil
	default:
		return fmt.Errorf("its operation %q is none of r, c, u, d, t and m", cut(op))
	}
	if c.after == nil {
		return fmt.Errorf("a change of kind %s has no row after it", op)
	}
	return nil
}

// asRow makes a row of a single value.
func asRow(v schemas.Value, loose bool) schemas.Value {
	switch v.(type) {
	case schemas.StructValue, schemas.MapValue:
		return v
	}
	if loose {
		return schemas.MapValue{{Key: valueColumn, Value: v}}
	}
	return schemas.StructValue{v}
}

func cut(s string) string { return s[:min(len(s), 20)] }

func isTrue(v schemas.Value) bool {
	switch v := v.(type) {
	case bool:
		return v
	case string:
		return v == "true"
	}
	return false
}

// time is when the source read the change, from the envelope.
func (c *change) time(p *rowPlan, v schemas.Value) int64 {
	if n, ok := pick(v, p.at.nanos, "ts_ns").(int64); ok {
		return n
	}
	if n, ok := pick(v, p.at.micros, "ts_us").(int64); ok {
		return n * 1e3
	}
	n, _ := pick(v, p.at.millis, "ts_ms").(int64)
	return n * 1e6
}

// The reasons why a key is missing.
var (
	errNoFields = errors.New("its rows have no fields")
	errNoKey    = errors.New("the record has no key, and rows are found by it; set primary.key.mode to something else, or give records keys")
	errNoHeader = errors.New("the record has no header of this name, and primary.key.mode=record_header takes the key from it")
	errNullKey  = errors.New("it is null, and rows are found by it")
)

// appendKey appends one cell of the key.
func (r *Rows) appendKey(w *connectors.Builder, k *keyColumn, c *change) error {
	var v schemas.Value
	switch k.from {
	case fromTopic:
		w.String(c.batch.Streams[c.rec.Stream].Topic)
		return nil
	case fromPartition:
		w.Int(int64(c.rec.KafkaPartition))
		return nil
	case fromOffset:
		w.Int(int64(c.rec.Order.Major))
		return nil
	case fromHeader:
		return appendHeader(w, k.Name, c)
	case fromKey:
		v = c.body.Key.Value
		if v == nil {
			return errNoKey
		}
		v = pick(v, k.at, k.Name)
	case fromWholeKey:
		if v = c.body.Key.Value; v == nil {
			return errNoKey
		}
	case fromRow:
		row := c.after
		if row == nil {
			row = c.before
		}
		v = pick(row, k.at, k.Name)
	}
	if v == nil && !k.Optional {
		return errNullKey
	}
	return r.appendValue(w, &k.column, v)
}

func appendHeader(w *connectors.Builder, name string, c *change) error {
	cells := c.batch.Cells(c.rec.Headers)
	for i := len(cells) - 2; i >= 0; i -= 2 {
		if string(c.batch.Bytes(cells[i])) != name {
			continue
		}
		if v := cells[i+1]; v.Kind == connectors.KindText {
			w.Text(connectors.KindText, c.batch.Bytes(v))
			return nil
		}
		return errKind
	}
	return errNoHeader
}

// place is how far a partition is, for records that do not say it.
type place struct {
	major  uint64 // of the last record that had a position; 0: none had
	offset uint64 // of the last record
}

// place returns the place of the partition of b.
func (r *Rows) place(b *connectors.Batch) *place {
	at := r.places[b.Source]
	if at == nil {
		if len(r.places) >= maxPlaces {
			clear(r.places)
		}
		at = &place{}
		r.places[b.Source] = at
	}
	if first := b.Records[0].Order.Major; first < at.offset {
		*at = place{} // read again
	}
	at.offset = b.Records[len(b.Records)-1].Order.Major
	return at
}

// set gives a record the order of its position in the source's log. fromKafka: its own order is the Kafka offset, else it stays.
//
// Within one position the offset decides, whose low bits are enough: no transaction has 2^32 records.
func (at *place) set(out *connectors.Record, p *rowPlan, source schemas.Value, fromKafka bool) {
	if !fromKafka {
		return
	}
	major, known, snapshot := p.position(source)
	if !known && at.major == 0 {
		return
	}
	major = max(major, at.floor(known))
	at.major = major
	out.Order.Minor, out.Order.Major = max(uint32(out.Order.Major)+1, 1), major
	if snapshot {
		out.Order.Minor = 0
	}
}

// floor is where a record without an exact position is at least.
func (at *place) floor(known bool) uint64 {
	if known {
		return 0
	}
	return at.major
}

// position reads the source block: known tells that the position is exact. A snapshot's rows lie below all that follow.
func (p *rowPlan) position(source schemas.Value) (major uint64, known, snapshot bool) {
	kind, _ := pick(source, p.src.snapshot, "snapshot").(string)
	switch kind {
	case "true", "first", "last", "first_in_data_collection", "last_in_data_collection":
		snapshot = true
	}
	if p.src.mysql {
		file, _ := pick(source, p.src.file, "file").(string)
		pos, _ := integerOf(pick(source, p.src.pos, "pos"))
		n, err := strconv.ParseUint(file[strings.LastIndexByte(file, '.')+1:], 10, 32)
		return n<<32 | uint64(uint32(pos)), err == nil, snapshot
	}
	if !p.src.postgres {
		return 0, false, false
	}
	text, _ := pick(source, p.src.sequence, "sequence").(string)
	if commit := leadingNumber(text); commit > 0 {
		return commit, true, snapshot
	}
	lsn, _ := integerOf(pick(source, p.src.lsn, "lsn"))
	return uint64(lsn), snapshot && lsn > 0, snapshot
}

// leadingNumber reads the first member of ["1","2"]; 0: it is null.
func leadingNumber(text string) uint64 {
	text, ok := strings.CutPrefix(text, `["`)
	end := strings.IndexByte(text, '"')
	if !ok || end < 0 {
		return 0
	}
	v, err := strconv.ParseUint(text[:end], 10, 64)
	if err != nil {
		return 0
	}
	return v
}

// tombstone appends the delete of a key.
func (r *Rows) tombstone(w *connectors.Builder, b *connectors.Batch, i int, t *topicRows, at *place) error {
	rec := &b.Records[i]
	body := &b.Bodies[rec.Value-1]
	if r.o.KeyMode != KeyRecord || body.Key.Value == nil {
		r.nothing(w, b, rec)
		return nil
	}
	topic := b.Streams[rec.Stream].Topic
	next := r.peek(t, b, i)
	p, err := r.tombstonePlan(t, topic, body)
	if err != nil {
		return err
	}
	envelope := t.last != nil && t.last.envelope
	if p.stream.Table == nil || envelope && r.o.Events {
		r.nothing(w, b, rec)
		return nil
	}
	c := change{op: connectors.OpDelete, body: body, batch: b, rec: rec}
	out := begin(w, w.Stream(p.stream), c.op, rec)
	if envelope && b.Streams[rec.Stream].Table == nil {
		if at.major == 0 && next != nil {
			at.major, _, _ = t.last.position(next)
		}
		at.set(out, &rowPlan{}, nil, true)
	}
	return r.write(w, p, &c)
}

// peek makes the plan of the next value of the topic, when the topic had none before; it returns the source block of that value.
func (r *Rows) peek(t *topicRows, b *connectors.Batch, i int) schemas.Value {
	if t.last != nil {
		return nil
	}
	for j := i + 1; j < len(b.Records); j++ {
		rec := &b.Records[j]
		if rec.Stream != b.Records[i].Stream || rec.Value == 0 || b.Bodies[rec.Value-1].Value.Value == nil {
			continue
		}
		body := &b.Bodies[rec.Value-1]
		p, err := r.plan(t, b.Streams[rec.Stream].Topic, body)
		if err != nil || !p.envelope {
			return nil // its own turn tells
		}
		return pick(body.Value.Value, p.at.source, "source")
	}
	return nil
}

// placeholder are the forms of the value that stands for one that was not sent.
type placeholder struct {
	texts    []string
	lengths  uint64 // bit n: a text has n bytes; texts of 64 and more are always compared
	bytes    string
	integers []int64
}

func newPlaceholder(text string) *placeholder {
	if text == "" {
		return nil
	}
	u := md5.Sum([]byte(text)) //nolint:gosec // see the import
	u[6] = u[6]&0x0f | 0x30
	u[8] = u[8]&0x3f | 0x80
	quoted := strconv.Quote(text)
	p := &placeholder{bytes: text, texts: []string{
		text, base64.StdEncoding.EncodeToString([]byte(text)), base64.URLEncoding.EncodeToString([]byte(text)), hex.EncodeToString([]byte(text)),
		"{" + quoted + ":" + quoted + "}",
		fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:]),
	}}
	for _, s := range p.texts {
		p.lengths |= 1 << min(len(s), 63)
	}
	for i := range len(text) {
		p.integers = append(p.integers, int64(int8(text[i])))
	}
	return p
}

// is tells that a value of a column is the placeholder.
func (p *placeholder) is(v schemas.Value) bool {
	switch v := v.(type) {
	case string:
		if p.lengths>>min(len(v), 63)&1 == 0 {
			return false
		}
		for _, text := range p.texts {
			if v == text {
				return true
			}
		}
	case []byte:
		return string(v) == p.bytes
	case schemas.ArrayValue:
		if len(v) == 1 {
			return p.is(v[0])
		}
		if len(v) != len(p.integers) {
			return false
		}
		for i, e := range v {
			if n, ok := integerOf(e); !ok || n != p.integers[i] {
				return false
			}
		}
		return true
	case schemas.MapValue:
		return len(v) == 1 && v[0].Key == schemas.Value(p.bytes)
	}
	return false
}
