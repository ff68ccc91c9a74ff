// Package python_test runs connectors in Python, written with sdk/python, as a worker does.
package python_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/freshet-io/freshet/plugins"
	"github.com/freshet-io/freshet/testbed"
)

var bed testbed.Bed

func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }

// interpreter makes the virtual environment of the tests where it is not there, and returns its Python.
var interpreter = sync.OnceValues(func() (string, error) {
	root, err := testbed.Root()
	if err != nil {
		return "", err
	}
	out, err := exec.Command(filepath.Join(root, "sdk/python/venv")).Output()
	return strings.TrimSpace(string(out)), err
})

// python returns the interpreter, and a PYTHONPATH with the SDK and the examples.
func python(t testing.TB) (path, packages string) {
	t.Helper()
	path, err := interpreter()
	if err != nil {
		t.Fatalf("make the virtual environment: %v", err)
	}
	root, err := testbed.Root()
	if err != nil {
		t.Fatal(err)
	}
	return path, filepath.Join(root, "sdk/python/src") + ":" + filepath.Join(root, "examples/plugin-python")
}

// command starts testdata/plugin.py.
func command(t testing.TB, args ...string) *plugins.Command {
	t.Helper()
	path, packages := python(t)
	script, err := filepath.Abs("testdata/plugin.py")
	if err != nil {
		t.Fatal(err)
	}
	return &plugins.Command{
		Name: "python", Path: path, Args: append([]string{script}, args...), Socket: true,
		Environment: []string{"PYTHONPATH=" + packages, "PYTHONDONTWRITEBYTECODE=1"},
	}
}

// run runs a program in the interpreter and returns what it prints.
func run(t testing.TB, program string, args ...string) string {
	t.Helper()
	path, packages := python(t)
	cmd := exec.Command(path, append([]string{"-c", program}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+packages)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run Python: %v\n%s", err, err.(*exec.ExitError).Stderr) //nolint:errcheck,forcetypeassert,errorlint // of Output
	}
	return string(out)
}
