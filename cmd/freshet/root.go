package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func rootCommand() *cobra.Command {
	var format, level string
	root := &cobra.Command{
		Use:   "freshet",
		Short: "Change data capture: Kafka Connect and Debezium in one binary",
		Long: `Freshet copies every committed change of a database, as it happens, into Kafka topics, into the tables of
another database, or into files. Connectors are configured with the keys of Kafka Connect and Debezium.`,
		Example: `  freshet demo                                        see it work, no Docker needed
  freshet validate examples/postgres-to-stdout.json   check a configuration
  freshet run examples/postgres-to-stdout.json        run it`,
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			logger, err := newLogger(os.Stderr, format, level)
			if err != nil {
				return err
			}
			slog.SetDefault(logger)
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				_ = c.Help() // to standard output; an error there leaves nothing to do
				return exitError{exitUsage}
			}
			text := fmt.Sprintf("unknown command %q", args[0])
			if s := c.SuggestionsFor(args[0]); len(s) > 0 {
				text += fmt.Sprintf(", did you mean %q?", s[0])
			}
			return usageError{fmt.Errorf("%s", text)}
		},
	}
	root.SuggestionsMinimumDistance = 2
	root.PersistentFlags().StringVar(&format, "log-format", "text", "how to log to standard error: text or json")
	root.PersistentFlags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(runCommand(), connectorsCommand(), offsetsCommand(), validateCommand(), pluginsCommand(), demoCommand(), brokerCommand(), versionCommand())
	return root
}

// usage turns what an argument check says into a usage error.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usageError{fmt.Errorf("%s: %w", c.CommandPath(), err)}
		}
		return nil
	}
}

func newLogger(to io.Writer, format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usageError{fmt.Errorf("--log-level %q: debug, info, warn or error is expected", level)}
	}
	options := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(to, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(to, options)), nil
	}
	return nil, usageError{fmt.Errorf("--log-format %q: text or json is expected", format)}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), "freshet", versionText())
			return err
		},
	}
}

// version is set by the linker (make build): the tag, commits since, the commit.
var version string

// versionText is version, else the version of the Go module: of `go install`, or made from the commit by `go build`. What
// `go run` makes knows neither.
func versionText() string {
	info, _ := debug.ReadBuildInfo()
	return versionOf(version, info)
}

func versionOf(linked string, info *debug.BuildInfo) string {
	switch {
	case linked != "":
		return linked
	case info == nil || info.Main.Version == "":
		return "unknown"
	case info.Main.Version != "(devel)":
		return info.Main.Version
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	commit := settings["vcs.revision"]
	if commit == "" {
		return "devel"
	}
	if settings["vcs.modified"] == "true" {
		commit += "-dirty"
	}
	return "devel-" + commit
}
