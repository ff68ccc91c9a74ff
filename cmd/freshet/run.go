package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/standalone"
	"github.com/freshet-io/freshet/runtime/workerconfig"
)

// filesHelp describes the arguments of run and validate.
const filesHelp = `CONNECTOR is a file in one of Kafka Connect's forms: a JSON map with "name", a JSON object with "name" and "config", or
.properties. The worker's properties are those of Kafka Connect: bootstrap.servers, key.converter, config.providers,
exactly.once.source.support, offset.storage.file.filename (freshet-offsets.db when it is not given) and so on.`

func runCommand(l *logging) *cobra.Command {
	o := standalone.Options{}
	c := &cobra.Command{
		Use:   "run CONNECTOR...",
		Short: "Run connectors from files until a signal",
		Long: `Runs the connectors in this process. The first SIGINT or SIGTERM stops gracefully: what is on its way is made durable
and its offsets are stored. The second ends the process at once; after that, as after a crash, the next run goes on at
the last stored offset and nothing is lost. A connector that fails does not end the others; the exit code is then 1.

` + filesHelp,
		Example: `  freshet run examples/postgres-to-stdout.json
  freshet run examples/postgres-to-kafka.json -c examples/worker.properties
  freshet run examples/postgres-to-timescaledb.json --log-format json`,
		Args: usage(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			o.Connectors = args
			newProgram().complete(c.Context(), &o)
			o.Levels, o.SetLogLevel = l.levels, l.setFor
			o.Extra = extra
			slog.Info("freshet starts", "version", o.Version)
			tracer, closeTracer, err := openTracer(c.Context())
			if err != nil {
				return err
			}
			defer closeTracer()
			o.Tracer = tracer
			defer context.AfterFunc(c.Context(), func() { slog.Info("stopping gracefully; a second signal ends the program at once") })()
			// A second signal ends the process, so that the graceful stop needs no other limit.
			return standalone.Run(c.Context(), context.WithoutCancel(c.Context()), o)
		},
	}
	c.Flags().StringVarP(&o.Worker, "config", "c", "", "worker properties `file`")
	c.Flags().BoolVar(&o.UntilDone, "until-done", false, "end when every source has ended (snapshot.mode=initial_only, a file)")
	return c
}

// complete adds what this program has to the options. All files of one command have one worker, whose plugins are asked once what
// they serve.
func (p *program) complete(ctx context.Context, o *standalone.Options) {
	var catalog *runtime.Catalog
	o.CatalogFor = func(c *workerconfig.Config) *runtime.Catalog {
		if catalog == nil {
			catalog = p.catalogFor(ctx, c, slog.Default())
		}
		return catalog
	}
	o.KafkaStore = p.kafkaStore
	o.DeadLetters = p.deadLetters()
	o.Logger = slog.Default()
	o.Version = versionText()
}

func validateCommand() *cobra.Command {
	o := standalone.Options{}
	var keysOnly bool
	c := &cobra.Command{
		Use:   "validate CONNECTOR...",
		Short: "Check connector files and list every problem",
		Long: `Checks every key, and when those are in order the live connections: can the database and the broker be reached, may
the user do what the connector needs. Nothing is changed anywhere. Exit code 1 when there is a problem.

` + filesHelp,
		Example: `  freshet validate examples/postgres-to-timescaledb.json
  freshet validate --offline examples/*.json`,
		Args: usage(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			newProgram().complete(c.Context(), &o)
			if keysOnly {
				online := o.CatalogFor
				o.CatalogFor = func(w *workerconfig.Config) *runtime.Catalog { return offline(online(w)) }
			}
			problems := 0
			for _, file := range args {
				o.Connectors = []string{file}
				n, err := validate(c, o)
				if err != nil {
					return err
				}
				problems += n
			}
			if problems > 0 {
				return exitError{exitFailed}
			}
			return nil
		},
	}
	c.Flags().StringVarP(&o.Worker, "config", "c", "", "worker properties `file`")
	c.Flags().BoolVar(&keysOnly, "offline", false, "check the keys only, connect to nothing")
	return c
}

// validate checks one file and returns the number of its problems. A file that cannot be read is one.
func validate(c *cobra.Command, o standalone.Options) (int, error) {
	out := c.OutOrStdout()
	checked, err := standalone.Validate(c.Context(), o)
	if err != nil {
		_, e := fmt.Fprintf(out, "%s: %v\n", o.Connectors[0], err)
		return 1, e
	}
	problems := 0
	for _, f := range checked {
		for _, v := range f.Values {
			for _, text := range v.Problems() {
				problems++
				if _, err := fmt.Fprintf(out, "%s: connector %s: %s: %s\n", f.Connector.File, f.Connector.Name, v.Name, text); err != nil {
					return problems, err
				}
			}
		}
		if len(connectors.Errors(f.Values)) == 0 {
			if _, err := fmt.Fprintf(out, "%s: connector %s: good\n", f.Connector.File, f.Connector.Name); err != nil {
				return problems, err
			}
		}
	}
	return problems, nil
}
