package herder

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
)

// Keys of the config log (reference §2.2).
const (
	keyConnector = "connector-"
	keyTask      = "task-"
	keyCommit    = "commit-"
	keyTarget    = "target-state-"
	keyFencing   = "tasks-fencing-"
	keySession   = "session-key"
	keyRestart   = "restart-connector-"
	keyLogger    = "logger-cluster-"
)

type propertiesRecord struct {
	Properties connectors.Config `json:"properties"`
}

type commitRecord struct {
	Tasks int `json:"tasks"`
}

type targetRecord struct {
	State string `json:"state"` // for workers that know no STOPPED
	V2    string `json:"state.v2"`
}

type fencingRecord struct {
	Tasks int `json:"task-count"`
}

type sessionRecord struct {
	Key       []byte `json:"key"`
	Algorithm string `json:"algorithm"`
	Created   int64  `json:"creation-timestamp"` // ms
}

type restartRecord struct {
	Tasks      bool `json:"include-tasks"`
	OnlyFailed bool `json:"only-failed"`
}

type loggerRecord struct {
	Level string `json:"level"`
}

// encode renders a record as the reference does: no spaces, members in the order of the struct, those of a map sorted.
func encode(v any) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // these types always encode
	return bytes.TrimSuffix(out.Bytes(), []byte{'\n'})
}

func connectorMessage(name string, c connectors.Config) Message {
	return Message{keyConnector + name, encode(propertiesRecord{c})}
}

// tasksMessages make exactly these the task configurations of a connector.
func tasksMessages(name string, tasks []connectors.Config) []Message {
	out := make([]Message, 0, len(tasks)+1)
	for i, c := range tasks {
		out = append(out, Message{keyTask + name + "-" + strconv.Itoa(i), encode(propertiesRecord{c})})
	}
	return append(out, Message{keyCommit + name, encode(commitRecord{len(tasks)})})
}

// The target states as records name them.
const (
	started = "STARTED"
	paused  = "PAUSED"
	stopped = "STOPPED"
)

func targetMessage(name string, target runtime.State) Message {
	r := targetRecord{started, started}
	switch target {
	case runtime.Paused:
		r = targetRecord{paused, paused}
	case runtime.Stopped:
		r = targetRecord{paused, stopped}
	}
	return Message{keyTarget + name, encode(r)}
}

func (r targetRecord) target() (runtime.State, error) {
	state := r.V2
	if state == "" {
		state = r.State
	}
	switch state {
	case started:
		return runtime.Running, nil
	case paused:
		return runtime.Paused, nil
	case stopped:
		return runtime.Stopped, nil
	}
	return "", fmt.Errorf("target state %q is not known", state)
}

// parseTaskKey splits "<connector>-<n>".
func parseTaskKey(s string) (TaskID, error) {
	i := strings.LastIndexByte(s, '-')
	if i < 0 {
		return TaskID{}, fmt.Errorf("no task number in %q", s)
	}
	n, err := strconv.Atoi(s[i+1:])
	if err != nil || n < 0 {
		return TaskID{}, fmt.Errorf("no task number in %q", s)
	}
	return TaskID{s[:i], n}, nil
}
