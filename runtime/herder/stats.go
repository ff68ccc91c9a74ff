package herder

import "time"

// Stats is what a worker's metrics tell of its group and of the connectors that it has.
type Stats struct {
	Connectors       int   // that this worker has now
	Startups         int64 // times that task configurations were made for a connector
	StartupFailures  int64
	Epoch            int32 // generation
	Leader           bool
	Rebalances       int64 // rounds completed
	Rebalancing      bool
	RebalanceTime    time.Duration // of all rounds
	LongestRebalance time.Duration
	LastRebalance    time.Time // its end
}

// Stats tells what the worker has seen since it was started.
func (h *Herder) Stats() Stats {
	h.mu.RLock()
	defer h.mu.RUnlock()
	out := h.stats
	out.Epoch, out.Leader = h.membership.Generation, h.membership.Leader
	for _, s := range h.shares {
		if s.connector {
			out.Connectors++
		}
	}
	return out
}

// round notes the end of a round.
func (s *Stats) round(began time.Time) {
	s.Rebalancing, s.LastRebalance = false, time.Now()
	s.Rebalances++
	if !began.IsZero() {
		took := s.LastRebalance.Sub(began)
		s.RebalanceTime += took
		s.LongestRebalance = max(s.LongestRebalance, took)
	}
}

func (s *Stats) startup(err error) {
	s.Startups++
	if err != nil {
		s.StartupFailures++
	}
}
