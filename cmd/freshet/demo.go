package main

import (
	"fmt"
	"os"
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
  freshet demo --keep          stays after the comparison and prints how to look inside`,
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
	return c
}

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
