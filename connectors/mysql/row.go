package mysql

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// image is the place of one row image in an event.
type image struct {
	data    []byte // from the image on; may reach beyond it
	present bitmap // columns that it has; nil: all
	partial bool   // updates of JSON columns may be differences
}

var errShortRow = errors.New("the row ends early")

// fits tells whether the rows of an event have the columns of the layout.
func (l *layout) fits(e *rowsEvent) error {
	if e.columns != len(l.fields) {
		return l.malformed(fmt.Errorf("the event has %d columns, its table map %d", e.columns, len(l.fields)))
	}
	return nil
}

// appendRow decodes the image at the front of data into the row begun last (w.Before() or w.After()) and returns what follows
// it. Columns that the image does not have are taken from the row old where that has them, else they are unavailable.
func (l *layout) appendRow(w *connectors.Builder, data []byte, present bitmap, old connectors.Row) ([]byte, error) {
	nulls, data, ok := l.nullBits(data, present)
	if !ok {
		return nil, l.malformed(errShortRow)
	}
	bit := 0
	for i := range l.fields {
		f := &l.fields[i]
		if present != nil && !present.has(i) {
			if f.cell >= 0 {
				missing(w, old, f.cell)
			}
			continue
		}
		null := nulls.has(bit)
		bit++
		if null {
			if f.cell >= 0 {
				f.null(w)
			}
			continue
		}
		n := f.size
		if f.prefix > 0 {
			if n, ok = f.valueLength(data); !ok {
				return nil, l.malformed(errShortRow)
			}
			data = data[f.prefix:]
		}
		if n > len(data) {
			return nil, l.malformed(errShortRow)
		}
		if f.cell >= 0 {
			if err := l.appendValue(w, f, data[:n:n]); err != nil {
				return nil, l.valueError(f, err)
			}
		}
		data = data[n:]
	}
	return data, nil
}

// nullBits splits an image into its null bits, one per present column, and its values.
func (l *layout) nullBits(data []byte, present bitmap) (bitmap, []byte, bool) {
	n := len(l.fields)
	if present != nil {
		if len(present) < (n+7)/8 {
			return nil, nil, false
		}
		n = present.count(n)
	}
	n = (n + 7) / 8
	if n > len(data) {
		return nil, nil, false
	}
	return bitmap(data[:n]), data[n:], true
}

// valueLength reads the length before a value.
func (f *field) valueLength(data []byte) (int, bool) {
	if len(data) < int(f.prefix) {
		return 0, false
	}
	switch f.prefix {
	case 1:
		return int(data[0]), true
	case 2:
		return int(data[0]) | int(data[1])<<8, true
	case 3:
		return int(data[0]) | int(data[1])<<8 | int(data[2])<<16, true
	}
	return int(data[0]) | int(data[1])<<8 | int(data[2])<<16 | int(data[3])<<24, true
}

func missing(w *connectors.Builder, old connectors.Row, cell int) {
	if !old.Absent() {
		if c := w.Row(old)[cell]; !c.Missing() {
			w.Cell(c)
			return
		}
	}
	w.Unavailable()
}

func (f *field) null(w *connectors.Builder) {
	if f.mask != nil && f.mask.Always() {
		f.mask.Append(w, nil)
		return
	}
	w.Null()
}

// skipRow returns what follows the image.
func (l *layout) skipRow(im image) ([]byte, error) { return l.walk(im, nil) }

// walk finds the values of the columns that visit asks for: it is called with the index of each present field and its bytes, nil for NULL.
func (l *layout) walk(im image, visit func(i int, value []byte)) ([]byte, error) {
	data := im.data
	if im.partial {
		var err error
		if _, data, err = l.partialBits(data); err != nil {
			return nil, err
		}
	}
	nulls, data, ok := l.nullBits(data, im.present)
	if !ok {
		return nil, l.malformed(errShortRow)
	}
	bit := 0
	for i := range l.fields {
		f := &l.fields[i]
		if im.present != nil && !im.present.has(i) {
			continue
		}
		null := nulls.has(bit)
		bit++
		if null {
			if visit != nil {
				visit(i, nil)
			}
			continue
		}
		n := f.size
		if f.prefix > 0 {
			if n, ok = f.valueLength(data); !ok {
				return nil, l.malformed(errShortRow)
			}
			data = data[f.prefix:]
		}
		if n > len(data) {
			return nil, l.malformed(errShortRow)
		}
		if visit != nil {
			visit(i, data[:n:n])
		}
		data = data[n:]
	}
	return data, nil
}

// keyless tells that records of the table have no key.
func (l *layout) keyless() bool { return len(l.keys) == 0 }

// appendKey writes the key cells (after w.Key()) of a row of this record that was made from im; old is the image before it, for
// columns that im does not have. Keys are never masked.
func (l *layout) appendKey(w *connectors.Builder, row connectors.Row, im, old image) error {
	if !l.copyKey {
		if err := l.rawKey(im, old, l.raw); err != nil {
			return err
		}
	}
	for i, k := range l.keys {
		if k.cell >= 0 {
			w.Cell(w.Row(row)[k.cell])
			continue
		}
		f := l.fields[k.field]
		f.mask = nil
		switch value := l.raw[i]; {
		case value == nil:
			w.Null()
		case isAbsent(value):
			w.Unavailable()
		default:
			if err := l.appendValue(w, &f, value); err != nil {
				return l.valueError(&f, err)
			}
		}
	}
	return nil
}

// isAbsent tells layout.absent, the value that no image has: an empty value of an image has no capacity.
func isAbsent(v []byte) bool { return len(v) == 0 && cap(v) == 1 }

// rawKey finds the bytes of the key columns: nil for NULL, l.absent where neither image has the column.
func (l *layout) rawKey(im, old image, into [][]byte) error {
	for i := range into {
		into[i] = l.absent
	}
	visit := func(i int, value []byte) {
		if k := l.fields[i].key; k >= 0 {
			into[k] = value
		}
	}
	if old.data != nil {
		if _, err := l.walk(old, visit); err != nil {
			return err
		}
	}
	_, err := l.walk(im, visit)
	return err
}

// keyChanged tells whether the key of an update differs between its rows, which belong to the record being built.
func (l *layout) keyChanged(w *connectors.Builder, before, after connectors.Row, old, updated image) (bool, error) {
	if l.copyKey {
		b, a := w.Row(before), w.Row(after)
		for _, k := range l.keys {
			if !sameKeyCell(w, b[k.cell:k.cell+1], a[k.cell:k.cell+1]) {
				return true, nil
			}
		}
		return false, nil
	}
	if err := l.rawKey(old, image{}, l.was); err != nil {
		return false, err
	}
	if err := l.rawKey(updated, old, l.raw); err != nil {
		return false, err
	}
	for i := range l.raw {
		if (l.was[i] == nil) != (l.raw[i] == nil) || !bytes.Equal(l.was[i], l.raw[i]) {
			return true, nil
		}
	}
	return false, nil
}

// sameKeyCell compares two values of a key column; an unavailable value is an unchanged one.
func sameKeyCell(w *connectors.Builder, was, is []connectors.Cell) bool {
	if wasNull, isNull := was[0].Kind == connectors.KindNull, is[0].Kind == connectors.KindNull; wasNull || isNull {
		return wasNull && isNull
	}
	return changes.Equal(w, was, is)
}

// same tells that both images of an update have the same columns and bytes: nothing changed.
func (l *layout) same(old, updated image, rest []byte) bool {
	before := old.data[:len(old.data)-len(updated.data)]
	after := updated.data[:len(updated.data)-len(rest)]
	return !updated.partial && bytes.Equal(old.present, updated.present) && bytes.Equal(before, after)
}

func (l *layout) malformed(err error) error {
	return connectors.AsPermanent(fmt.Errorf("read row of %s: %w", l.id, err))
}

func (l *layout) valueError(f *field, err error) error {
	return connectors.AsPermanent(fmt.Errorf("read row of %s: column %s: %w", l.id, f.column.name, err))
}
