package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// outputPlugin is the logical decoding plugin that this connector reads.
const outputPlugin = "pgoutput"

// slotInfo is a replication slot as the server has it (pg_replication_slots).
type slotInfo struct {
	plugin, kind, database string
	active                 bool
	pid                    int32
	application            string // application_name of who uses it; "" when not visible
	confirmed              uint64 // confirmed_flush_lsn
	walStatus              string // "lost": the WAL it needs is gone
	invalidation           string // reason (PostgreSQL 17), "" when valid
}

const slotSQL = `SELECT coalesce(s.plugin::text, ''), s.slot_type, coalesce(s.database::text, ''), s.active, coalesce(s.active_pid, 0), coalesce(a.application_name, ''),
  coalesce(s.confirmed_flush_lsn::text, '0/0'), coalesce(to_jsonb(s)->>'wal_status', ''), coalesce(to_jsonb(s)->>'invalidation_reason', '')
FROM pg_replication_slots s LEFT JOIN pg_stat_activity a ON a.pid = s.active_pid WHERE s.slot_name = $1`

// readSlot returns the slot, nil when it does not exist.
func readSlot(ctx context.Context, db querier, name string) (*slotInfo, error) {
	rows, err := db.Query(ctx, slotSQL, name)
	if err != nil {
		return nil, fmt.Errorf("read replication slot %s: %w", name, err)
	}
	s, err := pgx.CollectOneRow(rows, func(row pgx.CollectableRow) (*slotInfo, error) {
		s, lsn := &slotInfo{}, ""
		err := row.Scan(&s.plugin, &s.kind, &s.database, &s.active, &s.pid, &s.application, &lsn, &s.walStatus, &s.invalidation)
		if err != nil {
			return nil, err
		}
		s.confirmed, err = parseLSN(lsn)
		return s, err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read replication slot %s: %w", name, err)
	}
	return s, nil
}

// usable tells what makes the slot useless for this connector for ever; "" when nothing does.
func (s *slotInfo) usable(name, database string) string {
	switch {
	case s.kind != "logical":
		return fmt.Sprintf("replication slot %s is a %s slot; choose another slot.name or drop it", name, s.kind)
	case s.plugin != outputPlugin:
		return fmt.Sprintf("replication slot %s was made for the output plugin %s, not %s; choose another slot.name or drop it", name, s.plugin, outputPlugin)
	case s.database != database:
		return fmt.Sprintf("replication slot %s belongs to database %s, not %s; choose another slot.name", name, s.database, database)
	}
	return ""
}

// lost tells why the slot no longer holds the WAL it should; "" when it does.
func (s *slotInfo) lost() string {
	switch {
	case s.invalidation != "":
		return s.invalidation
	case s.walStatus == "lost":
		return "wal_status is lost"
	}
	return ""
}

// createdSlot is the answer to CREATE_REPLICATION_SLOT.
type createdSlot struct {
	consistent uint64 // every transaction that commits behind it is streamed, every other one is in the snapshot
	snapshot   string // name of the exported snapshot, valid until the next command on the connection
}

// createSlot makes a logical slot over a replication connection. It waits until the transactions that are running have
// ended; ctx bounds that. A temporary slot lives as long as the connection.
func createSlot(ctx context.Context, pc *pgconn.PgConn, name string, version int, temporary, export, failover bool) (createdSlot, error) {
	sql := "CREATE_REPLICATION_SLOT " + pgx.Identifier{name}.Sanitize()
	if temporary {
		sql += " TEMPORARY"
	}
	sql += " LOGICAL " + outputPlugin
	switch {
	case version >= 150000:
		options := []string{"SNAPSHOT 'nothing'"}
		if export {
			options[0] = "SNAPSHOT 'export'"
		}
		if failover && version >= 170000 {
			options = append(options, "FAILOVER true")
		}
		sql += " (" + strings.Join(options, ", ") + ")"
	case export:
		sql += " EXPORT_SNAPSHOT"
	default:
		sql += " NOEXPORT_SNAPSHOT"
	}
	results, err := pc.Exec(ctx, sql).ReadAll()
	if err != nil {
		return createdSlot{}, slotCreationError(name, err)
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) < 3 {
		return createdSlot{}, fmt.Errorf("create replication slot %s: the server's answer cannot be read", name)
	}
	row := results[0].Rows[0]
	lsn, err := parseLSN(string(row[1]))
	if err != nil {
		return createdSlot{}, fmt.Errorf("create replication slot %s: %w", name, err)
	}
	return createdSlot{consistent: lsn, snapshot: string(row[2])}, nil
}

func slotCreationError(name string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err):
		hint = " (the server waits for running transactions to end: look for old ones in pg_stat_activity and pg_prepared_xacts)"
	case sqlState(err) == "53400":
		hint = " (all slots are in use: drop unused ones, or raise max_replication_slots)"
	case sqlState(err) == "42501":
		hint = " (the user needs the REPLICATION attribute)"
	}
	return fmt.Errorf("create replication slot %s%s: %w", name, hint, err)
}

// dropSlot drops the slot; one that is gone is no error. A walsender that was just disconnected may hold it for a moment more.
func dropSlot(ctx context.Context, db querier, name string) error {
	for left := stopPatience; ; left -= firstPause {
		rows, err := db.Query(ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1", name)
		if err == nil {
			rows.Close()
			err = rows.Err()
		}
		if err == nil {
			return nil
		}
		if sqlState(err) != "55006" || left <= 0 || wait(ctx, firstPause) != nil {
			return fmt.Errorf("drop replication slot %s: %w", name, err)
		}
	}
}

// server is what IDENTIFY_SYSTEM and TIMELINE_HISTORY tell.
type server struct {
	system   string
	timeline uint32
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
	s := server{system: sys.SystemID, timeline: uint32(sys.Timeline)}
	if s.timeline > 1 {
		h, err := pglogrepl.TimelineHistory(ctx, pc, sys.Timeline)
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

// continues tells what is wrong with going on at lsn when it was reached on the server that id names; "" when nothing is.
func (s *server) continues(id identity, lsn uint64) string {
	if id.System != "" && id.System != s.system {
		return fmt.Sprintf("the stored offset belongs to the database system %s, but this server is %s: its log positions mean something else; "+
			"reset the connector's offsets and take a new snapshot, or connect to the former server", id.System, s.system)
	}
	if id.Timeline == 0 || id.Timeline == s.timeline {
		return ""
	}
	for _, w := range s.switches {
		if w.timeline == id.Timeline && lsn <= w.end {
			return ""
		}
		if w.timeline == id.Timeline {
			return fmt.Sprintf("the stored offset %s lies %d bytes behind the point %s at which this server left timeline %d: "+
				"the server was promoted without the last commits that were delivered; compare the targets, then reset the connector's offsets and take a new snapshot",
				pglogrepl.LSN(lsn), lsn-w.end, pglogrepl.LSN(w.end), w.timeline)
		}
	}
	return fmt.Sprintf("the stored offset was reached on timeline %d, which is not in the history of this server's timeline %d: "+
		"reset the connector's offsets and take a new snapshot", id.Timeline, s.timeline)
}

func parseLSN(text string) (uint64, error) {
	lsn, err := pglogrepl.ParseLSN(text)
	if err != nil {
		return 0, fmt.Errorf("parse log position %q: %w", text, err)
	}
	return uint64(lsn), nil
}

// sqlState is the SQLSTATE of a server error, "" for any other.
func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
