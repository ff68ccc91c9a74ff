package postgres

import (
	"context"
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

// progress is what of a snapshot is durable, in an entry of its own beside the plain offset. It is true together with that
// offset only: with another one there, somebody else has begun a snapshot since.
type progress struct {
	Offset string        `json:"offset"` // the plain offset it belongs to
	Config string        `json:"config"` // digest of the keys that say what the rows are (rowsDigest)
	Tables []uint32      `json:"-"`      // oids of those read to the end
	Parts  []partialRead `json:"-"`
}

// record is progress as it is stored: an offset is a flat object, so that what was read is a text.
type record struct {
	progress
	Read string `json:"read"` // a JSON object: readRecord
}

type readRecord struct {
	Tables []uint32      `json:"tables"`
	Parts  []partialRead `json:"parts,omitempty"`
}

func (p *progress) encode() (offsets.Offset, error) {
	read, err := json.Marshal(readRecord{p.Tables, p.Parts})
	if err != nil {
		return "", fmt.Errorf("encode the progress of the snapshot: %w", err)
	}
	text, err := json.Marshal(record{*p, string(read)})
	if err != nil {
		return "", fmt.Errorf("encode the progress of the snapshot: %w", err)
	}
	return offsets.Offset(text), nil
}

func parseProgress(o offsets.Offset) (*progress, error) {
	var r record
	var read readRecord
	err := json.Unmarshal([]byte(o), &r)
	if err == nil {
		err = json.Unmarshal([]byte(r.Read), &read)
	}
	if err != nil {
		return nil, fmt.Errorf("parse the progress of the snapshot %s: %w", o, err)
	}
	r.Tables, r.Parts = read.Tables, read.Parts
	return &r.progress, nil
}

// partialRead is what was read of a table that is cut by its key.
type partialRead struct {
	OID    uint32     `json:"oid"`
	Column string     `json:"column"`
	Type   string     `json:"type"`
	Done   []keyRange `json:"done"`
}

// MarshalJSON writes a range as ["from","to"].
func (r keyRange) MarshalJSON() ([]byte, error) { return json.Marshal([2]string{r.from, r.to}) }

// UnmarshalJSON reads what MarshalJSON writes.
func (r *keyRange) UnmarshalJSON(text []byte) error {
	var pair [2]string
	if err := json.Unmarshal(text, &pair); err != nil {
		return err
	}
	r.from, r.to = pair[0], pair[1]
	return nil
}

// progressPartition is the partition under which progress is stored.
func progressPartition(plain offsets.Partition) (offsets.Partition, error) {
	return offsets.Canonical([]byte(string(plain[:len(plain)-1]) + `,"freshet":"snapshot"}`))
}

// rowsDigest tells whether two configurations make the same rows of a table.
func (cfg *config) rowsDigest() string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(cfg.raw)) {
		if strings.HasPrefix(name, "column.") || name == "message.key.columns" || strings.HasPrefix(name, "snapshot.select.statement.overrides") {
			fmt.Fprintf(h, "%q=%q\n", name, cfg.raw[name])
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// resumes prepares the snapshot to go on after an attempt that ended at the stored position; without progress that belongs
// to it, the snapshot starts anew.
func (s *snapshot) resumes(ctx context.Context, stored *position, id identity) error {
	s.again = true
	if stored == nil || !id.own || !s.streaming {
		return nil
	}
	s.base, s.from = stored.lsn, id
	p, err := progressPartition(s.t.partition)
	if err != nil {
		return err
	}
	entries, err := s.t.session.Offsets(ctx, p)
	if err != nil {
		return fmt.Errorf("read the progress of the snapshot: %w", err)
	}
	for _, e := range entries {
		if e.Partition != p || e.Offset == "" {
			continue
		}
		found, err := parseProgress(e.Offset)
		if err != nil {
			return connectors.AsPermanent(err)
		}
		if found.Offset == id.Offset && found.Config == s.t.cfg.rowsDigest() && len(found.Tables)+len(found.Parts) > 0 {
			s.begun = found
		}
	}
	return nil
}

// continues tells whether the slot still holds every change since the position of the attempt before, on the same server.
func (s *snapshot) continues(slot *slotInfo) bool {
	return s.begun != nil && slot.confirmed <= s.base && s.from.System == s.server.system && s.from.Timeline == s.server.timeline
}

// note returns the entries to be stored with a batch whose offset is o.
func (s *snapshot) note(o offsets.Offset) ([]offsets.Entry, error) {
	id := s.identity()
	out := []offsets.Entry{{Partition: s.t.state, Offset: id.offset(o)}}
	if !s.streaming {
		return out, nil // nothing would tell what changed between two attempts
	}
	if s.pos.completed {
		if s.noted != "" || s.begun != nil {
			out = append(out, offsets.Entry{Partition: s.state})
		}
		return out, nil
	}
	if len(s.noted) > smallRecord && time.Since(s.notedAt) < recordPause {
		return out, nil
	}
	read := s.plan.progress(string(o), s.digest)
	offset, err := read.encode()
	if err != nil {
		return nil, err
	}
	if offset != s.noted && len(offset) <= largestBytes {
		s.noted, s.notedAt = offset, time.Now()
		out = append(out, offsets.Entry{Partition: s.state, Offset: offset})
	}
	return out, nil
}

// progress is what was handed out to the end.
func (p *plan) progress(offset, config string) progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := progress{Offset: offset, Config: config, Tables: p.done}
	for _, t := range p.open {
		if len(t.done) > 0 {
			out.Parts = append(out.Parts, partialRead{OID: t.oid, Column: t.key.column, Type: t.key.kind, Done: t.done})
		}
	}
	out.Parts = append(out.Parts, p.before...) // of tables that have not been begun again
	return out
}

// resume leaves out what an attempt before has read.
func (p *plan) resume(begun *progress) {
	// A table that is not captured now may miss changes when it is captured again.
	captured := func(oid uint32) bool {
		return slices.ContainsFunc(p.tables, func(t snapshotTable) bool { return t.oid == oid })
	}
	p.done = slices.DeleteFunc(slices.Clone(begun.Tables), func(oid uint32) bool { return !captured(oid) })
	p.before = slices.DeleteFunc(slices.Clone(begun.Parts), func(r partialRead) bool { return !captured(r.OID) })
	p.tables = slices.DeleteFunc(p.tables, func(t snapshotTable) bool {
		read := slices.Contains(p.done, t.oid)
		if read {
			p.estimate -= max(t.rows, 0)
		}
		return read
	})
}

// readBefore returns what was read of a table before.
func (p *plan) readBefore(oid uint32) (out partialRead) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.IndexFunc(p.before, func(r partialRead) bool { return r.OID == oid }); i >= 0 {
		out = p.before[i]
	}
	return out
}
