package ddl

import (
	"os"
	"testing"

	"github.com/freshet-io/freshet/testbed"
)

var bed testbed.Bed

func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }
