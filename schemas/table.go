package schemas

import "strings"

// Type is the portable type of a column: what the database holds, before any converter's view of it.
// The cell kind of each type is given in connectors.Kind.
type Type uint8

// Column types. The comment names the cell kind that carries the value.
const (
	TypeOther       Type = iota // KindText: the database's own text form
	TypeBool                    // KindBool
	TypeInt16                   // KindInt
	TypeInt32                   // KindInt
	TypeInt64                   // KindInt
	TypeUint64                  // KindUint
	TypeFloat32                 // KindFloat32
	TypeFloat64                 // KindFloat64
	TypeDecimal                 // KindDecimal
	TypeMoney                   // KindDecimal
	TypeText                    // KindText
	TypeBytes                   // KindBytes
	TypeDate                    // KindDate
	TypeTime                    // KindTime
	TypeTimeTZ                  // KindTimeTZ
	TypeTimestamp               // KindTimestamp
	TypeTimestampTZ             // KindTimestampTZ
	TypeInterval                // KindInterval
	TypeUUID                    // KindText
	TypeJSON                    // KindText
	TypeXML                     // KindText
	TypeEnum                    // KindText
	TypeBits                    // KindBits
	TypeList                    // KindList
	TypeMap                     // KindMap
	TypePoint                   // KindPoint
	TypeRange                   // KindText
)

// Table is one version of a database table as captured: only the columns that were selected, in table order.
type Table struct {
	Catalog string // database
	Schema  string // namespace; "" where the database has none
	Name    string
	Columns []Column
	Key     []int // indexes into Columns, in key order; empty for a table without key
	Comment string
}

// Column is one captured column.
type Column struct {
	Name      string
	Type      Type
	TypeName  string // the database's own spelling with modifiers, e.g. "numeric(10,2)", "mood", "integer[]"
	Length    int32  // characters, digits or bits; -1 when unbounded
	Scale     int32  // digits after the point, fractional second digits; -1 when not given
	Optional  bool
	Default   string   // default expression as the database prints it; "" for none
	Allowed   []string // members of an enumeration, in order
	Elem      *Column  // element of a TypeList
	Generated bool
	Comment   string
}

// ID is the table's name as filters and messages write it: schema.name, or catalog.name where there are no schemas.
func (t *Table) ID() string {
	if t.Schema != "" {
		return t.Schema + "." + t.Name
	}
	return t.Catalog + "." + t.Name
}

// Column returns the index of the named column, -1 when absent.
func (t *Table) Column(name string) int {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return i
		}
	}
	return -1
}

// IsKey tells whether column i is part of the key.
func (t *Table) IsKey(i int) bool {
	for _, k := range t.Key {
		if k == i {
			return true
		}
	}
	return false
}

// Change is one difference between two versions of a table.
type Change struct {
	Kind     ChangeKind
	Old, New *Column // Old is nil for an added column, New for a dropped one
}

// ChangeKind tells what happened to a column.
type ChangeKind uint8

// The kinds of change.
const (
	Added ChangeKind = iota + 1
	Dropped
	Retyped // type, length, scale or optionality differ
)

// Diff lists what changed from old to new, columns matched by name, in the order of new and then of old.
func Diff(old, updated *Table) []Change {
	var out []Change
	for i := range updated.Columns {
		n := &updated.Columns[i]
		j := old.Column(n.Name)
		if j < 0 {
			out = append(out, Change{Added, nil, n})
			continue
		}
		o := &old.Columns[j]
		if o.Type != n.Type || !strings.EqualFold(o.TypeName, n.TypeName) || o.Length != n.Length || o.Scale != n.Scale || o.Optional != n.Optional {
			out = append(out, Change{Retyped, o, n})
		}
	}
	for i := range old.Columns {
		if updated.Column(old.Columns[i].Name) < 0 {
			out = append(out, Change{Dropped, &old.Columns[i], nil})
		}
	}
	return out
}
