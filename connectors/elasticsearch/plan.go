package elasticsearch

import (
	"fmt"
	"slices"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// plan is how the rows of one version of a source table become documents of an index. Immutable.
type plan struct {
	id       string // of the source table, for messages
	index    string
	source   *schemas.Table
	keyed    []string // names of the record key's fields, to recognise the plan
	keys     []int    // cells of the key
	columns  []planColumn
	routing  int                // index into columns, -1: none
	routed   int                // its cell in the key, -1: it is not in the key
	number   uint32             // of the index within the sink
	time     changes.CommitTime // mode append
	keysOnly bool               // deletes only
	skipped  bool               // nothing is written
	mapped   bool               // mode reference: the index has a mapping
	first    [4][]byte          // the actions, up to the index
}

type planColumn struct {
	name  string
	field []byte // `,"name":`
	cell  int
	raw   bool // text that is JSON
}

const versioned = `,"version_type":"external_gte","version":`

// versionedAfter is the reference's: an equal version is older.
const versionedAfter = `,"version_type":"external","version":`

// newPlan lays out the documents of a stream.
func newPlan(cfg *config, s *connectors.Stream, index string) (*plan, error) {
	p := &plan{id: s.Table.ID(), index: index, source: s.Table, routing: -1, routed: -1}
	for i := range s.KeyFields {
		p.keyed, p.keys = append(p.keyed, s.KeyFields[i].Name), append(p.keys, s.KeyFields[i].Cell)
	}
	if len(p.keys) == 0 && cfg.mode == modeMirror {
		return nil, connectors.AsPermanent(fmt.Errorf("table %s has no key, and a mirror finds documents by key. Three ways out: add a primary key to the table, name key columns with message.key.columns of the source (%s:column), or set %s=%s to keep every change",
			p.id, p.id, keyMode, modeAppend))
	}
	for i := range s.Table.Columns {
		c := &s.Table.Columns[i]
		if err := checkField(c.Name); err != nil {
			return nil, connectors.AsPermanent(fmt.Errorf("map column %s of table %s: %w", c.Name, p.id, err))
		}
		p.columns = append(p.columns, planColumn{
			name: c.Name, cell: i, raw: isRaw(c),
			field: append(changes.AppendJSONText([]byte{','}, c.Name), ':'),
		})
	}
	if name := cfg.routingField(s.Table); name != "" && cfg.mode == modeMirror {
		if p.routing = s.Table.Column(name); p.routing < 0 {
			return nil, connectors.AsPermanent(fmt.Errorf("%s names column %s, which table %s does not have", keyRouting, name, p.id))
		}
		if i := slices.Index(p.keyed, name); i >= 0 {
			p.routed = p.keys[i]
		}
	}
	p.time, p.keysOnly = changes.CommitTimeOf(s), changes.KeysOnly(s)
	p.begin()
	return p, nil
}

func (p *plan) begin() {
	for op, name := range []string{opIndex: "index", opCreate: "create", opUpdate: "update", opDelete: "delete"} {
		p.first[op] = changes.AppendJSONText([]byte(`{"`+name+`":{"_index":`), p.index)
	}
}

// fits tells whether the plan is also right for this stream: same table, same key.
func (p *plan) fits(s *connectors.Stream) bool {
	sameCells := slices.EqualFunc(p.keys, s.KeyFields, func(cell int, f connectors.Field) bool { return cell == f.Cell })
	return sameCells && p.time == changes.CommitTimeOf(s) && changes.SameRows(p.source, p.keyed, s)
}

// failure is a value that cannot be written.
type failure struct {
	column  int
	problem problem
}

// appendRow writes a row as the members of a JSON object, each after a comma; skip leaves out what the source did not send.
func (p *plan) appendRow(dst []byte, b *connectors.Batch, row []connectors.Cell, skip bool) ([]byte, failure) {
	for i := range p.columns {
		c := &p.columns[i]
		cell := row[c.cell]
		if cell.Missing() {
			if skip {
				continue
			}
			return dst, failure{i, problemUnavailable}
		}
		dst = append(dst, c.field...)
		var why problem
		if dst, why = appendValue(dst, b, cell, c.raw); why != "" {
			return dst, failure{i, why}
		}
	}
	return dst, failure{}
}

// explain makes an operator's error of a failure (I10).
func (p *plan) explain(f failure) error {
	name := p.columns[f.column].name
	if f.problem == problemUnavailable {
		return fmt.Errorf("write to index %s: the source did not send column %s of table %s, and a mirror does not put NULL in its place. Let the source send whole rows: in PostgreSQL run ALTER TABLE %s REPLICA IDENTITY FULL, in MySQL set binlog_row_image=FULL; or let the source's reselect post-processor read the column again",
			p.index, name, p.id, p.id)
	}
	return fmt.Errorf("write to index %s: column %s of table %s: %s", p.index, name, p.id, f.problem)
}

// explainKey is explain for column i of the key.
func (p *plan) explainKey(i int, why problem) error {
	name := ""
	if i < len(p.keyed) {
		name = p.keyed[i]
	}
	if why == problemUnavailable {
		return fmt.Errorf("write to index %s: the source did not send key column %s of table %s, by which the document is found; in PostgreSQL run ALTER TABLE %s REPLICA IDENTITY FULL", p.index, name, p.id, p.id)
	}
	return fmt.Errorf("write to index %s: key column %s of table %s: %s", p.index, name, p.id, why)
}
