package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/deadletter"
	"github.com/freshet-io/freshet/runtime/standalone"
)

// letterFlags name the queue that a command reads.
type letterFlags struct {
	worker, sink string
	all          bool
	given        standalone.Given
}

func deadLettersCommand() *cobra.Command {
	f := &letterFlags{}
	c := &cobra.Command{
		Use:   "dead-letters",
		Short: "List and replay the records that a connector could not process",
		Long: `Lists and replays the records in the dead-letter queue of a connector: the topic or the file that its configuration names
(errors.deadletterqueue.topic.name, errors.deadletterqueue.file). The connector may be running.

` + filesHelp,
		Example: `  freshet dead-letters list examples/topics-to-timescaledb.json -c examples/worker.properties
  freshet dead-letters list examples/topics-to-timescaledb.json -o json
  freshet dead-letters replay examples/topics-to-timescaledb.json -c examples/worker.properties`,
		Args: usage(cobra.NoArgs),
		RunE: needsSubcommand,
	}
	c.PersistentFlags().StringVarP(&f.worker, "config", "c", "", "worker properties `file`")
	c.PersistentFlags().StringVar(&f.sink, "sink", "", "`alias` of the sink whose own queue is meant")
	c.PersistentFlags().BoolVar(&f.all, "all", false, "also those that were replayed before")
	c.AddCommand(listLettersCommand(f), replayLettersCommand(f))
	return c
}

// open reads the connector file and returns a reader of its queue, and where to begin.
func (f *letterFlags) open(c *cobra.Command, file string) (*deadletter.Reader, deadletter.Marks, error) {
	found, err := standalone.ReadConfig(standalone.Options{Connectors: []string{file}, Worker: f.worker, Logger: slog.Default()})
	if err != nil {
		return nil, nil, err
	}
	f.given = found
	config := connectors.Config{}
	for name, v := range found.Config {
		if !strings.HasPrefix(name, "sinks.") {
			config[name] = v
		}
	}
	for name, v := range found.Config {
		if own, ok := strings.CutPrefix(name, "sinks."+f.sink+"."); ok && f.sink != "" {
			config[own] = v
		}
	}
	r, err := newProgram().deadLetters().Reader(config, connectors.Settings{Connector: found.Name, Worker: found.Worker, Logger: slog.Default()})
	if err != nil || f.all {
		return r, deadletter.Marks{}, err
	}
	from, err := r.Replayed(c.Context())
	return r, from, err
}

func listLettersCommand(f *letterFlags) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "list CONNECTOR",
		Short: "List the records that were not replayed yet",
		Long: `Lists the records of a dead-letter queue: where they came from and why they are there. With -o json each is one line with its key,
value and headers, in the form of errors.deadletterqueue.file.`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			if output != "table" && output != "json" {
				return usageError{fmt.Errorf("--output %q: table or json is expected", output)}
			}
			r, from, err := f.open(c, args[0])
			if err != nil {
				return err
			}
			if output == "json" {
				_, err = r.Read(c.Context(), from, func(l *deadletter.Letter) error { return printLine(c.OutOrStdout(), l) })
				return err
			}
			to := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(to, "PLACE\tTIME\tFROM\tSTAGE\tCAUSE")
			_, err = r.Read(c.Context(), from, func(l *deadletter.Letter) error {
				_, err := fmt.Fprintf(to, "%d:%d\t%s\t%s\t%s\t%s\n", l.Partition, l.Place, timeOf(l), originOf(l), l.Header(deadletter.HeaderStage), short(l.Header(deadletter.HeaderMessage)))
				return err
			})
			return errors.Join(err, to.Flush())
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return c
}

func printLine(to io.Writer, l *deadletter.Letter) error {
	line, err := deadletter.AppendLine(nil, &l.Record)
	if err != nil {
		return err
	}
	_, err = to.Write(append(line, '\n'))
	return err
}

func timeOf(l *deadletter.Letter) string {
	if l.Timestamp < 0 {
		return "-"
	}
	return time.UnixMilli(l.Timestamp).UTC().Format(time.RFC3339)
}

// originOf is topic:partition:offset, or the topic and the place in the source.
func originOf(l *deadletter.Letter) string {
	out := l.Header(deadletter.HeaderTopic)
	for _, name := range []string{deadletter.HeaderPartition, deadletter.HeaderOffset, deadletter.HeaderSourceOrder} {
		if v := l.Header(name); v != "" {
			out += ":" + v
		}
	}
	if out == "" {
		return "-"
	}
	return out
}

// short is one line of a text.
func short(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > 160 {
		return string(r[:159]) + "…"
	}
	return text
}

func replayLettersCommand(f *letterFlags) *cobra.Command {
	var topic string
	c := &cobra.Command{
		Use:   "replay CONNECTOR",
		Short: "Process the records again",
		Long: `Processes the records of a dead-letter queue again and remembers how far it came: the next replay goes on behind them. When it is
interrupted, nothing is remembered, and the records that were sent are sent again.

Those of a sink connector are sent to the topics where they came from, as they were there; everybody who reads these topics sees them
again. Those of a connector with direct sinks are written into the sink that refused them (--sink names one of several), which must take
records of topics. A row that was changed since gets the state of the letter, unless the sink compares versions.

Mend the cause first (a converter, a column): a record that a sink still refuses ends the replay.`,
		Example: `  freshet dead-letters replay examples/topics-to-timescaledb.json -c examples/worker.properties
  freshet dead-letters replay examples/topics-to-timescaledb.json -c examples/worker.properties --topic racing-mended`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			r, from, err := f.open(c, args[0])
			if err != nil {
				return err
			}
			var n int
			var marks deadletter.Marks
			if given := f.given.Config; topic != "" || strings.TrimSpace(given["topics"])+strings.TrimSpace(given["topics.regex"]) != "" {
				n, marks, err = r.Replay(c.Context(), from, topic)
			} else {
				n, marks, err = f.intoSink(c.Context(), r, from)
			}
			if err == nil {
				err = r.SetReplayed(c.Context(), marks)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%d records were replayed\n", n)
			return err
		},
	}
	c.Flags().StringVar(&topic, "topic", "", "send all of them to this `topic`")
	return c
}

// intoSink runs a connector whose source is the queue, until everything is durable in its sink.
func (f *letterFlags) intoSink(ctx context.Context, r *deadletter.Reader, from deadletter.Marks) (int, deadletter.Marks, error) {
	given := f.given.Config
	aliases := connectors.SplitList(given["sinks"])
	alias := f.sink
	switch {
	case len(aliases) == 1:
		alias = aliases[0]
	case !slices.Contains(aliases, alias):
		return 0, nil, usageError{fmt.Errorf("connector %s has %d direct sinks: name one of them with --sink (%s)", f.given.Name, len(aliases), strings.Join(aliases, ", "))}
	}
	source := &deadletter.Sources{Reader: r, From: from, Sink: f.sink}
	config := connectors.Config{"connector.class": deadletter.SourceClass, "sinks": alias}
	prefix := "sinks." + alias + "."
	for name, v := range given {
		if strings.HasPrefix(name, prefix) && !strings.HasPrefix(name, prefix+"errors.") {
			config[name] = v
		}
	}
	changed := make(chan struct{}, 1)
	w := runtime.NewWorker(runtime.Options{
		Catalog: runtime.NewCatalog([]connectors.SourceFactory{source}, newProgram().sinks()), Store: offsets.NewMemory(),
		Logger: slog.Default(), Config: f.given.Worker, Version: versionText(),
		Changed: func(string) {
			select {
			case changed <- struct{}{}:
			default:
			}
		},
	})
	name := f.given.Name + "-dead-letters"
	err := w.Put(ctx, name, config, "")
	for err == nil && !w.Idle(name) {
		select {
		case <-changed:
			if s, _ := w.Status(name); len(s.Tasks) == 1 && s.Tasks[0].State == runtime.Failed {
				err = errors.New(s.Tasks[0].Trace)
			}
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err = errors.Join(err, w.Close(context.WithoutCancel(ctx))); err != nil {
		return 0, nil, fmt.Errorf("replay into sink %s: %w", alias, err)
	}
	return source.Count, source.After, nil
}
