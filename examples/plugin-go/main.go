// Command plugin-go is a Freshet plugin with two connectors: a sink for NATS JetStream and a source that polls an HTTP endpoint.
package main

import (
	"github.com/freshet-io/freshet/examples/plugin-go/httppoll"
	"github.com/freshet-io/freshet/examples/plugin-go/jetstream"
	"github.com/freshet-io/freshet/plugins"
)

// version is set by the linker (make build).
var version = "0.1.0"

func main() {
	plugins.Serve(jetstream.Sinks{Version: version}, httppoll.Sources{Version: version})
}
