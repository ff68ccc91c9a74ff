package runtime

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// Offsets returns the positions stored for a connector. State of our own that lies beside them is left out.
func (w *Worker) Offsets(ctx context.Context, name string) ([]offsets.Entry, error) {
	config, err := w.Config(name)
	if err != nil {
		return nil, err
	}
	return w.OffsetsOf(ctx, name, config)
}

// OffsetsOf returns the positions of a connector with this configuration, wherever it runs.
func (w *Worker) OffsetsOf(ctx context.Context, name string, config connectors.Config) ([]offsets.Entry, error) {
	p, _ := w.resolve(config) // what is wrong with it matters only to what runs
	if owner, ok := p.source.(connectors.OffsetOwner); ok {
		return owner.Offsets(ctx, p.config, w.settings(name, p))
	}
	store, done, err := w.borrowStore(ctx, name, config)
	if err != nil {
		return nil, err
	}
	defer done()
	out, err := store.Load(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("load offsets of connector %s: %w", name, err)
	}
	return slices.DeleteFunc(out, func(e offsets.Entry) bool { return connectors.OwnPartition(e.Partition) }), nil
}

// borrowStore returns the store of a connector, the one that it has open here or another until done.
func (w *Worker) borrowStore(ctx context.Context, name string, config connectors.Config) (offsets.Store, func(), error) {
	topic := strings.TrimSpace(config["offsets.storage.topic"])
	if c := w.find(name); c != nil {
		c.mu.Lock()
		store, open := c.store, c.topic
		c.mu.Unlock()
		if store != nil && open == topic {
			return store, func() {}, nil
		}
	}
	store, err := w.openStore(ctx, name, topic, config)
	if err != nil {
		return nil, nil, err
	}
	return store, func() {
		if store == w.options.Store {
			return
		}
		if err := store.Close(); err != nil {
			w.options.Logger.Warn("close offset store", "connector", name, "error", err)
		}
	}, nil
}

func (w *Worker) settings(name string, p *pipeline) connectors.Settings {
	return connectors.Settings{
		Connector: name, GroupID: w.options.Config["group.id"], RunID: runID(), Version: w.options.Version,
		Logger: w.options.Logger, Worker: w.options.Config, ExactlyOnce: p.exactlyOnce,
	}
}

const (
	changedHere       = "The offsets for this connector have been %s successfully"
	changedExternally = "The Connect framework-managed offsets for this connector have been %s successfully. However, if this connector manages offsets externally, they will need to be manually %s in the system that the connector uses."
	mustBeStopped     = "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified connector by issuing a 'PUT' request to the '/connectors/%s/stop' endpoint"
)

// NotStopped is the answer to a change of the offsets of a connector that is not stopped.
func NotStopped(name string) error { return requestError(BadRequest, mustBeStopped, name) }

// AlterOffsets sets positions of a stopped connector, in the store and in every sink that keeps them; an empty Offset deletes.
// It returns Kafka Connect's message.
func (w *Worker) AlterOffsets(ctx context.Context, name string, entries []offsets.Entry) (string, error) {
	if len(entries) == 0 {
		return "", requestError(BadRequest, "Partitions / offsets need to be provided for an alter offsets request")
	}
	return w.changeOffsets(ctx, name, entries)
}

// ResetOffsets deletes every position of a stopped connector, its own state included.
func (w *Worker) ResetOffsets(ctx context.Context, name string) (string, error) {
	return w.changeOffsets(ctx, name, nil)
}

func (w *Worker) changeOffsets(ctx context.Context, name string, entries []offsets.Entry) (string, error) {
	c, err := w.lock(name, "Connector %s not found")
	if err != nil {
		return "", err
	}
	defer c.op.Unlock()
	c.mu.Lock()
	target, config := c.target, c.config
	c.mu.Unlock()
	if target != Stopped {
		return "", NotStopped(name)
	}
	return w.SetOffsets(ctx, name, config, entries)
}

// SetOffsets sets positions of a connector with this configuration, in the store and in every sink that keeps them; an empty Offset
// deletes one, no entries all, state of its own included. What a source keeps that is no OffsetOwner stays as it is. The caller has
// made sure that no task of it runs anywhere. It returns Kafka Connect's message.
func (w *Worker) SetOffsets(ctx context.Context, name string, config connectors.Config, entries []offsets.Entry) (string, error) {
	done, message := "altered", changedExternally
	if entries == nil {
		done = "reset"
	}
	p, values := w.resolve(config)
	if p.source == nil || len(connectors.Errors(values)) > 0 {
		return "", &ConfigError{name, values}
	}
	owner, owns := p.source.(connectors.OffsetOwner)
	d := p.source.Describe()
	if d.OwnOffsets && !owns && entries != nil { // nobody would move a stored one on
		return "", requestError(BadRequest, "The offsets of connector %s are kept by the system that it reads, and %s cannot alter them. Alter them there, or reset what this worker stores for the connector", name, d.Class)
	}
	if checker, ok := p.source.(connectors.OffsetChecker); ok {
		if !d.OwnOffsets {
			message = changedHere
		}
		if err := checker.CheckOffsets(p.config, entries); err != nil {
			return "", asked(err)
		}
	}
	for _, e := range entries {
		if e.Partition == "" {
			return "", requestError(BadRequest, "The partition of an offset cannot be null or missing")
		}
	}
	if owns {
		entries, err := owner.SetOffsets(ctx, p.config, w.settings(name, p), entries)
		if err != nil {
			return "", asked(err)
		}
		// A sink that keeps positions goes by its own.
		if err := w.setProgress(ctx, name, p, w.options.Store, edited(entries)); err != nil {
			return "", err
		}
		return fmt.Sprintf(changedHere, done), nil
	}
	store, release, err := w.borrowStore(ctx, name, config)
	if err != nil {
		return "", err
	}
	defer release()
	if entries == nil {
		err = w.resetStored(ctx, name, p, store)
	} else {
		err = w.alterStored(ctx, name, p, store, entries)
	}
	if err != nil {
		return "", err
	}
	if message == changedHere {
		return fmt.Sprintf(message, done), nil
	}
	return fmt.Sprintf(message, done, done), nil
}

// asked makes a bad request of what is the mistake of who asked.
func asked(err error) error {
	if connectors.IsRequest(err) {
		return requestError(BadRequest, "%v", err)
	}
	return err
}

// edited makes what a sink shall have of what it has: these entries, or with none nothing.
func edited(entries []offsets.Entry) func([]connectors.Progress) []connectors.Progress {
	if entries == nil {
		return func(stored []connectors.Progress) []connectors.Progress {
			for i := range stored {
				stored[i].Offset, stored[i].Through = "", connectors.Order{}
			}
			return stored
		}
	}
	kept := make([]connectors.Progress, 0, len(entries))
	for _, e := range entries {
		kept = append(kept, connectors.Progress{Partition: e.Partition, Offset: e.Offset})
	}
	return func([]connectors.Progress) []connectors.Progress { return kept }
}

func (w *Worker) alterStored(ctx context.Context, name string, p *pipeline, store offsets.Store, entries []offsets.Entry) error {
	all := append([]offsets.Entry(nil), entries...)
	for _, e := range entries {
		position := connectors.Progress{Partition: e.Partition, Offset: e.Offset}
		for _, s := range p.sinks {
			if s.alias == "" {
				continue
			}
			own, err := position.Entry(s.alias)
			if err != nil {
				return requestError(BadRequest, "%v", err)
			}
			all = append(all, own)
		}
	}
	if err := w.setProgress(ctx, name, p, store, edited(entries)); err != nil {
		return err
	}
	if err := store.Save(ctx, name, all); err != nil {
		return fmt.Errorf("store offsets of connector %s: %w", name, err)
	}
	return nil
}

func (w *Worker) resetStored(ctx context.Context, name string, p *pipeline, store offsets.Store) error {
	if err := w.setProgress(ctx, name, p, store, edited(nil)); err != nil {
		return err
	}
	stored, err := store.Load(ctx, name)
	if err != nil {
		return fmt.Errorf("load offsets of connector %s: %w", name, err)
	}
	for i := range stored {
		stored[i].Offset = ""
	}
	if err := store.Save(ctx, name, stored); err != nil {
		return fmt.Errorf("delete offsets of connector %s: %w", name, err)
	}
	return nil
}

// setProgress changes the positions in the sinks that keep them: edit gets what a sink has and returns what it shall have.
func (w *Worker) setProgress(ctx context.Context, name string, p *pipeline, store offsets.Store, edit func([]connectors.Progress) []connectors.Progress) error {
	for _, s := range p.sinks {
		if !s.factory.Describe().Keeper {
			continue
		}
		in := newInstance(w.kill, name, p.limits, store, w.memory, w.options.Logger)
		settings := w.settings(name, p)
		settings.Sink, settings.Class, settings.Shared = s.alias, s.class, p.source.Describe().OwnOffsets
		task, err := s.factory.NewSink(s.config, settings)
		if err != nil {
			return fmt.Errorf("make sink %s: %w", s.factory.Describe().Class, err)
		}
		in.addSink(s, task, p.exactlyOnce, s.alias != "")
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
