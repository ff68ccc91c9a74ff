package herder

import (
	"context"
	"maps"
	"slices"

	"github.com/freshet-io/freshet/runtime"
)

// Topics lists the topics that a connector has written to or read from.
func (h *Herder) Topics(_ context.Context, name string) ([]string, error) {
	if h.o.NoTopicTracking {
		return nil, &runtime.RequestError{Kind: runtime.Forbidden, Message: "Topic tracking is disabled."}
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	out := slices.Sorted(maps.Keys(h.statuses.topics[name]))
	if out == nil {
		out = []string{}
	}
	return out, nil
}

// ResetTopics forgets them.
func (h *Herder) ResetTopics(_ context.Context, name string) error {
	if h.o.NoTopicTracking {
		return &runtime.RequestError{Kind: runtime.Forbidden, Message: "Topic tracking is disabled."}
	}
	if h.o.NoTopicReset {
		return &runtime.RequestError{Kind: runtime.Forbidden, Message: "Topic tracking reset is disabled."}
	}
	h.mu.RLock()
	gone := h.statuses.topicDeletions(name)
	h.mu.RUnlock()
	for _, m := range gone {
		h.o.Status.Put(m)
	}
	return nil
}
