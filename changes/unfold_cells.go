package changes

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// The reasons why a value cannot become a cell; they say its class, never the value.
var (
	errKind      = errors.New("the value is of another kind than its schema says")
	errText      = errors.New("the text is not of the form that its schema says")
	errNanos     = errors.New("the value has more than six fractional digits of a second, and at most six can be kept")
	errRange     = errors.New("the value is out of range")
	errFraction  = errors.New("the number was an integer before, has a fraction now, and some integers have no exact form with one; give the field a schema")
	errOtherKind = errors.New("the field held values of another kind before, and one column cannot hold both; give the field a schema")
	errSRID      = errors.New("the point has an SRID, and a column of points has none")
	errScale     = errors.New("the decimal has more digits than can be kept")
)

const maxScale = 20_000 // digits; PostgreSQL's numeric has up to 16,383 behind the point

// appendCell appends the cell of a value.
func (r *Rows) appendCell(w *connectors.Builder, c *column, v schemas.Value) error {
	if v != nil && r.placeholder != nil && r.placeholder.is(v) {
		w.Unavailable()
		return nil
	}
	return r.appendValue(w, c, v)
}

func (r *Rows) appendValue(w *connectors.Builder, c *column, v schemas.Value) error {
	if v == nil {
		w.Null()
		return nil
	}
	switch c.form {
	case formText:
		if text, ok := v.(string); ok {
			w.String(text)
			return nil
		}
		return errKind
	case formBool:
		if b, ok := v.(bool); ok {
			w.Bool(b)
			return nil
		}
		return errKind
	case formFloat32, formFloat64:
		return appendFloat(w, v)
	case formBytes, formDecimal, formDecimalUint, formBits:
		b, ok := v.([]byte)
		if !ok {
			return errKind
		}
		return r.appendBytes(w, c, b)
	case formIsoDate, formIsoTime, formIsoTS, formZonedTS, formZonedTime, formInterval, formDecimalText:
		text, ok := v.(string)
		if !ok {
			return errKind
		}
		return r.appendParsed(w, c, text)
	case formBitBool, formVariable, formPoint, formGeometry, formGeometryPoint, formMap, formList:
		return r.appendNested(w, c, v)
	case formLoose:
		return r.appendLoose(w, c.Type, v)
	case formJSON:
		r.scratch = appendJSON(r.scratch[:0], c.whole, v)
		w.Text(connectors.KindText, r.scratch)
		return nil
	}
	n, ok := integerOf(v)
	if !ok {
		return errKind
	}
	return appendInteger(w, c.form, n)
}

func integerOf(v schemas.Value) (int64, bool) {
	switch v := v.(type) {
	case int8:
		return int64(v), true
	case int16:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, true
	}
	return 0, false
}

func appendFloat(w *connectors.Builder, v schemas.Value) error {
	switch v := v.(type) {
	case float32:
		w.Float32(v)
	case float64:
		w.Float64(v)
	default:
		return errKind
	}
	return nil
}

// appendInteger is for the forms whose value is a number.
func appendInteger(w *connectors.Builder, f form, n int64) error {
	switch f {
	case formInt:
		w.Int(n)
	case formUint:
		w.Uint(uint64(n))
	case formDate:
		switch n {
		case infinityDays:
			n = math.MaxInt64
		case negInfinityDays:
			n = math.MinInt64
		}
		w.Temporal(connectors.KindDate, n)
	case formMillis:
		w.Temporal(connectors.KindTime, n*1000)
	case formMicros:
		w.Temporal(connectors.KindTime, n)
	case formNanos:
		if n%1000 != 0 {
			return errNanos
		}
		w.Temporal(connectors.KindTime, n/1000)
	case formTSMillis:
		switch {
		case n == floorDiv(infinityMicros, 1000):
			n = math.MaxInt64
		case n == floorDiv(negInfinityMicros, 1000):
			n = math.MinInt64
		case n > math.MaxInt64/1000 || n < math.MinInt64/1000:
			return errRange
		default:
			n *= 1000
		}
		w.Temporal(connectors.KindTimestamp, n)
	case formTSMicros:
		switch n {
		case infinityMicros:
			n = math.MaxInt64
		case negInfinityMicros:
			n = math.MinInt64
		}
		w.Temporal(connectors.KindTimestamp, n)
	case formTSNanos:
		if n%1000 != 0 {
			return errNanos
		}
		w.Temporal(connectors.KindTimestamp, n/1000)
	case formDuration:
		w.Interval(0, 0, n)
	case formNanoDuration:
		if n%1000 != 0 {
			return errNanos
		}
		w.Interval(0, 0, n/1000)
	default:
		return errKind
	}
	return nil
}

func (r *Rows) appendBytes(w *connectors.Builder, c *column, b []byte) error {
	switch c.form {
	case formDecimal, formDecimalUint:
		if len(b) > maxScale || c.scale > maxScale || c.scale < -maxScale {
			return errScale
		}
		r.scratch = appendPlainDecimal(r.scratch[:0], b, c.scale)
		if c.Scale < 0 && c.scale > 0 {
			r.scratch = r.scratch[:bytes.IndexByte(r.scratch, '.')] // zeros follow
		}
		if c.form == formDecimal {
			w.Text(connectors.KindDecimal, r.scratch)
			return nil
		}
		return appendUnsigned(w, r.scratch)
	case formBits:
		r.scratch = appendDigits(r.scratch[:0], b, int(c.Length))
		w.Text(connectors.KindBits, r.scratch)
	default:
		w.Text(connectors.KindBytes, b)
	}
	return nil
}

func appendUnsigned(w *connectors.Builder, text []byte) error {
	v := uint64(0)
	for _, d := range text {
		if d < '0' || d > '9' || v > math.MaxUint64/10 || v == math.MaxUint64/10 && d > '5' {
			return errRange
		}
		v = v*10 + uint64(d-'0')
	}
	w.Uint(v)
	return nil
}

// appendDigits writes little-endian bytes as bits, most significant first: n of them, without n all bits of the bytes.
func appendDigits(dst, b []byte, n int) []byte {
	if n <= 0 {
		n = 8 * len(b)
	}
	for i := n - 1; i >= 0; i-- {
		bit := byte(0)
		if i/8 < len(b) {
			bit = b[i/8] >> (i % 8) & 1
		}
		dst = append(dst, '0'+bit)
	}
	return dst
}

func (r *Rows) appendParsed(w *connectors.Builder, c *column, text string) error {
	s := scan{text: text}
	switch c.form {
	case formIsoDate:
		v := s.date()
		s.zone()
		switch v {
		case infinityDays:
			v = math.MaxInt64
		case negInfinityDays:
			v = math.MinInt64
		}
		w.Temporal(connectors.KindDate, v)
	case formIsoTime:
		v := s.clock()
		s.zone()
		w.Temporal(connectors.KindTime, v)
	case formZonedTime:
		v := s.clock()
		w.TimeTZ(v, int32(s.zone()))
	case formIsoTS, formZonedTS:
		return appendTimestampText(w, c.form, text)
	case formDecimalText:
		return appendDecimalText(w, text)
	case formInterval:
		months, days, micros, ok := parseInterval(text)
		if !ok {
			return errText
		}
		w.Interval(months, days, micros)
		return nil
	}
	if !s.ended() {
		return errText
	}
	return nil
}

func appendTimestampText(w *connectors.Builder, f form, text string) error {
	kind := connectors.KindTimestamp
	if f == formZonedTS {
		kind = connectors.KindTimestampTZ
	}
	var v int64
	switch text {
	case "infinity":
		v = math.MaxInt64
	case "-infinity":
		v = math.MinInt64
	default:
		var ok bool
		if v, ok = parseTimestamp(text); !ok {
			return errText
		}
		switch v {
		case infinityMicros:
			v = math.MaxInt64
		case negInfinityMicros:
			v = math.MinInt64
		}
	}
	w.Temporal(kind, v)
	return nil
}

func appendDecimalText(w *connectors.Builder, text string) error {
	switch text {
	case "NAN":
		text = "NaN"
	case "POSITIVE_INFINITY":
		text = "Infinity"
	case "NEGATIVE_INFINITY":
		text = "-Infinity"
	default:
		if _, ok := split(view(text)); !ok {
			return errText
		}
	}
	w.Text(connectors.KindDecimal, view(text))
	return nil
}

// appendNested is for the forms that have parts.
func (r *Rows) appendNested(w *connectors.Builder, c *column, v schemas.Value) error {
	switch c.form {
	case formBitBool:
		b, ok := v.(bool)
		if !ok {
			return errKind
		}
		digit := "0"
		if b {
			digit = "1"
		}
		w.Text(connectors.KindBits, view(digit))
		return nil
	case formMap:
		return appendMap(w, v)
	case formList:
		return r.appendList(w, c, v)
	}
	parts, ok := v.(schemas.StructValue)
	if !ok || len(parts) != len(c.field.Schema.Fields) {
		return errKind
	}
	at := func(name string) schemas.Value {
		if i := c.field.Schema.Field(name); i >= 0 {
			return parts[i]
		}
		return nil
	}
	if c.form == formVariable {
		scale, ok1 := at("scale").(int32)
		unscaled, ok2 := at("value").([]byte)
		if !ok1 || !ok2 {
			return errKind
		}
		if scale > maxScale || scale < -maxScale || len(unscaled) > 8*maxScale {
			return errScale
		}
		r.scratch = appendPlainDecimal(r.scratch[:0], unscaled, scale)
		w.Text(connectors.KindDecimal, r.scratch)
		return nil
	}
	if c.form == formPoint {
		x, ok1 := at("x").(float64)
		y, ok2 := at("y").(float64)
		switch {
		case !ok1 || !ok2:
			return errKind
		case at("srid") != nil:
			return errSRID
		}
		w.BeginList(connectors.KindPoint)
		w.Float64(x)
		w.Float64(y)
		w.EndList()
		return nil
	}
	wkb, ok := at("wkb").([]byte)
	if !ok {
		return errKind
	}
	srid, _ := at("srid").(int32)
	r.scratch = append(binary.LittleEndian.AppendUint32(r.scratch[:0], uint32(srid)), wkb...)
	w.Text(connectors.KindBytes, r.scratch)
	return nil
}

func appendMap(w *connectors.Builder, v schemas.Value) error {
	entries, ok := v.(schemas.MapValue)
	if !ok {
		return errKind
	}
	for _, e := range entries {
		_, key := e.Key.(string)
		_, value := e.Value.(string)
		if !key || !value && e.Value != nil {
			return errKind
		}
	}
	w.BeginList(connectors.KindMap)
	for _, e := range entries {
		w.String(e.Key.(string))
		if e.Value == nil {
			w.Null()
			continue
		}
		w.String(e.Value.(string))
	}
	w.EndList()
	return nil
}

func (r *Rows) appendList(w *connectors.Builder, c *column, v schemas.Value) error {
	elems, ok := v.(schemas.ArrayValue)
	if !ok {
		return errKind
	}
	w.BeginList(connectors.KindList)
	for i, e := range elems {
		if err := r.appendValue(w, c.elem, e); err != nil {
			w.AbandonList()
			return fmt.Errorf("element %d: %w", i, err)
		}
	}
	w.EndList()
	return nil
}
