package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
)

// mariadb is one MariaDB server, a child process: the source of the demo with MySQL.
type mariadb struct {
	cache, work string // directories of the archives and of this run
	address     string // host:port
	password    string // of its only account
	process     *process
}

func (m *mariadb) path(name string) string { return filepath.Join(m.work, "mariadb", name) }

// start implements source. It downloads the server when the cache lacks it.
func (m *mariadb) start(ctx context.Context) error {
	if err := m.run(ctx); err != nil {
		return fmt.Errorf("start MariaDB (where it cannot be had, use --source %s): %w", Postgres, err)
	}
	return nil
}

func (m *mariadb) run(ctx context.Context) error {
	if err := fetchMariaDB(ctx, m.cache, m.path("")); err != nil {
		return err
	}
	if err := m.initialize(ctx); err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(m.address)
	if err != nil {
		return fmt.Errorf("read the server's address: %w", err)
	}
	m.process, err = startProcess(filepath.Join(m.work, "source.log"), m.path("bin/mariadbd"), append(m.options(),
		"--bind-address=127.0.0.1", "--port="+port, "--socket=mariadb.sock", "--pid-file=mariadb.pid", "--skip-name-resolve", "--skip-ssl",
		"--server-id=5400", "--log-bin=binlog", "--binlog-format=ROW", "--binlog-row-image=FULL", "--binlog-row-metadata=FULL",
		"--default-time-zone=+00:00", "--innodb-buffer-pool-size=256M")...)
	if err != nil {
		return err
	}
	return poll(ctx, func() (bool, error) {
		select {
		case <-m.process.done:
			return false, fmt.Errorf("it has ended: %s%s", m.process.cmd.ProcessState, m.process.lastWords("the server"))
		default:
		}
		conn, err := m.connect(ctx)
		if err != nil {
			return false, nil // not yet
		}
		return true, conn.Close()
	})
}

// options are those of every start. No file of the machine's own MariaDB is read.
func (m *mariadb) options() []string {
	return []string{
		"--no-defaults", "--basedir=" + m.path(""), "--lc-messages-dir=" + m.path("share"), "--character-sets-dir=" + m.path("share/charsets"),
		"--datadir=" + dataPath(m.work, "source"), "--character-set-server=utf8mb4", "--innodb-log-file-size=64M",
	}
}

// initialize makes the data directory: system tables, the database, and the one account there is.
func (m *mariadb) initialize(ctx context.Context) error {
	if err := os.Mkdir(dataPath(m.work, "source"), 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	sql := []string{"CREATE DATABASE mysql;", "USE mysql;"}
	for _, name := range mariadbTables {
		text, err := os.ReadFile(m.path(name))
		if err != nil {
			return fmt.Errorf("read the statements for the system tables: %w", err)
		}
		sql = append(sql, string(text))
	}
	account := "'" + databaseUser + "'@'127.0.0.1'"
	sql = append(sql, "FLUSH PRIVILEGES;", "CREATE DATABASE "+databaseName+";",
		"CREATE USER "+account+" IDENTIFIED BY '"+m.password+"';",
		"GRANT ALL ON "+databaseName+".* TO "+account+";",
		"GRANT RELOAD, SHOW DATABASES, REPLICATION SLAVE, BINLOG MONITOR ON *.* TO "+account+";", "")
	cmd := exec.CommandContext(ctx, m.path("bin/mariadbd"), append(m.options(), "--bootstrap", "--skip-log-bin")...)
	cmd.Stdin = strings.NewReader(strings.Join(sql, "\n"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make the system tables: %w\n%s", err, lastLines(string(out)))
	}
	return nil
}

func (m *mariadb) stop() error {
	if m.process != nil {
		m.process.stop()
	}
	return nil
}

func (m *mariadb) connect(ctx context.Context) (*client.Conn, error) {
	conn, err := client.ConnectWithContext(ctx, m.address, databaseUser, m.password, databaseName, arrivalLimit, func(c *client.Conn) error {
		c.ReadTimeout, c.WriteTimeout = arrivalLimit, arrivalLimit
		return c.SetCapability(mysql.CLIENT_MULTI_STATEMENTS)
	})
	if err != nil {
		return nil, fmt.Errorf("connect to the MariaDB: %w", err)
	}
	return conn, nil
}

func (m *mariadb) create(ctx context.Context, tables []table) error {
	conn, err := m.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // the statements have been answered
	if err := script(conn, schemaSQL(tables, mariadbType), func(int, int64) error { return nil }); err != nil {
		return fmt.Errorf("create tables in the MariaDB: %w", err)
	}
	return nil
}

func (m *mariadb) connector(name string, tables []table) map[string]string {
	host, port, _ := net.SplitHostPort(m.address) // start has read it
	return map[string]string{
		"connector.class":                       "io.debezium.connector.mariadb.MariaDbConnector",
		"database.hostname":                     host,
		"database.port":                         port,
		"database.user":                         databaseUser,
		"database.password":                     m.password,
		"database.server.id":                    map[string]string{tablesConnector: "5401", topicsConnector: "5402"}[name],
		"database.include.list":                 databaseName,
		"table.include.list":                    included(tables),
		"include.schema.changes":                "false",
		"schema.history.internal":               "io.debezium.storage.file.history.FileSchemaHistory",
		"schema.history.internal.file.filename": filepath.Join(m.work, name+".history"),
	}
}

func (m *mariadb) space() string { return databaseName }

func (m *mariadb) hint() string {
	host, port, _ := net.SplitHostPort(m.address) // start has read it
	return fmt.Sprintf("mariadb --skip-ssl -h %s -P %s -u %s -p%s %s", host, port, databaseUser, m.password, databaseName)
}

func mariadbType(k kind) string {
	switch k {
	case bigint:
		return "bigint"
	case integer:
		return "int"
	case boolean:
		return "boolean"
	case money:
		return "decimal(14,2)"
	case single:
		return "float"
	case double:
		return "double"
	case shortText:
		return "varchar(100)"
	case document:
		return "json"
	case uuid:
		return "uuid"
	case day:
		return "date"
	case moment:
		return "timestamp(6) NULL"
	}
	return "text"
}

// mariadbSession is a writer's connection to a MariaDB.
type mariadbSession struct{ conn *client.Conn }

func (m *mariadb) open(ctx context.Context) (session, error) {
	conn, err := m.connect(ctx)
	if err != nil {
		return nil, err
	}
	return mariadbSession{conn}, nil
}

// run implements session. A row of MariaDB does not tell when it was committed, and its binlog only the second.
func (s mariadbSession) run(_ context.Context, statements []statement, commit bool) (time.Time, error) {
	sql := []string{"BEGIN"}
	for _, st := range statements {
		sql = append(sql, st.sql(mariadbLiteral))
	}
	err := script(s.conn, strings.Join(sql, ";"), func(number int, rows int64) error {
		if number == 0 { // BEGIN
			return nil
		}
		return statements[number-1].changed(rows)
	})
	if err != nil {
		return time.Time{}, err
	}
	sent := time.Now()
	if !commit {
		return time.Time{}, s.conn.Rollback()
	}
	return sent, s.conn.Commit()
}

func (s mariadbSession) close() { _ = s.conn.Close() } // nothing is lost with it

// script runs several statements in one message; check is told how many rows each of them changed.
func script(conn *client.Conn, sql string, check func(number int, rows int64) error) error {
	var failed error
	number := 0
	_, err := conn.ExecuteMultiple(sql, func(result *mysql.Result, err error) {
		if err == nil {
			err = check(number, int64(result.AffectedRows))
		}
		number++
		failed = errors.Join(failed, err)
	})
	return errors.Join(failed, err)
}

// mariadbLiteral writes numbers bare, so that sums of decimals are exact.
func mariadbLiteral(c *column, value *string) string {
	switch {
	case value == nil:
		return "NULL"
	case c.kind <= double:
		return *value
	}
	return "'" + mysql.Escape(*value) + "'"
}

// mariadbSelection reads the canonical texts of all columns.
func mariadbSelection(t *table) string {
	var out []string
	for _, c := range t.columns {
		v := c.name
		switch c.kind {
		case day:
			v = "DATEDIFF(" + v + ", '1970-01-01')"
		case moment:
			v = "CAST(UNIX_TIMESTAMP(" + v + ") * 1000000 AS SIGNED)"
		}
		out = append(out, "CAST("+v+" AS CHAR)")
	}
	return "SELECT " + strings.Join(out, ", ") + " FROM " + t.name
}

// rows implements source.
func (m *mariadb) rows(ctx context.Context, t *table, r *report) (map[string]stored, error) {
	conn, err := m.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // only reads
	result, err := conn.Execute(mariadbSelection(t))
	if err != nil {
		return nil, fmt.Errorf("read table %s of the MariaDB: %w", t.name, err)
	}
	out := map[string]stored{}
	for _, fields := range result.Values {
		s := stored{row: make([]*string, len(t.columns))}
		for i := range fields {
			if fields[i].Type != mysql.FieldValueTypeNull {
				v := string(fields[i].AsString())
				s.row[i] = &v
			}
		}
		if err := r.enter(out, t, "source", s); err != nil {
			return nil, err
		}
	}
	return out, nil
}
