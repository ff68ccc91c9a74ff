package clickhouse

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// plan is how the rows of one version of a source table get into a target table. Of Put's goroutine, but for insert and header,
// which do not change.
type plan struct {
	wanted  *wanted
	target  string   // database.table, for messages
	keyed   []string // names of the record key's fields, to recognise the plan
	columns []planColumn
	meta    []string
	insert  string   // the statement
	headers [][]byte // of each column in a block: name and type

	truncate string // statement, "" when truncates are left out
	snapshot connectors.Order
	seq      uint64 // rows of the snapshot so far
}

type planColumn struct {
	name    string
	typ     *columnType
	cell    int
	keyCell int // -1: not in the key
	model   column
}

// newPlan resolves each column of w against the target as it is.
func (cfg *config) newPlan(w *wanted, t *target) (*plan, error) {
	p := &plan{wanted: w, target: t.id(), meta: w.meta(cfg.mode)}
	var names []string
	for i := range w.columns {
		c := &w.columns[i]
		have := t.column(c.Name)
		if have == nil || have.kind == "MATERIALIZED" || have.kind == "ALIAS" {
			continue // reference mode leaves out what the target lacks
		}
		model := fit(c.Column, have.typ)
		if model == nil {
			return nil, connectors.AsPermanent(fmt.Errorf("column %s of target table %s is of type %s, into which values of type %s cannot be written", c.Name, t.id(), have.typ.text, c.TypeName))
		}
		if cfg.nullArray && model.null == nullEmpty {
			model.null = nullRefused
		}
		typ := have.typ
		if model.form == formString && typ.name != "String" { // the server reads the text
			typ = &columnType{name: "String", nullable: typ.nullable}
		}
		p.columns = append(p.columns, planColumn{name: c.Name, typ: typ, cell: c.cell, keyCell: c.keyCell, model: *model})
		p.headers, names = append(p.headers, header(c.Name, typ.plain())), append(names, c.Name)
	}
	if len(p.columns) == 0 {
		return nil, connectors.AsPermanent(fmt.Errorf("target table %s has none of the columns of %s", t.id(), w.id()))
	}
	for _, m := range p.meta {
		typ, _ := parseType(metaType(m)) // a constant
		p.headers, names = append(p.headers, header(cfg.prefix+m, typ.plain())), append(names, cfg.prefix+m)
	}
	p.insert = "INSERT INTO " + t.quoted() + " (" + quoteList(names) + ") FORMAT Native"
	if cfg.truncates && w.versioned {
		of := t.quoted()
		if t.local[1] != "" {
			of = quote(t.local[0], t.local[1])
		}
		p.truncate = "TRUNCATE TABLE " + of + cfg.onCluster()
	}
	return p, nil
}

// header is how a column begins in a block: name and type.
func header(name, typ string) []byte {
	c := column{}
	c.text([]byte(name))
	c.text([]byte(typ))
	return c.data
}

// fits tells whether the plan is also right for this stream: same table, same key.
func (p *plan) fits(s *connectors.Stream) bool { return changes.SameRows(p.wanted.source, p.keyed, s) }

// seqOf tells rows of a table without key apart that have one position, as those of a snapshot have: their place in the topic, else in
// the snapshot.
func (p *plan) seqOf(b *connectors.Batch, record int) uint64 {
	if from := b.Origin(); from != b {
		return from.Records[record].Order.Major
	}
	rec := &b.Records[record]
	if rec.Op != connectors.OpRead {
		return 0
	}
	if p.snapshot != rec.Order {
		p.snapshot, p.seq = rec.Order, 0
	}
	p.seq++
	return p.seq
}

// section is what one insert writes to one table.
type section struct {
	plan     *plan
	columns  []column // those of the plan, then the sink's own
	rows     int
	truncate bool // the table first
	token    string
	done     bool
}

func newSection(p *plan) *section {
	s := &section{plan: p, columns: make([]column, len(p.columns)+len(p.meta))}
	for i := range p.columns {
		s.columns[i] = p.columns[i].model.fresh()
	}
	for i, m := range p.meta {
		c := &s.columns[len(p.columns)+i]
		switch m {
		case metaVersion, metaOrder:
			c.form, c.width = formUint, 16
		case metaDeleted:
			c.form, c.width = formUint, 1
		case metaSeq:
			c.form, c.width = formUint, 8
		default:
			c.form = formString
		}
	}
	return s
}

// fresh is an empty column of the same kind.
func (c column) fresh() column {
	c.elem = slices.Clone(c.elem)
	for i := range c.elem {
		e := c.elem[i].fresh()
		c.elem[i] = &e
	}
	return c
}

func (s *section) reset() {
	for i := range s.columns {
		s.columns[i].reset()
	}
	s.rows, s.truncate, s.token, s.done = 0, false, "", false
}

func (s *section) size() int {
	n := 0
	for i := range s.columns {
		n += s.columns[i].size()
	}
	return n
}

// failure is a value that cannot be written.
type failure struct {
	column  int
	problem problem
}

// add encodes a change. nil: done; otherwise nothing was added.
func (s *section) add(b *connectors.Batch, record int, r *changes.Row) error {
	p := s.plan
	rec := &b.Records[record]
	for i := range p.columns {
		c := &s.columns[i]
		c.begin()
		var why problem
		switch pc := &p.columns[i]; {
		case r.Kind != changes.RowWrite:
			why = s.forget(c, pc, b, r)
		case pc.keyCell >= 0 && pc.keyCell < len(r.Key):
			why = c.add(b, r.Key[pc.keyCell])
		default:
			why = c.add(b, r.Row[pc.cell])
		}
		if why != "" {
			for j := range s.columns[:i+1] {
				s.columns[j].undo()
			}
			return p.explain(failure{i, why})
		}
	}
	s.rows++
	for i, m := range p.meta {
		c := &s.columns[len(p.columns)+i]
		switch m {
		case metaVersion, metaOrder:
			c.order(rec.Order)
		case metaDeleted:
			gone := byte(0)
			if r.Kind == changes.RowDelete {
				gone = 1
			}
			c.data = append(c.data, gone)
		case metaOp:
			c.data = append(c.data, 1, rec.Op.Letter())
		case metaPartition:
			c.string(string(b.Source))
		case metaSeq:
			c.number(int64(p.seqOf(b, record)))
		}
	}
	return nil
}

// forget appends a column of a row that is gone: what is known of it, else NULL or the type's default. A truncated table has no row.
func (s *section) forget(c *column, pc *planColumn, b *connectors.Batch, r *changes.Row) problem {
	var cell connectors.Cell
	switch {
	case pc.keyCell >= 0 && r.Key != nil:
		return c.add(b, r.Key[pc.keyCell])
	case r.Old != nil:
		cell = r.Old[pc.cell]
	}
	if cell.Missing() {
		c.absent()
		return ""
	}
	why := c.add(b, cell)
	if why != "" && s.plan.wanted.versioned { // nobody reads it
		c.undo()
		c.absent()
		return ""
	}
	return why
}

// explain makes an operator's error of a failure (I10).
func (p *plan) explain(f failure) error {
	c := &p.columns[f.column]
	id := p.wanted.id()
	if f.problem == problemMissing {
		return fmt.Errorf("write to table %s: the source did not send the value of column %s of table %s (unchanged, or not in the row image), and it is not known here; run on the source: ALTER TABLE %s REPLICA IDENTITY FULL (MySQL: binlog_row_image=FULL), or let the reselect post-processor read it",
			p.target, c.name, id, id)
	}
	return fmt.Errorf("write to table %s: column %s (%s) of table %s: %s; make the column one that can hold it (%s=%s.%s:String takes every value as text), or leave it out with %s",
		p.target, c.name, c.typ.plain(), id, f.problem, keyTypes, id, c.name, keyExclude)
}

// wipe is a TRUNCATE: what came before it in this block does not matter.
func (s *section) wipe() {
	s.reset()
	s.truncate = true
}

// parts is the block in the Native format: numbers of columns and rows, then each column.
func (s *section) parts() [][]byte {
	lead := binary.AppendUvarint(nil, uint64(len(s.columns)))
	out := [][]byte{binary.AppendUvarint(lead, uint64(s.rows))}
	for i := range s.columns {
		out = s.columns[i].parts(append(out, s.plan.headers[i]))
	}
	return out
}
