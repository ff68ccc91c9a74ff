package connectors

import (
	"math"

	"github.com/freshet-io/freshet/schemas"
)

func (e *wireEncoder) stream(w *WireWriter, s *Stream) {
	e.text(s.Topic)
	e.uint(w.schema(s.Key, 0))
	e.uint(w.schema(s.Value, 0))
	e.uint(w.schema(s.Row, 0))
	e.fields(w, s.KeyFields)
	e.fields(w, s.Fields)
	e.flag(s.Table != nil)
	if s.Table != nil {
		e.table(s.Table)
	}
	e.flag(s.Source != nil)
	if s.Source != nil {
		e.uint(w.schema(s.Source.Schema, 0))
		e.uint(uint64(len(s.Source.Fields)))
		for _, f := range s.Source.Fields {
			e.value(f.Constant)
			e.int(int64(f.Cell))
			e.int(f.Divide)
			e.int(f.Multiply)
		}
		e.uint(uint64(s.Source.Transaction))
	}
	e.uint(uint64(len(s.Headers)))
	for _, h := range s.Headers {
		e.text(h.Name)
		e.text(h.Value)
	}
}

func (d *wireDecoder) stream() knownStream {
	s := &Stream{Topic: d.text(), Key: d.ref(), Value: d.ref(), Row: d.ref(), KeyFields: d.fields(), Fields: d.fields()}
	if d.flag() {
		s.Table = d.table()
	}
	if d.flag() {
		s.Source = d.source()
	}
	for range d.count(2) {
		s.Headers = append(s.Headers, Header{d.text(), d.text()})
	}
	d.match(s.KeyFields, s.Key)
	d.match(s.Fields, s.Row)
	out := knownStream{Stream: s, key: uint32(fieldCells(s.KeyFields)), row: uint32(fieldCells(s.Fields))}
	if s.Table != nil {
		out.row = max(out.row, uint32(len(s.Table.Columns)))
	}
	if s.Source != nil {
		for _, f := range s.Source.Fields {
			out.source = max(out.source, uint32(f.Cell+1))
		}
	}
	if s.Source != nil && s.Row != nil && s.Value != nil && len(s.Value.Fields) < envelopeFields {
		d.fail("an envelope of %d fields, it needs %d", len(s.Value.Fields), envelopeFields)
	}
	return out
}

// envelopeFields are before, after, source, transaction, op and three times.
const envelopeFields = 8

// match makes sure that fields are those of a schema.
func (d *wireDecoder) match(fields []Field, s *schemas.Schema) {
	if s == nil || len(fields) == 0 {
		return
	}
	if s.Kind != schemas.Struct || len(s.Fields) != len(fields) {
		d.fail("%d fields for a schema of kind %d with %d", len(fields), s.Kind, len(s.Fields))
	}
	for i := range fields {
		if fields[i].Schema == nil {
			d.fail("field %q has no schema", fields[i].Name)
		}
	}
}

func (d *wireDecoder) source() *SourceBlock {
	s := &SourceBlock{Schema: d.ref()}
	for range d.count(4) {
		f := SourceField{Constant: d.value(), Cell: d.index(-1), Divide: d.int(), Multiply: d.int()}
		s.Fields = append(s.Fields, f)
	}
	if s.Schema == nil || len(s.Schema.Fields) != len(s.Fields) {
		d.fail("%d fields of a source block are not those of its schema", len(s.Fields))
	}
	s.Transaction = int(d.small(math.MaxInt32))
	return s
}

func (e *wireEncoder) fields(w *WireWriter, list []Field) {
	e.uint(uint64(len(list)))
	for i := range list {
		e.field(w, &list[i])
	}
}

func (e *wireEncoder) field(w *WireWriter, f *Field) {
	e.text(f.Name)
	e.uint(w.schema(f.Schema, 0))
	e.int(int64(f.Cell))
	e.out = append(e.out, byte(f.View))
	e.int(int64(f.Scale))
	e.value(f.WhenNull)
	e.value(f.WhenUnavailable)
	e.flag(f.Elem != nil)
	if f.Elem != nil {
		e.field(w, f.Elem)
	}
}

func (d *wireDecoder) fields() []Field {
	var out []Field
	for range d.count(8) {
		out = append(out, d.field(1))
	}
	return out
}

func (d *wireDecoder) field(depth int) Field {
	if d.deep(depth, wireLists) {
		return Field{}
	}
	f := Field{
		Name: d.text(), Schema: d.ref(), Cell: d.index(0), View: View(d.byte()), Scale: d.int32(),
		WhenNull: d.value(), WhenUnavailable: d.value(),
	}
	if f.View > ViewGeometryPoint {
		d.fail("view %d", f.View)
	}
	if d.flag() {
		elem := d.field(depth + 1)
		f.Elem = &elem
	}
	if f.View == ViewList && (f.Elem == nil || f.Elem.Schema == nil) {
		d.fail("field %q is a list without an element", f.Name)
	}
	return f
}

func (e *wireEncoder) table(t *schemas.Table) {
	e.text(t.Catalog)
	e.text(t.Schema)
	e.text(t.Name)
	e.uint(uint64(len(t.Columns)))
	for i := range t.Columns {
		e.column(&t.Columns[i])
	}
	e.uint(uint64(len(t.Key)))
	for _, k := range t.Key {
		e.uint(uint64(k))
	}
	e.text(t.Comment)
}

func (d *wireDecoder) table() *schemas.Table {
	t := &schemas.Table{Catalog: d.text(), Schema: d.text(), Name: d.text()}
	for range d.count(10) {
		t.Columns = append(t.Columns, d.column(1))
	}
	for range d.count(1) {
		k := d.uint()
		if k >= uint64(len(t.Columns)) {
			d.fail("key column %d of %d", k, len(t.Columns))
			break
		}
		t.Key = append(t.Key, int(k))
	}
	t.Comment = d.text()
	return t
}

func (e *wireEncoder) column(c *schemas.Column) {
	e.text(c.Name)
	e.out = append(e.out, byte(c.Type))
	e.text(c.TypeName)
	e.int(int64(c.Length))
	e.int(int64(c.Scale))
	e.flag(c.Optional)
	e.text(c.Default)
	e.uint(uint64(len(c.Allowed)))
	for _, a := range c.Allowed {
		e.text(a)
	}
	e.flag(c.Elem != nil)
	if c.Elem != nil {
		e.column(c.Elem)
	}
	e.flag(c.Generated)
	e.text(c.Comment)
}

func (d *wireDecoder) column(depth int) schemas.Column {
	if d.deep(depth, wireLists) {
		return schemas.Column{}
	}
	c := schemas.Column{
		Name: d.text(), Type: schemas.Type(d.byte()), TypeName: d.text(), Length: d.int32(), Scale: d.int32(),
		Optional: d.flag(), Default: d.text(),
	}
	if c.Type > schemas.TypeRange {
		d.fail("column type %d", c.Type)
	}
	for range d.count(1) {
		c.Allowed = append(c.Allowed, d.text())
	}
	if d.flag() {
		elem := d.column(depth + 1)
		c.Elem = &elem
	}
	c.Generated, c.Comment = d.flag(), d.text()
	return c
}
