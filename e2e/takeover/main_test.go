// Package takeover hands a whole cluster of Kafka Connect to Freshet and back, on its own topics and its own properties.
package takeover

import (
	"os"
	"testing"

	"github.com/freshet-io/freshet/testbed"
)

var bed testbed.Bed

func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }
