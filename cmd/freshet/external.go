package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/spf13/cobra"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/file"
	"github.com/freshet-io/freshet/plugins"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/workerconfig"
)

// pluginCommand holds the commands for plugins and their authors.
func pluginCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "plugin",
		Short: "Write connectors of your own, and test them",
		Args:  usage(cobra.NoArgs),
		RunE:  needsSubcommand,
	}
	c.AddCommand(newPluginCommand(), pluginTestCommand(), serveCommand())
	return c
}

// serveCommand is what a worker starts for a connector of this program that shall have a process of its own.
func serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "serve",
		Short:  "Serve the connectors of this program to the worker that started it",
		Hidden: true,
		Args:   usage(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			if !plugins.Serving() {
				return usageError{errors.New("a worker starts this where plugin.isolation=process; it is of no use to anybody else")}
			}
			servePlugin()
			return nil
		},
	}
}

// servePlugin serves all connectors of this program.
func servePlugin() {
	p := newProgram()
	var all []connectors.Factory
	for _, f := range p.sources() {
		all = append(all, f)
	}
	for _, f := range p.sinks() {
		all = append(all, f)
	}
	plugins.Serve(all...)
}

// processes is what a worker's properties say about plugins.
func processes(c *workerconfig.Config) plugins.Options {
	return plugins.Options{
		Environment: c.List(workerconfig.KeyPluginEnvironment), Memory: c.Int(workerconfig.KeyPluginMemory), Patience: c.Millis(workerconfig.KeyPluginStart),
	}
}

// catalogFor is the catalog of a worker: what is built in, and what the plugins in its plugin.path serve.
func (p *program) catalogFor(ctx context.Context, c *workerconfig.Config, log *slog.Logger) *runtime.Catalog {
	catalog, o := p.catalog(), processes(c)
	o.Logger = log
	catalog.Isolate = func(f connectors.Factory, memory int64) connectors.Factory { return p.isolate(f, memory, o) }
	for _, e := range discover(ctx, c.List(workerconfig.KeyPluginPath), o) {
		if e.err == nil {
			e.err = catalog.Add(runtime.Offer{Plugin: e.plugin.Name, Version: e.plugin.Manifest.Version, Dir: e.plugin.Dir, Sources: e.sources, Sinks: e.sinks})
		}
		if e.err == nil {
			log.Info("plugin found", "plugin", e.plugin.Name, "version", e.plugin.Manifest.Version, "folder", e.plugin.Dir)
			continue
		}
		broken := &plugins.Unusable{Err: e.err}
		if e.plugin != nil {
			broken = e.plugin.Unusable(e.err)
		}
		_ = errors.As(e.err, &broken) // of a manifest
		u := runtime.Unusable{Plugin: broken.Name, Version: broken.Version, Dir: broken.Dir, Classes: broken.Classes, Err: e.err}
		catalog.Refuse(u)
		log.Error("a plugin cannot be used", "plugin", u.Plugin, "version", u.Version, "folder", u.Dir, "error", u.Err)
	}
	return catalog
}

// isolate returns a factory whose tasks run in processes with so many bytes of memory.
func (p *program) isolate(f connectors.Factory, memory int64, o plugins.Options) connectors.Factory {
	if limited, ok := plugins.Limit(f, memory); ok {
		return limited
	}
	c := &plugins.Command{Name: "freshet", Path: p.executable, Args: []string{"plugin", "serve"}, Environment: plugins.Variables(o.Environment...), Socket: true, Memory: memory, Patience: o.Patience}
	switch f := f.(type) {
	case connectors.SourceFactory:
		return c.IsolateSource(f)
	case file.Sinks:
		f.NoStdout = true // that of a process is a log
		return c.IsolateSink(f)
	case connectors.SinkFactory:
		return c.IsolateSink(f)
	}
	return f
}

// opened is a plugin with what it serves, or why it cannot be used.
type opened struct {
	plugin  *plugins.Plugin // nil: its manifest cannot be read
	sources []connectors.SourceFactory
	sinks   []connectors.SinkFactory
	err     error
}

// discover finds the plugins in plugin.path and asks all of them at once what they serve.
func discover(ctx context.Context, path []string, o plugins.Options) []*opened {
	found, problems := plugins.Discover(path)
	var out []*opened
	for _, err := range problems {
		out = append(out, &opened{err: err})
	}
	var all sync.WaitGroup
	for _, p := range found {
		e := &opened{plugin: p}
		out = append(out, e)
		all.Go(func() {
			ctx, cancel := context.WithTimeoutCause(ctx, o.Patience, fmt.Errorf("it did not say within %s what it serves (%s)", o.Patience, workerconfig.KeyPluginStart))
			defer cancel()
			e.sources, e.sinks, e.err = p.Open(ctx, o)
		})
	}
	all.Wait()
	return out
}
