package file

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"strings"
	"unicode/utf8"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
)

// lines writes records as lines. It belongs to the goroutine that puts.
type lines struct {
	keys, values converters.Converter
	keyJSON      bool // keys are JSON already
	valueJSON    bool
	whole        bool   // format=record
	null         string // of a value alone
	outputs      map[*connectors.Stream]*output
	resolved     []*output // by stream of the batch being written
	scratch      []byte
}

// output is how the records of one stream are written.
type output struct {
	stream     *connectors.Stream
	key, value converters.Encoder
	head       []byte // {"topic":"…","key":
	tail       []byte // constant headers, each after a comma
}

const (
	jsonConverter   = "org.apache.kafka.connect.json.JsonConverter"
	stringConverter = "org.apache.kafka.connect.storage.StringConverter"
	maxOutputs      = 10_000 // streams remembered; a schema change makes a new one
)

func newLines(set converters.Set, c, worker connectors.Config) (*lines, error) {
	c = maps.Clone(c)
	for _, prefix := range []string{"key.converter", "value.converter"} {
		if strings.TrimSpace(c[prefix]) == "" && strings.TrimSpace(worker[prefix]) == "" {
			c[prefix] = jsonConverter
			if c[prefix+".schemas.enable"] == "" {
				c[prefix+".schemas.enable"] = "false"
			}
		}
	}
	l := &lines{whole: sinkConfig().Values(c).Enum("format") == formatRecord, outputs: map[*connectors.Stream]*output{}}
	var err error
	if l.keys, err = set.New("key.converter", c, worker); err != nil {
		return nil, err
	}
	if l.values, err = set.New("value.converter", c, worker); err != nil {
		return nil, err
	}
	l.keyJSON, l.valueJSON = writesJSON("key.converter", c, worker), writesJSON("value.converter", c, worker)
	return l, nil
}

// newTopicLines is newLines for records of Kafka topics: key.converter and value.converter say how those are read. A value alone is
// written as the reference's sink does, by toString; a whole record as JSON.
func newTopicLines(set converters.Set, c, _ connectors.Config) (*lines, error) {
	own := connectors.Config{"format": formatValue, "key.converter": stringConverter, "value.converter": stringConverter}
	if sinkConfig().Values(c).Enum("format") == formatRecord && strings.TrimSpace(c["format"]) != "" {
		own = connectors.Config{"format": formatRecord}
	}
	l, err := newLines(set, own, nil)
	if err == nil {
		l.null = "null"
	}
	return l, err
}

func writesJSON(prefix string, c, worker connectors.Config) bool {
	class := c[prefix]
	if strings.TrimSpace(class) == "" {
		class = worker[prefix]
	}
	return strings.Contains(class, "JsonConverter")
}

// append adds the lines of a batch to dst. What cannot be converted is rejected; an error that comes back from there ends it.
func (l *lines) append(ctx context.Context, dst []byte, b *connectors.Batch, session connectors.SinkSession) ([]byte, error) {
	l.resolved = append(l.resolved[:0], make([]*output, len(b.Streams))...)
	converters.Within(ctx, l.keys, l.values)
	for i := range b.Records {
		r := &b.Records[i]
		o := l.resolved[r.Stream]
		if o == nil {
			var err error
			if o, err = l.output(b.Streams[r.Stream]); err != nil {
				return dst, err
			}
			l.resolved[r.Stream] = o
		}
		at := len(dst)
		out, err := l.line(dst, o, b, r)
		if err == nil {
			dst = append(out, '\n')
			continue
		}
		dst = out[:at]
		cause := converters.Classify(fmt.Errorf("convert a record of %s: %w", o.stream.Topic, err))
		if connectors.ClassOf(cause) != connectors.Permanent {
			return dst, cause
		}
		if err := session.Reject(ctx, b, i, cause); err != nil {
			return dst, err
		}
	}
	return dst, session.Settle(ctx) // I1: the file's positions are written with its lines
}

func (l *lines) output(s *connectors.Stream) (*output, error) {
	if o := l.outputs[s]; o != nil {
		return o, nil
	}
	key, err := l.keys.Encoder(s)
	if err != nil {
		return nil, fmt.Errorf("convert keys of %s: %w", s.Topic, err)
	}
	value, err := l.values.Encoder(s)
	if err != nil {
		return nil, fmt.Errorf("convert values of %s: %w", s.Topic, err)
	}
	o := &output{stream: s, key: key, value: value}
	o.head = append(appendText([]byte(`{"topic":`), []byte(s.Topic)), `,"key":`...)
	for _, h := range s.Headers {
		o.tail = appendText(append(o.tail, ','), []byte(h.Name))
		o.tail = appendText(append(o.tail, ':'), []byte(h.Value))
	}
	if len(l.outputs) >= maxOutputs {
		clear(l.outputs)
	}
	l.outputs[s] = o
	return o, nil
}

func (l *lines) line(dst []byte, o *output, b *connectors.Batch, r *connectors.Record) ([]byte, error) {
	if !l.whole {
		return l.part(dst, o.value, l.valueJSON, true, b, r)
	}
	dst = append(dst, o.head...)
	dst, err := l.part(dst, o.key, l.keyJSON, false, b, r)
	if err != nil {
		return dst, err
	}
	dst = append(dst, `,"value":`...)
	if dst, err = l.part(dst, o.value, l.valueJSON, false, b, r); err != nil {
		return dst, err
	}
	if r.Headers.Absent() && len(o.tail) == 0 {
		return append(dst, '}'), nil
	}
	dst = append(dst, `,"headers":{`...)
	first := len(dst)
	dst = l.headers(dst, o, b, r)
	dst = append(dst, o.tail...)
	if dst[first] == ',' {
		dst = append(dst[:first], dst[first+1:]...)
	}
	return append(dst, '}', '}'), nil
}

// headers adds the record's own headers, each after a comma.
func (l *lines) headers(dst []byte, o *output, b *connectors.Batch, r *connectors.Record) []byte {
	cells := b.Cells(r.Headers)
	for i := 0; i+1 < len(cells); i += 2 {
		dst = appendText(append(dst, ','), b.Bytes(cells[i]))
		dst = append(dst, ':')
		text, null := converters.AppendHeader(l.scratch[:0], b, o.stream, cells[i+1])
		l.scratch = text[:0]
		if null {
			dst = append(dst, "null"...)
			continue
		}
		dst = appendText(dst, text)
	}
	return dst
}

// part adds a key or value. Within a record what is not JSON becomes a JSON string (base64 when it is not UTF-8); alone it
// stays as it is.
func (l *lines) part(dst []byte, e converters.Encoder, isJSON, alone bool, b *connectors.Batch, r *connectors.Record) ([]byte, error) {
	if isJSON || alone {
		out, null, err := e.Append(dst, b, r)
		switch {
		case err != nil || !null:
		case alone:
			out = append(out[:len(dst)], l.null...)
		default:
			out = append(out[:len(dst)], "null"...)
		}
		return out, err
	}
	text, null, err := e.Append(l.scratch[:0], b, r)
	l.scratch = text[:0]
	switch {
	case err != nil:
		return dst, err
	case null:
		return append(dst, "null"...), nil
	case utf8.Valid(text):
		return appendText(dst, text), nil
	}
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), text), '"'), nil
}

// appendText adds a JSON string.
func appendText(dst, text []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
