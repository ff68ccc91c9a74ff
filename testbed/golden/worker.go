package golden

import (
	"context"
	"encoding/json"
)

// Worker is the worker under test: what the steps of a scenario do to it, under the meaning that Kafka Connect's REST API gives
// them. Its offsets go to the player's offset topic, and only when a connector stops or pauses (offset.flush.interval.ms very large).
type Worker interface {
	// PutConfig creates the connector or changes its settings, and starts it.
	PutConfig(ctx context.Context, name string, config map[string]string) error
	Stop(ctx context.Context, name string) error
	Resume(ctx context.Context, name string) error
	Pause(ctx context.Context, name string) error
	// Restart restarts the connector and its tasks.
	Restart(ctx context.Context, name string) error
	Delete(ctx context.Context, name string) error
	// Offsets is the body of GET /connectors/<name>/offsets.
	Offsets(ctx context.Context, name string) (json.RawMessage, error)
	// AlterOffsets takes such a body, as PATCH does, and returns status and body of the answer.
	AlterOffsets(ctx context.Context, name string, offsets json.RawMessage) (status int, body string, err error)
	ResetOffsets(ctx context.Context, name string) (status int, body string, err error)
	// State is the state of the connector and its tasks (RUNNING, PAUSED, STOPPED, FAILED …); "" when there is no such connector.
	State(ctx context.Context, name string) (connector string, tasks []TaskState, err error)
}

// TaskState is the state of one task. Trace is the text of a failure; causes are lines that begin with "Caused by: ".
type TaskState struct {
	State, Trace string
}
