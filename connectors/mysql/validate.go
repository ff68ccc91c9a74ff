package mysql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// problem is what the live check found, and the key that it belongs to.
type problem struct {
	key, text string
	long      string // the text with the place and what to do; "": text has them
	passing   bool   // the server could not be reached, or the connection to it was lost
	warning   bool   // the connector works, but perhaps not as its owner wants
}

// checkDatabase connects and looks at everything that a start needs.
func checkDatabase(ctx context.Context, cfg *config) []problem {
	const key = "database.hostname"
	conn, cause, err := cfg.tryConnect(ctx)
	if err != nil {
		return []problem{{key: key, text: briefly(cause, err), long: err.Error(), passing: connectors.ClassOf(err) == connectors.Retriable}}
	}
	defer func() { _ = conn.Close() }()
	found, err := checkServer(ctx, cfg, conn)
	if err != nil {
		text := "Error during connection validation: " + err.Error()
		if errors.Is(err, context.DeadlineExceeded) {
			text = fmt.Sprintf("Connection validation timed out after %d ms", cfg.validation.Milliseconds())
		}
		var answered *mysql.MyError
		found = append(found, problem{key: key, text: text, passing: !errors.As(err, &answered)})
	}
	return found
}

// briefly is what the reference says of a connection that fails with cause; where it does not say why, we do.
func briefly(cause, err error) string {
	var server *mysql.MyError
	if errors.As(cause, &server) {
		return "Unable to connect: " + server.Message
	}
	return "Error during connection validation: io.debezium.DebeziumException: Failed to establish connection with the database: " + err.Error()
}

// checkStart is the check of a task that starts: the warnings, and an error that is permanent. conn stays open.
func checkStart(ctx context.Context, cfg *config, conn *client.Conn) (warnings []string, err error) {
	found, err := checkServer(ctx, cfg, conn)
	if err != nil {
		return nil, err
	}
	var fatal []string
	for _, p := range found {
		if p.warning {
			warnings = append(warnings, p.text)
		} else {
			fatal = append(fatal, p.text)
		}
	}
	if len(fatal) > 0 {
		return warnings, connectors.AsPermanent(errors.New(strings.Join(fatal, "; ")))
	}
	return warnings, nil
}

// checkServer looks at version, settings, rights and captured tables.
func checkServer(ctx context.Context, cfg *config, conn *client.Conn) ([]problem, error) {
	s, err := readServer(ctx, cfg, conn)
	if err != nil {
		return nil, err
	}
	out := checkVersion(cfg, s)
	if len(out) > 0 && !out[0].warning {
		return out, nil // nothing else that it says can be relied on
	}
	out = append(out, checkSettings(cfg, s)...)
	for _, check := range []func(context.Context, *config, *client.Conn) ([]problem, error){checkReplicas, checkRights, checkTables} {
		found, err := check(ctx, cfg, conn)
		if err != nil {
			return out, err
		}
		out = append(out, found...)
	}
	return out, nil
}

// serverSettings is what a server says of itself.
type serverSettings struct {
	version      string // 8.4.3, 11.8.2-MariaDB
	major, minor int
	mariadb      bool
	variables    map[string]string // global, upper case; "" for one that this server does not have
}

// variables are those that checks look at.
const variables = "log_bin binlog_format binlog_row_image binlog_row_value_options binlog_rows_query_log_events binlog_annotate_row_events " +
	"gtid_mode server_id server_uuid binlog_expire_logs_seconds expire_logs_days"

func readServer(ctx context.Context, cfg *config, conn *client.Conn) (serverSettings, error) {
	var s serverSettings
	rows, err := cfg.texts(ctx, conn, "SELECT VERSION(), @@version_comment")
	if err != nil || len(rows) == 0 {
		return s, fmt.Errorf("read the version of the server: %w", err)
	}
	s.version = rows[0][0]
	s.mariadb = strings.Contains(strings.ToLower(rows[0][0]+rows[0][1]), "mariadb")
	s.major, s.minor = parseVersion(s.version)
	rows, err = cfg.texts(ctx, conn, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('"+strings.Join(words(variables), "', '")+"')")
	if err != nil {
		return s, fmt.Errorf("read settings of the server: %w", err)
	}
	s.variables = map[string]string{}
	for _, r := range rows {
		s.variables[strings.ToLower(r[0])] = strings.ToUpper(r[1])
	}
	return s, nil
}

// parseVersion reads 8.4.3 and 10.6.18-MariaDB-log.
func parseVersion(text string) (major, minor int) {
	parts := strings.SplitN(text, ".", 3)
	major, _ = strconv.Atoi(parts[0])
	if len(parts) > 1 {
		minor, _ = strconv.Atoi(parts[1])
	}
	return major, minor
}

// texts runs a query and returns its rows as texts, "" for NULL.
func (cfg *config) texts(ctx context.Context, conn *client.Conn, query string) ([][]string, error) {
	result, err := cfg.execute(ctx, conn, query)
	if err != nil {
		return nil, err
	}
	defer result.Close()
	out := make([][]string, result.RowNumber())
	for i := range out {
		for j := range result.ColumnNumber() {
			text, err := result.GetString(i, j)
			if err != nil {
				return nil, err
			}
			out[i] = append(out[i], strings.Clone(text))
		}
	}
	return out, nil
}

// checkVersion looks at the product and its version.
func checkVersion(cfg *config, s serverSettings) []problem {
	const key = "database.hostname"
	is, other, class := flavorMySQL, "MariaDB", "io.debezium.connector.mariadb.MariaDbConnector"
	if s.mariadb {
		is = flavorMariaDB
	}
	if is != cfg.flavor {
		if is == flavorMySQL {
			other, class = "MySQL", "io.debezium.connector.mysql.MySqlConnector"
		}
		return []problem{{key: key, text: fmt.Sprintf("the server at %s is a %s server (%s), but this connector reads %s; set connector.class=%s", cfg.address(), other, s.version, cfg.flavor.product(), class)}}
	}
	least, needed, tested := [2]int{5, 7}, "8.0", [2]int{8, 0}
	if s.mariadb {
		least, needed, tested = [2]int{10, 4}, "10.6", [2]int{10, 6}
	}
	switch version := [2]int{s.major, s.minor}; {
	case before(version, least):
		return []problem{{key: key, text: fmt.Sprintf("the server at %s runs %s %s; version %s or newer is needed", cfg.address(), cfg.flavor.product(), s.version, needed)}}
	case before(version, tested):
		return []problem{{key: key, warning: true, text: fmt.Sprintf("the server at %s runs %s %s, which is not tested; version %s or newer is", cfg.address(), cfg.flavor.product(), s.version, needed)}}
	}
	return nil
}

func before(a, b [2]int) bool { return a[0] < b[0] || a[0] == b[0] && a[1] < b[1] }

// checkSettings looks at what the server writes to its binlog.
func checkSettings(cfg *config, s serverSettings) []problem {
	var out []problem
	add := func(key, format string, args ...any) {
		out = append(out, problem{key: key, text: fmt.Sprintf("the server at %s ", cfg.address()) + fmt.Sprintf(format, args...)})
	}
	warn := func(format string, args ...any) {
		add("database.hostname", format, args...)
		out[len(out)-1].warning = true
	}
	set := func(name, value string) string {
		if s.mariadb {
			return fmt.Sprintf("SET GLOBAL %s = %s, and %s=%s in my.cnf", name, value, name, strings.Trim(value, "'"))
		}
		return fmt.Sprintf("SET PERSIST %s = %s", name, value)
	}
	v := s.variables
	if v["log_bin"] != "ON" && v["log_bin"] != "1" {
		add("database.hostname", "writes no binlog (log_bin=OFF), without which there are no changes to read; put log_bin=binlog and a server_id into my.cnf, and restart it")
		return out
	}
	if f := v["binlog_format"]; f != "" && f != "ROW" && cfg.streams() {
		add("database.hostname", "has binlog_format=%s, but capturing changes needs ROW; run: %s, and let applications connect again", f, set("binlog_format", "'ROW'"))
	}
	if n, _ := strconv.ParseUint(v["server_id"], 10, 64); n == uint64(cfg.serverID) {
		add("database.server.id", "has the id %d (server_id) itself; give the connector an id that no server and no replica has", n)
	} else if n == 0 && v["server_id"] != "" {
		add("database.hostname", "has server_id=0, with which it refuses replicas; run: %s", set("server_id", "1"))
	}
	if i := v["binlog_row_image"]; i != "" && i != "FULL" {
		warn("has binlog_row_image=%s: an event lacks the values of columns that the statement did not touch, and shows unavailable.value.placeholder or null in their place; run: %s", i, set("binlog_row_image", "'FULL'"))
	}
	if cfg.query {
		name := "binlog_rows_query_log_events"
		if s.mariadb {
			name = "binlog_annotate_row_events"
		}
		if v[name] != "ON" {
			warn("has %s=OFF, so that include.query finds no statements; run: %s", name, set(name, "ON"))
		}
	}
	if len(cfg.gtids.includes)+len(cfg.gtids.excludes) > 0 && !s.mariadb && v["gtid_mode"] != "ON" {
		warn("has gtid_mode=%s, so that gtid.source.includes and gtid.source.excludes have no effect", v["gtid_mode"])
	}
	if kept := keptSeconds(v); kept > 0 && kept < 24*60*60 {
		warn("drops binlog files after %d minutes; a connector that is away for longer has to take a new snapshot; run: %s", kept/60, set("binlog_expire_logs_seconds", "604800"))
	}
	return out
}

// checkReplicas looks for another replica with the connector's id. It may be the connector itself, of which the server does not
// know yet that it is gone.
func checkReplicas(ctx context.Context, cfg *config, conn *client.Conn) ([]problem, error) {
	for _, statement := range []string{"SHOW REPLICAS", "SHOW SLAVE HOSTS"} { // each is unknown to some servers
		rows, err := cfg.texts(ctx, conn, statement)
		if errors.As(err, new(*mysql.MyError)) {
			continue // or not allowed
		}
		if err != nil {
			return nil, fmt.Errorf("list the replicas of the server: %w", err)
		}
		for _, r := range rows {
			if r[0] == strconv.FormatUint(uint64(cfg.serverID), 10) {
				return []problem{{key: "database.server.id", warning: true, text: fmt.Sprintf("the server at %s has a replica with the id %s already (host %q): when it is another one than this connector, "+
					"give the connector an id of its own in database.server.id, or the two may end each other's connections", cfg.address(), r[0], r[1])}}, nil
			}
		}
		break
	}
	return nil, nil
}

// keptSeconds is how long binlog files are kept; 0: until somebody purges them.
func keptSeconds(variables map[string]string) int64 {
	seconds, _ := strconv.ParseFloat(variables["binlog_expire_logs_seconds"], 64)
	days, _ := strconv.ParseFloat(variables["expire_logs_days"], 64)
	if seconds == 0 {
		seconds = days * 24 * 60 * 60
	}
	return int64(seconds)
}

// streams tells that the binlog is read.
func (cfg *config) streams() bool { return cfg.snapshot.mode != "initial_only" }

// checkTables looks at the captured tables, and at the rights to read them.
func checkTables(ctx context.Context, cfg *config, conn *client.Conn) ([]problem, error) {
	tables, err := capturedTables(ctx, cfg, conn)
	if err != nil {
		return nil, err
	}
	var out []problem
	const hint = "; check database.include.list and table.include.list (names have the form database.table), and grant the user SELECT on the tables"
	if len(tables) == 0 {
		out = append(out, problem{key: "table.include.list", warning: true, text: fmt.Sprintf("the connector captures no table of the server at %s that user %s can see%s", cfg.address(), cfg.user, hint)})
	} else {
		for _, item := range cfg.selection.Unmatched(tables) {
			out = append(out, problem{key: "table.include.list", warning: true, text: fmt.Sprintf("table.include.list: %s matches no table of the server at %s that user %s can see%s", item, cfg.address(), cfg.user, hint)})
		}
	}
	if n := len(tables); cfg.maxTables > 0 && n > cfg.maxTables {
		out = append(out, problem{key: "guardrail.collections.max", warning: !cfg.failTables, text: fmt.Sprintf("%d tables are captured, more than guardrail.collections.max=%d; narrow table.include.list or raise the limit", n, cfg.maxTables)})
	}
	if !cfg.readsTables() {
		return out, nil
	}
	unreadable, err := unreadableTables(ctx, cfg, conn, tables)
	if err != nil {
		return nil, err
	}
	if len(unreadable) > 0 {
		out = append(out, problem{key: "database.user", text: fmt.Sprintf("user %s may not read the captured table %s; run: GRANT SELECT ON %s TO %s, or leave it out with table.exclude.list",
			cfg.user, some(unreadable), quoteTable(unreadable[0]), account(ctx, cfg, conn))})
	}
	return out, nil
}

// readsTables tells that a snapshot may read rows.
func (cfg *config) readsTables() bool {
	return cfg.snapshot.mode != "no_data" && cfg.snapshot.mode != "recovery"
}

// capturedTables lists the captured tables that the user can see, without views.
func capturedTables(ctx context.Context, cfg *config, conn *client.Conn) ([]changes.TableID, error) {
	rows, err := cfg.texts(ctx, conn, "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')")
	if err != nil {
		return nil, fmt.Errorf("list the tables of the server: %w", err)
	}
	var out []changes.TableID
	for _, r := range rows {
		if id := (changes.TableID{Catalog: r[0], Name: r[1]}); cfg.selection.Table(id) {
			out = append(out, id)
		}
	}
	cfg.selection.Sort(out)
	return out, nil
}

// some names the first of a list, and how many there are.
func some(tables []changes.TableID) string {
	if len(tables) == 1 {
		return tables[0].String()
	}
	return fmt.Sprintf("%s (and %d more)", tables[0], len(tables)-1)
}

// quote writes a name as SQL does.
func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func quoteTable(t changes.TableID) string { return quote(t.Catalog) + "." + quote(t.Name) }
