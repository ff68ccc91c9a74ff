// Package e2e holds the tests that span packages: they run the freshet program against real servers and read what it says.
package e2e

import (
	"os"
	"testing"

	"github.com/freshet-io/freshet/testbed"
)

var bed testbed.Bed

func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }
