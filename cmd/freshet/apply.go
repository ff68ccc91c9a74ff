package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/herder"
	"github.com/freshet-io/freshet/runtime/rest/client"
	"github.com/freshet-io/freshet/runtime/standalone"
	"github.com/freshet-io/freshet/runtime/workerconfig"
)

const filesFlag = "connector `file`, JSON or properties, - for standard input; may be given several times"

func applyCommand(r *remote) *cobra.Command {
	var files []string
	var wait waiting
	var dry bool
	c := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Create connectors from files, or give them the configurations in there",
		Long: `Creates the connector of each file, or makes its configuration what the file says, and prints what changes, without
secrets. What is the same already is left alone. initial_state is for a connector that is created. With --dry-run nothing is
changed: the worker checks the configuration, and the changes are printed.`,
		Example: `  freshet connectors apply -f examples/postgres-to-kafka.json --dry-run
  freshet connectors apply -f examples/postgres-to-kafka.json --wait`,
		Args: usage(cobra.NoArgs),
		RunE: r.ask(func(c *cobra.Command, w *client.Client, _ []string) error {
			list, err := readFiles(files)
			if err != nil {
				return err
			}
			var results []result
			var failed []error
			for _, one := range list {
				done, err := apply(c, w, one, dry, &wait)
				if done.Result != "" {
					results = append(results, done)
				}
				if err != nil {
					failed = append(failed, fmt.Errorf("connector %s (%s): %w", one.Name, one.File, err))
				}
			}
			return errors.Join(append([]error{r.report(c, results)}, failed...)...)
		}),
	}
	c.Flags().StringArrayVarP(&files, "file", "f", nil, filesFlag)
	c.Flags().BoolVar(&dry, "dry-run", false, "check, and print what would change")
	wait.add(c, "RUNNING")
	return c
}

// readFiles reads connector files; every connector may be in one of them.
func readFiles(files []string) ([]standalone.Connector, error) {
	if len(files) == 0 {
		return nil, usageError{errors.New("no file is named: -f FILE")}
	}
	var out []standalone.Connector
	seen := map[string]string{}
	for _, file := range files {
		path := file
		if path == "-" {
			path = "/dev/stdin"
		}
		c, err := standalone.ReadConnector(path)
		if err != nil {
			return nil, err
		}
		if other, twice := seen[c.Name]; twice {
			return nil, fmt.Errorf("connector %s is in %s and in %s", c.Name, other, file)
		}
		seen[c.Name] = file
		c.File, c.Config = file, maps.Clone(c.Config)
		c.Config["name"] = c.Name
		out = append(out, c)
	}
	return out, nil
}

// apply creates or updates one connector. A result with an error: it was changed, but it does not run.
func apply(c *cobra.Command, w *client.Client, one standalone.Connector, dry bool, wait *waiting) (result, error) {
	ctx, out := c.Context(), result{Name: one.Name}
	info, err := w.Info(ctx, one.Name)
	exists := err == nil
	if err != nil && !client.Missing(err) {
		return out, err
	}
	for _, ch := range client.Changes(info.Config, one.Config) {
		out.Changes = append(out.Changes, change{ch.Key, mask(ch.Key, ch.Old), mask(ch.Key, ch.New)})
	}
	if dry {
		return plan(c, w, one, out, exists)
	}
	target := runtime.Running
	switch {
	case exists:
		target, err = keeps(c, w, one.Name)
	case one.Target != "":
		target = one.Target
	}
	switch {
	case err != nil && exists:
		return out, err
	case !exists:
		out.Result, err = "created", create(c, w, one)
	case len(out.Changes) > 0:
		out.Result = "updated"
		_, _, err = w.Put(ctx, one.Name, one.Config)
	default:
		out.Result = "unchanged"
	}
	if err != nil {
		return result{}, err
	}
	return out, wait.until(ctx, w, one.Name, target)
}

// plan says what apply would do.
func plan(c *cobra.Command, w *client.Client, one standalone.Connector, out result, exists bool) (result, error) {
	validation, err := w.Validate(c.Context(), one.Config["connector.class"], one.Config)
	if err == nil {
		err = asError(validation)
	}
	if err != nil {
		return out, err
	}
	switch {
	case !exists:
		out.Result = "would be created"
	case len(out.Changes) > 0:
		out.Result = "would be updated"
	default:
		out.Result = "unchanged"
	}
	return out, nil
}

func create(c *cobra.Command, w *client.Client, one standalone.Connector) error {
	var err error
	if one.Target == "" {
		_, _, err = w.Put(c.Context(), one.Name, one.Config)
	} else {
		_, err = w.Create(c.Context(), one.Name, one.Config, one.Target)
	}
	return err
}

// keeps is the state that a connector goes back to after an update.
func keeps(c *cobra.Command, w *client.Client, name string) (runtime.State, error) {
	status, err := w.Status(c.Context(), name)
	if err != nil && !client.Missing(err) {
		return "", err
	}
	if s := status.Connector.State; s == runtime.Paused || s == runtime.Stopped {
		return s, nil
	}
	return runtime.Running, nil
}

func mask(key string, v *string) *string {
	if v == nil {
		return nil
	}
	text := workerconfig.Mask(key, *v)
	return &text
}

// asError lists what is wrong with a configuration.
func asError(v herder.Validation) error {
	var out []error
	for _, k := range v.Configs {
		if k.Value == nil {
			continue // Debezium's connectors leave out some
		}
		for _, text := range k.Value.Errors {
			out = append(out, fmt.Errorf("%s: %s", k.Value.Name, text))
		}
	}
	return errors.Join(out...)
}

// verdict is what a worker says about one file.
type verdict struct {
	File   string              `json:"file"`
	Name   string              `json:"name"`
	Errors map[string][]string `json:"errors"`
}

func (r *remote) validateCommand() *cobra.Command {
	var files []string
	c := &cobra.Command{
		Use:     "validate -f FILE",
		Short:   "Let the worker check connector files and list every problem",
		Long:    "Lets the worker check connector files: every key, and when those are in order the live connections. Exit code 1 when there is a problem.",
		Example: "  freshet connectors validate -f examples/postgres-to-kafka.json",
		Args:    usage(cobra.NoArgs),
		RunE: r.ask(func(c *cobra.Command, w *client.Client, _ []string) error {
			list, err := readFiles(files)
			if err != nil {
				return err
			}
			var out []verdict
			problems := 0
			for _, one := range list {
				v, err := w.Validate(c.Context(), one.Config["connector.class"], one.Config)
				if err != nil {
					return fmt.Errorf("%s: %w", one.File, err)
				}
				said := verdict{one.File, one.Name, map[string][]string{}}
				for _, k := range v.Configs {
					if k.Value != nil && len(k.Value.Errors) > 0 {
						said.Errors[k.Value.Name] = k.Value.Errors
						problems += len(k.Value.Errors)
					}
				}
				out = append(out, said)
			}
			if err := r.print(c.OutOrStdout(), out, func(to io.Writer) { printVerdicts(to, out) }); err != nil {
				return err
			}
			if problems > 0 {
				return exitError{exitFailed}
			}
			return nil
		}),
	}
	c.Flags().StringArrayVarP(&files, "file", "f", nil, filesFlag)
	return c
}

func printVerdicts(to io.Writer, list []verdict) {
	for _, v := range list {
		for _, key := range slices.Sorted(maps.Keys(v.Errors)) {
			for _, text := range v.Errors[key] {
				fmt.Fprintf(to, "%s: connector %s: %s: %s\n", v.File, v.Name, key, text)
			}
		}
		if len(v.Errors) == 0 {
			fmt.Fprintf(to, "%s: connector %s: good\n", v.File, v.Name)
		}
	}
}
