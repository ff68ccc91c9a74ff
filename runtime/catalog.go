package runtime

import (
	"fmt"
	"sort"
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

// Catalog is the list of connectors that a program has.
type Catalog struct {
	sources []connectors.SourceFactory
	sinks   []connectors.SinkFactory
}

// NewCatalog returns a catalog of these factories.
func NewCatalog(sources []connectors.SourceFactory, sinks []connectors.SinkFactory) *Catalog {
	return &Catalog{sources: sources, sinks: sinks}
}

// Source finds a source by class name, alias, or simple class name with or without "Connector"; nil when there is none.
func (c *Catalog) Source(class string) connectors.SourceFactory {
	for _, f := range c.sources {
		if answers(f.Describe(), class) {
			return f
		}
	}
	return nil
}

// Sink finds a sink likewise.
func (c *Catalog) Sink(class string) connectors.SinkFactory {
	for _, f := range c.sinks {
		if answers(f.Describe(), class) {
			return f
		}
	}
	return nil
}

// Describe returns what a class says of itself, as a source first; the zero value for a class that is not here.
func (c *Catalog) Describe(class string) connectors.Description {
	if f := c.Source(class); f != nil {
		return f.Describe()
	}
	if f := c.Sink(class); f != nil {
		return f.Describe()
	}
	return connectors.Description{}
}

// List describes everything, sinks first as GET /connector-plugins has them, each kind sorted by class.
func (c *Catalog) List() []connectors.Description {
	var out []connectors.Description
	for _, f := range c.sinks {
		out = append(out, f.Describe())
	}
	n := len(out)
	for _, f := range c.sources {
		out = append(out, f.Describe())
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
	for _, name := range append([]string{d.Class}, d.Aliases...) {
		simple := name[strings.LastIndexByte(name, '.')+1:]
		for _, n := range []string{name, simple, strings.TrimSuffix(simple, "Connector")} {
			if n == class {
				return true
			}
		}
	}
	return false
}
