package timescaledb

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/freshet-io/freshet/schemas"
)

// Oids of built-in types (src/include/catalog/pg_type.dat).
const (
	oidBool        = 16
	oidBytea       = 17
	oidQChar       = 18
	oidName        = 19
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidText        = 25
	oidOid         = 26
	oidJSON        = 114
	oidXML         = 142
	oidPoint       = 600
	oidFloat4      = 700
	oidFloat8      = 701
	oidMoney       = 790
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
	oidUUID        = 2950
	oidJSONB       = 3802
)

// targetType is a type of the target database, domains resolved to what they are made of.
type targetType struct {
	oid  uint32
	name string // as SQL writes it, without modifier
	kind byte   // pg_type.typtype
	mod  int32
	elem *targetType // of an array
}

// builtin gives the portable type of PostgreSQL's own types, by the names that format_type gives them.
func builtin(name string) (schemas.Type, bool) {
	t, ok := map[string]schemas.Type{
		"boolean": schemas.TypeBool, "smallint": schemas.TypeInt16, "integer": schemas.TypeInt32, "bigint": schemas.TypeInt64, "oid": schemas.TypeInt64,
		"real": schemas.TypeFloat32, "double precision": schemas.TypeFloat64, "numeric": schemas.TypeDecimal, "money": schemas.TypeMoney,
		"text": schemas.TypeText, "character varying": schemas.TypeText, "character": schemas.TypeText, "bpchar": schemas.TypeText, "name": schemas.TypeText, `"char"`: schemas.TypeText,
		"bytea": schemas.TypeBytes, "date": schemas.TypeDate, "time without time zone": schemas.TypeTime, "time with time zone": schemas.TypeTimeTZ,
		"timestamp without time zone": schemas.TypeTimestamp, "timestamp with time zone": schemas.TypeTimestampTZ, "interval": schemas.TypeInterval,
		"uuid": schemas.TypeUUID, "json": schemas.TypeJSON, "jsonb": schemas.TypeJSON, "xml": schemas.TypeXML, "bit": schemas.TypeBits, "bit varying": schemas.TypeBits,
		"point": schemas.TypePoint, "inet": schemas.TypeOther, "cidr": schemas.TypeOther, "macaddr": schemas.TypeOther, "macaddr8": schemas.TypeOther,
		"int4range": schemas.TypeRange, "int8range": schemas.TypeRange, "numrange": schemas.TypeRange, "tsrange": schemas.TypeRange, "tstzrange": schemas.TypeRange, "daterange": schemas.TypeRange,
		"int4multirange": schemas.TypeOther, "int8multirange": schemas.TypeOther, "nummultirange": schemas.TypeOther, "tsmultirange": schemas.TypeOther, "tstzmultirange": schemas.TypeOther, "datemultirange": schemas.TypeOther,
		"tsvector": schemas.TypeOther, "tsquery": schemas.TypeOther, "pg_lsn": schemas.TypeOther, "line": schemas.TypeOther, "lseg": schemas.TypeOther, "box": schemas.TypeOther,
		"path": schemas.TypeOther, "polygon": schemas.TypeOther, "circle": schemas.TypeOther, "jsonpath": schemas.TypeOther, "xid8": schemas.TypeOther, "pg_snapshot": schemas.TypeOther,
	}[name]
	return t, ok
}

var modifier = regexp.MustCompile(`\((\d+(?:,-?\d+)?)\)`)

// baseName is a type's name without modifier and brackets, and how many pairs of those there were.
func baseName(spelled string) (name string, dimensions int) {
	name = strings.TrimSpace(spelled)
	for strings.HasSuffix(name, "[]") {
		name = strings.TrimSuffix(name, "[]")
		dimensions++
	}
	name = modifier.ReplaceAllString(name, "")
	return strings.TrimSpace(strings.ReplaceAll(name, "  ", " ")), dimensions
}

// declaration is the type that a new column gets: PostgreSQL's own types as the source spells them, and so those of extensions
// and users that the target has; else what the documented mapping says (docs/connectors/timescaledb.md).
func declaration(c *schemas.Column, exists func(name string) bool) string {
	name, dimensions := baseName(c.TypeName)
	typ, ok := builtin(name)
	switch {
	case ok && c.Type == schemas.TypeList && c.Elem != nil && c.Elem.Type == typ && dimensions > 0:
		return c.TypeName
	case ok && dimensions > 0 && c.Type == schemas.TypeOther: // arrays that the source gives as text
		return c.TypeName
	case c.Type == schemas.TypeTime && name == "interval":
		return c.TypeName
	case ok && dimensions == 0 && c.Type == typ && modifiable(name):
		return c.TypeName
	case ok && dimensions == 0 && c.Type == typ:
		return name // MySQL's bigint(20) is a bigint
	}
	switch c.Type {
	case schemas.TypeList:
		if c.Elem != nil {
			return declaration(c.Elem, exists) + "[]"
		}
	case schemas.TypeText, schemas.TypeEnum, schemas.TypeMap, schemas.TypeOther, schemas.TypeRange:
		if !ok && c.TypeName != "" && exists(c.TypeName) {
			return quoteType(c.TypeName)
		}
	}
	return portable(c)
}

// modifiable tells whether a built-in type can have a length, a precision or a scale.
func modifiable(name string) bool {
	switch name {
	case "numeric", "character varying", "character", "bpchar", "bit", "bit varying", "interval":
		return true
	}
	return strings.HasPrefix(name, "time")
}

// quoteType quotes the name of a type that is not built in: name, schema.name, or an array of it.
func quoteType(spelled string) string {
	name, brackets := spelled, ""
	for strings.HasSuffix(name, "[]") {
		name, brackets = strings.TrimSuffix(name, "[]"), brackets+"[]"
	}
	if schema, rest, ok := strings.Cut(name, "."); ok {
		return quote(schema, rest) + brackets
	}
	return quote(name) + brackets
}

func portable(c *schemas.Column) string {
	digits := ""
	if c.Scale >= 0 && c.Scale <= 6 {
		digits = fmt.Sprintf("(%d)", c.Scale)
	}
	length := ""
	if c.Length > 0 {
		length = fmt.Sprintf("(%d)", c.Length)
	}
	switch c.Type {
	case schemas.TypeBool:
		return "boolean"
	case schemas.TypeInt16:
		return "smallint"
	case schemas.TypeInt32:
		return "integer"
	case schemas.TypeInt64:
		return "bigint"
	case schemas.TypeUint64:
		return "numeric(20,0)"
	case schemas.TypeFloat32:
		return "real"
	case schemas.TypeFloat64:
		return "double precision"
	case schemas.TypeDecimal:
		if c.Length > 0 {
			return fmt.Sprintf("numeric(%d,%d)", c.Length, c.Scale)
		}
		return "numeric"
	case schemas.TypeMoney:
		return "numeric"
	case schemas.TypeText:
		if c.Length > 0 && c.Length <= 10485760 {
			return "character varying" + length
		}
	case schemas.TypeBytes:
		return "bytea"
	case schemas.TypeDate:
		return "date"
	case schemas.TypeTime:
		return "time" + digits + " without time zone"
	case schemas.TypeTimeTZ:
		return "time" + digits + " with time zone"
	case schemas.TypeTimestamp:
		return "timestamp" + digits + " without time zone"
	case schemas.TypeTimestampTZ:
		return "timestamp" + digits + " with time zone"
	case schemas.TypeInterval:
		return "interval" + digits
	case schemas.TypeUUID:
		return "uuid"
	case schemas.TypeJSON, schemas.TypeMap:
		return "jsonb"
	case schemas.TypeXML:
		return "xml"
	case schemas.TypeBits:
		return "bit varying" + length
	case schemas.TypePoint:
		return "point"
	}
	return "text"
}

// staged is how one column is written: its encoder, the type of its staging column and, where that differs from the
// target's, the type to cast to.
type staged struct {
	enc  encoder
	decl string
	cast string
}

// stage finds how values of a source column are written into a column of the target; ok is false when the two do not fit.
func stage(c *schemas.Column, t *targetType) (staged, bool) {
	if c.Type == schemas.TypeList && c.Elem != nil && t.elem != nil {
		elem := *t.elem
		if elem.mod < 0 {
			elem.mod = t.mod // an array has the modifier of its elements
		}
		in, ok := stage(c.Elem, &elem)
		if !ok {
			return staged{}, false
		}
		s := staged{enc: encoder{form: formArray, limit: -1, scale: -1, elem: &in.enc, oid: stagedOid(&in, &elem)}, decl: in.decl + "[]"}
		if in.cast != "" {
			s.cast = in.cast + "[]"
		}
		return s, true
	}
	if f := direct(c.Type, t.oid); f != formNone {
		return staged{enc: limits(f, t), decl: t.name}, true
	}
	cast := func(f form) (staged, bool) {
		return staged{encoder{form: f, limit: -1, scale: -1}, "text", t.name}, true
	}
	name, dimensions := baseName(t.name)
	source, sourceDimensions := baseName(c.TypeName)
	switch {
	case c.Type == schemas.TypeMoney && t.oid == oidMoney:
		return staged{encoder{form: formNumeric, limit: -1, scale: 2}, "numeric", t.name}, true
	case c.Type == schemas.TypeMap && name == "hstore" && dimensions == 0:
		return cast(formMapHstore)
	case t.oid == oidQChar && c.Type == schemas.TypeText:
		return cast(formQChar)
	case !isText(c.Type):
		return staged{}, false
	case t.kind == 'e' && dimensions == 0 && (c.Type == schemas.TypeEnum || c.Type == schemas.TypeText):
		return cast(formText)
	case name == "citext" && dimensions == 0:
		return cast(formText)
	case name == unqualified(source) || unqualified(name) == unqualified(source):
		if dimensions == sourceDimensions {
			return cast(formText)
		}
	case c.Type == schemas.TypeXML && t.oid == oidXML:
		return cast(formText)
	}
	return staged{}, false
}

func unqualified(name string) string {
	name = name[strings.LastIndexByte(name, '.')+1:]
	return strings.Trim(name, `"`)
}

// stagedOid is the element type of the array that is staged.
func stagedOid(in *staged, t *targetType) uint32 {
	switch in.decl {
	case t.name:
		return t.oid
	case "numeric":
		return oidNumeric
	}
	return oidText
}

func isText(t schemas.Type) bool {
	switch t {
	case schemas.TypeText, schemas.TypeEnum, schemas.TypeOther, schemas.TypeRange, schemas.TypeXML, schemas.TypeJSON, schemas.TypeUUID:
		return true
	}
	return false
}

// direct gives the binary form of values of a portable type in a column of a built-in type.
func direct(c schemas.Type, oid uint32) form {
	switch c {
	case schemas.TypeBool:
		return pick(oid, oidBool, formBool)
	case schemas.TypeInt16:
		return pick(oid, oidInt2, formInt2, oidInt4, formInt4, oidInt8, formInt8, oidOid, formOid, oidNumeric, formNumeric, oidBool, formBool)
	case schemas.TypeInt32, schemas.TypeInt64, schemas.TypeUint64:
		return pick(oid, oidInt2, formInt2, oidInt4, formInt4, oidInt8, formInt8, oidOid, formOid, oidNumeric, formNumeric)
	case schemas.TypeFloat32, schemas.TypeFloat64:
		return pick(oid, oidFloat4, formFloat4, oidFloat8, formFloat8)
	case schemas.TypeDecimal, schemas.TypeMoney:
		return pick(oid, oidNumeric, formNumeric)
	case schemas.TypeBytes:
		return pick(oid, oidBytea, formBytea)
	case schemas.TypeDate:
		return pick(oid, oidDate, formDate)
	case schemas.TypeTime:
		return pick(oid, oidTime, formTime, oidInterval, formInterval)
	case schemas.TypeTimeTZ:
		return pick(oid, oidTimeTZ, formTimeTZ)
	case schemas.TypeTimestamp:
		return pick(oid, oidTimestamp, formTimestamp)
	case schemas.TypeTimestampTZ:
		return pick(oid, oidTimestampTZ, formTimestamp)
	case schemas.TypeInterval:
		return pick(oid, oidInterval, formInterval)
	case schemas.TypeBits:
		return pick(oid, oidBit, formBits, oidVarbit, formBits, oidBool, formBool)
	case schemas.TypePoint:
		return pick(oid, oidPoint, formPoint)
	case schemas.TypeMap:
		return pick(oid, oidJSON, formMapJSON, oidJSONB, formMapJSONB)
	case schemas.TypeUUID:
		return pick(oid, oidUUID, formUUID, oidText, formText, oidVarchar, formText, oidBpchar, formText)
	case schemas.TypeJSON:
		return pick(oid, oidJSON, formText, oidJSONB, formJSONB, oidText, formText, oidVarchar, formText)
	}
	if isText(c) {
		return pick(oid, oidText, formText, oidVarchar, formText, oidBpchar, formText, oidName, formText)
	}
	return formNone
}

// pick returns the form that follows oid in pairs of them (the oids of built-in types are small).
func pick(oid uint32, pairs ...form) form {
	for i := 0; i+1 < len(pairs); i += 2 {
		if uint32(pairs[i]) == oid {
			return pairs[i+1]
		}
	}
	return formNone
}

// limits reads the modifier of the target column.
func limits(f form, t *targetType) encoder {
	e := encoder{form: f, limit: -1, scale: -1}
	switch {
	case t.oid == oidName:
		e.limit = 63
	case t.mod < 0:
	case t.oid == oidVarchar || t.oid == oidBpchar:
		e.limit, e.padded = t.mod-4, t.oid == oidBpchar
	case t.oid == oidBit || t.oid == oidVarbit:
		e.limit, e.padded = t.mod, t.oid == oidBit
	case t.oid == oidNumeric && t.mod >= 4:
		m := t.mod - 4
		e.limit, e.scale = m>>16&0xffff, (m&0x7ff^1024)-1024
	case t.oid == oidTime || t.oid == oidTimeTZ || t.oid == oidTimestamp || t.oid == oidTimestampTZ:
		e.scale = t.mod
	case t.oid == oidInterval && t.mod&0xffff != 0xffff:
		e.scale = t.mod & 0xffff
	}
	return e
}

// wider tells that every value of a column of type from also fits type to, and that ALTER TABLE can turn one into the other.
func wider(from, to *targetType) bool {
	if from.elem != nil || to.elem != nil {
		return false
	}
	a, b := limits(formNone, from), limits(formNone, to)
	switch from.oid {
	case oidInt2:
		return to.oid == oidInt4 || to.oid == oidInt8 || to.oid == oidNumeric && to.mod < 0
	case oidInt4:
		return to.oid == oidInt8 || to.oid == oidNumeric && (to.mod < 0 || b.limit-b.scale >= 10 && b.scale >= 0)
	case oidInt8:
		return to.oid == oidNumeric && (to.mod < 0 || b.limit-b.scale >= 19 && b.scale >= 0)
	case oidFloat4:
		return to.oid == oidFloat8
	case oidVarchar:
		return to.oid == oidText || to.oid == oidVarchar && (to.mod < 0 || from.mod >= 0 && b.limit > a.limit)
	case oidText:
		return to.oid == oidVarchar && to.mod < 0
	case oidBpchar:
		return to.oid == oidBpchar && from.mod >= 0 && to.mod >= 0 && b.limit > a.limit
	case oidNumeric:
		return to.oid == oidNumeric && from.mod >= 0 && (to.mod < 0 || b.scale >= a.scale && b.limit-b.scale >= a.limit-a.scale && to.mod != from.mod)
	case oidVarbit, oidTime, oidTimeTZ, oidTimestamp, oidTimestampTZ, oidInterval:
		return to.oid == from.oid && from.mod >= 0 && (to.mod < 0 || max(b.limit, b.scale) > max(a.limit, a.scale))
	}
	return false
}
