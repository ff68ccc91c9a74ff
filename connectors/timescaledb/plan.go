package timescaledb

import (
	"fmt"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// plan is how the rows of one version of a source table get into a target table. Immutable but for the SQL of patterns, which
// the writer's goroutine alone asks for.
type plan struct {
	id      string // of the source table, for messages
	target  string // quoted
	state   string // of the target's columns, for which alone the plan is right
	source  *schemas.Table
	keyed   []string // names of the record key's fields, to recognise the plan
	columns []planColumn
	keys    int
	mode    string
	deletes bool
	// Mode append.
	meta       []metaColumn // before the others
	time       changes.CommitTime
	timeColumn int  // of the hypertable, where that is one of the source's; else -1
	straight   bool // COPY goes into the target itself

	moving bool // the target's key has more columns than the source's (hypertable): an old row may lie elsewhere

	staging  string // quoted
	create   string
	remove   string
	insert   string
	truncate string
	empty    string
	copy     string
}

type planColumn struct {
	name    string // in the source
	quoted  string // in the target
	cell    int
	fromKey bool
	enc     encoder
	decl    string // in the staging table
	value   string // of the staging column, cast to the target's type
	cast    bool
	spelled string // type in the target, for messages
}

// What a staged row asks for; opPatterns and above: update all columns but those of a pattern.
const (
	opDelete   = 0
	opWrite    = 1
	opRewrite  = 2 // remove other rows of this key first
	opPatterns = 3
)

// ownRows are the staged rows of this transaction. Those of earlier ones stay for a while: emptying a table that has a TOAST table
// costs more than writing some rows, and ON COMMIT DELETE ROWS would empty every table at each commit.
const ownRows = "s.xmin = (SELECT pg_current_xact_id()::xid)"

// newPlan resolves each column of w against the target as it is.
func newPlan(cfg *config, w *wanted, t *target, staging string, stream *connectors.Stream) (*plan, error) {
	if err := w.checkMeta(t); err != nil {
		return nil, connectors.AsPermanent(err)
	}
	p := &plan{
		id: w.id(), target: t.quoted(), state: t.state(), source: w.source,
		mode: cfg.mode, deletes: cfg.deletes, staging: "pg_temp." + quote(staging),
	}
	for i := range w.columns {
		c := &w.columns[i]
		have := t.column(c.name)
		if have == nil && c.TypeName == changes.NullType {
			continue
		}
		if have == nil {
			return nil, connectors.AsPermanent(fmt.Errorf("target table %s has no column %s", t.id(), c.name))
		}
		if have.generated {
			if i < w.keys {
				return nil, connectors.AsPermanent(fmt.Errorf("key column %s of target table %s is computed by the server, and rows are found by it; make it a plain column", c.name, t.id()))
			}
			continue
		}
		s, ok := stage(c.Column, have.typ)
		if c.TypeName == changes.NullType {
			s, ok = staged{encoder{form: formNone}, "text", have.typ.name}, true
		}
		if !ok {
			return nil, connectors.AsPermanent(fmt.Errorf("column %s of target table %s is of type %s, into which values of type %s cannot be written", c.name, t.id(), have.typ.name, c.spelled()))
		}
		out := planColumn{name: c.Name, quoted: quote(c.name), cell: c.cell, fromKey: c.fromKey, enc: s.enc, decl: s.decl, spelled: have.typ.name}
		out.value = fmt.Sprintf("s.c%d", len(p.columns))
		if s.cast != "" {
			out.value, out.cast = out.value+"::"+s.cast, true
		}
		p.columns = append(p.columns, out)
		if i < w.keys {
			p.keys++
		}
	}
	conflict, err := cfg.conflictTarget(w, t)
	if err != nil {
		return nil, connectors.AsPermanent(err)
	}
	p.moving = p.mode == "upsert" && len(conflict) > p.keys
	if p.mode == modeAppend {
		p.keepAll(w, t, changes.CommitTimeOf(stream))
	}
	p.writeSQL(conflict, t)
	return p, nil
}

// conflictTarget finds the unique index that ON CONFLICT names: of the key, in a hypertable together with what that is
// partitioned by.
func (cfg *config) conflictTarget(w *wanted, t *target) ([]string, error) {
	if cfg.mode != "upsert" {
		return nil, nil
	}
	var key []string
	for i := range w.keys {
		key = append(key, w.columns[i].name)
	}
	for _, extra := range t.partitions {
		if !slices.Contains(key, extra) {
			key = append(key, extra)
		}
	}
	for _, u := range t.unique {
		if len(u) == len(key) && !slices.ContainsFunc(u, func(c string) bool { return !slices.Contains(key, c) }) {
			return u, nil
		}
	}
	hint := ""
	if t.hypertable {
		hint = " (a unique index of a hypertable must contain the column that it is partitioned by)"
	}
	return nil, fmt.Errorf("target table %s has no primary key or unique index on (%s), by which rows are found; run: ALTER TABLE %s ADD PRIMARY KEY (%s)%s, or set %s=insert",
		t.id(), strings.Join(key, ", "), t.quoted(), quoteList(key), hint, keyInsert)
}

func (p *plan) writeSQL(conflict []string, t *target) {
	staged := []string{"op int2"}
	var names, values, updates []string
	for i, m := range p.meta {
		staged = append(staged, fmt.Sprintf("m%d %s", i, m.decl))
		names, values = append(names, quote(m.name)), append(values, fmt.Sprintf("s.m%d", i))
	}
	for i, c := range p.columns {
		staged = append(staged, fmt.Sprintf("c%d %s", i, c.decl))
		names, values = append(names, c.quoted), append(values, c.value)
		if !slices.ContainsFunc(conflict, func(k string) bool { return quote(k) == c.quoted }) {
			updates = append(updates, c.quoted+" = EXCLUDED."+c.quoted)
		}
	}
	p.create = "CREATE TEMP TABLE " + strings.TrimPrefix(p.staging, "pg_temp.") + " (" + strings.Join(staged, ", ") + ")"
	p.empty = "TRUNCATE TABLE " + p.staging
	p.copy = "COPY " + p.staging + " FROM STDIN (FORMAT binary)"
	p.truncate = "TRUNCATE TABLE " + p.target
	if p.straight {
		p.create, p.copy = "", "COPY "+p.target+" ("+strings.Join(names, ", ")+") FROM STDIN (FORMAT binary)"
		return
	}
	p.insert = "INSERT INTO " + p.target + " (" + strings.Join(names, ", ") + ") OVERRIDING SYSTEM VALUE SELECT " + strings.Join(values, ", ") +
		" FROM " + p.staging + " s WHERE s.op IN (1, 2) AND " + ownRows
	if p.mode == "upsert" {
		p.insert += " ON CONFLICT (" + quoteList(conflict) + ") DO "
		if len(updates) == 0 {
			p.insert += "NOTHING"
		} else {
			p.insert += "UPDATE SET " + strings.Join(updates, ", ")
		}
	}
	p.remove = "DELETE FROM " + p.target + " t USING " + p.staging + " s WHERE s.op IN (0, 2) AND " + ownRows + " AND " + p.match()
	if p.moving {
		var moved []string
		for _, c := range p.columns[p.keys:] {
			if slices.ContainsFunc(t.partitions, func(x string) bool { return quote(x) == c.quoted }) {
				moved = append(moved, "t."+c.quoted+" IS DISTINCT FROM "+c.value)
			}
		}
		p.remove += " AND (s.op = 0 OR " + strings.Join(moved, " OR ") + ")"
	}
}

// match joins target t and staging s by the key.
func (p *plan) match() string {
	terms := make([]string, p.keys)
	for i, c := range p.columns[:p.keys] {
		terms[i] = "t." + c.quoted + " = " + c.value
	}
	return strings.Join(terms, " AND ")
}

// update changes the columns of rows that are there; missing tells, per column, what is left as it is.
func (p *plan) update(op int, missing []bool) string {
	var sets []string
	for i, c := range p.columns {
		if i >= p.keys && !missing[i] {
			sets = append(sets, c.quoted+" = "+c.value)
		}
	}
	if len(sets) == 0 { // it still has to be there
		sets = append(sets, p.columns[0].quoted+" = t."+p.columns[0].quoted)
	}
	return fmt.Sprintf("UPDATE %s t SET %s FROM %s s WHERE s.op = %d AND %s AND %s", p.target, strings.Join(sets, ", "), p.staging, op, ownRows, p.match())
}

// folds tells whether a section has one row of a key: else it only adds rows, in any order.
func (p *plan) folds() bool { return p.keys > 0 && (p.mode != "insert" || p.deletes) }

// fits tells whether the plan is also right for this stream: same table, same key.
func (p *plan) fits(s *connectors.Stream) bool {
	return changes.SameRows(p.source, p.keyed, s) && (p.mode != modeAppend || p.time == changes.CommitTimeOf(s))
}

// failure is a value that cannot be written.
type failure struct {
	column  int
	problem problem
}

// append encodes a row as a tuple of binary COPY: op, then the columns. Columns that the source did not send become NULL and
// are marked in missing, which has one element per column; some tells that there are any.
func (p *plan) append(dst []byte, b *connectors.Batch, r *changes.Row, missing []bool) (out []byte, some bool, bad failure) {
	dst = append(dst, byte((len(p.columns)+1)>>8), byte(len(p.columns)+1), 0, 0, 0, 2, 0, opWrite)
	row := r.Row
	if r.Kind == changes.RowDelete {
		dst[len(dst)-1] = opDelete
		row = nil
	}
	for i := range p.columns {
		c := &p.columns[i]
		from := row
		if c.fromKey {
			from = r.Key
		}
		missing[i] = false
		if from == nil {
			dst = append(dst, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		cell := from[c.cell]
		switch {
		case cell.Kind > connectors.KindUnavailable:
			var why problem
			if dst, why = c.enc.append(dst, b, cell); why != "" {
				return dst, false, failure{i, why}
			}
			continue
		case cell.Kind == connectors.KindNull:
		case i < p.keys:
			return dst, false, failure{i, problemMissing}
		default:
			missing[i], some = true, true
		}
		dst = append(dst, 0xff, 0xff, 0xff, 0xff)
	}
	return dst, some, failure{}
}

// remedy is how the source sends whole rows.
func (p *plan) remedy() string {
	switch {
	case p.source.Schema != "":
		return "run on the source: ALTER TABLE " + p.id + " REPLICA IDENTITY FULL, or let its post-processor read such values again"
	case p.source.Catalog != "":
		return "set binlog_row_image=FULL on the source, or let its post-processor read such values again"
	}
	return "let the source send whole rows"
}

// explain makes an operator's error of a failure (I10).
func (p *plan) explain(f failure) error {
	c := &p.columns[f.column]
	switch f.problem {
	case problemUnsent:
		return fmt.Errorf("write to table %s: the source did not send the unchanged value of column %s, which a new row needs; %s", p.target, c.name, p.remedy())
	case problemNoTime:
		return fmt.Errorf("write to table %s: column %s, which the hypertable is partitioned by, is not known of a row that was deleted, nor of a truncate; %s, or partition by the time of the commit, %s=%s",
			p.target, c.name, p.remedy(), keyTime, p.meta[1].name)
	case problemMissing:
		return fmt.Errorf("write to table %s: the source did not send key column %s, by which the row is found; %s", p.target, c.name, p.remedy())
	}
	return fmt.Errorf("write to table %s: column %s (%s): %s; alter the column, or leave it out with %s", p.target, c.name, c.spelled, f.problem, keyExclude)
}
