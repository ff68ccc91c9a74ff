package mysql

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// mirror is a target that keeps the newest row of each key, and looks how changes fit.
type mirror struct {
	t      testing.TB
	exact  bool                         // every change must fit the row that is there
	rows   map[string]map[string]string // by table and key
	reads  []string                     // "table key", as the snapshot gave them
	first  map[string]int               // markers
	misfit []string
}

func newMirror(t testing.TB) *mirror {
	return &mirror{t: t, rows: map[string]map[string]string{}, first: map[string]int{}}
}

func (m *mirror) table(name string) map[string]string {
	if m.rows[name] == nil {
		m.rows[name] = map[string]string{}
	}
	return m.rows[name]
}

func (m *mirror) apply(b *connectors.Batch) {
	for i := range b.Records {
		r := &b.Records[i]
		s := b.Streams[r.Stream]
		if s.Table == nil {
			continue
		}
		t, key := m.table(s.Table.Name), row(b, r.Key)
		if r.Op == connectors.OpRead {
			m.reads = append(m.reads, s.Table.Name+" "+key)
			m.first[string(b.Bytes(b.Cells(r.Source)[changes.SourceSnapshot]))]++
			t[key] = row(b, r.After)
			continue
		}
		if have, ok := t[key]; m.exact {
			switch before := row(b, r.Before); {
			case r.Op == connectors.OpCreate && ok:
				m.misfit = append(m.misfit, fmt.Sprintf("%s %s is created and is there as %s", s.Table.Name, key, have))
			case (r.Op == connectors.OpUpdate || r.Op == connectors.OpDelete) && have != before:
				m.misfit = append(m.misfit, fmt.Sprintf("%s %s was %s, and is there as %q", s.Table.Name, key, before, have))
			}
		}
		switch r.Op {
		case connectors.OpCreate, connectors.OpUpdate:
			t[key] = row(b, r.After)
		case connectors.OpDelete:
			delete(t, key)
		}
	}
}

// takeBatch polls one batch into the mirror.
func (r *rig) takeBatch(m *mirror, durable bool) error {
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*time.Minute)
	defer cancel()
	b, err := r.task.Poll(ctx)
	if err != nil {
		return err
	}
	m.apply(b)
	if durable {
		r.save(b)
	}
	b.Release()
	return nil
}

// takeSnapshot polls to the end of the snapshot.
func (r *rig) takeSnapshot(m *mirror) {
	r.t.Helper()
	for r.task.snapshot != nil {
		if err := r.takeBatch(m, true); err != nil {
			r.t.Fatal(err)
		}
	}
}

// takeUntil polls until a table has a key.
func (r *rig) takeUntil(m *mirror, table, key string) {
	r.t.Helper()
	for m.table(table)[key] == "" {
		if err := r.takeBatch(m, true); err != nil {
			r.t.Fatal(err)
		}
	}
}

// compare compares a table of two integer or text columns, of which the first is the key, with the mirror.
func (m *mirror) compare(r *rig, table string) {
	m.t.Helper()
	result, err := r.sql.Execute("SELECT * FROM " + table)
	if err != nil {
		m.t.Fatal(err)
	}
	defer result.Close()
	want := map[string]string{}
	for i := range result.RowNumber() {
		parts := make([]string, result.ColumnNumber())
		for j := range parts {
			if parts[j], err = result.GetString(i, j); err != nil {
				m.t.Fatal(err)
			}
		}
		want["("+parts[0]+")"] = "(" + strings.Join(parts, ",") + ")"
	}
	if have := m.table(table); !maps.Equal(have, want) {
		wrong := 0
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if have[key] != want[key] {
				if wrong++; wrong < 5 {
					m.t.Errorf("table %s, key %s: have %q, want %q", table, key, have[key], want[key])
				}
			}
		}
		for key := range have {
			if want[key] == "" {
				if wrong++; wrong < 10 {
					m.t.Errorf("table %s, key %s: have %q, and it is gone", table, key, have[key])
				}
			}
		}
		m.t.Errorf("table %s: %d of %d keys are wrong", table, wrong, len(want))
	}
}

// total adds up the second column of a table.
func (m *mirror) total(table string) (sum int) {
	for _, row := range m.table(table) {
		var id, n int
		if _, err := fmt.Sscanf(row, "(%d,%d)", &id, &n); err != nil {
			m.t.Fatalf("row %s: %v", row, err)
		}
		sum += n
	}
	return sum
}
