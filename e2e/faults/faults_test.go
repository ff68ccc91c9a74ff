package faults

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/testbed"
	"github.com/freshet-io/freshet/testbed/rounds"
)

// totals is what all rounds came to.
type totals struct {
	rounds, failed, events, audits, lost, twice int
	faults                                      map[kind]int
}

// TestFaults plays rounds that read a PostgreSQL. By itself it chooses few that have every kind of fault and every set of sinks between
// them.
func TestFaults(t *testing.T) {
	t.Parallel()
	playAll(t, "postgres", newStage(t, func(t *testing.T) source {
		// A walsender whose reader is silent gives up soon, so that another worker can have its slot.
		return &onPostgres{testbed.StartPostgres(t, "wal_sender_timeout=3s")}
	}))
}

// TestFaultsMySQL is TestFaults with a MySQL, TestFaultsMariaDB with a MariaDB.
func TestFaultsMySQL(t *testing.T) {
	t.Parallel()
	playAll(t, "mysql", newStage(t, func(t *testing.T) source { return newMySQL(t, testbed.StartMySQL(t)) }))
}

func TestFaultsMariaDB(t *testing.T) {
	t.Parallel()
	playAll(t, "mariadb", newStage(t, func(t *testing.T) source { return newMySQL(t, testbed.StartMariaDB(t)) }))
}

func playAll(t *testing.T, of string, s *stage) {
	t.Helper()
	began, all := time.Now(), totals{faults: map[kind]int{}}
	seeds := func(from uint64) []uint64 { return covering(of, from) }
	plans := func(seed uint64) *plan {
		p := newPlan(of, seed)
		return &p
	}
	say := rounds.Play(t, seeds, plans, func(t *testing.T, p *plan) (result string) {
		var r *round
		defer func() { result = fmt.Sprintf("%6d events", all.add(p, r, !t.Failed())) }()
		r = play(t, s, *p)
		return ""
	})
	say("%s in %s", all.String(), time.Since(began).Round(time.Second))
}

// add counts a round and returns its events.
func (a *totals) add(p *plan, r *round, ok bool) (events int) {
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
