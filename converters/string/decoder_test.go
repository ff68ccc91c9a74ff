package string

import (
	"strings"
	"testing"
)

func TestDecode(t *testing.T) {
	for in, want := range map[string]string{"": "", "é\x00": "é\x00", "a\xffb": "a�b"} {
		if got, err := (decoder{}).Decode([]byte(in)); err != nil || got.Value != want {
			t.Errorf("%q: %#v %v", in, got, err)
		}
	}
	if got, err := (decoder{}).Decode(nil); err != nil || got.Value != nil || got.Schema == nil {
		t.Errorf("null: %#v %v", got, err)
	}
}

func BenchmarkDecode(b *testing.B) {
	data := []byte(strings.Repeat("x", 480))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (decoder{}).Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}
