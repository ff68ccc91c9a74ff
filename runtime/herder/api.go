package herder

import (
	"encoding/json"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
)

// Properties is a configuration as a client sends it; nil stands for JSON's null.
type Properties map[string]*string

// Info is a connector as GET /connectors/{name} shows it (reference §1.2).
type Info struct {
	Name   string            `json:"name"`
	Config connectors.Config `json:"config"` // as it was put: placeholders are not resolved
	Tasks  []TaskRef         `json:"tasks"`
	Type   string            `json:"type"` // source, sink, unknown
}

// TaskRef names a task in JSON.
type TaskRef struct {
	Connector string `json:"connector"`
	Task      int    `json:"task"`
}

// TaskInfo is a task with its configuration.
type TaskInfo struct {
	ID     TaskRef           `json:"id"`
	Config connectors.Config `json:"config"`
}

// Status is a connector's status (reference §1.2, ConnectorStateInfo).
type Status struct {
	Name      string       `json:"name"`
	Connector PartStatus   `json:"connector"`
	Tasks     []TaskStatus `json:"tasks"`
	Type      string       `json:"type"`
}

// PartStatus is the state of a connector or a task on its worker. An empty Trace or Version is left out.
type PartStatus struct {
	State    runtime.State `json:"state"`
	WorkerID string        `json:"worker_id"`
	Version  string        `json:"version,omitempty"`
	Trace    string        `json:"trace,omitempty"`
}

// TaskStatus is the state of one task.
type TaskStatus struct {
	ID int `json:"id"`
	PartStatus
}

// OffsetEntry is one partition and its offset as in the offsets endpoints; Offset null: none, or to be deleted.
type OffsetEntry struct {
	Partition json.RawMessage `json:"partition"`
	Offset    json.RawMessage `json:"offset"`
}

// Plugin is one entry of GET /connector-plugins.
type Plugin struct {
	Class   string `json:"class"`
	Type    string `json:"type"` // sink, source, transformation, predicate, converter, header_converter
	Version string `json:"version,omitempty"`
}

// Validation is the answer of PUT /connector-plugins/{name}/config/validate.
type Validation struct {
	Name       string       `json:"name"`
	ErrorCount int          `json:"error_count"`
	Groups     []string     `json:"groups"`
	Configs    []ConfigInfo `json:"configs"`
}

// ConfigInfo is the definition of a key, null for one that is not defined, and what was given for it, null for one that is only
// an older name of another key.
type ConfigInfo struct {
	Definition *KeyInfo   `json:"definition"`
	Value      *ValueInfo `json:"value"`
}

// KeyInfo is a key's definition.
type KeyInfo struct {
	Name          string   `json:"name"`
	Type          string   `json:"type"`
	Required      bool     `json:"required"`
	DefaultValue  *string  `json:"default_value"`
	Importance    string   `json:"importance"`
	Documentation string   `json:"documentation"`
	Group         *string  `json:"group"`
	Width         string   `json:"width"`
	DisplayName   string   `json:"display_name"`
	Dependents    []string `json:"dependents"`
	Order         int      `json:"order_in_group"`
}

// ValueInfo is what was given for a key, and what is wrong with it.
type ValueInfo struct {
	Name        string   `json:"name"`
	Value       *string  `json:"value"`
	Recommended []string `json:"recommended_values"`
	Errors      []string `json:"errors"`
	Visible     bool     `json:"visible"`
}
