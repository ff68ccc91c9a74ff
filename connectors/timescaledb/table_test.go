package timescaledb

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/schemas"
	"github.com/freshet-io/freshet/testbed"
)

// rig is a running sink into a database of its own.
type rig struct {
	connectortest.Rig
	server   *testbed.Postgres
	database string
	conn     *pgx.Conn
}

func newRig(t testing.TB, server *testbed.Postgres, more ...string) *rig {
	t.Helper()
	database := server.NewDatabase(t)
	r := &rig{connectortest.Rig{TB: t, Session: &connectortest.Session{}}, server, database, server.Connect(t, database)}
	r.start(settings(server, database, more...))
	return r
}

func (r *rig) start(c connectors.Config) {
	r.Helper()
	r.Start(newTask(r.TB, c))
	if _, err := r.Task.(connectors.OffsetKeeper).Progress(r.Context()); err != nil {
		r.Fatalf("Progress: %v", err)
	}
}

// rows is a query's result, a line per row.
func (r *rig) rows(sql string) string {
	r.Helper()
	rows, err := r.conn.Query(context.Background(), sql)
	if err != nil {
		r.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		r.Fatalf("%s: %v", sql, err)
	}
	return strings.Join(out, " | ")
}

func (r *rig) expect(sql, want string) {
	r.Helper()
	if got := r.rows(sql); got != want {
		r.Errorf("%s:\n got %s\nwant %s", sql, got, want)
	}
}

type change = connectortest.Change

func insert(row ...any) change { return change{Op: connectors.OpCreate, Row: row} }
func update(row ...any) change { return change{Op: connectors.OpUpdate, Row: row} }
func remove(row ...any) change { return change{Op: connectors.OpDelete, Row: row} }

func TestFold(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.Postgres(t), keyTruncate, "true")
	s := connectortest.Bets()
	all := "SELECT id || ' ' || coalesce(horse, '-') || ' ' || coalesce(stake::text, '-') FROM bets ORDER BY id"
	r.Write(s, insert(1, "a", 1), insert(2, "b", 2), update(1, "a2", nil), remove(2), insert(3, "c", 3), remove(3), insert(3, "c2", 4))
	r.expect(all, "1 a2 - | 3 c2 4")
	r.Write(s, change{Op: connectors.OpTombstone, Row: []any{3}}, remove(3), insert(4, nil, 4))
	r.expect(all, "1 a2 - | 4 - 4")
	r.Write(s, insert(5, "gone", 5), change{Op: connectors.OpTruncate}, insert(6, "f", 6))
	r.expect(all, "6 f 6")

	// Unavailable values never replace known ones: of the target, of the same transaction, in parts.
	r.Write(s, update(6, connectortest.Unavailable{}, 7))
	r.expect(all, "6 f 7")
	r.Write(s, insert(7, "g", 1), update(7, connectortest.Unavailable{}, 2), update(6, connectortest.Unavailable{}, 8), update(6, "f2", connectortest.Unavailable{}), update(6, connectortest.Unavailable{}, 9))
	r.expect(all, "6 f2 9 | 7 g 2")
	r.Write(s, update(6, connectortest.Unavailable{}, connectortest.Unavailable{}), update(7, "g2", connectortest.Unavailable{}))
	r.expect(all, "6 f2 9 | 7 g2 2")
	r.Refused(r.TryWrite(s, insert(8, connectortest.Unavailable{}, 1)), `"public"."bets"`, "column horse", "REPLICA IDENTITY FULL")
}

func TestUnavailableWithoutRow(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.Postgres(t))
	r.Write(connectortest.Bets(), insert(1, "a", 1))
	// The end of the row in the same transaction makes the value irrelevant.
	r.Write(connectortest.Bets(), update(3, connectortest.Unavailable{}, 2), remove(3), update(4, connectortest.Unavailable{}, 2), remove(4), insert(4, "d", 4), remove(4))
	r.Refused(r.TryWrite(connectortest.Bets(), update(1, connectortest.Unavailable{}, 2), update(2, connectortest.Unavailable{}, 2)), `"public"."bets"`, "1 of 2", "REPLICA IDENTITY FULL")
	r.expect("SELECT stake::text FROM bets", "1")
}

func TestEvolution(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.Postgres(t))
	r.Write(connectortest.Bets(), insert(1, "a", 1))
	wide := connectortest.Bets()
	wide.Table.Columns[0] = connectortest.Column("id", schemas.TypeInt64, "bigint", false)
	wide.Table.Columns[2] = connectortest.Column("stake", schemas.TypeDecimal, "numeric(10,2)", true)
	wide.Table.Columns[2].Length, wide.Table.Columns[2].Scale = 10, 2
	wide.Table.Columns = append(wide.Table.Columns, connectortest.Column("odds", schemas.TypeFloat64, "double precision", false))
	r.Refused(r.TryWrite(wide, insert(2, "b", connectortest.Text{Kind: connectors.KindDecimal, V: "2.50"}, 1.5)), "column stake", "integer", "numeric(10,2)", keyExclude)

	r = newRig(t, bed.Postgres(t))
	r.Write(connectortest.Bets(), insert(1, "a", 1))
	wide.Table.Columns[2] = connectortest.Column("stake", schemas.TypeInt64, "bigint", true)
	r.Write(wide, insert(1<<40, "b", 1<<40, 1.5), update(1, "a", 2, 2.5))
	r.expect("SELECT id || ' ' || stake || ' ' || odds FROM bets ORDER BY id", "1 2 2.5 | 1099511627776 1099511627776 1.5")
	r.Write(connectortest.Bets(), update(1, "narrow", 3))
	r.expect("SELECT id || ' ' || horse || ' ' || stake || ' ' || odds FROM bets WHERE id = 1", "1 narrow 3 2.5")
}

func TestValueThatDoesNotFit(t *testing.T) {
	t.Parallel()
	server := bed.Postgres(t)
	for name, c := range map[string]struct {
		ddl   string
		row   change
		texts []string
	}{
		"int":     {"stake smallint", insert(1, "a", 70000), []string{"column stake", "smallint", "out of the column's range"}},
		"varchar": {"horse varchar(3), stake int", insert(1, "äöüß", 1), []string{"column horse", "longer than the column"}},
		"zero":    {"horse text, stake int", insert(1, "a\x00b", 1), []string{"column horse", "zero byte"}},
		"numeric": {"stake numeric(4,0)", insert(1, "a", 70000), []string{"column stake", "out of the column's range"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, server, keyEvolution, "none", keyExclude, map[bool]string{true: "horse", false: "none"}[!strings.Contains(c.ddl, "horse")])
			r.server.Exec(t, r.database, "CREATE TABLE bets (id int PRIMARY KEY, "+c.ddl+")")
			r.Refused(r.TryWrite(connectortest.Bets(), insert(7, "ok", 1), c.row), append(c.texts, `"public"."bets"`)...)
			r.expect("SELECT count(*)::text FROM bets", "0")
			r.expect(`SELECT count(*)::text FROM freshet_offsets WHERE "offset" IS NOT NULL`, "0")
		})
	}
}

func TestConstraints(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.Postgres(t))
	r.server.Exec(t, r.database, "CREATE TABLE bets (id int PRIMARY KEY, horse text UNIQUE, stake int CHECK (stake > 0))")
	r.Write(connectortest.Bets(), insert(1, "a", 1))
	r.Refused(r.TryWrite(connectortest.Bets(), insert(2, "a", 1)), "public.bets", "bets_horse_key", "(horse)=(a)")
	if connectors.ClassOf(r.Session.Failure()) != connectors.Permanent {
		t.Errorf("class %v, want permanent", connectors.ClassOf(r.Session.Failure()))
	}
}

func TestTableWithoutKey(t *testing.T) {
	t.Parallel()
	keyless := connectortest.Table("log", 0, connectortest.Column("line", schemas.TypeText, "text", true))
	r := newRig(t, bed.Postgres(t))
	r.Refused(r.TryWrite(keyless, insert("x")), "table public.log has no key", "primary key", "message.key.columns", "freshet.mode=append")
	r = newRig(t, bed.Postgres(t), keyInsert, "insert", keyKeyMode, "none", keyDelete, "false")
	r.Write(keyless, insert("x"), insert("x"), insert(nil))
	r.expect("SELECT coalesce(line, '-') FROM log", "x | x | -")
}

// A table whose rows cannot be found is refused as it is.
func TestKeyIsLookedAtBeforeColumnsAreAdded(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.Postgres(t))
	r.server.Exec(t, r.database, "CREATE TABLE bets (id int, horse varchar(3) NOT NULL)")
	r.Refused(r.TryWrite(connectortest.Bets(), insert(1, "a", 1)), "public.bets", "no primary key or unique index on (id)", "ADD PRIMARY KEY")
	r.expect("SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ') FROM pg_attribute WHERE attrelid = 'bets'::regclass AND attnum > 0", "id integer, horse character varying(3)")
}

func TestInsertAndUpdateModes(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.Postgres(t), keyInsert, "insert")
	r.Write(connectortest.Bets(), insert(1, "a", 1), insert(2, "b", 2), remove(1), insert(1, "again", 3))
	r.expect("SELECT id || horse FROM bets ORDER BY id", "1again | 2b")
	r.Write(connectortest.Bets(), remove(2), insert(2, "b2", 2))
	r.expect("SELECT id || horse FROM bets ORDER BY id", "1again | 2b2")
	r.Refused(r.TryWrite(connectortest.Bets(), insert(1, "a", 1)), "bets_pkey")
	r = newRig(t, bed.Postgres(t), keyInsert, "update")
	r.server.Exec(t, r.database, "CREATE TABLE bets (id int PRIMARY KEY, horse text, stake int); INSERT INTO bets VALUES (1, 'a', 1)")
	r.Write(connectortest.Bets(), insert(1, "b", 2), insert(2, "c", 2))
	r.expect("SELECT id || horse FROM bets", "1b")
}

// Where a key has several rows, a delete ends all of them, those of the same transaction, too.
func TestDeleteOfSeveralRows(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.Postgres(t), keyInsert, "insert", keyDelete, "true")
	r.server.Exec(t, r.database, "CREATE TABLE bets (id int, horse text, stake int)")
	s, all := connectortest.Bets(), "SELECT id || horse FROM bets ORDER BY id, horse"
	r.Write(s, insert(1, "a", 1), insert(2, "x", 1), insert(1, "b", 1), insert(1, "c", 1), remove(1))
	r.expect(all, "2x")
	r.Write(s, remove(2), insert(2, "y", 1), insert(2, "z", 1))
	r.expect(all, "2y | 2z")
	r.Write(s, remove(2), insert(2, "d", 1), insert(2, "e", 1), remove(2), insert(2, "f", 1), insert(2, "g", 1))
	r.expect(all, "2f | 2g")
}

func TestHypertable(t *testing.T) {
	t.Parallel()
	at := func(day int) time.Time { return time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC) }
	ticks := connectortest.Table("ticks", 1, connectortest.Column("id", schemas.TypeInt32, "integer", false), connectortest.Column("at", schemas.TypeTimestampTZ, "timestamp with time zone", false), connectortest.Column("price", schemas.TypeInt32, "integer", true))
	r := newRig(t, bed.Timescale(t), keyTime, "at", keyChunk, "1 day")
	r.Write(ticks, insert(1, at(1), 1), insert(2, at(2), 2), insert(3, at(3), 3))
	r.expect("SELECT hypertable_name || ' ' || num_chunks FROM timescaledb_information.hypertables", "ticks 3")
	all := "SELECT id || ' ' || to_char(at, 'DD') || ' ' || price FROM ticks ORDER BY id, at"
	r.Write(ticks, update(1, at(5), 10), update(2, at(2), 20), remove(3))
	r.expect(all, "1 05 10 | 2 02 20")
	r.Write(ticks, insert(4, at(1), 4), update(4, at(9), 5), update(1, at(5), connectortest.Unavailable{}), remove(2), insert(2, at(7), 7))
	r.expect(all, "1 05 10 | 2 07 7 | 4 09 5")
	r.Refused(r.TryWrite(ticks, update(1, at(1), connectortest.Unavailable{})), "move to another chunk", "REPLICA IDENTITY FULL")
}

func TestHypertableRefusals(t *testing.T) {
	t.Parallel()
	ticks := connectortest.Table("ticks", 1, connectortest.Column("id", schemas.TypeInt32, "integer", false), connectortest.Column("at", schemas.TypeTimestampTZ, "timestamp with time zone", true))
	r := newRig(t, bed.Timescale(t), keyTime, "at")
	r.Refused(r.TryWrite(ticks, insert(1, time.Now())), "column at of table public.ticks", "may be NULL")
	ticks.Table.Columns[1].Optional = false
	r.server.Exec(t, r.database, "CREATE TABLE ticks (id int PRIMARY KEY, at timestamptz NOT NULL)")
	r.Refused(r.TryWrite(ticks, insert(1, time.Now())), "not a hypertable", "create_hypertable")
	r = newRig(t, bed.Timescale(t))
	r.server.Exec(t, r.database, "CREATE TABLE ticks (id int, at timestamptz NOT NULL); SELECT create_hypertable('ticks', 'at')")
	r.Refused(r.TryWrite(ticks, insert(1, time.Now())), "no primary key or unique index on (id, at)", "must contain the column")
	plain := bed.Postgres(t)
	values := Factory{}.Validate(t.Context(), settings(plain, plain.NewDatabase(t), keyTime, "at"))
	if errors := connectors.Errors(values); len(errors) != 1 || !strings.Contains(errors[0], "TimescaleDB") {
		t.Errorf("validation says %q, not that TimescaleDB is missing", errors)
	}
}

func TestFencing(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.Postgres(t))
	r.Write(connectortest.Bets(), insert(1, "a", 1))
	first := r.Task
	r.start(settings(r.server, r.database))
	r.Write(connectortest.Bets(), insert(2, "b", 2))
	second := r.Task
	r.Task = first
	err := r.TryWrite(connectortest.Bets(), insert(3, "zombie", 3))
	if connectors.ClassOf(err) != connectors.Fenced {
		t.Errorf("the zombie got %v, want a fenced error", err)
	}
	r.Task = second
	r.Write(connectortest.Bets(), insert(4, "d", 4))
	r.expect("SELECT id::text FROM bets ORDER BY id", "1 | 2 | 4")
}

// TestARestartInPlace: an instance that goes on for one before it is fenced when somebody has taken over meanwhile, and leaves that
// one's open transaction alone; else it goes on, also when the answer to a take-over was lost.
func TestARestartInPlace(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.Postgres(t))
	again := func(claim string) (connectors.SinkTask, error) {
		var task connectors.SinkTask
		start := func() error {
			task = made(t, settings(r.server, r.database), claim)
			return task.Start(t.Context(), r.Session)
		}
		err := start()
		for end := time.Now().Add(time.Minute); connectors.ClassOf(err) == connectors.Retriable && err != nil && time.Now().Before(end); err = start() {
			// An owner that connects again ends what it takes for its own.
			_ = task.Stop(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = task.Stop(context.Background()) })
		_, err = task.(connectors.OffsetKeeper).Progress(t.Context())
		return task, err
	}
	stop := func(task connectors.SinkTask) string {
		if err := task.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		return task.(connectors.Claimant).Claim()
	}
	r.Write(connectortest.Bets(), insert(1, "a", 1))
	zombie := r.Task.(connectors.Claimant).Claim()
	task, err := again(zombie)
	if err != nil {
		t.Fatalf("nobody took over: %v", err)
	}
	before, held := zombie, stop(task) // the answer to its take-over is lost
	var was, is claim
	for text, c := range map[string]*claim{before: &was, held: &is} {
		if err := json.Unmarshal([]byte(text), c); err != nil {
			t.Fatal(err)
		}
	}
	if task, err = again(fmt.Sprintf(`{"Epoch":%d,"Asked":%d}`, was.Epoch, is.Epoch)); err != nil {
		t.Fatalf("an own take-over: %v", err)
	}
	zombie = stop(task)
	r.start(settings(r.server, r.database))
	owner := r.server.Connect(t, r.database) // as a session of the owner in a transaction
	var name string
	if err := r.conn.QueryRow(t.Context(), "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'freshet %' AND datname = current_database() LIMIT 1").Scan(&name); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"SET application_name = '" + name + "'", "BEGIN", "SELECT pg_current_xact_id()"} {
		if _, err := owner.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if task, err = again(zombie); connectors.ClassOf(err) != connectors.Fenced {
		t.Errorf("somebody took over: %v", err)
	}
	if after := stop(task); after != zombie {
		t.Errorf("claim %s became %s", zombie, after)
	}
	if _, err := owner.Exec(t.Context(), "COMMIT"); err != nil {
		t.Errorf("the owner was disturbed: %v", err)
	}
	r.Write(connectortest.Bets(), insert(2, "b", 2))
}

// TestReconnectBesideAHalfOpenSession: the server still takes the session that was lost for alive, with the locks that it holds.
func TestReconnectBesideAHalfOpenSession(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.Postgres(t))
	r.Write(connectortest.Bets(), insert(1, "a", 1))
	var name string
	if err := r.conn.QueryRow(t.Context(), "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'freshet %' AND datname = current_database() LIMIT 1").Scan(&name); err != nil {
		t.Fatal(err)
	}
	halfOpen := r.server.Connect(t, r.database)
	for _, sql := range []string{"SET application_name = '" + name + "'", "BEGIN", "UPDATE bets SET horse = 'never'", "UPDATE freshet_offsets SET flush = flush + 1"} {
		if _, err := halfOpen.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.conn.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database() AND xact_start IS NULL", name); err != nil {
		t.Fatal(err)
	}
	r.Write(connectortest.Bets(), insert(2, "b", 2), update(1, "c", 1))
	r.expect("SELECT id || horse FROM bets ORDER BY id", "1c | 2b")
}

// TestTakeOverFromAStoppedOwner lets an owner stop in the middle of a transaction that holds its position and a row.
func TestTakeOverFromAStoppedOwner(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.Postgres(t))
	r.Write(connectortest.Bets(), insert(1, "a", 1))
	var name string
	if err := r.conn.QueryRow(t.Context(), "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'freshet %' AND datname = current_database() LIMIT 1").Scan(&name); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"SET application_name = '" + name + "'", "BEGIN", "UPDATE bets SET horse = 'never'", "UPDATE freshet_offsets SET flush = flush + 1"} {
		if _, err := r.conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	r.start(settings(r.server, r.database))
	r.Write(connectortest.Bets(), insert(2, "b", 2), update(1, "c", 1))
	r.conn = r.server.Connect(t, r.database)
	r.expect("SELECT id || horse FROM bets ORDER BY id", "1c | 2b")
}
