package runtime

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

// Catalog is the list of connectors and other plugins that a program has. It is not changed once a worker uses it.
type Catalog struct {
	entries  []*Entry
	unusable []Unusable
	plugins  []Plugin
	// Isolate makes a factory whose tasks run in processes of their own out of one that is built in or a plugin's, of which each may
	// have so many bytes of memory (0: any number); nil: that is not possible here.
	Isolate func(f connectors.Factory, memory int64) connectors.Factory
}

// Entry is one version of a connector, with what it says of itself, which it says the same every time.
type Entry struct {
	connectors.Description
	Type    PluginType // SourcePlugin or SinkPlugin
	From    string     // folder of the plugin, whose tasks run in processes of their own; "": built in
	factory connectors.Factory
}

// Unusable is a plugin that was found and cannot be used.
type Unusable struct {
	Plugin, Version string // "": not known
	Dir             string
	Classes         []string // what it would serve, as far as that is known
	Err             error
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
	c := &Catalog{plugins: plugins}
	for _, f := range sources {
		c.entries = append(c.entries, &Entry{Description: f.Describe(), Type: SourcePlugin, factory: f})
	}
	for _, f := range sinks {
		c.entries = append(c.entries, &Entry{Description: f.Describe(), Type: SinkPlugin, factory: f})
	}
	return c
}

// Offer is what a plugin serves.
type Offer struct {
	Plugin, Version string
	Dir             string
	Sources         []connectors.SourceFactory
	Sinks           []connectors.SinkFactory
}

// Add adds the connectors of a plugin, all of them or none. It refuses a version of a class that is here already, or that the plugin
// does not have by its own account.
func (c *Catalog) Add(o Offer) error {
	var entries []*Entry
	for _, f := range o.Sources {
		entries = append(entries, &Entry{Description: f.Describe(), Type: SourcePlugin, From: o.Dir, factory: f})
	}
	for _, f := range o.Sinks {
		entries = append(entries, &Entry{Description: f.Describe(), Type: SinkPlugin, From: o.Dir, factory: f})
	}
	for _, e := range entries {
		switch e.PluginVersion() {
		case "":
			e.Version = o.Version
		case o.Version:
		default:
			return fmt.Errorf("%s says that it is version %s, the plugin's manifest says %s; install the two that belong together", e.Class, e.PluginVersion(), o.Version)
		}
		for _, here := range c.entries {
			if here.Class == e.Class && here.Type == e.Type && compareVersions(here.PluginVersion(), e.PluginVersion()) == 0 {
				where := "is built in"
				if here.From != "" {
					where = "is in " + here.From
				}
				return fmt.Errorf("version %s of %s %s already; remove one of the two, or give one another version", e.PluginVersion(), e.Class, where)
			}
		}
	}
	c.entries = append(c.entries, entries...)
	return nil
}

// Map returns a catalog with other factories for the same connectors.
func (c *Catalog) Map(to func(connectors.Factory) connectors.Factory) *Catalog {
	out := *c
	out.entries = nil
	for _, e := range c.entries {
		mapped := *e
		mapped.factory = to(e.factory)
		out.entries = append(out.entries, &mapped)
	}
	return &out
}

// Refuse notes a plugin that cannot be used: who asks for what it serves is told why.
func (c *Catalog) Refuse(u Unusable) { c.unusable = append(c.unusable, u) }

// Unusable lists the plugins that cannot be used, in the order in which they were refused.
func (c *Catalog) Unusable() []Unusable { return slices.Clone(c.unusable) }

// Choose finds a connector by class name, alias, or simple class name with or without "Connector"; t is its type, "": a source or else
// a sink. asked is the version or the range of versions that it shall have ("" or "latest": the newest), as connector.plugin.version has
// it. With an error about the version the newest one is returned, too; with any other error nil.
func (c *Catalog) Choose(t PluginType, class, asked string) (*Entry, error) {
	versions, err := c.versions(t, class)
	if err != nil {
		return nil, err
	}
	newest := versions[len(versions)-1]
	r, err := ParseVersionRange(asked)
	if err == nil {
		for _, e := range slices.Backward(versions) {
			if r.Contains(e.PluginVersion()) || e.From == "" && r.Contains(e.Version) {
				return e, nil
			}
		}
		asked = r.String()
	}
	var available []string
	for _, e := range versions {
		available = append(available, e.PluginVersion())
	}
	//nolint:staticcheck // the reference's text
	err = fmt.Errorf("Plugin %s not found that matches the version range %s, available versions: [%s]", newest.Class, asked, strings.Join(available, ", "))
	for _, u := range c.unusable {
		if u.serves(newest.Class) && r.Contains(u.Version) {
			err = fmt.Errorf("%w; %w", err, u.why())
		}
	}
	return newest, err
}

// versions are those of the class that a name means, the oldest first: the class of that name, or else one that is built in, so that no
// plugin takes its short name away.
func (c *Catalog) versions(t PluginType, class string) ([]*Entry, error) {
	is := []func(e *Entry) bool{
		func(e *Entry) bool { return e.Class == class },
		func(e *Entry) bool { return e.From == "" && answers(e.Description, class) },
		func(e *Entry) bool { return answers(e.Description, class) },
	}
	for _, meant := range is {
		for _, kind := range []PluginType{SourcePlugin, SinkPlugin} {
			var out []*Entry
			classes := map[string]bool{}
			for _, e := range c.entries {
				if e.Type == kind && (t == "" || t == kind) && meant(e) {
					classes[e.Class] = true
				}
			}
			for _, e := range c.entries {
				if e.Type == kind && classes[e.Class] {
					out = append(out, e)
				}
			}
			if len(classes) > 1 && out[0].From != "" {
				//nolint:staticcheck // the reference's text
				return nil, fmt.Errorf("More than one connector matches alias %s. Please use full package and class name instead. Classes found: %s", class, strings.Join(slices.Sorted(maps.Keys(classes)), ", "))
			}
			if len(out) > 0 {
				first := out[0].Class
				out = slices.DeleteFunc(out, func(e *Entry) bool { return e.Class != first })
				slices.SortStableFunc(out, func(a, b *Entry) int { return compareVersions(a.PluginVersion(), b.PluginVersion()) })
				return out, nil
			}
		}
	}
	return nil, c.unknown(class)
}

// Source finds the newest source of a class; nil when there is none.
func (c *Catalog) Source(class string) connectors.SourceFactory {
	if e, _ := c.Choose(SourcePlugin, class, ""); e != nil {
		return e.source()
	}
	return nil
}

// Sink finds the newest sink of a class likewise.
func (c *Catalog) Sink(class string) connectors.SinkFactory {
	if e, _ := c.Choose(SinkPlugin, class, ""); e != nil {
		return e.sink()
	}
	return nil
}

func (e *Entry) source() connectors.SourceFactory { return e.factory.(connectors.SourceFactory) } //nolint:errcheck,forcetypeassert // by Type

func (e *Entry) sink() connectors.SinkFactory { return e.factory.(connectors.SinkFactory) } //nolint:errcheck,forcetypeassert // by Type

// builtIn finds a connector that belongs to the program; nil when there is none.
func (c *Catalog) builtIn(t PluginType, class string) *Entry {
	for _, e := range c.entries {
		if e.Type == t && e.From == "" && answers(e.Description, class) {
			return e
		}
	}
	return nil
}

// Versions are those that a class has, the oldest first.
func (c *Catalog) Versions(t PluginType, class string) []string {
	versions, _ := c.versions(t, class)
	var out []string
	for _, e := range versions {
		out = append(out, e.PluginVersion())
	}
	return out
}

// Connector describes the newest source or else sink of a class, and tells which.
func (c *Catalog) Connector(class string) (d connectors.Description, t PluginType, ok bool) {
	e, _ := c.Choose("", class, "")
	if e == nil {
		return d, "", false
	}
	return e.Description, e.Type, true
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

// List lists all connectors, sinks first as GET /connector-plugins has them, each kind sorted by class and version.
func (c *Catalog) List() []*Entry {
	out := slices.Clone(c.entries)
	slices.SortStableFunc(out, func(a, b *Entry) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Class, b.Class), compareVersions(a.PluginVersion(), b.PluginVersion()))
	})
	return out
}

// Refusal tells why the plugin that would serve a class cannot be used; nil when there is none.
func (c *Catalog) Refusal(class string) error {
	for _, u := range c.unusable {
		if u.serves(class) {
			return u.why()
		}
	}
	return nil
}

func (c *Catalog) unknown(class string) error {
	if err := c.Refusal(class); err != nil {
		return err
	}
	var names, unreadable []string
	for _, d := range c.List() {
		names = append(names, d.Class)
		names = append(names, d.Aliases...)
	}
	text := fmt.Sprintf("class %q is not here; available: %s", class, strings.Join(names, ", "))
	for _, u := range c.unusable {
		if len(u.Classes) == 0 {
			unreadable = append(unreadable, u.Dir)
		}
	}
	if len(unreadable) > 0 {
		text += "; what these plugins have cannot be told, see 'freshet plugins': " + strings.Join(unreadable, ", ")
	}
	return errors.New(text)
}

func (u Unusable) serves(class string) bool {
	return slices.ContainsFunc(u.Classes, func(c string) bool { return named(class, "Connector", c, nil) })
}

// why tells which plugin it is and what is the matter with it.
func (u Unusable) why() error {
	return fmt.Errorf("plugin %s (%s) cannot be used: %w", strings.TrimSpace(u.Plugin+" "+u.Version), u.Dir, u.Err)
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
