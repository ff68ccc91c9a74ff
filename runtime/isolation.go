package runtime

import (
	"errors"
	"fmt"
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

// The keys about processes, of a worker, a connector, or behind sinks.<alias>. of one sink.
const (
	keyIsolation    = "plugin.isolation"    // process or none; a plugin's tasks always have a process
	keyPluginMemory = "plugin.memory.limit" // bytes that a process may have resident; 0: any number
)

func processKeys() []connectors.Key {
	return []connectors.Key{
		{
			Name: keyIsolation, Type: connectors.TypeString, Importance: "LOW", Group: "Process", Own: true, Recommended: []string{"none", "process"}, Check: connectors.OneOfFold("none", "process"),
			Doc: "process: the source and the sinks run in processes of their own, as those of a plugin always do; none: in the worker. The worker's when not given.",
		},
		{
			Name: keyPluginMemory, Type: connectors.TypeLong, Importance: "LOW", Group: "Process", Own: true, Check: checkNotNegative,
			Doc: "Memory that a process of this connector may have resident, in bytes; one that has more is ended, and its task begins again. 0: any amount; the worker's when not given.",
		},
	}
}

// checkSinkProcess looks at the values that a sink has of these keys.
func checkSinkProcess(own connectors.Config) map[string]error {
	wrong := map[string]error{}
	def := &connectors.ConfigDef{Keys: processKeys(), Style: connectors.StyleConnect}
	values, _ := def.Validate(only(own, def))
	for _, v := range values {
		if len(v.Errors) > 0 {
			wrong[v.Name] = errors.New(v.Errors[0])
		}
	}
	return wrong
}

// ofProcess is the value of one of these keys: the first that is given of a sink's, the connector's and the worker's.
func (w *Worker) ofProcess(key string, configs ...connectors.Config) string {
	for _, c := range append(configs, w.options.Config) {
		if v := strings.TrimSpace(c[key]); v != "" {
			return v
		}
	}
	return ""
}

// factory is that of an entry as a configuration wants it: in the worker, or with processes for its tasks.
func (w *Worker) factory(e *Entry, configs ...connectors.Config) (connectors.Factory, error) {
	process := strings.EqualFold(w.ofProcess(keyIsolation, configs...), "process")
	if e.From == "" && !process {
		return e.factory, nil
	}
	isolate := w.options.Catalog.Isolate
	switch {
	case isolate == nil && e.From == "":
		return e.factory, fmt.Errorf("%s=process: this program cannot run %s in a process of its own", keyIsolation, e.Class)
	case isolate == nil:
		return e.factory, nil
	}
	memory, _ := number(connectors.Config{keyPluginMemory: w.ofProcess(keyPluginMemory, configs...)}, keyPluginMemory) // checked before
	return isolate(e.factory, memory), nil
}

// Chosen is the connector that a configuration names, in the version that it asks for; nil when that cannot be told. The newest version
// stands in for one that is not here.
func (w *Worker) Chosen(c connectors.Config) *Entry {
	e, _ := w.options.Catalog.Choose("", strings.TrimSpace(c[keyClass]), c[keyVersion])
	return e
}
