package mysql

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
)

var updateCharsets = flag.Bool("charsets", false, "write the tables of character sets as the server has them")

// serverCharsets are the names of a server's character sets.
func serverCharsets(t *testing.T, conn *client.Conn) (names []string) {
	t.Helper()
	r, err := conn.Execute("SELECT character_set_name FROM information_schema.character_sets WHERE character_set_name <> 'binary' ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i := range r.RowNumber() {
		name, err := r.GetString(i, 0)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, strings.Clone(name)) // the result's memory is used again
	}
	return names
}

// serverCodes asks the server what the codes from low to high, written in hexadecimal behind prefix, mean in a character set: nothing, or one
// character.
func serverCodes(t *testing.T, conn *client.Conn, set, prefix string, low, high int) map[int]rune {
	t.Helper()
	out := map[int]rune{}
	digits := 2
	if high > 0xff {
		digits = 4
	}
	sql := fmt.Sprintf(`WITH RECURSIVE n(c) AS (SELECT %d UNION ALL SELECT c + 1 FROM n WHERE c < %d)
		SELECT c, HEX(CONVERT(CONVERT(UNHEX(CONCAT('%s', LPAD(HEX(c), %d, '0'))) USING %s) USING utf32)) FROM n`, low, high, prefix, digits, set)
	var result mysql.Result
	err := conn.ExecuteSelectStreaming(sql, &result, func(row []mysql.FieldValue) error {
		text := string(row[1].AsString())
		if len(text) != 8 {
			return nil
		}
		r, err := strconv.ParseUint(text, 16, 32)
		if err != nil {
			return err
		}
		if c := int(row[0].AsInt64()); rune(r) != '?' || c == '?' {
			out[c] = rune(r)
		}
		return nil
	}, nil)
	if err != nil {
		t.Fatalf("%s: %v", set, err)
	}
	return out
}

// TestCharsetTables compares every code of every character set of a server that has a table: -charsets writes the tables.
func TestCharsetTables(t *testing.T) {
	conn := bed.MySQL(t).Connect(t, "")
	if _, err := conn.Execute("SET SESSION cte_max_recursion_depth = 100000, sql_mode = ''"); err != nil {
		t.Fatal(err)
	}
	for _, name := range serverCharsets(t, conn) {
		if s := charsetNamed(name); s != nil && s.form != formTable {
			continue
		}
		t.Run(name, func(t *testing.T) {
			wide := map[string]bool{"big5": true, "cp932": true, "eucjpms": true, "euckr": true, "gb18030": true, "gb2312": true, "gbk": true, "sjis": true, "ujis": true}[name]
			single := serverCodes(t, conn, name, "", 0, 255)
			double, triple := map[int]rune{}, map[int]rune{}
			if wide {
				double = serverCodes(t, conn, name, "", 0x8000, 0xffff)
				for c := range double {
					if _, ok := single[c>>8]; ok { // the server converts what comes before the first malformed byte
						delete(double, c)
					}
				}
			}
			if name == "ujis" || name == "eucjpms" {
				triple = serverCodes(t, conn, name, "8F", 0x8000, 0xffff)
			}
			if name == "gb18030" {
				triple = serverQuads(t, conn)
			}
			if *updateCharsets {
				writeCharset(t, name, single, double, triple)
				return
			}
			s := charsetNamed(name)
			if s == nil {
				t.Fatal("no such character set")
			}
			checkCodes(t, s, nil, 1, single)
			if wide {
				checkCodes(t, s, nil, 2, double)
			}
			for n, r := range triple {
				if got := s.quad; name == "gb18030" && rune(got[n]) != r {
					t.Errorf("code %d of four bytes is %U, the server says %U", n, got[n], r)
				}
			}
			if len(triple) > 0 && name != "gb18030" {
				checkCodes(t, s, []byte{0x8f}, 2, triple)
			}
		})
	}
}

const basicQuads = 39420 // codes of four bytes for the basic plane

// serverQuads asks which characters of the basic plane have four bytes in GB 18030, by the number of their code.
func serverQuads(t *testing.T, conn *client.Conn) map[int]rune {
	t.Helper()
	out := map[int]rune{}
	sql := `WITH RECURSIVE n(c) AS (SELECT 128 UNION ALL SELECT c + 1 FROM n WHERE c < 65535)
		SELECT c, HEX(CONVERT(CONVERT(UNHEX(LPAD(HEX(c), 4, '0')) USING ucs2) USING gb18030)) FROM n WHERE c NOT BETWEEN 55296 AND 57343`
	var result mysql.Result
	err := conn.ExecuteSelectStreaming(sql, &result, func(row []mysql.FieldValue) error {
		v, err := hex.DecodeString(string(row[1].AsString()))
		if len(v) == 4 {
			out[((int(v[0]-0x81)*10+int(v[1]-'0'))*126+int(v[2]-0x81))*10+int(v[3]-'0')] = rune(row[0].AsInt64())
		}
		return err
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func writeCharset(t *testing.T, name string, single, double, triple map[int]rune) {
	t.Helper()
	var raw []byte
	add := func(codes map[int]rune, low, high int) {
		for c := low; c <= high; c++ {
			if codes[c] > 0xffff {
				t.Fatalf("code %x is U+%x", c, codes[c])
			}
			raw = binary.LittleEndian.AppendUint16(raw, uint16(codes[c]))
		}
	}
	add(single, 0, 255)
	if len(double) > 0 {
		add(double, 0x8000, 0xffff)
	}
	switch {
	case name == "gb18030":
		add(triple, 0, basicQuads-1)
	case len(triple) > 0:
		add(triple, 0x8000, 0xffff)
	}
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("charsets", name+".z"), out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// checkCodes converts each code of so many bytes; one that the server does not know must give U+FFFD first.
func checkCodes(t *testing.T, s *charset, prefix []byte, size int, want map[int]rune) {
	t.Helper()
	low, high := 0, 255
	if size == 2 {
		low, high = 0x8000, 0xffff
	}
	for c := low; c <= high; c++ {
		in := append(bytes.Clone(prefix), binary.BigEndian.AppendUint16(nil, uint16(c))[2-size:]...)
		got := s.appendUTF8(nil, in)
		if r, ok := want[c]; ok {
			if string(got) != string(r) {
				t.Errorf("%x is %q, the server says %q", in, got, r)
			}
		} else if size+len(prefix) > 1 || c >= 0x80 {
			one := utf8.RuneCount(got) == 1 && !strings.HasPrefix(string(got), "\ufffd")
			if one {
				t.Errorf("%x is %q, the server does not know it", in, got)
			}
		}
	}
}

// TestCharsetUnicode converts texts that the server writes in the character sets without a table.
func TestCharsetUnicode(t *testing.T) {
	conn := bed.MySQL(t).Connect(t, "")
	texts := []string{"", "plain", "é ÿ €", "日本 漢字", "\u0000\u007f\u0080\u07ff\u0800\uffff"}
	var many strings.Builder
	for r := rune(0x80); r < 0xfffe; r++ {
		if r < 0xd800 || r > 0xdfff {
			many.WriteRune(r)
		}
	}
	texts = append(texts, many.String())
	for _, name := range []string{"utf8mb4", "utf8mb3", "ucs2", "utf16", "utf16le", "utf32", "gb18030"} {
		for _, text := range texts {
			if name != "ucs2" && name != "utf8mb3" {
				text += "😀\U00020000"
			}
			r, err := conn.Execute(fmt.Sprintf("SELECT HEX(CONVERT(_utf8mb4 x'%x' USING %s)), HEX(CONVERT(CONVERT(_utf8mb4 x'%x' USING %s) USING utf8mb4))", text, name, text, name))
			if err != nil {
				t.Fatal(err)
			}
			stored, back := unhex(t, r, 0), unhex(t, r, 1)
			r.Close()
			if got := string(charsetNamed(name).appendUTF8(nil, stored)); got != string(back) {
				a, b := []rune(got), []rune(string(back))
				for i := range min(len(a), len(b)) {
					if a[i] != b[i] {
						t.Errorf("%s: %U, the server says %U", name, a[i], b[i])
					}
				}
				if len(a) != len(b) {
					t.Errorf("%s: %d characters, the server says %d", name, len(a), len(b))
				}
			}
		}
	}
}

func unhex(t *testing.T, r *mysql.Result, column int) []byte {
	t.Helper()
	text, err := r.GetString(0, column)
	if err != nil {
		t.Fatal(err)
	}
	out, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestCollations: the character set of every collation of both servers is known by its id.
func TestCollations(t *testing.T) {
	for name, conn := range map[string]*client.Conn{"mysql": bed.MySQL(t).Connect(t, ""), "mariadb": bed.MariaDB(t).Connect(t, "")} {
		table := "information_schema.collations"
		if name == "mariadb" {
			table = "information_schema.collation_character_set_applicability"
		}
		r, err := conn.Execute("SELECT id, character_set_name FROM " + table)
		if err != nil {
			t.Fatal(err)
		}
		for i := range r.RowNumber() {
			id, err1 := r.GetInt(i, 0)
			set, err2 := r.GetString(i, 1)
			if err1 != nil || err2 != nil {
				t.Fatal(err1, err2)
			}
			if got := collationCharsetName(uint16(id)); got != set {
				t.Errorf("%s: collation %d is of %s, not of %q", name, id, set, got)
			}
			if set != "binary" && charsetNamed(set) == nil {
				t.Errorf("%s: character set %s is not known", name, set)
			}
		}
		if r.RowNumber() < 200 {
			t.Errorf("%s: only %d collations", name, r.RowNumber())
		}
		r.Close()
	}
}

// TestMalformedText: malformed sequences become U+FFFD, one for as many bytes as could have begun a character.
func TestMalformedText(t *testing.T) {
	for in, want := range map[string]string{
		"a\xffb": "a\ufffdb", "\xc0\x80": "\ufffd\ufffd", "\xe2\x82a": "\ufffda", "\xf0\x9f\x98a": "\ufffda", "\xed\xa0\x80": "\ufffd",
		"\xf5\x80": "\ufffd\ufffd", "\xe2\x82": "\ufffd", "\xe0\x80\x80": "\ufffd\ufffd\ufffd", "\xf4\x90\x80\x80": "\ufffd\ufffd\ufffd\ufffd",
	} {
		if got := string(charsetNamed("utf8mb4").appendUTF8(nil, []byte(in))); got != want {
			t.Errorf("%x is %q, not %q", in, got, want)
		}
	}
	for set, in := range map[string]string{"ascii": "\x80", "latin1": "\x81", "sjis": "\x81", "ucs2": "\x00", "utf32": "\x00\x11\x00\x00", "gb18030": "\xff", "tis620": "\xfc"} {
		if got := string(charsetNamed(set).appendUTF8(nil, []byte(in))); !strings.Contains(got, "\ufffd") && set != "latin1" {
			t.Errorf("%s: %x is %q", set, in, got)
		}
	}
}
