// Package cluster runs workers as processes that share connectors, over Kafka's group protocol and the REST API: in rounds of faults
// under a known load (TestClusterFaults), and with many connectors (TestScale).
package cluster

import (
	"os"
	"testing"

	"github.com/freshet-io/freshet/testbed"
)

var bed testbed.Bed

func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }
