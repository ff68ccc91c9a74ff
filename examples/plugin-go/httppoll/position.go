package httppoll

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// position is behind the object that was read last. Its offset is {"cursor":"2026-01-01T00:00:00Z","seen":"a1…,b2…"}: the value of the cursor
// field, and the digests of the objects with that value that were read.
type position struct {
	cursor string
	number uint64 // what cursor stands for
	seen   []string
}

// item is an object that was not read before.
type item struct {
	text   json.RawMessage
	cursor string
	number uint64
	digest string
}

// maxSeen bounds how many objects may have one value of the cursor.
const maxSeen = 1000

func (p *position) offset() offsets.Offset {
	text, _ := json.Marshal(map[string]string{"cursor": p.cursor, "seen": strings.Join(p.seen, ",")}) // texts always encode
	return offsets.Offset(text)
}

func parsePosition(o offsets.Offset) (position, error) {
	var stored struct{ Cursor, Seen string }
	if err := json.Unmarshal([]byte(o), &stored); err != nil {
		return position{}, fmt.Errorf("read offset %s: %w", o, err)
	}
	number, err := numberOf(stored.Cursor)
	if err != nil {
		return position{}, fmt.Errorf("read offset %s: cursor %w", o, err)
	}
	return position{stored.Cursor, number, strings.Split(stored.Seen, ",")}, nil
}

// has tells that an item was read.
func (p *position) has(i *item) bool {
	return i.number < p.number || i.number == p.number && slices.Contains(p.seen, i.digest)
}

// pass moves behind an item.
func (p *position) pass(i *item) error {
	if i.number > p.number {
		*p = position{cursor: i.cursor, number: i.number}
	}
	if p.cursor, p.seen = i.cursor, append(p.seen, i.digest); len(p.seen) > maxSeen {
		return connectors.AsPermanent(fmt.Errorf("more than %d objects have the cursor %s; sort by a field that tells them apart", maxSeen, i.cursor))
	}
	return nil
}

// order is that of the item passed last; it is the same when the item is read again.
func (p *position) order() connectors.Order {
	return connectors.Order{Epoch: 1, Major: p.number, Minor: uint32(len(p.seen))}
}

// newItem finds the cursor of an object.
func newItem(text json.RawMessage, field string) (item, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return item{}, fmt.Errorf("an object is expected: %w", err)
	}
	cursor := strings.Trim(string(fields[field]), `"`)
	number, err := numberOf(cursor)
	if err != nil {
		return item{}, fmt.Errorf("field %s %w; name another one with http.cursor.field", field, err)
	}
	digest := fnv.New64a()
	_, _ = digest.Write(text) // it takes everything
	return item{text, cursor, number, strconv.FormatUint(digest.Sum64(), 36)}, nil
}

// numberOf is what a value of the cursor field counts.
func numberOf(cursor string) (uint64, error) {
	if n, err := strconv.ParseUint(cursor, 10, 64); err == nil {
		return n, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, cursor); err == nil && t.Unix() >= 0 {
		return uint64(t.UnixNano()), nil
	}
	if cursor == "" {
		return 0, errors.New("is missing")
	}
	return 0, fmt.Errorf("is %q, and neither a number from 0 on nor an RFC 3339 time", cursor)
}
