package plugins

import (
	"context"

	"github.com/freshet-io/freshet/connectors"
)

// IsolateSource has the tasks of one of the program's own sources run in processes that c starts, which must serve it. What needs no
// task is done in this process.
func (c *Command) IsolateSource(f connectors.SourceFactory) connectors.SourceFactory {
	s := isolatedSource{f, c}
	checker, checks := f.(connectors.OffsetChecker)
	owner, owns := f.(connectors.OffsetOwner)
	switch {
	case checks && owns:
		return struct {
			isolatedSource
			connectors.OffsetChecker
			connectors.OffsetOwner
		}{s, checker, owner}
	case checks:
		return struct {
			isolatedSource
			connectors.OffsetChecker
		}{s, checker}
	case owns:
		return struct {
			isolatedSource
			connectors.OffsetOwner
		}{s, owner}
	}
	return s
}

// IsolateSink is IsolateSource for a sink.
func (c *Command) IsolateSink(f connectors.SinkFactory) connectors.SinkFactory {
	return isolatedSink{f, c}
}

type isolatedSource struct {
	connectors.SourceFactory
	command *Command
}

// NewSource implements connectors.SourceFactory.
func (f isolatedSource) NewSource(c connectors.Config, s connectors.Settings) (connectors.SourceTask, error) {
	d := f.Describe()
	return newSource(f.command, &d, c, s), nil
}

// CheckKeys implements connectors.KeyChecker.
func (f isolatedSource) CheckKeys(c connectors.Config) []connectors.ConfigValue {
	return connectors.CheckKeys(f.SourceFactory, c)
}

type isolatedSink struct {
	connectors.SinkFactory
	command *Command
}

// NewSink implements connectors.SinkFactory. Whether this task keeps offsets may depend on its configuration and settings: one that is
// never started tells.
func (f isolatedSink) NewSink(c connectors.Config, s connectors.Settings) (connectors.SinkTask, error) {
	task, err := f.SinkFactory.NewSink(c, s)
	if err != nil {
		return nil, err
	}
	if err := task.Stop(context.Background()); err != nil {
		return nil, err
	}
	d := f.Describe()
	_, keeps := task.(connectors.OffsetKeeper)
	d.Keeper = d.Keeper && keeps
	return newSink(f.command, &d, c, s), nil
}

// CheckKeys implements connectors.KeyChecker.
func (f isolatedSink) CheckKeys(c connectors.Config) []connectors.ConfigValue {
	return connectors.CheckKeys(f.SinkFactory, c)
}
