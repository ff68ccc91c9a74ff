package standalone

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/herder"
	"github.com/freshet-io/freshet/runtime/rest"
	"github.com/freshet-io/freshet/runtime/workerconfig"
)

// service is the REST API of a process alone, over a herder whose logs are in memory.
type service struct {
	server *rest.Server
	herder *herder.Herder
	ended  chan error // of each of the goroutines "rest" and "herder"
	stop   context.CancelFunc
}

// open starts to serve. What it returns has to be closed.
func (s *setup) open(ctx context.Context, w *runtime.Worker) (*service, error) {
	c := s.config
	api, err := rest.Configure(c, os.Getenv)
	if err != nil {
		return nil, err
	}
	server, err := rest.Listen(api)
	if err != nil {
		return nil, err
	}
	v := &service{server: server, ended: make(chan error, 2)}
	configs, statuses := herder.LocalLogs()
	v.herder = herder.New(herder.Options{
		Worker: w, Config: configs, Status: statuses, Group: herder.LocalGroup(), WorkerID: server.ID, URL: server.URL,
		GroupID: c.String(workerconfig.KeyGroup), Logger: s.options.Logger, Resolve: c.Providers.Apply, SetLogLevel: s.options.SetLogLevel,
		NoTopicTracking: !c.Bool("topic.tracking.enable"), NoTopicReset: !c.Bool("topic.tracking.allow.reset"),
	})
	o := rest.Options{Logger: s.options.Logger, Levels: s.options.Levels}
	if s.options.Extra != nil {
		o.Extra = s.options.Extra(w, v.herder)
	}
	running, stop := context.WithCancel(ctx)
	v.stop = stop
	go func() { v.ended <- server.Serve(running, v.herder, o) }()
	go func() { v.ended <- v.herder.Run(running) }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if status, _ := v.herder.Health(ctx); status == "healthy" {
			s.options.Logger.Info("the REST API is ready", "url", server.URL, "worker", server.ID)
			return v, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return v, nil
		case err := <-v.ended:
			stop()
			return nil, errors.Join(err, <-v.ended)
		}
	}
}

// create makes a connector of a file as a client of the API would.
func (v *service) create(ctx context.Context, w *runtime.Worker, c Connector) error {
	if values := w.Validate(ctx, c.named(c.Config)); len(connectors.Errors(values)) > 0 {
		return &runtime.ConfigError{Connector: c.Name, Values: values} // it tells what may be mended by waiting
	}
	p := herder.Properties{}
	for k, text := range c.named(c.written) {
		p[k] = &text
	}
	_, err := v.herder.Create(ctx, c.Name, p, c.Target)
	return err
}

// serve runs the connectors of the files and those that are made through the API until ctx ends. It does not end when
// connectors fail: they can be mended through the API.
func (s *setup) serve(ctx context.Context, w *runtime.Worker) (err error) {
	v, err := s.open(ctx, w)
	if err != nil {
		return err
	}
	left := 2
	defer func() {
		v.stop()
		for range left {
			err = errors.Join(err, <-v.ended)
		}
	}()
	s.put = func(ctx context.Context, c Connector) error { return v.create(ctx, w, c) }
	for {
		if err := s.start(ctx, w); err != nil {
			return err
		}
		var retry <-chan time.Time
		if len(s.waiting) > 0 {
			retry = time.After(longer(s.attempts))
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-v.ended:
			left--
			return fmt.Errorf("serve the REST API: %w", err)
		case <-retry:
		}
	}
}
