package workerconfig

import (
	"fmt"
	"net"
	"os"
	"strconv"
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

// FuzzListener: a text is refused, or an address that net takes.
func FuzzListener(f *testing.F) {
	for _, s := range []string{"http://:8083", "HTTPS://[::1]:8443", "http://a:65536", "ftp://a:1", "http://[fe80::1%eth0]:1", "http://::1:8083", "http://a:-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := parseListener(s)
		if err != nil {
			return
		}
		host, port, err := net.SplitHostPort(l.Address())
		if err != nil || host != l.Host || port != strconv.Itoa(l.Port) || l.Protocol != "http" && l.Protocol != "https" {
			t.Fatalf("%q: %+v, %v", s, l, err)
		}
	})
}

// FuzzEnvironment: no variable makes the reader fail or the log show a secret (I12).
func FuzzEnvironment(f *testing.F) {
	f.Add("CONNECT_SASL_JAAS_CONFIG", "x")
	f.Add("BOOTSTRAP_SERVERS", "a:1")
	f.Add("CONNECT___", "=")
	f.Add("CONNECT_A__B___C", "${env:X}")
	f.Fuzz(func(t *testing.T, name, value string) {
		if strings.ContainsAny(name, "=\x00") {
			return
		}
		const secret = "Tr0ub4dor"
		c, err := Read("", Distributed, []string{"BOOTSTRAP_SERVERS=b:1", "CONFIG_STORAGE_TOPIC=c", "OFFSET_STORAGE_TOPIC=o", name + "=" + value, "CONNECT_" + name + "_PASSWORD=" + secret})
		if c == nil {
			return // a config provider that is not one
		}
		text := fmt.Sprint(err, c.Warnings, c.Settings())
		if strings.Contains(text, secret) && !strings.Contains(name+value, secret) {
			t.Fatalf("%q=%q: %s", name, value, text)
		}
	})
}
