package mysql

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"github.com/freshet-io/freshet/connectors"
)

// What a difference does to a document.
const (
	diffReplace = 0
	diffInsert  = 1
	diffRemove  = 2
)

var errDifference = errors.New("a difference does not fit the document")

// jsonNode is a value of a document that differences are applied to; it is opened only along their paths.
type jsonNode struct {
	doc   *jsonDoc
	value jsonValue
	open  bool
	keys  []string // of an open object; nil of an open array
	items []*jsonNode
}

func newJSONNode(doc []byte) (*jsonNode, bool) {
	if len(doc) == 0 {
		return nil, false
	}
	return &jsonNode{doc: &jsonDoc{data: doc[1:], budget: len(doc)}, value: jsonValue{kind: doc[0]}}, true
}

// appendJSONDiff writes the text of a document after a partial update of it: differences, each of them an operation, a path and a
// value in binary JSON.
func appendJSONDiff(dst, doc, diffs []byte) ([]byte, error) {
	root, ok := newJSONNode(doc)
	if !ok {
		return dst, errMalformed
	}
	c := cursor{data: diffs}
	for len(c.data) > 0 {
		operation := c.byte()
		path := c.take(c.packed())
		var value *jsonNode
		if operation == diffReplace || operation == diffInsert {
			value, ok = newJSONNode(c.take(c.packed()))
		}
		if c.short || !ok || operation > diffRemove || len(path) == 0 || path[0] != '$' {
			return dst, errMalformed
		}
		if root, ok = root.apply(operation, path[1:], value, 0); !ok {
			return dst, errDifference
		}
	}
	start := len(dst)
	dst, ok = root.append(dst, 0)
	if !ok {
		return dst, errMalformed
	}
	return validFrom(dst, start), nil
}

// apply returns the node that stands in n's place afterwards.
func (n *jsonNode) apply(operation byte, path []byte, value *jsonNode, depth int) (*jsonNode, bool) {
	if len(path) == 0 {
		return value, operation == diffReplace
	}
	leg, rest, ok := nextLeg(path)
	if !ok || depth > jsonMaxDepth || !n.expand() {
		return n, false
	}
	if leg.member != (n.keys != nil) {
		return n, false
	}
	at, found := leg.index, leg.index < len(n.items)
	if leg.member {
		at, found = slices.BinarySearchFunc(n.keys, leg.name, compareKeys)
	}
	switch {
	case len(rest) > 0 || operation == diffReplace:
		if !found {
			return n, false
		}
		n.items[at], ok = n.items[at].apply(operation, rest, value, depth+1)
		return n, ok
	case operation == diffRemove:
		if !found {
			return n, false
		}
		n.items = slices.Delete(n.items, at, at+1)
		if leg.member {
			n.keys = slices.Delete(n.keys, at, at+1)
		}
	case leg.member:
		if found {
			return n, false
		}
		n.keys, n.items = slices.Insert(n.keys, at, leg.name), slices.Insert(n.items, at, value)
	default:
		n.items = slices.Insert(n.items, min(at, len(n.items)), value)
	}
	return n, true
}

// compareKeys is the order of members in a document: by length, then by bytes.
func compareKeys(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return bytes.Compare([]byte(a), []byte(b))
}

// expand makes the values of a container nodes of their own.
func (n *jsonNode) expand() bool {
	if n.open {
		return true
	}
	if n.value.kind > jsonLargeArray {
		return false
	}
	c, ok := n.doc.container(n.value)
	if !ok {
		return false
	}
	n.open = true
	if c.object {
		n.keys = make([]string, 0, c.count)
	}
	for i := range c.count {
		if c.object {
			key, ok := n.doc.key(c, i)
			if !ok {
				return false
			}
			n.keys = append(n.keys, string(key))
		}
		v, ok := n.doc.value(c, i)
		if !ok {
			return false
		}
		n.items = append(n.items, &jsonNode{doc: n.doc, value: v})
	}
	return true
}

func (n *jsonNode) append(dst []byte, depth int) ([]byte, bool) {
	if !n.open || depth > jsonMaxDepth {
		return n.doc.append(dst, n.value, depth)
	}
	open, end := byte('['), byte(']')
	if n.keys != nil {
		open, end = '{', '}'
	}
	dst = append(dst, open)
	for i, item := range n.items {
		if i > 0 {
			dst = append(dst, ',')
		}
		if n.keys != nil {
			dst = append(appendJSONString(dst, []byte(n.keys[i])), ':')
		}
		var ok bool
		if dst, ok = item.append(dst, depth+1); !ok {
			return dst, false
		}
	}
	return append(dst, end), true
}

// leg is a step of a path: .name, ."name" or [index].
type leg struct {
	member bool
	name   string
	index  int
}

func nextLeg(path []byte) (l leg, rest []byte, ok bool) {
	switch {
	case path[0] == '[':
		end := bytes.IndexByte(path, ']')
		if end < 0 {
			return l, nil, false
		}
		n, err := strconv.ParseUint(string(path[1:end]), 10, 32)
		return leg{index: int(n)}, path[end+1:], err == nil
	case path[0] != '.' || len(path) < 2:
		return l, nil, false
	case path[1] != '"':
		end := bytes.IndexAny(path[1:], ".[") + 1
		if end == 0 {
			end = len(path)
		}
		return leg{member: true, name: string(path[1:end])}, path[end:], true
	}
	end := 2
	for end < len(path) && path[end] != '"' {
		if path[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(path) {
		return l, nil, false
	}
	l.member = true
	err := json.Unmarshal(path[1:end+1], &l.name)
	return l, path[end+1:], err == nil
}

// appendAfter decodes the after image of an update, and returns what follows it; old is its before image and row the row made from that.
func (l *layout) appendAfter(w *connectors.Builder, updated, old image, row connectors.Row) ([]byte, error) {
	if !updated.partial {
		return l.appendRow(w, updated.data, updated.present, row)
	}
	bits, _, err := l.partialBits(updated.data)
	if err != nil {
		return nil, err
	}
	was, is := l.absentValues(), l.absentValues()
	if _, err := l.walk(old, func(i int, v []byte) { was[i] = v }); err != nil {
		return nil, err
	}
	rest, err := l.walk(updated, func(i int, v []byte) { is[i] = v })
	if err != nil {
		return nil, err
	}
	json := 0
	for i := range l.fields {
		f := &l.fields[i]
		difference := f.json && bits != nil && bits.has(json)
		if f.json {
			json++
		}
		if f.cell < 0 {
			continue
		}
		switch v := is[i]; {
		case isAbsent(v):
			missing(w, row, f.cell)
		case v == nil:
			f.null(w)
		case difference:
			err = l.appendDifference(w, f, was[i], v)
		default:
			err = l.appendValue(w, f, v)
		}
		if err != nil {
			return nil, l.valueError(f, err)
		}
	}
	return rest, nil
}

func (l *layout) absentValues() [][]byte {
	out := make([][]byte, len(l.fields))
	for i := range out {
		out[i] = l.absent
	}
	return out
}

// appendDifference writes a JSON value of which only differences came; without the value before it is not available.
func (l *layout) appendDifference(w *connectors.Builder, f *field, was, diffs []byte) error {
	if len(was) == 0 {
		w.Unavailable()
		return nil
	}
	text, err := appendJSONDiff(l.scratch.text[:0], was, diffs)
	l.scratch.text = text
	switch {
	case err != nil:
		return err
	case f.mask != nil:
		f.mask.Append(w, text)
	default:
		w.Text(connectors.KindText, text)
	}
	return nil
}

// partialBits reads what comes before the null bits of an after image of a partial update: the options, then a bit per JSON column.
func (l *layout) partialBits(data []byte) (bitmap, []byte, error) {
	c := cursor{data: data}
	var bits bitmap
	if c.packed()&partialJSONUpdates != 0 {
		bits = bitmap(c.take(uint64(l.jsons+7) / 8))
	}
	if c.short {
		return nil, nil, l.malformed(errShortRow)
	}
	return bits, c.data, nil
}
