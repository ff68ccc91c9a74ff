package number

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/schemas"
)

// set finds the converters by the names that configurations use.
func set(t *testing.T, name string, key bool) (converters.Converter, converters.Decoder) {
	t.Helper()
	part := "value.converter"
	if key {
		part = "key.converter"
	}
	conv, err := converters.Set(Kinds()).New(part, connectors.Config{part: name}, nil)
	if err != nil {
		t.Fatal(err)
	}
	dec, err := converters.Set(Kinds()).NewDecoder(part, connectors.Config{part: name}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return conv, dec
}

func write(t *testing.T, conv converters.Converter, body connectors.Body) ([]byte, bool, error) {
	t.Helper()
	s := &connectors.Stream{Topic: "bets"}
	e, err := conv.Encoder(s)
	if err != nil {
		t.Fatal(err)
	}
	w := connectors.NewBuilder("{}", nil, nil)
	w.Body(w.Stream(s), connectors.OpNone, body)
	b := w.Finish("", connectors.Order{})
	defer b.Release()
	return e.Append([]byte("before"), b, &b.Records[0])
}

// The bytes are those of Kafka's serializers.
func TestWritesAndReads(t *testing.T) {
	for _, c := range []struct {
		class string
		value schemas.Value
		bytes string
	}{
		{"org.apache.kafka.connect.converters.BooleanConverter", true, "\x01"},
		{"BooleanConverter", false, "\x00"},
		{"ShortConverter", int16(-2), "\xff\xfe"},
		{"IntegerConverter", int32(math.MinInt32), "\x80\x00\x00\x00"},
		{"Integer", int32(258), "\x00\x00\x01\x02"},
		{"org.apache.kafka.connect.converters.LongConverter", int64(math.MaxInt64), "\x7f\xff\xff\xff\xff\xff\xff\xff"},
		{"LongConverter", int64(-1), "\xff\xff\xff\xff\xff\xff\xff\xff"},
		{"FloatConverter", float32(-1.5), "\xbf\xc0\x00\x00"},
		{"DoubleConverter", 1.5, "\x3f\xf8\x00\x00\x00\x00\x00\x00"},
		{"DoubleConverter", math.Inf(-1), "\xff\xf0\x00\x00\x00\x00\x00\x00"},
	} {
		for _, key := range []bool{true, false} {
			conv, dec := set(t, c.class, key)
			body := connectors.Body{Value: schemas.Typed{Value: c.value}}
			if key {
				body = connectors.Body{Key: body.Value, Value: schemas.Typed{Value: "another"}}
			}
			if got, null, err := write(t, conv, body); err != nil || null || string(got) != "before"+c.bytes {
				t.Errorf("%s, key %v: wrote %x, %v, %v", c.class, key, got, null, err)
			}
			if got, err := dec.Decode([]byte(c.bytes)); err != nil || got.Value != c.value || !got.Schema.Optional {
				t.Errorf("%s: read %#v, %v", c.class, got, err)
			}
			if _, null, err := write(t, conv, connectors.Body{}); err != nil || !null {
				t.Errorf("%s: null is %v, %v", c.class, null, err)
			}
			if got, err := dec.Decode(nil); err != nil || got.Value != nil || got.Schema == nil {
				t.Errorf("%s: read null as %#v, %v", c.class, got, err)
			}
		}
	}
}

func TestRefusesOtherTypes(t *testing.T) {
	long, _ := set(t, "LongConverter", false)
	for want, value := range map[string]schemas.Typed{
		"the value has type int32;":     {Schema: changes.Plain(schemas.Int32, false), Value: int32(7)},
		"the value has no schema;":      {Value: "7"},
		"the value has type int64 (org": {Schema: changes.Logical(schemas.Int64, changes.NameConnectTS, false), Value: int64(7)},
	} {
		got, _, err := write(t, long, connectors.Body{Value: value})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "topic bets: LongConverter takes int64 only") {
			t.Errorf("%v: %v", value, err)
		}
		if connectors.ClassOf(err) != connectors.Permanent || string(got) != "before" {
			t.Errorf("%v: %v, %q", value, connectors.ClassOf(err), got)
		}
	}
}

func TestRefusesOtherBytes(t *testing.T) {
	for in, want := range map[string]string{"LongConverter/\x00": "takes 8 bytes, and there are 1", "BooleanConverter/\x02": "takes 0 or 1, and there is 2", "ShortConverter/": "takes 2 bytes, and there are 0"} {
		class, data, _ := strings.Cut(in, "/")
		_, dec := set(t, class, false)
		if _, err := dec.Decode([]byte(data)); err == nil || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%q: %v", in, err)
		}
	}
}
