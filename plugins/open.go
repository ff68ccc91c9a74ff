package plugins

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// Options say how a worker runs plugins.
type Options struct {
	Environment []string      // names of variables of the worker's that every process gets
	Memory      int64         // bytes that a process may have resident, 0: any number
	Patience    time.Duration // for the start of a process, 0: 30 s
	Logger      *slog.Logger  // nil: slog's default
}

// basics are the variables without which programs, and scripts that look for their interpreter, find nothing.
var basics = []string{"PATH", "HOME", "TMPDIR", "LANG", "TZ"}

// Variables are the environment of a process: the basics and the named variables that this process has.
func Variables(names ...string) []string {
	var out []string
	for _, name := range append(slices.Clone(basics), names...) {
		if v, ok := os.LookupEnv(name); ok && !slices.Contains(out, name+"="+v) {
			out = append(out, name+"="+v)
		}
	}
	return out
}

// Command says how the processes of the plugin are started.
func (p *Plugin) Command(o Options) *Command {
	return &Command{
		Name: p.Name, Path: p.Path(), Args: p.Args, Dir: p.Dir, Environment: Variables(append(slices.Clone(p.Environment), o.Environment...)...),
		Socket: p.Transport == TransportSocket, Verify: p.Verify, Memory: o.Memory, Patience: o.Patience,
	}
}

// Open starts the plugin once, asks what it serves, compares that with the manifest, and returns factories whose tasks have processes of
// their own.
func (p *Plugin) Open(ctx context.Context, o Options) (sources []connectors.SourceFactory, sinks []connectors.SinkFactory, err error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	sources, sinks, err = p.Command(o).Open(ctx, o.Logger.With("plugin", p.Name))
	if err != nil {
		return nil, nil, err
	}
	var serves []ManifestConnector
	for _, f := range sources {
		serves = append(serves, ManifestConnector{f.Describe().Class, "source"})
	}
	for _, f := range sinks {
		serves = append(serves, ManifestConnector{f.Describe().Class, "sink"})
	}
	if err := p.compare(serves); err != nil {
		return nil, nil, err
	}
	return sources, sinks, nil
}

// compare tells how what is served differs from the manifest.
func (p *Plugin) compare(serves []ManifestConnector) error {
	if len(p.Connectors) == 0 {
		return nil
	}
	var missing, more []string
	for _, c := range p.Connectors {
		if !slices.Contains(serves, c) {
			missing = append(missing, c.Type+" "+c.Class)
		}
	}
	for i, c := range serves {
		if !slices.Contains(p.Connectors, c) || slices.Index(serves, c) < i {
			more = append(more, c.Type+" "+c.Class)
		}
	}
	if len(missing)+len(more) == 0 {
		return nil
	}
	text := "it does not serve what its manifest says"
	if len(missing) > 0 {
		text += "; missing: " + strings.Join(missing, ", ")
	}
	if len(more) > 0 {
		text += "; not in the manifest, or there twice: " + strings.Join(more, ", ")
	}
	return fmt.Errorf("plugin %s: %s; correct %s, or install the executable that belongs to it", p.Name, text, ManifestFile)
}

// withoutSecrets leaves the worker's own secrets out of what a plugin is told of its properties: what a plugin needs is in the
// connector's configuration. Connectors that are built in get all, also in a process of their own.
func withoutSecrets(s connectors.Settings) connectors.Settings {
	s.Worker = maps.Clone(s.Worker)
	maps.DeleteFunc(s.Worker, func(name, _ string) bool { return connectors.SecretName(name) })
	return s
}

// Limit returns the factory of a plugin with processes that may have so many bytes resident, 0: any number; ok tells that it is one.
func Limit(f connectors.Factory, memory int64) (limited connectors.Factory, ok bool) {
	switch f := f.(type) {
	case *sourceFactory:
		return &sourceFactory{f.limited(memory)}, true
	case *checkingFactory:
		return &checkingFactory{&sourceFactory{f.limited(memory)}}, true
	case *owningFactory:
		return &owningFactory{&checkingFactory{&sourceFactory{f.limited(memory)}}}, true
	case *sinkFactory:
		return &sinkFactory{f.limited(memory)}, true
	}
	return f, false
}

func (f *factory) limited(memory int64) *factory {
	if f.command.Memory == memory {
		return f
	}
	limited, command := *f, *f.command
	command.Memory = memory
	limited.command = &command
	return &limited
}
