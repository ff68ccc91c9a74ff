package changes

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// Bounds of the record of progress.
const (
	smallRecord  = 4 << 10 // bytes; a larger one is written once in recordPause
	recordPause  = time.Second
	largestBytes = 256 << 10 // a larger one is not written: more is read again then
)

// SnapshotProgress is what of a snapshot is durable, in an entry of its own beside the plain offset. It is true together with that
// offset only: with another one there, somebody else has begun a snapshot since.
type SnapshotProgress struct {
	Offset string        `json:"offset"` // the plain offset it belongs to
	Config string        `json:"config"` // RowsDigest
	Tables []string      `json:"-"`      // PlannedTable.Name of those read to the end
	Parts  []PartialRead `json:"-"`
}

// PartialRead is what was read of a table that is cut by its key.
type PartialRead struct {
	Table  string     `json:"table"` // PlannedTable.Name
	Column string     `json:"column"`
	Type   string     `json:"type"`
	Done   []KeyRange `json:"done"`
}

// snapshotRecord is progress as it is stored: an offset is a flat object, so that what was read is a text.
type snapshotRecord struct {
	SnapshotProgress
	Read string `json:"read"` // a JSON object: readRecord
}

type readRecord struct {
	Tables []string      `json:"tables"`
	Parts  []PartialRead `json:"parts,omitempty"`
}

// Encode makes the offset that ParseSnapshotProgress reads.
func (p *SnapshotProgress) Encode() (offsets.Offset, error) {
	read, err := json.Marshal(readRecord{p.Tables, p.Parts})
	if err != nil {
		return "", fmt.Errorf("encode the progress of the snapshot: %w", err)
	}
	text, err := json.Marshal(snapshotRecord{*p, string(read)})
	if err != nil {
		return "", fmt.Errorf("encode the progress of the snapshot: %w", err)
	}
	return offsets.Offset(text), nil
}

// ParseSnapshotProgress reads what Encode made.
func ParseSnapshotProgress(o offsets.Offset) (*SnapshotProgress, error) {
	var r snapshotRecord
	var read readRecord
	err := json.Unmarshal([]byte(o), &r)
	if err == nil {
		err = json.Unmarshal([]byte(r.Read), &read)
	}
	if err != nil {
		return nil, fmt.Errorf("parse the progress of the snapshot %s: %w", o, err)
	}
	r.Tables, r.Parts = read.Tables, read.Parts
	return &r.SnapshotProgress, nil
}

// SnapshotPartition is the partition under which progress is stored.
func SnapshotPartition(plain offsets.Partition) (offsets.Partition, error) {
	return offsets.Canonical([]byte(string(plain[:len(plain)-1]) + `,"freshet":"snapshot"}`))
}

// RowsDigest tells whether two configurations make the same rows of a table.
func RowsDigest(c connectors.Config) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if strings.HasPrefix(name, "column.") || name == "message.key.columns" || strings.HasPrefix(name, "snapshot.select.statement.overrides") {
			fmt.Fprintf(h, "%q=%q\n", name, c[name])
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// FindSnapshotProgress looks among stored entries for the progress that belongs to the plain offset; nil: none.
func FindSnapshotProgress(entries []offsets.Entry, p offsets.Partition, plain string) (*SnapshotProgress, error) {
	for _, e := range entries {
		if e.Partition != p || e.Offset == "" {
			continue
		}
		if found, err := ParseSnapshotProgress(e.Offset); err != nil || found.Offset == plain {
			return found, err
		}
	}
	return nil, nil
}

// Usable tells that rows of the same configuration (RowsDigest) were read.
func (p *SnapshotProgress) Usable(digest string) bool {
	return p != nil && p.Config == digest && len(p.Tables)+len(p.Parts) > 0
}

// SnapshotNotes makes the entries of progress.
type SnapshotNotes struct {
	Partition offsets.Partition // SnapshotPartition
	Config    string            // RowsDigest
	Stored    bool              // an attempt before has stored progress

	last offsets.Offset // noted last
	at   time.Time
}

// Note returns the entry to be stored with a batch whose offset is o, none when it says nothing new or has to wait.
func (n *SnapshotNotes) Note(o offsets.Offset, read SnapshotProgress) ([]offsets.Entry, error) {
	if len(n.last) > smallRecord && time.Since(n.at) < recordPause {
		return nil, nil
	}
	read.Offset, read.Config = string(o), n.Config
	offset, err := read.Encode()
	if err != nil || offset == n.last || len(offset) > largestBytes {
		return nil, err
	}
	n.last, n.at = offset, time.Now()
	return []offsets.Entry{{Partition: n.Partition, Offset: offset}}, nil
}

// End returns the entry that removes progress, when there is some.
func (n *SnapshotNotes) End() []offsets.Entry {
	if n.last == "" && !n.Stored {
		return nil
	}
	return []offsets.Entry{{Partition: n.Partition}}
}
