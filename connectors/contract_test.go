package connectors

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/offsets"
)

func TestBuilder(t *testing.T) {
	released := 0
	w := NewBuilder("p", &Pool{}, func(*Batch) { released++ })
	s := &Stream{Topic: "t"}
	at := w.Stream(s)
	if w.Stream(s) != at || w.Stream(&Stream{}) != at+1 {
		t.Error("Stream")
	}
	r := w.Begin(at, OpUpdate)
	r.Last = true
	w.Key()
	w.Int(-5)
	w.After()
	w.Bool(true)
	w.Uint(1 << 63)
	w.Float32(1.5)
	w.Float64(-0.25)
	w.Temporal(KindDate, -3)
	w.TimeTZ(7, -3600)
	w.Interval(-1, 2, -3)
	w.Text(KindBytes, []byte{0, 1})
	w.String("é")
	copy(w.Grow(KindText, 3), "abc")
	w.BeginList(KindList)
	w.Null()
	w.BeginList(KindList)
	w.String("in")
	w.EndList()
	w.EndList()
	w.BeginList(KindList)
	w.Int(1)
	w.AbandonList()
	w.Unavailable()
	w.Absent()
	w.Commit()
	w.Begin(at, OpDelete)
	w.Before()
	w.String("discarded")
	w.Discard()
	size := w.Size()
	b := w.Finish(`{"o":1}`, Order{Major: 9})
	if len(b.Records) != 1 || b.Offset != `{"o":1}` || b.Through.Major != 9 || b.Size() != size || size != 80+16*(1+13+3)+16+2+2+3+2 {
		t.Errorf("got %+v, size %d", b.Records, b.Size())
	}
	if got, want := show(b, b.Records[0].After), "true 9223372036854775808 1.5 -0.25 -3 7/-3600 -1,2,-3 \x00\x01 é abc [NULL [in]] ? -"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !b.Records[0].Last || b.Records[0].KafkaPartition != -1 || b.Cells(b.Records[0].Key)[0].Int() != -5 || !b.Records[0].Before.Absent() {
		t.Errorf("got %+v", b.Records[0])
	}
	b.Retain(1)
	b.Release()
	if released != 0 {
		t.Error("released too early")
	}
	b.Release()
	if released != 1 {
		t.Error("not released")
	}
	mustPanic(t, b.Release)
}

// show prints a row.
func show(b *Batch, r Row) string {
	var out []string
	for _, c := range b.Cells(r) {
		out = append(out, showCell(b, c))
	}
	return strings.Join(out, " ")
}

func showCell(b *Batch, c Cell) string {
	switch c.Kind {
	case KindAbsent:
		return "-"
	case KindUnavailable:
		return "?"
	case KindNull:
		return "NULL"
	case KindBool:
		return fmt.Sprint(c.Bool())
	case KindUint:
		return fmt.Sprint(c.Uint())
	case KindFloat32, KindFloat64:
		return fmt.Sprint(c.Float())
	case KindTimeTZ:
		return fmt.Sprintf("%d/%d", c.Int(), c.Offset())
	case KindInterval:
		m, d, us := b.Interval(c)
		return fmt.Sprintf("%d,%d,%d", m, d, us)
	case KindText, KindBytes, KindDecimal, KindBits:
		return string(b.Bytes(c))
	case KindList, KindMap, KindPoint:
		var out []string
		for _, e := range b.List(c) {
			out = append(out, showCell(b, e))
		}
		return "[" + strings.Join(out, " ") + "]"
	}
	return fmt.Sprint(c.Int())
}

func mustPanic(t *testing.T, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	f()
}

func one(pool *Pool, text string) *Batch {
	w := NewBuilder("p", pool, nil)
	w.Begin(w.Stream(&Stream{}), OpCreate)
	w.After()
	w.String(text)
	w.Commit()
	return w.Finish("", Order{})
}

func TestPool(t *testing.T) {
	pool := &Pool{}
	b := one(pool, "abc")
	b.Release()
	again := one(pool, "xyz")
	if !poisoned && &b.data[:1][0] != &again.data[0] {
		t.Error("memory was not reused")
	}
	if len(again.Records) != 1 || len(again.Streams) != 1 || string(again.Bytes(again.Cells(again.Records[0].After)[0])) != "xyz" {
		t.Error("a reused batch holds something old")
	}
	big := one(pool, strings.Repeat("x", poolMaxChunk+1))
	big.Release()
	for _, f := range pool.free {
		if cap(f.data) > poolMaxChunk {
			t.Error("a big chunk was kept")
		}
	}
	var many []*Batch
	for range 3 * poolBatches {
		many = append(many, one(pool, "x"))
	}
	for _, b := range many {
		b.Release()
	}
	if len(pool.free) > poolBatches {
		t.Errorf("%d batches are kept", len(pool.free))
	}
	NewBuilder("p", pool, nil).Abandon()
}

func TestViews(t *testing.T) {
	released := 0
	w := NewBuilder("p", nil, func(*Batch) { released++ })
	s := w.Stream(&Stream{})
	for n := range 3 {
		w.Begin(s, OpCreate)
		w.After()
		w.Int(int64(n))
		w.Commit()
	}
	b := w.Finish("o", Order{Major: 3})
	b.ID = 7
	b.Retain(1)
	v := b.From(2)
	if v.ID != 7 || v.Offset != "o" || len(v.Records) != 1 || v.Cells(v.Records[0].After)[0].Int() != 2 {
		t.Errorf("got %+v", v)
	}
	v.Retain(1)
	v.Release()
	b.Release()
	if released != 0 {
		t.Error("released while a view is held")
	}
	v.Release()
	if released != 1 {
		t.Errorf("released %d times", released)
	}
}

func TestOrder(t *testing.T) {
	list := []Order{{}, {Minor: 1}, {Major: 1}, {Major: 1, Minor: 2}, {Epoch: 1}, {Epoch: 1, Major: 1 << 63}}
	for i, a := range list {
		for j, b := range list {
			if got := a.Compare(b); got != sign(i < j) && i != j || i == j && got != 0 {
				t.Errorf("%v and %v: %d", a, b, got)
			}
		}
	}
}

func TestErrorClasses(t *testing.T) {
	base := errors.New("x")
	for want, err := range map[Class]error{Retriable: fmt.Errorf("a: %w", base), Permanent: fmt.Errorf("a: %w", AsPermanent(base)), Fenced: AsFenced(AsPermanent(base))} {
		if got := ClassOf(err); got != want {
			t.Errorf("%v is %v, not %v", err, got, want)
		}
		if !errors.Is(err, base) {
			t.Error("the cause is lost")
		}
	}
	if AsPermanent(nil) != nil || AsFenced(nil) != nil {
		t.Error("no error became one")
	}
	if fmt.Sprint(Retriable, Permanent, Fenced) != "retriable permanent fenced" {
		t.Error("names")
	}
}

func TestSinkEntries(t *testing.T) {
	p := Progress{Partition: `{"server":"orders"}`, Offset: `{"lsn":5,"x":"a\"b"}`, Through: Order{1, 7, 1 << 63}}
	e, err := p.Entry("ch")
	if err != nil || e.Partition != `{"server":"orders","sink":"ch"}` {
		t.Fatalf("got %v, %v", e, err)
	}
	if c, err := offsets.Canonical([]byte(e.Partition)); err != nil || c != e.Partition {
		t.Errorf("%s is not canonical: %v", e.Partition, err)
	}
	if _, err := offsets.ParseOffset([]byte(e.Offset)); err != nil {
		t.Errorf("%s: %v", e.Offset, err)
	}
	got, err := ParseSinkEntry(p.Partition, e.Offset)
	if err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("got %+v, %v", got, err)
	}
	if e, err := (Progress{Partition: "{}"}).Entry("a"); err != nil || e.Offset != "" || e.Partition != `{"sink":"a"}` {
		t.Errorf("got %v, %v", e, err)
	}
	for _, bad := range []offsets.Offset{"", "{}", `{"offset":"x","order":"1/2"}`} {
		if _, err := ParseSinkEntry("{}", bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
	if _, err := SinkPartition("x", "a"); err == nil {
		t.Error("no error")
	}
}
