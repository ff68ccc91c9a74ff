package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// ensurePublication creates or adapts the publication as publication.autocreate.mode says. It comes before the slot: the
// server looks a publication up as of the change that it decodes.
func ensurePublication(ctx context.Context, db querier, cfg *config, tables []changes.TableID, log *slog.Logger) error {
	name := pgx.Identifier{cfg.publication}.Sanitize()
	exists, all, err := readPublication(ctx, db, cfg.publication)
	if err != nil {
		return err
	}
	with := publicationOptions(cfg)
	switch {
	case exists && (cfg.autocreate != "filtered" || all):
		return nil
	case cfg.autocreate == "disabled":
		return connectors.AsPermanent(fmt.Errorf("publication %s does not exist in database %s and publication.autocreate.mode is disabled: create it (CREATE PUBLICATION %s FOR TABLE …), or choose another mode",
			cfg.publication, cfg.database, name))
	case cfg.autocreate == "all_tables":
		return createPublication(ctx, db, cfg, "CREATE PUBLICATION "+name+" FOR ALL TABLES"+with, log)
	case cfg.autocreate == "no_tables":
		return createPublication(ctx, db, cfg, "CREATE PUBLICATION "+name+with, log)
	case len(tables) == 0:
		return connectors.AsPermanent(fmt.Errorf("create publication %s: publication.autocreate.mode is filtered, but no table of database %s is captured: check table.include.list and schema.include.list",
			cfg.publication, cfg.database))
	case !exists:
		return createPublication(ctx, db, cfg, "CREATE PUBLICATION "+name+" FOR TABLE "+tableList(tables)+with, log)
	}
	return alterPublication(ctx, db, cfg, tables, log)
}

func readPublication(ctx context.Context, db querier, name string) (exists, all bool, err error) {
	rows, err := db.Query(ctx, "SELECT puballtables FROM pg_publication WHERE pubname = $1", name)
	if err == nil {
		all, err = pgx.CollectOneRow(rows, pgx.RowTo[bool])
	}
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, false, nil
	case err != nil:
		return false, false, fmt.Errorf("read publication %s: %w", name, err)
	}
	return true, all, nil
}

// publicationOptions is the WITH clause: operations that are skipped are not published in the first place.
func publicationOptions(cfg *config) string {
	var publish, options []string
	for _, o := range []struct {
		op   connectors.Op
		name string
	}{{connectors.OpCreate, "insert"}, {connectors.OpUpdate, "update"}, {connectors.OpDelete, "delete"}, {connectors.OpTruncate, "truncate"}} {
		if !cfg.operations.Skips(o.op) {
			publish = append(publish, o.name)
		}
	}
	if len(publish) < 4 {
		options = append(options, "publish = "+quoteLiteral(strings.Join(publish, ", ")))
	}
	if cfg.viaRoot {
		options = append(options, "publish_via_partition_root = true")
	}
	if len(options) == 0 {
		return ""
	}
	return " WITH (" + strings.Join(options, ", ") + ")"
}

func tableList(tables []changes.TableID) string {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = pgx.Identifier{t.Schema, t.Name}.Sanitize()
	}
	return strings.Join(names, ", ")
}

func createPublication(ctx context.Context, db querier, cfg *config, sql string, log *slog.Logger) error {
	log.Info("creating publication", "statement", sql)
	err := execute(ctx, db, sql)
	switch sqlState(err) {
	case "":
		return err
	case "42710": // another task made it meanwhile
		return nil
	case "42501":
		need := "must own the captured tables and have the CREATE privilege on the database"
		if cfg.autocreate == "all_tables" {
			need = "must be a superuser, for publication.autocreate.mode is all_tables (filtered needs less: ownership of the captured tables)"
		}
		return connectors.AsPermanent(fmt.Errorf("create publication %s as user %s: %w; the user %s; or let an administrator run: %s", cfg.publication, cfg.user, err, need, sql))
	}
	return fmt.Errorf("create publication %s: %w", cfg.publication, err)
}

// alterPublication makes an existing publication publish exactly the captured tables.
func alterPublication(ctx context.Context, db querier, cfg *config, tables []changes.TableID, log *slog.Logger) error {
	rows, err := db.Query(ctx, `SELECT n.nspname, c.relname FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = $1`, cfg.publication)
	if err != nil {
		return fmt.Errorf("read tables of publication %s: %w", cfg.publication, err)
	}
	now, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (changes.TableID, error) {
		t := changes.TableID{Catalog: cfg.database}
		return t, row.Scan(&t.Schema, &t.Name)
	})
	if err != nil {
		return fmt.Errorf("read tables of publication %s: %w", cfg.publication, err)
	}
	missing := slices.ContainsFunc(tables, func(t changes.TableID) bool { return !slices.Contains(now, t) })
	if !missing && len(now) == len(tables) {
		return nil
	}
	sql := "ALTER PUBLICATION " + pgx.Identifier{cfg.publication}.Sanitize() + " SET TABLE " + tableList(tables)
	log.Info("changing the tables of the publication", "statement", sql)
	if err := execute(ctx, db, sql); err != nil {
		if sqlState(err) == "42501" {
			return connectors.AsPermanent(fmt.Errorf("change publication %s as user %s: %w; the user must own the publication and the captured tables; or let an administrator run: %s",
				cfg.publication, cfg.user, err, sql))
		}
		return fmt.Errorf("change publication %s: %w", cfg.publication, err)
	}
	return nil
}

// ensureIdentities sets the replica identity of captured tables as replica.identity.autoset.values says.
func ensureIdentities(ctx context.Context, db querier, cfg *config, tables []changes.TableID, log *slog.Logger) error {
	for _, t := range tables {
		want := ""
		for _, r := range cfg.identities {
			if r.table.Match(t.String()) {
				want = r.identity
				break
			}
		}
		if want == "" {
			continue
		}
		if err := ensureIdentity(ctx, db, t, want, log); err != nil {
			return fmt.Errorf("set replica identity %s of table %s (replica.identity.autoset.values): %w", want, t, err)
		}
	}
	return nil
}

func ensureIdentity(ctx context.Context, db querier, t changes.TableID, want string, log *slog.Logger) error {
	rows, err := db.Query(ctx, `SELECT c.relreplident::text, coalesce((SELECT x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
WHERE i.indrelid = c.oid AND i.indisreplident), '') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2`, t.Schema, t.Name)
	if err != nil {
		return err
	}
	var has, index string
	if _, err = pgx.ForEachRow(rows, []any{&has, &index}, func() error { return nil }); err != nil {
		return err
	}
	kind, name, _ := strings.Cut(want, " ")
	kind, name = strings.ToUpper(kind), strings.TrimSpace(name)
	clause := map[string]string{"DEFAULT": "d", "FULL": "f", "NOTHING": "n", "INDEX": "i"}[kind]
	if has == clause && (kind != "INDEX" || index == name) {
		return nil
	}
	sql := "ALTER TABLE " + pgx.Identifier{t.Schema, t.Name}.Sanitize() + " REPLICA IDENTITY " + kind
	if kind == "INDEX" {
		sql = "ALTER TABLE " + pgx.Identifier{t.Schema, t.Name}.Sanitize() + " REPLICA IDENTITY USING INDEX " + pgx.Identifier{name}.Sanitize()
	}
	log.Info("setting replica identity", "statement", sql)
	return execute(ctx, db, sql)
}

func execute(ctx context.Context, db querier, sql string) error {
	rows, err := db.Query(ctx, sql)
	if err != nil {
		return err
	}
	rows.Close()
	return rows.Err()
}
