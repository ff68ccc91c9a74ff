package testbed

import (
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
)

func TestMySQLKeepsPortAndDataOverKill(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...string) *MySQL{"mysql": StartMySQL, "mariadb": StartMariaDB} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			my := start(t, "binlog-row-metadata=FULL", "max-connections=77")
			db := my.NewDatabase(t)
			my.Exec(t, db, "CREATE TABLE a (id INT PRIMARY KEY, s VARCHAR(20)); INSERT INTO a VALUES (1, 'α'); INSERT INTO a VALUES (2, NULL)")
			before := my.GTIDs(t)
			my.Kill(t)
			if err := mysqlReady(t.Context(), my.Address()); err == nil {
				t.Fatal("a killed server answers")
			}
			my.Restart(t)
			got := my.Query(t, db, "SELECT CONCAT_WS(' ', COUNT(*), MIN(s), @@max_connections, @@binlog_format, @@binlog_row_metadata, @@time_zone) FROM a")
			if got != "2 α 77 ROW FULL +00:00" {
				t.Fatalf("after the restart: %s", got)
			}
			if after := my.GTIDs(t); before == "" || after != before {
				t.Fatalf("GTIDs %q, after the restart %q", before, after)
			}
		})
	}
}

func TestMySQLRowsAreInTheBinlog(t *testing.T) {
	t.Parallel()
	for flavor, my := range map[string]*MySQL{mysql.MySQLFlavor: bed.MySQL(t), mysql.MariaDBFlavor: bed.MariaDB(t)} {
		db := my.NewDatabase(t)
		from := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{
			ServerID: 4000, Flavor: flavor, Host: my.Host(), Port: uint16(my.Port()), User: MySQLUser, Password: MySQLPassword, //nolint:gosec // a port
		})
		defer from.Close()
		stream, err := from.StartSync(mysql.Position{Name: "binlog.000001", Pos: 4})
		if err != nil {
			t.Fatal(err)
		}
		my.Exec(t, db, "CREATE TABLE a (id INT PRIMARY KEY); INSERT INTO a VALUES (7)")
		for {
			event, err := stream.GetEvent(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			rows, ok := event.Event.(*replication.RowsEvent)
			if !ok || string(rows.Table.Schema) != db {
				continue
			}
			if len(rows.Rows) != 1 || rows.Rows[0][0] != int32(7) {
				t.Fatalf("%s: rows %v", flavor, rows.Rows)
			}
			break
		}
	}
}

func TestMySQLReplicaIsPromoted(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...string) *MySQL{"mysql": StartMySQL, "mariadb": StartMariaDB} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			primary := start(t)
			primary.Exec(t, "", "CREATE DATABASE d; CREATE TABLE d.a (id INT PRIMARY KEY); INSERT INTO d.a VALUES (1)")
			replica := primary.StartReplica(t)
			replica.CatchUp(t, primary)
			replica.StopReceiving(t)
			primary.Exec(t, "d", "INSERT INTO a VALUES (2)")
			replica.Promote(t)
			replica.Exec(t, "d", "INSERT INTO a VALUES (3)")
			if got := replica.Query(t, "d", "SELECT GROUP_CONCAT(id ORDER BY id) FROM a"); got != "1,3" {
				t.Fatalf("the promoted replica has %s", got)
			}
			if a, b := primary.GTIDs(t), replica.GTIDs(t); a == b || !strings.Contains(b, ":") && !strings.Contains(b, "-") {
				t.Fatalf("GTIDs of the primary %s, of the replica %s", a, b)
			}
		})
	}
}
