// Package plugintest runs the connectors of a test in processes of their own: the test binary is the plugin, too.
package plugintest

import (
	"os"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/plugins"
)

// Serve serves connectors when the test binary was started as a plugin, and then returns true: there is nothing to test. TestMain calls
// it first.
func Serve(factories ...connectors.Factory) bool {
	if !plugins.Serving() {
		return false
	}
	plugins.Serve(factories...)
	return true
}

// Command starts the test binary as a plugin.
func Command(t testing.TB) *plugins.Command {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &plugins.Command{Name: "test", Path: path, Environment: os.Environ()}
}

// Source is f, with tasks in processes when process is true.
func Source(t testing.TB, f connectors.SourceFactory, process bool) connectors.SourceFactory {
	t.Helper()
	if !process {
		return f
	}
	return Command(t).IsolateSource(f)
}

// Sink is f, with tasks in processes when process is true.
func Sink(t testing.TB, f connectors.SinkFactory, process bool) connectors.SinkFactory {
	t.Helper()
	if !process {
		return f
	}
	return Command(t).IsolateSink(f)
}
