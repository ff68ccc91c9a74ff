package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/freshet-io/freshet/demo"
)

func demoCommand() *cobra.Command {
	o := demo.Options{Out: os.Stdout}
	c := &cobra.Command{
		Use:   "demo",
		Short: "See that nothing is lost and nothing comes twice, on this machine, without Docker",
		Long: `Starts two Postgres servers and a broker that live only as long as the demo, writes horse bets into the first
server, and lets a worker copy every change into tables of the second and, exactly once, into the broker's topics.
Half-way the worker is killed (SIGKILL) under load and started again. At the end both copies are compared with the
source. The last line says what was lost and what came twice; the exit code is 1 unless both are 0.

With --source mysql the first server is a MariaDB 11.4, on Linux with an amd64 processor.

The first run downloads Postgres (15 MB), and MariaDB where it is the source (149 MB, 10 MB of which are kept), into the
user's cache directory. Started as root, the demo continues as the user nobody, because the servers refuse to run as root.`,
		Example: `  freshet demo
  freshet demo --source mysql
  freshet demo --rate 5000 --duration 30s
  freshet demo --keep          stays after the comparison and prints how to look inside
  freshet demo full            ClickHouse, Elasticsearch and TimescaleDB at once, in containers`,
		Args: usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if o.Rate < 1 || o.Duration < time.Second {
				return usageError{fmt.Errorf("freshet demo: --rate must be at least 1 and --duration at least 1s")}
			}
			if err := demo.Available(o.Source); err != nil {
				return usageError{fmt.Errorf("freshet demo: --source: %w", err)}
			}
			executable, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find the program's own file: %w", err)
			}
			if demo.NeedsUnprivileged() {
				cache, err := demo.CacheDir()
				if err != nil {
					return err
				}
				code, err := demo.RunUnprivileged(c.Context(), executable, os.Args[1:], cache)
				if err == nil && code != exitDone {
					err = exitError{code}
				}
				return err
			}
			o.Executable = executable
			return demo.Run(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Source, "source", demo.Postgres, "what to write to: "+demo.Postgres+" or "+demo.MySQL)
	f.IntVar(&o.Rate, "rate", 2000, "row changes per second")
	f.DurationVar(&o.Duration, "duration", 20*time.Second, "how long to write")
	f.Uint64Var(&o.Seed, "seed", 1, "of the workload's random numbers")
	f.BoolVar(&o.Keep, "keep", false, "stay after the comparison and print how to look inside; Ctrl-C ends")
	c.AddCommand(fullDemoCommand())
	return c
}

func fullDemoCommand() *cobra.Command {
	o := demo.FullOptions{Out: os.Stdout}
	var once bool
	var changes int
	c := &cobra.Command{
		Use:   "full",
		Short: "See one Postgres in ClickHouse, Elasticsearch and TimescaleDB at once, in containers",
		Long: `Starts a Postgres, a ClickHouse, an Elasticsearch and a TimescaleDB in containers, writes horse bets into the Postgres, and
runs examples/full/bets.json: one connector that copies every change into the other three. It prints a query to try on each, and goes
on until Ctrl-C, which ends everything and removes the containers. It needs Docker, and 2 GB of memory.

Ports are 15432, 18123, 19200 and 15433 of 127.0.0.1; free ones instead of those that are taken. FRESHET_IMAGE_POSTGRES,
_CLICKHOUSE, _ELASTICSEARCH and _TIMESCALEDB name other images than the official ones.`,
		Example: `  freshet demo full
  freshet demo full --once     ends when every target equals the source, row by row`,
		Args: usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if o.Rate < 1 || changes < 1 {
				return usageError{fmt.Errorf("freshet demo full: --rate and --changes must be at least 1")}
			}
			if !containerName.MatchString(o.Name) {
				return usageError{fmt.Errorf("freshet demo full: --name %q: letters, digits, - and _ only", o.Name)}
			}
			if once {
				o.Changes = changes
			}
			if o.Executable, err = os.Executable(); err != nil {
				return fmt.Errorf("find the program's own file: %w", err)
			}
			return demo.RunFull(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Name, "name", demo.FullName, "begins the names of the containers; demos of different names run side by side")
	f.IntVar(&o.Rate, "rate", 200, "row changes per second")
	f.Uint64Var(&o.Seed, "seed", 1, "of the workload's random numbers")
	f.BoolVar(&once, "once", false, "end by itself, after a comparison row by row; the exit code is 1 unless all targets equal the source")
	f.IntVar(&changes, "changes", 2000, "with --once: how many row changes to write")
	return c
}

var containerName = regexp.MustCompile("^[A-Za-z0-9][A-Za-z0-9_-]*$")

// brokerCommand is the embedded broker of the demo, which runs it as a child.
func brokerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    demo.BrokerCommand + " PORT DIRECTORY",
		Hidden: true,
		Args:   usage(cobra.ExactArgs(2)),
		RunE: func(_ *cobra.Command, args []string) error {
			port, err := strconv.Atoi(args[0])
			if err != nil {
				return usageError{fmt.Errorf("port %q is not a number", args[0])}
			}
			return demo.Broker(os.Stdin, os.Stdout, port, args[1])
		},
	}
}
