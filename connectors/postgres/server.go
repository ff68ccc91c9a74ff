package postgres

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet-io/freshet/connectors"
)

// server is what IDENTIFY_SYSTEM and TIMELINE_HISTORY tell.
type server struct {
	system   string
	timeline uint32
	end      uint64           // of its log, when it was asked
	switches []timelineSwitch // older timelines, oldest first
}

// timelineSwitch says where a timeline ended.
type timelineSwitch struct {
	timeline uint32
	end      uint64
}

// identify asks a replication connection which server this is.
func identify(ctx context.Context, pc *pgconn.PgConn) (server, error) {
	sys, err := pglogrepl.IdentifySystem(ctx, pc)
	if err != nil {
		return server{}, fmt.Errorf("identify the server: %w", err)
	}
	s := server{system: sys.SystemID, timeline: uint32(sys.Timeline), end: uint64(sys.XLogPos)}
	if s.timeline > 1 {
		h, err := pglogrepl.TimelineHistory(ctx, pc, sys.Timeline)
		if sqlState(err) == "58P01" { // undefined_file
			return server{}, connectors.AsPermanent(fmt.Errorf("read the history of timeline %d: the server does not have the file pg_wal/%08X.history, "+
				"without which nobody can tell whether it has every commit that was delivered; copy the file from the log archive or from another server of the cluster: %w", s.timeline, s.timeline, err))
		}
		if err != nil {
			return server{}, fmt.Errorf("read the history of timeline %d: %w", s.timeline, err)
		}
		if s.switches, err = parseHistory(string(h.Content)); err != nil {
			return server{}, fmt.Errorf("read the history of timeline %d: %w", s.timeline, err)
		}
	}
	return s, nil
}

// parseHistory reads a timeline history file: one line per older timeline, its number, its end and a remark.
func parseHistory(text string) ([]timelineSwitch, error) {
	var out []timelineSwitch
	for _, line := range strings.Split(text, "\n") {
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		n, err := strconv.ParseUint(fields[0], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		end, err := parseLSN(fields[1])
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		out = append(out, timelineSwitch{uint32(n), end})
	}
	return out, nil
}

// epoch is the timeline on which a commit at lsn happened: one below a switch point keeps the older number.
func (s *server) epoch(lsn uint64) uint32 {
	for _, w := range s.switches {
		if lsn < w.end {
			return w.timeline
		}
	}
	return s.timeline
}

// left is where the server's history left a timeline: a commit record that begins there or behind is not in its log. It is
// beyond every position for the server's own timeline, and for an unknown one.
func (s *server) left(timeline uint32) uint64 {
	for _, w := range s.switches {
		if w.timeline == timeline {
			return w.end
		}
	}
	return math.MaxUint64
}

// foreign tells why no position that was reached on the server that id names means anything here; "" when it does.
func (s *server) foreign(id identity) string {
	if id.System != "" && id.System != s.system {
		return fmt.Sprintf("the stored offset belongs to the database system %s, but this server is %s: its log positions mean something else; "+
			"connect to the former server, or %s", id.System, s.system, resync)
	}
	if id.Timeline != 0 && id.Timeline != s.timeline && s.left(id.Timeline) == math.MaxUint64 {
		return fmt.Sprintf("the stored offset was reached on timeline %d, which is not in the history of this server's timeline %d: "+
			"the server was promoted or restored from an earlier state, or it is a former primary; connect to the present primary, or %s", id.Timeline, s.timeline, resync)
	}
	return ""
}

// resync is what brings the targets and the server together again.
const resync = "take a new snapshot: start once with snapshot.mode=when_needed, for table sinks after emptying the target's tables, " +
	"since rows that the server no longer has would stay there"

func parseLSN(text string) (uint64, error) {
	lsn, err := pglogrepl.ParseLSN(text)
	if err != nil {
		return 0, fmt.Errorf("parse log position %q: %w", text, err)
	}
	return uint64(lsn), nil
}
