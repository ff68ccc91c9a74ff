package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/workerconfig"
)

func pluginsCommand() *cobra.Command {
	var class string
	c := &cobra.Command{
		Use:   "plugins",
		Short: "List the connectors, or the configuration keys of one",
		Example: `  freshet plugins
  freshet plugins --keys PostgresConnector
  freshet plugins --keys framework
  freshet plugins --keys worker`,
		Args: usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if class == "" {
				return printPlugins(c.OutOrStdout(), newProgram().catalog().List())
			}
			found := describe(class)
			if len(found) == 0 {
				return fmt.Errorf("there is no connector of class %q; 'freshet plugins' lists all", class)
			}
			for _, d := range found {
				if err := printKeys(c.OutOrStdout(), d); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&class, "keys", "", "print the configuration keys of this connector class; framework: those that every connector takes; worker: those of a worker")
	return c
}

// describe finds the connectors of a class or alias, or the framework's keys, or the worker's.
func describe(class string) []connectors.Description {
	if class == "worker" {
		return []connectors.Description{{Class: class, Doc: "Keys of a worker's properties file.", Config: workerconfig.Describe()}}
	}
	if class == "framework" {
		return []connectors.Description{{Class: class, Doc: "Keys that every connector takes.", Config: runtime.Framework(false)}}
	}
	catalog := newProgram().catalog()
	var found []connectors.Description
	if f := catalog.Source(class); f != nil {
		found = append(found, f.Describe())
	}
	if f := catalog.Sink(class); f != nil {
		found = append(found, f.Describe())
	}
	return found
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

func printPlugins(to io.Writer, list []connectors.Description) error {
	w := tabwriter.NewWriter(to, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "KIND\tCLASS\tALSO\tWHAT IT DOES")
	for _, d := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", kind(d), d.Class, strings.Join(d.Aliases, ", "), d.Doc)
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
