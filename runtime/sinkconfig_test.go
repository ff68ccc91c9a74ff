package runtime

import (
	"maps"
	"testing"

	"github.com/freshet-io/freshet/connectors"
)

// definedSink is a sink that only describes itself.
type definedSink struct{ connectors.SinkFactory }

func (definedSink) Describe() connectors.Description {
	def := &connectors.ConfigDef{Keys: []connectors.Key{
		{Name: "bootstrap.servers"}, {Name: "key.converter"}, {Name: "key.converter.", Prefix: true},
	}}
	return connectors.Description{Class: defaultSink, Config: def}
}

// A converter and its settings come from the connector or from the worker, never one from here and one from there.
func TestSinkConfigLeavesFamiliesToTheSink(t *testing.T) {
	w := &Worker{options: Options{Config: connectors.Config{"bootstrap.servers": "a:1", "key.converter": "Json", "key.converter.schemas.enable": "false"}}}
	got := w.sinkConfig(definedSink{}, connectors.Config{"key.converter.decimal.format": "NUMERIC"})
	want := connectors.Config{"bootstrap.servers": "a:1", "key.converter.decimal.format": "NUMERIC"}
	if !maps.Equal(got, want) {
		t.Errorf("sinkConfig = %v, want %v", got, want)
	}
}
