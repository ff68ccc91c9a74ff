package connectors

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/schemas"
)

// pieces is a message in pieces, to be spoilt: those of the head as bytes, the rest as a batch has it.
type pieces struct {
	source, offset, id, through, committed, extra, schemas, streams, uses, bodies, raws []byte

	records       []Record
	cells, nested []Cell
	data          string
}

// message makes a message of one record, {one cell}, of the stream t, whose table has one column, after a change to its pieces.
func message(change func(*pieces)) []byte {
	p := &pieces{
		source: []byte("\x02{}"), offset: []byte("\x02{}"), id: []byte{1}, through: []byte{0, 0, 0}, committed: []byte{0}, extra: []byte{0},
		schemas: []byte{0}, streams: streamsOf(goldenStream(1)), uses: []byte{1, 0}, bodies: []byte{0}, raws: []byte{0},
		records: []Record{{Op: OpCreate, KafkaPartition: -1, After: Row{0, 1}}}, cells: []Cell{{Kind: KindNull}},
	}
	change(p)
	head := bytes.Join([][]byte{p.source, p.offset, p.id, p.through, p.committed, p.extra, p.schemas, p.streams, p.uses, p.bodies, p.raws}, nil)
	head = append(head, make([]byte, (8-len(head)%8)%8)...)
	out := make([]byte, wireHeader, 1<<16)
	out[0] = wireVersion
	for i, n := range []int{len(head), len(p.records), len(p.cells), len(p.nested), len(p.data)} {
		binary.LittleEndian.PutUint32(out[4+4*i:], uint32(n))
	}
	out = appendRecords(append(out, head...), p.records)
	return append(appendCells(appendCells(out, p.cells), p.nested), p.data...)
}

// streamsOf is the definition of one stream, which has no schemas.
func streamsOf(s *Stream) []byte {
	e := &wireEncoder{}
	e.uint(1)
	e.stream(NewWireWriter(), s)
	return e.out
}

// schemaOf is the definition of schemas that refer to each other by number.
func schemasOf(n byte, text string) []byte { return append([]byte{n}, text...) }

func goldenRefusals(t *testing.T) []goldenRefusal {
	t.Helper()
	var out []goldenRefusal
	add := func(name string, text []byte) {
		out = append(out, goldenRefusal{Name: name, Hex: hex.EncodeToString(text)})
	}
	r := NewWireReader()
	good := message(func(*pieces) {})
	if _, err := r.Decode(good, nil, nil); err != nil {
		t.Fatal(err)
	}
	refusedHeaders(add, good)
	for _, list := range [][]refusedPiece{refusedHeads(), refusedDefinitions(), refusedCells(), refusedRecords()} {
		for _, x := range list {
			add(x.name, message(x.change))
		}
	}
	for _, x := range []struct {
		name string
		at   int
	}{{"a last that is 2", 9}, {"byte 10 of a record", 10}, {"byte 11 of a record", 11}, {"byte 1 of a cell", recordSize + 1}, {"byte 3 of a cell", recordSize + 3}} {
		text := bytes.Clone(good)
		text[len(text)-recordSize-cellSize+x.at] = 2
		add(x.name, text)
	}
	anew := message(func(p *pieces) { p.streams = []byte{0} })
	add("a stream that is not known", anew)
	anew = bytes.Clone(anew)
	anew[1] = 1
	out = append(out, goldenRefusal{Name: "a stream that was forgotten", Before: []string{hex.EncodeToString(good)}, Hex: hex.EncodeToString(anew)})
	return out
}

func refusedHeaders(add func(string, []byte), good []byte) {
	add("nothing", nil)
	add("a header that is cut", good[:wireHeader-1])
	add("a message that is cut", good[:len(good)-1])
	add("a message with another byte", append(bytes.Clone(good), 0))
	end := wireHeader + int(good[4])
	padded := slices.Insert(bytes.Clone(good), end, make([]byte, 8)...)
	padded[4] += 8
	add("padding of more than 7 bytes", padded)
	for _, x := range []struct {
		name string
		at   int
		to   byte
	}{
		{"padding that is not 0", end - 1, 1},
		{"another version", 0, 2},
		{"another flag", 1, 2},
		{"byte 2 of the header", 2, 1},
		{"byte 3 of the header", 3, 1},
		{"a head that is no multiple of 8", 4, good[4] + 1},
		{"a head that is shorter", 4, good[4] - 8},
		{"more records", 8, 2},
		{"more records than there could be", 11, 0xff},
		{"more cells", 12, 2},
		{"more nested cells", 16, 1},
		{"more data", 20, 1},
	} {
		text := bytes.Clone(good)
		text[x.at] = x.to
		add(x.name, text)
	}
}

type refusedPiece struct {
	name   string
	change func(*pieces)
}

func refusedHeads() []refusedPiece {
	return []refusedPiece{
		{"a partition that is no JSON", func(p *pieces) { p.source = []byte("\x01x") }},
		{"no partition", func(p *pieces) { p.source = []byte{0} }},
		{"a partition with a space", func(p *pieces) { p.source = []byte("\x03{ }") }},
		{"a partition whose members are not sorted", func(p *pieces) { p.source = []byte("\x0d" + `{"b":1,"a":1}`) }},
		{"a partition with a list", func(p *pieces) { p.source = []byte("\x08" + `{"a":[]}`) }},
		{"a partition that is not UTF-8", func(p *pieces) { p.source = []byte("\x09{\"a\":\"\xff\"}") }},
		{"a partition longer than the head", func(p *pieces) { p.source = []byte{0x7f} }},
		{"a length of 64 bits", func(p *pieces) { p.source = []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01") }},
		{"an offset that is no JSON", func(p *pieces) { p.offset = []byte("\x02{]") }},
		{"an offset that is no object", func(p *pieces) { p.offset = []byte("\x01" + `1`) }},
		{"an offset that is not UTF-8", func(p *pieces) { p.offset = []byte("\x09{\"a\":\"\xff\"}") }},
		{"a number with a byte too many", func(p *pieces) { p.id = []byte{0x81, 0} }},
		{"a number of 70 bits", func(p *pieces) { p.id = []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f") }},
		{"an epoch of 33 bits", func(p *pieces) { p.through = []byte("\x80\x80\x80\x80\x10\x00\x00") }},
		{"a minor order of 33 bits", func(p *pieces) { p.through = []byte("\x00\x00\x80\x80\x80\x80\x10") }},
		{"more state than there is", func(p *pieces) { p.extra = []byte{0x7f} }},
		{"state whose partition is no JSON", func(p *pieces) { p.extra = []byte("\x01\x01x\x00") }},
		{"state whose offset is no JSON", func(p *pieces) { p.extra = []byte("\x01\x02{}\x01x") }},
		{"more streams than there are", func(p *pieces) { p.uses = []byte{0x7f} }},
		{"the number of a stream", func(p *pieces) { p.uses = []byte{1, 1} }},
		{"more bodies than there are", func(p *pieces) { p.bodies = []byte{0x7f} }},
		{"a body of a schema that is not known", func(p *pieces) { p.bodies = []byte{1, 1, tagNil, 0, tagNil} }},
		{"a value of another tag", func(p *pieces) { p.bodies = []byte{1, 0, tagStruct + 1, 0, tagNil} }},
		{"an int8 of 9 bits", func(p *pieces) { p.bodies = []byte{1, 0, tagInt8, 0x80, 0x02, 0, tagNil} }},
		{"an int16 of 17 bits", func(p *pieces) { p.bodies = []byte("\x01\x00\x04\x80\x80\x04\x00\x00") }},
		{"an int32 of 33 bits", func(p *pieces) { p.bodies = []byte("\x01\x00\x05\x80\x80\x80\x80\x10\x00\x00") }},
		{"an array longer than the head", func(p *pieces) { p.bodies = []byte{1, 0, tagArray, 0x7f, 0, tagNil} }},
		{"arrays in arrays", func(p *pieces) {
			p.bodies = append(append([]byte{1, 0}, strings.Repeat("\x0b\x01", wireDepth)...), tagNil, 0, tagNil)
		}},
		{"a map longer than the head", func(p *pieces) { p.bodies = []byte{1, 0, tagMap, 4, 0, 0, 0, 0} }},
		{"more raw records than records", func(p *pieces) { p.raws = []byte{2, 0, 1, 't', 0, 0, 0, 0, 0, 0} }},
		{"a last raw record that is not known", func(p *pieces) { p.raws = []byte{1, 0} }},
		{"a raw record of a partition of 33 bits", func(p *pieces) { p.raws = []byte("\x01\x01t\x80\x80\x80\x80\x10\x00\x00\x00\x00\x00") }},
		{"a raw record that is cut", func(p *pieces) { p.raws = []byte{1, 1, 't', 0, 0, 0, 0x7f, 0, 0, 0} }},
	}
}

func refusedDefinitions() []refusedPiece {
	stream := func(change func(*Stream)) func(*pieces) {
		return func(p *pieces) {
			s := goldenStream(1)
			change(s)
			p.streams = streamsOf(s)
		}
	}
	// With the schemas 1: int64, and 2: a struct of one.
	two := func(change func(*Stream, *schemas.Schema)) func(*pieces) {
		return func(p *pieces) {
			number := &schemas.Schema{Kind: schemas.Int64}
			s, row, w := goldenStream(1), &schemas.Schema{Kind: schemas.Struct, Fields: []schemas.Field{{Name: "c", Schema: number}}}, NewWireWriter()
			w.schema(row, 0)
			p.schemas = append([]byte{2}, w.fresh.schemas.out...)
			change(s, row)
			e := &wireEncoder{}
			e.uint(1)
			e.stream(w, s)
			p.streams = e.out
		}
	}
	return []refusedPiece{
		{"more schemas than there are", func(p *pieces) { p.schemas = []byte{0x7f} }},
		{"more streams than are defined", func(p *pieces) { p.streams[0] = 0x7f }},
		{"a schema of kind 0", func(p *pieces) { p.schemas = schemasOf(1, "\x00\x00\x00\x00\x00\x00\x00") }},
		{"a schema of kind 13", func(p *pieces) { p.schemas = schemasOf(1, "\x0d\x00\x00\x00\x00\x00\x00") }},
		{"an optional that is 2", func(p *pieces) { p.schemas = schemasOf(1, "\x01\x02\x00\x00\x00\x00\x00") }},
		{"a version of 33 bits", func(p *pieces) { p.schemas = schemasOf(1, "\x01\x00\x00\x80\x80\x80\x80\x10\x00\x00\x00") }},
		{"an array of itself", func(p *pieces) { p.schemas = schemasOf(1, "\x0a\x00\x00\x00\x00\x00\x00\x01") }},
		{"an array of nothing", func(p *pieces) { p.schemas = schemasOf(1, "\x0a\x00\x00\x00\x00\x00\x00\x00") }},
		{"a map without keys", func(p *pieces) {
			p.schemas = schemasOf(2, "\x01\x00\x00\x00\x00\x00\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x01")
		}},
		{"a field without schema", func(p *pieces) { p.schemas = schemasOf(1, "\x0c\x00\x00\x00\x00\x00\x00\x01\x01f\x00") }},
		{"a stream of a schema that is not known", func(p *pieces) { p.streams = []byte("\x01\x01t\x01\x00\x00\x00\x00\x00\x00\x00") }},
		{"another view", stream(func(s *Stream) { s.Fields = []Field{{View: ViewGeometryPoint + 1}} })},
		{"a field from cell -1", stream(func(s *Stream) { s.Fields = []Field{{Cell: -1}} })},
		{"a field from a cell of 32 bits", stream(func(s *Stream) { s.Fields = []Field{{Cell: math.MaxInt32}} })},
		{"a list without an element", stream(func(s *Stream) { s.Fields = []Field{{View: ViewList}} })},
		{"a list of what has no schema", stream(func(s *Stream) { s.Fields = []Field{{View: ViewList, Elem: &Field{}}} })},
		{"fields in fields", stream(func(s *Stream) {
			f := Field{}
			for range wireLists {
				inner := f
				f = Field{Elem: &inner}
			}
			s.Fields = []Field{f}
		})},
		{"another type", stream(func(s *Stream) { s.Table.Columns[0].Type = schemas.TypeRange + 1 })},
		{"a key of a column that is not there", stream(func(s *Stream) { s.Table.Key = []int{1} })},
		{"a source block without schema", stream(func(s *Stream) { s.Source = &SourceBlock{} })},
		{"a transaction in cell 2³¹", two(func(s *Stream, row *schemas.Schema) {
			s.Source = &SourceBlock{Schema: row, Fields: []SourceField{{Cell: -1}}, Transaction: math.MaxInt32 + 1}
		})},
		{"fewer fields than the row", two(func(s *Stream, row *schemas.Schema) {
			s.Row, s.Fields = row, []Field{{Schema: row.Fields[0].Schema}, {Schema: row.Fields[0].Schema}}
		})},
		{"fields of what is no struct", two(func(s *Stream, row *schemas.Schema) {
			s.Key, s.KeyFields = row.Fields[0].Schema, []Field{{Schema: row}}
		})},
		{"a field of a key without schema", two(func(s *Stream, row *schemas.Schema) { s.Key, s.KeyFields = row, []Field{{Name: "c"}} })},
		{"an envelope of one field", two(func(s *Stream, row *schemas.Schema) {
			s.Value, s.Row, s.Source = row, row, &SourceBlock{Schema: row, Fields: []SourceField{{Cell: -1}}}
		})},
		{"a source block with other fields than its schema", two(func(s *Stream, row *schemas.Schema) { s.Source = &SourceBlock{Schema: row} })},
		{"a source field from cell -2", two(func(s *Stream, row *schemas.Schema) {
			s.Source = &SourceBlock{Schema: row, Fields: []SourceField{{Cell: -2}}}
		})},
	}
}

func refusedCells() []refusedPiece {
	cell := func(data string, c ...Cell) func(*pieces) {
		return func(p *pieces) { p.data, p.cells = data, c }
	}
	nested := func(c Cell, list ...Cell) func(*pieces) {
		return func(p *pieces) { p.cells, p.nested = []Cell{c}, list }
	}
	return []refusedPiece{
		{"a kind behind the last", cell("", Cell{Kind: KindPoint + 1})},
		{"NULL with a word", cell("", Cell{Kind: KindNull, word: 1})},
		{"an absent cell with a length", cell("", Cell{Kind: KindAbsent, len: 1})},
		{"a boolean that is 2", cell("", Cell{Kind: KindBool, word: 2})},
		{"an integer with a length", cell("", Cell{Kind: KindInt, len: 1})},
		{"a float32 of double precision", cell("", Cell{Kind: KindFloat32, word: math.Float64bits(0.1)})},
		{"a zone of a day", cell("", Cell{Kind: KindTimeTZ, len: 86400})},
		{"a zone of minus a day", cell("", Cell{Kind: KindTimeTZ, len: 1<<32 - 86400})},
		{"bytes behind the data", cell("ab", Cell{Kind: KindText, len: 1, word: 2})},
		{"bytes from far behind the data", cell("ab", Cell{Kind: KindBytes, len: 0, word: 3})},
		{"bytes that wrap around", cell("ab", Cell{Kind: KindText, len: 8, word: math.MaxUint64})},
		{"a decimal with two points", cell("1.2.3", Cell{Kind: KindDecimal, len: 5})},
		{"a decimal without digits", cell("-.", Cell{Kind: KindDecimal, len: 2})},
		{"an empty decimal", cell("", Cell{Kind: KindDecimal})},
		{"a decimal with an exponent", cell("1e5", Cell{Kind: KindDecimal, len: 3})},
		{"a decimal in lower case", cell("nan", Cell{Kind: KindDecimal, len: 3})},
		{"bits with a 2", cell("012", Cell{Kind: KindBits, len: 3})},
		{"an interval of 15 bytes", cell("0123456789abcdef", Cell{Kind: KindInterval, len: 15})},
		{"an interval behind the data", cell("0123456789abcdef", Cell{Kind: KindInterval, len: 16, word: 1})},
		{"a list behind the nested cells", nested(Cell{Kind: KindList, len: 2}, Cell{Kind: KindNull})},
		{"a list that wraps around", nested(Cell{Kind: KindList, len: 2, word: math.MaxUint64}, Cell{Kind: KindNull})},
		{"a list that holds itself", nested(Cell{Kind: KindNull}, Cell{Kind: KindList, len: 1})},
		{"a list that holds a later one", nested(Cell{Kind: KindNull}, Cell{Kind: KindList, len: 1, word: 1}, Cell{Kind: KindList})},
		{"a nested cell of another kind", nested(Cell{Kind: KindNull}, Cell{Kind: 255})},
		{"a map of one", nested(Cell{Kind: KindMap, len: 1}, Cell{Kind: KindText})},
		{"a map whose key is a number", nested(Cell{Kind: KindMap, len: 2}, Cell{Kind: KindInt}, Cell{Kind: KindText})},
		{"a point of three", nested(Cell{Kind: KindPoint, len: 3}, Cell{Kind: KindFloat64}, Cell{Kind: KindFloat64}, Cell{Kind: KindFloat64})},
		{"a point of integers", nested(Cell{Kind: KindPoint, len: 2}, Cell{Kind: KindFloat64}, Cell{Kind: KindInt})},
		{"lists in lists", func(p *pieces) {
			p.nested = []Cell{{Kind: KindNull}}
			for n := range uint64(wireLists) {
				p.nested = append(p.nested, Cell{Kind: KindList, len: 1, word: n})
			}
			p.cells = []Cell{{Kind: KindList, len: 1, word: wireLists}}
		}},
		{"lists that all hold each other's elements", func(p *pieces) {
			p.nested = []Cell{{Kind: KindNull}, {Kind: KindNull}}
			for n := uint64(0); n < 20; n += 2 {
				p.nested = append(p.nested, Cell{Kind: KindList, len: 2, word: n}, Cell{Kind: KindList, len: 2, word: n})
			}
		}},
	}
}

func refusedRecords() []refusedPiece {
	record := func(change func(*Record)) func(*pieces) {
		return func(p *pieces) { change(&p.records[0]) }
	}
	headers := func(cells ...Cell) func(*pieces) {
		return func(p *pieces) { p.cells, p.records[0].Headers = cells, Row{0, uint32(len(cells))} }
	}
	// A stream whose source block has its transaction in cell 1.
	transaction := func(c Cell, nested ...Cell) func(*pieces) {
		return func(p *pieces) {
			s, w := goldenStream(1), NewWireWriter()
			s.Source = &SourceBlock{Schema: &schemas.Schema{Kind: schemas.Struct}, Transaction: 1}
			w.schema(s.Source.Schema, 0)
			p.schemas = append([]byte{1}, w.fresh.schemas.out...)
			e := &wireEncoder{}
			e.uint(1)
			e.stream(w, s)
			p.streams, p.cells, p.nested, p.records[0].Source = e.out, append(p.cells, c), nested, Row{0, 2}
		}
	}
	return []refusedPiece{
		{"the stream of a record", record(func(r *Record) { r.Stream = 1 })},
		{"the body of a record", record(func(r *Record) { r.Value = 1 })},
		{"another operation", record(func(r *Record) { r.Op = OpTombstone + 1 })},
		{"partition -2", record(func(r *Record) { r.KafkaPartition = -2 })},
		{"a row behind the cells", record(func(r *Record) { r.Key = Row{0, 2} })},
		{"an absent row behind the cells", record(func(r *Record) { r.Before = Row{2, 0} })},
		{"a row that wraps around", record(func(r *Record) { r.After = Row{math.MaxUint32, 2} })},
		{"a row with fewer cells than columns", func(p *pieces) { p.streams = streamsOf(goldenStream(2)) }},
		{"a key with fewer cells than fields", func(p *pieces) {
			s := goldenStream(1)
			s.KeyFields = []Field{{Cell: 1}}
			p.streams, p.records[0].Key = streamsOf(s), Row{0, 1}
		}},
		{"one header cell", headers(Cell{Kind: KindText})},
		{"a header whose name is a number", headers(Cell{Kind: KindInt}, Cell{Kind: KindText})},
		{"a header with a key where there is none", headers(Cell{Kind: KindText}, Cell{Kind: KindList})},
		{"a transaction that is a text", transaction(Cell{Kind: KindText})},
		{"a transaction of two", transaction(Cell{Kind: KindList, len: 2}, Cell{Kind: KindText}, Cell{Kind: KindInt})},
		{"a transaction of other kinds", transaction(Cell{Kind: KindList, len: 3}, Cell{Kind: KindText}, Cell{Kind: KindText}, Cell{Kind: KindInt})},
	}
}
