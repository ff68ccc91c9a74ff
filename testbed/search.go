package testbed

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
)

// Search is an Elasticsearch or OpenSearch node over plain HTTP, without accounts. The built images lack what the servers' makers do
// not publish as libraries (testdata/images/README.md).
type Search struct{ *server }

// Elasticsearch is the package's shared Elasticsearch. Settings are as for StartElasticsearch; each set of them has a node.
func (b *Bed) Elasticsearch(t testing.TB, settings ...string) *Search {
	t.Helper()
	return share(t, b, "elasticsearch "+strings.Join(settings, " "), func(ctx context.Context, e *engine) (*Search, error) {
		return startSearch(ctx, e, "elasticsearch", settings)
	})
}

// OpenSearch is the package's shared OpenSearch. Settings are as for StartElasticsearch; each set of them has a node.
func (b *Bed) OpenSearch(t testing.TB, settings ...string) *Search {
	t.Helper()
	return share(t, b, "opensearch "+strings.Join(settings, " "), func(ctx context.Context, e *engine) (*Search, error) {
		return startSearch(ctx, e, "opensearch", settings)
	})
}

// StartElasticsearch starts an Elasticsearch for this test alone. Settings are the node's as name=value ("http.max_content_length=1mb").
func StartElasticsearch(t testing.TB, settings ...string) *Search {
	t.Helper()
	return run(t, func(ctx context.Context, e *engine) (*Search, error) {
		return startSearch(ctx, e, "elasticsearch", settings)
	})
}

// StartOpenSearch is StartElasticsearch for an OpenSearch.
func StartOpenSearch(t testing.TB, settings ...string) *Search {
	t.Helper()
	return run(t, func(ctx context.Context, e *engine) (*Search, error) {
		return startSearch(ctx, e, "opensearch", settings)
	})
}

func startSearch(ctx context.Context, e *engine, image string, settings []string) (*Search, error) {
	s, err := e.start(ctx, spec{
		server: image,
		inside: "9200/tcp",
		environment: func(string, int) map[string]string {
			out := map[string]string{"discovery.type": "single-node", "cluster.routing.allocation.disk.threshold_enabled": "false"}
			if image == "elasticsearch" {
				out["xpack.security.enabled"] = "false"
			} else {
				out["DISABLE_SECURITY_PLUGIN"], out["DISABLE_INSTALL_DEMO_CONFIG"] = "true", "true"
			}
			for _, kv := range settings {
				name, value, _ := strings.Cut(kv, "=")
				out[name] = value
			}
			return out
		},
		ready: searchReady,
	})
	if err != nil {
		return nil, err
	}
	return &Search{s}, nil
}

// Elasticsearch starts an Elasticsearch; settings as for StartElasticsearch. Its port is the engine's, not the host's own.
func (l *Local) Elasticsearch(ctx context.Context, settings ...string) (*Search, error) {
	s, err := startSearch(ctx, l.engine, "elasticsearch", settings)
	if err != nil {
		return nil, err
	}
	l.servers = append(l.servers, s)
	return s, nil
}

func searchReady(ctx context.Context, address string) error {
	status, body, err := searchDo(ctx, address, http.MethodGet, "/_cluster/health?wait_for_status=yellow&timeout=2s", "")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("health is %d: %s", status, body)
	}
	return err
}

func searchDo(ctx context.Context, address, method, path, body string) (int, string, error) {
	status, answer, err := call(ctx, method, "http://"+address+path, body)
	if err != nil {
		return 0, "", fmt.Errorf("%s %s: %w", method, path, err)
	}
	return status, answer, nil
}

// URL is what clients connect to.
func (s *Search) URL() string { return "http://" + s.Address() }

// Ask is Do for a program; no status is an error.
func (s *Search) Ask(ctx context.Context, method, path, body string) (int, string, error) {
	return searchDo(ctx, s.Address(), method, path, body)
}

// Do sends a request with a JSON body ("": none), fails the test unless the status is 2xx or 404, and returns status and body.
func (s *Search) Do(t testing.TB, method, path, body string) (int, string) {
	t.Helper()
	status, answer, err := searchDo(t.Context(), s.Address(), method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	if status/100 != 2 && status != http.StatusNotFound {
		t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	return status, answer
}

// Documents are the sources of an index by id, after a refresh; at most 10,000. None when there is no such index.
func (s *Search) Documents(t testing.TB, index string) map[string]json.RawMessage {
	t.Helper()
	if status, _ := s.Do(t, http.MethodPost, "/"+index+"/_refresh", ""); status == http.StatusNotFound {
		return nil
	}
	_, answer := s.Do(t, http.MethodPost, "/"+index+"/_search", `{"size":10000,"query":{"match_all":{}}}`)
	var found struct {
		Hits struct {
			Hits []struct {
				ID     string          `json:"_id"`
				Source json.RawMessage `json:"_source"`
			}
		}
	}
	if err := json.Unmarshal([]byte(answer), &found); err != nil {
		t.Fatalf("read the documents of %s: %v", index, err)
	}
	out := map[string]json.RawMessage{}
	for _, hit := range found.Hits.Hits {
		out[hit.ID] = hit.Source
	}
	return out
}

// NewPrefix is a name that no index has yet; indices that begin with it are deleted at the end of the test.
func (s *Search) NewPrefix(t testing.TB) string {
	t.Helper()
	prefix := fmt.Sprintf("t%08x", rand.Uint32())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), cleanUpWithin)
		defer cancel()
		_, list, err := searchDo(ctx, s.Address(), http.MethodGet, "/_cat/indices/"+prefix+"*?h=index", "")
		if err != nil {
			t.Errorf("clean up: %v", err)
		}
		for _, index := range strings.Fields(list) {
			if _, _, err := searchDo(ctx, s.Address(), http.MethodDelete, "/"+index, ""); err != nil {
				t.Errorf("clean up: %v", err)
			}
		}
	})
	return prefix
}

// Kill ends the node as kill -9 does. What it acknowledged stays.
func (s *Search) Kill(t testing.TB) {
	t.Helper()
	if err := s.kill(t.Context()); err != nil {
		t.Fatalf("kill the node: %v", err)
	}
}

// Restart starts a killed node again, on the same port, and waits until it answers.
func (s *Search) Restart(t testing.TB) {
	t.Helper()
	if err := s.restart(t.Context(), searchReady); err != nil {
		t.Fatalf("restart the node: %v", err)
	}
}
