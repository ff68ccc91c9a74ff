// Package offsets says where a source is: partitions, offsets, what has been acknowledged (Tracker), and where that is
// kept (Store). Stores live in the folders below it.
package offsets

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
)

// Partition names one independent log of a source as a flat JSON object in canonical form (members sorted, no spaces),
// for example {"server":"orders"}. Comparable.
type Partition string

// Offset is a position in a partition as a flat JSON object, members in the order in which the source wrote them.
// The empty string means none; writing it deletes.
type Offset string

// Entry is the position of one partition.
type Entry struct {
	Partition Partition
	Offset    Offset
}

// Store keeps entries durably. Implementations keep the exact key bytes under which an entry was read and write and
// delete it under the same ones, and are safe for concurrent use.
type Store interface {
	// Load returns the stored entries of the connector for these partitions; all of the connector's when none is given.
	// A partition without a stored offset is absent from the answer.
	Load(ctx context.Context, connector string, partitions ...Partition) ([]Entry, error)
	// Save makes the entries durable, all or (after an error) an unknown part of them. An empty Offset deletes.
	Save(ctx context.Context, connector string, entries []Entry) error
	Close() error
}

// Canonical returns a JSON object with its members sorted and without spaces, numbers as written, texts with no more escapes
// than needed, the last of members with one name alone, as readers of JSON take it: however another program wrote a partition, it is the same one.
// It fails when text is not one flat JSON object (values: string, number, boolean, null).
func Canonical(text []byte) (Partition, error) {
	members, err := parse(text)
	if err != nil {
		return "", err
	}
	for i, m := range members {
		if m.value[0] != '"' {
			continue
		}
		var v string
		if err := json.Unmarshal(m.value, &v); err != nil {
			return "", fmt.Errorf("parse offset object: member %s: %w", m.name, err)
		}
		members[i].value = quote(v)
	}
	sort.SliceStable(members, func(i, j int) bool { return members[i].name < members[j].name })
	kept := members[:0]
	for i, m := range members {
		if i+1 == len(members) || members[i+1].name != m.name {
			kept = append(kept, m)
		}
	}
	return Partition(render(kept)), nil
}

// quote writes a JSON string; unlike json.Marshal it leaves <, > and & as they are.
func quote(text string) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a string always encodes
	return bytes.TrimSuffix(out.Bytes(), []byte{'\n'})
}

// ParseOffset checks that text is one flat JSON object and returns it without spaces, members in the order given.
func ParseOffset(text []byte) (Offset, error) {
	members, err := parse(text)
	if err != nil {
		return "", err
	}
	return Offset(render(members)), nil
}

type member struct {
	name  string
	value json.RawMessage
}

func parse(text []byte) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	t, err := d.Token()
	if err != nil {
		return nil, fmt.Errorf("parse offset object: %w", err)
	}
	if t != json.Delim('{') {
		return nil, fmt.Errorf("parse offset object: it must be a JSON object, but starts with %v", t)
	}
	var out []member
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("parse offset object: %w", err)
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, fmt.Errorf("parse offset object: member %v: %w", name, err)
		}
		if len(v) > 0 && (v[0] == '{' || v[0] == '[') {
			return nil, fmt.Errorf("parse offset object: member %v is not a string, number, boolean or null", name)
		}
		out = append(out, member{name.(string), v})
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("parse offset object: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("parse offset object: text after the object")
	}
	return out, nil
}

func render(members []member) []byte {
	out := []byte{'{'}
	for i, m := range members {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, quote(m.name)...), ':'), m.value...)
	}
	return append(out, '}')
}
