package postgres

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/jackc/pglogrepl"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// The seeds in testdata are what PostgreSQL 17 sent for the golden scenarios types, crud, crud-replica-identity, crud-toast and
// crud-truncate: pgoutput messages (hexadecimal), lines of COPY … TO STDOUT, and pg_get_expr of column defaults.
func recorded(f *testing.F, name string) []string {
	f.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		f.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// FuzzParse: a message that another parser understands is understood the same way, and views lie inside the message.
func FuzzParse(f *testing.F) {
	for _, data := range messages() {
		f.Add(data)
	}
	for _, line := range recorded(f, "pgoutput.hex") {
		data, err := hex.DecodeString(line)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var m pgMessage
		err := m.parse(data)
		r, rerr := parseRelation(data)
		if rerr == nil && (err != nil || m.relation != r.oid) {
			t.Fatalf("one parser says %v, the other one %v", rerr, err)
		}
		for _, view := range [][]byte{m.tuples, m.truncated, m.origin, m.prefix, m.content} {
			if len(view) > len(data) || cap(view) > cap(data) {
				t.Fatalf("a view of %d bytes (%d) into %d", len(view), cap(view), len(data))
			}
		}
		if (m.kind == msgMessage || m.kind == msgTruncate) && (err != nil || data[1] > 1) {
			return // pglogrepl believes every length, and compares the flags as a number
		}
		oracle := understood(data)
		if oracle == nil || (m.kind == msgBegin || m.kind == msgCommit) && m.timestamp != int64(int32(m.timestamp>>20))<<20|m.timestamp&(1<<20-1) {
			return // pglogrepl counts ns since 1970, which end in 2262
		}
		if err != nil {
			t.Fatalf("%v, but the oracle understands it: %+v", err, oracle)
		}
		if !agrees(t, &m, data, oracle) {
			t.Fatalf("%+v, the oracle says %+v", m, oracle)
		}
	})
}

// understood is what pglogrepl makes of a message; nil when it cannot, or when it lets tuples pass that the protocol does not
// have.
func understood(data []byte) (m pglogrepl.Message) {
	defer func() {
		if recover() != nil {
			m = nil
		}
	}()
	if overlong(data) {
		return nil
	}
	m, err := pglogrepl.Parse(data)
	if err != nil {
		return nil
	}
	switch o := m.(type) {
	case *pglogrepl.UpdateMessage:
		if o.OldTuple == nil && data[5] != 'N' {
			return nil
		}
	case *pglogrepl.InsertMessage:
		if data[5] != 'N' {
			return nil
		}
	case *pglogrepl.DeleteMessage:
		if data[5] != 'K' && data[5] != 'O' {
			return nil
		}
	}
	return m
}

// overlong tells that a value of a row is said to be longer than the message. pglogrepl refuses that, too, but asks for the memory first.
func overlong(data []byte) bool {
	if len(data) < 6 || !strings.Contains("IUD", string(data[:1])) {
		return false
	}
	for at := 5; at+3 <= len(data); {
		columns := int(binary.BigEndian.Uint16(data[at+1:]))
		for at += 3; columns > 0 && at < len(data); columns-- {
			kind := data[at]
			if at++; kind != 't' && kind != 'b' {
				continue
			}
			if at+4 > len(data) {
				return true
			}
			n := int(binary.BigEndian.Uint32(data[at:]))
			if at += 4; n > len(data)-at {
				return true
			}
			at += n
		}
	}
	return false
}

// FuzzTuple feeds rows as they come from the server: an error or a row, never a panic.
func FuzzTuple(f *testing.F) {
	f.Add(tuple("1", "a", "b", "2"), tuple("1", "-", "?", "2"), []byte("1\ta\\tb\t\\N\t2\n"))
	f.Add(tuple("1", "a"), []byte{0, 4, 't', 0xff, 0xff, 0xff, 0xff}, []byte("\\"))
	f.Add([]byte{0, 4, 'n', 'n', 'n', 'b'}, []byte{}, []byte("\t\t\t"))
	for _, line := range recorded(f, "copy.txt") {
		f.Add(tuple(strings.SplitN(line, "\t", 4)...), tuple("-", "?", "x", "0"), []byte(line))
	}
	f.Fuzz(func(t *testing.T, old, updated, line []byte) {
		for _, r := range []*relation{
			build(t, offline(t), ordersTable()),
			build(t, offline(t, "column.mask.with.3.chars", "public.orders.customer", "message.key.columns", "public.orders:total,customer"), ordersTable()),
		} {
			for _, tag := range []byte{tupleOld, tupleKey} {
				fuzzUpdate(r, old, updated, tag)
			}
			w := connectors.NewBuilder("", nil, nil)
			w.Begin(w.Stream(r.stream), connectors.OpRead)
			fields, err := r.splitCopy(append([]byte(nil), line...))
			if err != nil {
				continue
			}
			w.After()
			if r.appendTextRow(w, fields) == nil {
				row := w.Record().After
				w.Key()
				_ = r.appendTextKey(w, row, fields)
			}
		}
	})
}

func fuzzUpdate(r *relation, old, updated []byte, tag byte) {
	w := connectors.NewBuilder("", nil, nil)
	rec := w.Begin(w.Stream(r.stream), connectors.OpUpdate)
	w.Before()
	if _, err := r.appendTuple(w, old, tag, connectors.Row{}); err != nil {
		return
	}
	w.After()
	if _, err := r.appendTuple(w, updated, tupleNew, rec.Before); err != nil {
		return
	}
	if _, err := r.keyChanged(w, rec.Before, rec.After, old, updated); err != nil {
		return
	}
	w.Key()
	_ = r.appendKey(w, rec.After, updated, tupleNew)
}

// FuzzRow: a row of the stream and the same row of COPY become the same cells, and those hold what was sent.
func FuzzRow(f *testing.F) {
	f.Add(int32(1), "a\tb\\", "\x01\b\f\n\r\v", int32(-1), uint8(0))
	f.Add(int32(math.MinInt32), `\N`, "", int32(0), uint8(2))
	f.Add(int32(0), "é€😀", `\\.`, int32(7), uint8(12))
	f.Fuzz(func(t *testing.T, id int32, customer, note string, total int32, nulls uint8) {
		r := build(t, offline(t), ordersTable())
		values := []string{strconv.Itoa(int(id)), customer, note, strconv.Itoa(int(total))}
		data := []byte{0, 4}
		var fields []string
		want := make([]string, 4)
		for i, v := range values {
			if nulls>>i&1 == 1 {
				data, fields, want[i] = append(data, 'n'), append(fields, `\N`), "null"
				continue
			}
			data = append(data, 't', byte(len(v)>>24), byte(len(v)>>16), byte(len(v)>>8), byte(len(v)))
			data = append(data, v...)
			fields = append(fields, copyText(v))
			want[i] = v
			if i == 1 || i == 2 {
				quoted, _ := json.Marshal(v)
				want[i] = string(quoted)
			}
		}
		w := connectors.NewBuilder("", nil, nil)
		w.Begin(w.Stream(r.stream), connectors.OpCreate)
		w.After()
		rest, err := r.appendTuple(w, append(data, "next"...), tupleNew, connectors.Row{})
		if err != nil || string(rest) != "next" {
			t.Fatalf("rest %q, %v", rest, err)
		}
		w.Commit()
		w.Begin(w.Stream(r.stream), connectors.OpRead)
		w.After()
		split, err := r.splitCopy([]byte(strings.Join(fields, "\t") + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.appendTextRow(w, split); err != nil {
			t.Fatal(err)
		}
		w.Commit()
		b := w.Finish("", connectors.Order{})
		for n := range b.Records {
			for i, c := range b.Cells(b.Records[n].After) {
				if got := showNumber(b, c); got != want[i] {
					t.Errorf("record %d, column %d: got %s, want %s", n, i, got, want[i])
				}
			}
		}
	})
}

// showNumber is showCell, and integers in decimal.
func showNumber(b *connectors.Batch, c connectors.Cell) string {
	if c.Kind == connectors.KindInt {
		return strconv.FormatInt(c.Int(), 10)
	}
	return showCell(b, c)
}

// copyText escapes as CopyAttributeOutText does.
func copyText(v string) string {
	return strings.NewReplacer(`\`, `\\`, "\b", `\b`, "\f", `\f`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\v", `\v`).Replace(v)
}

// one decodes a text into a batch of one cell.
func one(d decoder, text string) (*connectors.Batch, connectors.Cell, error) {
	w := connectors.NewBuilder("", nil, nil)
	w.Begin(0, connectors.OpRead)
	w.After()
	if err := d.append(w, []byte(text)); err != nil {
		return nil, connectors.Cell{}, err
	}
	w.Commit()
	b := w.Finish("", connectors.Order{})
	return b, b.Cells(b.Records[0].After)[0], nil
}

var (
	plainInt     = regexp.MustCompile(`^-?[0-9]{1,19}$`)
	plainDecimal = regexp.MustCompile(`^-?([0-9]+\.?[0-9]*|\.[0-9]+)$`)
	plainMoney   = regexp.MustCompile(`^-?\$[0-9]{1,3}(,[0-9]{3})*\.[0-9]{2}$`)
)

// FuzzScalar: what a slow parser reads is read the same, and what it refuses is refused.
func FuzzScalar(f *testing.F) {
	for _, s := range []string{"-9223372036854775808", "9223372036854775808", "0", "-0", "t", "1.50", ".5", "NaN", `\xdeadBEEF`, `\x0`, "$92,233,720,368.07", "-$0.01", "1010", "1e5", "--1"} {
		f.Add(s)
	}
	for _, line := range recorded(f, "copy.txt") {
		for _, s := range strings.Split(line, "\t") {
			f.Add(s)
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, c, err := one(decoder{op: opInt}, s)
		n, ierr := strconv.ParseInt(s, 10, 64)
		if good := ierr == nil && plainInt.MatchString(s); good != (err == nil) || good && c.Int() != n {
			t.Errorf("integer %q: got %d, %v, want %d, %v", s, c.Int(), err, n, ierr)
		}
		b, c, err := one(decoder{op: opBytea}, s)
		raw, herr := hex.DecodeString(strings.TrimPrefix(s, `\x`))
		if good := herr == nil && strings.HasPrefix(s, `\x`); good != (err == nil) || good && !bytes.Equal(b.Bytes(c), raw) {
			t.Errorf("bytea %q: got %v, want %v", s, err, herr)
		}
		b, c, err = one(decoder{op: opDecimal}, s)
		special := s == "NaN" || s == "Infinity" || s == "-Infinity"
		if good := special || plainDecimal.MatchString(s); good != (err == nil) || good && string(b.Bytes(c)) != s {
			t.Errorf("numeric %q: %v", s, err)
		}
		if plainMoney.MatchString(s) && len(s) < 25 {
			b, c, err = one(decoder{op: opMoney}, s)
			want, _ := new(big.Rat).SetString(strings.NewReplacer("$", "", ",", "").Replace(s))
			if err != nil {
				t.Fatalf("money %q: %v", s, err)
			}
			if got, ok := new(big.Rat).SetString(string(b.Bytes(c))); !ok || got.Cmp(want) != 0 {
				t.Errorf("money %q: got %s", s, b.Bytes(c))
			}
		}
	})
}

// FuzzTemporal prints a moment as PostgreSQL does and reads it back; package time is the oracle.
func FuzzTemporal(f *testing.F) {
	f.Add(int32(2024), uint8(1), uint8(28), int64(45296123456), int32(7200))
	f.Add(int32(-44), uint8(2), uint8(14), int64(0), int32(-19800))
	f.Add(int32(294246), uint8(11), uint8(30), int64(86399999999), int32(50400+59))
	f.Add(int32(0), uint8(0), uint8(0), int64(1), int32(0))
	f.Fuzz(func(t *testing.T, year int32, month, day uint8, micros int64, zone int32) {
		if year < -4712 || year > 294246 { // what PostgreSQL has and 64 bits of µs since 1970 hold
			year = int32(uint32(year)%(294246+4713)) - 4712
		}
		if micros < 0 || micros >= microsDay {
			micros = int64(uint64(micros) % uint64(microsDay))
		}
		zone %= 16 * 3600
		at := time.Date(int(year), time.Month(month%12)+1, int(day%31)+1, 0, 0, 0, 0, time.UTC)
		days := at.Unix() / 86400
		if at.Unix()%86400 != 0 {
			t.Fatal("no day")
		}
		date, bc := dateText(at)
		clock := clockText(micros)
		sign, z := '+', zone
		if zone < 0 {
			sign, z = '-', -zone
		}
		offset := fmt.Sprintf("%c%02d", sign, z/3600)
		if z%3600 != 0 {
			offset += fmt.Sprintf(":%02d", z/60%60)
		}
		if z%60 != 0 {
			offset += fmt.Sprintf(":%02d", z%60)
		}
		for _, c := range []struct {
			op   op
			text string
			want int64
		}{
			{opDate, date + bc, days},
			{opTime, clock, micros},
			{opTimestamp, date + " " + clock + bc, days*microsDay + micros},
			{opTimestampTZ, date + " " + clock + offset + bc, days*microsDay + micros - int64(zone)*microsSecond},
			{opTimeTZ, clock + offset, micros},
		} {
			if _, cell, err := one(decoder{op: c.op}, c.text); err != nil || cell.Int() != c.want || c.op == opTimeTZ && cell.Offset() != zone {
				t.Errorf("%s: got %d, %v, want %d", c.text, cell.Int(), err, c.want)
			}
		}
	})
}

func dateText(at time.Time) (date, bc string) {
	year := at.Year()
	if year <= 0 {
		year, bc = 1-year, " BC"
	}
	return fmt.Sprintf("%04d-%02d-%02d", year, at.Month(), at.Day()), bc
}

func clockText(micros int64) string {
	text := fmt.Sprintf("%02d:%02d:%02d", micros/microsHour, micros/microsMinute%60, micros/microsSecond%60)
	if rest := micros % microsSecond; rest != 0 {
		text += strings.TrimRight(fmt.Sprintf(".%06d", rest), "0")
	}
	return text
}

// FuzzInterval prints an interval as PostgreSQL does (EncodeInterval, IntervalStyle postgres) and reads it back.
func FuzzInterval(f *testing.F) {
	f.Add(int32(14), int32(3), int64(14706789000))
	f.Add(int32(-1), int32(3), int64(-1500000))
	f.Add(int32(math.MinInt32), int32(math.MaxInt32), int64(math.MaxInt64))
	f.Add(int32(0), int32(0), int64(math.MinInt64))
	f.Fuzz(func(t *testing.T, months, days int32, micros int64) {
		text := intervalText(months, days, micros)
		b, c, err := one(decoder{op: opInterval}, text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if m, d, u := b.Interval(c); m != months || d != days || u != micros {
			t.Errorf("%s: got %d, %d, %d, want %d, %d, %d", text, m, d, u, months, days, micros)
		}
	})
}

func intervalText(months, days int32, micros int64) string {
	var out []string
	before := false
	part := func(n int32, unit string) {
		if n == 0 {
			return
		}
		text := strconv.Itoa(int(n)) + " " + unit
		if n != 1 {
			text += "s"
		}
		if before && n > 0 {
			text = "+" + text
		}
		before = n < 0
		out = append(out, text)
	}
	part(months/12, "year")
	part(months%12, "mon")
	part(days, "day")
	if micros != 0 || len(out) == 0 {
		sign, u := "", new(big.Int).Abs(big.NewInt(micros)).Uint64()
		if micros < 0 {
			sign = "-"
		} else if before {
			sign = "+"
		}
		text := fmt.Sprintf("%s%02d:%02d:%02d", sign, u/3600e6, u/60e6%60, u/1e6%60)
		if u%1e6 != 0 {
			text += strings.TrimRight(fmt.Sprintf(".%06d", u%1e6), "0")
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

// FuzzArray prints an array and an hstore as PostgreSQL does (array_out, hstore_out) and reads them back.
func FuzzArray(f *testing.F) {
	f.Add("a", `"\`, "NULL", uint8(0))
	f.Add("", "{}", " ,", uint8(1|8))
	f.Add("null", "é", "a b", uint8(2|16))
	f.Fuzz(func(t *testing.T, x, y, z string, shape uint8) {
		var texts, want []string
		for i, v := range []string{x, y, z} {
			if shape>>i&1 == 1 {
				texts, want = append(texts, "NULL"), append(want, "null")
				continue
			}
			texts = append(texts, arrayText(v))
			quoted, _ := json.Marshal(v)
			want = append(want, string(quoted))
		}
		text, show := "{"+strings.Join(texts, ",")+"}", "["+strings.Join(want, " ")+"]"
		if shape&8 != 0 {
			text, show = "{"+text+","+text+"}", "["+show+" "+show+"]"
		}
		if shape&16 != 0 {
			text = "[0:1][-2:0]=" + text
		}
		b, c, err := one(decoder{op: opList, elem: opText}, text)
		if err != nil || showCell(b, c) != show {
			t.Errorf("%s: got %v, want %s", text, err, show)
		}
		if x == y {
			return
		}
		text = quoteDouble(x) + "=>" + quoteDouble(z) + ", " + quoteDouble(y) + "=>NULL"
		if b, c, err = one(decoder{op: opHstore}, text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		got := map[string]string{}
		for list := b.List(c); len(list) >= 2; list = list[2:] {
			got[string(b.Bytes(list[0]))] = showCell(b, list[1])
		}
		zText, _ := json.Marshal(z)
		if len(got) != 2 || got[x] != string(zText) || got[y] != "null" {
			t.Errorf("%s: got %v", text, got)
		}
	})
}

// arrayText quotes an element when array_out does.
func arrayText(v string) string {
	if v == "" || strings.EqualFold(v, "null") || strings.ContainsAny(v, "\"\\{}, \t\n\r\v\f") {
		return quoteDouble(v)
	}
	return v
}

func quoteDouble(v string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"`
}

// FuzzDefault: any expression passes without a panic, and a text constant has its value.
func FuzzDefault(f *testing.F) {
	types := builtins()
	for _, s := range append(recorded(f, "defaults.txt"), "'it''s'::text", "12.5", "(-1)", "now()", "CURRENT_DATE", "('a'::text || 'b'::text)", "B'101'", "'", "1e5") {
		f.Add(s)
	}
	m := mapper{modes: offline(f).cfg.modes}
	f.Fuzz(func(t *testing.T, expr string) {
		for _, typ := range types {
			_, s, d := m.column(typ, "c", -1, false)
			defaultValue(typ, s, d, expr)
		}
		if !utf8.ValidString(expr) {
			return
		}
		typ := types[oidText]
		_, s, d := m.column(typ, "c", -1, false)
		if got := defaultValue(typ, s, d, quoteLiteral(expr)+"::text"); got != expr {
			t.Errorf("the constant %q became %q", expr, got)
		}
	})
}

// FuzzPosition: a stored offset that is understood is written so that it means the same again.
func FuzzPosition(f *testing.F) {
	for _, s := range []string{
		`{"lsn_proc":548770984,"messageType":"DELETE","lsn_commit":548770872,"lsn":548770984,"txId":3229,"ts_usec":1795207888566586}`,
		`{"last_snapshot_record":true,"lsn":22992224,"txId":743,"ts_usec":1700000000000000,"snapshot":"INITIAL","snapshot_completed":true}`,
		`{"transaction_id":null,"lsn_proc":1,"messageType":"MESSAGE","lsn":1,"snapshot":false}`, `{"messageType":"a\"b"}`, `{"lsn":-1}`, `{}`, `null`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePosition(offsets.Offset(text))
		if err != nil {
			return
		}
		written := p.offset(nil)
		q, err := parsePosition(written)
		if err != nil {
			t.Fatalf("%s was written as %s: %v", text, written, err)
		}
		if q.offset(nil) != written || q.confirmable() != p.confirmable() && !p.snapshot || q.unfinished() != p.unfinished() || q.resumeAt(true) != p.resumeAt(true) {
			t.Errorf("%s was written as %s: %+v became %+v", text, written, p, q)
		}
		if canonical, err := offsets.ParseOffset([]byte(written)); err != nil || canonical != written {
			t.Errorf("%s is stored as %s, %v", written, canonical, err)
		}
	})
}

// FuzzIdentity: what is remembered beside an offset comes back, and other text is an error or harmless.
func FuzzIdentity(f *testing.F) {
	f.Add("7300000000000000001", uint32(1), `{"lsn":1}`, `{"system":"1","timeline":2,"offset":"{}"}`)
	f.Add("é\"\\\x7f", uint32(math.MaxUint32), "\x01", `{"timeline":-1}`)
	f.Fuzz(func(t *testing.T, system string, timeline uint32, offset, other string) {
		_, _ = parseIdentity(offsets.Offset(other))
		if !utf8.ValidString(system) || !utf8.ValidString(offset) {
			return
		}
		i := identity{System: system, Timeline: timeline, Commit: uint64(timeline) << 31}
		got, err := parseIdentity(i.offset(offsets.Offset(offset)))
		if err != nil || got.System != system || got.Timeline != timeline || got.Commit != i.Commit || got.Offset != offset {
			t.Errorf("%+v of %q: got %+v, %v", i, offset, got, err)
		}
	})
}

// FuzzHistory: timeline history files as a server, or anything else, sends them.
func FuzzHistory(f *testing.F) {
	f.Add("1\t0/A000198\tno recovery target specified\n\n2\t0/B000100\tat restore point \"x\"\n")
	f.Add("# a remark\n1\t0/0")
	f.Add("4294967296 0/0\n")
	f.Fuzz(func(t *testing.T, text string) {
		switches, err := parseHistory(text)
		if err != nil {
			return
		}
		var again strings.Builder
		for _, w := range switches {
			fmt.Fprintf(&again, "%d\t%s\tremark\n", w.timeline, pglogrepl.LSN(w.end))
		}
		same, err := parseHistory(again.String())
		if err != nil || fmt.Sprint(same) != fmt.Sprint(switches) {
			t.Errorf("%q: %v became %v, %v", text, switches, same, err)
		}
	})
}
