package changes

import (
	"errors"
	"math"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// looseShape is what the records of a topic that have no schema had for fields so far, in the order in which they came.
type looseShape struct {
	columns []column
	version int // grows with each change
}

// maxLoose bounds the fields of a topic's records: more of them are data that became names.
const maxLoose = 1600

var errWide = errors.New("records of the topic have more different fields than a table has columns (1600)")

// take makes the shape fit a row. What it may be is decided before anything changes.
func (s *looseShape) take(row schemas.MapValue) error {
	for i := range row {
		name, ok := row[i].Key.(string)
		if !ok {
			return errKind
		}
		c := s.find(i, name)
		typ, null := looseType(row[i].Value)
		switch {
		case c == nil && len(s.columns) >= maxLoose:
			return errWide
		case c == nil:
			s.columns = append(s.columns, looseColumn(name, typ, null))
			s.version++
		case null || c.Type == typ || c.Type == schemas.TypeFloat64 && typ == schemas.TypeInt64:
		case c.TypeName == NullType, c.Type == schemas.TypeInt64 && typ == schemas.TypeFloat64:
			*c = looseColumn(name, typ, false)
			s.version++
		default:
			return &fieldError{name, errOtherKind}
		}
	}
	return nil
}

// fieldError says which field an error is about.
type fieldError struct {
	name  string
	cause error
}

func (e *fieldError) Error() string { return "field " + e.name + ": " + e.cause.Error() }
func (e *fieldError) Unwrap() error { return e.cause }

// find returns the column of a name, which is most often the one at the same place.
func (s *looseShape) find(at int, name string) *column {
	if at < len(s.columns) && s.columns[at].Name == name {
		return &s.columns[at]
	}
	for i := range s.columns {
		if s.columns[i].Name == name {
			return &s.columns[i]
		}
	}
	return nil
}

// looseType is the type of a value that has no schema.
func looseType(v schemas.Value) (t schemas.Type, null bool) {
	switch v.(type) {
	case nil:
		return schemas.TypeOther, true
	case bool:
		return schemas.TypeBool, false
	case int8, int16, int32, int64:
		return schemas.TypeInt64, false
	case float32, float64:
		return schemas.TypeFloat64, false
	case string:
		return schemas.TypeText, false
	case []byte:
		return schemas.TypeBytes, false
	}
	return schemas.TypeJSON, false
}

func looseColumn(name string, t schemas.Type, null bool) column {
	kind := map[schemas.Type]schemas.Kind{
		schemas.TypeBool: schemas.Boolean, schemas.TypeInt64: schemas.Int64, schemas.TypeFloat64: schemas.Float64, schemas.TypeBytes: schemas.Bytes,
	}[t]
	s := Plain(kind, true)
	switch {
	case t == schemas.TypeJSON:
		s = Logical(schemas.String, NameJSON, true)
	case kind == 0:
		s = Plain(schemas.String, true)
	}
	c := column{
		Column: schemas.Column{Name: name, Type: t, Length: -1, Scale: -1, Optional: true},
		field:  connectors.Field{Name: name, Schema: s, Scale: -1}, form: formLoose, scale: -1,
	}
	if null {
		c.TypeName = NullType
	}
	return c
}

// appendLoose appends a value of a column whose type came from values.
func (r *Rows) appendLoose(w *connectors.Builder, t schemas.Type, v schemas.Value) error {
	switch v := v.(type) {
	case bool:
		if t == schemas.TypeBool {
			w.Bool(v)
			return nil
		}
	case string:
		if t == schemas.TypeText {
			w.String(v)
			return nil
		}
	case []byte:
		if t == schemas.TypeBytes {
			w.Text(connectors.KindBytes, v)
			return nil
		}
	case float32, float64:
		if t == schemas.TypeFloat64 {
			return appendFloat(w, v)
		}
	case schemas.MapValue, schemas.ArrayValue, schemas.StructValue:
		if t == schemas.TypeJSON {
			r.scratch = appendJSON(r.scratch[:0], nil, v)
			w.Text(connectors.KindText, r.scratch)
			return nil
		}
	}
	n, ok := integerOf(v)
	switch {
	case ok && t == schemas.TypeInt64:
		w.Int(n)
	case ok && t == schemas.TypeFloat64:
		f := float64(n)
		if math.Abs(f) >= 1<<63 || int64(f) != n { // I10
			return errFraction
		}
		w.Float64(f)
	default:
		return errOtherKind
	}
	return nil
}
