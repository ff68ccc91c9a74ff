package postgres

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// The tags that come before TupleData.
const (
	tupleNew = 'N'
	tupleOld = 'O' // whole old row: REPLICA IDENTITY FULL
	tupleKey = 'K' // columns of the replica identity only
)

// relation is one version of a captured table: how its rows become cells. It belongs to one goroutine.
type relation struct {
	oid      uint32
	id       changes.TableID
	name     string             // id as text
	identity byte               // REPLICA IDENTITY: d, n, f, i
	stream   *connectors.Stream // one cell of a row per column of stream.Table
	tuple    []tupleColumn      // one per column of a tuple, or of a snapshot row
	keys     []keyColumn        // one per field of stream.Key
	copyKey  bool               // every key cell can be taken from the row
	fields   [][]byte           // scratch of splitCopy and of keys
}

type tupleColumn struct {
	name   string
	decode decoder
	cell   int  // index in the row; -1: only for the key, or not at all
	inOld  bool // a key tuple carries it
	mask   *changes.Mask
}

type keyColumn struct {
	column int // index into tuple
	cell   int // index in the row; -1: masked or not captured there, made from the tuple
}

// selectList is what a snapshot selects, in the order that appendTextRow expects.
func (r *relation) selectList() string {
	var out strings.Builder
	for i := range r.tuple {
		if i > 0 {
			out.WriteString(", ")
		}
		out.WriteString(pgx.Identifier{r.tuple[i].name}.Sanitize())
	}
	return out.String()
}

// quotedName is the table's name for SQL.
func (r *relation) quotedName() string { return pgx.Identifier{r.id.Schema, r.id.Name}.Sanitize() }

// appendTuple decodes TupleData into the row begun last (w.Before() or w.After()) and returns what follows it in the
// message. tag is tupleNew, tupleOld or tupleKey. An unchanged out-of-line value ('u') is taken from the row old where that
// has it, else it is unavailable. Columns that a key tuple does not carry are absent.
func (r *relation) appendTuple(w *connectors.Builder, data []byte, tag byte, old connectors.Row) ([]byte, error) {
	if len(data) < 2 {
		return nil, r.malformed("ends early")
	}
	if n := int(binary.BigEndian.Uint16(data)); n != len(r.tuple) {
		return nil, r.malformed(fmt.Sprintf("has %d columns, the relation %d", n, len(r.tuple)))
	}
	data = data[2:]
	for i := range r.tuple {
		c := &r.tuple[i]
		if len(data) == 0 {
			return nil, r.malformed("ends early")
		}
		kind := data[0]
		data = data[1:]
		var text []byte
		if kind == 't' {
			if len(data) < 4 {
				return nil, r.malformed("ends early")
			}
			n := int(binary.BigEndian.Uint32(data))
			if n < 0 || n > len(data)-4 {
				return nil, r.malformed("ends early")
			}
			text, data = data[4:4+n], data[4+n:]
		}
		if c.cell < 0 {
			continue
		}
		switch {
		case kind == 't':
			if err := c.append(w, text); err != nil {
				return nil, r.valueError(c, err)
			}
		case tag == tupleKey && !c.inOld:
			w.Absent()
		case kind == 'n':
			c.null(w)
		case kind == 'u':
			unchanged(w, old, c.cell)
		default:
			return nil, r.malformed(fmt.Sprintf("has a column of kind %q", kind))
		}
	}
	return data, nil
}

func unchanged(w *connectors.Builder, old connectors.Row, cell int) {
	if !old.Absent() {
		if c := w.Row(old)[cell]; !c.Missing() {
			w.Cell(c)
			return
		}
	}
	w.Unavailable()
}

func (c *tupleColumn) append(w *connectors.Builder, text []byte) error {
	if c.mask != nil {
		c.mask.Append(w, text)
		return nil
	}
	if c.decode.op == opText {
		w.Text(connectors.KindText, text)
		return nil
	}
	return c.decode.append(w, text)
}

func (c *tupleColumn) null(w *connectors.Builder) {
	if c.mask != nil && c.mask.Always() {
		c.mask.Append(w, nil)
		return
	}
	w.Null()
}

// appendTextRow decodes one snapshot row, a field per column of selectList in text form, nil for NULL.
func (r *relation) appendTextRow(w *connectors.Builder, fields [][]byte) error {
	if len(fields) != len(r.tuple) {
		return r.malformed(fmt.Sprintf("has %d columns, the table %d", len(fields), len(r.tuple)))
	}
	for i := range r.tuple {
		c := &r.tuple[i]
		switch {
		case c.cell < 0:
		case fields[i] == nil:
			c.null(w)
		default:
			if err := c.append(w, fields[i]); err != nil {
				return r.valueError(c, err)
			}
		}
	}
	return nil
}

// splitCopy splits a line of COPY … TO STDOUT in text format, with or without its newline, into fields for appendTextRow.
// It removes escapes in place. The fields are valid until the next call.
func (r *relation) splitCopy(line []byte) ([][]byte, error) {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	r.fields = r.fields[:0]
	for more := len(r.tuple) > 0; more; {
		field := line
		if at := bytes.IndexByte(line, '\t'); at >= 0 {
			field, line = line[:at], line[at+1:]
		} else {
			more = false
		}
		if len(field) == 2 && field[0] == '\\' && field[1] == 'N' {
			r.fields = append(r.fields, nil)
			continue
		}
		if bytes.IndexByte(field, '\\') >= 0 {
			field = unescapeCopy(field)
		}
		r.fields = append(r.fields, field[:len(field):len(field)])
	}
	if len(r.fields) != len(r.tuple) {
		return nil, r.malformed(fmt.Sprintf("has %d columns, the table %d", len(r.fields), len(r.tuple)))
	}
	return r.fields, nil
}

// unescapeCopy undoes what COPY writes: \b \f \n \r \t \v and \\.
func unescapeCopy(field []byte) []byte {
	out := field[:0]
	for i := 0; i < len(field); i++ {
		b := field[i]
		if b == '\\' && i+1 < len(field) {
			i++
			switch b = field[i]; b {
			case 'b':
				b = '\b'
			case 'f':
				b = '\f'
			case 'n':
				b = '\n'
			case 'r':
				b = '\r'
			case 't':
				b = '\t'
			case 'v':
				b = '\v'
			}
		}
		out = append(out, b)
	}
	return out
}

// keyless tells that records of the table have no key.
func (r *relation) keyless() bool { return len(r.keys) == 0 }

// appendKey writes the key cells (after w.Key()) of a row of this record; data is the TupleData that row was made from.
// Keys are never masked.
func (r *relation) appendKey(w *connectors.Builder, row connectors.Row, data []byte, tag byte) error {
	if r.copyKey {
		r.copyKeyCells(w, row)
		return nil
	}
	fields, kinds, err := r.rawKey(data)
	if err != nil {
		return err
	}
	for i, k := range r.keys {
		c := &r.tuple[k.column]
		switch {
		case k.cell >= 0:
			w.Cell(w.Row(row)[k.cell])
		case fields[i] != nil:
			if err := c.decode.append(w, fields[i]); err != nil {
				return r.valueError(c, err)
			}
		case kinds[i] == 'u':
			w.Unavailable()
		case tag == tupleKey && !c.inOld:
			w.Absent()
		default:
			w.Null()
		}
	}
	return nil
}

// appendTextKey is appendKey for a row of appendTextRow.
func (r *relation) appendTextKey(w *connectors.Builder, row connectors.Row, fields [][]byte) error {
	if r.copyKey {
		r.copyKeyCells(w, row)
		return nil
	}
	for _, k := range r.keys {
		c := &r.tuple[k.column]
		switch text := fields[k.column]; {
		case k.cell >= 0:
			w.Cell(w.Row(row)[k.cell])
		case text == nil:
			w.Null()
		default:
			if err := c.decode.append(w, text); err != nil {
				return r.valueError(c, err)
			}
		}
	}
	return nil
}

func (r *relation) copyKeyCells(w *connectors.Builder, row connectors.Row) {
	for _, k := range r.keys {
		w.Cell(w.Row(row)[k.cell])
	}
}

// keyChanged tells whether the key of an update differs between its old and its new row; the rows belong to the record
// being built, old and updated are the TupleData they were made from.
func (r *relation) keyChanged(w *connectors.Builder, before, after connectors.Row, old, updated []byte) (bool, error) {
	if r.copyKey {
		b, a := w.Row(before), w.Row(after)
		for _, k := range r.keys {
			if !sameKeyCell(w, b[k.cell:k.cell+1], a[k.cell:k.cell+1]) {
				return true, nil
			}
		}
		return false, nil
	}
	was, _, err := r.rawKey(old)
	if err != nil {
		return false, err
	}
	was = append([][]byte(nil), was...)
	is, kinds, err := r.rawKey(updated)
	if err != nil {
		return false, err
	}
	for i := range is {
		if kinds[i] != 'u' && !bytes.Equal(was[i], is[i]) {
			return true, nil
		}
	}
	return false, nil
}

// sameKeyCell compares two values of a key column; one that a tuple does not carry counts as NULL, as in the reference.
func sameKeyCell(w *connectors.Builder, was, is []connectors.Cell) bool {
	null := func(c connectors.Cell) bool {
		return c.Kind == connectors.KindNull || c.Kind == connectors.KindAbsent
	}
	if null(was[0]) || null(is[0]) {
		return null(was[0]) && null(is[0])
	}
	return changes.Equal(w, was, is) // an unavailable value is an unchanged one
}

// rawKey finds the texts of the key columns in TupleData, nil where there is none, and the kinds of those columns.
func (r *relation) rawKey(data []byte) (fields [][]byte, kinds []byte, err error) {
	if len(data) < 2 || int(binary.BigEndian.Uint16(data)) != len(r.tuple) {
		return nil, nil, r.malformed("has another number of columns than the relation")
	}
	data = data[2:]
	fields, kinds = r.fields[:0], make([]byte, len(r.keys))
	for range r.keys {
		fields = append(fields, nil)
	}
	for i := range r.tuple {
		if len(data) == 0 {
			return nil, nil, r.malformed("ends early")
		}
		kind := data[0]
		data = data[1:]
		var text []byte
		if kind == 't' {
			if len(data) < 4 || int(binary.BigEndian.Uint32(data)) > len(data)-4 {
				return nil, nil, r.malformed("ends early")
			}
			n := int(binary.BigEndian.Uint32(data))
			text, data = data[4:4+n:4+n], data[4+n:]
		}
		for k := range r.keys {
			if r.keys[k].column == i {
				fields[k], kinds[k] = text, kind
			}
		}
	}
	r.fields = fields
	return fields, kinds, nil
}

func (r *relation) malformed(what string) error {
	return connectors.AsPermanent(fmt.Errorf("read row of %s: the row %s", r.id, what))
}

func (r *relation) valueError(c *tupleColumn, err error) error {
	return connectors.AsPermanent(fmt.Errorf("read row of %s: column %s: %w", r.id, c.name, err))
}
