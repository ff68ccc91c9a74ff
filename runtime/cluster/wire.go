package cluster

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/freshet-io/freshet/runtime/herder"
)

// The bytes that members and their leader exchange (docs/cluster.md). A reader passes over what follows the fields that it knows, so
// that fields can be added at the end; anything else needs another protocol name.

const (
	wireVersion   = 1
	wireCompress  = 512      // bytes from which on the fields are compressed
	wireLimit     = 64 << 20 // bytes of the fields, uncompressed
	flagPlain     = 0
	flagDeflated  = 1
	errorNone     = 0
	errorBehind   = 1 // the leader could not catch up with the config log: nothing changes, everybody catches up and joins again
	assignedAgain = 1 // another round follows at once
)

// metadata is what a member tells when it joins.
type metadata struct {
	url     string
	version string
	offset  int64 // of the config log
	running []herder.TaskID
}

// assignment is what the leader tells a member.
type assignment struct {
	err       int
	again     bool
	leader    string // member id
	leaderURL string
	offset    int64 // of the config log that it was made from
	delay     time.Duration
	tasks     []herder.TaskID
	revoked   []herder.TaskID
}

func (m *metadata) encode() []byte {
	b := appendText(nil, m.url)
	b = appendText(b, m.version)
	b = binary.AppendVarint(b, m.offset)
	return seal(appendTasks(b, m.running))
}

func decodeMetadata(b []byte) (metadata, error) {
	r, err := unseal(b)
	if err != nil {
		return metadata{}, fmt.Errorf("read a member's metadata: %w", err)
	}
	m := metadata{url: r.text(), version: r.text(), offset: r.varint(), running: r.tasks()}
	if r.err != nil {
		return metadata{}, fmt.Errorf("read a member's metadata: %w", r.err)
	}
	return m, nil
}

func (a *assignment) encode() []byte {
	flags := 0
	if a.again {
		flags = assignedAgain
	}
	b := binary.AppendVarint(nil, int64(a.err))
	b = binary.AppendVarint(b, int64(flags))
	b = appendText(b, a.leader)
	b = appendText(b, a.leaderURL)
	b = binary.AppendVarint(b, a.offset)
	b = binary.AppendVarint(b, a.delay.Milliseconds())
	b = appendTasks(b, a.tasks)
	return seal(appendTasks(b, a.revoked))
}

func decodeAssignment(b []byte) (assignment, error) {
	r, err := unseal(b)
	if err != nil {
		return assignment{}, fmt.Errorf("read the leader's assignment: %w", err)
	}
	var a assignment
	a.err, a.again = int(r.varint()), r.varint()&assignedAgain != 0
	a.leader, a.leaderURL = r.text(), r.text()
	a.offset, a.delay = r.varint(), time.Duration(r.varint())*time.Millisecond
	a.tasks, a.revoked = r.tasks(), r.tasks()
	if r.err != nil {
		return assignment{}, fmt.Errorf("read the leader's assignment: %w", r.err)
	}
	return a, nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendTasks writes connectors by name, each with its number of tasks and their numbers plus one: the connector itself is 0.
func appendTasks(b []byte, ids []herder.TaskID) []byte {
	ids = slices.SortedFunc(slices.Values(ids), compareTasks)
	connectors := 0
	for i, id := range ids {
		if i == 0 || id.Connector != ids[i-1].Connector {
			connectors++
		}
	}
	b = binary.AppendUvarint(b, uint64(connectors))
	for len(ids) > 0 {
		n := slices.IndexFunc(ids, func(id herder.TaskID) bool { return id.Connector != ids[0].Connector })
		if n < 0 {
			n = len(ids)
		}
		b = binary.AppendUvarint(appendText(b, ids[0].Connector), uint64(n))
		for _, id := range ids[:n] {
			b = binary.AppendUvarint(b, uint64(id.Task+1))
		}
		ids = ids[n:]
	}
	return b
}

// seal puts version and flag before the fields, and compresses them when they are many.
func seal(fields []byte) []byte {
	if len(fields) < wireCompress {
		return append([]byte{wireVersion, flagPlain}, fields...)
	}
	out := bytes.NewBuffer([]byte{wireVersion, flagDeflated})
	w, err := flate.NewWriter(out, flate.BestSpeed)
	if err == nil {
		if _, err = w.Write(fields); err == nil {
			err = w.Close()
		}
	}
	if err != nil {
		return append([]byte{wireVersion, flagPlain}, fields...) // a buffer in memory refuses nothing
	}
	return out.Bytes()
}

var errShort = errors.New("it is cut off or not in the format of this version")

func unseal(b []byte) (*fields, error) {
	switch {
	case len(b) < 2:
		return nil, errShort
	case b[0] != wireVersion:
		return nil, fmt.Errorf("it has version %d, this worker knows %d: run the same version of Freshet on all workers", b[0], wireVersion)
	case b[1] == flagPlain:
		return &fields{b: b[2:]}, nil
	case b[1] != flagDeflated:
		return nil, errShort
	}
	plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(b[2:])), wireLimit+1))
	if err != nil || len(plain) > wireLimit {
		return nil, errors.Join(errShort, err)
	}
	return &fields{b: plain}, nil
}

// fields reads one field after the other; after an error all are empty.
type fields struct {
	b   []byte
	err error
}

func (f *fields) fail() {
	f.b, f.err = nil, errShort
}

func (f *fields) varint() int64 {
	v, n := binary.Varint(f.b)
	if n <= 0 {
		f.fail()
		return 0
	}
	f.b = f.b[n:]
	return v
}

// count reads a number of things that take a byte each at least.
func (f *fields) count() int {
	v, n := binary.Uvarint(f.b)
	if n <= 0 || v > uint64(len(f.b)-n) {
		f.fail()
		return 0
	}
	f.b = f.b[n:]
	return int(v)
}

func (f *fields) text() string {
	n := f.count()
	if f.err != nil {
		return ""
	}
	s := string(f.b[:n])
	f.b = f.b[n:]
	return s
}

func (f *fields) tasks() []herder.TaskID {
	var ids []herder.TaskID
	for range f.count() {
		name := f.text()
		for range f.count() {
			v, n := binary.Uvarint(f.b)
			if n <= 0 || v > 1<<31 {
				f.fail()
				return nil
			}
			f.b = f.b[n:]
			ids = append(ids, herder.TaskID{Connector: name, Task: int(v) - 1})
		}
		if f.err != nil {
			return nil
		}
	}
	return ids
}
