package herder

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/runtime"
)

// Offsets returns the stored positions of a connector.
func (h *Herder) Offsets(ctx context.Context, name string) ([]OffsetEntry, error) {
	e, err := h.look(name, textNotFound)
	if err != nil {
		return nil, err
	}
	config, err := h.o.Resolve(e.config)
	if err != nil {
		return nil, fmt.Errorf("resolve the placeholders of connector %s: %w", name, err)
	}
	list, err := h.o.Worker.OffsetsOf(ctx, name, config)
	if err != nil {
		return nil, err
	}
	out := []OffsetEntry{}
	for _, o := range list {
		out = append(out, OffsetEntry{json.RawMessage(o.Partition), json.RawMessage(o.Offset)})
	}
	return out, nil
}

// AlterOffsets sets positions of a stopped connector.
func (h *Herder) AlterOffsets(ctx context.Context, name string, entries []OffsetEntry) (string, error) {
	if len(entries) == 0 {
		return "", badRequest("Partitions / offsets need to be provided for an alter offsets request")
	}
	list := []offsets.Entry{}
	for _, e := range entries {
		o, err := parseEntry(e)
		if err != nil {
			return "", err
		}
		// The last of several for one partition counts.
		list = slices.DeleteFunc(list, func(b offsets.Entry) bool { return b.Partition != "" && b.Partition == o.Partition })
		list = append(list, o)
	}
	return h.setOffsets(ctx, name, list)
}

// ResetOffsets deletes all positions of a stopped connector.
func (h *Herder) ResetOffsets(ctx context.Context, name string) (string, error) {
	return h.setOffsets(ctx, name, nil)
}

// parseEntry leaves the partition or offset of JSON's null empty.
func parseEntry(e OffsetEntry) (out offsets.Entry, err error) {
	if !null(e.Partition) {
		if err := primitives(e.Partition); err != nil {
			return out, err
		}
		if out.Partition, err = offsets.Canonical(e.Partition); err != nil {
			return out, badRequest("%v", err)
		}
	}
	if !null(e.Offset) {
		if err := primitives(e.Offset); err != nil {
			return out, err
		}
		if out.Offset, err = offsets.ParseOffset(e.Offset); err != nil {
			return out, badRequest("%v", err)
		}
	}
	return out, nil
}

func null(v json.RawMessage) bool {
	v = bytes.TrimSpace(v)
	return len(v) == 0 || string(v) == "null"
}

func primitives(v json.RawMessage) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(v, &members); err != nil {
		return badRequest("parse an offset: %v", err)
	}
	for name, m := range members {
		switch m[0] {
		case '{':
			return fmt.Errorf("Offsets may only contain primitive types as values, but field %s contains MAP", name)
		case '[':
			return fmt.Errorf("Offsets may only contain primitive types as values, but field %s contains ARRAY", name)
		}
	}
	return nil
}

// stopWait is how long a change of offsets waits for the tasks to end that wrote them.
const stopWait = 15 * time.Second

func (h *Herder) setOffsets(ctx context.Context, name string, entries []offsets.Entry) (message string, err error) {
	if err := h.leads(); err != nil {
		return "", err
	}
	if err := h.awaitStopped(ctx, name); err != nil {
		return "", err
	}
	e, err := h.look(name, textNotFound)
	if err != nil {
		return "", err
	}
	if h.exactlyOnce(e.config) {
		if err := h.Fence(ctx, name); err != nil { // a task that runs on somewhere cannot write over what is set now (I6)
			return "", fmt.Errorf("fence the earlier tasks of connector %s: %w", name, err)
		}
	}
	config, err := h.o.Resolve(e.config)
	if err != nil {
		return "", fmt.Errorf("resolve the placeholders of connector %s: %w", name, err)
	}
	err = h.asLeader(ctx, func() error {
		if now, err := h.look(name, textNotFound); err != nil {
			return err
		} else if !idle(now) {
			return runtime.NotStopped(name)
		}
		message, err = h.o.Worker.SetOffsets(ctx, name, config, entries)
		return err
	})
	return message, err
}

func idle(e entry) bool { return e.target == runtime.Stopped && len(e.tasks) == 0 && !e.inconsistent }

// awaitStopped waits for the end of the tasks of a connector that is stopped: their last offsets are written before.
func (h *Herder) awaitStopped(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, stopWait)
	defer cancel()
	if err := h.o.Config.Sync(ctx); err != nil { // any worker may have resumed it
		return fmt.Errorf("read the config log: %w", err)
	}
	for {
		h.mu.RLock()
		e, err := h.find(name, textNotFound)
		stopped := err == nil && idle(*e)
		ended := !slices.ContainsFunc(h.alive(name), func(id int) bool { return id >= 0 })
		settled := h.settled
		h.mu.RUnlock()
		switch {
		case err != nil:
			return err
		case !stopped:
			return runtime.NotStopped(name)
		case ended:
			return nil
		}
		select {
		case <-settled:
		case <-ctx.Done():
			h.o.Group.Rejoin() // a worker may have ended before it removed a status; who joins says what still runs
			return stale()
		}
	}
}

// alive has mu. It lists the tasks that run here or say elsewhere that they do.
func (h *Herder) alive(name string) []int {
	var out []int
	if s := h.shares[name]; s != nil {
		for id := range s.held {
			out = append(out, id)
		}
	}
	for id, p := range h.statuses.parts[name] {
		if p.State != runtime.Unassigned && p.State != runtime.Failed {
			out = append(out, id)
		}
	}
	return out
}
