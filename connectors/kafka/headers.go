package kafka

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/kafkaclient"
)

func checkHeaderConverter(c, worker connectors.Config) error {
	class := strings.TrimSpace(c["header.converter"])
	if class == "" {
		class = strings.TrimSpace(worker["header.converter"])
	}
	switch class {
	case "", "SimpleHeaderConverter", "org.apache.kafka.connect.storage.SimpleHeaderConverter",
		"StringConverter", "org.apache.kafka.connect.storage.StringConverter":
		return nil
	}
	return fmt.Errorf("header.converter %s is not supported yet: use org.apache.kafka.connect.storage.SimpleHeaderConverter", class)
}

// appendHeaders writes the record's own headers and then the stream's, as text
// (org.apache.kafka.connect.storage.SimpleHeaderConverter). The bytes lie in w.scratch until the record is appended.
func (w *writer) appendHeaders(o *output, b *connectors.Batch, r *connectors.Record) []kafkaclient.Header {
	if r.Headers.Absent() {
		return o.headers
	}
	w.headers = w.headers[:0]
	cells := b.Cells(r.Headers)
	for i := 0; i+1 < len(cells); i += 2 {
		at := len(w.scratch)
		h := kafkaclient.Header{Key: b.Bytes(cells[i])}
		if c := cells[i+1]; c.Kind != connectors.KindNull && !c.Missing() {
			w.scratch = w.appendHeader(w.scratch, o.stream, b, c)
			h.Value = w.scratch[at:len(w.scratch):len(w.scratch)]
		}
		w.headers = append(w.headers, h)
	}
	w.headers = append(w.headers, o.headers...)
	return w.headers
}

func (w *writer) appendHeader(dst []byte, s *connectors.Stream, b *connectors.Batch, c connectors.Cell) []byte {
	switch c.Kind {
	case connectors.KindText, connectors.KindDecimal, connectors.KindBits:
		return append(dst, b.Bytes(c)...)
	case connectors.KindBytes:
		return base64.StdEncoding.AppendEncode(dst, b.Bytes(c))
	case connectors.KindBool:
		return strconv.AppendBool(dst, c.Bool())
	case connectors.KindUint:
		return strconv.AppendUint(dst, c.Uint(), 10)
	case connectors.KindFloat32:
		return changes.AppendJavaDouble(dst, c.Float(), 32)
	case connectors.KindFloat64:
		return changes.AppendJavaDouble(dst, c.Float(), 64)
	case connectors.KindList:
		return w.appendKey(dst, s, b, b.List(c))
	}
	return strconv.AppendInt(dst, c.Int(), 10)
}

// appendKey writes a key row as the JSON of its struct; unlike JsonConverter, decimals are plain numbers
// (org.apache.kafka.connect.data.Values).
func (w *writer) appendKey(dst []byte, s *connectors.Stream, b *connectors.Batch, cells []connectors.Cell) []byte {
	dst = append(dst, '{')
	for i := range s.KeyFields {
		f := &s.KeyFields[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = changes.AppendJSONText(dst, f.Name)
		dst = append(dst, ':')
		if f.Cell >= len(cells) {
			dst = append(dst, "null"...)
			continue
		}
		dst = w.appendField(dst, f, b, cells[f.Cell])
	}
	return append(dst, '}')
}

func (w *writer) appendField(dst []byte, f *connectors.Field, b *connectors.Batch, c connectors.Cell) []byte {
	if f.View == connectors.ViewDecimal {
		var buf [24]byte
		if text, ok := changes.DecimalBytes(b, c, buf[:0]); ok {
			return changes.AppendDecimalText(dst, text, f.Scale)
		}
	}
	var d changes.Datum
	d, w.text = changes.Read(b, f, c, w.text)
	switch d.Kind {
	case changes.DatumBool:
		return strconv.AppendBool(dst, d.Int != 0)
	case changes.DatumInt:
		return strconv.AppendInt(dst, d.Int, 10)
	case changes.DatumFloat32:
		return changes.AppendJavaDouble(dst, d.Float, 32)
	case changes.DatumFloat64:
		return changes.AppendJavaDouble(dst, d.Float, 64)
	case changes.DatumText:
		return changes.AppendJSONString(dst, d.Bytes)
	case changes.DatumBytes:
		return quote(dst, d.Bytes)
	case changes.DatumVariable:
		dst = append(strconv.AppendInt(append(dst, `{"scale":`...), d.Int, 10), `,"value":`...)
		return append(quote(dst, d.Bytes), '}')
	case changes.DatumValue:
		switch v := d.Value.(type) {
		case string:
			return changes.AppendJSONText(dst, v)
		case []byte:
			return quote(dst, v)
		default:
			return fmt.Append(dst, v)
		}
	}
	return append(dst, "null"...)
}

func quote(dst, raw []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, raw)
	return append(dst, '"')
}
