package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest/conformance"
	"github.com/freshet-io/freshet/plugins"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/standalone"
)

// trial is what freshet plugin test was asked to do.
type trial struct {
	config, class, write, poison, read, only string
	records                                  int
	seed                                     uint64
	patience                                 time.Duration
	json, mirror                             bool
}

func pluginTestCommand() *cobra.Command {
	var o trial
	c := &cobra.Command{
		Use:   "test PLUGIN -c FILE",
		Short: "Check that a connector keeps the contract, and report",
		Long: `Check that a connector keeps the contract: lifecycle, order, resume at any offset, back-pressure, classes of error, cancellation, records that
cannot be processed, random faults from a seed, and that nothing is left running. PLUGIN is a plugin's folder, its executable, or
"builtin" for a connector of this program.

A source is read from its start, so use one with a few hundred records, or give --write, a command that makes it have records: it is
called with the first and the last of the numbers to write, which no earlier call has had, and each number must become one record.
--poison, a command that writes with such a number what can be no record, shows what becomes of that.

A sink gets rows of a table feed with the columns n (bigint, the key) and text. With --read, a command that prints what the target
holds, a line with a number or a JSON object with the members n and text for each, it is checked that nothing is lost:

  freshet plugin test ./my-plugin -c sink.json --read 'sqlite3 out.db "select n from feed"'
  freshet plugin test ./my-plugin -c source.json --write 'seq "$1" "$2" >> in.txt'`,
		Example: "  freshet plugin test builtin -c examples/postgres-to-stdout.json --records 20",
		Args:    usage(cobra.ExactArgs(1)),
		RunE:    func(c *cobra.Command, args []string) error { return o.run(c, args[0]) },
	}
	f := c.Flags()
	f.StringVarP(&o.config, "config", "c", "", "connector file, as of freshet run (required)")
	f.StringVar(&o.class, "class", "", "class or alias of the connector; without it connector.class of the file, or the only one of the plugin")
	f.IntVar(&o.records, "records", 100, "how many records of a source are read")
	f.Uint64Var(&o.seed, "seed", 0, "of the random faults; 0: another one each time")
	f.StringVar(&o.write, "write", "", "shell command that writes the records with the numbers $1 … $2 into what the source reads")
	f.StringVar(&o.poison, "poison", "", "shell command that writes, as number $1, what cannot be made a record (with --write)")
	f.StringVar(&o.read, "read", "", "shell command that prints what the target of the sink holds")
	f.BoolVar(&o.mirror, "mirror", false, "the target has each number once, and not once it was deleted: check that")
	f.StringVar(&o.only, "only", "", "run only the checks whose name contains this text; a source's first reading is always done")
	f.DurationVar(&o.patience, "patience", 20*time.Second, "how long to wait for the connector")
	f.BoolVar(&o.json, "json", false, "print the report as JSON")
	return c
}

func (o *trial) run(c *cobra.Command, path string) error {
	if o.config == "" {
		return usageError{errors.New("--config: the connector file is missing")}
	}
	if o.records < 1 || o.patience <= 0 {
		return usageError{errors.New("--records and --patience must be above zero")}
	}
	if o.poison != "" && o.write == "" {
		return usageError{errors.New("--poison needs --write: records before and behind it show what the source does")}
	}
	file, err := standalone.ReadConnector(o.config)
	if err != nil {
		return err
	}
	if o.class == "" {
		o.class = file.Config["connector.class"]
	}
	source, sink, err := o.find(c.Context(), path)
	if err != nil {
		return err
	}
	for o.seed == 0 {
		var b [4]byte
		if _, err := rand.Read(b[:]); err != nil {
			return fmt.Errorf("make a seed: %w", err)
		}
		o.seed = uint64(binary.LittleEndian.Uint32(b[:]))
	}
	report, checks := o.checks(file, source, sink, path != builtin)
	out := c.OutOrStdout()
	report.Run(c.Context(), checks, func(r conformance.Result) {
		if !o.json {
			_ = r.Text(out) // the report at the end tells whether this can be written
		}
	})
	write := report.Text
	if o.json {
		write = report.JSON
	}
	if err := write(out); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if !report.OK() {
		return exitError{exitFailed}
	}
	return nil
}

func (o *trial) checks(file standalone.Connector, source connectors.SourceFactory, sink connectors.SinkFactory, processes bool) (*conformance.Report, []conformance.Check) {
	s := &conformance.Subject{
		Config: file.Config, Framework: runtime.Framework(sink != nil), Records: o.records, Seed: o.seed, Mirror: o.mirror, Patience: o.patience, Processes: processes,
		Settings: connectors.Settings{Connector: file.Name, Version: versionText(), Logger: slog.Default(), Worker: connectors.Config{}},
		First:    int(time.Now().Unix()) * 100_000,
	}
	if o.write != "" {
		s.Write = func(ctx context.Context, from, to int) error {
			_, err := shell(ctx, o.write, strconv.Itoa(from), strconv.Itoa(to))
			return err
		}
	}
	if o.poison != "" {
		s.Poison = func(ctx context.Context, n int) error {
			_, err := shell(ctx, o.poison, strconv.Itoa(n))
			return err
		}
	}
	if o.read != "" {
		s.Read = func(ctx context.Context) ([]conformance.Item, error) {
			text, err := shell(ctx, o.read)
			if err != nil {
				return nil, err
			}
			return conformance.ParseItems(bytes.NewReader(text))
		}
	}
	var d connectors.Description
	var checks []conformance.Check
	kind := "sink"
	if source != nil {
		d, checks, kind = source.Describe(), conformance.FactorySourceChecks(source, s), "source"
	} else {
		d, checks = sink.Describe(), conformance.FactorySinkChecks(sink, s)
	}
	var chosen []conformance.Check
	for _, check := range checks {
		if strings.Contains(check.Name, o.only) || check.Name == "FirstRun" {
			chosen = append(chosen, check)
		}
	}
	return &conformance.Report{Connector: d.Class, Kind: kind, Version: d.Version, Seed: o.seed}, chosen
}

// shell runs a command and returns what it prints.
func shell(ctx context.Context, text string, args ...string) ([]byte, error) {
	c := exec.CommandContext(ctx, "sh", append([]string{"-c", text, "sh"}, args...)...)
	c.WaitDelay = time.Second
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("run %q: %w: %s", text, err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}

// builtin stands for this program in place of a plugin.
const builtin = "builtin"

// find finds the connector of a class.
func (o *trial) find(ctx context.Context, path string) (connectors.SourceFactory, connectors.SinkFactory, error) {
	var sources []connectors.SourceFactory
	var sinks []connectors.SinkFactory
	if path == builtin {
		p := newProgram()
		sources, sinks = p.sources(), p.sinks()
	} else {
		var err error
		if sources, sinks, err = openPlugin(ctx, path); err != nil {
			return nil, nil, err
		}
	}
	catalog := runtime.NewCatalog(sources, sinks)
	class, all := o.class, catalog.List()
	if class == "" && len(all) == 1 {
		class = all[0].Class
	}
	if f := catalog.Source(class); f != nil {
		return f, nil, nil
	}
	if f := catalog.Sink(class); f != nil {
		return nil, f, nil
	}
	var names []string
	for _, e := range all {
		names = append(names, e.Class)
	}
	return nil, nil, usageError{fmt.Errorf("--class %q: %s has %s", o.class, path, strings.Join(names, ", "))}
}

// openPlugin asks a plugin, of a folder or an executable, what it serves.
func openPlugin(ctx context.Context, path string) ([]connectors.SourceFactory, []connectors.SinkFactory, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open plugin: %w", err)
	}
	p, o := plugins.Executable(path), plugins.Options{}
	if info.IsDir() {
		if p, err = plugins.Load(path); err != nil {
			return nil, nil, err
		}
	} else { // there is no manifest that could name what it needs
		for _, e := range os.Environ() {
			name, _, _ := strings.Cut(e, "=")
			o.Environment = append(o.Environment, name)
		}
	}
	return p.Open(ctx, o)
}
