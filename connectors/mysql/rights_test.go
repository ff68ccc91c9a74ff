package mysql

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	library "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/testbed"
)

func TestParseGrants(t *testing.T) {
	r := parseGrants([]string{
		"GRANT SELECT, RELOAD, REPLICATION SLAVE, BINLOG MONITOR ON *.* TO `u`@`%`",
		"GRANT BACKUP_ADMIN,FLUSH_TABLES ON *.* TO `u`@`%`",
		"GRANT SELECT, LOCK TABLES ON `a b`.* TO `u`@`%` WITH GRANT OPTION",
		"GRANT EXECUTE ON PROCEDURE `d`.`p` TO `u`@`%`",
		"GRANT PROXY ON ''@'' TO 'u'@'%'",
		"GRANT `admin`@`%` TO `u`@`%`",
		"REVOKE SUPER ON `mysql`.* FROM `u`@`%`",
	})
	for name, want := range map[string]bool{"SELECT": true, "REPLICATION SLAVE": true, "BINLOG MONITOR": true, "FLUSH_TABLES": true, "LOCK TABLES": false, "SUPER": false, "EXECUTE": false} {
		if r.may(name) != want {
			t.Errorf("may %s: %v", name, !want)
		}
	}
	if !r.mayAnywhere("LOCK TABLES") || r.mayAnywhere("EXECUTE") {
		t.Error("rights on parts of the server")
	}
	if all := parseGrants([]string{"GRANT ALL PRIVILEGES ON *.* TO `root`@`%` WITH GRANT OPTION"}); !all.may("REPLICATION SLAVE") {
		t.Error("all privileges are not all")
	}
}

func TestValidateRights(t *testing.T) {
	for _, f := range []Factory{{}, {MariaDB: true}} {
		t.Run(f.flavor().String(), func(t *testing.T) {
			server := bed.MySQL(t)
			if f.MariaDB {
				server = bed.MariaDB(t)
			}
			database := server.NewDatabase(t)
			user := "u" + database
			server.Exec(t, database, "CREATE TABLE seen (id int PRIMARY KEY)", "CREATE TABLE `un``seen` (id int PRIMARY KEY, hidden int)", "CREATE USER "+user+" IDENTIFIED BY '"+secret+"'")
			defer server.Exec(t, "", "DROP USER "+user)
			c := properties(t, server, database, "database.user", user, "database.password", secret)
			grant := func(what string) { server.Exec(t, "", "GRANT "+what+" TO "+user) }
			want := func(texts ...string) {
				t.Helper()
				got := problems(t, f, c)
				if len(got) != len(texts) {
					t.Fatalf("got %d problems, want %q: %q", len(got), texts, got)
				}
				for i, text := range texts {
					if !strings.Contains(got[i], text) {
						t.Errorf("got %q, want %q", got[i], text)
					}
				}
			}
			binlog := "database.user: user " + user + " may not read the binlog of the server at " + server.Address() + "; run: GRANT "
			locks := "run: GRANT RELOAD ON *.* TO '" + user + "'@'%'"
			reads := "user " + user + " may read no table of the server at " + server.Address() + ", which a snapshot does; run: GRANT SELECT ON `" + database + "`.* TO '" + user + "'@'%'"
			want(binlog+"REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '"+user+"'@'%'", reads, locks)
			grant("REPLICATION SLAVE ON *.*")
			want(binlog+"REPLICATION CLIENT ON *.* TO", reads, locks)
			grant("REPLICATION CLIENT ON *.*")
			want(reads, locks)
			c["snapshot.locking.mode"] = "none"
			want(reads)
			c["snapshot.mode"] = "no_data"
			want()
			delete(c, "snapshot.mode")
			delete(c, "snapshot.locking.mode")
			grant("LOCK TABLES ON " + database + ".*")
			grant("SELECT ON " + database + ".seen")
			want() // a table on which the user has no right at all cannot be told from one that is not there
			grant("INSERT ON " + database + ".`un``seen`")
			want("user " + user + " may not read the captured table " + database + ".un`seen; run: GRANT SELECT ON `" + database + "`.`un``seen` TO '" + user + "'@'%'")
			grant("SELECT (id) ON " + database + ".`un``seen`")
			want()
		})
	}
}

// TestValidateRightsOfRoles has rights that come from a role.
func TestValidateRightsOfRoles(t *testing.T) {
	for _, f := range []Factory{{}, {MariaDB: true}} {
		server, everybody := bed.MySQL(t), " TO "
		if f.MariaDB {
			server, everybody = bed.MariaDB(t), " FOR "
		}
		database := server.NewDatabase(t)
		user, role := "u"+database, "r"+database
		server.Exec(t, database, "CREATE TABLE t (id int PRIMARY KEY)", "CREATE ROLE "+role, "CREATE USER "+user+" IDENTIFIED BY '"+secret+"'",
			"GRANT REPLICATION SLAVE, REPLICATION CLIENT, RELOAD, SELECT ON *.* TO "+role, "GRANT "+role+" TO "+user, "SET DEFAULT ROLE "+role+everybody+user)
		defer server.Exec(t, "", "DROP USER "+user, "DROP ROLE "+role)
		if got := problems(t, f, properties(t, server, database, "database.user", user, "database.password", secret)); len(got) > 0 {
			t.Errorf("%s: %q", f.flavor(), got)
		}
	}
}

// TestSettings has servers that write no binlog of rows, or one that lacks something.
func TestSettings(t *testing.T) {
	for name, c := range map[string]struct {
		mariadb  bool
		settings []string
		pairs    []string
		warnings []string
		want     string
	}{
		"no binlog": {false, []string{"skip-log-bin"}, nil, nil, "writes no binlog (log_bin=OFF)"},
		"statements": {
			true,
			[]string{"binlog-format=MIXED", "binlog-row-image=MINIMAL", "expire-logs-days=0.5", "skip-ssl"},
			[]string{"include.query", "true", "database.include.list", "nothing"},
			[]string{"binlog_row_image=MINIMAL", "drops binlog files after 720 minutes", "captures no table of the server at"},
			"binlog_format=MIXED, but capturing changes needs ROW; run: SET GLOBAL binlog_format = 'ROW', and binlog_format=ROW in my.cnf",
		},
		"poor": {
			false,
			[]string{"binlog-row-image=NOBLOB", "gtid-mode=OFF", "enforce-gtid-consistency=OFF", "binlog-expire-logs-seconds=3600"},
			[]string{"gtid.source.includes", "a.*", "include.query", "true", "guardrail.collections.max", "1", "table.include.list", ".*\\.[tu],shop\\.order"},
			[]string{`table.include.list: shop\.order matches no table of the server at`, "binlog_row_image=NOBLOB", "binlog_rows_query_log_events=OFF, so that include.query finds no statements; run: SET PERSIST binlog_rows_query_log_events = ON", "gtid_mode=OFF", "after 60 minutes", "2 tables are captured, more than guardrail.collections.max=1"},
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			start := testbed.StartMySQL
			if c.mariadb {
				start = testbed.StartMariaDB
			}
			f, server := Factory{MariaDB: c.mariadb}, start(t, c.settings...)
			database := server.NewDatabase(t)
			server.Exec(t, database, "CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE u (id int PRIMARY KEY)", "CREATE VIEW v AS SELECT * FROM t")
			p := properties(t, server, database, c.pairs...)
			if got := problems(t, f, p); c.want == "" && len(got) > 0 {
				t.Error(got)
			} else if c.want != "" {
				expect(t, got, c.want)
			}
			cfg := parsed(t, f, p)
			conn, err := cfg.connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			warnings, err := checkStart(t.Context(), cfg, conn)
			if (err != nil) != (c.want != "") || err != nil && (!strings.Contains(err.Error(), c.want) || connectors.ClassOf(err) != connectors.Permanent) {
				t.Errorf("the start fails with %v, want %q", err, c.want)
			}
			for _, want := range c.warnings {
				if !slices.ContainsFunc(warnings, func(w string) bool { return strings.Contains(w, want) }) {
					t.Errorf("no warning has %q: %q", want, warnings)
				}
			}
			if len(warnings) != len(c.warnings) {
				t.Errorf("warnings: %q", warnings)
			}
		})
	}
}

func TestVersions(t *testing.T) {
	for _, c := range []struct {
		f       flavor
		version string
		want    string
	}{
		{flavorMySQL, "9.7.0", ""},
		{flavorMySQL, "8.0.36-28-log", ""},
		{flavorMySQL, "5.7.44", "is not tested; version 8.0 or newer is"},
		{flavorMySQL, "5.6.51", "version 8.0 or newer is needed"},
		{flavorMySQL, "11.8.2-MariaDB", "is a MariaDB server (11.8.2-MariaDB), but this connector reads MySQL; set connector.class=io.debezium.connector.mariadb.MariaDbConnector"},
		{flavorMariaDB, "10.6.18-MariaDB-log", ""},
		{flavorMariaDB, "10.5.1-MariaDB", "is not tested"},
		{flavorMariaDB, "10.3.39-MariaDB", "version 10.6 or newer is needed"},
		{flavorMariaDB, "8.4.0", "is a MySQL server (8.4.0), but this connector reads MariaDB"},
	} {
		s := serverSettings{version: c.version, mariadb: strings.Contains(c.version, "MariaDB")}
		s.major, s.minor = parseVersion(c.version)
		got := checkVersion(&config{flavor: c.f, host: "db", port: 3306}, s)
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0].text, c.want)) {
			t.Errorf("%s %s: %+v", c.f, c.version, got)
		}
	}
}

// TestCapturedTables lists tables in the order of table.include.list, without views and what belongs to the server.
func TestCapturedTables(t *testing.T) {
	server := bed.MySQL(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE TABLE a (id int)", "CREATE TABLE b (id int)", "CREATE TABLE c (id int)", "CREATE VIEW v AS SELECT 1 AS x")
	cfg := parsed(t, Factory{}, properties(t, server, "", "database.include.list", "", "table.include.list", database+"\\.c,"+database+"\\.(a|v),mysql\\..*"))
	conn, err := cfg.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	got, err := capturedTables(t.Context(), cfg, conn)
	if err != nil {
		t.Fatal(err)
	}
	if want := []changes.TableID{{Catalog: database, Name: "c"}, {Catalog: database, Name: "a"}}; !slices.Equal(got, want) {
		t.Errorf("captured: %v", got)
	}
}

// TestSameServerID has two replicas with one id.
func TestSameServerID(t *testing.T) {
	for _, f := range []Factory{{}, {MariaDB: true}} {
		server := bed.MySQL(t)
		if f.MariaDB {
			server = bed.MariaDB(t)
		}
		database := server.NewDatabase(t)
		server.Exec(t, database, "CREATE TABLE t (id int PRIMARY KEY)")
		cfg := parsed(t, f, properties(t, server, database, "database.server.id", "777001"))
		conn, err := cfg.connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if warnings, err := checkStart(t.Context(), cfg, conn); err != nil || len(warnings) > 0 {
			t.Fatalf("%s: warnings %q, error %v", f.flavor(), warnings, err)
		}
		other := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{
			ServerID: cfg.serverID, Flavor: f.flavor().String(), Host: cfg.host, Port: cfg.port, User: cfg.user, Password: cfg.password, Localhost: "elsewhere",
			Logger: slog.New(slog.DiscardHandler),
		})
		defer other.Close()
		file := server.Query(t, "", "SHOW BINARY LOGS")
		if _, err := other.StartSync(library.Position{Name: file, Pos: 4}); err != nil {
			t.Fatal(err)
		}
		warnings, err := checkStart(t.Context(), cfg, conn)
		if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], `has a replica with the id 777001 already (host "elsewhere")`) {
			t.Errorf("%s: warnings %q, error %v", f.flavor(), warnings, err)
		}
	}
}
