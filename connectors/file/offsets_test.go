package file

import (
	"errors"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// TestCheckOffsets: texts of scenario 06 of the reference's REST transcripts.
func TestCheckOffsets(t *testing.T) {
	for _, c := range []struct {
		file, partition, offset string
		want                    error
	}{
		{"f", `{"filename":"f"}`, `{"position":6}`, nil},
		{"f", `{"filename":5}`, `{"position":6}`, nil},
		{"f", `{"filename":null}`, `{"position":6}`, nil},
		{"f", `{"other":"f"}`, ``, nil},
		{"", `{"filename":"f"}`, `{"position":6}`, errNoFile},
		{"f", ``, `{"position":6}`, errNoPartition},
		{"f", `{}`, `{"position":6}`, errNoFilename},
		{"f", `{"file":"x"}`, `{"position":6}`, errNoFilename},
		{"f", `{"filename":"f"}`, `{}`, errNoPosition},
		{"f", `{"filename":"f"}`, `{"pos":1}`, errNoPosition},
		{"f", `{"filename":"f"}`, `{"position":"1"}`, errPositionType},
		{"f", `{"filename":"f"}`, `{"position":1.5}`, errPositionType},
		{"f", `{"filename":"f"}`, `{"position":null}`, errPositionType},
		{"f", `{"filename":"f"}`, `{"position":-1}`, errPositionBelow},
	} {
		entries := []offsets.Entry{{Partition: offsets.Partition(c.partition), Offset: offsets.Offset(c.offset)}}
		if got := (Sources{}).CheckOffsets(connectors.Config{"file": c.file}, entries); !errors.Is(got, c.want) {
			t.Errorf("%+v: got %v", c, got)
		}
	}
	if err := (Sources{}).CheckOffsets(connectors.Config{}, nil); !errors.Is(err, errNoFile) {
		t.Errorf("reset: got %v", err)
	}
}
