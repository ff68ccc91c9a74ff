package bytes

import (
	"strings"
	"testing"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

func TestAppend(t *testing.T) {
	conv, err := New(nil, false)
	if err != nil {
		t.Fatal(err)
	}
	s := &connectors.Stream{Topic: "bets"}
	e, err := conv.Encoder(s)
	if err != nil {
		t.Fatal(err)
	}
	w := connectors.NewBuilder("{}", nil, nil)
	at := w.Stream(s)
	text := changes.Plain(schemas.String, false)
	w.Body(at, connectors.OpNone, connectors.Body{Value: schemas.Typed{Value: []byte("raw")}})
	w.Body(at, connectors.OpNone, connectors.Body{})
	w.Body(at, connectors.OpNone, connectors.Body{Value: schemas.Typed{Schema: text, Value: "x"}})
	b := w.Finish("", connectors.Order{})
	defer b.Release()
	if got, null, err := e.Append(nil, b, &b.Records[0]); err != nil || null || string(got) != "raw" {
		t.Errorf("got %s, %v, %v", got, null, err)
	}
	if _, null, err := e.Append(nil, b, &b.Records[1]); err != nil || !null {
		t.Errorf("null: got %v, %v", null, err)
	}
	_, _, err = e.Append(nil, b, &b.Records[2])
	if err == nil || !strings.Contains(err.Error(), "topic bets") || connectors.ClassOf(err) != connectors.Permanent {
		t.Errorf("got %v", err)
	}
}
