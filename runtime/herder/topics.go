package herder

import (
	"context"
	"maps"
	"slices"
	"time"

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

// sawTopic writes that a connector uses a topic, once. A connector that was deleted while its last batch was under way gets no record.
func (h *Herder) sawTopic(connector string, task int, topic string) {
	h.mu.RLock()
	_, known := h.statuses.topics[connector][topic]
	h.mu.RUnlock()
	if known {
		return
	}
	m := Message{topicKey(connector, topic), encode(topicRecord{topicStatus{topic, connector, task, time.Now().UnixMilli()}})}
	h.mu.Lock()
	exists := h.desired.connectors[connector] != nil
	var err error
	if exists {
		_, err = h.statuses.apply(m) // before it comes back from the log, so that the next batch does not write it again
	}
	h.mu.Unlock()
	if exists && err == nil {
		h.o.Status.Put(m)
	}
}
