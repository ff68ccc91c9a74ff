package runtime

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// VersionRange is a set of versions in Maven's notation: [1.0,2.0), (,1.5], [1.2]; a plain version means that one alone
// (connector.plugin.version, KIP-891).
type VersionRange struct{ intervals []interval }

type interval struct {
	low, high     string // "": without bound
	lowIn, highIn bool
}

// ParseVersionRange reads a range; "" and "latest" are every version.
func ParseVersionRange(text string) (VersionRange, error) {
	rest := strings.TrimSpace(text)
	if rest == "" || rest == "latest" {
		return VersionRange{[]interval{{}}}, nil
	}
	if !strings.ContainsAny(rest, "[]()") {
		if strings.ContainsAny(rest, ", \t") {
			return VersionRange{}, fmt.Errorf("Invalid version specification: %s", text) //nolint:staticcheck // the reference's text
		}
		return VersionRange{[]interval{{rest, rest, true, true}}}, nil
	}
	var out VersionRange
	for rest != "" {
		end := strings.IndexAny(rest, "])")
		if (rest[0] != '[' && rest[0] != '(') || end < 0 {
			return VersionRange{}, fmt.Errorf("Invalid version specification: %s", text) //nolint:staticcheck // the reference's text
		}
		low, high, two := strings.Cut(rest[1:end], ",")
		v := interval{strings.TrimSpace(low), strings.TrimSpace(high), rest[0] == '[', rest[end] == ']'}
		if !two {
			v.high = v.low
		}
		if !two && (v.low == "" || !v.lowIn || !v.highIn) || strings.ContainsAny(v.low+v.high, "[(,") ||
			v.low != "" && v.high != "" && compareVersions(v.low, v.high) > 0 {
			return VersionRange{}, fmt.Errorf("Invalid version specification: %s", text) //nolint:staticcheck // the reference's text
		}
		out.intervals = append(out.intervals, v)
		rest = strings.TrimPrefix(strings.TrimSpace(rest[end+1:]), ",")
		rest = strings.TrimSpace(rest)
	}
	return out, nil
}

// Contains tells whether a version lies in the range.
func (r VersionRange) Contains(version string) bool {
	for _, v := range r.intervals {
		low, high := compareVersions(version, v.low), compareVersions(version, v.high)
		if (v.low == "" || low > 0 || low == 0 && v.lowIn) && (v.high == "" || high < 0 || high == 0 && v.highIn) {
			return true
		}
	}
	return false
}

// String is the range in Maven's notation.
func (r VersionRange) String() string {
	var out []string
	for _, v := range r.intervals {
		open, end := "(", ")"
		if v.lowIn {
			open = "["
		}
		if v.highIn {
			end = "]"
		}
		out = append(out, open+v.low+","+v.high+end)
	}
	return strings.Join(out, ",")
}

// compareVersions compares part by part: numbers by value, words as text and below a number or nothing when they name a
// pre-release.
func compareVersions(a, b string) int {
	x, y := versionParts(a), versionParts(b)
	for i := range max(len(x), len(y)) {
		if c := comparePart(partAt(x, i), partAt(y, i)); c != 0 {
			return c
		}
	}
	return 0
}

func versionParts(v string) []string {
	return strings.FieldsFunc(strings.ToLower(v), func(r rune) bool { return r == '.' || r == '-' || r == '_' })
}

func partAt(parts []string, i int) string {
	if i < len(parts) {
		return parts[i]
	}
	return ""
}

func comparePart(a, b string) int {
	rank := func(p string) (class, n int) {
		if n, err := strconv.Atoi(p); err == nil {
			return 0, n
		}
		switch p {
		case "", "final", "ga", "release":
			return 0, 0
		case "sp":
			return 0, 1
		}
		return -1, 0 // alpha, beta, cr, snapshot, …
	}
	ca, na := rank(a)
	cb, nb := rank(b)
	if ca != cb || ca == 0 {
		return cmp.Or(cmp.Compare(ca, cb), cmp.Compare(na, nb))
	}
	return cmp.Compare(a, b)
}
