package timescaledb

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/freshet-io/freshet/connectors"
)

const maxDimensions = 6 // MAXDIM

// array writes a list, or lists of lists, as an array (src/backend/utils/adt/arrayfuncs.c, array_send).
func (e *encoder) array(dst []byte, b *connectors.Batch, c connectors.Cell) ([]byte, problem) {
	if c.Kind != connectors.KindList {
		return dst, problemKind
	}
	var dims [maxDimensions]int
	depth := 0
	for level := c; ; depth++ {
		items := b.List(level)
		if depth == maxDimensions {
			return dst, problemRagged
		}
		dims[depth] = len(items)
		if len(items) == 0 || items[0].Kind != connectors.KindList {
			break
		}
		level = items[0]
	}
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	if dims[0] == 0 { // without dimensions
		dst = binary.BigEndian.AppendUint64(dst, 0)
		dst = binary.BigEndian.AppendUint32(dst, e.oid)
		return closeField(dst, start), ""
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(depth+1))
	dst = binary.BigEndian.AppendUint32(dst, 1) // there may be NULLs
	dst = binary.BigEndian.AppendUint32(dst, e.oid)
	for _, n := range dims[:depth+1] {
		dst = binary.BigEndian.AppendUint32(dst, uint32(n))
		dst = binary.BigEndian.AppendUint32(dst, 1)
	}
	dst, p := e.items(dst, b, c, dims[:depth+1])
	if p != "" {
		return dst[:start], p
	}
	return closeField(dst, start), ""
}

// closeField writes the length of the field that began at start.
func closeField(dst []byte, start int) []byte {
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
	return dst
}

func (e *encoder) items(dst []byte, b *connectors.Batch, c connectors.Cell, dims []int) ([]byte, problem) {
	items := b.List(c)
	if len(items) != dims[0] {
		return dst, problemRagged
	}
	var p problem
	for _, item := range items {
		switch {
		case len(dims) > 1:
			if item.Kind != connectors.KindList {
				return dst, problemRagged
			}
			dst, p = e.items(dst, b, item, dims[1:])
		case item.Kind == connectors.KindNull:
			dst = append(dst, 0xff, 0xff, 0xff, 0xff)
		case item.Missing():
			p = problemKind
		default:
			dst, p = e.elem.append(dst, b, item)
		}
		if p != "" {
			return dst, p
		}
	}
	return dst, ""
}

// mapping writes a map from text to text as a JSON object or in hstore's text form.
func (e *encoder) mapping(dst []byte, b *connectors.Batch, c connectors.Cell) ([]byte, problem) {
	if c.Kind != connectors.KindMap {
		return dst, problemKind
	}
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	if e.form == formMapJSONB {
		dst = append(dst, 1)
	}
	between, null, asJSON := ":", "null", e.form != formMapHstore
	if asJSON {
		dst = append(dst, '{')
	} else {
		between, null = "=>", "NULL"
	}
	items := b.List(c)
	for i := 0; i+1 < len(items); i += 2 {
		if i > 0 {
			dst = append(dst, ',')
		}
		for at, item := range items[i : i+2] {
			if at == 1 {
				dst = append(dst, between...)
			}
			switch {
			case item.Kind == connectors.KindNull && at == 1:
				dst = append(dst, null...)
			case item.Kind != connectors.KindText:
				return dst[:start], problemKind
			default:
				v := b.Bytes(item)
				if !utf8.Valid(v) {
					return dst[:start], problemUTF8
				}
				dst = appendQuoted(dst, v, asJSON)
			}
		}
	}
	if asJSON {
		dst = append(dst, '}')
	}
	return closeField(dst, start), ""
}

// appendQuoted writes a text in double quotes, for JSON or for hstore.
func appendQuoted(dst, v []byte, asJSON bool) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, ch := range v {
		switch {
		case ch == '"' || ch == '\\':
			dst = append(dst, '\\', ch)
		case ch < 0x20 && asJSON:
			dst = append(dst, '\\', 'u', '0', '0', hex[ch>>4], hex[ch&15])
		default:
			dst = append(dst, ch)
		}
	}
	return append(dst, '"')
}
