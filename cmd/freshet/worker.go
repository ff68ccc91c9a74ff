package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/cluster"
	"github.com/freshet-io/freshet/runtime/herder"
	"github.com/freshet-io/freshet/runtime/rest"
	"github.com/freshet-io/freshet/runtime/workerconfig"
)

func workerCommand(l *logging) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "worker",
		Short: "Run a worker of a cluster, with Kafka Connect's REST API",
		Long: `Runs a worker. Workers with the same group.id and the same three topics form a cluster: they share the connectors that are
created through the REST API of any of them, and take over from one that fails. The properties are those of Kafka Connect's
distributed workers; CONNECT_* variables and those of Debezium's image are read, too, and win over the file.

The first SIGINT or SIGTERM stops gracefully: what is on its way is made durable, and the other workers take over at once. The
second ends the process.`,
		Example: `  freshet worker -c examples/cluster.properties
  freshet worker -c examples/cluster.properties --log-format json`,
		Args: usage(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if level := workerconfig.LogLevel(os.Environ()); level != "" && !c.Flags().Changed("log-level") {
				if err := l.set(level); err != nil {
					return err
				}
			}
			config, err := workerconfig.Read(file, workerconfig.Distributed, os.Environ())
			if config != nil {
				for _, w := range config.Warnings {
					slog.Warn(w)
				}
			}
			if err != nil {
				return err
			}
			slog.Info("freshet worker starts", append([]any{"version", versionText()}, config.Attrs()...)...)
			defer context.AfterFunc(c.Context(), func() { slog.Info("stopping gracefully; a second signal ends the program at once") })()
			return runWorker(c.Context(), newProgram(), config, l)
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "worker properties `file`")
	return c
}

// node is a worker of a cluster with all its parts. What was opened is closed by close, last first.
type node struct {
	program *program
	config  *workerconfig.Config
	client  *kafkaclient.Config
	session *kafkaclient.Session
	server  *rest.Server
	closers []func() error
}

// runWorker runs a worker until ctx ends, or until it cannot go on. It listens as soon as it can answer, not before.
func runWorker(ctx context.Context, p *program, config *workerconfig.Config, l *logging) (err error) {
	n := &node{program: p, config: config}
	defer func() { err = errors.Join(err, n.close()) }()
	api, err := rest.Configure(config, os.Getenv)
	if err != nil {
		return err
	}
	o, store, err := n.open(ctx)
	if ctx.Err() != nil {
		return nil // told to stop while it waited
	}
	if err != nil {
		return err
	}
	if n.server, err = rest.Listen(api); err != nil {
		return err
	}
	tracer, closeTracer, err := openTracer(ctx)
	if err != nil {
		return err
	}
	n.closers = append(n.closers, func() error { closeTracer(); return nil })
	worker := n.newWorker(n.program.catalogFor(ctx, config, slog.Default()), store, tracer)
	n.closers = append(n.closers, func() error { return worker.Close(context.WithoutCancel(ctx)) })
	var h *herder.Herder
	peers := api.Peers(func(body []byte) (string, string, error) { return h.Sign(body) })
	defer peers.Close()
	o.Worker, o.WorkerID, o.URL, o.SetLogLevel = worker, n.server.ID, n.server.URL, l.setFor
	o.Forward, o.ForwardFence, o.Group = peers.PutTasks, peers.Fence, n.group()
	h = herder.New(o)
	return n.run(ctx, h, rest.Options{Logger: slog.Default(), Levels: l.levels, Extra: extra(worker, h)})
}

func (n *node) close() error {
	var errs []error
	for i := len(n.closers) - 1; i >= 0; i-- {
		errs = append(errs, n.closers[i]())
	}
	return errors.Join(errs...)
}

// open connects to Kafka and opens what the cluster keeps there; it waits for what is not there yet.
func (n *node) open(ctx context.Context) (o herder.Options, store offsets.Store, err error) {
	id, err := n.connect(ctx)
	if err != nil {
		return o, nil, err
	}
	if o, err = n.openLogs(ctx); err != nil {
		return o, nil, err
	}
	o.ClusterID = id
	err = patiently(ctx, "the offsets cannot be opened yet", func() error {
		store, err = n.program.kafkaStore(ctx, n.config.Properties, n.config.OffsetTopic().Name)
		return err
	})
	if err == nil {
		n.closers = append(n.closers, store.Close)
	}
	return o, store, err
}

// connect opens the connections to Kafka; it waits for brokers that cannot be reached yet.
func (n *node) connect(ctx context.Context) (clusterID string, err error) {
	if n.client, err = kafkaclient.Parse(n.config.Properties); err != nil {
		return "", fmt.Errorf("read Kafka client properties of the worker: %w", err)
	}
	for _, w := range n.client.Warnings {
		slog.Warn(w)
	}
	err = patiently(ctx, "Kafka cannot be reached yet", func() error {
		if n.session == nil {
			if n.session, err = n.program.pool.Open(ctx, n.client); err != nil {
				return err
			}
			n.closers = append(n.closers, func() error { n.session.Close(); return nil })
		}
		clusterID, err = n.session.ClusterID(ctx)
		return err
	})
	return clusterID, err
}

// patiently tries again what a later attempt may mend.
func patiently(ctx context.Context, complaint string, try func() error) error {
	for attempt := 1; ; attempt++ {
		err := try()
		if err == nil || ctx.Err() != nil || kafkaclient.Permanent(err) || connectors.ClassOf(err) != connectors.Retriable {
			return err
		}
		pause := min(time.Second<<min(attempt-1, 4), 10*time.Second)
		slog.Warn(complaint, "error", err, "attempt", attempt, "in", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// openLogs opens the topics of configurations and statuses.
func (n *node) openLogs(ctx context.Context) (o herder.Options, err error) {
	c := n.config
	group := c.String(workerconfig.KeyGroup)
	o = herder.Options{
		GroupID: group, Logger: slog.Default(), Resolve: c.Providers.Apply,
		KeyTTL: c.Millis("inter.worker.key.ttl.ms"), KeyAlgorithm: c.String("inter.worker.key.generation.algorithm"),
		Signature: c.String("inter.worker.signature.algorithm"), Verification: c.List("inter.worker.verification.algorithms"),
		NoTopicTracking: !c.Bool("topic.tracking.enable"), NoTopicReset: !c.Bool("topic.tracking.allow.reset"),
	}
	logs := cluster.LogOptions{Session: n.session, Config: n.client, Logger: slog.Default()}
	if c.ExactlyOnce() != "disabled" {
		logs.LeaderID = cluster.LeaderID(group)
	}
	if c.ExactlyOnce() == "enabled" {
		o.Fence = func(ctx context.Context, ids []string) error {
			return n.session.FenceProducers(ctx, n.client.Producer, ids)
		}
	}
	err = patiently(ctx, "the topics of the cluster cannot be opened yet", func() error {
		if o.Config == nil {
			logs.Topic = topic(c.ConfigTopic())
			log, err := cluster.OpenConfigLog(ctx, logs)
			if err != nil {
				return err
			}
			o.Config = log
			n.closers = append(n.closers, log.Close)
		}
		logs.Topic = topic(c.StatusTopic())
		log, err := cluster.OpenStatusLog(ctx, logs)
		if err != nil {
			return err
		}
		o.Status = log
		n.closers = append(n.closers, log.Close)
		return nil
	})
	return o, err
}

// group is the membership in the group of workers.
func (n *node) group() *cluster.Group {
	c := n.config
	return cluster.NewGroup(cluster.GroupOptions{
		Config: n.client, Group: c.String(workerconfig.KeyGroup), URL: n.server.URL, Version: versionText(), Logger: slog.Default(),
		SessionTimeout: c.Millis("session.timeout.ms"), HeartbeatInterval: c.Millis("heartbeat.interval.ms"),
		RebalanceTimeout: c.Millis("rebalance.timeout.ms"), SyncTimeout: c.Millis("worker.sync.timeout.ms"),
		UnsyncBackoff: c.Millis("worker.unsync.backoff.ms"), MaxDelay: c.Millis("scheduled.rebalance.max.delay.ms"),
	})
}

func topic(t workerconfig.Topic) kafkaclient.LogOptions {
	return kafkaclient.LogOptions{Topic: t.Name, Partitions: t.Partitions, Replication: t.Replication, Settings: t.Settings}
}

func (n *node) newWorker(catalog *runtime.Catalog, store offsets.Store, tracer runtime.Tracer) *runtime.Worker {
	return runtime.NewWorker(runtime.Options{
		Catalog: catalog, Store: store, Logger: slog.Default(), Config: n.config.Properties, Version: versionText(),
		MemoryLimit: n.config.Int(workerconfig.KeyMemoryLimit), CommitInterval: time.Second, Tracer: tracer, DeadLetters: n.program.deadLetters(),
		StoreFor: func(ctx context.Context, _ string, c connectors.Config) (offsets.Store, error) {
			return n.program.kafkaStore(ctx, n.config.Properties, c["offsets.storage.topic"])
		},
	})
}

// run serves the REST API and takes part in the group. Two goroutines: "rest" and "herder"; when one ends, so does the other.
func (n *node) run(ctx context.Context, h *herder.Herder, o rest.Options) error {
	both, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 2)
	go func() { ended <- n.server.Serve(both, h, o) }()
	go func() { ended <- h.Run(both) }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	left := 2
	var errs []error
	for left > 0 {
		select {
		case err := <-ended:
			errs = append(errs, err)
			left--
			stop()
		case <-tick.C:
			if status, _ := h.Health(ctx); status == "healthy" {
				slog.Info("freshet worker is ready", "url", n.server.URL, "group", n.config.String(workerconfig.KeyGroup), "worker", n.server.ID)
				tick.Stop()
			}
		}
	}
	return errors.Join(errs...)
}
