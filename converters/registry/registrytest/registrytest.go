// Package registrytest is a Schema Registry in memory for tests: registering, looking up and reading schemas, references, and
// refusals on demand. It knows nothing of compatibility.
package registrytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Registry answers like a Schema Registry.
type Registry struct {
	URL string

	mu       sync.Mutex
	schemas  []Schema         // by id - 1
	subjects map[string][]int // ids, by version - 1
	requests int
	// Before, when set, may answer a request itself.
	before func(w http.ResponseWriter, r *http.Request) (answered bool)
}

// Schema is one registered schema.
type Schema struct {
	ID         int         `json:"id,omitempty"`
	Subject    string      `json:"subject,omitempty"`
	Version    int         `json:"version,omitempty"`
	Text       string      `json:"schema"`
	Type       string      `json:"schemaType,omitempty"`
	References []Reference `json:"references,omitempty"`
}

// Reference names a schema that another one uses.
type Reference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

// New starts a registry that ends with the test.
func New(t testing.TB) *Registry {
	t.Helper()
	r := &Registry{subjects: map[string][]int{}}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	r.URL = s.URL
	return r
}

// Before sets what may answer requests in place of the registry; nil: nothing.
func (r *Registry) Before(f func(w http.ResponseWriter, r *http.Request) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before = f
}

// Requests is how many came so far.
func (r *Registry) Requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests
}

// Add registers a schema and returns its id.
func (r *Registry) Add(subject string, s Schema) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.add(subject, s)
}

// Subjects returns the texts of every subject's versions.
func (r *Registry) Subjects() map[string][]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string][]string{}
	for subject, ids := range r.subjects {
		for _, id := range ids {
			out[subject] = append(out[subject], r.schemas[id-1].Text)
		}
	}
	return out
}

func (r *Registry) add(subject string, s Schema) int {
	id := 0
	for i, have := range r.schemas {
		if have.Text == s.Text && have.Type == s.Type && fmt.Sprint(have.References) == fmt.Sprint(s.References) {
			id = i + 1
		}
	}
	if id == 0 {
		r.schemas = append(r.schemas, s)
		id = len(r.schemas)
	}
	for _, have := range r.subjects[subject] {
		if have == id {
			return id
		}
	}
	r.subjects[subject] = append(r.subjects[subject], id)
	return id
}

// ServeHTTP implements http.Handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	if r.before != nil && r.before(w, q) {
		return
	}
	parts := strings.Split(strings.Trim(q.URL.EscapedPath(), "/"), "/")
	for i := range parts {
		parts[i], _ = url.PathUnescape(parts[i]) // it was parsed before
	}
	switch {
	case len(parts) == 3 && parts[0] == "schemas":
		id, _ := strconv.Atoi(parts[2])
		if id < 1 || id > len(r.schemas) {
			refuse(w, 404, 40403, "Schema not found")
			return
		}
		answer(w, Schema{Text: r.schemas[id-1].Text, Type: r.schemas[id-1].Type, References: r.schemas[id-1].References})
	case len(parts) >= 2 && parts[0] == "subjects" && q.Method == http.MethodPost:
		var s Schema
		if err := json.NewDecoder(q.Body).Decode(&s); err != nil {
			refuse(w, 422, 42201, "Invalid schema")
			return
		}
		if len(parts) == 3 {
			answer(w, Schema{ID: r.add(parts[1], s)})
			return
		}
		r.find(w, parts[1], s)
	case len(parts) == 4 && parts[0] == "subjects":
		ids := r.subjects[parts[1]]
		n, err := strconv.Atoi(parts[3])
		if parts[3] == "latest" {
			n, err = len(ids), nil
		}
		if err != nil || n < 1 || n > len(ids) {
			refuse(w, 404, 40401, "Subject '"+parts[1]+"' not found.")
			return
		}
		s := r.schemas[ids[n-1]-1]
		s.ID, s.Version, s.Subject = ids[n-1], n, parts[1]
		answer(w, s)
	default:
		http.NotFound(w, q)
	}
}

func (r *Registry) find(w http.ResponseWriter, subject string, s Schema) {
	for i, id := range r.subjects[subject] {
		if r.schemas[id-1].Text == s.Text {
			s.ID, s.Version, s.Subject = id, i+1, subject
			answer(w, s)
			return
		}
	}
	refuse(w, 404, 40403, "Schema not found")
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	_ = json.NewEncoder(w).Encode(v) // a client that is gone
}

func refuse(w http.ResponseWriter, status, code int, message string) {
	w.WriteHeader(status)
	answer(w, map[string]any{"error_code": code, "message": message})
}
