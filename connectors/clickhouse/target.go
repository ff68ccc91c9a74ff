package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

// target is a table of the server as it is now.
type target struct {
	database, name string
	engine, full   string // of the table itself, or of the one below a Distributed one
	sorting        []string
	local          [2]string // database and name of the table below a Distributed one
	columns        []targetColumn
	above          []targetColumn // of a Distributed one itself
}

type targetColumn struct {
	name    string
	typ     *columnType
	kind    string // DEFAULT, MATERIALIZED, ALIAS, EPHEMERAL, or none
	comment string
	sorting bool // part of the sorting key, or of the partitioning key
}

func (t *target) column(name string) *targetColumn {
	i := slices.IndexFunc(t.columns, func(c targetColumn) bool { return c.name == name })
	if i < 0 {
		return nil
	}
	return &t.columns[i]
}

func (t *target) id() string     { return t.database + "." + t.name }
func (t *target) quoted() string { return quote(t.database, t.name) }

// readTarget returns a table, nil when there is none.
func (s *server) readTarget(ctx context.Context, database, name string) (*target, error) {
	t := &target{database: database, name: name}
	engine, err := s.readEngine(ctx, database, name)
	if err != nil || engine == nil {
		return nil, err
	}
	if engine[0] == "Distributed" {
		_, inner, _ := strings.Cut(engine[1], "(")
		args := splitArguments(strings.TrimSuffix(inner, ")"))
		if len(args) < 3 {
			return nil, connectors.AsPermanent(fmt.Errorf("read target table %s: its engine %s cannot be read", t.id(), engine[1]))
		}
		t.local = [2]string{unquote(args[1]), unquote(args[2])}
		if engine, err = s.readEngine(ctx, t.local[0], t.local[1]); err != nil {
			return nil, err
		}
		if engine == nil {
			return nil, connectors.AsPermanent(fmt.Errorf("read target table %s: table %s.%s below it is not on this server", t.id(), t.local[0], t.local[1]))
		}
	}
	t.engine, t.full = engine[0], engine[1]
	for _, k := range splitArguments(strings.TrimSuffix(strings.TrimPrefix(engine[2], "("), ")")) {
		if k != "" {
			t.sorting = append(t.sorting, strings.Trim(k, "`"))
		}
	}
	if t.columns, err = s.readColumns(ctx, database, name); err == nil && t.local[1] != "" {
		t.above = t.columns
		t.columns, err = s.readColumns(ctx, t.local[0], t.local[1]) // it knows its keys
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// readColumns returns the columns of a table in its order.
func (s *server) readColumns(ctx context.Context, database, name string) ([]targetColumn, error) {
	rows, err := s.rows(ctx, "SELECT name, type, default_kind, toString(is_in_sorting_key + is_in_partition_key > 0), comment FROM system.columns WHERE database = "+literal(database)+" AND table = "+literal(name)+" ORDER BY position")
	if err != nil {
		return nil, fmt.Errorf("read columns of target table %s.%s: %w", database, name, err)
	}
	columns := make([]targetColumn, 0, len(rows))
	for _, r := range rows {
		typ, err := parseType(r[1])
		if err != nil {
			return nil, connectors.AsPermanent(fmt.Errorf("read column %s of target table %s.%s: %w", r[0], database, name, err))
		}
		columns = append(columns, targetColumn{name: r[0], typ: typ, kind: r[2], sorting: r[3] == "1" || r[3] == "true", comment: r[4]})
	}
	return columns, nil
}

func (s *server) readEngine(ctx context.Context, database, name string) ([]string, error) {
	rows, err := s.rows(ctx, "SELECT engine, engine_full, sorting_key FROM system.tables WHERE database = "+literal(database)+" AND name = "+literal(name))
	if err != nil {
		return nil, fmt.Errorf("read target table %s.%s: %w", database, name, err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	return rows[0], nil
}
