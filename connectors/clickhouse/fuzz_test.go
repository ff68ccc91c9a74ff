package clickhouse

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"testing"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/schemas"
)

var decimalText = regexp.MustCompile(`^-?([0-9]+\.?[0-9]*|\.[0-9]+)$`)

// FuzzDecimal: what ch-go reads of a Decimal is the number of the text; other text, and a number with more digits, is a problem.
func FuzzDecimal(f *testing.F) {
	for _, s := range []string{"0", "-1.50", "99999999999999999999.00000001", ".5", "1.", "NaN", "1..2", "-", "00012345.6700", "-0.0001", "-Infinity", strings.Repeat("9", 38)} {
		f.Add(s, uint8(76), uint8(38))
		f.Add(s, uint8(12), uint8(2))
	}
	f.Fuzz(func(t *testing.T, v string, digits, scale uint8) {
		precision, after := int(digits)%maxDigits+1, 0
		after = int(scale) % (precision + 1)
		c := fitDecimal(&columnType{name: "Decimal", digits: precision, scale: after})
		w := connectors.NewBuilder(connectortest.Partition(1), nil, nil)
		w.Begin(w.Stream(connectortest.Bets()), connectors.OpCreate)
		w.After()
		w.Text(connectors.KindDecimal, []byte(v))
		w.Commit()
		b := w.Finish("{}", connectors.Order{})
		p := c.decimal(b, b.Cells(b.Records[0].After)[0])
		number, ok := new(big.Rat).SetString(v)
		ok = ok && decimalText.MatchString(v)
		fits := false
		unscaled := new(big.Int)
		if ok {
			scaled := new(big.Rat).Mul(number, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(after)), nil)))
			if unscaled = scaled.Num(); scaled.IsInt() {
				fits = new(big.Int).Abs(unscaled).Cmp(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(precision)), nil)) < 0
			}
		}
		if fits != (p == "") {
			t.Fatalf("%q in Decimal(%d, %d): %q, but it fits: %v", v, precision, after, p, fits)
		}
		if p != "" {
			return
		}
		got := new(big.Int)
		for i := len(c.data) - 1; i >= 0; i-- {
			got.Lsh(got, 8).Or(got, big.NewInt(int64(c.data[i])))
		}
		if c.data[len(c.data)-1]&0x80 != 0 {
			got.Sub(got, new(big.Int).Lsh(big.NewInt(1), uint(8*len(c.data))))
		}
		if got.Cmp(unscaled) != 0 {
			t.Fatalf("%q in Decimal(%d, %d) became %s, not %s", v, precision, after, got, unscaled)
		}
	})
}

// FuzzBlock: a block of random rows, some of which do not fit, is read by ch-go with exactly the rows that do.
func FuzzBlock(f *testing.F) {
	f.Add([]byte("some text"), int64(5), true)
	f.Add([]byte{0, 200, 3, 7, 7, 7}, int64(-40000), false)
	f.Fuzz(func(t *testing.T, data []byte, n int64, null bool) {
		list := connectortest.Column("list", schemas.TypeList, "text[]", true)
		elem := connectortest.Column("", schemas.TypeText, "text", true)
		list.Elem = &elem
		s := connectortest.Table("fuzz", 1, connectortest.Column("id", schemas.TypeInt64, "bigint", false), connectortest.Column("small", schemas.TypeInt16, "smallint", true), connectortest.Column("t", schemas.TypeText, "text", true), list, connectortest.Column("last", schemas.TypeInt16, "smallint", false))
		sec := newSection(planOf(t, s))
		var want []string
		for i := range len(data) + 1 {
			v, text := n>>(uint(i)%48), string(data[:i])
			w := connectors.NewBuilder(connectortest.Partition(1), nil, nil)
			rec := w.Begin(w.Stream(s), connectors.OpCreate)
			rec.Order = connectors.Order{Major: uint64(i)}
			w.Key()
			w.Int(n)
			w.After()
			w.Int(n)
			if null && i%2 == 0 {
				w.Null()
			} else {
				w.Int(v % 40000)
			}
			w.String(text)
			w.BeginList(connectors.KindList)
			for range i % 4 {
				w.String(text)
				w.Null()
			}
			w.EndList()
			w.Int(v % 50000)
			w.Commit()
			b := w.Finish("{}", connectors.Order{})
			row := mustRow(t, b)
			err := sec.add(b, 0, &row)
			fits := func(x int64) bool { return x == int64(int16(x)) }
			if good := fits(v%50000) && (null && i%2 == 0 || fits(v%40000)); good != (err == nil) {
				t.Fatalf("row %d: %v", i, err)
			} else if good {
				want = append(want, fmt.Sprint(text, i%4*2))
			}
		}
		if len(want) == 0 {
			return
		}
		var block []byte
		for _, part := range sec.parts() {
			block = append(block, part...)
		}
		texts := new(proto.ColStr).Nullable()
		lists := proto.NewArray(new(proto.ColStr).Nullable())
		results := proto.Results{
			{Name: "id", Data: new(proto.ColInt64)},
			{Name: "small", Data: new(proto.ColInt16).Nullable()},
			{Name: "t", Data: texts},
			{Name: "list", Data: lists},
			{Name: "last", Data: new(proto.ColInt16)},
			{Name: "_version", Data: new(proto.ColUInt128)},
			{Name: "_is_deleted", Data: new(proto.ColUInt8)},
		}
		if err := decodeBlock(block, results); err != nil {
			t.Fatal(err)
		}
		var got []string
		for i := range texts.Rows() {
			for j, item := range lists.Row(i) {
				if item.Set != (j%2 == 0) || item.Set && item.Value != texts.Row(i).Value {
					t.Fatalf("row %d: element %d is %v", i, j, item)
				}
			}
			got = append(got, fmt.Sprint(texts.Row(i).Value, len(lists.Row(i))))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("read %q, want %q", got, want)
		}
	})
}
