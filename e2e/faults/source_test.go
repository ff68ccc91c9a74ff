package faults

import (
	"testing"

	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/testbed/history"
)

// source is a database server that rounds read from. It stays up over the rounds.
type source interface {
	address() string
	newDatabase(t *testing.T) string
	history(database string) history.Database
	// connector are the keys of a connector that reads the round's tables. The caller sets where the server is.
	connector(r *round) map[string]string
	// schema is the topics' part between the prefix and the table.
	schema(r *round) string
	kill(r *round)
	restart(r *round)
	// endSessions ends the worker's sessions, as an administrator does.
	endSessions(r *round)
	// begin makes a fault that only this source knows and returns what mends it.
	begin(r *round, s step) (end func())
	// delivered waits until what was committed so far is delivered and, where the source is told so, confirmed.
	delivered(r *round)
	// left checks what a round leaves on the server.
	left(r *round)
	// place takes a place of the history out of a stored offset; an offset inside a snapshot has none.
	place(o offsets.Offset) (place uint64, known bool, err error)
	// forgotten is up to which place the server may have forgotten what it was read, 0 when it is not told.
	forgotten(r *round) uint64
	// rows is a table as id: seq and pad.
	rows(r *round, table string) map[int]string
}

// tables are those of a history.
func tables() []string { return []string{"a", "b"} }
