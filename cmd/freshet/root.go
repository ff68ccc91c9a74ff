package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/freshet-io/freshet/runtime/loglevel"
)

func rootCommand() *cobra.Command {
	var format, level string
	l := &logging{}
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
			return l.open(os.Stderr, format, level)
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
	root.PersistentFlags().StringVar(&level, "log-level", "info", "trace, debug, info, warn, error or off")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(workerCommand(l), runCommand(l), connectorsCommand(), offsetsCommand(), deadLettersCommand(), validateCommand(), pluginsCommand(), pluginCommand(), demoCommand(), brokerCommand(), versionCommand())
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

// logging is the program's log and the levels that can change while it runs.
type logging struct{ levels *loglevel.Levels }

// open makes the default logger.
func (l *logging) open(to io.Writer, format, level string) error {
	l.levels = loglevel.New(slog.LevelInfo)
	if err := l.set(level); err != nil {
		return err
	}
	options := &slog.HandlerOptions{Level: loglevel.All, ReplaceAttr: plainError}
	switch format {
	case "text":
		slog.SetDefault(slog.New(l.levels.Handler(slog.NewTextHandler(to, options))))
	case "json":
		slog.SetDefault(slog.New(l.levels.Handler(slog.NewJSONHandler(to, options))))
	default:
		return usageError{fmt.Errorf("--log-format %q: text or json is expected", format)}
	}
	return nil
}

// plainError logs an error by its message: the text handler asks for more (%+v), with which some libraries print their call stack.
func plainError(_ []string, a slog.Attr) slog.Attr {
	if err, ok := a.Value.Any().(error); ok {
		a.Value = slog.StringValue(err.Error())
	}
	return a
}

// set sets the level of all loggers.
func (l *logging) set(level string) error {
	known, ok := loglevel.Parse(level)
	if !ok {
		return usageError{fmt.Errorf("--log-level %q: trace, debug, info, warn, error or off is expected", level)}
	}
	_, err := l.levels.Set(loglevel.Root, known)
	return err
}

// setFor sets the level of one logger, as the cluster wants it.
func (l *logging) setFor(logger, level string) {
	known, ok := loglevel.Parse(level)
	if !ok {
		slog.Warn("a level of a logger is not known", "logger", logger, "level", level)
		return
	}
	if _, err := l.levels.Set(logger, known); err != nil {
		slog.Warn("the level of a logger was not set", "logger", logger, "error", err)
	}
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
