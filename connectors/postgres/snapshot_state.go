package postgres

import (
	"context"
	"fmt"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// resumes prepares the snapshot to go on after an attempt that ended at the stored position; without progress that belongs
// to it, the snapshot starts anew.
func (s *snapshot) resumes(ctx context.Context, stored *position, id identity) error {
	s.again = true
	if stored == nil || !id.own || !s.streaming {
		return nil
	}
	s.base, s.from = stored.lsn, id
	p, err := changes.SnapshotPartition(s.t.partition)
	if err != nil {
		return err
	}
	entries, err := s.t.session.Offsets(ctx, p)
	if err != nil {
		return fmt.Errorf("read the progress of the snapshot: %w", err)
	}
	found, err := changes.FindSnapshotProgress(entries, p, id.Offset)
	if err != nil {
		return connectors.AsPermanent(err)
	}
	if found.Usable(changes.RowsDigest(s.t.cfg.raw)) {
		s.begun = found
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
	var more []offsets.Entry
	var err error
	if s.pos.completed {
		more = s.notes.End()
	} else {
		more, err = s.notes.Note(o, s.plan.Progress())
	}
	return append(out, more...), err
}
