package postgres

import (
	"crypto/md5" //nolint:gosec // a version 3 UUID is made of it
	"fmt"
	"strconv"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// Oids of built-in types (src/include/catalog/pg_type.dat).
const (
	oidBool        = 16
	oidBytea       = 17
	oidChar        = 18
	oidName        = 19
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidText        = 25
	oidOid         = 26
	oidJSON        = 114
	oidXML         = 142
	oidPoint       = 600
	oidLseg        = 601
	oidPath        = 602
	oidBox         = 603
	oidPolygon     = 604
	oidLine        = 628
	oidCidr        = 650
	oidFloat4      = 700
	oidFloat8      = 701
	oidCircle      = 718
	oidMacaddr8    = 774
	oidMoney       = 790
	oidMacaddr     = 829
	oidInet        = 869
	oidBpchar      = 1042
	oidVarchar     = 1043
	oidDate        = 1082
	oidTime        = 1083
	oidTimestamp   = 1114
	oidTimestampTZ = 1184
	oidInterval    = 1186
	oidTimeTZ      = 1266
	oidBit         = 1560
	oidVarbit      = 1562
	oidNumeric     = 1700
	oidRefcursor   = 1790
	oidUUID        = 2950
	oidTsvector    = 3614
	oidJSONB       = 3802
	oidInt4Range   = 3904
	oidNumRange    = 3906
	oidTsRange     = 3908
	oidTstzRange   = 3910
	oidDateRange   = 3912
	oidInt8Range   = 3926
)

// maxLength is what the reference gives as the length of types without one.
const maxLength = 2147483647

// shape is what a type means: in tables, in events, and how its text is decoded. A field without schema is left out of
// events, as the reference leaves out types that it does not map; the column stays in the table, with its text.
type shape struct {
	typ    schemas.Type
	op     op
	length int32 // as schemas.Column
	scale  int32
	field  connectors.Field
}

// mapper makes shapes under the configured modes.
type mapper struct {
	modes       changes.Modes
	unknown     bool // include.unknown.datatypes
	moneyScale  int32
	placeholder []byte
}

// resolve follows domains to what they are made of; the modifier is that of the nearest domain that has one.
func resolve(t *pgType, modifier int32) (*pgType, int32) {
	for t.base != nil {
		if modifier < 0 {
			modifier = t.modifier
		}
		t = t.base
	}
	return t, modifier
}

// shapeOf returns the shape of a type with its modifier.
func (m mapper) shapeOf(t *pgType, modifier int32, optional bool) shape {
	t, modifier = resolve(t, modifier)
	if t.elem == nil {
		return m.scalar(t, modifier, optional)
	}
	inner, innerModifier := resolve(t.elem, modifier)
	if inner.elem == nil && listable(inner) {
		elem := m.scalar(inner, innerModifier, true)
		return shape{typ: schemas.TypeList, op: opList, length: -1, scale: -1, field: m.modes.List(elem.field, optional)}
	}
	s := shape{typ: schemas.TypeOther, op: opText, length: -1, scale: -1}
	if m.unknown && !neverListed(inner) {
		s.field = m.modes.Binary(optional)
	}
	return s
}

// listable tells the types whose arrays the reference maps.
func listable(t *pgType) bool {
	switch t.oid {
	case oidBool, oidInt2, oidInt4, oidInt8, oidOid, oidFloat4, oidFloat8, oidNumeric, oidText, oidVarchar, oidBpchar, oidChar,
		oidUUID, oidJSON, oidJSONB, oidDate, oidTime, oidTimeTZ, oidTimestamp, oidTimestampTZ, oidInet, oidCidr, oidMacaddr, oidBytea,
		oidInt4Range, oidInt8Range, oidNumRange, oidTsRange, oidTstzRange, oidDateRange:
		return true
	}
	return t.kind == 'e' || t.name == "citext" || t.name == "hstore" || t.name == "ltree"
}

// neverListed tells the types whose arrays are left out even with include.unknown.datatypes.
func neverListed(t *pgType) bool {
	switch t.oid {
	case oidMoney, oidName, oidInterval, oidVarbit, oidXML, oidPoint, oidRefcursor:
		return true
	}
	return false
}

func (m mapper) scalar(t *pgType, modifier int32, optional bool) shape {
	plain := func(typ schemas.Type, o op, k schemas.Kind) shape {
		return shape{typ, o, -1, -1, connectors.Field{Schema: changes.Plain(k, optional)}}
	}
	named := func(typ schemas.Type, name string) shape {
		return shape{typ, opText, -1, -1, connectors.Field{Schema: changes.Logical(schemas.String, name, optional)}}
	}
	switch t.oid {
	case oidBool:
		return plain(schemas.TypeBool, opBool, schemas.Boolean)
	case oidInt2:
		return plain(schemas.TypeInt16, opInt, schemas.Int16)
	case oidInt4:
		return plain(schemas.TypeInt32, opInt, schemas.Int32)
	case oidInt8, oidOid:
		return plain(schemas.TypeInt64, opInt, schemas.Int64)
	case oidFloat4:
		return plain(schemas.TypeFloat32, opFloat32, schemas.Float32)
	case oidFloat8:
		return plain(schemas.TypeFloat64, opFloat64, schemas.Float64)
	case oidText, oidVarchar, oidBpchar, oidName, oidChar:
		s := plain(schemas.TypeText, opText, schemas.String)
		s.length = charLength(t.oid, modifier)
		return s
	case oidInet, oidCidr, oidMacaddr, oidMacaddr8:
		return plain(schemas.TypeOther, opText, schemas.String)
	case oidInt4Range, oidInt8Range, oidNumRange, oidTsRange, oidTstzRange, oidDateRange:
		return plain(schemas.TypeRange, opText, schemas.String)
	case oidJSON, oidJSONB:
		return named(schemas.TypeJSON, changes.NameJSON)
	case oidXML:
		return named(schemas.TypeXML, changes.NameXML)
	case oidUUID:
		return named(schemas.TypeUUID, changes.NameUUID)
	case oidTsvector:
		return named(schemas.TypeOther, changes.NameTsvector)
	case oidNumeric, oidMoney:
		return m.number(t.oid, modifier, optional)
	case oidDate, oidTime, oidTimeTZ, oidTimestamp, oidTimestampTZ, oidInterval:
		return m.temporal(t.oid, modifier, optional)
	case oidBytea:
		return shape{schemas.TypeBytes, opBytea, -1, -1, m.modes.Binary(optional)}
	case oidBit, oidVarbit:
		length := modifier
		if length < 0 {
			length = maxLength
		}
		return shape{schemas.TypeBits, opBits, modifier, -1, m.modes.Bits(length, optional)}
	case oidPoint:
		return shape{schemas.TypePoint, opPoint, -1, -1, m.modes.Point(optional)}
	}
	return m.named(t, optional)
}

// named maps the types that have no fixed oid, by their names.
func (m mapper) named(t *pgType, optional bool) shape {
	text := shape{typ: schemas.TypeOther, op: opText, length: -1, scale: -1}
	switch {
	case t.kind == 'e':
		text.typ = schemas.TypeEnum
		text.field.Schema = changes.EnumSchema(t.labels, optional)
	case t.name == "citext":
		text.typ = schemas.TypeText
		text.field.Schema = changes.Plain(schemas.String, optional)
	case t.name == "ltree":
		text.field.Schema = changes.Logical(schemas.String, changes.NameLtree, optional)
	case t.name == "isbn":
		text.field.Schema = changes.Plain(schemas.String, optional)
	case t.name == "hstore":
		return shape{schemas.TypeMap, opHstore, -1, -1, m.modes.TextMap(optional)}
	case m.unknown:
		text.field = m.modes.Binary(optional)
		switch t.oid {
		case oidLine, oidLseg, oidBox, oidPath, oidPolygon, oidCircle:
			text.op = opGeometry
		}
	case t.kind == 'r':
		text.typ = schemas.TypeRange
	}
	return text
}

func charLength(oid uint32, modifier int32) int32 {
	switch {
	case oid == oidName:
		return 63
	case oid == oidChar:
		return 1
	case (oid == oidVarchar || oid == oidBpchar) && modifier >= 4:
		return modifier - 4
	}
	return -1
}

// number maps numeric and money.
func (m mapper) number(oid uint32, modifier int32, optional bool) shape {
	if oid == oidMoney {
		return shape{schemas.TypeMoney, opMoney, -1, 2, m.modes.Decimal(-1, m.moneyScale, optional)}
	}
	precision, scale, ok := numericModifier(modifier)
	if !ok {
		return shape{schemas.TypeDecimal, opDecimal, -1, -1, m.modes.VariableDecimal(optional)}
	}
	// The reference does not know negative scales: it reads the bits of -2 as 2046, which changes no value.
	return shape{schemas.TypeDecimal, opDecimal, precision, scale, m.modes.Decimal(precision, scale&0x7ff, optional)}
}

// numericModifier splits the modifier of numeric(precision,scale); the scale has 11 bits with sign.
func numericModifier(modifier int32) (precision, scale int32, ok bool) {
	if modifier < 4 {
		return 0, 0, false
	}
	modifier -= 4
	return modifier >> 16 & 0xffff, (modifier&0x7ff ^ 1024) - 1024, true
}

func (m mapper) temporal(oid uint32, modifier int32, optional bool) shape {
	digits := modifier
	if digits < 0 {
		digits = 6
	}
	switch oid {
	case oidDate:
		return shape{schemas.TypeDate, opDate, -1, -1, m.modes.Date(optional)}
	case oidTime:
		return shape{schemas.TypeTime, opTime, -1, modifier, m.modes.TimeOfDay(digits, optional)}
	case oidTimeTZ:
		return shape{schemas.TypeTimeTZ, opTimeTZ, -1, modifier, m.modes.ZonedTime(optional)}
	case oidTimestamp:
		return shape{schemas.TypeTimestamp, opTimestamp, -1, modifier, m.modes.Timestamp(digits, optional)}
	case oidTimestampTZ:
		return shape{schemas.TypeTimestampTZ, opTimestampTZ, -1, modifier, m.modes.ZonedTimestamp(digits, optional)}
	}
	scale := int32(-1) // the low 16 bits, all set when not given
	if modifier >= 0 && modifier&0xffff != 0xffff {
		scale = modifier & 0xffff
	}
	return shape{schemas.TypeInterval, opInterval, -1, scale, m.modes.Interval(optional)}
}

// column makes a column of a table, with its shape and its decoder.
func (m mapper) column(t *pgType, name string, modifier int32, optional bool) (schemas.Column, shape, decoder) {
	s := m.shapeOf(t, modifier, optional)
	c := schemas.Column{
		Name: name, Type: s.typ, TypeName: typeName(t, modifier), Length: s.length, Scale: s.scale, Optional: optional,
	}
	d := decoder{op: s.op}
	base, baseModifier := resolve(t, modifier)
	switch s.typ {
	case schemas.TypeEnum:
		c.Allowed = base.labels
	case schemas.TypeList:
		elem, _, elemDecoder := m.column(base.elem, "", baseModifier, true)
		c.Elem, d.elem = &elem, elemDecoder.op
	}
	return c, s, d
}

// unavailable is what an event shows for an unchanged out-of-line value of a column (reference, "TOAST placeholders").
func (m mapper) unavailable(t *pgType, s shape) schemas.Value {
	text := string(m.placeholder)
	t, _ = resolve(t, -1)
	field := s.field
	switch {
	case field.Schema == nil:
		return nil
	case s.typ == schemas.TypeList:
		inner, _ := resolve(t.elem, -1)
		return m.unavailableList(inner, field.Schema.Elem)
	case field.View == connectors.ViewMapJSON:
		quoted := strconv.Quote(text)
		return "{" + quoted + ":" + quoted + "}"
	case field.View == connectors.ViewMap:
		return schemas.MapValue{{Key: text, Value: text}}
	case isBinary(field.View):
		return m.binaryPlaceholder(field)
	case field.Schema.Kind == schemas.String && s.op == opText:
		return text
	}
	return nil
}

func isBinary(v connectors.View) bool {
	switch v {
	case connectors.ViewTextBytes, connectors.ViewBase64, connectors.ViewBase64URL, connectors.ViewHex:
		return true
	}
	return false
}

func (m mapper) binaryPlaceholder(f connectors.Field) schemas.Value {
	v, _ := oneValue(f, decoder{op: opText}, m.placeholder)
	return v
}

func (m mapper) unavailableList(t *pgType, elem *schemas.Schema) schemas.Value {
	text := string(m.placeholder)
	switch t.oid {
	case oidText, oidVarchar, oidBpchar, oidJSON, oidJSONB:
		return schemas.ArrayValue{text}
	case oidBytea:
		return schemas.ArrayValue{m.binaryPlaceholder(m.modes.Binary(true))}
	case oidUUID:
		return schemas.ArrayValue{uuidOf(m.placeholder)}
	case oidInt4, oidDate, oidInt8:
		var out schemas.ArrayValue
		for _, b := range m.placeholder {
			switch elem.Kind {
			case schemas.Int32:
				out = append(out, int32(int8(b)))
			case schemas.Int64:
				out = append(out, int64(int8(b)))
			default:
				return nil
			}
		}
		return out
	}
	return nil
}

// uuidOf is the version 3 UUID of a name, without a name space (java.util.UUID.nameUUIDFromBytes).
func uuidOf(name []byte) string {
	u := md5.Sum(name) //nolint:gosec // see the import
	u[6] = u[6]&0x0f | 0x30
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// modifierText is a type modifier as SQL writes it, parentheses included.
func modifierText(t *pgType, modifier int32) string {
	if modifier < 0 {
		return ""
	}
	switch t.oid {
	case oidNumeric:
		if p, s, ok := numericModifier(modifier); ok {
			return fmt.Sprintf("(%d,%d)", p, s)
		}
	case oidBpchar, oidVarchar:
		return fmt.Sprintf("(%d)", modifier-4)
	case oidBit, oidVarbit, oidTime, oidTimeTZ, oidTimestamp, oidTimestampTZ:
		return fmt.Sprintf("(%d)", modifier)
	case oidInterval:
		text := intervalFields(modifier >> 16 & 0x7fff)
		if digits := modifier & 0xffff; digits != 0xffff {
			text += fmt.Sprintf("(%d)", digits)
		}
		return text
	}
	return ""
}

// intervalFields is the restriction of an interval to some fields (src/include/utils/timestamp.h).
func intervalFields(mask int32) string {
	const year, month, day, hour, minute, second = 1 << 2, 1 << 1, 1 << 3, 1 << 10, 1 << 11, 1 << 12
	switch mask {
	case year:
		return " year"
	case month:
		return " month"
	case day:
		return " day"
	case hour:
		return " hour"
	case minute:
		return " minute"
	case second:
		return " second"
	case year | month:
		return " year to month"
	case day | hour:
		return " day to hour"
	case day | hour | minute:
		return " day to minute"
	case day | hour | minute | second:
		return " day to second"
	case hour | minute:
		return " hour to minute"
	case hour | minute | second:
		return " hour to second"
	case minute | second:
		return " minute to second"
	}
	return ""
}

// sourceType is what the reference's driver says of a column's type, for propagated source types.
func sourceType(t *pgType, modifier int32, snapshot bool) changes.SourceType {
	out := changes.SourceType{Name: t.name, Length: maxLength, Scale: 0}
	base, modifier := resolve(t, modifier)
	if base.elem != nil {
		base, modifier = resolve(base.elem, modifier)
		snapshot = false
	}
	digits := modifier
	if digits < 0 {
		digits = 6
	}
	seconds := digits + 1 // what is printed behind the seconds, the point included
	switch modifier {
	case 0:
		seconds = 0
	case 1:
		seconds = 3
	}
	switch base.oid {
	case oidBool, oidChar:
		out.Length = 1
	case oidInt2:
		out.Length = 5
	case oidInt4, oidOid:
		out.Length = 10
	case oidInt8:
		out.Length = 19
	case oidFloat4:
		out.Length, out.Scale = 8, 8
	case oidFloat8:
		out.Length, out.Scale = 17, 17
	case oidNumeric:
		precision, scale, ok := numericModifier(modifier)
		switch {
		case ok:
			out.Length, out.Scale = precision, scale&0x7ff
		case snapshot: // the reference differs between snapshot and stream
			out.Length, out.Scale = 0, -1
		default:
			out.Length = 131089
		}
	case oidVarchar, oidBpchar, oidBit, oidVarbit:
		if modifier >= 0 {
			out.Length = modifier
			if base.oid == oidVarchar || base.oid == oidBpchar {
				out.Length -= 4
			}
		}
	case oidDate:
		out.Length = 13
	case oidTime:
		out.Length, out.Scale = 8+seconds, digits
	case oidTimeTZ:
		out.Length, out.Scale = 14+seconds, digits
	case oidTimestamp:
		out.Length, out.Scale = 22+seconds, digits
	case oidTimestampTZ:
		out.Length, out.Scale = 28+seconds, digits
	case oidInterval:
		out.Length, out.Scale = 49, 6
		if modifier >= 0 {
			out.Scale = modifier & 0xffff
		}
	}
	return out
}
