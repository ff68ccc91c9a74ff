package json

import (
	"bytes"
	"os"
	"testing"
)

// Every schema of the recordings of the reference comes out as it went in.
func TestSchemaRoundTrip(t *testing.T) {
	text, err := os.ReadFile("testdata/schemas.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	o := options{schemas: true, nullDefault: true}
	n := 0
	for _, line := range bytes.Split(bytes.TrimSpace(text), []byte("\n")) {
		s, err := ParseSchema(line)
		if err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		got, err := o.appendSchema(nil, s, "")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, line) {
			t.Errorf("got  %s\nwant %s", got, line)
		}
		n++
	}
	if n < 90 {
		t.Fatalf("only %d schemas were compared", n)
	}
}
