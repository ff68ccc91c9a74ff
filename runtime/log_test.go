package runtime

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
)

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.String()
}

// TestLinesOfATaskNameIt: whatever happens to a task, its lines say which task of which connector it is.
func TestLinesOfATaskNameIt(t *testing.T) {
	bubble(t, 2, func(b *bench) {
		var armed atomic.Bool
		b.feed.Fail = func() error {
			if armed.CompareAndSwap(true, false) {
				return errAway
			}
			return nil
		}
		var out lockedBuffer
		b.logger = slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		b.feed.Extend(p1, 10)
		b.start()
		b.has(10)
		armed.Store(true)
		b.feed.Extend(p1, 10)
		b.has(20)
		b.feed.End()
		b.until("it is idle", func() bool { return b.worker.Idle("c") })
		b.close()
		lines := 0
		for d := json.NewDecoder(&out.Buffer); d.More(); lines++ {
			var line struct {
				Message   string `json:"msg"`
				Connector string
				Task      *int
				Logger    string
			}
			if err := d.Decode(&line); err != nil {
				t.Fatal(err)
			}
			if line.Connector != "c" || line.Task == nil || *line.Task != 0 || line.Logger != "freshet.runtime" {
				t.Errorf("a line of a task: %+v", line)
			}
		}
		if lines < 2 {
			t.Errorf("%d lines", lines)
		}
	})
}
