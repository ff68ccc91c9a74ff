// Package demo proves on the user's own machine that nothing is lost and nothing comes twice: it runs a horse-betting
// workload against an embedded Postgres or MariaDB, lets a worker copy it into the tables of another Postgres and, exactly once,
// to an embedded broker, kills the worker half-way, and compares everything at the end.
//
// The demo looks at Freshet from outside only: it starts the worker as a process and reads what arrives with clients of
// its own. Goroutines: one per writer of the workload, one consumer, one progress display, one watcher per child process;
// Run ends all of them before it returns.
package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Options says how to run the demo.
type Options struct {
	Source     string        // Postgres or MySQL
	Rate       int           // row changes per second
	Duration   time.Duration // of the load
	Seed       uint64        // of the workload
	Keep       bool          // go on after the comparison until ctx ends
	Out        *os.File      // where the progress and the result go
	Executable string        // freshet itself, for the children
}

// ErrMismatch says that the comparison found something lost, repeated or different. The details have been printed.
var ErrMismatch = errors.New("the copies differ from the source")

var errInterrupted = errors.New("the demo was interrupted before its comparison")

// demo is one run.
type demo struct {
	Options
	work     string // holds everything that the run writes
	source   source
	sink     *database
	tables   []table
	broker   *broker
	worker   *process
	load     *load
	filled   int64 // changes that made the first rows
	events   *consumer
	progress *progress
	steady   []span // when the worker was up and had caught up
}

type span struct {
	from, to time.Time
	killed   bool // the worker was killed at its end
}

// Run runs the demo. ctx ends it early; every child has ended and every file is gone when it returns.
func Run(ctx context.Context, o Options) (err error) {
	cache, work, err := directories()
	if err != nil {
		return err
	}
	d := &demo{Options: o, work: work, progress: newProgress(o.Out)}
	began := time.Now()
	defer func() {
		d.progress.stop()
		err = errors.Join(err, d.close())
	}()
	if err := d.prepare(ctx, cache); err != nil {
		if ctx.Err() != nil {
			return errInterrupted
		}
		return err
	}
	if err := d.play(ctx); err != nil {
		if ctx.Err() != nil {
			return errInterrupted
		}
		return fmt.Errorf("%w%s", err, d.worker.lastWords("the worker"))
	}
	d.progress.stop()
	r, err := d.compare(ctx)
	if err != nil {
		return err
	}
	r.print(o.Out, len(d.tables), time.Since(began))
	if o.Keep {
		d.explain()
		fmt.Fprintln(o.Out, r.verdict())
		<-ctx.Done()
	} else {
		fmt.Fprintln(o.Out, r.verdict())
	}
	if !r.good() {
		return ErrMismatch
	}
	return nil
}

// directories returns where downloads are kept and a new directory for this run.
func directories() (cache, work string, err error) {
	if dir := os.Getenv(privateDir); dir != "" {
		return filepath.Join(dir, "cache"), filepath.Join(dir, "run"), os.Mkdir(filepath.Join(dir, "run"), 0o700)
	}
	cache, err = CacheDir()
	if err != nil {
		return "", "", err
	}
	work, err = os.MkdirTemp("", "freshet-demo-")
	if err != nil {
		return "", "", fmt.Errorf("make a directory for the demo: %w", err)
	}
	return cache, work, nil
}

// CacheDir is where the servers' archives are kept between runs.
func CacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache directory: %w", err)
	}
	return filepath.Join(dir, "freshet", "demo"), nil
}

// prepare starts the servers and fills the source.
func (d *demo) prepare(ctx context.Context, cache string) error {
	starting := "starting two Postgres 17 servers and a broker (the first run downloads 15 MB)"
	if d.Source == MySQL {
		starting = "starting MariaDB " + mariadbVersion + ", Postgres 17 and a broker (the first run downloads 164 MB)"
	}
	d.progress.phase(starting)
	var err error
	if d.broker, err = startBroker(ctx, d.Executable, d.work); err != nil {
		return err
	}
	if err := d.startDatabases(ctx, cache); err != nil {
		return err
	}
	d.progress.phase("filling the source")
	d.tables = tables(d.source.space())
	if err := d.source.create(ctx, d.tables); err != nil {
		return err
	}
	if d.load, err = newLoad(ctx, d.source, d.tables, d.Seed); err != nil {
		return err
	}
	if err := d.load.fill(ctx); err != nil {
		return err
	}
	d.filled = d.load.changes()
	return d.writeConfigs()
}

// startDatabases starts the source and the sink side by side.
func (d *demo) startDatabases(ctx context.Context, cache string) (err error) {
	if d.source, err = newSource(d.Source, cache, d.work); err != nil {
		return err
	}
	if d.sink, err = newDatabase("sink", cache, d.work); err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- d.sink.start(ctx) }()
	return errors.Join(d.source.start(ctx), <-failed)
}

// play runs the load, the worker, the kill, and waits until everything has arrived.
func (d *demo) play(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var err error
	if d.events, err = startConsumer(ctx, d.broker.address, d.tables, cancel); err != nil {
		return err
	}
	d.progress.watch(d.status)
	d.load.start(ctx, d.Rate, cancel)
	defer d.load.stop()

	d.progress.phase("snapshot under load")
	began := time.Now()
	if err := d.startWorker(ctx, cancel); err != nil {
		return err
	}
	if err := d.catchUp(ctx); err != nil {
		return causeOf(ctx, err)
	}
	up := time.Now()
	d.progress.phase("streaming")
	if err := until(ctx, began.Add(d.Duration/2)); err != nil {
		return causeOf(ctx, err)
	}
	d.steady = append(d.steady, span{up, time.Now(), true})

	d.worker.kill()
	d.progress.say("killed the worker (SIGKILL) under load after %d changes, starting it again", d.load.changes())
	d.progress.phase("catching up")
	killed := time.Now()
	if err := d.startWorker(ctx, cancel); err != nil {
		return err
	}
	if err := d.catchUp(ctx); err != nil {
		return causeOf(ctx, err)
	}
	up = time.Now()
	d.progress.say("caught up %.1f s after the kill", up.Sub(killed).Seconds())
	d.progress.phase("streaming")
	if err := until(ctx, began.Add(d.Duration)); err != nil {
		return causeOf(ctx, err)
	}
	d.load.stop()
	d.steady = append(d.steady, span{up, time.Now(), false})
	d.progress.phase("load has ended, waiting for the last change")
	return causeOf(ctx, d.settle(ctx))
}

// causeOf prefers what cancelled the context (a child that died, a writer that failed) over the error it led to.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

func until(ctx context.Context, t time.Time) error {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// close ends what runs, in the order in which data flows, and removes the files.
func (d *demo) close() error {
	var errs []error
	if d.load != nil {
		d.load.close()
	}
	if d.worker != nil {
		d.worker.stop()
	}
	if d.events != nil {
		d.events.close()
	}
	if d.source != nil {
		errs = append(errs, d.source.stop())
	}
	if d.sink != nil {
		errs = append(errs, d.sink.stop())
	}
	if err := os.RemoveAll(d.work); err != nil {
		errs = append(errs, fmt.Errorf("remove the demo's directory: %w", err))
	}
	if d.broker != nil {
		d.broker.stop()
	}
	return errors.Join(errs...)
}

// explain prints how to look inside while the demo is kept running.
func (d *demo) explain() {
	fmt.Fprintf(d.Out, `
kept running until Ctrl-C; the worker goes on copying. To look inside:
  source  %s
  sink    %s
  broker  %s   (for example: kcat -b %s -t %s -C -X isolation.level=read_committed)
  worker  configuration and log in %s

`, d.source.hint(), d.sink.hint(), d.broker.address, d.broker.address, d.tables[bets].topic(), d.work)
}
