package postgres

import (
	"math"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
)

// TestAhead: a server that was promoted at 100 from timeline 1, and from 2 at 200; its log ends at 300.
func TestAhead(t *testing.T) {
	t.Parallel()
	s := server{system: "x", timeline: 3, end: 300, switches: []timelineSwitch{{1, 100}, {2, 200}}}
	at := func(epoch uint32, major uint64, minor uint32) connectors.Order {
		return connectors.Order{Epoch: epoch, Major: major, Minor: minor}
	}
	own := identity{Timeline: 1, Commit: 50, own: true}
	for name, c := range map[string]struct {
		p       uint64
		id      identity
		reached connectors.Order
		cut     uint64
		end     uint64
		foreign bool
	}{
		"has what is there":                    {60, own, at(1, 99, 4), 0, 0, false},
		"has what is lost":                     {60, own, at(1, 100, 1), 100, 0, false},
		"of the second timeline":               {60, own, at(2, 250, 1), 200, 0, false},
		"there on the second timeline":         {60, own, at(2, 199, 1), 0, 0, false},
		"on the latest one":                    {60, own, at(3, 250, 1), 0, 251, false},
		"a snapshot of what is there":          {60, own, at(1, 100, 0), 0, 0, false},
		"a snapshot with what is lost":         {60, own, at(1, 101, 0), 100, 0, false},
		"idle: it may have what is lost":       {60, own, at(1, 120, math.MaxUint32), 100, 0, false},
		"idle, where all are, without commits": {121, own, at(1, 120, math.MaxUint32), 0, 0, false},
		"where all are, and no one knows what": {121, identity{Timeline: 1}, at(1, 120, 1), 100, 0, false},
		"where all are, part of a transaction": {60, identity{Timeline: 1, Commit: 130, own: true}, at(1, 130, 1), 0, 0, false},
		"of a timeline that nobody knows":      {60, own, at(7, 61, 1), 0, 0, true},
	} {
		p := position{commit: c.p, lsn: c.p}
		got := s.ahead([]connectors.Reached{{Sink: "a", Through: c.reached}}, p, c.id)
		if c.cut == 0 {
			c.cut = math.MaxUint64
		}
		if got.cut != c.cut || got.end != c.end || (got.foreign != "") != c.foreign || (got.sinks != nil) != (c.cut != math.MaxUint64) {
			t.Errorf("%s: got %+v", name, got)
		}
		if text := got.String() + got.foreign; text != "" && !strings.Contains(text, "sink a") {
			t.Errorf("%s: %q names no sink", name, text)
		}
	}
}
