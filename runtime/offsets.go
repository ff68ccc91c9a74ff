package runtime

import (
	"context"
	"fmt"
	"slices"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// Offsets returns the positions stored for a connector. State of our own that lies beside them is left out.
func (w *Worker) Offsets(ctx context.Context, name string) ([]offsets.Entry, error) {
	c := w.find(name)
	if c == nil {
		return nil, requestError(NotFound, "Connector %s not found", name)
	}
	c.mu.Lock()
	store := c.store
	c.mu.Unlock()
	if store == nil {
		return nil, nil
	}
	out, err := store.Load(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("load offsets of connector %s: %w", name, err)
	}
	return slices.DeleteFunc(out, func(e offsets.Entry) bool { return connectors.OwnPartition(e.Partition) }), nil
}

const (
	changedExternally = "The Connect framework-managed offsets for this connector have been %s successfully. However, if this connector manages offsets externally, they will need to be manually %s in the system that the connector uses."
	mustBeStopped     = "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified connector by issuing a 'PUT' request to the '/connectors/%s/stop' endpoint"
)

// AlterOffsets sets positions of a stopped connector, in the store and in every sink that keeps them; an empty Offset deletes.
// It returns Kafka Connect's message.
func (w *Worker) AlterOffsets(ctx context.Context, name string, entries []offsets.Entry) (string, error) {
	if len(entries) == 0 {
		return "", requestError(BadRequest, "Partitions / offsets need to be provided for an alter offsets request")
	}
	c, err := w.lockStopped(name)
	if err != nil {
		return "", err
	}
	defer c.op.Unlock()
	all := append([]offsets.Entry(nil), entries...)
	var kept []connectors.Progress
	for _, e := range entries {
		p := connectors.Progress{Partition: e.Partition, Offset: e.Offset}
		kept = append(kept, p)
		for _, s := range c.plan.sinks {
			if s.alias == "" {
				continue
			}
			own, err := p.Entry(s.alias)
			if err != nil {
				return "", requestError(BadRequest, "%v", err)
			}
			all = append(all, own)
		}
	}
	if err := c.setProgress(ctx, func([]connectors.Progress) []connectors.Progress { return kept }); err != nil {
		return "", err
	}
	if err := c.store.Save(ctx, name, all); err != nil {
		return "", fmt.Errorf("store offsets of connector %s: %w", name, err)
	}
	return fmt.Sprintf(changedExternally, "altered", "altered"), nil
}

// ResetOffsets deletes every position of a stopped connector, its own state included.
func (w *Worker) ResetOffsets(ctx context.Context, name string) (string, error) {
	c, err := w.lockStopped(name)
	if err != nil {
		return "", err
	}
	defer c.op.Unlock()
	reset := func(stored []connectors.Progress) []connectors.Progress {
		for i := range stored {
			stored[i].Offset, stored[i].Through = "", connectors.Order{}
		}
		return stored
	}
	if err := c.setProgress(ctx, reset); err != nil {
		return "", err
	}
	stored, err := c.store.Load(ctx, name)
	if err != nil {
		return "", fmt.Errorf("load offsets of connector %s: %w", name, err)
	}
	for i := range stored {
		stored[i].Offset = ""
	}
	if err := c.store.Save(ctx, name, stored); err != nil {
		return "", fmt.Errorf("delete offsets of connector %s: %w", name, err)
	}
	return fmt.Sprintf(changedExternally, "reset", "reset"), nil
}

func (w *Worker) lockStopped(name string) (*connector, error) {
	c, err := w.lock(name, "Connector %s not found")
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	target := c.target
	c.mu.Unlock()
	if target != Stopped {
		c.op.Unlock()
		return nil, requestError(BadRequest, mustBeStopped, name)
	}
	return c, nil
}

// setProgress changes the positions in the sinks that keep them: edit gets what a sink has and returns what it shall have.
func (c *connector) setProgress(ctx context.Context, edit func([]connectors.Progress) []connectors.Progress) error {
	w := c.worker
	for _, s := range c.plan.sinks {
		if !s.factory.Describe().Keeper {
			continue
		}
		in := newInstance(w.kill, c.name, c.plan.limits, c.store, w.memory, w.options.Logger)
		task, err := s.factory.NewSink(s.config, connectors.Settings{
			Connector: c.name, Sink: s.alias, GroupID: w.options.Config["group.id"], RunID: runID(), Version: w.options.Version,
			Logger: w.options.Logger, Worker: w.options.Config, ExactlyOnce: c.plan.exactlyOnce,
		})
		if err != nil {
			return fmt.Errorf("make sink %s: %w", s.factory.Describe().Class, err)
		}
		in.addSink(s, task, c.plan.exactlyOnce, s.alias != "")
		if err := in.sinks[0].edit(ctx, edit); err != nil {
			return err
		}
	}
	return nil
}

func (s *sinkRun) edit(ctx context.Context, edit func([]connectors.Progress) []connectors.Progress) (err error) {
	if s.keeper == nil {
		return nil
	}
	defer func() {
		s.run.cancel(errStopping)
		if serr := guard("stop", func() error { return s.task.Stop(ctx) }); serr != nil && err == nil {
			err = fmt.Errorf("stop sink %s: %w", s.name(), serr)
		}
	}()
	if err := guard("start", func() error { return s.task.Start(ctx, s) }); err != nil {
		return fmt.Errorf("start sink %s: %w", s.name(), err)
	}
	stored, err := s.progress(ctx)
	if err != nil {
		return err
	}
	if err := guard("set progress", func() error { return s.keeper.SetProgress(ctx, edit(stored)) }); err != nil {
		return fmt.Errorf("set positions in sink %s: %w", s.name(), err)
	}
	return nil
}
