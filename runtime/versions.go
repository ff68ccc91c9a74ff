package runtime

import (
	"cmp"
	"fmt"
	"slices"
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

// compareVersions orders versions as Maven does (org.apache.maven.artifact.versioning.ComparableVersion), by which the reference
// chooses: 1.0-alpha < 1.0-rc1 < 1.0-SNAPSHOT < 1.0 = 1.0.0 = 1.0.Final < 1.0-sp < 1.0-1 < 1.0.1.
func compareVersions(a, b string) int {
	return compareItems(versionItems(strings.ToLower(a)), versionItems(strings.ToLower(b)))
}

// versionItem is a number, a word, or what follows a hyphen or a change between digits and letters.
type versionItem struct {
	kind   itemKind
	number string // without leading zeros; "": zero
	word   string // as it is ordered
	list   []versionItem
}

type itemKind uint8

const (
	wordItem itemKind = iota // in the order of their ranks: a word is below a list, a list below a number
	listItem
	numberItem
)

// versionItems splits a version; each list is the last item of the one around it.
func versionItems(v string) []versionItem {
	lists := [][]versionItem{nil}
	add := func(i versionItem) { lists[len(lists)-1] = append(lists[len(lists)-1], i) }
	word := func() { // a dot before a word is as good as a hyphen
		if len(lists[len(lists)-1]) > 0 {
			lists = append(lists, nil)
		}
	}
	start, digits := 0, false
	for i, r := range v {
		isDigit := r >= '0' && r <= '9'
		switch {
		case r == '.' || r == '-':
			if i == start {
				add(versionItem{kind: numberItem})
			} else {
				add(readItem(v[start:i], digits, false))
			}
			start = i + 1
			if r == '-' {
				lists = append(lists, nil)
			}
		case isDigit != digits && i > start:
			if !digits {
				word()
			}
			add(readItem(v[start:i], digits, isDigit))
			start = i
			lists = append(lists, nil)
			digits = isDigit
		default:
			digits = isDigit
		}
	}
	if start < len(v) {
		if !digits {
			word()
		}
		add(readItem(v[start:], digits, false))
	}
	var inner []versionItem
	for i, list := range slices.Backward(lists) {
		if i < len(lists)-1 && len(inner) > 0 {
			list = append(list, versionItem{kind: listItem, list: inner})
		}
		inner = trimItems(list)
	}
	return inner
}

func readItem(text string, digits, beforeDigit bool) versionItem {
	if digits {
		return versionItem{kind: numberItem, number: strings.TrimLeft(text, "0")}
	}
	if long := map[string]string{"a": "alpha", "b": "beta", "m": "milestone"}[text]; beforeDigit && long != "" {
		text = long
	}
	return versionItem{word: wordRank(text)}
}

// release is the rank of no word at all.
const release = "5"

// wordRank is text by which words are ordered: the known ones, then the others.
func wordRank(word string) string {
	known := []string{"alpha", "beta", "milestone", "rc", "snapshot", "", "sp"}
	switch word {
	case "ga", "final", "release":
		word = ""
	case "cr":
		word = "rc"
	}
	if i := slices.Index(known, word); i >= 0 {
		return strconv.Itoa(i)
	}
	return strconv.Itoa(len(known)) + "-" + word
}

func (i versionItem) nothing() bool {
	switch i.kind {
	case numberItem:
		return i.number == ""
	case listItem:
		return len(i.list) == 0
	}
	return i.word == release
}

// trimItems removes what means nothing at the end and before words.
func trimItems(list []versionItem) []versionItem {
	for i := len(list) - 1; i >= 0; i-- {
		switch {
		case list[i].nothing():
			if i == len(list)-1 || list[i+1].kind == wordItem || list[i+1].kind == listItem && list[i+1].list[0].kind == wordItem {
				list = slices.Delete(list, i, i+1)
			}
		case list[i].kind != listItem:
			return list
		}
	}
	return list
}

func compareItems(a, b []versionItem) int {
	for i := range max(len(a), len(b)) {
		var c int
		switch {
		case i >= len(a):
			c = -compareToNothing(b[i])
		case i >= len(b):
			c = compareToNothing(a[i])
		default:
			c = compareItem(a[i], b[i])
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

func compareToNothing(i versionItem) int {
	switch i.kind {
	case numberItem:
		return min(len(i.number), 1)
	case listItem:
		for _, e := range i.list {
			if c := compareToNothing(e); c != 0 {
				return c
			}
		}
		return 0
	}
	return cmp.Compare(i.word, release)
}

func compareItem(a, b versionItem) int {
	if a.kind != b.kind {
		return cmp.Compare(a.kind, b.kind)
	}
	switch a.kind {
	case numberItem:
		return cmp.Or(cmp.Compare(len(a.number), len(b.number)), cmp.Compare(a.number, b.number))
	case listItem:
		return compareItems(a.list, b.list)
	}
	return cmp.Compare(a.word, b.word)
}
