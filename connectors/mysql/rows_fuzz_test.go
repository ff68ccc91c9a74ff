package mysql

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/freshet-io/freshet/connectors"
)

// FuzzTableMap: nothing panics, and what is read is as large as the event at most.
func FuzzTableMap(f *testing.F) {
	for _, e := range betsEvents(f) {
		if e.kind == byte(replication.TABLE_MAP_EVENT) {
			f.Add(e.body, false)
			f.Add(e.body, true)
		}
	}
	// tables with every kind of column and metadata: names, labels, character sets, geometry, keys, visibility
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x01\x00\x01d\x00\x01t\x00\x05\x03\xfe\x0f\xff\xf5\x06\xf7\x01\x28\x00\x04\x04\x1f"+
		"\x01\x01\x80\x02\x03\xff\x01\x08\x04\x0a\x01a\x01b\x01c\x01d\x01e\x06\x05\x02\x01x\x01y\x07\x01\x01\x08\x01\x00\x0a\x01\x08\x0c\x01\xf0"), false)
	f.Fuzz(func(t *testing.T, data []byte, mariadb bool) {
		m, err := parseTableMap(data, mariadb)
		if err != nil {
			if connectors.ClassOf(err) != connectors.Permanent {
				t.Errorf("not permanent: %v", err)
			}
			return
		}
		size := len(m.database) + len(m.table) + len(m.columns) + len(m.key)
		for _, c := range m.columns {
			size += len(c.name) + len(c.labels)
		}
		if size > len(data) {
			t.Errorf("%d of %d bytes", size, len(data))
		}
		if _, err := newLayout(nil, m); err != nil {
			t.Error(err)
		}
	})
}

// FuzzRows: nothing panics; skipping a row ends where decoding it does; the cells are not larger than the event makes plausible.
func FuzzRows(f *testing.F) {
	events := betsEvents(f)
	tab, l := betsLayout(f, events)
	for _, e := range events {
		if isRowsEvent(e.kind) {
			f.Add(e.kind, e.body)
			f.Add(byte(eventUpdateRows2), e.body)
		}
	}
	f.Add(byte(eventWriteRowsZip1), []byte("\x01\x00\x00\x00\x00\x00\x01\x00\x0a\xff\x03\x01\x05x\x9c\x03\x00\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, kind byte, data []byte) {
		if !isRowsEvent(kind) {
			return
		}
		var r rowsReader
		ev, err := r.read(kind, data)
		if err != nil || l.fits(&ev) != nil {
			return
		}
		w := connectors.NewBuilder("{}", nil, nil)
		defer w.Abandon()
		for left := ev.data; len(left) > 0; {
			w.Begin(w.Stream(tab.stream), ev.op)
			im := image{data: left, present: ev.before}
			skipped, skipErr := l.skipRow(im)
			w.Before()
			rest, err := l.appendRow(w, left, ev.before, connectors.Row{})
			if skipErr != nil && err == nil || err == nil && len(rest) != len(skipped) {
				t.Fatalf("skipping says %v and %d, decoding %d", skipErr, len(skipped), len(rest))
			}
			if err != nil {
				return
			}
			row := w.Record().Before
			updated := image{data: rest, present: ev.after, partial: ev.partial}
			if ev.op == connectors.OpUpdate {
				w.After()
				if rest, err = l.appendAfter(w, updated, im, row); err != nil {
					return
				}
				row = w.Record().After
			}
			if int(row.Count) != len(tab.stream.Table.Columns) {
				t.Fatalf("%d cells", row.Count)
			}
			if w.Size() > 400*len(ev.data)+4096 {
				t.Fatalf("%d bytes made of %d", w.Size(), len(ev.data))
			}
			if len(rest) >= len(left) {
				t.Fatal("a row of no bytes")
			}
			left = rest
		}
	})
}

// FuzzJSON: what is accepted is JSON in UTF-8 and at most so much longer as escapes and exact doubles make it; differences panic neither.
func FuzzJSON(f *testing.F) {
	f.Add([]byte("\x00\x01\x00\x0c\x00\x0b\x00\x01\x00\x05\x01\x00a"), []byte("\x00\x03$.a\x03\x05\x02\x00"))
	f.Add([]byte("\x02\x02\x00\x14\x00\x0b\x0a\x00\x0c\x12\x00\x00\x00\x00\x00\x00\x00\xf8\x3f\x01x"), []byte("\x02\x04$[0]\x01\x04$[0]\x02\x04\x01"))
	f.Add([]byte("\x0f\x0a\x08\x00\x00\x00\x00\x00\x00\xb2\x19"), []byte("\x00\x01$\x02\x04\x00"))
	f.Add([]byte("\x0f\xf6\x04\x03\x02\x81\x32"), []byte(nil))
	f.Fuzz(func(t *testing.T, doc, diffs []byte) {
		text, err := appendJSONText(nil, doc)
		if err == nil {
			if !json.Valid(text) || !utf8.Valid(text) {
				t.Fatalf("%q", text)
			}
			if len(text) > 400*len(doc)+16 {
				t.Fatalf("%d bytes of %d", len(text), len(doc))
			}
		}
		if text, err := appendJSONDiff(nil, doc, diffs); err == nil && !json.Valid(text) {
			t.Fatalf("%q", text)
		}
		if same, err := appendJSONDiff(nil, doc, nil); err == nil && !bytes.Equal(same, text) {
			t.Fatalf("%q without a difference is %q", text, same)
		}
	})
}
