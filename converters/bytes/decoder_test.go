package bytes

import (
	"testing"

	"github.com/freshet-io/freshet/schemas"
)

func TestDecode(t *testing.T) {
	data := []byte{1, 0xff}
	got, err := decoder{}.Decode(data)
	data[0] = 7 // the value keeps no part of it
	if v, ok := got.Value.([]byte); err != nil || !ok || string(v) != "\x01\xff" || got.Schema.Kind != schemas.Bytes || !got.Schema.Optional {
		t.Errorf("%#v %v", got, err)
	}
	if got, err := (decoder{}).Decode(nil); err != nil || got.Value != nil || got.Schema == nil {
		t.Errorf("null: %#v %v", got, err)
	}
}
