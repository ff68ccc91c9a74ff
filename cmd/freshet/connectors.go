package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/herder"
	"github.com/freshet-io/freshet/runtime/rest/client"
	"github.com/freshet-io/freshet/runtime/workerconfig"
)

func connectorsCommand() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{
		Use:     "connectors",
		Aliases: []string{"connector"},
		Short:   "List, create and steer the connectors of a worker",
		Long:    "Lists, creates and steers the connectors of a running worker.\n" + remoteHelp,
		Example: `  freshet connectors list
  freshet connectors apply -f examples/postgres-to-kafka.json --wait
  freshet connectors restart bets-to-kafka --tasks --only-failed
  freshet connectors describe bets-to-kafka --url http://connect:8083`,
		Args: usage(cobra.NoArgs),
		RunE: needsSubcommand,
	}
	r.add(c)
	c.AddCommand(listCommand(r), describeCommand(r), applyCommand(r), r.validateCommand(), r.stateCommand("pause", runtime.Paused, (*client.Client).Pause),
		r.stateCommand("resume", runtime.Running, (*client.Client).Resume), r.stateCommand("stop", runtime.Stopped, (*client.Client).Stop),
		restartCommand(r), deleteCommand(r), tasksCommand(r), topicsCommand(r))
	return c
}

// needsSubcommand answers a group of commands that is called without one of them.
func needsSubcommand(c *cobra.Command, _ []string) error {
	_ = c.Help() // to standard output; an error there leaves nothing to do
	return exitError{exitUsage}
}

// listed is one connector in a list.
type listed struct {
	herder.Status
	Class string `json:"class"`
}

func listCommand(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the connectors and their states",
		Args:  usage(cobra.NoArgs),
		RunE: r.ask(func(c *cobra.Command, w *client.Client, _ []string) error {
			all, err := w.All(c.Context())
			if err != nil {
				return err
			}
			rows := []listed{}
			for _, name := range slices.Sorted(maps.Keys(all)) {
				one := all[name]
				one.Status.Name = name // there is no status for a moment after it was made
				rows = append(rows, listed{one.Status, one.Info.Config["connector.class"]})
			}
			return r.print(c.OutOrStdout(), rows, func(to io.Writer) {
				fmt.Fprintln(to, "NAME\tTYPE\tSTATE\tTASKS\tWORKER\tCLASS")
				for _, row := range rows {
					fmt.Fprintf(to, "%s\t%s\t%s\t%s\t%s\t%s\n", row.Name, dash(row.Type), dash(string(row.Connector.State)), countTasks(row.Tasks), dash(row.Connector.WorkerID), dash(row.Class))
				}
			})
		}),
	}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// countTasks is for example "2 RUNNING, 1 FAILED".
func countTasks(tasks []herder.TaskStatus) string {
	count := map[string]int{}
	for _, t := range tasks {
		count[string(t.State)]++
	}
	var out []string
	for _, state := range slices.Sorted(maps.Keys(count)) {
		out = append(out, fmt.Sprintf("%d %s", count[state], state))
	}
	return dash(strings.Join(out, ", "))
}

// described is a connector as describe shows it.
type described struct {
	herder.Status
	Config connectors.Config `json:"config"`
	Topics []string          `json:"topics"`
}

func describeCommand(r *remote) *cobra.Command {
	var clear bool
	c := &cobra.Command{
		Use:               "describe NAME",
		Short:             "Show the state, tasks and configuration of a connector",
		Args:              usage(cobra.ExactArgs(1)),
		ValidArgsFunction: r.one,
		RunE: r.ask(func(c *cobra.Command, w *client.Client, args []string) error {
			info, err := w.Info(c.Context(), args[0])
			if err != nil {
				return err
			}
			d := described{Config: info.Config}
			if d.Status, err = w.Status(c.Context(), args[0]); err != nil && !client.Missing(err) {
				return err
			}
			d.Name, d.Type = info.Name, info.Type
			if d.Topics, err = w.Topics(c.Context(), args[0]); err != nil {
				d.Topics = nil // topic tracking may be disabled
			}
			slices.Sort(d.Topics)
			if !clear {
				d.Config = masked(info.Config)
			}
			return r.print(c.OutOrStdout(), d, d.print)
		}),
	}
	c.Flags().BoolVar(&clear, "show-secrets", false, "print passwords and other secrets as they are")
	return c
}

func masked(c connectors.Config) connectors.Config {
	out := connectors.Config{}
	for name, v := range c {
		out[name] = workerconfig.Mask(name, v)
	}
	return out
}

func (d described) print(w io.Writer) {
	fmt.Fprintf(w, "Name:\t%s\nType:\t%s\nState:\t%s\nWorker:\t%s\n", d.Name, d.Type, dash(string(d.Connector.State)), dash(d.Connector.WorkerID))
	if d.Connector.Version != "" {
		fmt.Fprintf(w, "Version:\t%s\n", d.Connector.Version)
	}
	if len(d.Topics) > 0 {
		fmt.Fprintf(w, "Topics:\t%s\n", strings.Join(d.Topics, ", "))
	}
	printTrace(w, d.Connector.Trace)
	fmt.Fprintln(w, "Tasks:")
	for _, t := range d.Tasks {
		fmt.Fprintf(w, "  %d\t%s on %s\n", t.ID, t.State, dash(t.WorkerID))
		printTrace(w, t.Trace)
	}
	fmt.Fprintln(w, "Config:")
	for _, name := range slices.Sorted(maps.Keys(d.Config)) {
		fmt.Fprintf(w, "  %s = %s\n", name, d.Config[name])
	}
}

func printTrace(w io.Writer, trace string) {
	for line := range strings.Lines(strings.TrimSpace(trace)) {
		fmt.Fprintf(w, "    %s\n", strings.ReplaceAll(strings.TrimRight(line, "\r\n"), "\t", "    "))
	}
}

// waiting are the flags of commands that can wait for their effect.
type waiting struct {
	wait bool
	time time.Duration
}

func (w *waiting) add(c *cobra.Command, what string) {
	c.Flags().BoolVar(&w.wait, "wait", false, "wait until the connector and all its tasks are "+what)
	c.Flags().DurationVar(&w.time, "wait-timeout", time.Minute, "how long to wait")
}

// until waits, if that was asked for.
func (w *waiting) until(ctx context.Context, worker *client.Client, name string, state runtime.State) error {
	if !w.wait {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, w.time)
	defer cancel()
	return worker.Wait(ctx, name, state)
}

func (r *remote) stateCommand(verb string, state runtime.State, do func(*client.Client, context.Context, string) error) *cobra.Command {
	var wait waiting
	short := map[string]string{
		"pause": "Let connectors take nothing more from their sources", "resume": "Let paused or stopped connectors run",
		"stop": "End the tasks of connectors and keep their configurations",
	}
	c := &cobra.Command{
		Use:               verb + " NAME...",
		Short:             short[verb],
		Args:              usage(cobra.MinimumNArgs(1)),
		ValidArgsFunction: r.names,
		RunE: r.ask(func(c *cobra.Command, w *client.Client, args []string) error {
			return r.each(c, args, func(name string) (string, error) {
				if err := do(w, c.Context(), name); err != nil {
					return "", err
				}
				if !wait.wait {
					return "told to " + verb, nil
				}
				return string(state), wait.until(c.Context(), w, name, state)
			})
		}),
	}
	wait.add(c, string(state))
	return c
}

func restartCommand(r *remote) *cobra.Command {
	var wait waiting
	var tasks, onlyFailed bool
	task := -1
	c := &cobra.Command{
		Use:   "restart NAME...",
		Short: "Start connectors or their tasks again",
		Long:  "Starts connectors again; their tasks too with --tasks, only what has failed with --only-failed, or one task with --task.",
		Example: `  freshet connectors restart orders --tasks
  freshet connectors restart orders --tasks --only-failed
  freshet connectors restart orders --task 0`,
		Args:              usage(cobra.MinimumNArgs(1)),
		ValidArgsFunction: r.names,
		RunE: r.ask(func(c *cobra.Command, w *client.Client, args []string) error {
			if task >= 0 && (tasks || onlyFailed) {
				return usageError{fmt.Errorf("--task names one task; leave --tasks and --only-failed out")}
			}
			return r.each(c, args, func(name string) (string, error) {
				var err error
				if task >= 0 {
					err = w.RestartTask(c.Context(), name, task)
				} else {
					err = w.Restart(c.Context(), name, tasks, onlyFailed)
				}
				if err != nil {
					return "", err
				}
				return "restarted", wait.until(c.Context(), w, name, runtime.Running)
			})
		}),
	}
	c.Flags().BoolVar(&tasks, "tasks", false, "the tasks, too")
	c.Flags().BoolVar(&onlyFailed, "only-failed", false, "only what has failed")
	c.Flags().IntVar(&task, "task", -1, "this task alone")
	wait.add(c, "RUNNING")
	return c
}

func deleteCommand(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:               "delete NAME...",
		Short:             "Delete connectors; their offsets stay",
		Args:              usage(cobra.MinimumNArgs(1)),
		ValidArgsFunction: r.names,
		RunE: r.ask(func(c *cobra.Command, w *client.Client, args []string) error {
			return r.each(c, args, func(name string) (string, error) {
				return "deleted", w.Delete(c.Context(), name)
			})
		}),
	}
}

// task is a task as tasks shows it.
type task struct {
	herder.TaskStatus
	Config connectors.Config `json:"config,omitempty"`
}

func tasksCommand(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:               "tasks NAME",
		Short:             "List the tasks of a connector",
		Args:              usage(cobra.ExactArgs(1)),
		ValidArgsFunction: r.one,
		RunE: r.ask(func(c *cobra.Command, w *client.Client, args []string) error {
			configs, err := w.Tasks(c.Context(), args[0])
			if err != nil {
				return err
			}
			status, err := w.Status(c.Context(), args[0])
			if err != nil && !client.Missing(err) {
				return err
			}
			rows := []task{}
			for _, t := range configs {
				row := task{TaskStatus: herder.TaskStatus{ID: t.ID.Task}, Config: masked(t.Config)}
				for _, s := range status.Tasks {
					if s.ID == row.ID {
						row.TaskStatus = s
					}
				}
				rows = append(rows, row)
			}
			slices.SortFunc(rows, func(a, b task) int { return a.ID - b.ID })
			return r.print(c.OutOrStdout(), rows, func(to io.Writer) {
				fmt.Fprintln(to, "TASK\tSTATE\tWORKER\tVERSION\tERROR")
				for _, t := range rows {
					fmt.Fprintf(to, "%d\t%s\t%s\t%s\t%s\n", t.ID, dash(string(t.State)), dash(t.WorkerID), dash(t.Version), dash(client.FirstLine(t.Trace)))
				}
			})
		}),
	}
}

func topicsCommand(r *remote) *cobra.Command {
	var reset bool
	c := &cobra.Command{
		Use:               "topics NAME",
		Short:             "List the topics that a connector has used",
		Args:              usage(cobra.ExactArgs(1)),
		ValidArgsFunction: r.one,
		RunE: r.ask(func(c *cobra.Command, w *client.Client, args []string) error {
			if reset {
				return r.each(c, args, func(name string) (string, error) {
					return "its topics are forgotten", w.ResetTopics(c.Context(), name)
				})
			}
			topics, err := w.Topics(c.Context(), args[0])
			if err != nil {
				return err
			}
			slices.Sort(topics)
			return r.print(c.OutOrStdout(), append([]string{}, topics...), func(to io.Writer) {
				for _, t := range topics {
					fmt.Fprintln(to, t)
				}
			})
		}),
	}
	c.Flags().BoolVar(&reset, "reset", false, "forget them")
	return c
}
