package changes

import (
	"fmt"
	"strings"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// Modes are the settings that decide how a type of the database becomes a Connect schema. Immutable.
type Modes struct {
	time     string
	decimal  string
	binary   string
	interval string
	hstore   string
}

// NewModes reads time.precision.mode (timeDefault when not given), decimal.handling.mode, binary.handling.mode,
// interval.handling.mode and hstore.handling.mode.
func NewModes(c connectors.Config, timeDefault string) (Modes, error) {
	var m Modes
	for _, k := range []struct {
		to       *string
		name     string
		fallback string
		allowed  string
	}{
		{&m.time, "time.precision.mode", timeDefault, "adaptive adaptive_time_microseconds connect isostring microseconds nanoseconds"},
		{&m.decimal, "decimal.handling.mode", "precise", "precise double string"},
		{&m.binary, "binary.handling.mode", "bytes", "bytes base64 base64-url-safe hex"},
		{&m.interval, "interval.handling.mode", "numeric", "numeric string"},
		{&m.hstore, "hstore.handling.mode", "json", "json map"},
	} {
		v := strings.ToLower(orDefault(c[k.name], k.fallback))
		found := false
		for _, a := range strings.Fields(k.allowed) {
			found = found || a == v
		}
		if !found {
			if v == "structured" {
				return m, fmt.Errorf("read %s: structured is not supported yet", k.name)
			}
			return m, fmt.Errorf("read %s: %q is not one of %s", k.name, v, strings.ReplaceAll(k.allowed, " ", ", "))
		}
		*k.to = v
	}
	return m, nil
}

// DecimalText tells that decimals are text, which decides how defaults are written.
func (m Modes) DecimalText() bool { return m.decimal == "string" }

// The functions below return Schema, View and Scale of a field.

func shape(s *schemas.Schema, v connectors.View, scale int32) connectors.Field {
	return connectors.Field{Schema: s, View: v, Scale: scale}
}

// Date is for KindDate cells.
func (m Modes) Date(optional bool) connectors.Field {
	switch m.time {
	case "connect":
		return shape(Logical(schemas.Int32, NameConnectDate, optional), connectors.ViewDays, 0)
	case "isostring":
		return shape(Logical(schemas.String, NameIsoDate, optional), connectors.ViewIsoDate, 0)
	}
	return shape(Logical(schemas.Int32, NameDate, optional), connectors.ViewDays, 0)
}

// TimeOfDay is for KindTime cells; scale is the number of fractional digits of the column.
func (m Modes) TimeOfDay(scale int32, optional bool) connectors.Field {
	switch {
	case m.time == "connect":
		return shape(Logical(schemas.Int32, NameConnectTime, optional), connectors.ViewTimeMillis, scale)
	case m.time == "isostring":
		return shape(Logical(schemas.String, NameIsoTime, optional), connectors.ViewIsoTime, scale)
	case m.time == "nanoseconds", m.time == "adaptive" && scale > 6:
		return shape(Logical(schemas.Int64, NameNanoTime, optional), connectors.ViewTimeNanos, scale)
	case m.time == "adaptive" && scale <= 3:
		return shape(Logical(schemas.Int32, NameTime, optional), connectors.ViewTimeMillis, scale)
	}
	return shape(Logical(schemas.Int64, NameMicroTime, optional), connectors.ViewTimeMicros, scale)
}

// Timestamp is for KindTimestamp cells; scale is the number of fractional digits of the column.
func (m Modes) Timestamp(scale int32, optional bool) connectors.Field {
	adaptive := m.time == "adaptive" || m.time == "adaptive_time_microseconds"
	switch {
	case m.time == "connect":
		return shape(Logical(schemas.Int64, NameConnectTS, optional), connectors.ViewTimestampMillis, scale)
	case m.time == "isostring":
		return shape(Logical(schemas.String, NameIsoTimestamp, optional), connectors.ViewIsoTimestamp, scale)
	case m.time == "nanoseconds", adaptive && scale > 6:
		return shape(Logical(schemas.Int64, NameNanoTimestamp, optional), connectors.ViewTimestampNanos, scale)
	case adaptive && scale <= 3:
		return shape(Logical(schemas.Int64, NameTimestamp, optional), connectors.ViewTimestampMillis, scale)
	}
	return shape(Logical(schemas.Int64, NameMicroTimestamp, optional), connectors.ViewTimestampMicros, scale)
}

// ZonedTimestamp is for KindTimestampTZ cells; the text has exactly scale fractional digits.
func (m Modes) ZonedTimestamp(scale int32, optional bool) connectors.Field {
	return shape(Logical(schemas.String, NameZonedTimestamp, optional), connectors.ViewZonedTimestamp, scale)
}

// ZonedTime is for KindTimeTZ cells; the text has as many fractional digits as it needs.
func (m Modes) ZonedTime(optional bool) connectors.Field {
	return shape(Logical(schemas.String, NameZonedTime, optional), connectors.ViewZonedTime, 0)
}

// Decimal is for KindDecimal cells with a declared precision and scale. A negative precision is left out of the schema.
func (m Modes) Decimal(precision, scale int32, optional bool) connectors.Field {
	switch m.decimal {
	case "double":
		return shape(Plain(schemas.Float64, optional), connectors.ViewDecimalDouble, scale)
	case "string":
		return shape(Plain(schemas.String, optional), connectors.ViewDecimalText, scale)
	}
	return shape(DecimalSchema(precision, scale, optional), connectors.ViewDecimal, scale)
}

// VariableDecimal is for KindDecimal cells of columns without precision and scale.
func (m Modes) VariableDecimal(optional bool) connectors.Field {
	switch m.decimal {
	case "double":
		return shape(Plain(schemas.Float64, optional), connectors.ViewDecimalDouble, -1)
	case "string":
		return shape(Plain(schemas.String, optional), connectors.ViewDecimalText, -1)
	}
	return shape(VariableDecimalSchema(optional), connectors.ViewVariableDecimal, -1)
}

// Binary is for KindBytes cells (KindText cells of types that are passed on unknown are read as their bytes, too).
func (m Modes) Binary(optional bool) connectors.Field {
	switch m.binary {
	case "base64":
		return shape(Plain(schemas.String, optional), connectors.ViewBase64, 0)
	case "base64-url-safe":
		return shape(Plain(schemas.String, optional), connectors.ViewBase64URL, 0)
	case "hex":
		return shape(Plain(schemas.String, optional), connectors.ViewHex, 0)
	}
	return shape(Plain(schemas.Bytes, optional), connectors.ViewTextBytes, 0)
}

// Interval is for KindInterval cells.
func (m Modes) Interval(optional bool) connectors.Field {
	if m.interval == "string" {
		return shape(Logical(schemas.String, NameInterval, optional), connectors.ViewIntervalText, 0)
	}
	return shape(Logical(schemas.Int64, NameMicroDuration, optional), connectors.ViewDuration, 0)
}

// TextMap is for KindMap cells (hstore).
func (m Modes) TextMap(optional bool) connectors.Field {
	if m.hstore == "map" {
		return shape(TextMapSchema(optional), connectors.ViewMap, 0)
	}
	return shape(Logical(schemas.String, NameJSON, optional), connectors.ViewMapJSON, 0)
}

// Bits is for KindBits cells: one bit is a boolean.
func (m Modes) Bits(length int32, optional bool) connectors.Field {
	if length == 1 {
		return shape(Plain(schemas.Boolean, optional), connectors.ViewBitBool, 0)
	}
	return shape(BitsSchema(length, optional), connectors.ViewBits, 0)
}

// WholeBits is for KindBits cells of a fixed length, all of whose bytes are written: one bit is a boolean.
func (m Modes) WholeBits(length int32, optional bool) connectors.Field {
	f := m.Bits(length, optional)
	if f.View == connectors.ViewBits {
		f.Scale = (length + 7) / 8
	}
	return f
}

// UnsignedLong is for KindUint cells of 64 bits. A Connect int64 holds only half of them: the rest becomes negative, unless
// precise makes a Decimal.
func (m Modes) UnsignedLong(precise, optional bool) connectors.Field {
	if precise {
		return shape(DecimalSchema(20, 0, optional), connectors.ViewDecimal, 0)
	}
	return shape(Plain(schemas.Int64, optional), connectors.ViewPlain, 0)
}

// FloatVector is for KindList cells of KindFloat32.
func (m Modes) FloatVector(optional bool) connectors.Field {
	f := shape(FloatVectorSchema(optional), connectors.ViewList, 0)
	f.Elem = &connectors.Field{Schema: f.Schema.Elem}
	return f
}

// Geometry is for KindBytes cells of an SRID and a geometry in WKB.
func (m Modes) Geometry(optional bool) connectors.Field {
	return shape(GeometrySchema(optional), connectors.ViewGeometry, 0)
}

// GeometryPoint is for such cells that hold one point.
func (m Modes) GeometryPoint(optional bool) connectors.Field {
	return shape(PointSchema(optional), connectors.ViewGeometryPoint, 0)
}

// Point is for KindPoint cells.
func (m Modes) Point(optional bool) connectors.Field {
	return shape(PointSchema(optional), connectors.ViewPoint, 0)
}

// List is for KindList cells of elements of the given shape (its schema says whether they may be NULL).
func (m Modes) List(elem connectors.Field, optional bool) connectors.Field {
	f := shape(ListSchema(elem.Schema, optional), connectors.ViewList, 0)
	f.Elem = &elem
	return f
}
