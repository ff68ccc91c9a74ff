// Package faults runs freshet in rounds: a known load, faults at random moments, then a comparison of what was read with what was
// written. A round is made from its seed alone; FRESHET_FAULTS_SEED runs one again, FRESHET_FAULTS_ROUNDS says how many.
package faults

import (
	"os"
	"testing"

	"github.com/freshet-io/freshet/testbed"
)

var bed testbed.Bed

func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }
