package plugins

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A plugin.path as a worker in Java has it, with plugins of this worker in it.
func TestDiscover(t *testing.T) {
	t.Parallel()
	path, alone := t.TempDir(), t.TempDir()
	folder(t, alone, text(t, with("name", "alone")))
	folder(t, filepath.Join(path, "nats-2"), text(t, with("version", "2.0")))
	folder(t, filepath.Join(path, "nats-1"), text(t, good()))
	folder(t, filepath.Join(path, "broken"), "{")
	folder(t, filepath.Join(path, "debezium-connector-postgres", "nested"), text(t, good())) // too deep
	write(t, filepath.Join(path, "debezium-connector-postgres", "postgresql.jar"), "PK", 0o644)
	write(t, filepath.Join(path, "confluent", "manifest.json"), "{}", 0o644)
	write(t, filepath.Join(path, "connect-file.jar"), "PK", 0o644)
	jar := filepath.Join(alone, "other.jar")
	write(t, jar, "PK", 0o644)
	if err := os.Symlink(alone, filepath.Join(path, "again")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(path, "nowhere"), filepath.Join(path, "dangling")); err != nil {
		t.Fatal(err)
	}
	found, problems := Discover([]string{" " + alone, path, jar, "", path, filepath.Join(path, "gone")})
	var names []string
	for _, p := range found {
		names = append(names, p.Name+" "+p.Manifest.Version)
	}
	if want := []string{"alone 1.4.0", "nats 1.4.0", "nats 2.0"}; !slices.Equal(names, want) {
		t.Errorf("found %q, want %q", names, want)
	}
	var u *Unusable
	if len(problems) != 2 || !errors.As(problems[0], &u) || u.Dir != filepath.Join(path, "broken") ||
		!errors.Is(problems[1], os.ErrNotExist) || !strings.Contains(problems[1].Error(), "plugin.path") {
		t.Errorf("problems %v", problems)
	}
}

func TestManifestThatIsNoFile(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	if err := os.MkdirAll(filepath.Join(path, "odd", ManifestFile), 0o755); err != nil {
		t.Fatal(err)
	}
	found, problems := Discover([]string{path})
	if len(found) != 0 || len(problems) != 1 || !strings.Contains(problems[0].Error(), "not a regular file") {
		t.Errorf("found %v, problems %v", found, problems)
	}
}
