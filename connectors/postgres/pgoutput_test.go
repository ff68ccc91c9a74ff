package postgres

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
)

// messages builds one message of every kind.
func messages() map[string][]byte {
	u16, u32, u64 := binary.BigEndian.AppendUint16, binary.BigEndian.AppendUint32, binary.BigEndian.AppendUint64
	value := func(b []byte, v string) []byte { return append(u32(append(b, 't'), uint32(len(v))), v...) }
	tuple := func(b []byte, first string) []byte {
		b = value(u16(b, 3), first)
		return append(b, 'n', 'u')
	}
	relation := append(u32([]byte{'R'}, 16385), "public\x00bets\x00d"...)
	relation = u16(relation, 2)
	relation = u32(u32(append(relation, "\x01id\x00"...), 23), 0xFFFFFFFF)
	relation = u32(u32(append(relation, "\x00amount\x00"...), 1700), 655366)
	return map[string][]byte{
		"begin":        u32(u64(u64([]byte{'B'}, 0x123456789), 5_000_000), 77),
		"commit":       u64(u64(u64([]byte{'C', 0}, 0x111), 0x222), 6_000_000),
		"origin":       append(u64([]byte{'O'}, 0x333), "node\x00"...),
		"relation":     relation,
		"insert":       tuple(append(u32([]byte{'I'}, 16385), 'N'), "1"),
		"update":       tuple(append(u32([]byte{'U'}, 16385), 'N'), "2"),
		"update key":   tuple(append(tuple(append(u32([]byte{'U'}, 16385), 'K'), "1"), 'N'), "2"),
		"update whole": tuple(append(tuple(append(u32([]byte{'U'}, 16385), 'O'), "1"), 'N'), "2"),
		"delete":       tuple(append(u32([]byte{'D'}, 16385), 'K'), "9"),
		"truncate":     u32(u32(append(u32([]byte{'T'}, 2), 3), 16385), 16390),
		"message":      append(u32(append(u64([]byte{'M', 1}, 0x444), "prefix\x00"...), 3), "abc"...),
	}
}

func TestParseAgreesWithPglogrepl(t *testing.T) {
	for name, data := range messages() {
		var m pgMessage
		if err := m.parse(data); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		oracle, err := pglogrepl.Parse(data)
		if err != nil {
			t.Fatalf("%s: the oracle: %v", name, err)
		}
		if !agrees(t, &m, data, oracle) {
			t.Errorf("%s: %+v, the oracle says %+v", name, m, oracle)
		}
	}
}

// agrees compares a message with what pglogrepl made of the same bytes.
func agrees(t *testing.T, m *pgMessage, data []byte, oracle pglogrepl.Message) bool {
	t.Helper()
	switch o := oracle.(type) {
	case *pglogrepl.BeginMessage:
		return m.lsn == uint64(o.FinalLSN) && m.xid == o.Xid && time.UnixMicro(m.timestamp+postgresEpoch).Equal(o.CommitTime)
	case *pglogrepl.CommitMessage:
		return m.lsn == uint64(o.CommitLSN) && m.endLSN == uint64(o.TransactionEndLSN) && time.UnixMicro(m.timestamp+postgresEpoch).Equal(o.CommitTime)
	case *pglogrepl.OriginMessage:
		return m.lsn == uint64(o.CommitLSN) && string(m.origin) == o.Name
	case *pglogrepl.RelationMessage:
		r, err := parseRelation(data)
		if err != nil {
			t.Fatal(err)
		}
		return m.relation == o.RelationID && sameRelation(r, o)
	case *pglogrepl.TypeMessage:
		return m.kind == msgType // not used
	case *pglogrepl.InsertMessage:
		return m.relation == o.RelationID && m.tag == 'N' && sameTuple(m.tuples, o.Tuple)
	case *pglogrepl.UpdateMessage:
		if o.OldTuple == nil {
			return m.relation == o.RelationID && m.tag == 'N' && sameTuple(m.tuples, o.NewTuple)
		}
		return m.relation == o.RelationID && m.tag == o.OldTupleType && sameTuple(m.tuples, o.OldTuple)
	case *pglogrepl.DeleteMessage:
		return m.relation == o.RelationID && m.tag == o.OldTupleType && sameTuple(m.tuples, o.OldTuple)
	case *pglogrepl.TruncateMessage:
		ok := len(m.truncated) == 4*len(o.RelationIDs)
		for i, id := range o.RelationIDs {
			ok = ok && binary.BigEndian.Uint32(m.truncated[4*i:]) == id
		}
		return ok
	case *pglogrepl.LogicalDecodingMessage:
		return m.lsn == uint64(o.LSN) && string(m.prefix) == o.Prefix && bytes.Equal(m.content, o.Content) && m.transactional == o.Transactional
	}
	t.Errorf("the oracle says %T", oracle)
	return false
}

func sameRelation(r *relationMessage, o *pglogrepl.RelationMessage) bool {
	schema := o.Namespace
	if schema == "" {
		schema = "pg_catalog"
	}
	ok := r.oid == o.RelationID && r.schema == schema && r.table == o.RelationName && r.identity == o.ReplicaIdentity && len(r.columns) == len(o.Columns)
	for i, c := range o.Columns {
		ok = ok && r.columns[i] == relationColumn{name: c.Name, typeOID: c.DataType, modifier: c.TypeModifier, identity: c.Flags&1 != 0}
	}
	return ok
}

func sameTuple(data []byte, o *pglogrepl.TupleData) bool {
	if int(binary.BigEndian.Uint16(data)) != int(o.ColumnNum) {
		return false
	}
	data = data[2:]
	for _, c := range o.Columns {
		if data[0] != c.DataType {
			return false
		}
		data = data[1:]
		if c.DataType == 't' || c.DataType == 'b' {
			n := int(binary.BigEndian.Uint32(data))
			if !bytes.Equal(data[4:4+n], c.Data) {
				return false
			}
			data = data[4+n:]
		}
	}
	return true
}

func TestParseTruncated(t *testing.T) {
	for name, data := range messages() {
		if name == "insert" || name == "delete" || name[0] == 'u' {
			data = data[:6] // tuples are left to relation.appendTuple
		}
		for n := range len(data) {
			var m pgMessage
			err := m.parse(data[:n])
			if name == "relation" {
				_, err = parseRelation(data[:n])
			}
			if err == nil {
				t.Errorf("%s cut to %d of %d bytes was accepted", name, n, len(data))
			}
		}
	}
}

func BenchmarkParse(b *testing.B) {
	data := messages()["update key"]
	var m pgMessage
	b.ReportAllocs()
	for b.Loop() {
		if err := m.parse(data); err != nil {
			b.Fatal(err)
		}
	}
}
