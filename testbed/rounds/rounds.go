// Package rounds is what tests have alike that play rounds of random faults: each round is made from its seed alone, so that the
// seed plays it again. Imported by tests only.
package rounds

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// Variables of the environment: a seed that is played again, and how many rounds there are.
const (
	SeedKey   = "FRESHET_FAULTS_SEED"
	RoundsKey = "FRESHET_FAULTS_ROUNDS"
)

// Plan says what happens in a round, in one line.
type Plan interface{ String() string }

// Play plays the rounds that the environment asks for, else those that seeds chooses, each as a subtest. One that fails says how to
// play it again. say prints a line at once when many were asked for, else as a test does.
func Play[P Plan](t *testing.T, seeds func(from uint64) []uint64, plan func(seed uint64) P, play func(*testing.T, P) (result string)) (say func(string, ...any)) {
	t.Helper()
	list, many := asked(t, seeds)
	say = t.Logf
	if many {
		say = func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
	}
	for i, seed := range list {
		p, began, result := plan(seed), time.Now(), ""
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("%s=%d plays this round again: %s", SeedKey, seed, p.String())
				}
			}()
			result = play(t, p)
		})
		verdict := "ok"
		if !ok {
			verdict = "FAILED"
		}
		say("%3d/%d %-6s seed=%d %5.1fs %s  %s", i+1, len(list), verdict, seed, time.Since(began).Seconds(), result, p.String())
	}
	return say
}

// asked are the seeds of the environment, many of them when it names a number of rounds, from a random one on when it names no seed;
// else those that otherwise chooses, the same every time.
func asked(t *testing.T, otherwise func(from uint64) []uint64) (seeds []uint64, many bool) {
	t.Helper()
	first, one := number(t, SeedKey)
	n, many := number(t, RoundsKey)
	switch {
	case !one && !many:
		return otherwise(1), false
	case !one:
		first = rand.Uint64N(1 << 40)
	case !many:
		n = 1
	}
	for i := range n {
		seeds = append(seeds, first+i)
	}
	return seeds, many
}

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

// Cover chooses few seeds, from one on, whose rounds have all of the parts between them.
func Cover(from uint64, all []string, parts func(seed uint64) []string) []uint64 {
	missing := map[string]bool{}
	for _, p := range all {
		missing[p] = true
	}
	var out []uint64
	for len(missing) > 0 {
		best, most := uint64(0), 0
		for seed := from; seed < from+500; seed++ {
			list := parts(seed)
			slices.Sort(list)
			n := 0
			for _, part := range slices.Compact(list) {
				if missing[part] {
					n++
				}
			}
			if n > most {
				best, most = seed, n
			}
		}
		out = append(out, best)
		for _, part := range parts(best) {
			delete(missing, part)
		}
	}
	return out
}

// Pick chooses one.
func Pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// Between chooses a duration, both ends included.
func Between(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)+1))
}

// Weighted chooses an index; its chance is its weight's share.
func Weighted(r *rand.Rand, weights []int) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	n := r.IntN(sum)
	for i, w := range weights {
		if n -= w; n < 0 {
			return i
		}
	}
	panic("unreachable")
}

// Pass lets time go by: how long a fault lasts.
func Pass(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
