package changes

import (
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// DatumKind is what Read found.
type DatumKind uint8

// The kinds of datum.
const (
	DatumNull     DatumKind = iota
	DatumBool               // Int is 0 or 1
	DatumInt                // Int
	DatumFloat32            // Float
	DatumFloat64            // Float
	DatumText               // Bytes, UTF-8
	DatumBytes              // Bytes
	DatumList               // Cells, to be read with Field.Elem
	DatumMap                // Cells: key, value, key, value; KindText, values may be NULL
	DatumVariable           // struct {scale: Int, value: Bytes}
	DatumPoint              // struct {x: Float, y: Y, wkb: Bytes, srid: null}
	DatumValue              // Value, in the physical form of Field.Schema
)

// Datum is a cell as a Connect value. Bytes is a view into the batch or into the scratch buffer.
type Datum struct {
	Kind  DatumKind
	Int   int64
	Float float64
	Y     float64
	Bytes []byte
	Cells []connectors.Cell
	Value schemas.Value
}

// Read returns the value that field f of a schema has for cell c. scratch is a buffer that Read may use for text and bytes that
// it makes; it comes back, possibly grown, for the next call, which invalidates Bytes. Read does not allocate once scratch is large enough.
// What cannot be shown under the view (NaN in a Decimal, a nested list) is f.WhenNull, as in the reference.
func Read(b *connectors.Batch, f *connectors.Field, c connectors.Cell, scratch []byte) (Datum, []byte) {
	return Datum{}, scratch
}

// Fallback returns the datum of a value that does not come from a cell: WhenNull and WhenUnavailable.
func Fallback(v schemas.Value) Datum {
	if v == nil {
		return Datum{}
	}
	return Datum{Kind: DatumValue, Value: v}
}
