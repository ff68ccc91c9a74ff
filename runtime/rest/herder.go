// Package rest serves Kafka Connect's REST API (4.3; reference §1): paths, codes, headers and texts are the reference's.
package rest

import (
	"context"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/herder"
)

// Herder is all that the API talks to. Errors are *runtime.RequestError (a code and the text for the client),
// *runtime.ConfigError, *herder.NotLeader or *herder.NotOwner (the API forwards the request), or any other error: 500.
type Herder interface {
	ClusterID() string
	// Health is healthy, starting or unhealthy, with a text (reference §1.1, 2).
	Health(ctx context.Context) (status, message string)

	Names(ctx context.Context) ([]string, error)
	Info(ctx context.Context, name string) (herder.Info, error)
	Tasks(ctx context.Context, name string) ([]herder.TaskInfo, error)
	Status(ctx context.Context, name string) (herder.Status, error)
	TaskStatus(ctx context.Context, name string, id int) (herder.TaskStatus, error)

	// Create: initial is "" for RUNNING. Put also replaces and tells whether it created.
	Create(ctx context.Context, name string, config herder.Properties, initial runtime.State) (herder.Info, error)
	Put(ctx context.Context, name string, config herder.Properties) (info herder.Info, created bool, err error)
	Patch(ctx context.Context, name string, change herder.Properties) (herder.Info, error)
	Delete(ctx context.Context, name string) error
	Pause(ctx context.Context, name string) error
	Resume(ctx context.Context, name string) error
	Stop(ctx context.Context, name string) error
	Restart(ctx context.Context, name string) error
	RestartWith(ctx context.Context, name string, includeTasks, onlyFailed bool) (herder.Status, error)
	RestartTask(ctx context.Context, name string, id int) error

	Topics(ctx context.Context, name string) ([]string, error)
	ResetTopics(ctx context.Context, name string) error
	Offsets(ctx context.Context, name string) ([]herder.OffsetEntry, error)
	AlterOffsets(ctx context.Context, name string, entries []herder.OffsetEntry) (message string, err error)
	ResetOffsets(ctx context.Context, name string) (message string, err error)

	Plugins(connectorsOnly bool) []herder.Plugin
	PluginConfig(plugin, version string) ([]herder.KeyInfo, error)
	Validate(ctx context.Context, plugin string, config herder.Properties) (herder.Validation, error)
	SetLogLevel(ctx context.Context, logger, level string) error // for the whole cluster

	// Of other workers, whose signature has been checked with Verify.
	PutTasks(ctx context.Context, name string, configs []connectors.Config) error
	Fence(ctx context.Context, name string) error
	// Sign signs the body of a request to another worker; Verify returns a *runtime.RequestError when the signature is not one.
	Sign(body []byte) (signature, algorithm string, err error)
	Verify(body []byte, signature, algorithm string) error
}
