package plugins

import (
	"io"
	"log/slog"
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/freshet-io/freshet/connectors"
)

// Serving tells that a worker has started this process as a plugin.
func Serving() bool { return os.Getenv(cookieKey) == cookieValue }

// Serve serves connectors to the worker that has started this process, until it says or is no more; main calls it and returns.
// Each factory is a connectors.SourceFactory or a connectors.SinkFactory. What the connectors log goes to the log of their task, and so
// does what the process prints.
func Serve(factories ...connectors.Factory) {
	level := &slog.LevelVar{}
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level})) // the file that the worker reads: go-plugin replaces the variable
	slog.SetDefault(log)
	s := newServer(factories, log, level)
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: handshake, VersionedPlugins: map[int]plugin.PluginSet{Protocol: {service: &endpoint{server: s}}},
		Logger: hclog.NewNullLogger(),
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			g := grpc.NewServer(serverOptions(&s.memory, options)...)
			go func() {
				_, _ = io.Copy(io.Discard, os.Stdin) // ends with the worker, whatever it dies of
				s.end()
				g.Stop()
			}()
			return g
		},
	})
	s.end()
}
