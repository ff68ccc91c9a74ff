package postgres

import (
	"os"
	"testing"

	"github.com/freshet-io/freshet/plugins/plugintest"
	"github.com/freshet-io/freshet/testbed"
)

var bed testbed.Bed

func TestMain(m *testing.M) {
	if plugintest.Serve(Factory{}) {
		os.Exit(0)
	}
	os.Exit(bed.Main(m))
}
