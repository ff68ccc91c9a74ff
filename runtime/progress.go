package runtime

import (
	"context"
	"fmt"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// resume answers where the source goes on: what the sinks that keep offsets say, else the store; with several sinks the
// lowest position of all. It also notes what each of several sinks already has.
func (t *instance) resume(ctx context.Context, p []offsets.Partition) ([]offsets.Entry, error) {
	if len(t.sinks) > 1 {
		return t.resumeLowest(ctx, p)
	}
	stored, err := t.store.Load(ctx, t.connector, p...)
	if err != nil {
		return nil, fmt.Errorf("load offsets of connector %s: %w", t.connector, err)
	}
	keeper := t.sinks[0].keeper
	if keeper == nil {
		return stored, nil
	}
	kept, err := t.sinks[0].progress(ctx, p...)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	t.begun = t.begun || len(kept) > 0
	begun := t.begun
	t.mu.Unlock()
	if !begun {
		return nil, nil // a new target: the copy in the store says nothing about it
	}
	known := map[offsets.Partition]bool{}
	var out []offsets.Entry
	for _, k := range kept {
		known[k.Partition] = true
		if k.Offset != "" {
			out = append(out, offsets.Entry{Partition: k.Partition, Offset: k.Offset})
		}
	}
	for _, e := range stored {
		if !known[e.Partition] {
			out = append(out, e)
		}
	}
	return out, nil
}

// resumeAll is resume at the start of an instance. Where sinks that keep offsets are ahead of the store, because the process
// ended before it was written, store and source are told now.
func (t *instance) resumeAll(ctx context.Context) error {
	at, err := t.resume(ctx, nil)
	if err != nil {
		return err
	}
	stored, err := t.store.Load(ctx, t.connector)
	if err != nil {
		return fmt.Errorf("load offsets of connector %s: %w", t.connector, err)
	}
	known := map[offsets.Partition]offsets.Offset{}
	for _, e := range stored {
		known[e.Partition] = e.Offset
	}
	for _, e := range at {
		if known[e.Partition] == e.Offset {
			continue
		}
		t.next++
		t.note(e.Partition)
		t.tracker.Add(uint64(t.next), e, 0)
		t.stir()
	}
	return nil
}

func (s *sinkRun) progress(ctx context.Context, p ...offsets.Partition) ([]connectors.Progress, error) {
	out, err := guarded("progress", func() ([]connectors.Progress, error) { return s.keeper.Progress(ctx, p...) })
	if err != nil {
		return nil, fmt.Errorf("read positions from sink %s: %w", s.name(), err)
	}
	return out, nil
}

// resumeLowest is resume for several sinks.
func (t *instance) resumeLowest(ctx context.Context, p []offsets.Partition) ([]offsets.Entry, error) {
	stored, err := t.store.Load(ctx, t.connector)
	if err != nil {
		return nil, fmt.Errorf("load offsets of connector %s: %w", t.connector, err)
	}
	plain := map[offsets.Partition]offsets.Offset{}
	for _, e := range stored {
		plain[e.Partition] = e.Offset
	}
	partitions, err := t.plainPartitions(p, stored)
	if err != nil {
		return nil, err
	}
	kept := make([]map[offsets.Partition]connectors.Progress, len(t.sinks))
	for i, s := range t.sinks {
		if s.keeper == nil || t.dropped(s) {
			continue
		}
		list, err := s.progress(ctx, p...)
		if err != nil {
			return nil, err
		}
		kept[i] = map[offsets.Partition]connectors.Progress{}
		for _, k := range list {
			kept[i][k.Partition] = k
			if len(p) == 0 {
				partitions = appendNew(partitions, k.Partition)
			}
		}
	}
	var out []offsets.Entry
	for _, x := range partitions {
		o := plain[x]
		if !connectors.OwnPartition(x) { // those are stored together with the plain position
			if o, err = t.lowest(x, plain, kept); err != nil {
				return nil, err
			}
		}
		if o != "" {
			out = append(out, offsets.Entry{Partition: x, Offset: o})
		}
	}
	return out, nil
}

// plainPartitions lists what is asked for, or every stored partition that is not the record of one sink.
func (t *instance) plainPartitions(asked []offsets.Partition, stored []offsets.Entry) ([]offsets.Partition, error) {
	if len(asked) > 0 {
		return append([]offsets.Partition(nil), asked...), nil
	}
	ofSink := map[offsets.Partition]bool{}
	for _, e := range stored {
		for _, s := range t.sinks {
			sp, err := connectors.SinkPartition(e.Partition, s.plan.alias)
			if err != nil {
				return nil, connectors.AsPermanent(err)
			}
			if sp != e.Partition {
				ofSink[sp] = true
			}
		}
	}
	var out []offsets.Partition
	for _, e := range stored {
		if !ofSink[e.Partition] {
			out = append(out, e.Partition)
		}
	}
	return out, nil
}

func appendNew(list []offsets.Partition, p offsets.Partition) []offsets.Partition {
	for _, x := range list {
		if x == p {
			return list
		}
	}
	return append(list, p)
}

// lowest finds the lowest position of all sinks in one partition; plain holds every stored record.
func (t *instance) lowest(p offsets.Partition, plain map[offsets.Partition]offsets.Offset, kept []map[offsets.Partition]connectors.Progress) (offsets.Offset, error) {
	var lowest *connectors.Progress
	var missing *sinkRun
	tied := false
	for i, s := range t.sinks {
		if t.dropped(s) {
			continue
		}
		at, ok := connectors.Progress{}, false
		if s.keeper != nil {
			at, ok = kept[i][p]
		} else {
			sp, err := connectors.SinkPartition(p, s.plan.alias)
			if err != nil {
				return "", connectors.AsPermanent(err)
			}
			if text := plain[sp]; text != "" {
				if at, err = connectors.ParseSinkEntry(p, text); err != nil {
					return "", connectors.AsPermanent(err)
				}
				ok = true
			}
		}
		if !ok || at.Offset == "" {
			missing = s
			continue
		}
		s.mu.Lock()
		s.has[p] = at.Through
		s.mu.Unlock()
		switch {
		case lowest == nil || at.Through.Compare(lowest.Through) < 0:
			lowest, tied = &at, false
		case at.Through == lowest.Through && at.Offset != lowest.Offset:
			tied = true
		}
	}
	switch {
	case missing == nil && tied:
		// A snapshot, or a source without orders: only the plain record tells which is the lowest. None: begin again.
		return plain[p], nil
	case missing == nil:
		return lowest.Offset, nil
	case plain[p] == "":
		return "", nil // one of the sinks has nothing yet, and no position was ever reached by all: begin again
	case lowest == nil:
		t.mu.Lock()
		t.unsplit[p] = true
		t.mu.Unlock()
		// A record of the source's own, or of a time with one sink: deliver finds out which.
		return plain[p], nil
	}
	return "", t.needsResync(missing, p)
}

func (t *instance) needsResync(s *sinkRun, p offsets.Partition) error {
	return connectors.AsPermanent(fmt.Errorf("sink %s has no stored position in %s, but the connector has: it would miss every change before. "+
		"Give it all data by resetting the offsets of connector %s (a new snapshot for all sinks), or remove the sink", s.name(), p, t.connector))
}
