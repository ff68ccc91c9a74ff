package offsets

import (
	"encoding/json"
	"reflect"
	"testing"
	"unicode/utf8"
)

// FuzzKey: a key of the offset topic that is understood names what encoding/json reads in it, and is written so that it is
// understood the same.
func FuzzKey(f *testing.F) {
	for _, s := range []string{
		`["types_pg",{"server":"types_pg"}]`, `["mysql",{"server":"orders"}]`, ` [ "a\u0000é<" , { "b" : 1.50, "a" : null } ] `,
		`["",{}]`, `[null,{}]`, `["a",{"b":[]}]`, `["a"]`, `["a",{"x":1,"x":2}]`, `["local-file",{"filename":"/tmp/a \\ b"}]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, key []byte) {
		connector, p, err := DecodeKey(key)
		if err != nil {
			return
		}
		var oracle []any
		if err := json.Unmarshal(key, &oracle); err != nil || len(oracle) != 2 || oracle[0] != connector {
			t.Fatalf("%q: connector %q, the oracle says %v, %v", key, connector, oracle, err)
		}
		var members map[string]any
		if err := json.Unmarshal([]byte(p), &members); err != nil || !reflect.DeepEqual(members, oracle[1]) {
			t.Fatalf("%q: partition %s, the oracle says %v, %v", key, p, oracle[1], err)
		}
		written, err := EncodeKey(connector, p)
		if err != nil {
			t.Fatal(err)
		}
		again, q, err := DecodeKey(written)
		if err != nil || again != connector || q != p {
			t.Fatalf("%q was written as %q: %q %q, %v", key, written, again, q, err)
		}
	})
}

// FuzzOffset: the members of an offset keep their order and their text.
func FuzzOffset(f *testing.F) {
	for _, s := range []string{
		`{"lsn_proc":548770984,"messageType":"DELETE","lsn_commit":548770872,"lsn":548770984,"txId":3229,"ts_usec":1795207888566586}`,
		`{"transaction_id":null,"file":"binlog.000003","pos":1.50e3,"gtids":"a:1-5"}`, `{"z":1,"a":2}`, `{"a":"\ud800"}`, `{"a":{}}`, `{}{}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		o, err := ParseOffset(text)
		if valid := json.Valid(text); err == nil && !valid {
			t.Fatalf("%q is no JSON, but became %s", text, o)
		}
		if err != nil {
			return
		}
		var got, want map[string]json.RawMessage
		if err := json.Unmarshal([]byte(o), &got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &want); err != nil || utf8.Valid(text) && !reflect.DeepEqual(got, want) {
			t.Fatalf("%q became %s", text, o)
		}
		if again, err := ParseOffset([]byte(o)); err != nil || again != o {
			t.Fatalf("%s became %s, %v", o, again, err)
		}
	})
}
