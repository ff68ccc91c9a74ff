package plugins

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/plugins/pluginpb"
)

// Open starts a process of the plugin, asks what it serves and ends it. The factories start processes of their own: one for each task,
// and a short one for each other call.
func (c *Command) Open(ctx context.Context, log *slog.Logger) (sources []connectors.SourceFactory, sinks []connectors.SinkFactory, err error) {
	err = c.with(ctx, log, nil, func(p *process) error {
		r, err := p.Describe(ctx, &pluginpb.DescribeRequest{})
		if err != nil {
			return p.failed("describe the connectors", err)
		}
		sources, sinks, err = c.factories(r.GetConnectors())
		return err
	})
	return sources, sinks, err
}

func (c *Command) factories(list []*pluginpb.Description) (sources []connectors.SourceFactory, sinks []connectors.SinkFactory, err error) {
	if len(list) == 0 {
		return nil, nil, connectors.AsPermanent(fmt.Errorf("describe the connectors of plugin %s: it has none", c.name()))
	}
	for _, p := range list {
		d, err := fromDescription(p)
		if err != nil {
			return nil, nil, connectors.AsPermanent(fmt.Errorf("describe the connectors of plugin %s: %w", c.name(), err))
		}
		f := &factory{command: c, description: d, checksKeys: p.GetChecksKeys(), checksOffsets: p.GetChecksOffsets()}
		if p.GetResumes() {
			f.description.Resumes = (&resuming{factory: f, answered: map[[sha256.Size]byte]bool{}}).resumes
		}
		switch s := (&sourceFactory{f}); {
		case d.Sink:
			sinks = append(sinks, &sinkFactory{f})
		case p.GetOwnsOffsets():
			sources = append(sources, &owningFactory{&checkingFactory{s}})
		case p.GetChecksOffsets():
			sources = append(sources, &checkingFactory{s})
		default:
			sources = append(sources, s)
		}
	}
	return sources, sinks, nil
}

const (
	goodbye     = 5 * time.Second  // for a process to end by itself
	callTimeout = 60 * time.Second // of a call that needs no task
)

var errSlow = fmt.Errorf("it did not answer within %s and was ended", callTimeout)

// with runs f beside a process of its own, at most for callTimeout.
func (c *Command) with(ctx context.Context, log *slog.Logger, hide *secrets, f func(*process) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, callTimeout, errSlow)
	defer cancel()
	p, err := c.start(ctx, log, hide)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { p.child.kill(context.Cause(ctx)) }) // it need not heed a cancelled call
	err = f(p)
	stop()
	p.close(goodbye)
	return err
}

// factory is a connector of a plugin.
type factory struct {
	command       *Command
	description   connectors.Description
	checksKeys    bool
	checksOffsets bool
}

func (f *factory) secrets(c, worker connectors.Config) *secrets {
	return newSecrets(f.description.Config, c, worker)
}

func (f *factory) log() *slog.Logger { return slog.Default().With("plugin", f.command.name()) }

// Describe implements connectors.Factory.
func (f *factory) Describe() connectors.Description { return f.description }

// Validate implements connectors.Factory.
func (f *factory) Validate(ctx context.Context, c connectors.Config) []connectors.ConfigValue {
	return f.validate(ctx, c, true)
}

func (f *factory) validate(ctx context.Context, c connectors.Config, connect bool) []connectors.ConfigValue {
	var values []connectors.ConfigValue
	err := f.command.with(ctx, f.log(), f.secrets(c, nil), func(p *process) error {
		r, err := p.Validate(ctx, &pluginpb.ValidateRequest{Class: f.description.Class, Sink: f.description.Sink, Config: c, Connect: connect})
		if err != nil {
			return p.failed("validate the configuration", err)
		}
		values = fromValues(r.GetValues(), f.description.Config, c, p.secrets)
		return nil
	})
	if err != nil {
		values, _ = f.description.Config.Validate(c)
		return append(values, connectors.ConfigValue{Name: "connector.class", Errors: []string{err.Error()}, Visible: true, Passing: connectors.ClassOf(err) == connectors.Retriable})
	}
	return values
}

// Tasks implements connectors.Factory.
func (f *factory) Tasks(ctx context.Context, c connectors.Config, most int) ([]connectors.Config, error) {
	r, err := f.tasks(ctx, c, most)
	if err != nil {
		return nil, err
	}
	var out []connectors.Config
	for _, t := range r.GetTasks() {
		out = append(out, fromConfig(t.GetConfig()))
	}
	if len(out) > most {
		return nil, connectors.AsPermanent(fmt.Errorf("plan tasks: plugin %s wants %d, at most %d are allowed", f.command.name(), len(out), most))
	}
	return out, nil
}

func (f *factory) tasks(ctx context.Context, c connectors.Config, most int) (r *pluginpb.TasksResponse, err error) {
	err = f.command.with(ctx, f.log(), f.secrets(c, nil), func(p *process) error {
		r, err = p.Tasks(ctx, &pluginpb.TasksRequest{Class: f.description.Class, Sink: f.description.Sink, Config: c, Max: int32(most)})
		if err != nil {
			return p.failed("plan tasks", err)
		}
		return p.error(r.GetError())
	})
	return r, err
}

// CheckKeys implements connectors.KeyChecker.
func (f *factory) CheckKeys(c connectors.Config) []connectors.ConfigValue {
	if !f.checksKeys {
		values, _ := f.description.Config.Validate(c)
		return values
	}
	ctx := context.Background()
	return f.validate(ctx, c, false)
}

// sourceFactory is a source of a plugin.
type sourceFactory struct{ *factory }

// NewSource implements connectors.SourceFactory. The plugin looks at the configuration when the task starts.
func (f *sourceFactory) NewSource(c connectors.Config, s connectors.Settings) (connectors.SourceTask, error) {
	return newSource(f.command, &f.description, c, withoutSecrets(s)), nil
}

// checkingFactory is a source of a plugin that knows what its offsets look like.
type checkingFactory struct{ *sourceFactory }

// CheckOffsets implements connectors.OffsetChecker.
func (f *checkingFactory) CheckOffsets(c connectors.Config, entries []offsets.Entry) error {
	if !f.checksOffsets {
		return nil // it keeps them itself, and will see
	}
	ctx := context.Background()
	return f.command.with(ctx, f.log(), f.secrets(c, nil), func(p *process) error {
		r, err := p.CheckOffsets(ctx, f.request(c, connectors.Settings{}, entries))
		if err != nil {
			return p.failed("check offsets", err)
		}
		return p.error(r.GetError())
	})
}

func (f *sourceFactory) request(c connectors.Config, s connectors.Settings, entries []offsets.Entry) *pluginpb.OffsetsRequest {
	return &pluginpb.OffsetsRequest{Class: f.description.Class, Config: c, Settings: toSettings(withoutSecrets(s)), Entries: toEntries(entries), All: entries == nil}
}

// owningFactory is a source of a plugin that keeps its offsets itself.
type owningFactory struct{ *checkingFactory }

// Offsets implements connectors.OffsetOwner.
func (f *owningFactory) Offsets(ctx context.Context, c connectors.Config, s connectors.Settings) ([]offsets.Entry, error) {
	return f.owned(ctx, c, s, func(p *process) (*pluginpb.OffsetsResponse, error) { return p.GetOffsets(ctx, f.request(c, s, nil)) })
}

// SetOffsets implements connectors.OffsetOwner.
func (f *owningFactory) SetOffsets(ctx context.Context, c connectors.Config, s connectors.Settings, entries []offsets.Entry) ([]offsets.Entry, error) {
	out, err := f.owned(ctx, c, s, func(p *process) (*pluginpb.OffsetsResponse, error) {
		return p.SetOffsets(ctx, f.request(c, s, entries))
	})
	if entries == nil {
		out = nil // all are deleted, which an empty list does not say
	}
	return out, err
}

func (f *owningFactory) owned(ctx context.Context, c connectors.Config, s connectors.Settings, call func(*process) (*pluginpb.OffsetsResponse, error)) (out []offsets.Entry, err error) {
	log := s.Logger
	if log == nil {
		log = f.log()
	}
	err = f.command.with(ctx, log, f.secrets(c, s.Worker), func(p *process) error {
		r, err := call(p)
		if err != nil {
			return p.failed("ask for offsets", err)
		}
		out, err = fromEntries(r.GetEntries())
		return errors.Join(p.error(r.GetError()), err)
	})
	return out, err
}

// sinkFactory is a sink of a plugin.
type sinkFactory struct{ *factory }

// NewSink implements connectors.SinkFactory, likewise.
func (f *sinkFactory) NewSink(c connectors.Config, s connectors.Settings) (connectors.SinkTask, error) {
	return newSink(f.command, &f.description, c, withoutSecrets(s)), nil
}
