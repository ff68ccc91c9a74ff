package mysql

import (
	"encoding/binary"
	"testing"

	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/klauspost/compress/zstd"

	"github.com/freshet-io/freshet/changes"
)

func TestKeyword(t *testing.T) {
	for text, want := range map[string]string{
		"BEGIN":                                               "BEGIN",
		"  insert into t":                                     "INSERT",
		"/* by us */ UPDATE t SET a = 1":                      "UPDATE",
		"/*!50003 CREATE TRIGGER x */":                        "CREATE",
		"-- a remark\nDELETE FROM t":                          "DELETE",
		"# a remark\n\treplace INTO t":                        "REPLACE",
		"SET STATEMENT max_statement_time=1 FOR DROP TABLE t": "DROP",
		"SET PASSWORD FOR u = 'x'":                            "SET",
		"/* no end":                                           "",
		"":                                                    "",
	} {
		if got, _ := keyword([]byte(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestTarget(t *testing.T) {
	for text, want := range map[string]string{
		"INSERT INTO t VALUES (1)":                                 "d.t",
		"insert low_priority ignore into `x`.`y z` (a) values (1)": "x.y z",
		"UPDATE mysql.rds_heartbeat2 SET v = 1":                    "mysql.rds_heartbeat2",
		"DELETE FROM t WHERE id = 1":                               "d.t",
		"REPLACE INTO percona.checksums (a) SELECT 1":              "percona.checksums",
		"UPDATE a, b SET a.x = b.x":                                "",
		"UPDATE a JOIN b USING (id) SET a.x = 1":                   "",
		"DELETE a FROM a JOIN b USING (id)":                        "",
		"WITH c AS (SELECT 1 AS id) DELETE FROM t WHERE id = 1":    "",
		"LOAD DATA LOCAL INFILE 'f' INTO TABLE `d2`.`t` (a)":       "d2.t",
	} {
		word, rest := keyword([]byte(text))
		got := ""
		if id, known := target("d", word, rest); known {
			got = id.String()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if id, known := target("d", "INSERT", []byte(" INTO t(a) VALUES (1)")); !known || id != (changes.TableID{Catalog: "d", Name: "t"}) {
		t.Error(id, known)
	}
}

func TestUUID(t *testing.T) {
	b := []byte{0x40, 0x95, 0xc7, 0x72, 0xe5, 0x1e, 0x11, 0xf1, 0xbf, 0xe8, 0x02, 0xfc, 0, 0, 0, 1}
	if got := formatUUID(b); got != uuidA {
		t.Error(got)
	}
	if !sameUUID(uuidA, b) || sameUUID(uuidB, b) || sameUUID("", b) {
		t.Error("sameUUID")
	}
}

// TestPayload reads events out of a compressed transaction, one of them larger than the steps in which it grows.
func TestPayload(t *testing.T) {
	var plain []byte
	bodies := [][]byte{[]byte("BEGIN"), make([]byte, 3<<20), {}, []byte("end")}
	for i, body := range bodies {
		h := make([]byte, replication.EventHeaderSize)
		binary.LittleEndian.PutUint32(h, uint32(100+i))
		h[4] = byte(replication.QUERY_EVENT)
		binary.LittleEndian.PutUint32(h[9:], uint32(len(h)+len(body)))
		plain = append(append(plain, h...), body...)
	}
	zip, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	packed := zip.EncodeAll(plain, nil)
	p := &payload{}
	defer p.close()
	for range 2 { // the decoder is used again
		for _, c := range []struct {
			kind byte
			data []byte
		}{{payloadZstd, packed}, {payloadPlain, plain}} {
			kind := []byte{c.kind}
			if c.kind == payloadPlain {
				kind = []byte{252, 255, 0} // a packed integer
			}
			body := append([]byte{payloadCompression, byte(len(kind))}, kind...)
			body = append(append(body, payloadEnd), c.data...)
			if err := p.reset(&logEvent{body: body, at: 7}); err != nil {
				t.Fatal(err)
			}
			for i, want := range bodies {
				e, err := p.next()
				if err != nil || e == nil {
					t.Fatalf("event %d: %v, %v", i, e, err)
				}
				if e.time != uint32(100+i) || len(e.body) != len(want) || e.at != 7 || e.end != 0 {
					t.Fatalf("event %d: %d bytes, time %d", i, len(e.body), e.time)
				}
			}
			if e, err := p.next(); e != nil || err != nil {
				t.Fatal(e, err)
			}
		}
	}
	for _, body := range [][]byte{{}, {payloadCompression}, {payloadCompression, 1, 9, payloadEnd}, {payloadCompression, 1, payloadZstd, payloadEnd, 1, 2, 3}} {
		err := p.reset(&logEvent{body: body})
		if err == nil {
			_, err = p.next()
		}
		if err == nil {
			t.Errorf("%v: no error", body)
		}
	}
}
