package golden

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/freshet-io/freshet/testbed"
)

type onMySQL struct{ *testbed.MySQL }

// OnMySQL plays on a MySQL or MariaDB, whose databases and binlog are the scenario's alone.
func OnMySQL(m *testbed.MySQL) Server { return onMySQL{m} }

// MySQLSettings are the settings of the server that the recordings were made on, as far as they differ from testbed.StartMySQL's.
func MySQLSettings() []string { return []string{"server-id=223344", "binlog-rows-query-log-events=ON"} }

// MariaDBSettings are those of the MariaDB that the recordings were made on.
func MariaDBSettings() []string { return []string{"server-id=223344"} }

func (m onMySQL) create(ctx context.Context, database string) error {
	if err := m.drop(ctx, database); err != nil {
		return err
	}
	anew := []statement{{text: "RESET BINARY LOGS AND GTIDS"}}
	if m.IsMariaDB() {
		anew = []statement{{text: "RESET MASTER"}, {text: "SET GLOBAL gtid_slave_pos = ''"}}
	}
	return m.run(ctx, "", append(anew, statement{text: "CREATE DATABASE " + database}))
}

func (m onMySQL) drop(ctx context.Context, _ string) error {
	conn, err := m.Open(ctx, "")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	// A reader of the binlog keeps it from being reset.
	for _, find := range []string{
		"SELECT CONCAT('KILL ', id) FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'",
		"SELECT CONCAT('DROP DATABASE `', schema_name, '`') FROM information_schema.schemata WHERE schema_name NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys')",
	} {
		statements, err := texts(conn, find)
		if err != nil {
			return err
		}
		for _, s := range statements {
			if _, err := conn.Execute(s); err != nil {
				return fmt.Errorf("run %.200q: %w", s, err)
			}
		}
	}
	return nil
}

// texts are the values of a query's first column.
func texts(conn *client.Conn, query string) ([]string, error) {
	result, err := conn.Execute(query)
	if err != nil {
		return nil, fmt.Errorf("run %.200q: %w", query, err)
	}
	defer result.Close()
	var out []string
	for i := range result.RowNumber() {
		text, err := result.GetString(i, 0)
		if err != nil {
			return nil, fmt.Errorf("read the answer to %.200q: %w", query, err)
		}
		out = append(out, text)
	}
	return out, nil
}

func (m onMySQL) token(text string, i int) (int, error) { return mysqlToken(text, i) }

func (m onMySQL) run(ctx context.Context, database string, statements []statement) error {
	conn, err := m.Open(ctx, database)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for _, s := range statements {
		result, err := conn.Execute(s.text)
		if err != nil {
			return fmt.Errorf("run %.200q: %w", s.text, err)
		}
		result.Close()
	}
	return nil
}

func (m onMySQL) settings(_, database, bootstrap, history string) map[string]string {
	class := "io.debezium.connector.mysql.MySqlConnector"
	if m.IsMariaDB() {
		class = "io.debezium.connector.mariadb.MariaDbConnector"
	}
	return map[string]string{
		"connector.class":   class,
		"database.hostname": m.Host(), "database.port": strconv.Itoa(m.Port()),
		"database.user": testbed.MySQLUser, "database.password": testbed.MySQLPassword,
		"database.server.id": "5400", "database.include.list": database,
		"schema.history.internal.kafka.bootstrap.servers": bootstrap, "schema.history.internal.kafka.topic": history,
	}
}

func (m onMySQL) streaming(ctx context.Context, _ string) (bool, error) {
	conn, err := m.Open(ctx, "")
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }()
	commands, err := texts(conn, "SELECT command FROM information_schema.processlist")
	return slices.ContainsFunc(commands, func(c string) bool { return c == "Binlog Dump" || c == "Binlog Dump GTID" }), err
}
