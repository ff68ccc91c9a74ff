package postgres

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/jackc/pglogrepl"

	"github.com/freshet-io/freshet/connectors"
)

// lead is what sinks have that the server does not. Several sinks go on from the lowest position of all: that one may well be in the
// server's history while a sink that is further has commits that the server has lost.
type lead struct {
	foreign  string // a sink has commits of a timeline that the server's history does not have: why that is
	timeline uint32 // the one that the server left first,
	cut      uint64 // and where; beyond every position for none
	sinks    []string
	last     uint64 // the furthest commit of these sinks
	end      uint64 // behind the last commit that a sink has of the server's own timeline
}

// ahead finds the lead of sinks over the server. p is where they go on. What a sink has up to there is judged with p: id, when it
// belongs to p, tells the last commit of it. An order of a position without records says of its last commit only that it lies below.
func (s *server) ahead(reached []connectors.Reached, p position, id identity) lead {
	l := lead{cut: math.MaxUint64}
	for _, r := range reached {
		at := r.Through
		if at.Minor == 0 { // rows of a snapshot: it has the commits below
			at.Major = max(at.Major, 1) - 1
		}
		if id.own && at.Major < p.reached(id) {
			continue
		}
		if why := s.foreign(identity{Timeline: at.Epoch}); why != "" {
			l.foreign = fmt.Sprintf("sink %s: %s", r.Sink, why)
		}
		cut := s.left(at.Epoch)
		if at.Epoch == s.timeline {
			l.end = max(l.end, at.Major+1)
		}
		if at.Major < cut {
			continue
		}
		l.sinks = append(l.sinks, fmt.Sprintf("sink %s has commits up to %s (%d bytes further)", r.Sink, pglogrepl.LSN(at.Major), at.Major-cut))
		l.last = max(l.last, at.Major)
		if cut < l.cut {
			l.timeline, l.cut = at.Epoch, cut
		}
	}
	return l
}

func (l *lead) String() string { return strings.Join(l.sinks, ", ") }

// aheadOfSnapshot decides whether to take a snapshot for all of several sinks when one of them has completed an earlier one and has
// gone on, and there is no position that all of them have.
func (t *source) aheadOfSnapshot(ctx context.Context, id identity) error {
	reached := t.session.Reached(t.partition)
	if len(reached) == 0 {
		return nil
	}
	found, err := t.identify(ctx)
	if err != nil {
		return err
	}
	l := found.ahead(reached, position{}, id)
	switch {
	case found.foreign(id) != "":
		t.session.Anew(t.partition) // it is a snapshot of another server
	case l.foreign != "":
		return t.problem(l.foreign)
	case l.sinks != nil:
		return t.promoted(&found, l.timeline, l.cut, l.last, l.String())
	}
	return nil
}
