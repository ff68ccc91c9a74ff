package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/avro"
	"github.com/freshet-io/freshet/converters/jsonschema"
	"github.com/freshet-io/freshet/converters/protobuf"
	"github.com/freshet-io/freshet/schemas"
	"github.com/freshet-io/freshet/testbed"
)

func registryCall(t *testing.T, method, url, body string) string {
	t.Helper()
	status, text := testbed.Call(t, method, url, body)
	if status != http.StatusOK {
		t.Fatalf("%s %s: %d %s", method, url, status, text)
	}
	return text
}

// betOf is a row with its schema; every field beyond the first is optional.
func betOf(fields ...string) schemas.Typed {
	s := &schemas.Schema{Kind: schemas.Struct, Name: "shop.Bet", Fields: []schemas.Field{{Name: "id", Schema: &schemas.Schema{Kind: schemas.Int64}}}}
	v := schemas.StructValue{int64(7)}
	for _, name := range fields {
		s.Fields = append(s.Fields, schemas.Field{Name: name, Schema: &schemas.Schema{Kind: schemas.String, Optional: true}})
		v = append(v, name)
	}
	return schemas.Typed{Schema: s, Value: v}
}

func encodeBody(t *testing.T, e converters.Encoder, s *connectors.Stream, v schemas.Typed) ([]byte, error) {
	t.Helper()
	w := connectors.NewBuilder("{}", nil, nil)
	w.Body(w.Stream(s), connectors.OpNone, connectors.Body{Value: v})
	b := w.Finish("", connectors.Order{})
	defer b.Release()
	out, _, err := e.Append(nil, b, &b.Records[0])
	return out, err
}

// TestRegistryConverters writes against a real registry: a new column makes version 2, a change that the subject's compatibility forbids is
// permanent and says so, a registry that is killed is waited for, and what was written reads the same.
func TestRegistryConverters(t *testing.T) {
	t.Parallel()
	for _, kind := range []converters.Kind{avro.Kind(), jsonschema.Kind(), protobuf.Kind()} {
		t.Run(kind.Aliases[0], func(t *testing.T) {
			t.Parallel()
			againstRegistry(t, kind)
		})
	}
}

func againstRegistry(t *testing.T, kind converters.Kind) {
	t.Helper()
	server := testbed.StartRegistry(t)
	c := connectors.Config{"schema.registry.url": server.URL(), "max.retries": "1", "retries.wait.ms": "10"}
	switch kind.Class {
	case protobuf.Class:
		c["enhanced.protobuf.schema.support"] = "true" // names with their package
	case jsonschema.Class:
		c["object.additional.properties"] = "false" // a new column is compatible
	}
	conv, err := kind.New(c, false)
	if err != nil {
		t.Fatal(err)
	}
	s := &connectors.Stream{Topic: "bets"}
	e, err := conv.Encoder(s)
	if err != nil {
		t.Fatal(err)
	}
	one, two := betOf("note"), betOf("note", "country")
	first, err := encodeBody(t, e, s, one)
	if err != nil {
		t.Fatal(err)
	}
	subject := server.URL() + "/subjects/bets-value/versions"

	server.Kill(t)
	if _, err := encodeBody(t, e, s, two); connectors.ClassOf(converters.Classify(err)) != connectors.Retriable || err == nil {
		t.Fatalf("while the registry is away: %v", err)
	}
	if again, err := encodeBody(t, e, s, one); err != nil || !bytes.Equal(again, first) {
		t.Fatalf("a known schema needs the registry: %v", err)
	}
	server.Restart(t)
	registryCall(t, http.MethodPut, server.URL()+"/config/bets-value", `{"compatibility":"BACKWARD"}`)
	second, err := encodeBody(t, e, s, two)
	if err != nil {
		t.Fatal(err)
	}
	if got := registryCall(t, http.MethodGet, subject, ""); got != "[1,2]" {
		t.Errorf("versions %s", got)
	}

	bad := betOf()
	bad.Schema.Fields[0].Schema = &schemas.Schema{Kind: schemas.String}
	bad.Value = schemas.StructValue{"text"}
	_, err = encodeBody(t, e, s, bad)
	if err == nil || connectors.ClassOf(converters.Classify(err)) != connectors.Permanent || !strings.Contains(err.Error(), "bets-value") || !strings.Contains(err.Error(), "not compatible") {
		t.Errorf("an incompatible schema: %v", err)
	}
	t.Log(err)

	d, err := kind.Decode(c)
	if err != nil {
		t.Fatal(err)
	}
	for i, message := range [][]byte{first, second} {
		got, err := d.Decode(message)
		want := []schemas.Typed{one, two}[i]
		a, _ := json.Marshal(got.Value)
		b, _ := json.Marshal(want.Value)
		if err != nil || !bytes.Equal(a, b) || got.Schema.Name != want.Schema.Name {
			t.Errorf("got %s, want %s (%v)", a, b, err)
		}
	}
}
