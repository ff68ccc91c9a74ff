package client

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/herder"
)

// Root is what GET / says.
type Root struct {
	Version   string `json:"version"`
	Commit    string `json:"commit"`
	ClusterID string `json:"kafka_cluster_id"`
}

// Overview is a connector with its status.
type Overview struct {
	Info   herder.Info   `json:"info"`
	Status herder.Status `json:"status"`
}

// Root tells which program answers and for which Kafka cluster.
func (c *Client) Root(ctx context.Context) (out Root, err error) {
	_, err = c.do(ctx, http.MethodGet, "/", nil, &out)
	return out, err
}

// Names lists the connectors, in no order.
func (c *Client) Names(ctx context.Context) (out []string, err error) {
	_, err = c.do(ctx, http.MethodGet, "/connectors", nil, &out)
	return out, err
}

// All returns every connector by name. One without a status yet has an empty one.
func (c *Client) All(ctx context.Context) (out map[string]Overview, err error) {
	_, err = c.do(ctx, http.MethodGet, query("/connectors", "expand", "info", "expand", "status"), nil, &out)
	return out, err
}

// Info returns a connector's configuration and tasks.
func (c *Client) Info(ctx context.Context, name string) (out herder.Info, err error) {
	_, err = c.do(ctx, http.MethodGet, path("connectors", name), nil, &out)
	return out, err
}

// Status returns the states of a connector and its tasks.
func (c *Client) Status(ctx context.Context, name string) (out herder.Status, err error) {
	_, err = c.do(ctx, http.MethodGet, path("connectors", name, "status"), nil, &out)
	return out, err
}

// Tasks returns the configurations of a connector's tasks.
func (c *Client) Tasks(ctx context.Context, name string) (out []herder.TaskInfo, err error) {
	_, err = c.do(ctx, http.MethodGet, path("connectors", name, "tasks"), nil, &out)
	return out, err
}

// Create makes a connector; initial is RUNNING (also for ""), PAUSED or STOPPED.
func (c *Client) Create(ctx context.Context, name string, config connectors.Config, initial runtime.State) (out herder.Info, err error) {
	body := map[string]any{"name": name, "config": config}
	if initial != "" {
		body["initial_state"] = initial
	}
	_, err = c.do(ctx, http.MethodPost, "/connectors", body, &out)
	return out, err
}

// Put makes a connector or gives it another configuration.
func (c *Client) Put(ctx context.Context, name string, config connectors.Config) (out herder.Info, created bool, err error) {
	code, err := c.do(ctx, http.MethodPut, path("connectors", name, "config"), config, &out)
	return out, code == http.StatusCreated, err
}

// Delete removes a connector. Its offsets stay.
func (c *Client) Delete(ctx context.Context, name string) error {
	_, err := c.do(ctx, http.MethodDelete, path("connectors", name), nil, nil)
	return err
}

// Pause asks the tasks of a connector to take nothing more from their source.
func (c *Client) Pause(ctx context.Context, name string) error { return c.target(ctx, name, "pause") }

// Resume asks a paused or stopped connector to run.
func (c *Client) Resume(ctx context.Context, name string) error { return c.target(ctx, name, "resume") }

// Stop ends the tasks of a connector and keeps its configuration.
func (c *Client) Stop(ctx context.Context, name string) error { return c.target(ctx, name, "stop") }

func (c *Client) target(ctx context.Context, name, verb string) error {
	_, err := c.do(ctx, http.MethodPut, path("connectors", name, verb), nil, nil)
	return err
}

// Restart starts a connector again, with its tasks or only what has failed of them.
func (c *Client) Restart(ctx context.Context, name string, tasks, onlyFailed bool) error {
	_, err := c.do(ctx, http.MethodPost, query(path("connectors", name, "restart"), "includeTasks", tasks, "onlyFailed", onlyFailed), nil, nil)
	return err
}

// RestartTask starts one task again.
func (c *Client) RestartTask(ctx context.Context, name string, id int) error {
	_, err := c.do(ctx, http.MethodPost, path("connectors", name, "tasks", strconv.Itoa(id), "restart"), nil, nil)
	return err
}

// Topics lists the topics that a connector has used, in no order.
func (c *Client) Topics(ctx context.Context, name string) ([]string, error) {
	out := map[string]struct {
		Topics []string `json:"topics"`
	}{}
	_, err := c.do(ctx, http.MethodGet, path("connectors", name, "topics"), nil, &out)
	return out[name].Topics, err
}

// ResetTopics forgets the topics that a connector has used.
func (c *Client) ResetTopics(ctx context.Context, name string) error {
	_, err := c.do(ctx, http.MethodPut, path("connectors", name, "topics", "reset"), nil, nil)
	return err
}

type offsetList struct {
	Offsets []herder.OffsetEntry `json:"offsets"`
}

// Offsets returns what is stored for a connector.
func (c *Client) Offsets(ctx context.Context, name string) ([]herder.OffsetEntry, error) {
	var out offsetList
	_, err := c.do(ctx, http.MethodGet, path("connectors", name, "offsets"), nil, &out)
	return out.Offsets, err
}

type said struct {
	Message string `json:"message"`
}

// SetOffsets writes offsets of a stopped connector; a null offset removes that of its partition. The answer is the worker's.
func (c *Client) SetOffsets(ctx context.Context, name string, entries []herder.OffsetEntry) (string, error) {
	var out said
	_, err := c.do(ctx, http.MethodPatch, path("connectors", name, "offsets"), offsetList{entries}, &out)
	return out.Message, err
}

// ResetOffsets removes all offsets of a stopped connector. The answer is the worker's.
func (c *Client) ResetOffsets(ctx context.Context, name string) (string, error) {
	var out said
	_, err := c.do(ctx, http.MethodDelete, path("connectors", name, "offsets"), nil, &out)
	return out.Message, err
}

// Plugins lists what the worker can run.
func (c *Client) Plugins(ctx context.Context, connectorsOnly bool) (out []herder.Plugin, err error) {
	_, err = c.do(ctx, http.MethodGet, query("/connector-plugins", "connectorsOnly", connectorsOnly), nil, &out)
	return out, err
}

// Validate lets the worker check a configuration; live connections are part of it.
func (c *Client) Validate(ctx context.Context, class string, config connectors.Config) (out herder.Validation, err error) {
	_, err = c.do(ctx, http.MethodPut, path("connector-plugins", class, "config", "validate"), config, &out)
	return out, err
}

// ParseOffsets reads {"offsets":[…]} as GET and PATCH …/offsets have it, or the list alone.
func ParseOffsets(text []byte) ([]herder.OffsetEntry, error) {
	var list offsetList
	if err := json.Unmarshal(text, &list); err == nil {
		return list.Offsets, nil
	}
	err := json.Unmarshal(text, &list.Offsets)
	return list.Offsets, err
}
