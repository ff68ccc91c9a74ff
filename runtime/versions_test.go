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

// The order of Maven's own tests (ComparableVersionTest), each below the next.
func TestOrderOfVersions(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"1-alpha2snapshot 1-alpha2 1-alpha-123 1-beta-2 1-beta123 1-m2 1-m11 1-rc 1-cr2 1-rc123 1-SNAPSHOT 1 1-sp 1-sp2 1-sp123 1-abc 1-def 1-pom-1 1-1-snapshot 1-1 1-2 1-123",
		"2.0 2.0.a 2-1 2.0.2 2.0.123 2.1.0 2.1-a 2.1b 2.1-c 2.1-1 2.1.0.1 2.2 2.123 11.a2 11.a11 11.b2 11.b11 11.m2 11.m11 11 11.a 11b 11c 11m",
		"3.6.1.Alpha1 3.6.1.Beta2 3.6.1.CR1 3.6.1.Final 3.6.2-SNAPSHOT 3.6.2.Final 3.10.0.Final",
		"0.9 1.9 1.10 2.0-alpha 2.0 20240131 99999999999999999999 100000000000000000000",
	} {
		list := strings.Fields(line)
		for i, low := range list {
			for _, high := range list[i+1:] {
				if compareVersions(low, high) >= 0 || compareVersions(high, low) <= 0 {
					t.Errorf("%s is not below %s", low, high)
				}
			}
		}
	}
	for _, line := range []string{"1 1.0 1.0.0 1-0 1.0-0 1ga 1release 1final 1.0.FINAL 1-GA 01", "1a1 1-alpha-1", "1b2 1-beta-2", "1m3 1-milestone-3", "1x 1.0.0-x 1-x", "1rc1 1cr1"} {
		list := strings.Fields(line)
		for _, other := range list[1:] {
			if compareVersions(list[0], other) != 0 {
				t.Errorf("%s differs from %s", list[0], other)
			}
		}
	}
}
