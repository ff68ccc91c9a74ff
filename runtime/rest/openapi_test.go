package rest

import (
	"bytes"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"

	player "github.com/freshet-io/freshet/testbed/rest"
)

const description = "../../docs/openapi.yaml"

// TestDescriptionIsComplete compares the paths and methods of the description with those that are served.
func TestDescriptionIsComplete(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(description)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	var described, served []string
	for path, methods := range d.Paths {
		segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
		for i, s := range segments {
			if strings.HasPrefix(s, "{") {
				segments[i] = "{}"
			}
		}
		for m := range methods {
			if m != "parameters" {
				described = append(described, strings.ToUpper(m)+" "+strings.Join(segments, "/"))
			}
		}
	}
	for _, e := range endpoints {
		for m := range e.methods {
			served = append(served, m+" "+e.path)
		}
	}
	slices.Sort(described)
	slices.Sort(served)
	if !slices.Equal(described, served) {
		t.Errorf("described %q\nserved    %q", described, served)
	}
}

// locked is a buffer for a logger.
type locked struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

// TestFuzz sends ten thousand random requests.
func TestFuzz(t *testing.T) {
	t.Parallel()
	var log locked
	f := newFake()
	s := serve(t, f, configure(t, nil, nil), Options{Levels: f.levels, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	player.Fuzz(t, description, s.URL, 10000, 1, func(_, path, message string) bool {
		// The reference's own: a validation without a class is 500.
		return strings.HasSuffix(path, "/validate") && strings.HasSuffix(message, "contains no connector type")
	})
	log.mu.Lock()
	defer log.mu.Unlock()
	if log.Len() > 0 {
		t.Errorf("logged: %.2000s", log.String())
	}
}
