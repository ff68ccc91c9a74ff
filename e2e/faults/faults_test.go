package faults

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	seedKey   = "FRESHET_FAULTS_SEED"
	roundsKey = "FRESHET_FAULTS_ROUNDS"
)

// number reads a number from the environment.
func number(t *testing.T, name string) (uint64, bool) {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n, true
}

// totals is what all rounds came to.
type totals struct {
	rounds, failed, events, audits, lost, twice int
	faults                                      map[kind]int
}

// TestFaults plays rounds. By itself it chooses few that have every kind of fault and every set of sinks between them.
func TestFaults(t *testing.T) {
	t.Parallel()
	seed, one := number(t, seedKey)
	rounds, many := number(t, roundsKey)
	var seeds []uint64
	switch {
	case one && many:
		for n := range rounds {
			seeds = append(seeds, seed+n)
		}
	case one:
		seeds = []uint64{seed}
	case many:
		first := rand.Uint64N(1 << 40)
		for n := range rounds {
			seeds = append(seeds, first+n)
		}
	default:
		seeds = covering(rand.Uint64N(1 << 40))
	}
	say := t.Logf
	if many {
		say = func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
	}
	s := newStage(t)
	began, all := time.Now(), totals{faults: map[kind]int{}}
	for i, seed := range seeds {
		p, start := newPlan(seed), time.Now()
		var r *round
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("%s=%d plays this round again: %s", seedKey, seed, p.String())
				}
			}()
			r = play(t, s, p)
		})
		events := all.add(p, r, ok)
		verdict := "ok"
		if !ok {
			verdict = "FAILED"
		}
		say("%3d/%d %-6s seed=%d %5.1fs %6d events  %s", i+1, len(seeds), verdict, seed, time.Since(start).Seconds(), events, p.String())
	}
	say("%s in %s", all.String(), time.Since(began).Round(time.Second))
}

// add counts a round and returns its events.
func (a *totals) add(p plan, r *round, ok bool) (events int) {
	a.rounds++
	if !ok {
		a.failed++
	}
	for _, k := range p.faults() {
		a.faults[k]++
	}
	if r == nil {
		return 0
	}
	for _, v := range r.verdicts {
		events, a.lost, a.twice = events+v.Events, a.lost+v.Lost, a.twice+v.Twice
	}
	a.events, a.audits = a.events+events, a.audits+r.audits
	return events
}

func (a *totals) String() string {
	var faults []string
	for _, k := range slices.Sorted(maps.Keys(a.faults)) {
		faults = append(faults, fmt.Sprintf("%s %d", k, a.faults[k]))
	}
	return fmt.Sprintf("%d rounds, %d failed; %d events; faults: %s; %d offsets compared with their sinks; lost %d, twice %d",
		a.rounds, a.failed, a.events, strings.Join(faults, ", "), a.audits, a.lost, a.twice)
}
