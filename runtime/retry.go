package runtime

import (
	"context"
	"math/rand/v2"
	"time"
)

const firstPause = 100 * time.Millisecond

// backoff is the pause before attempt n (from 1): a random part of a bound that doubles up to longest.
func backoff(n int, longest time.Duration) time.Duration {
	bound := longest
	if n < 32 && firstPause<<(n-1) < longest {
		bound = firstPause << (n - 1)
	}
	return rand.N(bound) + 1
}

// pause waits for d; false means that ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
