package clickhouse

import (
	"context"
	"fmt"
	"slices"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// view is the view of a mirror's current rows as it is now.
type view struct {
	database, name string
	there          bool
	columns        [][]string // name and type
}

// readView returns a mirror's view; nil when the stream has none. The server replaces even a table by a view of its name, so a name
// that something else has is refused here.
func (cfg *config) readView(ctx context.Context, s *server, w *wanted) (*view, error) {
	if cfg.view == "" || cfg.mode != modeMirror {
		return nil, nil
	}
	v := &view{database: w.database}
	v.name, _ = changes.Expand(cfg.view, map[string]string{"table": w.table}) // checked
	engine, err := s.readEngine(ctx, v.database, v.name)
	if err != nil || engine == nil {
		return v, err
	}
	if engine[0] != "View" {
		return nil, connectors.AsPermanent(fmt.Errorf("%s.%s, as the view of the current rows of %s would be named, is a table with engine %s; choose another name with %s, or none",
			v.database, v.name, w.id(), engine[0], keyView))
	}
	v.there = true
	if v.columns, err = s.rows(ctx, "SELECT name, type FROM system.columns WHERE database = "+literal(v.database)+" AND table = "+literal(v.name)+" ORDER BY position"); err != nil {
		return nil, fmt.Errorf("read columns of view %s.%s: %w", v.database, v.name, err)
	}
	return v, nil
}

// fits tells that a view has all columns that are wanted, of the types that its table has. A worker that ended between the statements
// for the two leaves a table without its view, or with the view that it had.
func (v *view) fits(w *wanted, t *target) bool {
	return !slices.ContainsFunc(w.columns, func(c wantedColumn) bool {
		i := slices.IndexFunc(v.columns, func(have []string) bool { return have[0] == c.Name })
		return i < 0 || v.columns[i][1] != t.column(c.Name).typ.text
	})
}

// viewOf makes a view with the columns that are wanted, and with those that it has and the table, if there is one, still has.
func (cfg *config) viewOf(w *wanted, v *view, t *target) string {
	names := make([]string, 0, len(w.columns))
	for _, i := range tableOrder(w) {
		names = append(names, w.columns[i].Name)
	}
	for _, c := range v.columns {
		if t != nil && t.column(c[0]) != nil && !slices.Contains(names, c[0]) {
			names = append(names, c[0])
		}
	}
	where := ""
	if w.versioned {
		where = " WHERE " + quote(cfg.prefix+metaDeleted) + " = 0"
	}
	verb := "CREATE VIEW IF NOT EXISTS "
	if v.there {
		verb = "CREATE OR REPLACE VIEW "
	}
	return verb + quote(v.database, v.name) + cfg.onCluster() + " AS SELECT " + quoteList(names) + " FROM " + quote(w.database, w.table) + " FINAL" + where
}
