package postgres

import (
	"regexp"
	"strings"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

var (
	functionDefault = regexp.MustCompile(`^\(?[A-Za-z0-9_."]+\(`)
	numberDefault   = regexp.MustCompile(`^\(?-?[0-9.]+(?:e[+-]?[0-9]+)?\)?$`)
	castSuffix      = regexp.MustCompile(`^(?:::[A-Za-z0-9_." ]+(?:\([0-9, ]+\))?(?:\[\])*(?: with(?:out)? time zone)?)*$`)
)

// defaultValue returns the schema default that the reference gives a column: the value of a literal, the zero of the type
// for a function, nil for everything else (expressions, and types whose defaults it does not read). expr comes from
// pg_get_expr in a session with sessionSettings, so a literal has the form in which values are printed.
func defaultValue(t *pgType, s shape, d decoder, expr string) schemas.Value {
	if expr == "" || s.field.Schema == nil || !hasDefaults(t) {
		return nil
	}
	text, ok := literal(expr)
	if !ok && (functionDefault.MatchString(expr) || expr == "CURRENT_DATE") {
		text, ok = zeroText(t.oid)
	}
	if !ok {
		return nil
	}
	if t.oid == oidNumeric {
		if s.scale < 0 && s.field.View == connectors.ViewVariableDecimal {
			return nil // Connect cannot have a struct as a default
		}
		text = padScale(text, int(s.scale))
	}
	if v, ok := oneValue(s.field, d, []byte(text)); ok {
		return v
	}
	return nil
}

// hasDefaults tells the types whose defaults the reference reads; domains are not among them.
func hasDefaults(t *pgType) bool {
	switch t.oid {
	case oidBool, oidInt2, oidInt4, oidInt8, oidFloat4, oidFloat8, oidNumeric, oidText, oidVarchar, oidBpchar, oidJSON, oidJSONB, oidXML,
		oidUUID, oidDate, oidTime, oidTimeTZ, oidTimestamp, oidTimestampTZ, oidInterval, oidBit, oidVarbit:
		return true
	}
	return t.kind == 'e'
}

// literal returns the text of a default that is one constant: 'it”s'::text, B'101', 12.5, '-1'::integer, true.
func literal(expr string) (string, bool) {
	if expr == "true" || expr == "false" {
		return expr[:1], true
	}
	value, cast := expr, ""
	if at := strings.Index(expr, "::"); at >= 0 && !strings.ContainsRune(expr, '\'') {
		value, cast = expr[:at], expr[at:]
	}
	if numberDefault.MatchString(value) && castSuffix.MatchString(cast) {
		return strings.Trim(value, "()"), true
	}
	rest := strings.TrimPrefix(expr, "B")
	if !strings.HasPrefix(rest, "'") {
		return "", false
	}
	var text strings.Builder
	for i := 1; i < len(rest); i++ {
		if rest[i] != '\'' {
			text.WriteByte(rest[i])
			continue
		}
		if i+1 < len(rest) && rest[i+1] == '\'' {
			text.WriteByte('\'')
			i++
			continue
		}
		return text.String(), castSuffix.MatchString(rest[i+1:])
	}
	return "", false
}

// zeroText is what stands for the unknown value of a function.
func zeroText(oid uint32) (string, bool) {
	switch oid {
	case oidBool:
		return "f", true
	case oidInt2, oidInt4, oidInt8, oidFloat4, oidFloat8, oidNumeric:
		return "0", true
	case oidText, oidVarchar, oidBpchar, oidXML:
		return "", true
	case oidJSON, oidJSONB:
		return "{}", true
	case oidUUID:
		return "00000000-0000-0000-0000-000000000000", true
	case oidDate:
		return "1970-01-01", true
	case oidTime:
		return "00:00:00", true
	case oidTimeTZ:
		return "00:00:00+00", true
	case oidTimestamp:
		return "1970-01-01 00:00:00", true
	case oidTimestampTZ:
		return "1970-01-01 00:00:00+00", true
	case oidInterval:
		return "00:00:00", true
	}
	return "", false
}

// padScale gives a decimal text as many digits after the point as the column has: the default 12.5 of a numeric(6,2) is 12.50.
func padScale(text string, scale int) string {
	if scale <= 0 || strings.ContainsAny(text, "eEyN") {
		return text
	}
	at := strings.IndexByte(text, '.')
	if at < 0 {
		text, at = text+".", len(text)
	}
	if missing := scale - (len(text) - at - 1); missing > 0 {
		text += strings.Repeat("0", missing)
	}
	return text
}

// oneValue decodes one text and returns it as field f shows it.
func oneValue(f connectors.Field, d decoder, text []byte) (schemas.Value, bool) {
	w := connectors.NewBuilder("", nil, nil)
	w.Begin(w.Stream(&connectors.Stream{}), connectors.OpNone)
	w.After()
	if err := d.append(w, text); err != nil {
		w.Abandon()
		return nil, false
	}
	w.Commit()
	b := w.Finish("", connectors.Order{})
	defer b.Release()
	f.WhenNull = nil
	datum, _ := changes.Read(b, &f, b.Cells(b.Records[0].After)[0], nil)
	return plainValue(f.Schema, datum)
}

// plainValue copies a datum of a scalar schema.
func plainValue(s *schemas.Schema, d changes.Datum) (schemas.Value, bool) {
	switch d.Kind {
	case changes.DatumBool:
		return d.Int != 0, true
	case changes.DatumInt:
		switch s.Kind {
		case schemas.Int16:
			return int16(d.Int), true
		case schemas.Int32:
			return int32(d.Int), true
		}
		return d.Int, true
	case changes.DatumFloat32:
		return float32(d.Float), true
	case changes.DatumFloat64:
		return d.Float, true
	case changes.DatumText:
		return string(d.Bytes), true
	case changes.DatumBytes:
		return append([]byte{}, d.Bytes...), true
	case changes.DatumValue:
		return d.Value, d.Value != nil
	}
	return nil, false
}
