package connectors

import (
	"math"

	"github.com/freshet-io/freshet/schemas"
)

func (e *wireEncoder) stream(s *Stream) {
	e.text(s.Topic)
	e.schema(s.Key)
	e.schema(s.Value)
	e.schema(s.Row)
	e.fields(s.KeyFields)
	e.fields(s.Fields)
	e.flag(s.Table != nil)
	if s.Table != nil {
		e.table(s.Table)
	}
	e.flag(s.Source != nil)
	if s.Source != nil {
		e.schema(s.Source.Schema)
		e.uint(uint64(len(s.Source.Fields)))
		for _, f := range s.Source.Fields {
			e.value(f.Constant)
			e.int(int64(f.Cell))
			e.int(f.Divide)
			e.int(f.Multiply)
		}
	}
	e.uint(uint64(len(s.Headers)))
	for _, h := range s.Headers {
		e.text(h.Name)
		e.text(h.Value)
	}
}

func (d *wireDecoder) stream() *Stream {
	s := &Stream{Topic: d.text(), Key: d.schema(), Value: d.schema(), Row: d.schema(), KeyFields: d.fields(), Fields: d.fields()}
	if d.flag() {
		s.Table = d.table()
	}
	if d.flag() {
		s.Source = &SourceBlock{Schema: d.schema()}
		for range d.count(4) {
			f := SourceField{Constant: d.value(), Cell: int(d.int()), Divide: d.int(), Multiply: d.int()}
			if f.Cell < -1 || f.Cell > math.MaxInt32 {
				d.fail("source field from cell %d", f.Cell)
			}
			s.Source.Fields = append(s.Source.Fields, f)
		}
	}
	for range d.count(2) {
		s.Headers = append(s.Headers, Header{d.text(), d.text()})
	}
	return s
}

func (e *wireEncoder) fields(list []Field) {
	e.uint(uint64(len(list)))
	for i := range list {
		f := &list[i]
		e.text(f.Name)
		e.schema(f.Schema)
		e.int(int64(f.Cell))
		e.out = append(e.out, byte(f.View))
		e.int(int64(f.Scale))
		e.value(f.WhenNull)
		e.value(f.WhenUnavailable)
		e.flag(f.Elem != nil)
		if f.Elem != nil {
			e.fields([]Field{*f.Elem})
		}
	}
}

func (d *wireDecoder) fields() []Field {
	defer func() { d.depth-- }()
	if !d.down() {
		return nil
	}
	var out []Field
	for range d.count(7) {
		f := Field{
			Name: d.text(), Schema: d.schema(), Cell: int(d.int()), View: View(d.byte()), Scale: int32(d.int()),
			WhenNull: d.value(), WhenUnavailable: d.value(),
		}
		if f.Cell < 0 || f.Cell > math.MaxInt32 || f.View > ViewGeometryPoint {
			d.fail("field from cell %d with view %d", f.Cell, f.View)
		}
		if d.flag() {
			if elem := d.fields(); len(elem) == 1 {
				f.Elem = &elem[0]
			} else {
				d.fail("%d element fields", len(elem))
			}
		}
		out = append(out, f)
	}
	return out
}

func (e *wireEncoder) table(t *schemas.Table) {
	e.text(t.Catalog)
	e.text(t.Schema)
	e.text(t.Name)
	e.columns(t.Columns)
	e.uint(uint64(len(t.Key)))
	for _, k := range t.Key {
		e.uint(uint64(k))
	}
	e.text(t.Comment)
}

func (d *wireDecoder) table() *schemas.Table {
	t := &schemas.Table{Catalog: d.text(), Schema: d.text(), Name: d.text(), Columns: d.columns()}
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

func (e *wireEncoder) columns(list []schemas.Column) {
	e.uint(uint64(len(list)))
	for i := range list {
		c := &list[i]
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
			e.columns([]schemas.Column{*c.Elem})
		}
		e.flag(c.Generated)
		e.text(c.Comment)
	}
}

func (d *wireDecoder) columns() []schemas.Column {
	defer func() { d.depth-- }()
	if !d.down() {
		return nil
	}
	var out []schemas.Column
	for range d.count(10) {
		c := schemas.Column{
			Name: d.text(), Type: schemas.Type(d.byte()), TypeName: d.text(), Length: int32(d.int()), Scale: int32(d.int()),
			Optional: d.flag(), Default: d.text(),
		}
		if c.Type > schemas.TypeRange {
			d.fail("column type %d", c.Type)
		}
		for range d.count(1) {
			c.Allowed = append(c.Allowed, d.text())
		}
		if d.flag() {
			if elem := d.columns(); len(elem) == 1 {
				c.Elem = &elem[0]
			} else {
				d.fail("%d element columns", len(elem))
			}
		}
		c.Generated, c.Comment = d.flag(), d.text()
		out = append(out, c)
	}
	return out
}
