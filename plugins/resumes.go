package plugins

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"

	"github.com/freshet-io/freshet/connectors"
)

// resuming knows for which configurations a source of a plugin has positions to resume at. Asking starts a process, so the plugin, which
// does not change its mind, is asked once for each.
type resuming struct {
	*factory

	mu       sync.Mutex
	answered map[[sha256.Size]byte]bool // by a digest: configurations hold secrets
}

// maxAnswers bounds what is remembered.
const maxAnswers = 1000

func (r *resuming) resumes(c connectors.Config) bool {
	digest := sha256.Sum256(fmt.Appendf(nil, "%q", c)) // sorted by keys
	r.mu.Lock()
	resumes, known := r.answered[digest]
	r.mu.Unlock()
	if known {
		return resumes
	}
	ctx := context.Background()
	plan, err := r.tasks(ctx, c, 1)
	if err != nil {
		return true // it may say otherwise the next time
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.answered) >= maxAnswers {
		clear(r.answered)
	}
	r.answered[digest] = !plan.GetNoPositions()
	return r.answered[digest]
}
