package deadletter

import (
	"bytes"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
)

// Whatever bytes a record has, it is one line, and read back the same.
func FuzzLine(f *testing.F) {
	for _, seed := range []string{"", "null", `{"a": 1}`, `{"a":1.00,"b":"<\u2028>"}`, "{\"a\":\"\u2028\"}", "not json", "\xff\x00", "a\nb", ` {"a":1}`, `"é"`, "1e5", `{"a":1,"a":2}`} {
		f.Add([]byte(seed), []byte(seed), []byte(seed), int64(7), uint8(0))
	}
	f.Fuzz(func(t *testing.T, key, value, header []byte, timestamp int64, null uint8) {
		in := &Record{Key: key, Value: value, Timestamp: max(timestamp, -1), Headers: []connectors.RawHeader{{Key: []byte("h"), Value: header}, {Key: []byte("h")}}}
		if null&1 > 0 {
			in.Key = nil
		}
		if null&2 > 0 {
			in.Value = nil
		}
		line, err := AppendLine(nil, in)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsAny(line, "\n\r") {
			t.Fatalf("more than a line: %q", line)
		}
		out, err := ParseLine(line)
		if err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		same(t, "key", in.Key, out.Key)
		same(t, "value", in.Value, out.Value)
		if len(out.Headers) != 2 || out.Timestamp != in.Timestamp {
			t.Fatalf("%+v is read as %+v", in, out)
		}
		same(t, "header", in.Headers[0].Value, out.Headers[0].Value)
		same(t, "header", nil, out.Headers[1].Value)
	})
}

func same(t *testing.T, what string, want, got []byte) {
	t.Helper()
	if !bytes.Equal(want, got) || (want == nil) != (got == nil) {
		t.Fatalf("%s %q is read as %q", what, want, got)
	}
}

// The form of a line is documented.
func TestLine(t *testing.T) {
	line, err := AppendLine(nil, &Record{
		Key: []byte(`{"id":1}`), Value: []byte("{\"id\":"), Timestamp: 1700000000000,
		Headers: []connectors.RawHeader{{Key: []byte("a"), Value: []byte("text")}, {Key: []byte("b"), Value: []byte{0xff}}, {Key: []byte("c")}},
	})
	const want = `{"timestamp":1700000000000,"headers":[{"name":"a","value":"text"},{"name":"b","value_base64":"/w=="},{"name":"c"}],"key":{"id":1},"value_text":"{\"id\":"}`
	if err != nil || string(line) != want {
		t.Errorf("got  %s, %v\nwant %s", line, err, want)
	}
	for text, want := range map[string]string{
		`{"key":1,"key_text":"1"}`:  "in more than one form",
		`{"value_base64":"!"}`:      "illegal base64",
		`{"headers":[{"name":1}]}`:  "read a dead letter",
		`{"headers":[],"key":{"a":`: "read a dead letter",
	} {
		if _, err := ParseLine([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
