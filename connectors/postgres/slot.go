package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

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
	failover               bool   // may be synchronised to standbys (PostgreSQL 17)
	awaiting               bool   // the server is a standby that only keeps the slot for its promotion
	walStatus              string // "lost": the WAL it needs is gone
	invalidation           string // reason (PostgreSQL 17), "" when valid
}

const slotSQL = `SELECT coalesce(s.plugin::text, ''), s.slot_type, coalesce(s.database::text, ''), s.active, coalesce(s.active_pid, 0), coalesce(a.application_name, ''),
  coalesce(s.confirmed_flush_lsn::text, '0/0'), coalesce(to_jsonb(s)->>'wal_status', ''), coalesce(to_jsonb(s)->>'invalidation_reason', ''),
  coalesce((to_jsonb(s)->>'failover')::boolean, false), pg_is_in_recovery() AND coalesce((to_jsonb(s)->>'synced')::boolean, false)
FROM pg_replication_slots s LEFT JOIN pg_stat_activity a ON a.pid = s.active_pid WHERE s.slot_name = $1`

// readSlot returns the slot, nil when it does not exist.
func readSlot(ctx context.Context, db querier, name string) (*slotInfo, error) {
	rows, err := db.Query(ctx, slotSQL, name)
	if err != nil {
		return nil, fmt.Errorf("read replication slot %s: %w", name, err)
	}
	s, err := pgx.CollectOneRow(rows, func(row pgx.CollectableRow) (*slotInfo, error) {
		s, lsn := &slotInfo{}, ""
		err := row.Scan(&s.plugin, &s.kind, &s.database, &s.active, &s.pid, &s.application, &lsn, &s.walStatus, &s.invalidation, &s.failover, &s.awaiting)
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

// reader names who uses an active slot.
func (s *slotInfo) reader() string {
	who := fmt.Sprintf("the session with pid %d", s.pid)
	if s.application != "" {
		who += fmt.Sprintf(" (application_name %q)", s.application)
	}
	return who
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
	seen       uint64 // the snapshot holds the commits below it
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
	return createdSlot{consistent: lsn, seen: lsn, snapshot: string(row[2])}, nil
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

// sqlState is the SQLSTATE of a server error, "" for any other.
func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
