package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/mysql/ddl"
)

// readTables returns all tables that the user can see, but for those of the server itself, in the order of the reference's table ids.
func (s *snapshot) readTables(ctx context.Context) ([]changes.TableID, error) {
	databases, err := s.t.cfg.texts(ctx, s.meta, "SHOW DATABASES")
	if err != nil {
		return nil, fmt.Errorf("read the names of the databases: %w", err)
	}
	var out []changes.TableID
	for _, row := range databases {
		database := row[0]
		if s.t.cfg.selection.Builtin(changes.TableID{Catalog: database}) {
			continue
		}
		names, err := s.t.cfg.texts(ctx, s.meta, "SHOW FULL TABLES IN "+quote(database)+" WHERE Table_Type = 'BASE TABLE'")
		if serverAnswered(err) { // a folder of the server that is no database, or one that was dropped
			s.t.log.Warn("leaving out a database whose tables cannot be listed", "database", database, "error", err)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the tables of %s: %w", database, err)
		}
		for _, name := range names {
			out = append(out, changes.TableID{Catalog: database, Name: name[0]})
		}
	}
	slices.SortFunc(out, func(a, b changes.TableID) int { return strings.Compare(a.String(), b.String()) })
	return out, nil
}

// choose says whose schema is kept and whose rows are read.
func (s *snapshot) choose(all []changes.TableID) (described []changes.TableID) {
	cfg := s.t.cfg
	for _, id := range all {
		captured := cfg.selection.Table(id)
		if captured && s.kind == snapshotRows && (len(cfg.snapshot.include) == 0 || cfg.snapshot.include.Match(id.String())) {
			s.captured = append(s.captured, id)
		}
		switch {
		case cfg.history.capturedTables && !captured:
		case cfg.history.capturedDatabases && !cfg.selection.Database(id.Catalog):
		default:
			described = append(described, id)
		}
	}
	cfg.selection.Sort(s.captured)
	if cfg.history.capturedTables {
		cfg.selection.Sort(described)
	}
	return described
}

// structure returns the statements that describe these tables, as the reference words and orders them.
func (s *snapshot) structure(ctx context.Context, tables []changes.TableID) ([]statement, error) {
	set, err := s.serverCharset(ctx)
	if err != nil {
		return nil, err
	}
	locales, err := s.locales(ctx)
	if err != nil {
		return nil, err
	}
	out := []statement{{"", set}}
	for _, id := range tables {
		out = append(out, statement{id.Catalog, "DROP TABLE IF EXISTS " + quoteTable(id)})
	}
	database := ""
	for _, id := range tables {
		if database != id.Catalog {
			database = id.Catalog
			name := quote(database)
			for _, text := range []string{"DROP DATABASE IF EXISTS " + name, "CREATE DATABASE " + name + locales[database], "USE " + name} {
				out = append(out, statement{database, text})
			}
		}
		text, err := s.showCreate(ctx, id)
		if err != nil {
			return nil, err
		}
		if text != "" {
			out = append(out, statement{database, text})
		}
	}
	return out, nil
}

// serverCharset is the SET statement for the server's default character set.
func (s *snapshot) serverCharset(ctx context.Context) (string, error) {
	var parts []string
	for _, name := range []string{"character_set_server", "collation_server"} {
		value, err := s.t.cfg.value(ctx, s.meta, "SELECT @@GLOBAL."+name)
		if err != nil {
			return "", fmt.Errorf("read the server's character set: %w", err)
		}
		parts = append(parts, name+"="+value)
	}
	return "SET " + strings.Join(parts, ", "), nil
}

// locales are the defaults of databases, as CREATE DATABASE names them.
func (s *snapshot) locales(ctx context.Context) (map[string]string, error) {
	rows, err := s.t.cfg.texts(ctx, s.meta, "SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA")
	if err != nil {
		return nil, fmt.Errorf("read the character sets of the databases: %w", err)
	}
	out := map[string]string{}
	for _, r := range rows {
		if r[1] != "" {
			out[r[0]] += " CHARSET " + r[1]
		}
		if r[2] != "" {
			out[r[0]] += " COLLATE " + r[2]
		}
	}
	return out, nil
}

// showCreate is the statement that creates a table; "" for one that is gone, or that is not captured and may not be seen.
func (s *snapshot) showCreate(ctx context.Context, id changes.TableID) (string, error) {
	rows, err := s.t.cfg.texts(ctx, s.meta, "SHOW CREATE TABLE "+quoteTable(id))
	var server *mysql.MyError
	switch {
	case errors.As(err, &server) && (server.Code == mysql.ER_NO_SUCH_TABLE || server.Code == mysql.ER_BAD_DB_ERROR):
		return "", nil
	case refused(err) && !s.t.cfg.selection.Table(id):
		s.t.log.Warn("leaving a table out of the schema history: it is not captured, and the user may not see it", "table", id.String())
		return "", nil
	case refused(err):
		return "", connectors.AsPermanent(fmt.Errorf("read the structure of table %s: %w; GRANT SELECT ON %s TO %s", id, err, quoteTable(id), s.t.cfg.user))
	case err != nil:
		return "", fmt.Errorf("read the structure of table %s: %w", id, err)
	}
	if len(rows) == 0 {
		return "", nil
	}
	return rows[0][1], nil
}

// tableRead makes what a table is read with, nil when it is gone. Its definition is the one that its reader sees.
func (s *snapshot) tableRead(id changes.TableID) (*tableRead, error) {
	name := ddl.ID{Database: id.Catalog, Table: id.Name}
	var def *ddl.Table
	if s.current != nil {
		def = s.current.Table(name)
	} else {
		def = s.t.schema.table(name)
	}
	if def == nil {
		return nil, nil
	}
	source := s.t.cfg.sourceBlock(s.t.settings.Version, id.Catalog, id.Name)
	t, err := newTable(s.t.cfg, def, source, s.t.headers)
	if err != nil {
		return nil, fmt.Errorf("read the structure of table %s: %w", id, err)
	}
	t.warn(s.t.log)
	return &tableRead{table: t, selects: t.selectList()}, nil
}
