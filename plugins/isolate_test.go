package plugins_test

import (
	"path/filepath"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/plugins/plugintest"
)

// A sink in a process keeps offsets exactly where it does in the worker: a file does not for the tasks of a sink connector.
func TestIsolatedSinkThatMayKeepOffsets(t *testing.T) {
	t.Parallel()
	config := connectors.Config{"file": filepath.Join(t.TempDir(), "out")}
	for _, shared := range []bool{false, true} {
		task, err := plugintest.Command(t).IsolateSink(fileSink).NewSink(config, connectors.Settings{Connector: "c", Shared: shared})
		if err != nil {
			t.Fatal(err)
		}
		if _, keeps := task.(connectors.OffsetKeeper); keeps == shared {
			t.Errorf("shared %t: keeps offsets %t", shared, keeps)
		}
	}
	if _, err := plugintest.Command(t).IsolateSink(fileSink).NewSink(connectors.Config{"file": "/x", "value.converter": "nonsense"}, connectors.Settings{}); err == nil {
		t.Error("a converter that is not there is found only when the task starts")
	}
}
