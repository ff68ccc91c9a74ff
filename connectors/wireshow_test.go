package connectors

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/freshet-io/freshet/schemas"
)

// How a message is described in JSON. Numbers that may have more than 32 bits are decimal texts; bytes are hex; kinds, operations, views and
// types have the names of their Go constants without the prefix, in camel case.

type shownBatch struct {
	Anew      bool          `json:"anew"`
	Source    string        `json:"source"`
	Offset    string        `json:"offset"`
	ID        string        `json:"id"`
	Through   shownOrder    `json:"through"`
	Committed string        `json:"committed"`
	Extra     [][2]string   `json:"extra"`
	Schemas   []shownSchema `json:"newSchemas"`
	Streams   []shownStream `json:"newStreams"`
	Uses      []int         `json:"streams"`
	Bodies    [][2]shownT   `json:"bodies"`
	Raws      []*shownRaw   `json:"raws"`
	Records   []shownRecord `json:"records"`
	Cells     []shownCell   `json:"cells"`
	Nested    []shownCell   `json:"nested"`
	Data      string        `json:"data"`
}

type shownOrder struct {
	Epoch uint32 `json:"epoch"`
	Major string `json:"major"`
	Minor uint32 `json:"minor"`
}

type shownSchema struct {
	Number     int         `json:"number"`
	Kind       string      `json:"kind"`
	Optional   bool        `json:"optional"`
	Name       string      `json:"name"`
	Version    int32       `json:"version"`
	Doc        string      `json:"doc"`
	Parameters [][2]string `json:"parameters"`
	Default    shownValue  `json:"default"`
	Fields     []shownPart `json:"fields,omitempty"`
	Key        int         `json:"key,omitempty"`
	Elem       int         `json:"elem,omitempty"`
}

type shownPart struct {
	Name   string `json:"name"`
	Schema int    `json:"schema"`
}

type shownStream struct {
	Number    int          `json:"number"`
	Topic     string       `json:"topic"`
	Key       int          `json:"key"`
	Value     int          `json:"value"`
	Row       int          `json:"row"`
	KeyFields []shownField `json:"keyFields"`
	Fields    []shownField `json:"fields"`
	Table     *shownTable  `json:"table"`
	Source    *shownSource `json:"source"`
	Headers   [][2]string  `json:"headers"`
}

type shownField struct {
	Name            string      `json:"name"`
	Schema          int         `json:"schema"`
	Cell            int         `json:"cell"`
	View            string      `json:"view"`
	Scale           int32       `json:"scale"`
	WhenNull        shownValue  `json:"whenNull"`
	WhenUnavailable shownValue  `json:"whenUnavailable"`
	Elem            *shownField `json:"elem"`
}

type shownTable struct {
	Catalog string        `json:"catalog"`
	Schema  string        `json:"schema"`
	Name    string        `json:"name"`
	Columns []shownColumn `json:"columns"`
	Key     []int         `json:"key"`
	Comment string        `json:"comment"`
}

type shownColumn struct {
	Name      string       `json:"name"`
	Type      string       `json:"type"`
	TypeName  string       `json:"typeName"`
	Length    int32        `json:"length"`
	Scale     int32        `json:"scale"`
	Optional  bool         `json:"optional"`
	Default   string       `json:"default"`
	Allowed   []string     `json:"allowed"`
	Elem      *shownColumn `json:"elem"`
	Generated bool         `json:"generated"`
	Comment   string       `json:"comment"`
}

type shownSource struct {
	Schema int `json:"schema"`
	Fields []struct {
		Constant shownValue `json:"constant"`
		Cell     int        `json:"cell"`
		Divide   string     `json:"divide"`
		Multiply string     `json:"multiply"`
	} `json:"fields"`
	Transaction int `json:"transaction"`
}

type shownT struct {
	Schema int        `json:"schema"`
	Value  shownValue `json:"value"`
}

// shownValue has one member, named like the tag.
type shownValue map[string]any

type shownRaw struct {
	Topic     string       `json:"topic"`
	Partition int32        `json:"partition"`
	Offset    string       `json:"offset"`
	Timestamp string       `json:"timestamp"`
	Key       *string      `json:"key"`
	Value     *string      `json:"value"`
	Headers   [][2]*string `json:"headers"`
}

type shownRecord struct {
	Stream         uint32     `json:"stream"`
	Body           uint32     `json:"body"`
	Op             string     `json:"op"`
	Last           bool       `json:"last"`
	KafkaPartition int32      `json:"kafkaPartition"`
	Key            [2]uint32  `json:"key"`
	Before         [2]uint32  `json:"before"`
	After          [2]uint32  `json:"after"`
	Source         [2]uint32  `json:"source"`
	Headers        [2]uint32  `json:"headers"`
	Timestamp      string     `json:"timestamp"`
	Order          shownOrder `json:"order"`
}

// shownCell has the kind and, of what the kind has, where its content lies and the content.
type shownCell map[string]any

func names(list ...string) func(int) string {
	return func(i int) string { return list[i] }
}

var (
	kindName = names("absent", "null", "unavailable", "bool", "int", "uint", "float32", "float64", "decimal", "text", "bytes", "date", "time", "timeTZ",
		"timestamp", "timestampTZ", "interval", "bits", "list", "map", "point")
	opName     = names("none", "read", "create", "update", "delete", "truncate", "message", "tombstone")
	schemaName = names("", "int8", "int16", "int32", "int64", "float32", "float64", "boolean", "string", "bytes", "array", "map", "struct")
	typeName   = names("other", "bool", "int16", "int32", "int64", "uint64", "float32", "float64", "decimal", "money", "text", "bytes", "date", "time", "timeTZ",
		"timestamp", "timestampTZ", "interval", "uuid", "json", "xml", "enum", "bits", "list", "map", "point", "range")
	viewName = names("plain", "base64", "base64URL", "hex", "decimal", "decimalDouble", "decimalText", "variableDecimal", "days", "timeMillis", "timeMicros",
		"timeNanos", "timestampMillis", "timestampMicros", "timestampNanos", "isoDate", "isoTime", "isoTimestamp", "zonedTimestamp", "zonedTime", "duration",
		"intervalText", "bits", "bitBool", "mapJSON", "map", "list", "point", "textBytes", "geometry", "geometryPoint")
)

type shower struct {
	b       *Batch
	schemas map[*schemas.Schema]int
}

func showBatch(r *WireReader, b *Batch, anew bool, schemasBefore, streamsBefore int) shownBatch {
	s := &shower{b: b, schemas: map[*schemas.Schema]int{}}
	for i, known := range r.schemas {
		s.schemas[known.Schema] = i + 1
	}
	out := shownBatch{
		Anew: anew, Source: string(b.Source), Offset: string(b.Offset), ID: fmt.Sprint(b.ID), Through: showOrder(b.Through), Committed: fmt.Sprint(b.Committed),
		Extra: [][2]string{}, Schemas: []shownSchema{}, Streams: []shownStream{}, Uses: []int{}, Bodies: [][2]shownT{}, Raws: []*shownRaw{},
		Records: []shownRecord{}, Cells: []shownCell{}, Nested: []shownCell{}, Data: hex.EncodeToString(b.data),
	}
	for _, x := range b.Extra {
		out.Extra = append(out.Extra, [2]string{string(x.Partition), string(x.Offset)})
	}
	for i, known := range r.schemas[schemasBefore:] {
		out.Schemas = append(out.Schemas, s.schema(schemasBefore+i+1, known.Schema))
	}
	for i, known := range r.streams[streamsBefore:] {
		out.Streams = append(out.Streams, s.stream(streamsBefore+i, known.Stream))
	}
	for _, stream := range b.Streams {
		for i, known := range r.streams {
			if known.Stream == stream {
				out.Uses = append(out.Uses, i)
			}
		}
	}
	for _, x := range b.Bodies {
		out.Bodies = append(out.Bodies, [2]shownT{{s.schemas[x.Key.Schema], showValue(x.Key.Value)}, {s.schemas[x.Value.Schema], showValue(x.Value.Value)}})
	}
	for i := range b.raws {
		out.Raws = append(out.Raws, showRaw(&b.raws[i]))
	}
	for _, x := range b.Records {
		row := func(r Row) [2]uint32 { return [2]uint32{r.Start, r.Count} }
		out.Records = append(out.Records, shownRecord{
			x.Stream, x.Value, opName(int(x.Op)), x.Last, x.KafkaPartition, row(x.Key), row(x.Before), row(x.After), row(x.Source), row(x.Headers),
			fmt.Sprint(x.Timestamp), showOrder(x.Order),
		})
	}
	for _, c := range b.cells {
		out.Cells = append(out.Cells, s.cell(c))
	}
	for _, c := range b.nested {
		out.Nested = append(out.Nested, s.cell(c))
	}
	return out
}

func showOrder(o Order) shownOrder { return shownOrder{o.Epoch, fmt.Sprint(o.Major), o.Minor} }

func (s *shower) schema(number int, x *schemas.Schema) shownSchema {
	out := shownSchema{
		Number: number, Kind: schemaName(int(x.Kind)), Optional: x.Optional, Name: x.Name, Version: x.Version, Doc: x.Doc,
		Parameters: [][2]string{}, Default: showValue(x.Default), Key: s.schemas[x.Key], Elem: s.schemas[x.Elem],
	}
	for _, p := range x.Parameters {
		out.Parameters = append(out.Parameters, [2]string{p.Name, p.Value})
	}
	for _, f := range x.Fields {
		out.Fields = append(out.Fields, shownPart{f.Name, s.schemas[f.Schema]})
	}
	return out
}

func (s *shower) stream(number int, x *Stream) shownStream {
	out := shownStream{
		Number: number, Topic: x.Topic, Key: s.schemas[x.Key], Value: s.schemas[x.Value], Row: s.schemas[x.Row],
		KeyFields: []shownField{}, Fields: []shownField{}, Headers: [][2]string{},
	}
	for i := range x.KeyFields {
		out.KeyFields = append(out.KeyFields, s.field(&x.KeyFields[i]))
	}
	for i := range x.Fields {
		out.Fields = append(out.Fields, s.field(&x.Fields[i]))
	}
	if t := x.Table; t != nil {
		out.Table = &shownTable{Catalog: t.Catalog, Schema: t.Schema, Name: t.Name, Columns: []shownColumn{}, Key: append([]int{}, t.Key...), Comment: t.Comment}
		for i := range t.Columns {
			out.Table.Columns = append(out.Table.Columns, showColumn(&t.Columns[i]))
		}
	}
	if x.Source != nil {
		out.Source = &shownSource{Schema: s.schemas[x.Source.Schema], Transaction: x.Source.Transaction}
		for _, f := range x.Source.Fields {
			out.Source.Fields = append(out.Source.Fields, struct {
				Constant shownValue `json:"constant"`
				Cell     int        `json:"cell"`
				Divide   string     `json:"divide"`
				Multiply string     `json:"multiply"`
			}{showValue(f.Constant), f.Cell, fmt.Sprint(f.Divide), fmt.Sprint(f.Multiply)})
		}
	}
	for _, h := range x.Headers {
		out.Headers = append(out.Headers, [2]string{h.Name, h.Value})
	}
	return out
}

func (s *shower) field(f *Field) shownField {
	out := shownField{
		Name: f.Name, Schema: s.schemas[f.Schema], Cell: f.Cell, View: viewName(int(f.View)), Scale: f.Scale,
		WhenNull: showValue(f.WhenNull), WhenUnavailable: showValue(f.WhenUnavailable),
	}
	if f.Elem != nil {
		elem := s.field(f.Elem)
		out.Elem = &elem
	}
	return out
}

func showColumn(c *schemas.Column) shownColumn {
	out := shownColumn{
		Name: c.Name, Type: typeName(int(c.Type)), TypeName: c.TypeName, Length: c.Length, Scale: c.Scale, Optional: c.Optional, Default: c.Default,
		Allowed: append([]string{}, c.Allowed...), Generated: c.Generated, Comment: c.Comment,
	}
	if c.Elem != nil {
		elem := showColumn(c.Elem)
		out.Elem = &elem
	}
	return out
}

func showValue(v schemas.Value) shownValue {
	list := func(values []schemas.Value) []shownValue {
		out := []shownValue{}
		for _, x := range values {
			out = append(out, showValue(x))
		}
		return out
	}
	switch v := v.(type) {
	case bool:
		return shownValue{"boolean": v}
	case int8:
		return shownValue{"int8": v}
	case int16:
		return shownValue{"int16": v}
	case int32:
		return shownValue{"int32": v}
	case int64:
		return shownValue{"int64": fmt.Sprint(v)}
	case float32:
		return shownValue{"float32": strconv.FormatFloat(float64(v), 'g', -1, 32), "bits": fmt.Sprintf("%08x", math.Float32bits(v))}
	case float64:
		return shownValue{"float64": strconv.FormatFloat(v, 'g', -1, 64), "bits": fmt.Sprintf("%016x", math.Float64bits(v))}
	case string:
		return shownValue{"string": v}
	case []byte:
		return shownValue{"bytes": hex.EncodeToString(v)}
	case schemas.ArrayValue:
		return shownValue{"array": list(v)}
	case schemas.StructValue:
		return shownValue{"struct": list(v)}
	case schemas.MapValue:
		entries := [][2]shownValue{}
		for _, x := range v {
			entries = append(entries, [2]shownValue{showValue(x.Key), showValue(x.Value)})
		}
		return shownValue{"map": entries}
	}
	return shownValue{"null": true}
}

func showRaw(r *Raw) *shownRaw {
	if r.Topic == "" {
		return nil
	}
	text := func(v []byte) *string {
		if v == nil {
			return nil
		}
		out := hex.EncodeToString(v)
		return &out
	}
	out := &shownRaw{r.Topic, r.Partition, fmt.Sprint(r.Offset), fmt.Sprint(r.Timestamp), text(r.Key), text(r.Value), [][2]*string{}}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, [2]*string{text(h.Key), text(h.Value)})
	}
	return out
}

func (s *shower) cell(c Cell) shownCell {
	out := shownCell{"kind": kindName(int(c.Kind))}
	switch c.Kind {
	case KindAbsent, KindNull, KindUnavailable:
	case KindBool:
		out["value"] = c.Bool()
	case KindUint:
		out["value"] = fmt.Sprint(c.Uint())
	case KindFloat32, KindFloat64:
		out["value"], out["bits"] = strconv.FormatFloat(c.Float(), 'g', -1, 64), fmt.Sprintf("%016x", c.word)
	case KindTimeTZ:
		out["value"], out["zone"] = fmt.Sprint(c.Int()), c.Offset()
	case KindText, KindDecimal, KindBits, KindBytes, KindInterval, KindList, KindMap, KindPoint:
		out["at"], out["length"] = fmt.Sprint(c.word), c.len
		switch {
		case c.Kind == KindInterval:
			months, days, micros := s.b.Interval(c)
			out["months"], out["days"], out["micros"] = months, days, fmt.Sprint(micros)
		case c.Kind == KindList || c.Kind == KindMap || c.Kind == KindPoint:
			elements := []shownCell{}
			for _, e := range s.b.List(c) {
				elements = append(elements, s.cell(e))
			}
			out["elements"] = elements
		case c.Kind == KindBytes || !utf8.Valid(s.b.Bytes(c)):
			out["hex"] = hex.EncodeToString(s.b.Bytes(c))
		default:
			out["value"] = string(s.b.Bytes(c))
		}
	default:
		out["value"] = fmt.Sprint(c.Int())
	}
	return out
}
