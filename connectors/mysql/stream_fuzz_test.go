package mysql

import (
	"bytes"
	"context"
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/testbed/heap"
)

// variable and tagged write mysql::serialization.
func variable(b []byte, v uint64) []byte {
	n := 0
	for n < 8 && v>>(7*(n+1)) != 0 {
		n++
	}
	if n == 8 {
		return binary.LittleEndian.AppendUint64(append(b, 0xff), v)
	}
	word := binary.LittleEndian.AppendUint64(nil, v<<(n+1)|(1<<n-1))
	return append(b, word[:n+1]...)
}

func tagged(uuid [16]byte, tag string, number int64, more ...uint64) []byte {
	fields := variable([]byte{taggedFlags << 1, 2, taggedUUID << 1}, uint64(uuid[0]))
	for _, b := range uuid[1:] {
		fields = variable(fields, uint64(b))
	}
	fields = variable(append(fields, taggedNumber<<1), uint64(number)<<1^uint64(number>>63))
	fields = append(variable(append(fields, taggedTag<<1), uint64(len(tag))), tag...)
	for i, v := range more {
		if v != 0 {
			fields = variable(append(fields, byte(taggedCommitted+i)<<1), v)
		}
	}
	size := len(fields) + 3
	if size >= 128 {
		size++
	}
	return append(append(variable([]byte{2}, uint64(size)), 0), fields...)
}

// TestTagged: long messages, those with the ticket of a group commit, and what is cut off.
func TestTagged(t *testing.T) {
	uuid := [16]byte(bytes.Repeat([]byte{0xfe}, 16))
	// as a server wrote it
	server := []byte("\x02\x76\x00\x00\x02\x02\x25\x02\xdc\xf0\x09\x02\x30\xf9\x03\x22\xbd\x03\xad\x02\x21\x02\x44\x44\x5a\x68\x51\x03\x22\x04\x04\x06\x0cfoobaz\x08\x00\x0a\x04\x0c\x7f\x15\x83\x22\x2d\x5c\x2e\x06\x10\x49\x03\x12\xc3\x02\x0b")
	for _, c := range []struct {
		body []byte
		want taggedGTID
	}{
		{server, taggedGTID{[16]byte([]byte("\x89\x6e\x78\x82\x18\xfe\x11\xef\xab\x88\x22\x22\x2d\x34\xd4\x11")), "foobaz", 1, 1739823289369365}},
		{tagged(uuid, "blue", 7), taggedGTID{uuid, "blue", 7, 0}},
		{tagged([16]byte{1, 2}, "", 1<<63-1, 2, 4, 1<<50), taggedGTID{[16]byte{1, 2}, "", 1<<63 - 1, 1 << 50}},
		{tagged(uuid, "_"+strings.Repeat("9", 31), 1<<62, 1<<60, 1<<60, 1<<51, 1<<50, 1<<55, 90700, 90600, 5), taggedGTID{uuid, "_" + strings.Repeat("9", 31), 1 << 62, 1 << 50}},
	} {
		if got, err := readTagged(c.body); err != nil || got != c.want {
			t.Errorf("%x: got %+v, %v, want %+v", c.body, got, err, c.want)
		}
		for i := range c.body {
			if got, err := readTagged(c.body[:i]); err == nil {
				t.Errorf("%x: got %+v", c.body[:i], got)
			}
		}
	}
	for _, tag := range []string{"a,b", "a:1", "é", "1", strings.Repeat("a", 33)} {
		if got, err := readTagged(tagged(uuid, tag, 1)); err == nil {
			t.Errorf("tag %q: %+v", tag, got)
		}
	}
}

// Sizes that an event claims and does not have are an error, and no memory.
func TestClaimedSizes(t *testing.T) {
	query := append(make([]byte, 13), 0)
	for name, read := range map[string]func() error{
		"GTID_LIST": func() error {
			_, err := doneBefore([]byte("\xff\xff\xff\x0f\x01\x00\x00\x00"), true)
			return err
		},
		"no GTID_LIST": func() error { _, err := doneBefore(nil, true); return err },
		"statement": func() error {
			_, err := readQuery(&logEvent{kind: replication.MARIADB_QUERY_COMPRESSED_EVENT, body: append(query[:14:14], "\x84\xff\xff\xff\xffx\x9c\x03\x00\x00\x00\x00\x01"...)}, 0)
			return err
		},
		"no statement": func() error {
			_, err := readQuery(&logEvent{kind: replication.MARIADB_QUERY_COMPRESSED_EVENT, body: query}, 0)
			return err
		},
	} {
		var err error
		if n := heap.Allocated(func() { err = read() }); err == nil || n > 1<<20 {
			t.Errorf("%s: %v, %d bytes", name, err, n)
		}
	}
}

// TestLongPrefixes: what comes before the first word of a statement takes neither stack nor time beyond its length.
func TestLongPrefixes(t *testing.T) {
	for text, want := range map[string]string{
		"SET ": "SET", "SET STATEMENT ": "SET", "SET STATEMENT a=1 FOR ": "", "/* a */": "", "/*!50003 ": "", "# a\n": "",
	} {
		if got, _ := keyword([]byte(strings.Repeat(text, 8<<20/len(text)))); got != want {
			t.Errorf("%q again and again: got %s, want %s", text, got, want)
		}
	}
	if got, _ := keyword([]byte("set statement a=1 for set /* x */ statement b=2 for INSERT")); got != "INSERT" {
		t.Error(got)
	}
}

// FuzzEvents: whatever events come, each is handled or refused, and what is handed out has an offset to go on at.
func FuzzEvents(f *testing.F) {
	pack := func(events ...logEvent) (out []byte) {
		for _, e := range events {
			out = append(binary.LittleEndian.AppendUint16(append(out, byte(e.kind), byte(e.flags)), uint16(len(e.body))), e.body...)
		}
		return out
	}
	_, recorded := recordedStream(f)
	query := func(text string) logEvent {
		return logEvent{kind: replication.QUERY_EVENT, body: append([]byte("\x01\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x0e\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00bench\x00"), text...)}
	}
	xid := logEvent{kind: replication.XID_EVENT, body: make([]byte, 8)}
	begin, gtid := query("BEGIN"), logEvent{kind: replication.GTID_EVENT, body: append([]byte("\x00aaaaaaaaaaaaaaaa\x07"), make([]byte, 31)...)}
	f.Add(pack(append([]logEvent{gtid, begin}, append(recorded[:2:2], xid)...)...), false)
	f.Add(pack(query("SET STATEMENT a=1 FOR CREATE TABLE u (a int)"), query("TRUNCATE TABLE bets"), query("XA START 'a'"), query("INSERT INTO x.y VALUES (1)"), query("ROLLBACK")), false)
	f.Add(pack(logEvent{kind: replication.GTID_TAGGED_LOG_EVENT, body: tagged([16]byte{1, 0xff}, "blue", 7, 1, 2, 3)}, begin, recorded[0], xid), false)
	f.Add(pack(logEvent{kind: replication.TRANSACTION_PAYLOAD_EVENT, body: []byte("\x02\x03\xfc\xff\x00\x00\x01\x00\x00\x00\x10\x01\x00\x00\x00\x1b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00")}), false)
	f.Add(pack(logEvent{kind: replication.MARIADB_GTID_EVENT, body: []byte("\x07\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01")}, recorded[0], recorded[1], xid), true)
	f.Add(pack(logEvent{kind: replication.ROTATE_EVENT, body: []byte("\x04\x00\x00\x00\x00\x00\x00\x00binlog.000002")}, logEvent{kind: replication.MARIADB_GTID_LIST_EVENT, body: []byte("\x01\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00")}), true)
	f.Add(pack(logEvent{kind: replication.PREVIOUS_GTIDS_EVENT, body: append([]byte("\x01\x00\x00\x00\x00\x00\x00\x00aaaaaaaaaaaaaaaa\x01"), "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00"...)}), false)
	f.Add(pack(logEvent{kind: replication.MARIADB_QUERY_COMPRESSED_EVENT, body: append(make([]byte, 14), "\x81\x00x\x9c\x03\x00\x00\x00\x00\x01"...)}), true)
	f.Fuzz(func(t *testing.T, data []byte, mariadb bool) {
		s, _ := recordedStream(t)
		s.adopts, s.mariadb, s.gtidOn = true, mariadb, len(data)%2 == 0
		if len(data)%3 == 0 {
			s.done = &gtidSet{mariadb: mariadb}
		}
		events, names := unpackEvents(data)
		s.events = events
		for e, err := s.nextEvent(t.Context()); e != nil && err == nil; e, err = s.nextEvent(t.Context()) {
			if s.b == nil {
				if err := s.newBatch(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.handle(context.WithoutCancel(t.Context()), e); err != nil {
				if err.Error() == "" {
					t.Fatal("an error without a text")
				}
				break
			}
			if s.payload == nil {
				s.next++
			}
		}
		if s.empty() {
			s.abandon()
			return
		}
		b := s.finish()
		defer b.Release()
		if !names {
			return // the server's files have names in UTF-8
		}
		if canonical, err := offsets.ParseOffset([]byte(b.Offset)); err != nil || canonical != b.Offset {
			t.Fatalf("the offset %s is stored as %s, %v", b.Offset, canonical, err)
		}
		p, err := parsePosition(b.Offset)
		if err == nil && p.gtids != "" {
			_, err = parseGTIDSet(p.gtids, mariadb)
		}
		if err != nil {
			t.Fatalf("the offset %s: %v", b.Offset, err)
		}
	})
}

// unpackEvents takes events apart: kind, flags, length, body. names: files have names in UTF-8.
func unpackEvents(data []byte) (events []logEvent, names bool) {
	names = true
	for end := uint32(4); len(data) >= 4; {
		e := logEvent{kind: replication.EventType(data[0]), flags: uint16(data[1]), time: 1, server: 1}
		n := min(int(binary.LittleEndian.Uint16(data[2:])), len(data)-4)
		e.body, data = data[4:4+n:4+n], data[4+n:]
		e.size = uint32(n) + replication.EventHeaderSize
		end += e.size
		e.end = end
		if e.kind == replication.ROTATE_EVENT && n > 8 && !utf8.Valid(e.body) {
			names = names && utf8.Valid(e.body[8:])
		}
		events = append(events, e)
	}
	return events, names
}
