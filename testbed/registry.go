package testbed

import (
	"context"
	"fmt"
	"net/http"
	"testing"
)

// Registry is a schema registry with Confluent's interface. Its global compatibility is NONE. What it registered stays over Kill and Restart.
type Registry struct{ *server }

// Registry is the package's shared schema registry.
func (b *Bed) Registry(t testing.TB) *Registry {
	t.Helper()
	return share(t, b, "apicurio", startRegistry)
}

// StartRegistry starts a schema registry for this test alone.
func StartRegistry(t testing.TB) *Registry {
	t.Helper()
	return run(t, startRegistry)
}

const registryPath = "/apis/ccompat/v7"

func startRegistry(ctx context.Context, e *engine) (*Registry, error) {
	s, err := e.start(ctx, spec{
		server: "apicurio",
		inside: "8080/tcp",
		environment: func(string, int) map[string]string {
			return map[string]string{"QUARKUS_HTTP_HOST": "0.0.0.0", "APICURIO_DATASOURCE_URL": "jdbc:h2:file:/tmp/registry;WRITE_DELAY=0"}
		},
		ready: registryReady,
	})
	if err != nil {
		return nil, err
	}
	return &Registry{s}, nil
}

func registryReady(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+registryPath+"/subjects", http.NoBody)
	if err != nil {
		return fmt.Errorf("make a request: %w", err)
	}
	status, body, err := fetch(req)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d: %s", status, body)
	}
	return err
}

// URL is the value of schema.registry.url.
func (r *Registry) URL() string { return "http://" + r.Address() + registryPath }

// Kill ends the registry as kill -9 does.
func (r *Registry) Kill(t testing.TB) {
	t.Helper()
	if err := r.kill(t.Context()); err != nil {
		t.Fatalf("kill the registry: %v", err)
	}
}

// Restart starts a killed registry again, on the same port, and waits until it answers.
func (r *Registry) Restart(t testing.TB) {
	t.Helper()
	if err := r.restart(t.Context(), registryReady); err != nil {
		t.Fatalf("restart the registry: %v", err)
	}
}
