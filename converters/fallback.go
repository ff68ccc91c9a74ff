package converters

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// ErrNull is the error of a NULL that a schema has no room for.
var ErrNull = errors.New("null value for a field that is required and has no default value")

// Fallback is what a field has where a cell has no value for it, rendered once.
type Fallback struct {
	Field       *connectors.Field
	Null        []byte // nil: NULL is an error
	Unavailable []byte // nil: as NULL
}

// NewFallback renders with write, which takes nil where the schema allows it. nullDefault is replace.null.with.default.
func NewFallback(f *connectors.Field, nullDefault bool, write func(schemas.Value) ([]byte, error)) (Fallback, error) {
	out := Fallback{Field: f}
	null, missing := f.WhenNull, f.WhenUnavailable
	switch {
	case f.Schema.Default == nil:
	case f.Schema.Optional && !nullDefault: // a default that stands for NULL is NULL
		if reflect.DeepEqual(null, f.Schema.Default) {
			null = nil
		}
		if reflect.DeepEqual(missing, f.Schema.Default) {
			missing = nil
		}
	case null == nil:
		null = f.Schema.Default
	}
	var err error
	if null != nil || f.Schema.Optional {
		if out.Null, err = write(null); err != nil {
			return out, err
		}
	}
	if missing != nil {
		out.Unavailable, err = write(missing)
	}
	return out, err
}

// AppendNull writes a NULL.
func (f *Fallback) AppendNull(dst []byte) ([]byte, error) {
	if f.Null == nil {
		return dst, ErrNull
	}
	return append(dst, f.Null...), nil
}

// AppendMisfit writes a value that the schema cannot hold.
func (f *Fallback) AppendMisfit(dst []byte) ([]byte, error) {
	if f.Field.WhenNull == nil && !f.Field.Schema.Optional {
		return dst, fmt.Errorf("a value that %s cannot hold, in a field that is required", f.Field.Schema.Name)
	}
	return f.AppendNull(dst)
}

// AppendMissing writes a cell without a value; false: it has one.
func (f *Fallback) AppendMissing(dst []byte, c connectors.Cell) (out []byte, missing bool, err error) {
	switch c.Kind {
	case connectors.KindUnavailable:
		if f.Unavailable != nil {
			return append(dst, f.Unavailable...), true, nil
		}
	case connectors.KindNull, connectors.KindAbsent:
	default:
		return dst, false, nil
	}
	out, err = f.AppendNull(dst)
	return out, true, err
}
