package rest

import (
	"context"
	"net/http"
	"strings"
)

type handler func(ctx context.Context, r *request) (answer, error)

// endpoint is a path, {} standing for a variable, and its methods. signed are those that only workers call, with a signature
// instead of a password; reads tells that it looks at the content type.
type endpoint struct {
	path    string
	methods map[string]handler
	signed  map[string]bool
	reads   bool
	admin   bool
}

var endpoints = []endpoint{
	{path: "", methods: map[string]handler{"GET": root}},
	{path: "health", methods: map[string]handler{"GET": health}},
	{path: "connectors", reads: true, methods: map[string]handler{"GET": list, "POST": create}},
	{path: "connectors/{}", reads: true, methods: map[string]handler{"GET": info, "DELETE": remove}},
	{path: "connectors/{}/config", reads: true, methods: map[string]handler{"GET": config, "PUT": put, "PATCH": patch}},
	{path: "connectors/{}/status", reads: true, methods: map[string]handler{"GET": status}},
	{path: "connectors/{}/restart", reads: true, methods: map[string]handler{"POST": restart}},
	{path: "connectors/{}/pause", reads: true, methods: map[string]handler{"PUT": pause}},
	{path: "connectors/{}/resume", reads: true, methods: map[string]handler{"PUT": resume}},
	{path: "connectors/{}/stop", reads: true, methods: map[string]handler{"PUT": stop}},
	{path: "connectors/{}/tasks", reads: true, methods: map[string]handler{"GET": tasks, "POST": putTasks}, signed: map[string]bool{"POST": true}},
	{path: "connectors/{}/tasks/{}/status", reads: true, methods: map[string]handler{"GET": taskStatus}},
	{path: "connectors/{}/tasks/{}/restart", reads: true, methods: map[string]handler{"POST": restartTask}},
	{path: "connectors/{}/topics", reads: true, methods: map[string]handler{"GET": topics}},
	{path: "connectors/{}/topics/reset", reads: true, methods: map[string]handler{"PUT": resetTopics}},
	{path: "connectors/{}/offsets", reads: true, methods: map[string]handler{"GET": offsets, "PATCH": alterOffsets, "DELETE": resetOffsets}},
	{path: "connectors/{}/fence", reads: true, methods: map[string]handler{"PUT": fence}, signed: map[string]bool{"PUT": true}},
	{path: "connector-plugins", reads: true, methods: map[string]handler{"GET": plugins}},
	{path: "connector-plugins/{}/config", reads: true, methods: map[string]handler{"GET": pluginConfig}},
	{path: "connector-plugins/{}/config/validate", reads: true, methods: map[string]handler{"PUT": validate}},
	{path: "admin/loggers", reads: true, admin: true, methods: map[string]handler{"GET": loggers}},
	{path: "admin/loggers/{}", reads: true, admin: true, methods: map[string]handler{"GET": logger, "PUT": setLogger}},
}

// find returns the endpoint of a path and what its variables stand for; nil when there is none.
func find(segments []string, main, admin bool) (*endpoint, []string) {
	for _, e := range endpoints {
		if e.admin && !admin || !e.admin && !main {
			continue
		}
		if names, ok := e.match(segments); ok {
			return &e, names
		}
	}
	return nil, nil
}

func (e *endpoint) match(segments []string) (names []string, ok bool) {
	if e.path == "" {
		return nil, len(segments) == 0
	}
	want := strings.Split(e.path, "/")
	if len(want) != len(segments) {
		return nil, false
	}
	for i, w := range want {
		if w == "{}" {
			names = append(names, segments[i])
		} else if w != segments[i] {
			return nil, false
		}
	}
	return names, true
}

// flag is a query parameter as Java reads a Boolean: true in any case, else false.
func (r *request) flag(name string) bool { return strings.EqualFold(r.query.Get(name), "true") }

func root(_ context.Context, r *request) (answer, error) {
	return answer{status: http.StatusOK, body: struct {
		Version string `json:"version"`
		Commit  string `json:"commit"`
		Cluster string `json:"kafka_cluster_id"`
	}{r.api.options.Version, r.api.options.Commit, r.api.herder.ClusterID()}}, nil
}

func health(ctx context.Context, r *request) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	state, text := r.api.herder.Health(ctx)
	code := http.StatusInternalServerError
	switch state {
	case "healthy":
		code = http.StatusOK
	case "starting":
		code = http.StatusServiceUnavailable
	}
	return answer{status: code, body: struct {
		Status  string `json:"status"`
		Message string `json:"message"`
	}{state, text}}, nil
}
