package runtime

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

// Catalog is the list of connectors and other plugins that a program has.
type Catalog struct {
	sources []listed[connectors.SourceFactory]
	sinks   []listed[connectors.SinkFactory]
	plugins []Plugin
}

// listed is a factory with what it says of itself, which it says the same every time.
type listed[F connectors.Factory] struct {
	factory F
	connectors.Description
}

func describeAll[F connectors.Factory](factories []F) []listed[F] {
	var out []listed[F]
	for _, f := range factories {
		out = append(out, listed[F]{f, f.Describe()})
	}
	return out
}

// PluginType is what a plugin is, by Kafka Connect's names.
type PluginType string

// The types, in the order in which Kafka Connect lists them.
const (
	SinkPlugin            PluginType = "sink"
	SourcePlugin          PluginType = "source"
	TransformationPlugin  PluginType = "transformation"
	PredicatePlugin       PluginType = "predicate"
	ConverterPlugin       PluginType = "converter"
	HeaderConverterPlugin PluginType = "header_converter"
)

// Plugin is something that a configuration names by its class beside connectors.
type Plugin struct {
	Class   string
	Aliases []string
	Type    PluginType
	Version string
	Config  *connectors.ConfigDef
}

// NewCatalog returns a catalog of these factories.
func NewCatalog(sources []connectors.SourceFactory, sinks []connectors.SinkFactory, plugins ...Plugin) *Catalog {
	plugins = slices.Clone(plugins)
	sort.SliceStable(plugins, func(i, j int) bool { return plugins[i].Class < plugins[j].Class })
	return &Catalog{sources: describeAll(sources), sinks: describeAll(sinks), plugins: plugins}
}

// Source finds a source by class name, alias, or simple class name with or without "Connector"; nil when there is none.
func (c *Catalog) Source(class string) connectors.SourceFactory {
	for _, e := range c.sources {
		if answers(e.Description, class) {
			return e.factory
		}
	}
	return nil
}

// Sink finds a sink likewise.
func (c *Catalog) Sink(class string) connectors.SinkFactory {
	for _, e := range c.sinks {
		if answers(e.Description, class) {
			return e.factory
		}
	}
	return nil
}

// Describe returns what a class says of itself, as a source first; the zero value for a class that is not here.
func (c *Catalog) Describe(class string) connectors.Description {
	d, _, _ := c.Connector(class)
	return d
}

// Connector describes the source or else the sink of a class, and tells which.
func (c *Catalog) Connector(class string) (d connectors.Description, t PluginType, ok bool) {
	for _, e := range c.sources {
		if answers(e.Description, class) {
			return e.Description, SourcePlugin, true
		}
	}
	for _, e := range c.sinks {
		if answers(e.Description, class) {
			return e.Description, SinkPlugin, true
		}
	}
	return d, "", false
}

// Plugins lists the plugins of a type other than connectors, sorted by class.
func (c *Catalog) Plugins(t PluginType) []Plugin {
	var out []Plugin
	for _, p := range c.plugins {
		if p.Type == t {
			out = append(out, p)
		}
	}
	return out
}

// Plugin finds a plugin of a type by class name, simple class name or alias, a converter also without "Converter"; nil when there
// is none.
func (c *Catalog) Plugin(t PluginType, class string) *Plugin {
	for i := range c.plugins {
		p, suffix := &c.plugins[i], ""
		if t == ConverterPlugin {
			suffix = "Converter"
		}
		if p.Type == t && named(class, suffix, p.Class, p.Aliases) {
			return p
		}
	}
	return nil
}

// List describes all connectors, sinks first as GET /connector-plugins has them, each kind sorted by class.
func (c *Catalog) List() []connectors.Description {
	var out []connectors.Description
	for _, e := range c.sinks {
		out = append(out, e.Description)
	}
	n := len(out)
	for _, e := range c.sources {
		out = append(out, e.Description)
	}
	byClass := func(d []connectors.Description) func(i, j int) bool {
		return func(i, j int) bool { return d[i].Class < d[j].Class }
	}
	sort.SliceStable(out[:n], byClass(out[:n]))
	sort.SliceStable(out[n:], byClass(out[n:]))
	return out
}

func (c *Catalog) unknown(class string) error {
	var names []string
	for _, d := range c.List() {
		names = append(names, d.Class)
		names = append(names, d.Aliases...)
	}
	return fmt.Errorf("class %q is not here; available: %s", class, strings.Join(names, ", "))
}

func answers(d connectors.Description, class string) bool {
	return named(class, "Connector", d.Class, d.Aliases)
}

// named tells whether a class is meant by its full, its simple or a further name, each also without the suffix.
func named(class, suffix, full string, aliases []string) bool {
	is := func(name string) bool {
		simple := name[strings.LastIndexByte(name, '.')+1:]
		return class == name || class == simple || class == strings.TrimSuffix(simple, suffix)
	}
	return class != "" && (is(full) || slices.ContainsFunc(aliases, is))
}
