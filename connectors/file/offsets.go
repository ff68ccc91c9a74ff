package file

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// The reference's texts.
//
//nolint:staticcheck // their case is the reference's
var (
	errNoFile        = errors.New("Offsets cannot be modified if the 'file' configuration is unspecified. This is because stdin is used for input and offsets are not tracked.")
	errNoPosition    = errors.New("Offset objects should either be null or contain the key 'position'")
	errPositionType  = errors.New("The value for the 'position' key in the offset is expected to be a Long value")
	errPositionBelow = errors.New("The value for the 'position' key in the offset should be a non-negative value")
	errNoPartition   = errors.New("Partition objects cannot be null")
	errNoFilename    = errors.New("Partition objects should contain the key 'filename'")
)

// CheckOffsets implements connectors.OffsetChecker.
func (f Sources) CheckOffsets(c connectors.Config, entries []offsets.Entry) error {
	if strings.TrimSpace(c["file"]) == "" {
		return errNoFile
	}
	for _, e := range entries {
		if e.Offset == "" {
			continue // any partition may be deleted
		}
		if err := checkPosition(e.Offset); err != nil {
			return err
		}
		var partition map[string]json.RawMessage
		if err := json.Unmarshal([]byte(e.Partition), &partition); err != nil || partition == nil {
			return errNoPartition
		}
		if _, ok := partition["filename"]; !ok {
			return errNoFilename
		}
	}
	return nil
}

func checkPosition(o offsets.Offset) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(o), &members); err != nil {
		return errNoPosition
	}
	text, ok := members["position"]
	if !ok {
		return errNoPosition
	}
	switch n, err := strconv.ParseInt(string(text), 10, 64); {
	case err != nil:
		return errPositionType
	case n < 0:
		return errPositionBelow
	}
	return nil
}
