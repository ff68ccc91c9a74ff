package ddl

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// historyRecord is a record of the reference's schema history, as far as statements decide it.
type historyRecord struct {
	DatabaseName string
	DDL          string
	TableChanges []historyChange
}

type historyChange struct {
	Type, ID, PreviousID string
	Table                *historyTable
}

type historyTable struct {
	DefaultCharsetName    string
	PrimaryKeyColumnNames []string
	Columns               []historyColumn
}

type historyColumn struct {
	Name                       string
	JDBCType                   int
	TypeName, TypeExpression   string
	CharsetName                *string
	Length, Scale              *int
	Position                   int
	Optional                   bool
	AutoIncremented, Generated bool
	HasDefaultValue            bool
	DefaultValueExpression     *string
	EnumValues                 []string
	Comment                    *string
}

// knownDifferences are where the reference is wrong: scenario, "table.column field", what it writes.
var knownDifferences = []struct{ where, reference, ours string }{
	{`^types.* "pmu"\."t_default"\.v DefaultValueExpression$`, "hé''llo", "hé'llo"},
	{`^types.* "pmu"\."t_default"\.bn DefaultValueExpression$`, `ab\0\0`, "ab\x00\x00"},
}

func TestHistories(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../testdata/golden/mysql/*/golden/schema_history.jsonl")
	if err != nil || len(files) < 15 {
		t.Fatalf("%d recordings, %v", len(files), err)
	}
	met := map[string]bool{}
	for _, file := range files {
		scenario := filepath.Base(filepath.Dir(filepath.Dir(file)))
		history := readHistory(t, file)
		catalog := NewCatalog(MySQL, false)
		for n, want := range history {
			done, err := catalog.Apply(want.DatabaseName, want.DDL, 0)
			if err != nil {
				t.Fatalf("%s %d: %v\n%s", scenario, n, err, want.DDL)
			}
			if len(done) != 1 {
				t.Fatalf("%s %d: %d statements in %q", scenario, n, len(done), want.DDL)
			}
			got := asHistory(&done[0])
			if got.DatabaseName != want.DatabaseName || got.DDL != want.DDL {
				t.Errorf("%s %d: %q %q, want %q %q", scenario, n, got.DatabaseName, got.DDL, want.DatabaseName, want.DDL)
			}
			for _, d := range difference(got.TableChanges, want.TableChanges) {
				if known := d.known(scenario); known != "" {
					met[known] = true
					continue
				}
				t.Errorf("%s %d %s: %s: %v, want %v", scenario, n, want.DDL, d.where, d.got, d.want)
			}
		}
	}
	for _, k := range knownDifferences {
		if !met[k.where] {
			t.Errorf("no recording differs in %s", k.where)
		}
	}
}

func readHistory(t *testing.T, file string) []historyRecord {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	var records []historyRecord
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var line struct{ Value historyRecord }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		records = append(records, line.Value)
	}
	return records
}

// asHistory is the record that a statement makes.
func asHistory(s *Statement) historyRecord {
	r := historyRecord{DatabaseName: s.Database, DDL: s.Text}
	for i := range s.Changes {
		c := &s.Changes[i]
		if c.Statement == "" || c.Kind == Database || c.Kind == Truncate {
			continue
		}
		r.DDL = c.Statement
		h := historyChange{Type: map[Kind]string{Create: "CREATE", Alter: "ALTER", Drop: "DROP"}[c.Kind], ID: quoteID(c.ID)}
		if c.Previous != (ID{}) && s.Kind == RenameTable {
			h.PreviousID = quoteID(c.Previous)
		}
		if c.Table != nil {
			h.Table = asHistoryTable(c.Table)
		}
		r.TableChanges = append(r.TableChanges, h)
	}
	return r
}

func quoteID(id ID) string { return fmt.Sprintf(`"%s"."%s"`, id.Database, id.Table) }

func asHistoryTable(t *Table) *historyTable {
	h := &historyTable{DefaultCharsetName: t.Charset, PrimaryKeyColumnNames: t.Key}
	number := func(n int) *int {
		if n < 0 {
			return nil
		}
		return &n
	}
	for _, c := range t.Columns {
		column := historyColumn{
			Name: c.Name, JDBCType: c.JDBCType, TypeName: c.Type, TypeExpression: c.Expression, Length: number(c.Length), Scale: number(c.Scale),
			Position: c.Position, Optional: c.Optional, AutoIncremented: c.AutoIncrement, Generated: c.Generated, HasDefaultValue: c.HasDefault,
			DefaultValueExpression: c.Default, EnumValues: []string{},
		}
		if c.Charset != "" {
			column.CharsetName = &c.Charset
		}
		for _, l := range c.Labels {
			column.EnumValues = append(column.EnumValues, "'"+strings.ReplaceAll(l, "'", "''")+"'")
		}
		h.Columns = append(h.Columns, column)
	}
	return h
}

type fieldDifference struct {
	where     string
	got, want any
}

func (d fieldDifference) known(scenario string) string {
	for _, k := range knownDifferences {
		match, _ := regexp.MatchString(k.where, scenario+" "+d.where)
		if match && d.got == k.ours && d.want == k.reference {
			return k.where
		}
	}
	return ""
}

// difference lists fields that are not equal.
func difference(got, want []historyChange) []fieldDifference {
	if len(got) != len(want) {
		return []fieldDifference{{"changes", len(got), len(want)}}
	}
	var all []fieldDifference
	for i := range got {
		g, w := got[i], want[i]
		if g.Type != w.Type || g.ID != w.ID || g.PreviousID != w.PreviousID || (g.Table == nil) != (w.Table == nil) {
			all = append(all, fieldDifference{w.ID, g, w})
			continue
		}
		if g.Table == nil {
			continue
		}
		if g.Table.DefaultCharsetName != w.Table.DefaultCharsetName || !slices.Equal(g.Table.PrimaryKeyColumnNames, w.Table.PrimaryKeyColumnNames) ||
			len(g.Table.Columns) != len(w.Table.Columns) {
			all = append(all, fieldDifference{w.ID, g.Table, w.Table})
			continue
		}
		for n := range g.Table.Columns {
			gc, wc := reflect.ValueOf(g.Table.Columns[n]), reflect.ValueOf(w.Table.Columns[n])
			for f := range gc.NumField() {
				if gf, wf := deref(gc.Field(f)), deref(wc.Field(f)); !reflect.DeepEqual(gf, wf) {
					all = append(all, fieldDifference{w.ID + "." + w.Table.Columns[n].Name + " " + gc.Type().Field(f).Name, gf, wf})
				}
			}
		}
	}
	return all
}

func deref(v reflect.Value) any {
	if v.Kind() != reflect.Pointer {
		return v.Interface()
	}
	if v.IsNil() {
		return nil
	}
	return v.Elem().Interface()
}
