//go:build linux

// Command bench measures Freshet against the bare readers of its sources (pg_recvlogical and COPY, go-mysql's BinlogSyncer and a
// streamed SELECT) on the same servers in the same run, in interleaved rounds, and prints ratios beside their budgets. docs/performance.md says what is measured and how; `make bench` runs it.
//
// Goroutines: "load" of a freshness measurement and one per writer of it, one watcher per worker and per client program; each
// ends within the measurement that started it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options is the command line.
type options struct {
	origin      string // sourcePostgres or sourceMySQL
	rounds      int
	rows        int
	transaction int // rows of one transaction of the load
	giant       int // rows of the single big transaction
	seconds     int // of each freshness measurement
	only        *regexp.Regexp
	write       string
	profile     string
	postgres    string
	kafka       string
	binary      string
	compareURL  string
	comparePID  int
}

// The sources that can be measured.
const (
	sourcePostgres = "postgres"
	sourceMySQL    = "mysql"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var err error
	children := map[string]func(context.Context, []string) error{"worker": childMain, toolBinlog: binlogMain, toolSelect: selectMain}
	if len(args) > 0 && children[args[0]] != nil {
		err = children[args[0]](ctx, args[1:])
	} else {
		err = all(ctx, args)
	}
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "bench: interrupted")
		return 1
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	return 1
}

// all measures one source after the other.
func all(ctx context.Context, args []string) error {
	o, err := parse(args)
	for _, source := range strings.Split(o.origin, ",") {
		if err == nil {
			one := o
			one.origin = source
			err = benchmark(ctx, one)
		}
	}
	return err
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&o.origin, "source", sourcePostgres+","+sourceMySQL, "`databases` to read, one after the other")
	f.IntVar(&o.rounds, "rounds", 5, "interleaved rounds; the table shows medians")
	f.IntVar(&o.rows, "rows", 1_000_000, "rows of the range of the log and of the snapshot")
	f.IntVar(&o.transaction, "transaction", 1000, "rows of a transaction of that range")
	f.IntVar(&o.giant, "giant", 5_000_000, "rows of the one big transaction")
	f.IntVar(&o.seconds, "seconds", 10, "how long each freshness is measured")
	quick := f.Bool("quick", false, "two rounds of fewer rows: -rounds 2 -rows 200000 -giant 500000 -seconds 4 unless they are given")
	only := f.String("only", "", "measure only the parts that match this `regexp`: "+strings.Join(partNames(), ", "))
	f.StringVar(&o.write, "write", "", "put the tables between the markers of each source in this Markdown `file`")
	f.StringVar(&o.profile, "profile", "", "write a CPU profile of each worker that writes into tables or documents to this `folder`; such workers are this program")
	f.StringVar(&o.postgres, "postgres", "", "use this Postgres as the source (`DSN` of a superuser; wal_level=logical) instead of a container")
	f.StringVar(&o.kafka, "kafka", "", "use this broker (`host:port`) instead of a container")
	f.StringVar(&o.binary, "freshet", "", "measure this `binary` instead of one built from the tree")
	compare := f.String("compare", "", "put a Connect-compatible worker beside Freshet: `URL=PID` of its REST API and process; it must use the broker of -kafka")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	given := map[string]bool{}
	f.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if *quick {
		for _, q := range []struct {
			name  string
			to    *int
			value int
		}{{"rounds", &o.rounds, 2}, {"rows", &o.rows, 200_000}, {"giant", &o.giant, 500_000}, {"seconds", &o.seconds, 4}} {
			if !given[q.name] {
				*q.to = q.value
			}
		}
	}
	if o.rounds < 1 || o.rows < 1 || o.transaction < 1 || o.giant < 1 || o.seconds < 1 {
		return o, errors.New("-rounds, -rows, -transaction, -giant and -seconds must be at least 1")
	}
	for _, source := range strings.Split(o.origin, ",") {
		if source != sourcePostgres && source != sourceMySQL {
			return o, fmt.Errorf("read -source %q: %s and %s are known", o.origin, sourcePostgres, sourceMySQL)
		}
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return o, fmt.Errorf("read -only: %w", err)
	}
	if *compare != "" {
		return o, o.parseCompare(*compare)
	}
	return o, nil
}

func (o *options) parseCompare(text string) error {
	i := strings.LastIndexByte(text, '=')
	if i < 0 {
		return fmt.Errorf("read -compare %q: URL=PID is expected", text)
	}
	pid, err := strconv.Atoi(text[i+1:])
	if err != nil || pid < 1 {
		return fmt.Errorf("read -compare %q: %q is not a process id", text, text[i+1:])
	}
	if o.kafka == "" {
		return errors.New("-compare needs -kafka: the broker that the worker writes to, so that both write to the same")
	}
	o.compareURL, o.comparePID = strings.TrimSuffix(text[:i], "/"), pid
	return nil
}

// part is one section of the run.
type part struct {
	name    string
	measure func(context.Context, *bench) error
}

func parts() []part {
	return []part{
		{"drain", measureDrain},
		{"snapshot", measureSnapshot},
		{"sinks", measureSinks},
		{"isolated", measureIsolated},
		{"freshness", measureFreshness},
		{"encode", measureEncode},
		{"start", measureStart},
		{"giant", measureGiant},
	}
}

func partNames() []string {
	var out []string
	for _, p := range parts() {
		out = append(out, p.name)
	}
	return out
}

// bench is one run.
type bench struct {
	options
	*servers
	work   string // scratch folder
	self   string // this program
	report report
	began  time.Time
	serial int // makes names of slots, topics and files

	// What the last run into a target showed, for the same by hand.
	blockRows int    // of an insert into ClickHouse
	index     string // of Elasticsearch
}

// benchmark runs everything, cleans up and prints the tables; those of the parts that were measured even after an error.
func benchmark(ctx context.Context, o options) (err error) {
	b := &bench{options: o, began: time.Now()}
	clean := context.WithoutCancel(ctx)
	if b.work, err = os.MkdirTemp("", "freshet-bench-"); err != nil {
		return fmt.Errorf("make a scratch folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.work)) }()
	if b.self, err = os.Executable(); err != nil {
		return fmt.Errorf("find the program's own file: %w", err)
	}
	if err := b.build(ctx); err != nil {
		return err
	}
	b.say("servers: starting")
	if b.servers, err = startServers(ctx, o); err != nil {
		return err
	}
	defer func() {
		limit, cancel := context.WithTimeout(clean, time.Minute)
		defer cancel()
		err = errors.Join(err, b.servers.close(limit))
	}()
	b.report.machine = describeMachine(ctx, b.servers, o)
	for _, p := range parts() {
		if err == nil && o.only.MatchString(p.name) {
			if failed := p.measure(ctx, b); failed != nil {
				err = fmt.Errorf("%s: %w", p.name, failed)
			}
		}
	}
	fmt.Print("\n", b.report.terminal())
	b.say("done")
	if err == nil && o.write != "" {
		err = b.report.writeTo(o.write, o.origin)
	}
	return err
}

// say prints a line of progress.
func (b *bench) say(format string, args ...any) {
	fmt.Printf("%4.0fs  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}

// name makes a name that this run uses once, good for slots, topics and files.
func (b *bench) name(what string) string {
	b.serial++
	return fmt.Sprintf("bench_%s_%d_%d", what, os.Getpid(), b.serial)
}
