//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
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
	return treeCPU(all, s.source.pid), treeCPU(all, s.broker), treeCPU(all, s.target.pid)
}

// stop ends the measurement; first of all it takes the time.
func (m *meter) stop(rows int) sample {
	s := sample{rows: rows, elapsed: time.Since(m.began)}
	source, broker, target := m.servers.used()
	s.source, s.broker, s.target = source-m.source, broker-m.broker, target-m.target
	return s
}

// stopWorker ends the measurement of a process that goes on running.
func (m *meter) stopWorker(rows int, pid int) (sample, error) {
	s := m.stop(rows)
	var err error
	if s.worker, err = processCPU(pid); err != nil {
		return s, err
	}
	_, s.peak, err = memory(pid)
	return s, err
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
func (s series) ratio(reference series) float64 {
	var all []float64
	for i, one := range s.samples {
		all = append(all, one.rate()/reference.samples[i].rate())
	}
	return median(all)
}
