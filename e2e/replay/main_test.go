// Package replay holds the test in which sinks are sent what they have had already, from earlier offsets, on purpose.
package replay

import (
	"os"
	"testing"

	"github.com/freshet-io/freshet/testbed"
)

var bed testbed.Bed

func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }
