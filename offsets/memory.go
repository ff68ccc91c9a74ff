package offsets

import (
	"context"
	"sort"
	"sync"
)

// Memory is a Store that forgets everything at the end of the process, for tests. Safe for concurrent use.
type Memory struct {
	mu      sync.Mutex
	entries map[string]map[Partition]Offset
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{entries: map[string]map[Partition]Offset{}} }

// Load implements Store.
func (m *Memory) Load(ctx context.Context, connector string, partitions ...Partition) ([]Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	stored := m.entries[connector]
	var out []Entry
	if len(partitions) == 0 {
		for p, o := range stored {
			out = append(out, Entry{p, o})
		}
		sort.Slice(out, func(i, j int) bool { return out[i].Partition < out[j].Partition })
		return out, nil
	}
	for _, p := range partitions {
		if o, ok := stored[p]; ok {
			out = append(out, Entry{p, o})
		}
	}
	return out, nil
}

// Save implements Store.
func (m *Memory) Save(ctx context.Context, connector string, entries []Entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	stored := m.entries[connector]
	if stored == nil {
		stored = map[Partition]Offset{}
		m.entries[connector] = stored
	}
	for _, e := range entries {
		if e.Offset == "" {
			delete(stored, e.Partition)
			continue
		}
		stored[e.Partition] = e.Offset
	}
	return nil
}

// Close implements Store; the entries stay, so that a test can open the store again.
func (m *Memory) Close() error { return nil }
