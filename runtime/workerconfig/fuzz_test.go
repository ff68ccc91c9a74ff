package workerconfig

import (
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/freshet-io/freshet/connectors"
)

// FuzzProperties: any text is read or refused, and what java.util.Properties.store writes comes back.
func FuzzProperties(f *testing.F) {
	text, err := os.ReadFile("testdata/tricky.properties")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text, "a", "b")
	for _, s := range []string{"a=1", "a\\\n b", `\u00e9\ud83d=\`, "a\\", "\xef\xbb\xbfk:v", "#c\\\nk=v", "a=b\r\\\nc"} {
		f.Add([]byte(s), " #k:=\\", "\t v\n\r\f\\ é😀")
	}
	f.Fuzz(func(t *testing.T, text []byte, key, value string) {
		if m, err := ParseProperties(text); err == nil && len(m) > len(text)+1 {
			t.Fatalf("%q has %d keys", text, len(m))
		}
		if !utf8.ValidString(key) || !utf8.ValidString(value) || strings.Contains(value, "\ufeff") || strings.HasPrefix(key, "\ufeff") {
			return
		}
		for _, stored := range []string{
			"#Fri Jan 02 03:04:05 UTC 2026\n" + storeProperty(key, true) + "=" + storeProperty(value, false) + "\n",
			"  " + storeProperty(key, true) + " : " + storeProperty(value, false) + "\r\nother\r\n",
		} {
			m, err := ParseProperties([]byte(stored))
			if err != nil || m[key] != value {
				t.Fatalf("%q: got %q, %v, want %q=%q", stored, m, err, key, value)
			}
		}
	})
}

// storeProperty escapes as java.util.Properties.saveConvert does.
func storeProperty(s string, key bool) string {
	var out strings.Builder
	for i, r := range s {
		switch {
		case r == ' ' && (key || i == 0):
			out.WriteString(`\ `)
		case r == '\t':
			out.WriteString(`\t`)
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\r':
			out.WriteString(`\r`)
		case r == '\f':
			out.WriteString(`\f`)
		case strings.ContainsRune(`=:#!\`, r):
			out.WriteString(`\` + string(r))
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}

// FuzzReferences: text without a reference to a declared provider stays as it is, a found value takes exactly the place of its
// reference, and a value that looks like a reference is not resolved again.
func FuzzReferences(f *testing.F) {
	f.Add("a", "b", "${env:X}", "jdbc:${x:y}")
	f.Add("${", "}", "${file:a:b}", "${env:")
	f.Add("$", "${unknown:a}", "\n", "}${")
	f.Fuzz(func(t *testing.T, before, after, value, text string) {
		p := &Providers{byName: map[string]provider{"secret": func(path, key string) (string, bool, error) {
			return value, path == "place" && key == "password", nil
		}}}
		get := func(v string) string {
			c, err := p.Apply(connectors.Config{"k": v})
			if err != nil || len(c) != 1 {
				t.Fatalf("%q: %v, %v", v, c, err)
			}
			return c["k"]
		}
		if !strings.Contains(text, "secret:") {
			if got := get(text); got != text {
				t.Fatalf("%q became %q", text, got)
			}
		}
		if strings.Contains(before, "$") || strings.Contains(before+after, "secret:") {
			return
		}
		if got, want := get(before+"${secret:place:password}"+after+"${secret:place:user}"), before+value+after+"${secret:place:user}"; got != want && !strings.Contains(after, "$") {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}
