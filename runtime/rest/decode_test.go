package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/freshet-io/freshet/runtime/herder"
)

// TestDecodeErrors checks the texts that name the place; the reference's are recorded in scenario 02.
func TestDecodeErrors(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"name":`:                               "Unexpected end-of-input|line: 1, column: 9]",
		`{`:                                      "Unexpected end-of-input|line: 1, column: 2]",
		`not json`:                               "Unrecognized token 'not': was expecting|line: 1, column: 1]",
		"{\"name\":\"x\",\n\"config\":{}} tail":  "Unrecognized token 'tail': was expecting|line: 2, column: 14]",
		`{"name":"x"} {}`:                        "Trailing token found after value|",
		`{"config":{},}`:                         "Unexpected character ('}' (code 125))|column: 14]",
		`{'name':'x'}`:                           "Unexpected character (''' (code 39))|column: 2]",
		`[]`:                                     "Cannot deserialize value of type `CreateConnectorRequest` from Array value|column: 1]",
		`"x"`:                                    "from String value|column: 1]",
		`1`:                                      "from Number value|column: 1]",
		`true`:                                   "from Boolean value|column: 1]",
		`{"bogus":1}`:                            "Unrecognized field \"bogus\"|(through reference chain: [\"bogus\"])",
		`{"config":[]}`:                          "Cannot deserialize value of type `Map<String, String>` from Array value|column: 11]",
		`{"config":"y"}`:                         "from String value|chain: [\"config\"])",
		`{"config":{"a":{"b":1}}}`:               "Cannot deserialize value of type `String` from Object value|column: 16] (through reference chain: [\"config\"]->[\"a\"])",
		`{"config":{"a":["b"]}}`:                 "from Array value|chain: [\"config\"]->[\"a\"])",
		`{"name":{}}`:                            "from Object value|column: 9]",
		`{"initial_state":"BAD"}`:                "problem: \"BAD\" is not one of RUNNING, PAUSED, STOPPED|column: 18]",
		`{"name":"a` + "\xff" + `"}`:             "Invalid UTF-8 byte 0xff|column: 11]",
		`{"name":tru}`:                           "Unrecognized token 'tru'|column: 9]",
		`{"name":01}`:                            "Unrecognized token '1'|column: 10]",
		`{"name" "x"}`:                           "|line: 1",
		`{"a":1 "b":2}`:                          "Unrecognized field|",
		strings.Repeat(`{"config":`, 5000) + `1`: "from Object value|chain: [\"config\"]->[\"config\"])",
	} {
		_, _, err := decode([]byte(body), (*decoder).createRequest)
		var h *httpError
		first, second, _ := strings.Cut(want, "|")
		if !errors.As(err, &h) || h.status != 500 || !strings.Contains(h.message, first) || !strings.Contains(h.message, second) {
			t.Errorf("%.80s: %.300v", body, err)
		}
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	r, ok, err := decode([]byte("\xef\xbb\xbf {\"name\":5,\"config\":{\"a\":1.50,\"b\":true,\"c\":null,\"d\":\"\\u00fc\"},\"initial_state\":\"paused\"} \n"), (*decoder).createRequest)
	if err != nil || !ok || *r.name != "5" || r.initial != "PAUSED" || len(r.config) != 4 || *r.config["a"] != "1.50" || *r.config["b"] != "true" || r.config["c"] != nil || *r.config["d"] != "ü" {
		t.Errorf("%+v %v", r, err)
	}
	for _, none := range []string{"", " ", "null", " null\n"} {
		if _, ok, err := decode([]byte(none), (*decoder).properties); ok || err != nil {
			t.Errorf("%q: %v %v", none, ok, err)
		}
	}
	entries, ok, err := decode([]byte(`{"offsets":[{"partition":{"a":[1, {}]},"offset":null},{"offset":{"b":1e3}},{}]}`), (*decoder).offsets)
	want := []herder.OffsetEntry{{Partition: raw(`{"a":[1, {}]}`)}, {Offset: raw(`{"b":1e3}`)}, {}}
	if err != nil || !ok || !reflect.DeepEqual(entries, want) {
		t.Errorf("%s %v", entries, err)
	}
	if _, _, err := decode([]byte(`{"offsets":[{"partition":[1]}]}`), (*decoder).offsets); err == nil {
		t.Error("a partition that is a list is read")
	}
	tasks, ok, err := decode([]byte(`[{"a":1,"b":null},{}]`), (*decoder).taskConfigs)
	if err != nil || !ok || len(tasks) != 2 || len(tasks[0]) != 1 || tasks[0]["a"] != "1" {
		t.Errorf("%v %v", tasks, err)
	}
}

// FuzzDecode compares what is read with what encoding/json makes of it.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"a":"b"}`, `{"a":1e5,"b":true,"c":null}`, `{"a":{}}`, `[]`, `{`, `nul`, "{\"a\":\"\\ud800\"}", `{"a":1}x`, `{"":""}`, `{"a":1,"a":2}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, read := range []func([]byte) error{
			func(b []byte) error { _, _, err := decode(b, (*decoder).createRequest); return err },
			func(b []byte) error { _, _, err := decode(b, (*decoder).offsets); return err },
			func(b []byte) error { _, _, err := decode(b, (*decoder).taskConfigs); return err },
		} {
			if err := read(body); err == nil && !json.Valid(trim(body)) {
				t.Errorf("%q is read", body)
			}
		}
		got, ok, err := decode(body, (*decoder).properties)
		want, valid := reference(body)
		switch {
		case !valid && err == nil && ok:
			t.Errorf("%q is read as %v", body, got)
		case valid && (err != nil || !reflect.DeepEqual(texts(got), texts(want))):
			t.Errorf("%q: %v %v, want %v", body, got, err, want)
		}
	})
}

func trim(b []byte) []byte {
	b = bytes.TrimSpace(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))
	if len(b) == 0 {
		return []byte("null")
	}
	return b
}

// reference reads an object of scalars with encoding/json.
func reference(b []byte) (herder.Properties, bool) {
	d := json.NewDecoder(bytes.NewReader(trim(b)))
	d.UseNumber()
	var object map[string]any
	if !utf8.Valid(b) || !json.Valid(trim(b)) || d.Decode(&object) != nil || object == nil {
		return nil, false
	}
	out := herder.Properties{}
	for k, v := range object {
		switch v := v.(type) {
		case nil:
			out[k] = nil
		case string:
			out[k] = &v
		case json.Number:
			out[k] = pointer(v.String())
		case bool:
			out[k] = pointer(map[bool]string{true: "true", false: "false"}[v])
		default:
			return nil, false
		}
	}
	return out, true
}

// FuzzPath compares the segments with what net/url makes of the path, and names with what comes back of their Location.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/", "//", "/a/b/", "/a%2Fb", "/a;x=1/b", "/%zz", "/%ff", "/..", "/%2e", "/a?b#c", "/ü", "/a%3Bb", "/a%25", "/ "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		segments, err := splitPath(target)
		if err != nil {
			var bad *badPath
			if !errors.As(err, &bad) || bad.message == "" {
				t.Errorf("%q: %v", target, err)
			}
			return
		}
		path, _, _ := strings.Cut(target, "?")
		path, _, _ = strings.Cut(path, "#")
		decoded, err := url.PathUnescape(path)
		if err != nil {
			t.Errorf("%q: %q, but net/url says %v", target, segments, err)
			return
		}
		if !strings.ContainsAny(target, ";") && strings.Trim(strings.Join(segments, "/"), "/") != strings.Trim(decoded, "/") {
			t.Errorf("%q: %q", target, segments)
		}
		for _, s := range segments {
			if s == "" || strings.ContainsAny(s, ";#?") {
				continue
			}
			again, err := splitPath("/connectors/" + escapeName(s))
			if err != nil || len(again) != 2 || again[1] != s {
				t.Errorf("%q: its Location is %q, which is read as %q %v", s, escapeName(s), again, err)
			}
		}
	})
}

func TestUsersFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/empty", "# nobody\n")
	write(t, dir+"/users", "a=b\n")
	write(t, dir+"/other.conf", "Other { x required file=\"f\"; };")
	write(t, dir+"/ldap.conf", "KafkaConnect { com.sun.LdapLoginModule required file=\"f\"; };")
	write(t, dir+"/nofile.conf", "KafkaConnect { a.PropertyFileLoginModule required debug=\"true\"; };")
	write(t, dir+"/quoted.conf", "// users\nKafkaConnect {\n a.b.PropertyFileLoginModule required\n debug=\"true\"\n file=\""+dir+"/users\";\n};")
	for opts, want := range map[string]string{
		"": "freshet.rest.basic.auth.file",
		"-Djava.security.auth.login.config=/none":                   "no such file",
		"-Djava.security.auth.login.config=" + dir + "/other.conf":  "there is no entry KafkaConnect",
		"-Djava.security.auth.login.config=" + dir + "/ldap.conf":   "LdapLoginModule is Java",
		"-Djava.security.auth.login.config=" + dir + "/nofile.conf": "has no file=",
	} {
		if _, _, err := loginFile(opts); err == nil || !strings.Contains(err.Error(), want) {
			if opts == "-Djava.security.auth.login.config=/none" && err != nil {
				continue
			}
			t.Errorf("%s: %v", opts, err)
		}
	}
	if file, _, err := loginFile(`-Xmx1g "-Dx=y" -Djava.security.auth.login.config="` + dir + `/quoted.conf" -Dz`); err != nil || file != dir+"/users" {
		t.Errorf("%s %v", file, err)
	}
}
