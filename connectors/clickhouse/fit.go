package clickhouse

import (
	"math"
	"slices"

	"github.com/freshet-io/freshet/schemas"
)

// fit finds how values of a source column are written into a column of the target; nil when the two do not fit.
func fit(c *schemas.Column, t *columnType) *column {
	col := fitValue(c, t)
	if col != nil && t.nullable {
		col.null = nullKept
	}
	return col
}

func fitValue(c *schemas.Column, t *columnType) *column {
	switch t.name {
	case "String", "JSON", "Object", "IPv4", "IPv6", "Dynamic":
		if t.name != "String" && !isText(c.Type) && c.Type != schemas.TypeMap {
			return nil
		}
		return &column{form: formString} // the server reads what is no String
	case "FixedString":
		if isText(c.Type) || c.Type == schemas.TypeBytes {
			return &column{form: formFixed, width: t.digits}
		}
		return nil
	}
	switch c.Type {
	case schemas.TypeBool, schemas.TypeInt16, schemas.TypeInt32, schemas.TypeInt64, schemas.TypeUint64, schemas.TypeBits:
		if c.Type == schemas.TypeBits && t.name == "Decimal" {
			return nil
		}
		if t.name == "Float64" && c.Type != schemas.TypeBits && c.Type != schemas.TypeBool {
			return &column{form: formFloat64, width: 8}
		}
		if t.name == "Decimal" && c.Type != schemas.TypeBool {
			return fitDecimal(t)
		}
		return fitInteger(t)
	case schemas.TypeFloat32, schemas.TypeFloat64:
		switch t.name {
		case "Float32":
			return &column{form: formFloat32, width: 4}
		case "Float64":
			return &column{form: formFloat64, width: 8}
		}
	case schemas.TypeDecimal, schemas.TypeMoney:
		if t.name == "Decimal" {
			return fitDecimal(t)
		}
	case schemas.TypeDate, schemas.TypeTime, schemas.TypeTimestamp, schemas.TypeTimestampTZ:
		return fitTemporal(c.Type, t)
	case schemas.TypeUUID, schemas.TypeText, schemas.TypeEnum:
		return fitText(c, t)
	case schemas.TypeList:
		return fitList(c, t)
	case schemas.TypeMap:
		return fitMap(t)
	case schemas.TypePoint:
		if t.name == "Point" || t.name == "Tuple" && len(t.args) == 2 && t.args[0].plain() == "Float64" && t.args[1].plain() == "Float64" {
			return &column{form: formPoint, elem: []*column{{form: formFloat64, width: 8}, {form: formFloat64, width: 8}}}
		}
	}
	return nil
}

func isText(t schemas.Type) bool {
	switch t {
	case schemas.TypeText, schemas.TypeEnum, schemas.TypeOther, schemas.TypeRange, schemas.TypeXML, schemas.TypeJSON, schemas.TypeUUID:
		return true
	}
	return false
}

func fitText(c *schemas.Column, t *columnType) *column {
	switch {
	case t.name == "UUID" && c.Type != schemas.TypeEnum:
		return &column{form: formUUID, width: 16}
	case (t.name == "Enum8" || t.name == "Enum16") && len(t.labels) > 0:
		return &column{form: formEnum, width: map[string]int{"Enum8": 1, "Enum16": 2}[t.name], enum: &enumeration{t.labels, t.numbers}}
	}
	return nil
}

func fitInteger(t *columnType) *column {
	switch t.name {
	case "Bool":
		return &column{form: formBool, width: 1, least: 0, most: 1}
	case "Int8":
		return &column{form: formInt, width: 1, least: math.MinInt8, most: math.MaxInt8}
	case "Int16":
		return &column{form: formInt, width: 2, least: math.MinInt16, most: math.MaxInt16}
	case "Int32":
		return &column{form: formInt, width: 4, least: math.MinInt32, most: math.MaxInt32}
	case "Int64":
		return &column{form: formInt, width: 8, least: math.MinInt64, most: math.MaxInt64}
	case "Int128":
		return &column{form: formInt, width: 16, least: math.MinInt64, most: math.MaxInt64}
	case "Int256":
		return &column{form: formInt, width: 32, least: math.MinInt64, most: math.MaxInt64}
	case "UInt8":
		return &column{form: formUint, width: 1, most: math.MaxUint8}
	case "UInt16":
		return &column{form: formUint, width: 2, most: math.MaxUint16}
	case "UInt32":
		return &column{form: formUint, width: 4, most: math.MaxUint32}
	case "UInt64":
		return &column{form: formUint, width: 8, most: math.MaxInt64}
	case "UInt128":
		return &column{form: formUint, width: 16, most: math.MaxInt64}
	case "UInt256":
		return &column{form: formUint, width: 32, most: math.MaxInt64}
	}
	return nil
}

func fitDecimal(t *columnType) *column {
	c := &column{form: formDecimal, limit: t.digits, scale: t.scale}
	switch {
	case t.digits <= 9:
		c.width = 4
	case t.digits <= 18:
		c.width = 8
	case t.digits <= 38:
		c.width = 16
	default:
		c.width = 32
	}
	return c
}

func fitTemporal(source schemas.Type, t *columnType) *column {
	stamp := source == schemas.TypeTimestamp || source == schemas.TypeTimestampTZ
	if source == schemas.TypeTimestamp && t.zone != "" && !slices.Contains([]string{"UTC", "Etc/UTC", "GMT"}, t.zone) {
		return nil // a clock without zone would show another time
	}
	switch {
	case source == schemas.TypeDate && t.name == "Date32":
		return &column{form: formDate32, width: 4, least: leastDay, most: mostDay}
	case source == schemas.TypeDate && t.name == "Date":
		return &column{form: formDate, width: 2, least: 0, most: math.MaxUint16}
	case stamp && t.name == "DateTime":
		return &column{form: formDateTime, width: 4, unit: microsPerSecond, least: 0, most: math.MaxUint32*microsPerSecond + microsPerSecond - 1}
	case stamp && t.name == "DateTime64":
		return ticked(&column{form: formDateTime64, width: 8, least: leastMicros, most: mostMicros}, t.scale)
	case source == schemas.TypeTime && t.name == "Time64":
		return ticked(&column{form: formTime64, width: 8, least: -mostTime, most: mostTime}, t.scale)
	case source == schemas.TypeTime && t.name == "Time":
		return &column{form: formTime, width: 4, unit: microsPerSecond, least: -mostTime, most: mostTime}
	}
	return nil
}

// ticked sets how many µs a tick has.
func ticked(c *column, scale int) *column {
	c.unit, c.ticks = 1, 1
	for range 6 - scale {
		c.unit *= 10
	}
	for range scale - 6 {
		c.ticks *= 10
	}
	if c.ticks > 1 { // 64 bits of ns reach from 1677 to 2262
		c.least, c.most = max(c.least, math.MinInt64/c.ticks), min(c.most, math.MaxInt64/c.ticks)
	}
	return c
}

func fitList(c *schemas.Column, t *columnType) *column {
	if t.name != "Array" || c.Elem == nil {
		return nil
	}
	in := fit(c.Elem, t.args[0])
	if in == nil {
		return nil
	}
	return &column{form: formArray, elem: []*column{in}, null: nullEmpty}
}

func fitMap(t *columnType) *column {
	if t.name != "Map" || t.args[0].plain() != "String" || t.args[1].name != "String" {
		return nil
	}
	value := &column{form: formString}
	if t.args[1].nullable {
		value.null = nullKept
	}
	return &column{form: formMap, elem: []*column{{form: formString}, value}, null: nullEmpty}
}

// wider tells that every value of a column of type from also fits type to, and that ALTER TABLE can turn one into the other.
func wider(from, to *columnType) bool {
	if from.nullable && !to.nullable || len(from.args)+len(to.args) > 0 {
		return false
	}
	same := from.name == to.name
	switch from.name {
	case "Int16", "Int32", "Int8", "Int64":
		rank := []string{"Int8", "Int16", "Int32", "Int64", "Int128", "Int256"}
		a, b := slices.Index(rank, from.name), slices.Index(rank, to.name)
		if to.name == "Decimal" {
			return to.digits-to.scale >= []int{3, 5, 10, 19}[a]
		}
		return b > a || same && to.nullable != from.nullable
	case "UInt64":
		if to.name == "Decimal" {
			return to.digits-to.scale >= 20
		}
	case "Float32":
		if to.name == "Float64" {
			return true
		}
	case "Decimal":
		if same {
			return to.scale >= from.scale && to.digits-to.scale >= from.digits-from.scale && (to.scale != from.scale || to.digits != from.digits || to.nullable != from.nullable)
		}
	case "DateTime64", "Time64":
		if same && from.zone == to.zone {
			return to.scale > from.scale || to.scale == from.scale && to.nullable != from.nullable
		}
		return false
	case "Enum8", "Enum16":
		return to.name == "String"
	}
	return same && to.nullable != from.nullable && from.plainValue() == to.plainValue()
}

// plainValue is the type without Nullable.
func (t *columnType) plainValue() string {
	bare := *t
	bare.nullable = false
	return bare.plain()
}
