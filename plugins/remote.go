package plugins

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/plugins/pluginpb"
)

// window is how many bytes of batches may be on their way between the worker and a plugin, in each direction, beside one batch.
const window = 8 << 20

// remoteTask is what the worker's sides of a source and of a sink have in common: the process and its session.
type remoteTask struct {
	command     *Command
	description *connectors.Description
	config      connectors.Config
	settings    connectors.Settings
	secrets     *secrets

	mu      sync.Mutex
	process *process // from Start to Stop
	stopped bool
	claim   string
	cancel  context.CancelFunc // of the streams
	ended   sync.WaitGroup     // goroutines that read streams
}

func newRemoteTask(c *Command, d *connectors.Description, config connectors.Config, s connectors.Settings) remoteTask {
	return remoteTask{command: c, description: d, config: config, settings: s, secrets: newSecrets(d.Config, config, s.Worker), claim: s.Claim}
}

// error is what the plugin reports; what it forgot to say is an error, too.
func (t *remoteTask) error(e *pluginpb.Error) error {
	if e == nil {
		e = &pluginpb.Error{}
	}
	return fromError(e, t.secrets)
}

func (t *remoteTask) log() *slog.Logger {
	log := t.settings.Logger
	if log == nil {
		log = slog.Default()
	}
	return log.With("plugin", t.command.name())
}

// open starts the process and makes its task. The streams live as long as the returned context.
func (t *remoteTask) open(ctx context.Context, answer func(context.Context, *pluginpb.Call) *pluginpb.Answer) (*process, context.Context, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	log := t.log()
	p, err := t.command.start(ctx, log, t.secrets)
	if err != nil {
		return nil, nil, err
	}
	t.mu.Lock()
	if t.stopped {
		t.mu.Unlock()
		p.close(0)
		return nil, nil, connectors.ErrStopped
	}
	live, cancel := context.WithCancel(context.Background())
	t.process, t.cancel = p, cancel
	t.mu.Unlock()
	r, err := p.Open(ctx, &pluginpb.OpenRequest{
		Class: t.description.Class, Sink: t.description.Sink, Config: t.config, Settings: toSettings(t.settings), Window: window, LogLevel: int32(levelOf(log)),
	})
	if err := p.outcome(ctx, "open the task", err, r.GetError()); err != nil {
		return nil, nil, err
	}
	stream, err := p.Session(live, grpc.MaxCallRecvMsgSize(callLimit))
	if err != nil {
		return nil, nil, p.failed("open the task", err)
	}
	s := &session{stream: stream, answer: answer, process: p}
	t.ended.Go(func() { s.serve(live) })
	return p, live, nil
}

// levelOf is the lowest level that the log takes.
func levelOf(log *slog.Logger) slog.Level {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn} {
		if log.Enabled(context.Background(), level) {
			return level
		}
	}
	return slog.LevelError
}

// start is the Start of the task in the process.
func (t *remoteTask) start(ctx context.Context, p *process) error {
	r, err := p.Start(ctx, &pluginpb.StartRequest{})
	t.hold(p, r.GetClaim())
	return p.outcome(ctx, "start the task", err, r.GetError())
}

// claimLimit bounds what a sink holds of its target, in bytes.
const claimLimit = 64 << 10

// hold remembers what the sink holds of its target; "" is no news.
func (t *remoteTask) hold(p *process, claim string) {
	if len(claim) > claimLimit {
		p.refuse("it has a claim of %d bytes, more than %d", len(claim), claimLimit)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if claim != "" {
		t.claim = claim
	}
}

// running returns the process, nil before Start and after Stop.
func (t *remoteTask) running() *process {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.process
}

// stop ends the task and its process, and the goroutines of this side.
func (t *remoteTask) stop(ctx context.Context) (err error) {
	t.mu.Lock()
	p, cancel := t.process, t.cancel
	t.process, t.stopped = nil, true
	t.mu.Unlock()
	if p == nil {
		return nil
	}
	select {
	case <-p.gone():
	default:
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		var r *pluginpb.TaskResult
		if r, err = p.Stop(ctx, &pluginpb.StopRequest{}); err == nil {
			t.hold(p, r.GetClaim())
			err = p.error(r.GetError())
		} else if err = p.failed("stop the task", err); p.child.cause() != nil || ctx.Err() == nil {
			err = nil // it has ended, which its other calls have told
		}
	}
	cancel()
	grace := goodbye
	if at, ok := ctx.Deadline(); ok {
		grace = max(min(grace, time.Until(at)), 0)
	}
	p.close(grace)
	t.ended.Wait()
	return err
}
