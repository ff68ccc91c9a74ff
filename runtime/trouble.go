package runtime

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// tellEvery is how often the log says that a sink still tries again.
const tellEvery = 30 * time.Second

// trouble is why a sink tries again what it has taken. The zero value is none.
type trouble struct {
	there    atomic.Bool
	mu       sync.Mutex
	cause    error
	since    time.Time
	told     time.Time
	attempts int
}

// Retrying implements connectors.SinkSession: it is in the log (at once, then every tellEvery), in the status and in the metrics until
// the sink acknowledges something.
func (s *sinkRun) Retrying(err error) {
	r, t, now := s.run, &s.trouble, time.Now()
	if err == nil || r.hard.Err() != nil {
		return
	}
	r.meter.retried()
	t.mu.Lock()
	if t.attempts++; t.attempts == 1 {
		t.since = now
	}
	t.cause = err
	tell := t.attempts == 1 || now.Sub(t.told) >= tellEvery
	attempts, since := t.attempts, t.since
	if tell {
		t.told = now
	}
	t.there.Store(true)
	t.mu.Unlock()
	if tell {
		r.log.Warn("a sink could not write, and tries again until it can; nothing is lost meanwhile", "sink", s.name(), "error", err,
			"attempts", attempts, "since", since.UTC().Format(time.RFC3339))
		r.changed()
	}
}

// recovered ends the trouble, when there is any: the sink has acknowledged something.
func (s *sinkRun) recovered() {
	if !s.trouble.there.Load() {
		return
	}
	t := &s.trouble
	t.mu.Lock()
	attempts, since := t.attempts, t.since
	t.cause, t.attempts = nil, 0
	t.there.Store(false)
	t.mu.Unlock()
	if attempts == 0 || s.run.hard.Err() != nil {
		return
	}
	s.run.log.Info("the sink writes again", "sink", s.name(), "attempts", attempts, "after", time.Since(since).Round(time.Millisecond))
	s.run.changed()
}

// said is why the sink tries again; "" when it does not.
func (t *trouble) said() string {
	if !t.there.Load() {
		return ""
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cause == nil {
		return ""
	}
	return fmt.Sprintf("tries again since %s: %v", t.since.UTC().Format(time.RFC3339), t.cause)
}
