package mysql

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// rights are what SHOW GRANTS tells of the user and its active roles.
type rights struct {
	global map[string]bool // on *.*
	some   map[string]bool // on anything
}

var grantForm = regexp.MustCompile("(?i)^GRANT (.+?) ON (.+?) TO ")

// parseGrants reads the lines of SHOW GRANTS. Columns of a privilege and lines that grant roles count for nothing.
func parseGrants(lines []string) rights {
	r := rights{map[string]bool{}, map[string]bool{}}
	for _, line := range lines {
		m := grantForm.FindStringSubmatch(line)
		if m == nil || strings.HasPrefix(m[2], "PROCEDURE") || strings.HasPrefix(m[2], "FUNCTION") {
			continue
		}
		for _, name := range strings.Split(m[1], ",") {
			name = strings.ToUpper(strings.TrimSpace(name))
			if m[2] == "*.*" {
				r.global[name] = true
			}
			r.some[name] = true
		}
	}
	return r
}

// may tells whether one of the privileges is held everywhere.
func (r rights) may(names ...string) bool { return has(r.global, names) }

// mayAnywhere tells whether one of the privileges is held somewhere.
func (r rights) mayAnywhere(names ...string) bool { return has(r.some, names) }

// reads tells whether SELECT is held somewhere, if only on a column.
func (r rights) reads() bool {
	if r.mayAnywhere("SELECT") {
		return true
	}
	for name := range r.some {
		if strings.HasPrefix(name, "SELECT (") {
			return true
		}
	}
	return false
}

func has(held map[string]bool, names []string) bool {
	return held["ALL PRIVILEGES"] || held["ALL"] || slices.ContainsFunc(names, func(n string) bool { return held[n] })
}

// readRights asks the server what the user may do, with its active roles.
func readRights(ctx context.Context, cfg *config, conn *client.Conn) (rights, error) {
	statement := "SHOW GRANTS"
	rows, err := cfg.texts(ctx, conn, "SELECT CURRENT_ROLE()")
	var old *mysql.MyError // MySQL 5.7 has no roles
	if err != nil && !(errors.As(err, &old) && old.Code == mysql.ER_SP_DOES_NOT_EXIST) {
		return rights{}, fmt.Errorf("read the roles of user %s: %w", cfg.user, err)
	}
	if err == nil && cfg.flavor == flavorMySQL && rows[0][0] != "" && !strings.EqualFold(rows[0][0], "NONE") {
		statement = "SHOW GRANTS FOR CURRENT_USER() USING " + rows[0][0]
	}
	if rows, err = cfg.texts(ctx, conn, statement); err != nil {
		return rights{}, fmt.Errorf("read the rights of user %s: %w", cfg.user, err)
	}
	var lines []string
	for _, r := range rows {
		lines = append(lines, r[0])
	}
	return parseGrants(lines), nil
}

// checkRights looks at the rights to read the binlog and to lock tables.
func checkRights(ctx context.Context, cfg *config, conn *client.Conn) ([]problem, error) {
	r, err := readRights(ctx, cfg, conn)
	if err != nil {
		return nil, err
	}
	var missing []string
	if cfg.streams() && !r.may("REPLICATION SLAVE", "REPLICATION REPLICA") {
		missing = append(missing, "REPLICATION SLAVE")
	}
	if !r.may("REPLICATION CLIENT", "BINLOG MONITOR", "SUPER") {
		missing = append(missing, "REPLICATION CLIENT")
	}
	var out []problem
	if len(missing) > 0 {
		out = append(out, problem{key: "database.user", text: fmt.Sprintf("user %s may not read the binlog of the server at %s; run: GRANT %s ON *.* TO %s",
			cfg.user, cfg.address(), strings.Join(missing, ", "), account(ctx, cfg, conn))})
	}
	if cfg.readsTables() && !r.reads() {
		out = append(out, problem{key: "database.user", text: fmt.Sprintf("user %s may read no table of the server at %s, which a snapshot does; run: GRANT SELECT ON %s.* TO %s",
			cfg.user, cfg.address(), cfg.someDatabase(), account(ctx, cfg, conn))})
	}
	unsettled, err := cfg.checkSettled(ctx, conn, r)
	if err != nil {
		return nil, err
	}
	out = append(out, unsettled...)
	if cfg.readsTables() && cfg.snapshot.locking != "none" && !r.may("RELOAD", "FLUSH_TABLES") && !r.mayAnywhere("LOCK TABLES") {
		out = append(out, problem{key: "database.user", text: fmt.Sprintf("user %s may lock neither the server at %s nor its tables, which a snapshot with snapshot.locking.mode=%s does; "+
			"run: GRANT RELOAD ON *.* TO %s (or GRANT LOCK TABLES on the captured databases), or set snapshot.locking.mode=none if nobody changes tables meanwhile",
			cfg.user, cfg.address(), cfg.snapshot.locking, account(ctx, cfg, conn))})
	}
	return out, nil
}

// checkSettled looks at what a snapshot without a lock needs where transactions have no GTIDs (snapshot.settle).
func (cfg *config) checkSettled(ctx context.Context, conn *client.Conn, r rights) ([]problem, error) {
	if cfg.flavor == flavorMariaDB || cfg.snapshot.locking != "none" || !cfg.readsTables() || !cfg.streams() || r.may("RELOAD") {
		return nil, nil
	}
	if percona, err := cfg.texts(ctx, conn, "SHOW STATUS LIKE 'binlog_snapshot_file'"); err != nil || len(percona) > 0 {
		return nil, err
	}
	mode, err := cfg.value(ctx, conn, "SELECT @@GLOBAL.gtid_mode")
	if err != nil || strings.EqualFold(mode, "ON") && !cfg.gtids.ignore {
		return nil, err
	}
	return []problem{{key: "database.user", text: fmt.Sprintf("user %s may not begin a binlog file of the server at %s: %s", cfg.user, cfg.address(), cfg.unsettled(account(ctx, cfg, conn)))}}, nil
}

// someDatabase is a database that the connector captures, for an advice.
func (cfg *config) someDatabase() string {
	if named := connectors.SplitList(cfg.raw["database.include.list"]); len(named) > 0 {
		return quote(named[0])
	}
	return "*"
}

// account is the user as GRANT names it.
func account(ctx context.Context, cfg *config, conn *client.Conn) string {
	rows, err := cfg.texts(ctx, conn, "SELECT CURRENT_USER()")
	if err != nil || len(rows) == 0 {
		return "'" + cfg.user + "'" // for an advice it will do
	}
	name, host, _ := strings.Cut(rows[0][0], "@")
	return "'" + name + "'@'" + host + "'"
}

// tablesAtOnce is how many tables one statement looks at.
const tablesAtOnce = 50

// unreadableTables lists the tables of which the user may read no column. Everybody may see a table who has any right on it.
func unreadableTables(ctx context.Context, cfg *config, conn *client.Conn, tables []changes.TableID) ([]changes.TableID, error) {
	var out []changes.TableID
	for at := 0; at < len(tables); at += tablesAtOnce {
		some := tables[at:min(at+tablesAtOnce, len(tables))]
		denied, err := deniedRead(ctx, cfg, conn, some...)
		if err != nil {
			return nil, err
		}
		for i := 0; denied && i < len(some); i++ {
			alone, err := deniedRead(ctx, cfg, conn, some[i])
			if err == nil && alone {
				alone, err = noColumn(ctx, cfg, conn, some[i])
			}
			if err != nil {
				return nil, err
			}
			if alone {
				out = append(out, some[i])
			}
		}
	}
	return out, nil
}

// noColumn tells whether the user may read no column of a table.
func noColumn(ctx context.Context, cfg *config, conn *client.Conn, t changes.TableID) (bool, error) {
	rows, err := cfg.texts(ctx, conn, fmt.Sprintf("SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = '%s' AND table_name = '%s' AND privileges LIKE '%%select%%'",
		mysql.Escape(t.Catalog), mysql.Escape(t.Name)))
	if err != nil {
		return false, fmt.Errorf("read the rights on %s: %w", t, err)
	}
	return rows[0][0] == "0", nil
}

// deniedRead tells whether the user may not read all columns of one of the tables.
func deniedRead(ctx context.Context, cfg *config, conn *client.Conn, tables ...changes.TableID) (bool, error) {
	var b strings.Builder
	for i, t := range tables {
		if i > 0 {
			b.WriteString(" UNION ALL ")
		}
		b.WriteString("SELECT 1 FROM (SELECT * FROM " + quoteTable(t) + " LIMIT 0) AS t")
	}
	_, err := cfg.texts(ctx, conn, b.String())
	var server *mysql.MyError
	if !errors.As(err, &server) {
		return false, err
	}
	switch server.Code {
	case mysql.ER_TABLEACCESS_DENIED_ERROR, mysql.ER_COLUMNACCESS_DENIED_ERROR, mysql.ER_DBACCESS_DENIED_ERROR:
		return true, nil
	}
	if len(tables) > 1 {
		return true, nil // look at each alone
	}
	return false, nil // dropped since, or broken: its snapshot will say so
}
