package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/freshet-io/freshet/plugins/skeleton"
)

// newPluginCommand writes the skeleton of a plugin.
func newPluginCommand() *cobra.Command {
	o := skeleton.Options{Version: versionText()}
	c := &cobra.Command{
		Use:   "new NAME",
		Short: "Write a new plugin: a connector that works, with tests",
		Long: `New writes a plugin into a new folder: a source that follows a file, a sink that writes one, or both, with tests that run the conformance
suite, and a Makefile that builds, tests and installs it. docs/writing-a-plugin.md goes on from there.`,
		Example: `  freshet plugin new --lang go acme-bets
  freshet plugin new --lang python --sink acme-ledger --dir ledger`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			if o.Name = args[0]; o.Dir == "" {
				o.Dir = o.Name
			}
			if !o.Source && !o.Sink {
				o.Source, o.Sink = true, true
			}
			if err := o.Check(); err != nil {
				return usageError{err}
			}
			files, err := skeleton.Write(o)
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			for _, f := range files {
				fmt.Fprintf(out, "%s/%s\n", o.Dir, f)
			}
			fmt.Fprintf(out, "\nNext: cd %s && make test\n", o.Dir)
			return nil
		},
	}
	c.Flags().StringVar(&o.Language, "lang", "go", "language: go or python")
	c.Flags().BoolVar(&o.Source, "source", false, "a source only")
	c.Flags().BoolVar(&o.Sink, "sink", false, "a sink only; neither: both")
	c.Flags().StringVar(&o.Dir, "dir", "", "folder to write to; by default the name")
	c.Flags().StringVar(&o.Sources, "sources", "", "folder of Freshet's sources to build with, in place of a release")
	return c
}
