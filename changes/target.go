package changes

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// TargetNames are what the name of a sink's target may be made of, for Expand: topic, source.db, source.schema (the database where
// there are no schemas) and source.table, which are empty for a stream without a table.
func TargetNames(s *connectors.Stream) map[string]string {
	n := map[string]string{"topic": s.Topic, "source.db": "", "source.schema": "", "source.table": ""}
	if t := s.Table; t != nil {
		n["source.db"], n["source.schema"], n["source.table"] = t.Catalog, t.Schema, t.Name
		if t.Schema == "" {
			n["source.schema"] = t.Catalog
		}
	}
	return n
}

// Expand puts values into a text with ${name}. A name that there is not is an error, which lists those that there are.
func Expand(format string, names map[string]string) (string, error) {
	var out strings.Builder
	for rest := format; rest != ""; {
		before, after, ok := strings.Cut(rest, "${")
		out.WriteString(before)
		if !ok {
			break
		}
		name, tail, ok := strings.Cut(after, "}")
		if !ok {
			return "", fmt.Errorf("%q has ${ without }", format)
		}
		value, known := names[name]
		if !known {
			return "", fmt.Errorf("${%s} is not known; there are ${%s}", name, strings.Join(slices.Sorted(maps.Keys(names)), "}, ${"))
		}
		out.WriteString(value)
		rest = tail
	}
	return out.String(), nil
}

// CheckTargetFormat is the Check of a key whose value Expand takes with TargetNames.
func CheckTargetFormat(v string) string {
	if _, err := Expand(v, TargetNames(&connectors.Stream{})); err != nil {
		return err.Error()
	}
	return ""
}

// Listed tells whether a column is written: field.include.list and field.exclude.list name columns as "topic:column" or "column".
func Listed(include, exclude []string, topic, column string) bool {
	match := func(list []string) bool {
		return slices.ContainsFunc(list, func(item string) bool {
			if t, name, ok := strings.Cut(item, ":"); ok {
				return t == topic && name == column
			}
			return item == column
		})
	}
	if len(include) > 0 {
		return match(include)
	}
	return !match(exclude)
}

// SameRows tells that rows of s are those of a table as it was, with these names of the key's fields: what was prepared for them is
// right for s, too.
func SameRows(t *schemas.Table, keyed []string, s *connectors.Stream) bool {
	sameKey := slices.EqualFunc(keyed, s.KeyFields, func(name string, f connectors.Field) bool { return name == f.Name })
	sameOrder := slices.EqualFunc(t.Columns, s.Table.Columns, func(a, b schemas.Column) bool { return a.Name == b.Name })
	return sameKey && sameOrder && t.ID() == s.Table.ID() && len(schemas.Diff(t, s.Table)) == 0
}

// ByStream returns what find says of each stream of b that has records, by the stream's number: what a sink has prepared for it. Of a stream
// for which that is nil it may be asked again. used is the slice of the batch before.
func ByStream[P any](used []*P, b *connectors.Batch, find func(*connectors.Stream) (*P, error)) ([]*P, error) {
	used = append(used[:0], make([]*P, len(b.Streams))...)
	last := ^uint32(0)
	for i := range b.Records {
		n := b.Records[i].Stream
		if n == last || used[n] != nil {
			continue
		}
		last = n
		p, err := find(b.Streams[n])
		if err != nil {
			return used, err
		}
		used[n] = p
	}
	return used, nil
}
