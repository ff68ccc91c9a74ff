package testbed

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
)

// The account of every server that may do everything.
const (
	MySQLUser     = "root"
	MySQLPassword = "mysql"
)

// MySQL is a MySQL or MariaDB server in a container, with a binlog of rows, GTIDs and UTC.
type MySQL struct {
	*server
	mariadb bool
}

// MySQL is the package's shared MySQL. Settings are as for StartMySQL; each set of them has a server.
func (b *Bed) MySQL(t testing.TB, settings ...string) *MySQL {
	t.Helper()
	return share(t, b, "mysql "+strings.Join(settings, " "), func(ctx context.Context, e *engine) (*MySQL, error) {
		return startMySQL(ctx, e, "mysql", settings)
	})
}

// MariaDB is the package's shared MariaDB. Settings are as for StartMySQL; each set of them has a server.
func (b *Bed) MariaDB(t testing.TB, settings ...string) *MySQL {
	t.Helper()
	return share(t, b, "mariadb "+strings.Join(settings, " "), func(ctx context.Context, e *engine) (*MySQL, error) {
		return startMySQL(ctx, e, "mariadb", settings)
	})
}

// StartMySQL starts a MySQL for this test alone. Settings are server options as name=value ("binlog-row-metadata=FULL"); later ones
// win over the defaults, and TZ=Europe/Rome is the time zone of the system: a random server-id, binlog files named binlog.000001 on, GTIDs, time zone +00:00, what is committed kept over
// Kill but not over a crash of the machine.
func StartMySQL(t testing.TB, settings ...string) *MySQL {
	t.Helper()
	return run(t, func(ctx context.Context, e *engine) (*MySQL, error) { return startMySQL(ctx, e, "mysql", settings) })
}

// StartMariaDB is StartMySQL for a MariaDB.
func StartMariaDB(t testing.TB, settings ...string) *MySQL {
	t.Helper()
	return run(t, func(ctx context.Context, e *engine) (*MySQL, error) { return startMySQL(ctx, e, "mariadb", settings) })
}

func startMySQL(ctx context.Context, e *engine, image string, settings []string) (*MySQL, error) {
	s, err := e.start(ctx, spec{
		server:      image,
		inside:      "3306/tcp",
		environment: func(string, int) map[string]string { return mysqlEnvironment(settings) },
		command:     func(int) []string { return mysqlCommand(image, settings) },
		ready:       mysqlReady,
	})
	if err != nil {
		return nil, err
	}
	return &MySQL{server: s, mariadb: image == "mariadb"}, nil
}

// MySQL starts a server from the image "mysql" or "mariadb"; settings as for StartMySQL.
func (l *Local) MySQL(ctx context.Context, image string, settings ...string) (*MySQL, error) {
	s, err := l.engine.start(ctx, spec{
		server:      image,
		environment: func(string, int) map[string]string { return mysqlEnvironment(settings) },
		command: func(port int) []string {
			return mysqlCommand(image, append([]string{"port=" + strconv.Itoa(port), "bind-address=127.0.0.1"}, settings...))
		},
		ready: mysqlReady,
	})
	if err != nil {
		return nil, err
	}
	l.servers = append(l.servers, s)
	return &MySQL{server: s, mariadb: image == "mariadb"}, nil
}

func mysqlEnvironment(settings []string) map[string]string {
	env := map[string]string{"MYSQL_ROOT_PASSWORD": MySQLPassword, "MARIADB_ROOT_PASSWORD": MySQLPassword}
	for _, s := range settings {
		if zone, ok := strings.CutPrefix(s, systemZone); ok {
			env["TZ"] = zone
		}
	}
	return env
}

// systemZone is the setting that is none of the server's.
const systemZone = "TZ="

// mysqlCommand is the server's command line; of two settings of one name the later one counts.
func mysqlCommand(image string, settings []string) []string {
	all := []string{
		"server-id=" + strconv.Itoa(1+rand.IntN(1<<30)), "log-bin=binlog", "default-time-zone=+00:00", "max-connections=300",
		"performance-schema=OFF", "innodb-buffer-pool-size=64M", "innodb-flush-log-at-trx-commit=2", "innodb-doublewrite=OFF", "sync-binlog=0",
	}
	command := []string{"mysqld"}
	if image == "mariadb" {
		command = []string{"mariadbd"}
		all = append(all, "binlog-format=ROW", "log-slave-updates=ON")
	} else {
		all = append(all, "gtid-mode=ON", "enforce-gtid-consistency=ON", "loose-innodb-numa-interleave=OFF")
	}
	for _, s := range append(all, settings...) {
		if !strings.HasPrefix(s, systemZone) {
			command = append(command, "--"+s)
		}
	}
	return command
}

// mysqlReady succeeds when the server accepts connections.
func mysqlReady(ctx context.Context, address string) error {
	conn, err := mysqlConnect(ctx, address, "")
	if err != nil {
		return err
	}
	return errors.Join(conn.Ping(), conn.Close())
}

func mysqlConnect(ctx context.Context, address, database string) (*client.Conn, error) {
	conn, err := client.ConnectWithContext(ctx, address, MySQLUser, MySQLPassword, database, 10*time.Second, func(c *client.Conn) error {
		return c.SetCapability(mysql.CLIENT_MULTI_STATEMENTS)
	})
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	// The server's own default collation of the character set, as its command line client has it.
	if _, err := conn.Execute("SET NAMES utf8mb4"); err != nil {
		return nil, errors.Join(fmt.Errorf("set the character set of a connection to %s: %w", address, err), conn.Close())
	}
	return conn, nil
}

// IsMariaDB tells the two kinds of server apart.
func (m *MySQL) IsMariaDB() bool { return m.mariadb }

// Open opens a connection as MySQLUser, which the caller closes. database may be "".
func (m *MySQL) Open(ctx context.Context, database string) (*client.Conn, error) {
	return mysqlConnect(ctx, m.Address(), database)
}

// Connect opens a connection as MySQLUser that is closed at the end of the test. database may be "".
func (m *MySQL) Connect(t testing.TB, database string) *client.Conn {
	t.Helper()
	conn, err := mysqlConnect(t.Context(), m.Address(), database)
	if err != nil {
		t.Fatalf("connect to database %s: %v", database, err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Exec runs SQL texts, each of which may hold several statements, in one session. database may be "".
func (m *MySQL) Exec(t testing.TB, database string, sql ...string) {
	t.Helper()
	if err := m.exec(t.Context(), database, sql...); err != nil {
		t.Fatal(err)
	}
}

func (m *MySQL) exec(ctx context.Context, database string, sql ...string) error {
	conn, err := mysqlConnect(ctx, m.Address(), database)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for _, text := range sql {
		var failed error
		_, err := conn.ExecuteMultiple(text, func(_ *mysql.Result, err error) {
			if failed == nil {
				failed = err
			}
		})
		if err := errors.Join(err, failed); err != nil {
			return fmt.Errorf("run %.200q in database %s: %w", text, database, err)
		}
	}
	return nil
}

// Query is the text of the first column of the first row that a statement gives; "" for NULL.
func (m *MySQL) Query(t testing.TB, database, sql string) string {
	t.Helper()
	value, err := m.query(t.Context(), database, sql)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func (m *MySQL) query(ctx context.Context, database, sql string) (string, error) {
	conn, err := mysqlConnect(ctx, m.Address(), database)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	result, err := conn.Execute(sql)
	if err != nil {
		return "", fmt.Errorf("run %.200q in database %s: %w", sql, database, err)
	}
	defer result.Close()
	value, err := result.GetString(0, 0)
	if err != nil {
		return "", fmt.Errorf("read the answer to %.200q: %w", sql, err)
	}
	return strings.Clone(value), nil // the result's memory is used again
}

// NewDatabase creates a database for this test, which is dropped at its end.
func (m *MySQL) NewDatabase(t testing.TB) string {
	t.Helper()
	name := m.CreateDatabase(t)
	t.Cleanup(func() { m.DropDatabase(t, name) })
	return name
}

// CreateDatabase creates a database of a new name.
func (m *MySQL) CreateDatabase(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("t%08x", rand.Uint32())
	m.Exec(t, "", "CREATE DATABASE "+name+" CHARACTER SET utf8mb4")
	return name
}

// DropDatabase drops a database, also when the test has ended.
func (m *MySQL) DropDatabase(t testing.TB, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), cleanUpWithin)
	defer cancel()
	if err := m.exec(ctx, "", "DROP DATABASE IF EXISTS "+name); err != nil {
		t.Errorf("clean up: %v", err)
	}
}

// Kill ends the server as kill -9 does. What was committed stays.
func (m *MySQL) Kill(t testing.TB) {
	t.Helper()
	if err := m.kill(t.Context()); err != nil {
		t.Fatalf("kill MySQL: %v", err)
	}
}

// Restart starts a killed server again, on the same port, and waits until it accepts connections.
func (m *MySQL) Restart(t testing.TB) {
	t.Helper()
	if err := m.restart(t.Context(), mysqlReady); err != nil {
		t.Fatalf("restart MySQL: %v", err)
	}
}

// GTIDs is the set of transactions that the server has executed: MySQL's gtid_executed, MariaDB's gtid_current_pos.
func (m *MySQL) GTIDs(t testing.TB) string {
	t.Helper()
	if m.mariadb {
		return m.Query(t, "", "SELECT @@gtid_current_pos")
	}
	return strings.ReplaceAll(m.Query(t, "", "SELECT @@gtid_executed"), "\n", "")
}

// StartReplica starts a replica of m for this test alone, which reads by GTID from the beginning of m's binlog (none of it may be purged)
// and writes a binlog of its own. A replica can have replicas.
func (m *MySQL) StartReplica(t testing.TB, settings ...string) *MySQL {
	t.Helper()
	image := "mysql"
	if m.mariadb {
		image = "mariadb"
	}
	return run(t, func(ctx context.Context, e *engine) (*MySQL, error) {
		r, err := startMySQL(ctx, e, image, settings)
		if err != nil {
			return nil, err
		}
		if err := r.follow(ctx, m); err != nil {
			return nil, errors.Join(err, r.terminate(context.WithoutCancel(ctx)))
		}
		return r, nil
	})
}

// Follow makes a server replicate from another one by GTID, from where it is.
func (m *MySQL) Follow(t testing.TB, primary *MySQL) {
	t.Helper()
	if err := m.follow(t.Context(), primary); err != nil {
		t.Fatal(err)
	}
}

func (m *MySQL) follow(ctx context.Context, primary *MySQL) error {
	ip, err := primary.container.ContainerIP(ctx)
	if err != nil {
		return fmt.Errorf("find the container's address: %w", err)
	}
	if m.mariadb {
		return m.exec(ctx, "", "STOP SLAVE", fmt.Sprintf("CHANGE MASTER TO MASTER_HOST='%s', MASTER_PORT=3306, MASTER_USER='%s', MASTER_PASSWORD='%s', "+
			"MASTER_CONNECT_RETRY=1, MASTER_SSL=0, MASTER_USE_GTID=slave_pos", ip, MySQLUser, MySQLPassword), "START SLAVE")
	}
	return m.exec(ctx, "", "STOP REPLICA", fmt.Sprintf("CHANGE REPLICATION SOURCE TO SOURCE_HOST='%s', SOURCE_PORT=3306, SOURCE_USER='%s', SOURCE_PASSWORD='%s', "+
		"SOURCE_CONNECT_RETRY=1, SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1", ip, MySQLUser, MySQLPassword), "START REPLICA")
}

// StopReceiving cuts a replica off: it gets nothing more from its primary.
func (m *MySQL) StopReceiving(t testing.TB) {
	t.Helper()
	m.Exec(t, "", m.replicaWord("STOP REPLICA IO_THREAD", "STOP SLAVE IO_THREAD"))
}

// Promote makes a replica a server of its own: it applies what it has received, and then follows nobody.
func (m *MySQL) Promote(t testing.TB) {
	t.Helper()
	m.StopReceiving(t)
	result, err := m.Connect(t, "").Execute(m.replicaWord("SHOW REPLICA STATUS", "SHOW SLAVE STATUS"))
	if err != nil {
		t.Fatal(err)
	}
	received, err := result.GetStringByName(0, m.replicaWord("Retrieved_Gtid_Set", "Gtid_IO_Pos"))
	if err != nil {
		t.Fatalf("read what the replica has received: %v", err)
	}
	m.reach(t, received)
	m.Exec(t, "", m.replicaWord("STOP REPLICA; RESET REPLICA ALL", "STOP SLAVE; RESET SLAVE ALL"))
}

// TakeOver makes a replica the primary without losing a transaction: whoever writes to the old one waits there until it is killed, and
// the replica gets all that it has.
func (m *MySQL) TakeOver(t testing.TB, old *MySQL) {
	t.Helper()
	if _, err := old.Connect(t, "").Execute("FLUSH TABLES WITH READ LOCK"); err != nil {
		t.Fatalf("lock the old primary: %v", err)
	}
	m.CatchUp(t, old)
	m.Promote(t)
}

// replicaWord is the server's own spelling.
func (m *MySQL) replicaWord(ofMySQL, ofMariaDB string) string {
	if m.mariadb {
		return ofMariaDB
	}
	return ofMySQL
}

// CatchUp waits until a replica has applied what the primary has executed now.
func (m *MySQL) CatchUp(t testing.TB, primary *MySQL) {
	t.Helper()
	m.reach(t, primary.GTIDs(t))
}

// reach waits until the server has executed these transactions.
func (m *MySQL) reach(t testing.TB, gtids string) {
	t.Helper()
	m.until(t, "the replica has executed "+gtids, fmt.Sprintf(m.replicaWord("SELECT WAIT_FOR_EXECUTED_GTID_SET('%s', 2) = 0", "SELECT MASTER_GTID_WAIT('%s', 2) = 0"), gtids))
}

// until repeats a query until it answers 1.
func (m *MySQL) until(t testing.TB, what, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	err := poll(ctx, func() (bool, error) {
		value, err := m.query(ctx, "", sql)
		return value == "1", err
	})
	if err != nil {
		t.Fatalf("wait until %s: %v", what, err)
	}
}

// Connector are the keys of a connector that captures database, with the schema history of HistoryIn or HistoryOn. More keys come on top.
func (m *MySQL) Connector(name, database string, history, more map[string]string) map[string]string {
	class := "io.debezium.connector.mysql.MySqlConnector"
	if m.mariadb {
		class = "io.debezium.connector.mariadb.MariaDbConnector"
	}
	c := map[string]string{
		"name":                  name,
		"connector.class":       class,
		"database.hostname":     m.Host(),
		"database.port":         strconv.Itoa(m.Port()),
		"database.user":         MySQLUser,
		"database.password":     MySQLPassword,
		"database.server.id":    strconv.Itoa(1<<30 + rand.IntN(1<<30)),
		"database.include.list": database,
		"topic.prefix":          "t" + database,
	}
	maps.Copy(c, history)
	maps.Copy(c, more)
	return c
}

// HistoryIn are the keys of a schema history in a file.
func HistoryIn(file string) map[string]string {
	return map[string]string{
		"schema.history.internal":               "io.debezium.storage.file.history.FileSchemaHistory",
		"schema.history.internal.file.filename": file,
	}
}

// HistoryOn are the keys of a schema history in a topic of a broker.
func HistoryOn(bootstrap, topic string) map[string]string {
	return map[string]string{
		"schema.history.internal.kafka.bootstrap.servers": bootstrap,
		"schema.history.internal.kafka.topic":             topic,
	}
}
