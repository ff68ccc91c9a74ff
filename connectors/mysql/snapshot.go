package mysql

import (
	"context"
	"errors"

	"github.com/freshet-io/freshet/connectors"
)

// snapshotKind is what a snapshot is for.
type snapshotKind uint8

const (
	snapshotRows     snapshotKind = iota // the schema and the rows
	snapshotSchema                       // the schema only: snapshot.mode=no_data
	snapshotRecovery                     // the schema only, as of the stored offset: snapshot.mode=recovery
)

// snapshot is not there yet: a source goes on from a stored offset.
type snapshot struct{}

var errNoSnapshot = connectors.AsPermanent(errors.New("this connector takes no snapshots yet: it goes on from a stored offset and its schema history"))

func newSnapshot(*source, snapshotKind) *snapshot { return &snapshot{} }

func (s *snapshot) resumes(context.Context, *position, identity) error { return errNoSnapshot }

func (s *snapshot) next(context.Context) (*connectors.Batch, error) { return nil, errNoSnapshot }

func (s *snapshot) close() {}
