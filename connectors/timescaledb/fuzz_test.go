package timescaledb

import (
	"encoding/binary"
	"math/big"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
)

var decimalText = regexp.MustCompile(`^-?([0-9]+\.?[0-9]*|\.[0-9]+)$`)

// FuzzNumeric: what pgx reads in the binary form is the number of the text, with its digits after the point; other text is a
// problem.
func FuzzNumeric(f *testing.F) {
	for _, s := range []string{"0", "-1.50", "99999999999999999999.00000001", ".5", "1.", "NaN", "1..2", "-", "00012345.6700", "-0.00010000", "Infinity", "100000000"} {
		f.Add(s)
	}
	e := &encoder{form: formNumeric, limit: -1, scale: -1}
	f.Fuzz(func(t *testing.T, text string) {
		b, c := decimalCell(text)
		out, p := e.append(nil, b, c)
		special := text == "NaN" || text == "Infinity" || text == "-Infinity"
		if good := special || decimalText.MatchString(text) && len(text) < 10000; good && p != "" || p == "" && !special && !decimalText.MatchString(text) {
			t.Fatalf("%q: %q", text, p)
		}
		if p != "" {
			return
		}
		if int(binary.BigEndian.Uint32(out)) != len(out)-4 {
			t.Fatalf("%q: length %d of %d bytes", text, binary.BigEndian.Uint32(out), len(out)-4)
		}
		var n pgtype.Numeric
		if err := pgtype.NewMap().Scan(pgtype.NumericOID, pgtype.BinaryFormatCode, out[4:], &n); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if special {
			if n.NaN != (text == "NaN") || (n.InfinityModifier != pgtype.Finite) == (text == "NaN") {
				t.Fatalf("%q became %+v", text, n)
			}
			return
		}
		want, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatalf("%q is no number", text)
		}
		got := new(big.Rat).SetInt(n.Int)
		ten := new(big.Rat).SetInt64(10)
		for range n.Exp {
			got.Mul(got, ten)
		}
		for range -n.Exp {
			got.Quo(got, ten)
		}
		if got.Cmp(want) != 0 {
			t.Fatalf("%q became %s", text, got.FloatString(20))
		}
		_, fraction, _ := strings.Cut(text, ".")
		if scale := int(binary.BigEndian.Uint16(out[10:])); scale != len(fraction) {
			t.Fatalf("%q has %d digits after the point, want %d", text, scale, len(fraction))
		}
	})
}

// FuzzURL: any text is a URL or an error; neither the error nor what is shown of it has the password (I12); a URL that is put
// together comes apart again.
func FuzzURL(f *testing.F) {
	f.Add("jdbc:postgresql://db:5433/orders?user=u&password=p&sslmode=require", "pass word%&=")
	f.Add("postgres://u:p@[::1]/d", "é")
	f.Add("jdbc:postgresql:orders?password=", "x")
	f.Add("jdbc:postgresql:u:p@h/d", ";")
	f.Add("jdbc:mysql://h/d?user=a;password=b", "a")
	f.Add("postgresql://h/d?ssl&connectTimeout=5&password=%zz", "%")
	f.Fuzz(func(t *testing.T, text, password string) {
		_, _ = parseURL(text)
		const secret = "hidden0123456789"
		for _, s := range []string{
			text + "?password=" + secret, text + "&password=" + secret, text + "?x=%zz&password=" + secret, text + ";password=" + secret,
			"jdbc:postgresql:u:" + secret + "@" + text, "postgres://u:" + secret + "@" + text, "jdbc:postgresql://u:" + secret + "@h/" + text,
			"postgres://h/d?" + text + "&password=" + secret + "%", "postgres://h/d?" + text + "&sslpassword=" + secret,
		} {
			if shown := withoutPassword(s); strings.Contains(shown, secret) {
				t.Errorf("%q is shown as %q", s, shown)
			}
			if _, err := parseURL(s); err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%q: %v", s, err)
			}
		}
		made := "jdbc:postgresql://db.example:5433/" + url.PathEscape("o r/d") + "?user=u&password=" + url.QueryEscape(password)
		a, err := parseURL(made)
		if err != nil || a.host != "db.example" || a.port != 5433 || a.database != "o r/d" || a.user != "u" || a.password != password {
			t.Errorf("%s: %+v, %v", made, a, err)
		}
	})
}
