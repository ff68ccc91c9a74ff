package runtime

import (
	"fmt"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

const (
	keyTopics      = "topics"
	keyTopicsRegex = "topics.regex"
	keyDeadLetters = "errors.deadletterqueue.topic.name"

	defaultConverter       = "org.apache.kafka.connect.json.JsonConverter"
	defaultHeaderConverter = "org.apache.kafka.connect.storage.SimpleHeaderConverter"
)

// Framework returns the framework's definition for a configuration: with what this worker has (converters, versions) as
// defaults and recommendations, and with the keys of every transformation and predicate that is named. Keys of Freshet's that
// the connector itself defines are left to it.
func (w *Worker) Framework(c connectors.Config) *connectors.ConfigDef {
	e := w.Chosen(c)
	def := Framework(e != nil && e.Type == SinkPlugin)
	if e != nil {
		def.Keys = slices.DeleteFunc(def.Keys, func(k connectors.Key) bool { return k.Own && e.Config.Find(k.Name) != nil })
	}
	for i := range def.Keys {
		k := &def.Keys[i]
		switch k.Name {
		case keyVersion:
			if e != nil {
				k.Recommended = w.options.Catalog.Versions(e.Type, e.Class)
				k.Default, k.HasDefault = k.Recommended[len(k.Recommended)-1], true
			}
		case "key.converter", "value.converter":
			w.enrichConverter(k, &def.Keys[i+1], ConverterPlugin, c, defaultConverter)
		case "header.converter":
			w.enrichConverter(k, &def.Keys[i+1], HeaderConverterPlugin, c, defaultHeaderConverter)
		}
	}
	def.Keys = append(def.Keys, w.pluginKeys(c, "transforms", "Transformation", TransformationPlugin)...)
	def.Keys = append(def.Keys, w.pluginKeys(c, "predicates", "Predicate", PredicatePlugin)...)
	return def
}

// enrichConverter fills in a converter's key and that of its version.
func (w *Worker) enrichConverter(k, version *connectors.Key, t PluginType, c connectors.Config, standard string) {
	k.Default, k.HasDefault = strings.TrimSpace(w.options.Config[k.Name]), true
	if k.Default == "" {
		k.Default = standard
	}
	class, given := c[k.Name]
	if !given {
		class = k.Default
	}
	w.enrichClass(k, version, t, class)
}

// enrichClass makes a key one that names a plugin of a type, and describes the version of the plugin that it names now.
func (w *Worker) enrichClass(k, version *connectors.Key, t PluginType, class string) {
	list := w.options.Catalog.Plugins(t)
	for _, p := range list {
		k.Recommended = append(k.Recommended, p.Class)
	}
	if len(list) == 0 && t != TransformationPlugin && t != PredicatePlugin {
		return // a catalog without a list of converters: whoever makes them knows their names
	}
	k.Check = func(class string) string {
		switch {
		case w.options.Catalog.Plugin(t, class) != nil:
			return ""
		case strings.HasPrefix(class, "org.apache.kafka.connect.transforms.") || strings.HasPrefix(class, "io.debezium."):
			if t == TransformationPlugin || t == PredicatePlugin {
				return "not supported yet: " + transformsLater
			}
		}
		return fmt.Sprintf("Class %s could not be found.", class)
	}
	if p := w.options.Catalog.Plugin(t, strings.TrimSpace(class)); p != nil {
		version.Default, version.HasDefault, version.Recommended = p.Version, true, []string{p.Version}
	} else {
		version.Invisible = t == ConverterPlugin || t == HeaderConverterPlugin // as in the reference
	}
}

// pluginKeys are the keys of the plugins that are listed under a name: transforms.<alias>.type and the plugin's own.
func (w *Worker) pluginKeys(c connectors.Config, list, what string, t PluginType) []connectors.Key {
	var out []connectors.Key
	seen := map[string]bool{}
	for _, alias := range connectors.SplitList(c[list]) {
		if seen[alias] {
			continue // an error of the list
		}
		seen[alias] = true
		prefix, group := list+"."+alias+".", strings.ToUpper(list[:1])+list[1:]+": "+alias
		class := connectors.Key{Name: prefix + "type", Type: connectors.TypeClass, Required: true, Importance: "HIGH", Group: group, Width: "LONG", Display: what + " type for " + alias, Doc: "Class of the " + strings.ToLower(what) + "."}
		version := connectors.Key{Name: prefix + "plugin.version", Type: connectors.TypeString, Importance: "HIGH", Group: group, Order: 1, Width: "LONG", Display: what + " version for " + alias, Doc: "Version of the " + strings.ToLower(what) + "; there is one of each."}
		w.enrichClass(&class, &version, t, c[class.Name])
		out = append(out, class, version)
		p := w.options.Catalog.Plugin(t, strings.TrimSpace(c[class.Name]))
		if p == nil || p.Config == nil {
			continue
		}
		for i, k := range p.Config.Keys {
			k.Display, k.Name, k.Group, k.Order = k.Name, prefix+k.Name, group, i+2
			out = append(out, k)
		}
	}
	return out
}
