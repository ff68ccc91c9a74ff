package cluster

import (
	"context"
	"log/slog"
	"sync"

	"github.com/freshet-io/freshet/kafkaclient"
)

// tail follows a log and knows how far it has been applied. Goroutine "tail", from start to stop.
type tail struct {
	log    *kafkaclient.Log
	logger *slog.Logger
	cancel context.CancelFunc
	ended  chan struct{}

	mu      sync.Mutex
	at      map[int32]int64 // next offset, by partition
	changed chan struct{}   // closed and renewed when at changes
	err     error           // why it follows no more
}

func startTail(l *kafkaclient.Log, logger *slog.Logger, apply func(kafkaclient.Message)) *tail {
	ctx, cancel := context.WithCancel(context.Background())
	t := &tail{log: l, logger: logger, cancel: cancel, ended: make(chan struct{}), at: map[int32]int64{}, changed: make(chan struct{})}
	go func() {
		defer close(t.ended)
		err := l.Follow(ctx, kafkaclient.Follower{
			Each: func(_ int32, m kafkaclient.Message) error { apply(m); return nil },
			Passed: func(partition int32, next int64) {
				t.mu.Lock()
				t.at[partition] = next
				t.announce()
				t.mu.Unlock()
			},
			Trouble: func(err error) {
				logger.Warn("an internal topic cannot be read; trying again", "topic", l.Topic(), "error", err)
			},
		})
		t.mu.Lock()
		t.err = err
		t.announce()
		t.mu.Unlock()
	}()
	return t
}

func (t *tail) announce() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// reach returns when everything below these offsets has been applied.
func (t *tail) reach(ctx context.Context, ends map[int32]int64) error {
	for {
		t.mu.Lock()
		done, changed, err := true, t.changed, t.err
		for id, end := range ends {
			done = done && t.at[id] >= end
		}
		t.mu.Unlock()
		switch {
		case done:
			return nil
		case err != nil:
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// end returns when everything that is in the log now has been applied. committed leaves out open transactions.
func (t *tail) end(ctx context.Context, committed bool) error {
	ends, err := t.log.Ends(ctx, committed)
	if err != nil {
		return err
	}
	return t.reach(ctx, ends)
}

func (t *tail) stop() {
	if t == nil {
		return
	}
	t.cancel()
	<-t.ended
}
