package herder

import (
	_ "embed"
	"maps"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
)

//go:embed clientkeys.tsv
var clientKeys string

// clientDef is the definition of one of Kafka's clients: 'p' producer, 'c' consumer, 'a' admin.
func clientDef(client byte) *connectors.ConfigDef {
	def := &connectors.ConfigDef{Style: connectors.StyleConnect}
	for line := range strings.Lines(clientKeys) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 5 || strings.IndexByte(f[0], client) < 0 {
			continue
		}
		k := connectors.Key{Name: f[1], Type: connectors.ValueType(f[2]), Importance: f[3], Doc: "A key of Kafka's client."}
		switch f[4] {
		case "-":
			k.Required = true
		case "null":
		default:
			k.Default, k.HasDefault = f[4], true
		}
		def.Keys = append(def.Keys, k)
	}
	return def
}

// clientConfigError is a client property that cannot be read: the reference answers it with a 500.
type clientConfigError struct{ message string }

func (e *clientConfigError) Error() string { return e.message }

// overridden lists the client properties that a connector overrides (producer.override.*, …) for the clients that it has, with
// what the worker's policy has against them.
func (b *answer) overridden(c connectors.Config, kind runtime.PluginType) ([]ConfigInfo, *clientConfigError) {
	sink := kind == runtime.SinkPlugin
	dead := strings.TrimSpace(c["errors.deadletterqueue.topic.name"]) != ""
	creates := false
	for name := range c {
		creates = creates || strings.HasPrefix(name, "topic.creation.")
	}
	var out []ConfigInfo
	for _, client := range []struct {
		prefix string
		letter byte
		used   bool
	}{
		{"producer.override.", 'p', !sink || dead},
		{"consumer.override.", 'c', sink},
		{"admin.override.", 'a', sink && dead || !sink && creates},
	} {
		own := connectors.Config{}
		for name, v := range c {
			if rest, ok := strings.CutPrefix(name, client.prefix); ok && client.used {
				own[rest] = v
			}
		}
		if len(own) == 0 {
			continue
		}
		list, err := b.clientInfos(own, clientDef(client.letter), client.prefix)
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

func (b *answer) clientInfos(own connectors.Config, def *connectors.ConfigDef, prefix string) ([]ConfigInfo, *clientConfigError) {
	values, _ := def.Validate(own)
	var out []ConfigInfo
	for _, name := range hashOrder(slices.Sorted(maps.Keys(own))) {
		given := own[name]
		e := ConfigInfo{Value: &ValueInfo{Name: prefix + name, Value: &given, Recommended: []string{}, Errors: []string{}, Visible: true}}
		if k := def.Find(name); k != nil {
			info := keyInfo(def, k, prefix+name)
			e.Definition = &info
			v := values[slices.IndexFunc(values, func(v connectors.ConfigValue) bool { return v.Name == name })]
			if len(v.Errors) > 0 {
				return nil, &clientConfigError{v.Errors[0]}
			}
			e.Value.Value = v.Value
		} else if connectors.SecretName(name) {
			hidden := connectors.Hidden
			e.Value.Value = &hidden // I12
		}
		if v, ok := b.values[prefix+name]; ok {
			e.Value.Errors = append(e.Value.Errors, v.Errors...)
		}
		out = append(out, e)
	}
	return out, nil
}
