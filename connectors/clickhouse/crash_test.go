package clickhouse

import (
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/testbed"
)

// TestServerIsKilled kills the server again and again while changes are put: what is acknowledged is there, nothing is missing at
// the end.
func TestServerIsKilled(t *testing.T) {
	t.Parallel()
	server := testbed.StartClickHouse(t)
	r := newRig(t, server, keyInterval, "0")
	s := connectortest.Bets()
	n := 0
	for round := range 3 {
		for range 20 {
			if err := r.Put(func(w *connectors.Builder) {
				for range 100 {
					insert(n, "a", n).Append(w, s, connectors.Order{Epoch: 1, Major: uint64(n) + 1, Minor: 1})
					n++
				}
			}); err != nil {
				t.Fatal(err)
			}
			if round < 2 && n%2000 == 1000 {
				server.Kill(t)
				server.Restart(t)
			}
		}
	}
	if err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	if r.Session.Failure() != nil || len(r.Session.Acked()) != 60 {
		t.Errorf("failed %v, %d batches of 60 acknowledged", r.Session.Failure(), len(r.Session.Acked()))
	}
	r.expect("SELECT count(), sum(stake) FROM bets_current", "6000 17997000")
}
