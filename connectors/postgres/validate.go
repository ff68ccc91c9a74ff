package postgres

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// problem is what the live check found, and the key that it belongs to.
type problem struct {
	key, text string
	long      string // the text with the place and what to do; "": text has them
	passing   bool   // the server could not be reached, or the connection to it was lost
}

// checkDatabase connects and looks at everything that a start needs.
func checkDatabase(ctx context.Context, cfg *config) []problem {
	const key = "database.hostname"
	conn, cause, err := cfg.tryConnect(ctx)
	if err != nil {
		const begin = "Error while validating connector config: "
		return []problem{{key: key, text: begin + cfg.briefly(cause, err), long: begin + err.Error(), passing: connectors.ClassOf(err) == connectors.Retriable}}
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var out []problem
	for _, check := range []func(context.Context, *config, *pgx.Conn) ([]problem, error){checkServer, checkRole, checkTables, checkReplicationSlot} {
		found, err := check(ctx, cfg, conn)
		if err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				err = fmt.Errorf("Connection validation timed out after %d ms", cfg.validation.Milliseconds()) //nolint:staticcheck // the reference's text
			}
			return append(out, problem{key: key, text: "Error while validating connector config: " + err.Error(), passing: conn.IsClosed()})
		}
		out = append(out, found...)
	}
	return out
}

// briefly is what the reference's driver says of a connection that fails with cause, or else our text.
func (cfg *config) briefly(cause, err error) string {
	var server *pgconn.PgError
	switch {
	case errors.As(cause, &server):
		return server.Severity + ": " + server.Message
	case errors.Is(cause, syscall.ECONNREFUSED):
		return fmt.Sprintf("Connection to %s:%d refused. Check that the hostname and port are correct and that the postmaster is accepting TCP/IP connections.", cfg.host, cfg.port)
	}
	return err.Error()
}

// checkServer looks at the version and wal_level.
func checkServer(ctx context.Context, cfg *config, conn *pgx.Conn) ([]problem, error) {
	var version int
	var text, level string
	err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int, current_setting('server_version'), current_setting('wal_level')").Scan(&version, &text, &level)
	if err != nil {
		return nil, fmt.Errorf("read settings of the server: %w", err)
	}
	var out []problem
	if version < 130000 { // 13 is not tested, but has all that is needed
		out = append(out, problem{key: "database.hostname", text: fmt.Sprintf("the server at %s runs PostgreSQL %s; version 14 or newer is needed", cfg.host, text)})
	}
	if level != "logical" {
		out = append(out, problem{key: "database.hostname", text: fmt.Sprintf("the server at %s has wal_level=%s, but logical replication needs wal_level=logical; set it (ALTER SYSTEM SET wal_level = 'logical') and restart the server", cfg.host, level)})
	}
	return out, nil
}

// Cloud providers give replication through roles of their own.
const roleSQL = `SELECT r.rolsuper, r.rolreplication OR EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
  WHERE m.member = r.oid AND g.rolname IN ('rds_superuser', 'rdsadmin', 'rds_replication', 'cloudsqlsuperuser', 'alloydbsuperuser', 'azure_pg_admin')),
  has_database_privilege(current_database(), 'CREATE') FROM pg_roles r WHERE r.rolname = current_user`

// checkRole looks at the rights to replicate and to create the publication.
func checkRole(ctx context.Context, cfg *config, conn *pgx.Conn) ([]problem, error) {
	var super, replication, create bool
	if err := conn.QueryRow(ctx, roleSQL).Scan(&super, &replication, &create); err != nil {
		return nil, fmt.Errorf("read rights of user %s: %w", cfg.user, err)
	}
	user := pgx.Identifier{cfg.user}.Sanitize()
	var out []problem
	if !super && !replication {
		out = append(out, problem{key: "database.user", text: fmt.Sprintf("user %s may not replicate; run: ALTER ROLE %s REPLICATION", cfg.user, user)})
	}
	exists, _, err := readPublication(ctx, conn, cfg.publication)
	if err != nil || exists || super {
		return out, err
	}
	switch cfg.autocreate {
	case "disabled":
	case "all_tables":
		out = append(out, problem{key: "publication.name", text: fmt.Sprintf("publication %s does not exist, and user %s may not create it: publication.autocreate.mode=all_tables needs a superuser; let one run CREATE PUBLICATION %s FOR ALL TABLES, or set publication.autocreate.mode=filtered",
			cfg.publication, cfg.user, pgx.Identifier{cfg.publication}.Sanitize())})
	default:
		if !create {
			out = append(out, problem{key: "publication.name", text: fmt.Sprintf("publication %s does not exist, and user %s may not create it; run: GRANT CREATE ON DATABASE %s TO %s",
				cfg.publication, cfg.user, pgx.Identifier{cfg.database}.Sanitize(), user)})
		}
	}
	return out, nil
}

// checkTables looks at the publication and at the rights to read the captured tables.
func checkTables(ctx context.Context, cfg *config, conn *pgx.Conn) ([]problem, error) {
	exists, _, err := readPublication(ctx, conn, cfg.publication)
	if err != nil {
		return nil, err
	}
	var out []problem
	if !exists && cfg.autocreate == "disabled" {
		out = append(out, problem{key: "publication.name", text: fmt.Sprintf("publication %s does not exist in database %s and publication.autocreate.mode is disabled; run CREATE PUBLICATION %s FOR TABLE …, or choose another mode",
			cfg.publication, cfg.database, pgx.Identifier{cfg.publication}.Sanitize())})
	}
	tables, err := newCatalog(cfg, conn, "", nil, nil).listTables(ctx)
	if err != nil {
		return nil, err
	}
	if len(tables) == 0 && cfg.autocreate == "filtered" {
		out = append(out, problem{key: "table.include.list", text: fmt.Sprintf("no table of database %s is captured, and publication.autocreate.mode=filtered cannot make a publication without tables; check table.include.list and schema.include.list", cfg.database)})
	}
	rights, err := tableRights(ctx, conn, tables)
	if err != nil {
		return nil, err
	}
	if names := rights.unreadable; len(names) > 0 && cfg.snapshot.mode != "no_data" {
		out = append(out, problem{key: "database.user", text: fmt.Sprintf("user %s may not read the captured table %s; grant it SELECT on the tables and USAGE on their schemas, or leave them out with table.exclude.list", cfg.user, some(names))})
	}
	if names := rights.foreign; len(names) > 0 && !exists && cfg.autocreate == "filtered" {
		out = append(out, problem{key: "publication.name", text: fmt.Sprintf("publication %s cannot be created by user %s, who does not own the captured table %s; let the owner run CREATE PUBLICATION, or make the user a member of the owning role", cfg.publication, cfg.user, some(names))})
	}
	if cfg.maxTables > 0 && len(tables) > cfg.maxTables && cfg.failTables {
		out = append(out, problem{key: "guardrail.collections.max", text: guardrailText(len(tables), cfg.maxTables)})
	}
	return out, nil
}

func guardrailText(tables, most int) string {
	return fmt.Sprintf("%d tables are captured, more than guardrail.collections.max=%d; narrow table.include.list or raise the limit", tables, most)
}

// rights lists the tables that the user may not read, and those that it does not own.
type rights struct{ unreadable, foreign []string }

func tableRights(ctx context.Context, conn *pgx.Conn, tables []changes.TableID) (rights, error) {
	var out rights
	rows, err := conn.Query(ctx, `SELECT n.nspname, c.relname, has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT'), pg_has_role(c.relowner, 'USAGE')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p')`)
	if err != nil {
		return out, fmt.Errorf("read rights on tables: %w", err)
	}
	captured := map[string]bool{}
	for _, t := range tables {
		captured[t.String()] = true
	}
	var schema, name string
	var read, own bool
	_, err = pgx.ForEachRow(rows, []any{&schema, &name, &read, &own}, func() error {
		id := schema + "." + name
		if captured[id] && !read {
			out.unreadable = append(out.unreadable, id)
		}
		if captured[id] && !own {
			out.foreign = append(out.foreign, id)
		}
		return nil
	})
	if err != nil {
		return out, fmt.Errorf("read rights on tables: %w", err)
	}
	return out, nil
}

// some names the first of a list, and how many there are.
func some(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return fmt.Sprintf("%s (and %d more)", names[0], len(names)-1)
}

// checkReplicationSlot looks at a slot that is there already. One that is in use is not a problem: whoever hands the connector
// over may still be closing, and the task waits for it (slot.max.retries).
func checkReplicationSlot(ctx context.Context, cfg *config, conn *pgx.Conn) ([]problem, error) {
	slot, err := readSlot(ctx, conn, cfg.slot)
	if err != nil || slot == nil {
		return nil, err
	}
	if text := slot.usable(cfg.slot, cfg.database); text != "" {
		return []problem{{key: "slot.name", text: text}}, nil
	}
	return nil, nil
}
