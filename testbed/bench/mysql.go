//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/go-mysql-org/go-mysql/client"
	library "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/testbed"
)

const (
	mysqlClass   = "io.debezium.connector.mysql.MySqlConnector"
	binlogSyncer = "go-mysql's BinlogSyncer"
	selectRows   = "SELECT, streamed by go-mysql"
)

// mysqlSettings are the source's settings beside testbed's defaults.
func mysqlSettings() []string {
	return []string{"innodb-buffer-pool-size=512M", "innodb-redo-log-capacity=2G", "max-binlog-size=1G"}
}

// mysql is an origin. Its database is bench.
type mysql struct {
	server  *testbed.MySQL
	watch   *client.Conn // for questions
	self    string       // this program
	process int
	readers uint32 // server ids given out
}

func openMySQL(ctx context.Context, server *testbed.MySQL) (*mysql, error) {
	m := &mysql{server: server, process: listener(server.Port())}
	var err error
	if m.self, err = os.Executable(); err != nil {
		return nil, fmt.Errorf("find the program's own file: %w", err)
	}
	m.watch, err = server.Open(ctx, "")
	return m, err
}

func (m *mysql) close(context.Context) error { return m.watch.Close() }

func (m *mysql) pid() int { return m.process }

func (m *mysql) title(context.Context) string {
	rows, err := m.texts("SELECT VERSION()")
	if err != nil {
		return "MySQL"
	}
	return "MySQL " + rows[0][0]
}

func (*mysql) limits() limits {
	memory := func(s series, _ float64) []check { return []check{memoryBudget(s)} }
	return limits{
		log: "one range of binlog", streamTool: binlogSyncer, snapshotTool: selectRows, snapshot: "SELECT", rates: []int{1000, 10_000},
		stream: budgets{
			toNothing: func(s series, ratio float64) []check { return []check{ratioBudget(ratio, 1.5), memoryBudget(s)} },
			toKafka:   streamBudget(1)(4), toKafkaSchemas: memory, toKafkaOnce: memory, toKafkaLZ4: memory,
		},
	}
}

// mysqlColumns are columns for MySQL.
func mysqlColumns() [10][3]string {
	return [10][3]string{
		{"id", "bigint PRIMARY KEY", "n"},
		{"customer", "int NOT NULL", "n * 7919 % 100000"},
		{"account", "bigint NOT NULL", "100000000000 + n * 31"},
		{"amount", "decimal(12,2) NOT NULL", "n % 1000000 / 100"},
		{"odds", "double NOT NULL", "1 + n % 997 / 8"},
		{"state", "varchar(10) NOT NULL", "ELT(1 + n % 4, 'open', 'won', 'lost', 'void')"},
		{"note", "varchar(200)", "CONCAT('selection ', n % 5000, ' in race ', n % 97)"},
		{"live", "tinyint(1) NOT NULL", "n % 3 = 0"},
		{"placed", "timestamp(6) NOT NULL", "TIMESTAMP'2026-01-01 00:00:00.123456' + INTERVAL n SECOND"},
		{"sent", "timestamp(6) NOT NULL", "SYSDATE(6)"},
	}
}

// run runs statements in a session of their own.
func (m *mysql) run(ctx context.Context, statements ...string) (err error) {
	conn, err := m.server.Open(ctx, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	for _, sql := range statements {
		if _, err := conn.Execute(sql); err != nil {
			return fmt.Errorf("run %.100q: %w", sql, err)
		}
	}
	return nil
}

// texts is the answer to a question over the session that stays open.
func (m *mysql) texts(sql string) ([][]string, error) {
	result, err := m.watch.Execute(sql)
	if err != nil {
		return nil, fmt.Errorf("run %.100q: %w", sql, err)
	}
	defer result.Close()
	var out [][]string
	for i := range result.Values {
		var row []string
		for j := range result.Values[i] {
			text, err := result.GetString(i, j)
			if err != nil {
				return nil, fmt.Errorf("read the answer to %.100q: %w", sql, err)
			}
			row = append(row, text)
		}
		out = append(out, row)
	}
	return out, nil
}

func (m *mysql) createTables(ctx context.Context) error {
	var list []string
	for _, c := range mysqlColumns() {
		list = append(list, c[0]+" "+c[1])
	}
	return m.run(ctx, "DROP DATABASE IF EXISTS bench", "CREATE DATABASE bench CHARACTER SET utf8mb4",
		"CREATE TABLE bench.rows ("+strings.Join(list, ", ")+")", "CREATE TABLE bench.marker (id bigint PRIMARY KEY)")
}

// insertMySQL inserts the rows from to to, by a session with enough recursion.
func insertMySQL(from, to int) string {
	var values []string
	for _, c := range mysqlColumns() {
		values = append(values, c[2])
	}
	return fmt.Sprintf("INSERT INTO bench.rows WITH RECURSIVE numbers (n) AS (SELECT %d UNION ALL SELECT n + 1 FROM numbers WHERE n < %d) SELECT %s FROM numbers",
		from, to, strings.Join(values, ", "))
}

func recursion(rows int) string {
	return fmt.Sprintf("SET SESSION cte_max_recursion_depth = %d", rows+1)
}

func (m *mysql) fill(ctx context.Context, rows int) error {
	return m.run(ctx, recursion(rows), insertMySQL(1, rows), "ANALYZE TABLE bench.rows")
}

// load begins the range with a file of its own, so that no reader has to look for its beginning.
func (m *mysql) load(ctx context.Context, _ string, rows, size int) (logRange, error) {
	r := logRange{rows: rows}
	if err := m.run(ctx, "FLUSH BINARY LOGS"); err != nil {
		return r, err
	}
	begin, err := m.end()
	if err != nil {
		return r, err
	}
	r.place = begin
	statements := []string{recursion(size)}
	for from := 1; from <= rows; from += size {
		statements = append(statements, insertMySQL(from, min(from+size-1, rows)))
	}
	statements = append(statements, "INSERT INTO bench.marker VALUES (1)")
	if err := m.run(ctx, statements...); err != nil {
		return r, err
	}
	logs, err := m.texts("SHOW BINARY LOGS")
	if err != nil {
		return r, err
	}
	for _, log := range logs {
		if log[0] >= begin.File {
			size, err := strconv.ParseInt(log[1], 10, 64)
			if err != nil {
				return r, fmt.Errorf("read the size of %s: %w", log[0], err)
			}
			r.size += size
		}
	}
	return r, m.run(ctx, "INSERT INTO bench.marker VALUES (2)", "ANALYZE TABLE bench.rows")
}

// place is the offset of a connector that has read the binlog so far.
type place struct {
	File  string `json:"file"`
	Pos   uint64 `json:"pos"`
	GTIDs string `json:"gtids"`
}

// end is the end of the binlog.
func (m *mysql) end() (place, error) {
	rows, err := m.texts("SHOW BINARY LOG STATUS")
	if err != nil {
		return place{}, err
	}
	pos, err := strconv.ParseUint(rows[0][1], 10, 64)
	if err != nil {
		return place{}, fmt.Errorf("read the end of the binlog: %w", err)
	}
	return place{rows[0][0], pos, strings.ReplaceAll(rows[0][4], "\n", "")}, nil
}

// start is where a reader begins: with the range, or now.
func (m *mysql) start(r *logRange) (place, error) {
	if r != nil {
		return r.place, nil
	}
	return m.end()
}

func (m *mysql) forget(context.Context, logRange) error { return nil }

// reading is a connector with a schema history that is made anew at each start.
func (m *mysql) reading(name string) reading {
	m.readers++
	c := tableKeys(name)
	maps.Copy(c, map[string]string{
		"connector.class": mysqlClass, "database.hostname": m.server.Host(), "database.port": strconv.Itoa(m.server.Port()),
		"database.user": testbed.MySQLUser, "database.password": testbed.MySQLPassword, "database.server.id": m.serverID(),
		"database.ssl.mode": "disabled", "schema.history.internal": "io.debezium.relational.history.MemorySchemaHistory",
		"include.schema.changes": "false", "snapshot.mode": "no_data",
	})
	return reading{name: name, config: c}
}

// serverID is that of the newest reader.
func (m *mysql) serverID() string { return strconv.FormatUint(3_000_000_000+uint64(m.readers), 10) }

// stream stores an offset even for a connector that begins now: another one would begin at some time after its start.
func (m *mysql) stream(_ context.Context, name string, r *logRange) (reading, error) {
	at, err := m.start(r)
	if err != nil {
		return reading{}, err
	}
	offset, err := json.Marshal(at)
	if err != nil {
		return reading{}, fmt.Errorf("encode an offset: %w", err)
	}
	out := m.reading(name).with(map[string]string{"snapshot.mode": "recovery"})
	partition, err := offsets.Canonical([]byte(`{"server":"` + name + `"}`))
	out.offset = offsets.Entry{Partition: partition, Offset: offsets.Offset(offset)}
	return out, err
}

func (m *mysql) snapshot(name string) reading { return m.reading(name).with(snapshotKeys()) }

// release ends the sessions that sent the binlog: the server does not notice at once that a reader is gone.
func (m *mysql) release(context.Context, string) error {
	rows, err := m.texts("SELECT id FROM information_schema.processlist WHERE " + dumps)
	for _, row := range rows {
		var gone *library.MyError
		if _, failed := m.watch.Execute("KILL " + row[0]); failed != nil && !(errors.As(failed, &gone) && gone.Code == library.ER_NO_SUCH_THREAD) {
			err = errors.Join(err, fmt.Errorf("end a session that sends the binlog: %w", failed))
		}
	}
	return err
}

const dumps = "command LIKE 'Binlog Dump%'"

func (m *mysql) sends(string) question { return m.ask(dumps) }

func (m *mysql) reads() question { return m.ask("info LIKE 'SELECT%bench%rows%'") }

// ask asks whether there is another session such that.
func (m *mysql) ask(such string) question {
	return func(context.Context) (bool, error) {
		rows, err := m.texts("SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND " + such)
		return len(rows) > 0, err
	}
}

func (m *mysql) streamTool(ctx context.Context, _ string, r *logRange) (*exec.Cmd, error) {
	at, err := m.start(r)
	if err != nil {
		return nil, err
	}
	m.readers++
	return exec.CommandContext(ctx, m.self, toolBinlog, m.server.Address(), m.serverID(), at.File, strconv.FormatUint(at.Pos, 10)), nil
}

func (m *mysql) snapshotTool(ctx context.Context) (*exec.Cmd, error) {
	return exec.CommandContext(ctx, m.self, toolSelect, m.server.Address()), nil
}

type mysqlWriter struct{ conn *client.Conn }

func (m *mysql) writer(ctx context.Context) (writer, error) {
	conn, err := m.server.Open(ctx, "bench")
	return mysqlWriter{conn}, err
}

func (w mysqlWriter) close() error { return w.conn.Close() }

// write sends all statements in one packet; each is its own transaction.
func (w mysqlWriter) write(_ context.Context, first, n int) error {
	var sql strings.Builder
	for id := first; id < first+n; id++ {
		fmt.Fprintf(&sql, "INSERT INTO bench.rows VALUES (%d, 1, 2, 3.5, 2.25, 'open', 'selection 17 in race 3', true, '2026-01-01 00:00:00.123456', SYSDATE(6));", id)
	}
	var failed error
	_, err := w.conn.ExecuteMultiple(strings.TrimSuffix(sql.String(), ";"), func(_ *library.Result, err error) {
		failed = errors.Join(failed, err)
	})
	return errors.Join(err, failed)
}
