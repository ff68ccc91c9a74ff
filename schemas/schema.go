// Package schemas describes data: Connect schemas (what a converter writes), the values they type, and database tables
// (what a source captured and a table sink creates).
//
// Everything here is immutable after construction and may be shared between goroutines. The package imports the standard
// library only.
package schemas

import "fmt"

// Kind is the physical type of a Connect schema (Kafka Connect, org.apache.kafka.connect.data.Schema.Type).
type Kind uint8

// The physical types, in Connect's order.
const (
	Int8 Kind = iota + 1
	Int16
	Int32
	Int64
	Float32
	Float64
	Boolean
	String
	Bytes
	Array
	Map
	Struct
)

var kindNames = [...]string{
	Int8: "int8", Int16: "int16", Int32: "int32", Int64: "int64", Float32: "float", Float64: "double",
	Boolean: "boolean", String: "string", Bytes: "bytes", Array: "array", Map: "map", Struct: "struct",
}

// String is the name of the type as JsonConverter writes it.
func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Schema is one Connect schema. Optional members are their zero value when absent.
type Schema struct {
	Kind       Kind
	Optional   bool
	Name       string      // logical name, "" for none
	Version    int32       // 0 for none
	Doc        string      // "" for none
	Parameters []Parameter // in the order in which they are written
	Default    Value       // nil for none
	Fields     []Field     // of a Struct, in order
	Key        *Schema     // of a Map
	Elem       *Schema     // of an Array, or the values of a Map
}

// Field is one member of a Struct schema; its index is its place in StructValue.
type Field struct {
	Name   string
	Schema *Schema
}

// Parameter is one schema parameter.
type Parameter struct{ Name, Value string }

// Parameter returns the value of the named parameter, "" when absent.
func (s *Schema) Parameter(name string) string {
	for _, p := range s.Parameters {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// Field returns the index of the named field of a Struct, -1 when absent.
func (s *Schema) Field(name string) int {
	for i := range s.Fields {
		if s.Fields[i].Name == name {
			return i
		}
	}
	return -1
}

// Value is a materialised Connect value in its physical representation:
// nil, bool, int8, int16, int32, int64, float32, float64, string, []byte, ArrayValue, MapValue or StructValue.
// Logical types use their physical form (Decimal: the big-endian two's-complement unscaled value as []byte).
type Value any

// ArrayValue holds the elements of an Array.
type ArrayValue []Value

// MapValue holds the entries of a Map in order.
type MapValue []MapEntry

// MapEntry is one entry of a MapValue.
type MapEntry struct{ Key, Value Value }

// StructValue holds one value per field, in the order of Schema.Fields.
type StructValue []Value

// Typed is a value with its schema; a nil Schema means schemaless (nil Value too: a Kafka null).
type Typed struct {
	Schema *Schema
	Value  Value
}
