// Package sinks holds the tests in which one source feeds sinks of different kinds at once, while any part of it is killed.
package sinks

import (
	"os"
	"testing"

	"github.com/freshet-io/freshet/testbed"
)

var bed testbed.Bed

func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }
