package plugins_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/freshet-io/freshet/connectors/file"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/json"
	text "github.com/freshet-io/freshet/converters/string"
	"github.com/freshet-io/freshet/plugins/plugintest"
)

var (
	fileSource = file.Sources{Version: "1"}
	fileSink   = file.Sinks{Version: "1", Converters: converters.Set{json.Kind(), text.Kind()}}
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == faultyArgument {
		misbehave(os.Args[2])
		os.Exit(0)
	}
	if len(os.Args) == 3 && os.Args[1] == middleArgument {
		work(os.Args[2])
		os.Exit(1)
	}
	if plugintest.Serve(fileSource, fileSink, endlessSource{}, nullSink{}) {
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}
