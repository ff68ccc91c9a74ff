package runtime

import (
	"strings"
	"testing"
)

func TestVersionRange(t *testing.T) {
	for _, c := range []struct{ text, shown, in, out string }{
		{"", "(,)", "0 4.3.0 3.6.1.Final", ""},
		{"latest", "(,)", "0 4.3.0", ""},
		{"4.3.0", "[4.3.0,4.3.0]", "4.3.0 4.3 4.3.0.Final", "4.3.1 4.2.9 4.3.0-rc1"},
		{"3.6.1.Final", "[3.6.1.Final,3.6.1.Final]", "3.6.1.Final 3.6.1", "3.6.1.CR1 3.6.2.Final"},
		{"[1.0,2.0)", "[1.0,2.0)", "1.0 1.9.9 1.10", "2.0 0.9 1.0-alpha"},
		{"(1.0, 2.0]", "(1.0,2.0]", "1.0.1 2.0", "1.0 2.0.1"},
		{"[1.5]", "[1.5,1.5]", "1.5", "1.5.1"},
		{"(,1.0],[2.0,)", "(,1.0],[2.0,)", "0.1 1.0 2.0 9", "1.1 1.9"},
	} {
		r, err := ParseVersionRange(c.text)
		if err != nil || r.String() != c.shown {
			t.Errorf("%s: got %s, %v", c.text, r, err)
		}
		for _, v := range strings.Fields(c.in) {
			if !r.Contains(v) {
				t.Errorf("%s is not in %s", v, c.text)
			}
		}
		for _, v := range strings.Fields(c.out) {
			if r.Contains(v) {
				t.Errorf("%s is in %s", v, c.text)
			}
		}
	}
	for _, text := range []string{"[1", "1]", "[1,2", "not a range [", "[]", "(1.0)", "[1.0)", "[2.0,1.0]", "1.0, 2.0", "[1,2]x", "[1,2,3]", "[(1,2]"} {
		if r, err := ParseVersionRange(text); err == nil || err.Error() != "Invalid version specification: "+text {
			t.Errorf("%q: got %v, %v", text, r, err)
		}
	}
}
