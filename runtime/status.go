package runtime

import (
	"fmt"
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

// State is the state of a connector or task, by Kafka Connect's names.
type State string

// The states. A connector's target is Running, Paused or Stopped.
const (
	Unassigned State = "UNASSIGNED" // a task that has not been started yet
	Running    State = "RUNNING"
	Paused     State = "PAUSED"
	Stopped    State = "STOPPED"
	Failed     State = "FAILED"
	Restarting State = "RESTARTING" // waiting for the next attempt after a retriable error
)

// Status is what GET /connectors/{name}/status shows.
type Status struct {
	Name  string
	State State
	Trace string // why it failed
	Type  string // "source" or "sink"
	Tasks []TaskStatus
}

// TaskStatus is the state of one task. Trace is the last error while it is Failed or Restarting; of a task that is Running it tells of sinks
// that have dropped out or try again.
type TaskStatus struct {
	ID    int
	State State
	Trace string
	Idle  bool // its source has ended, and all of it is durable
}

// RequestKind tells what is wrong with a request, for its HTTP code.
type RequestKind int

// The kinds.
const (
	BadRequest  RequestKind = 400
	Forbidden   RequestKind = 403
	NotFound    RequestKind = 404
	Conflict    RequestKind = 409
	Unavailable RequestKind = 503
)

// RequestError is the caller's mistake; texts are Kafka Connect's.
type RequestError struct {
	Kind    RequestKind
	Message string
}

func (e *RequestError) Error() string { return e.Message }

func requestError(k RequestKind, format string, args ...any) error {
	return &RequestError{k, fmt.Sprintf(format, args...)}
}

// ConfigError is a configuration that cannot be used.
type ConfigError struct {
	Connector string
	Values    []connectors.ConfigValue
}

// Passing tells that the configuration may be good: all that is wrong is that servers could not be reached.
func (e *ConfigError) Passing() bool {
	for _, v := range e.Values {
		if len(v.Errors) > 0 && !v.Passing {
			return false
		}
	}
	return true
}

func (e *ConfigError) Error() string {
	list := connectors.Errors(e.Values)
	return fmt.Sprintf("Connector configuration is invalid and contains the following %d error(s):\n%s", len(list), strings.Join(list, "\n"))
}
