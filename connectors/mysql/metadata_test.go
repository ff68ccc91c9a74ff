package mysql

import (
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/testbed"
)

// metadataServers are servers with every binlog_row_metadata.
func metadataServers(t *testing.T, test func(t *testing.T, r *rig, metadata string)) {
	t.Helper()
	for _, c := range []struct {
		mariadb  bool
		metadata string
	}{{false, "MINIMAL"}, {false, "FULL"}, {true, "NO_LOG"}, {true, "MINIMAL"}, {true, "FULL"}} {
		f, start := Factory{Version: "1", MariaDB: c.mariadb}, bed.MySQL
		if c.mariadb {
			start = bed.MariaDB
		}
		t.Run(f.flavor().String()+" "+c.metadata, func(t *testing.T) {
			t.Parallel()
			test(t, rigOn(t, start(t, "binlog-row-metadata="+c.metadata), f, nil), c.metadata)
		})
	}
}

// unlogged runs statements that the binlog does not have.
func (r *rig) unlogged(sql ...string) {
	r.t.Helper()
	r.exec("SET SESSION sql_log_bin = 0")
	r.exec(sql...)
	r.exec("SET SESSION sql_log_bin = 1")
}

// TestRowMetadata has rows of a table that the schema history does not know: with FULL the binlog says enough.
func TestRowMetadata(t *testing.T) {
	t.Parallel()
	metadataServers(t, func(t *testing.T, r *rig, metadata string) {
		r.exec("CREATE TABLE known (id INT PRIMARY KEY)")
		r.start()
		r.streaming()
		r.unlogged(`CREATE TABLE t (y YEAR, s INT, u INT UNSIGNED, b BIGINT UNSIGNED, f FLOAT UNSIGNED, n DECIMAL(5,2), z TINYINT ZEROFILL, e ENUM('a,b','é'), m SET('p','q'), l VARCHAR(9) CHARACTER SET latin1,
 x VARBINARY(4), c CHAR(3), d DATETIME(3), j JSON, k SMALLINT UNSIGNED, g POINT, PRIMARY KEY (k, c))`)
		r.exec(`INSERT INTO t VALUES (2024, -1, 4294967295, 18446744073709551615, 1.5, -1.25, 200, 'é', 'p,q', 'é', 'xx', 'abc', '2024-02-29 12:34:56.5', '{"a":1}', 65535, NULL)`, "DELETE FROM t", "INSERT INTO known VALUES (1)")
		if metadata != "FULL" {
			err := r.pollError()
			for _, want := range []string{"table " + r.db + ".t whose schema isn't known to this connector", "snapshot.mode=recovery", "binlog_row_metadata=FULL"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v does not say %q", err, want)
				}
			}
			if connectors.ClassOf(err) != connectors.Permanent {
				t.Errorf("it is tried again: %v", err)
			}
			return
		}
		r.until(4)
		if !strings.HasPrefix(r.events[0], `t c (65535,abc) after (2024,-1,4294967295,`) || !strings.Contains(r.events[0], `,-1.25,200,é,p,q,é,xx,abc,`) || !strings.Contains(r.events[0], `,65535,null)`) {
			t.Error(r.events[0])
		}
	})
}

// TestSigns: a history that has missed that a column lost its sign would read half of its values wrong.
func TestSigns(t *testing.T) {
	t.Parallel()
	metadataServers(t, func(t *testing.T, r *rig, metadata string) {
		if metadata == "NO_LOG" { // the binlog does not say
			return
		}
		for _, types := range [][2]string{{"INT", "INT UNSIGNED"}, {"BIGINT UNSIGNED", "BIGINT"}} {
			r := rigOn(t, r.server, r.made, nil)
			r.exec("CREATE TABLE t (id INT PRIMARY KEY, y YEAR, v " + types[0] + ")")
			r.start()
			r.streaming()
			r.unlogged("ALTER TABLE t MODIFY v " + types[1])
			r.exec("INSERT INTO t VALUES (1, 2024, 3000000000 * ('" + types[1] + "' LIKE '%UNSIGNED'))")
			if err := r.pollError(); !strings.Contains(err.Error(), "column v is ") || !strings.Contains(err.Error(), "snapshot.mode to recovery") || connectors.ClassOf(err) != connectors.Permanent {
				t.Errorf("%v: %v", types, err)
			}
			r.stop()
			r.config["snapshot.mode"] = "recovery"
			r.start()
			r.until(1)
		}
	})
}

// TestSystemTimeZone has servers whose sessions are in a zone of the system's, with summer time.
func TestSystemTimeZone(t *testing.T) {
	t.Parallel()
	onNewServersWith(t, []string{"TZ=America/New_York", "default-time-zone=SYSTEM"}, func(t *testing.T, m *testbed.MySQL) {
		if zone := m.Query(t, "", "SELECT @@system_time_zone"); !strings.HasPrefix(zone, "E") {
			t.Fatalf("the system's zone is %s", zone)
		}
		r := rigOn(t, m, Factory{Version: "1", MariaDB: m.IsMariaDB()}, connectors.Config{"snapshot.mode": "initial"})
		r.exec("CREATE TABLE t (id INT PRIMARY KEY, ts TIMESTAMP(3) NULL, dt DATETIME(3), d DATE, h TIME)")
		rows := []string{
			"'2024-01-15 12:00:00.5', '2024-01-15 12:00:00.5', '2024-01-15', '12:00:00'", "'2024-07-15 12:00:00.5', '2024-07-15 12:00:00.5', '2024-07-15', '12:00:00'",
			"'2024-11-03 05:30:00+00:00', '2024-11-03 01:30:00', '2024-11-03', '01:30:00'", "'2024-11-03 06:30:00+00:00', '2024-11-03 01:30:00', '2024-11-03', '01:30:00'", // the same hour twice
		}
		insert := func(id int) {
			for i, row := range rows {
				if utc := strings.Replace(row, "+00:00", "", 1); utc != row {
					r.exec("SET SESSION time_zone = '+00:00'")
					row = utc
				}
				r.exec("INSERT INTO t VALUES ("+string(rune('0'+id+i))+", "+row+")", "SET SESSION time_zone = SYSTEM")
			}
		}
		insert(1)
		r.start()
		r.until(4)
		r.streaming()
		insert(5)
		r.until(8)
		want := []string{
			"1705338000500000,1705320000500000,19737,43200000000)", "1721059200500000,1721044800500000,19919,43200000000)",
			"1730611800000000,1730597400000000,20030,5400000000)", "1730615400000000,1730597400000000,20030,5400000000)",
		}
		for i, e := range r.events {
			if !strings.Contains(e, want[i%4]) {
				t.Errorf("%s has no %s", e, want[i%4])
			}
		}
	})
}
