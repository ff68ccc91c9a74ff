package string

import (
	"testing"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

func TestToString(t *testing.T) {
	row := &schemas.Schema{Kind: schemas.Struct, Fields: []schemas.Field{
		{Name: "Id_Nr", Schema: changes.Plain(schemas.Int32, false)},
		{Name: "t", Schema: changes.Plain(schemas.String, true)},
		{Name: "n", Schema: changes.DecimalSchema(6, 2, true)},
		{Name: "d", Schema: changes.Logical(schemas.Int32, changes.NameConnectDate, true)},
	}}
	for _, test := range []struct {
		schema *schemas.Schema
		value  schemas.Value
		want   string
	}{
		{row, schemas.StructValue{int32(1), nil, nil, nil}, "Struct{Id_Nr=1}"},
		{row, schemas.StructValue{int32(1), "a,b", []byte{0xFF, 0x6A}, int32(19783)}, "Struct{Id_Nr=1,t=a,b,n=-1.50,d=Fri Mar 01 00:00:00 UTC 2024}"},
		{nil, schemas.ArrayValue{int64(1), nil, 1e10, true}, "[1, null, 1.0E10, true]"},
		{nil, schemas.MapValue{{Key: "a", Value: "x"}, {Key: "b"}}, "{a=x, b=null}"},
	} {
		if got := string(appendValue(nil, test.schema, test.value)); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

func TestAppend(t *testing.T) {
	conv, err := New(connectors.Config{"converter.encoding": "UTF8"}, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(connectors.Config{"converter.encoding": "latin1"}, true); err == nil {
		t.Error("latin1 was taken")
	}
	s := &connectors.Stream{Key: &schemas.Schema{Kind: schemas.Struct, Fields: []schemas.Field{{Name: "id", Schema: changes.Plain(schemas.Int32, false)}}}}
	s.KeyFields = []connectors.Field{{Name: "id", Schema: s.Key.Fields[0].Schema}}
	e, err := conv.Encoder(s)
	if err != nil {
		t.Fatal(err)
	}
	w := connectors.NewBuilder("{}", nil, nil)
	w.Begin(w.Stream(s), connectors.OpDelete)
	w.Key()
	w.Int(5)
	w.Commit()
	b := w.Finish("", connectors.Order{})
	defer b.Release()
	if got, null, err := e.Append(nil, b, &b.Records[0]); err != nil || null || string(got) != "Struct{id=5}" {
		t.Errorf("got %s, %v, %v", got, null, err)
	}
}
