package schemas

import (
	"fmt"
	"testing"
)

func TestSchema(t *testing.T) {
	s := &Schema{Kind: Struct, Fields: []Field{{"a", &Schema{Kind: Int32}}, {"b", &Schema{Kind: String}}}, Parameters: []Parameter{{"x", "1"}}}
	if s.Field("b") != 1 || s.Field("c") != -1 {
		t.Error("Field")
	}
	if s.Parameter("x") != "1" || s.Parameter("y") != "" {
		t.Error("Parameter")
	}
}

func TestKindNames(t *testing.T) {
	want := []string{"int8", "int16", "int32", "int64", "float", "double", "boolean", "string", "bytes", "array", "map", "struct"}
	for i, name := range want {
		if got := Kind(i + 1).String(); got != name {
			t.Errorf("kind %d is %s, not %s", i+1, got, name)
		}
	}
	if Kind(0).String() != "kind(0)" || Kind(200).String() != "kind(200)" {
		t.Error("unknown kinds have no name")
	}
}

func TestTable(t *testing.T) {
	table := &Table{Catalog: "db", Schema: "public", Name: "bets", Columns: []Column{{Name: "id"}, {Name: "x"}}, Key: []int{0}}
	if table.ID() != "public.bets" || (&Table{Catalog: "db", Name: "bets"}).ID() != "db.bets" {
		t.Error("ID")
	}
	if table.Column("x") != 1 || table.Column("y") != -1 || !table.IsKey(0) || table.IsKey(1) {
		t.Error("Column, IsKey")
	}
}

func TestDiff(t *testing.T) {
	column := func(name string, typ Type, name2 string) Column {
		return Column{Name: name, Type: typ, TypeName: name2, Length: -1, Scale: -1}
	}
	old := &Table{Columns: []Column{column("id", TypeInt32, "integer"), column("gone", TypeText, "text"), column("wide", TypeInt32, "integer"), column("same", TypeText, "TEXT")}}
	updated := &Table{Columns: []Column{column("same", TypeText, "text"), column("id", TypeInt32, "integer"), column("wide", TypeInt64, "bigint"), column("more", TypeBool, "boolean")}}
	got := ""
	for _, c := range Diff(old, updated) {
		name := ""
		if c.Old != nil {
			name += "-" + c.Old.Name
		}
		if c.New != nil {
			name += "+" + c.New.Name
		}
		got += fmt.Sprintf("%d%s ", c.Kind, name)
	}
	if want := "3-wide+wide 1+more 2-gone "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if d := Diff(old, old); len(d) != 0 {
		t.Errorf("a table differs from itself: %v", d)
	}
}
