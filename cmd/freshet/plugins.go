package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/workerconfig"
)

func pluginsCommand() *cobra.Command {
	var class, file, path string
	c := &cobra.Command{
		Use:   "plugins",
		Short: "List the connectors, or the configuration keys of one",
		Long: `Lists the connectors that are built in and those of the plugins that a worker finds in its plugin.path: a folder for each
plugin, with a plugin.json. Each plugin is started to tell what it serves. Exit code 1 when there is one that cannot be used.`,
		Example: `  freshet plugins
  freshet plugins -c examples/worker.properties
  freshet plugins --path /usr/share/freshet/plugins
  freshet plugins --keys PostgresConnector
  freshet plugins --keys framework
  freshet plugins --keys worker`,
		Args: usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := readPluginKeys(file, path)
			if err != nil {
				return err
			}
			catalog := newProgram().catalogFor(c.Context(), config, slog.New(slog.DiscardHandler))
			if class != "" {
				return printClass(c.OutOrStdout(), catalog, class)
			}
			if err := printPlugins(c.OutOrStdout(), catalog); err != nil {
				return err
			}
			if len(catalog.Unusable()) > 0 {
				return exitError{exitFailed}
			}
			return nil
		},
	}
	c.Flags().StringVar(&class, "keys", "", "print the configuration keys of this connector `class`; framework: those that every connector takes; worker: those of a worker")
	c.Flags().StringVarP(&file, "config", "c", "", "worker properties `file`, whose plugin.path is looked at")
	c.Flags().StringVar(&path, "path", "", "`folders` of plugins, in place of plugin.path")
	return c
}

// readPluginKeys reads what a worker's properties say about plugins, whatever else is wrong with them.
func readPluginKeys(file, path string) (*workerconfig.Config, error) {
	config, err := workerconfig.Read(file, workerconfig.Distributed, os.Environ())
	if config == nil {
		return nil, err
	}
	written := connectors.Config{}
	for name, v := range config.Properties {
		if strings.HasPrefix(name, "plugin.") {
			written[name] = v
		}
	}
	if path != "" {
		written[workerconfig.KeyPluginPath] = path
	}
	return workerconfig.New(written, workerconfig.Standalone)
}

// printClass prints the keys of the connectors of a class or alias, or the framework's keys, or the worker's.
func printClass(to io.Writer, catalog *runtime.Catalog, class string) error {
	var found []connectors.Description
	switch class {
	case "worker":
		found = append(found, connectors.Description{Class: class, Doc: "Keys of a worker's properties file.", Config: workerconfig.Describe()})
	case "framework":
		found = append(found, connectors.Description{Class: class, Doc: "Keys that every connector takes.", Config: runtime.Framework(false)})
	default:
		for _, t := range []runtime.PluginType{runtime.SourcePlugin, runtime.SinkPlugin} {
			if e, _ := catalog.Choose(t, class, ""); e != nil {
				found = append(found, e.Description)
			}
		}
	}
	if len(found) == 0 {
		if err := catalog.Refusal(class); err != nil {
			return err
		}
		return fmt.Errorf("there is no connector of class %q; 'freshet plugins' lists all", class)
	}
	for _, d := range found {
		if err := printKeys(to, d); err != nil {
			return err
		}
	}
	return nil
}

func kind(d connectors.Description) string {
	switch {
	case d.Source && d.Sink:
		return "source and sink"
	case d.Source:
		return "source"
	}
	return "sink"
}

func printPlugins(to io.Writer, c *runtime.Catalog) error {
	w := tabwriter.NewWriter(to, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "KIND\tCLASS\tVERSION\tFROM\tALSO\tWHAT IT DOES")
	for _, e := range c.List() {
		from := "built in"
		if e.From != "" {
			from = e.From + " (a process for each task)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", e.Type, e.Class, e.PluginVersion(), from, strings.Join(e.Aliases, ", "), e.Doc)
	}
	if unusable := c.Unusable(); len(unusable) > 0 {
		fmt.Fprintln(w, "\nCANNOT BE USED\tVERSION\tFROM\tWHY")
		for _, u := range unusable {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", dash(u.Plugin), dash(u.Version), u.Dir, strings.ReplaceAll(u.Err.Error(), "\n", "; "))
		}
	}
	return w.Flush()
}

// printKeys prints a ConfigDef, one key per paragraph.
func printKeys(to io.Writer, d connectors.Description) error {
	var b strings.Builder
	b.WriteString(d.Class)
	if d.Source || d.Sink {
		fmt.Fprintf(&b, " (%s)", kind(d))
	}
	fmt.Fprintf(&b, "\n%s\n", d.Doc)
	for _, k := range d.Config.Keys {
		name := k.Name
		if k.Prefix || k.Suffix {
			name += "*"
		}
		fmt.Fprintf(&b, "\n%s\n    %s", name, strings.ToLower(string(k.Type)))
		switch {
		case k.Required:
			b.WriteString(", required")
		case k.HasDefault && k.Type != connectors.TypePassword:
			fmt.Fprintf(&b, ", default %q", k.Default)
		}
		if len(k.Recommended) > 0 {
			fmt.Fprintf(&b, ", one of: %s", strings.Join(k.Recommended, ", "))
		}
		b.WriteByte('\n')
		if k.Doc != "" {
			fmt.Fprintf(&b, "    %s\n", k.Doc)
		}
		if k.Unsupported != "" {
			fmt.Fprintf(&b, "    not supported yet: %s\n", k.Unsupported)
		}
	}
	_, err := io.WriteString(to, b.String())
	return err
}
