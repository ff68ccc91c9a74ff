//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// How often it is looked whether something has begun, and whether it has ended: the broker answers the second question in the
// middle of what is measured.
const (
	beginEvery = 2 * time.Millisecond
	endEvery   = 10 * time.Millisecond
)

// sample is one measured run.
type sample struct {
	rows    int
	elapsed time.Duration
	worker  time.Duration // CPU of the worker or client program
	source  time.Duration // CPU of the servers during the run; 0: not to be seen
	broker  time.Duration
	target  time.Duration
	peak    int64 // highest resident set of the worker, bytes
}

// rate is rows per second.
func (s sample) rate() float64 { return float64(s.rows) / s.elapsed.Seconds() }

// perRow is CPU per row in µs.
func (s sample) perRow(cpu time.Duration) float64 {
	return float64(cpu.Nanoseconds()) / 1000 / float64(s.rows)
}

// busy is how many cores were at work.
func (s sample) busy() float64 {
	return (s.worker + s.source + s.broker + s.target).Seconds() / s.elapsed.Seconds()
}

// mebibytes is the highest resident set of the worker.
func (s sample) mebibytes() float64 { return float64(s.peak) / (1 << 20) }

// meter measures from its start on.
type meter struct {
	servers                *servers
	began                  time.Time
	source, broker, target time.Duration
}

func (s *servers) meter() *meter {
	m := &meter{servers: s}
	m.source, m.broker, m.target = s.used()
	m.began = time.Now()
	return m
}

func (s *servers) used() (source, broker, target time.Duration) {
	all := processes()
	return treeCPU(all, s.source.pid()), treeCPU(all, s.broker), treeCPU(all, s.target.process) + treeCPU(all, s.chProcess) + treeCPU(all, s.esProcess)
}

// stop ends the measurement; first of all it takes the time.
func (m *meter) stop(rows int) sample {
	s := sample{rows: rows, elapsed: time.Since(m.began)}
	source, broker, target := m.servers.used()
	s.source, s.broker, s.target = source-m.source, broker-m.broker, target-m.target
	return s
}

// question is asked again and again until the answer is true.
type question func(context.Context) (bool, error)

// until asks at intervals, until the answer is true or alive returns an error.
func until(ctx context.Context, every time.Duration, alive func() error, ask question) error {
	for {
		if ok, err := ask(ctx); ok || err != nil {
			return err
		}
		if err := errors.Join(alive(), pause(ctx, every)); err != nil {
			return err
		}
	}
}

// timed measures a process from when the source begins to send, so that what comes before is no part of a throughput, until it has
// finished. A run that is over before its beginning was noticed is measured as a whole.
func (b *bench) timed(ctx context.Context, rows, pid int, alive func() error, begun, finished question) (sample, error) {
	var m *meter
	var before time.Duration
	start := func() (err error) {
		before, err = workerCPU(pid)
		m = b.meter()
		return err
	}
	if err := start(); err != nil {
		return sample{}, err
	}
	over := false
	err := until(ctx, beginEvery, alive, func(ctx context.Context) (bool, error) {
		var err error
		if over, err = finished(ctx); over || err != nil {
			return true, err
		}
		if ok, err := begun(ctx); ok || err != nil {
			return true, errors.Join(err, start())
		}
		return false, nil
	})
	if err == nil && !over {
		err = until(ctx, endEvery, alive, finished)
	}
	if err != nil {
		return sample{}, err
	}
	s := m.stop(rows)
	after, err := workerCPU(pid)
	if err != nil {
		return s, err
	}
	s.worker = after - before
	_, s.peak, err = memory(pid)
	return s, err
}

// timedTool measures a client program likewise, until it ends.
func (b *bench) timedTool(ctx context.Context, rows int, cmd *exec.Cmd, begun question) (sample, error) {
	var said strings.Builder
	cmd.Stderr = &said
	m := b.meter()
	if err := cmd.Start(); err != nil {
		return sample{}, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // ends with the program, which ends with ctx
	for sending := false; ; {
		if !sending {
			var err error
			if sending, err = begun(ctx); err != nil {
				return sample{}, errors.Join(err, cmd.Process.Kill(), <-ended)
			}
			if sending {
				m = b.meter()
			}
		}
		select {
		case err := <-ended:
			if err != nil {
				return sample{}, fmt.Errorf("run %s: %w: %s", cmd.Path, err, said.String())
			}
			s := m.stop(rows)
			s.worker = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
			return s, nil
		case <-time.After(beginEvery):
		}
	}
}

// variant is something that is measured once in each round.
type variant struct {
	name string
	run  func(ctx context.Context) (sample, error)
}

// series is the runs of one variant, one per round.
type series struct {
	name    string
	samples []sample
}

// rounds runs the variants in turn, as often as there are rounds. The first one is the reference of the others.
func (b *bench) runRounds(ctx context.Context, what string, variants []variant) ([]series, error) {
	out := make([]series, len(variants))
	for round := range b.rounds {
		for i, v := range variants {
			s, err := v.run(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", v.name, err)
			}
			out[i].name = v.name
			out[i].samples = append(out[i].samples, s)
			reference := out[0].samples[round]
			b.say("%s %d/%d: %-34s %9s rows/s  %5.2f×  %6.2f µs/row", what, round+1, b.rounds, v.name, thousands(s.rate()),
				s.rate()/reference.rate(), s.perRow(s.worker))
		}
	}
	return out, nil
}

// find is the series of a name; nil when it was not measured.
func find(all []series, name string) *series {
	for i := range all {
		if all[i].name == name {
			return &all[i]
		}
	}
	return nil
}

// medianOf is the median of a number that each sample has.
func (s series) medianOf(number func(sample) float64) float64 {
	var all []float64
	for _, one := range s.samples {
		all = append(all, number(one))
	}
	return median(all)
}

// ratio is the median, over the rounds, of this rate divided by the reference's of the same round.
func (s series) ratio(reference series) float64 { return s.ratioOf(reference, sample.rate) }

// ratioOf is the same of another number.
func (s series) ratioOf(reference series, number func(sample) float64) float64 {
	var all []float64
	for i, one := range s.samples {
		all = append(all, number(one)/number(reference.samples[i]))
	}
	return median(all)
}
