package avro

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/registry"
	"github.com/freshet-io/freshet/schemas"
)

// decoder reads messages, each by the schema that it was written with.
type decoder struct {
	options
	registry *registry.Registry
	known    *registry.Cache[*reading]
}

// reading is a schema that messages were written with.
type reading struct {
	node   *node
	schema *schemas.Schema // nil: values without schema
}

// NewDecoder makes the decoder from the converter's keys.
func NewDecoder(c connectors.Config) (converters.Decoder, error) {
	o, r, err := read(c)
	if err != nil {
		return nil, err
	}
	return &decoder{o, r, registry.NewCache[*reading](o.cache)}, nil
}

// Within implements converters.Waiter.
func (d *decoder) Within(ctx context.Context) { d.registry.Within(ctx) }

// Decode implements converters.Decoder.
func (d *decoder) Decode(data []byte) (schemas.Typed, error) {
	if data == nil {
		return schemas.Typed{}, nil
	}
	id, payload, err := registry.Split(data)
	if err != nil {
		return schemas.Typed{}, err
	}
	s, ok := d.known.Get(id)
	if !ok {
		if s, err = d.load(id); err != nil {
			return schemas.Typed{}, err
		}
	}
	v, err := d.options.decode(s, payload)
	if err != nil {
		return schemas.Typed{}, fmt.Errorf("read Avro with schema %d: %w", id, err)
	}
	return schemas.Typed{Schema: s.schema, Value: v}, nil
}

func (d *decoder) load(id int) (*reading, error) {
	found, err := d.registry.Get(id)
	if err != nil {
		return nil, err
	}
	if found.Type != registry.Avro {
		return nil, fmt.Errorf("read schema %d: it is of type %s, and this converter reads Avro", id, string(found.Type))
	}
	used, err := d.registry.Referred(found)
	if err != nil {
		return nil, err
	}
	s := &reading{}
	if s.node, err = parse(found.Text, used); err != nil {
		return nil, fmt.Errorf("read schema %d: %w", id, err)
	}
	if s.schema, err = d.toConnect(s.node, found.Version); err != nil {
		return nil, fmt.Errorf("read schema %d: %w", id, err)
	}
	size := len(found.Text)
	for _, u := range used {
		size += len(u.Text)
	}
	d.known.Put(id, size, s)
	return s, nil
}

func (o options) decode(s *reading, payload []byte) (schemas.Value, error) {
	if s.node.kind == kBytes { // alone they have no length, as in the reference
		return append([]byte{}, payload...), nil
	}
	in := &input{options: o, data: payload}
	return in.value(s.node, s.schema)
}

// input is a message being read. Its values take no more memory than some multiple of its length.
type input struct {
	options
	data  []byte
	depth int
	empty int // elements without a byte of their own
}

const maxEmpty = 100_000 // elements of arrays that take no bytes, in one message

var errShort = errors.New("the message ends too early")

func (in *input) long() (int64, error) {
	v, n := binary.Varint(in.data)
	if n <= 0 {
		return 0, errShort
	}
	in.data = in.data[n:]
	return v, nil
}

func (in *input) take(n int64) ([]byte, error) {
	if n < 0 || n > int64(len(in.data)) {
		return nil, errShort
	}
	out := in.data[:n:n]
	in.data = in.data[n:]
	return out, nil
}

func (in *input) content() ([]byte, error) {
	n, err := in.long()
	if err != nil {
		return nil, err
	}
	return in.take(n)
}

func (in *input) value(n *node, s *schemas.Schema) (schemas.Value, error) {
	if in.depth++; in.depth > maxDepth {
		return nil, fmt.Errorf("it is nested deeper than %d", maxDepth)
	}
	defer func() { in.depth-- }()
	if s == nil {
		return in.anything(n)
	}
	switch n.kind {
	case kNull:
		return nil, nil
	case kBoolean:
		b, err := in.take(1)
		if err != nil {
			return nil, err
		}
		return b[0] != 0, nil
	case kInt, kLong:
		return in.integer(n, s)
	case kFloat:
		b, err := in.take(4)
		if err != nil {
			return nil, err
		}
		return math.Float32frombits(binary.LittleEndian.Uint32(b)), nil
	case kDouble:
		b, err := in.take(8)
		if err != nil {
			return nil, err
		}
		return math.Float64frombits(binary.LittleEndian.Uint64(b)), nil
	case kBytes:
		b, err := in.content()
		if err != nil {
			return nil, err
		}
		return append([]byte{}, b...), nil
	case kFixed:
		b, err := in.take(int64(n.size))
		if err != nil {
			return nil, err
		}
		if isDecimal(s) {
			b = shortest(b)
		}
		return append([]byte{}, b...), nil
	case kString:
		b, err := in.content()
		if err != nil {
			return nil, err
		}
		if !utf8.Valid(b) {
			return nil, errors.New("a text is not UTF-8")
		}
		return string(b), nil
	case kEnum:
		i, err := in.long()
		if err != nil || i < 0 || i >= int64(len(n.symbols)) {
			return nil, errors.Join(err, fmt.Errorf("enum %s has no symbol %d", n.fullName(), i))
		}
		return n.symbols[i], nil
	case kArray:
		return in.array(n, s)
	case kMap:
		return in.mapOf(n, s)
	case kUnion:
		return in.union(n, s)
	}
	return in.record(n, s)
}

// shortest drops the bytes that only repeat the sign of an unscaled value.
func shortest(b []byte) []byte {
	for len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xFF && b[1] >= 0x80) {
		b = b[1:]
	}
	return b
}

func (in *input) integer(n *node, s *schemas.Schema) (schemas.Value, error) {
	v, err := in.long()
	if err != nil {
		return nil, err
	}
	if n.kind == kInt && v != int64(int32(v)) {
		return nil, errors.New("an int needs more than 32 bits")
	}
	switch s.Kind {
	case schemas.Int8:
		return int8(v), nil
	case schemas.Int16:
		return int16(v), nil
	case schemas.Int32:
		return int32(v), nil
	}
	return v, nil
}

func (in *input) record(n *node, s *schemas.Schema) (schemas.Value, error) {
	out := make(schemas.StructValue, len(n.fields))
	for i := range n.fields {
		var err error
		if out[i], err = in.value(n.fields[i].node, s.Fields[i].Schema); err != nil {
			return nil, fmt.Errorf("field %s: %w", n.fields[i].name, err)
		}
	}
	return out, nil
}

func (in *input) union(n *node, s *schemas.Schema) (schemas.Value, error) {
	i, err := in.long()
	if err != nil || i < 0 || i >= int64(len(n.branches)) {
		return nil, errors.Join(err, fmt.Errorf("a union has no branch %d", i))
	}
	b := n.branches[i]
	if b.kind == kNull {
		return nil, nil
	}
	if other, _, _ := n.sansNull(); other != nil && (len(n.branches) == 2 || in.flatten) {
		return in.value(b, s)
	}
	at := s.Field(in.memberName(b, int(i)))
	if at < 0 {
		return nil, errors.New("Did not find matching union field for data") //nolint:staticcheck // the reference's text
	}
	out := make(schemas.StructValue, len(s.Fields))
	out[at], err = in.value(b, s.Fields[at].Schema)
	return out, err
}

// blocks calls each for every element of an array or a map.
func (in *input) blocks(each func() error) error {
	for {
		count, err := in.long()
		if err != nil {
			return err
		}
		if count == 0 {
			return nil
		}
		if count < 0 {
			if _, err := in.long(); err != nil { // bytes of the block
				return err
			}
			if count = -count; count < 0 {
				return errShort
			}
		}
		for ; count > 0; count-- {
			before := len(in.data)
			if err := each(); err != nil {
				return err
			}
			if len(in.data) == before {
				if in.empty++; in.empty > maxEmpty {
					return fmt.Errorf("more than %d elements have no content", maxEmpty)
				}
			}
		}
	}
}

func (in *input) array(n *node, s *schemas.Schema) (schemas.Value, error) {
	if s.Kind == schemas.Map {
		return in.pairs(n, s)
	}
	out := schemas.ArrayValue{}
	err := in.blocks(func() error {
		v, err := in.value(n.elem, s.Elem)
		out = append(out, v)
		return err
	})
	return out, err
}

func (in *input) pairs(n *node, s *schemas.Schema) (schemas.Value, error) {
	out := schemas.MapValue{}
	err := in.blocks(func() error {
		var e schemas.MapEntry
		var err error
		if e.Key, err = in.value(n.elem.fields[0].node, s.Key); err != nil {
			return err
		}
		if e.Value, err = in.value(n.elem.fields[1].node, s.Elem); err != nil {
			return err
		}
		out = append(out, e)
		return nil
	})
	return out, err
}

func (in *input) mapOf(n *node, s *schemas.Schema) (schemas.Value, error) {
	out := schemas.MapValue{}
	err := in.blocks(func() error {
		key, err := in.content()
		if err != nil {
			return err
		}
		if !utf8.Valid(key) {
			return errors.New("a key is not UTF-8")
		}
		v, err := in.value(n.elem, s.Elem)
		out = append(out, schemas.MapEntry{Key: string(key), Value: v})
		return err
	})
	return out, err
}

// anything reads a value without schema: the member that is set, or nil.
func (in *input) anything(n *node) (schemas.Value, error) {
	if n.kind != kRecord {
		return nil, errors.New("Invalid Avro data for schemaless Connect data") //nolint:staticcheck // the reference's text
	}
	var out schemas.Value
	for i := range n.fields {
		branch, err := in.long()
		if err != nil {
			return nil, err
		}
		if branch == 0 {
			continue
		}
		value := n.fields[i].node.branches[1]
		var v schemas.Value
		switch value.kind {
		case kArray:
			if value.elem.isMapEntry() {
				v, err = in.pairs(value, &schemas.Schema{Kind: schemas.Map})
			} else {
				v, err = in.array(value, &schemas.Schema{Kind: schemas.Array})
			}
		default:
			v, err = in.value(value, &schemas.Schema{Kind: plain[value.kind]})
		}
		if err != nil {
			return nil, err
		}
		if out == nil {
			out = v
		}
	}
	return out, nil
}

var plain = [...]schemas.Kind{
	kBoolean: schemas.Boolean, kInt: schemas.Int32, kLong: schemas.Int64, kFloat: schemas.Float32, kDouble: schemas.Float64, kBytes: schemas.Bytes, kString: schemas.String,
}
