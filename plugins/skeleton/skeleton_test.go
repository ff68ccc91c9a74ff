package skeleton_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/plugins/skeleton"
)

func write(t *testing.T, o skeleton.Options) string {
	t.Helper()
	o.Dir, o.Sources = filepath.Join(t.TempDir(), "plugin"), filepath.Join("..", "..")
	files, err := skeleton.Write(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(o.Dir, f))
		if err != nil {
			t.Error(err)
		}
		if strings.Contains(string(text), "{{"+".") || strings.Contains(string(text), "<no value>") {
			t.Errorf("%s has a part that was not filled in", f)
		}
	}
	return o.Dir
}

// What is written in Go compiles, of both kinds and of each alone. That it works, in both languages, is what e2e/plugins/tutorial checks.
func TestGo(t *testing.T) {
	for _, o := range []skeleton.Options{{Source: true, Sink: true}, {Source: true}, {Sink: true}} {
		o.Name, o.Language = "acme-bets", "go"
		c := exec.Command("go", "vet", "./...")
		c.Dir = write(t, o)
		c.Env = append(os.Environ(), "GOPROXY=off")
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%+v: %v\n%s", o, err, out)
		}
	}
}

func TestPython(t *testing.T) {
	dir := write(t, skeleton.Options{Name: "acme-bets", Language: "python", Sink: true})
	text, err := os.ReadFile(filepath.Join(dir, "plugin.py"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "from sink import AcmeBetsSink\n") || !strings.Contains(string(text), "serve(AcmeBetsSink)\n") || strings.Contains(string(text), "source") {
		t.Errorf("a sink alone is served as\n%s", text)
	}
	if _, err := os.Stat(filepath.Join(dir, "test_source.py")); err == nil {
		t.Error("there is a test of a source")
	}
}

func TestRefuses(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]skeleton.Options{
		"a name of small letters":         {Name: "Acme Bets", Language: "go", Version: "v1.0.0"},
		"is not one of go, python":        {Name: "acme", Language: "rust", Version: "v1.0.0"},
		"is not a release":                {Name: "acme", Language: "go", Version: "devel"},
		"does not have Freshet's sources": {Name: "acme", Language: "go", Sources: full},
		"is not empty":                    {Name: "acme", Language: "go", Version: "v1.0.0", Dir: full},
	} {
		if _, err := skeleton.Write(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
}
