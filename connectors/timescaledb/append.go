package timescaledb

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// modeAppend keeps every change as a row. Rows and position are in one transaction, so that nothing but the change has to be there: no key
// and no index by which a repeated one would be found.
const modeAppend = "append"

// The sink's own columns in mode append; their names have cfg.prefix before them.
const (
	metaOp        = "op"
	metaTime      = "time"
	metaPartition = "partition"
	metaOrder     = "order"
)

// metaColumn is one of the sink's own columns.
type metaColumn struct {
	name string // in the target
	of   string
	typ  schemas.Type
	decl string
}

func (m *metaColumn) definition() string { return quote(m.name) + " " + m.decl + " NOT NULL" }

// wantMeta adds the sink's own columns; of the others any may be NULL, as of a delete the key may be all that is known, and of a truncate
// nothing is.
func (cfg *config) wantMeta(w *wanted) error {
	w.meta = []metaColumn{
		{of: metaOp, typ: schemas.TypeText, decl: "text"},
		{of: metaTime, typ: schemas.TypeTimestampTZ, decl: "timestamp with time zone"},
		{of: metaPartition, typ: schemas.TypeText, decl: "text"},
		{of: metaOrder, typ: schemas.TypeDecimal, decl: "numeric(39,0)"},
	}
	for i := range w.meta {
		m := &w.meta[i]
		m.name = cfg.name(cfg.prefix + m.of)
		if slices.ContainsFunc(w.columns, func(c wantedColumn) bool { return c.name == m.name }) {
			return fmt.Errorf("table %s has a column %s, which is the name of a column of this sink; choose another %s", w.id(), m.name, keyPrefix)
		}
	}
	for i := range w.columns {
		c := *w.columns[i].Column
		c.Optional = true
		w.columns[i].Column = &c
	}
	return nil
}

// writes tells whether the sink writes a column of the target.
func (w *wanted) writes(name string) bool {
	return slices.ContainsFunc(w.columns, func(c wantedColumn) bool { return c.name == name }) ||
		slices.ContainsFunc(w.meta, func(m metaColumn) bool { return m.name == name })
}

// checkMeta tells why an existing table cannot hold every change.
func (w *wanted) checkMeta(t *target) error {
	if w.meta == nil {
		return nil
	}
	for i := range w.meta {
		m := &w.meta[i]
		have := t.column(m.name)
		if have == nil || direct(m.typ, have.typ.oid) == formNone || have.generated {
			return fmt.Errorf("target table %s for %s has no column %s of type %s, which %s=%s needs; run: ALTER TABLE %s ADD COLUMN %s %s, name another table with %s, or drop this one so that the sink makes it",
				t.id(), w.id(), m.name, m.decl, keyMode, modeAppend, t.quoted(), quote(m.name), m.decl, keyFormat)
		}
	}
	order := w.meta[len(w.meta)-1].name
	for _, u := range t.unique {
		if slices.Contains(u, order) || slices.ContainsFunc(u, func(c string) bool { return !w.writes(c) }) {
			continue
		}
		return fmt.Errorf("target table %s for %s has a unique index on (%s), but %s=%s writes a row for every change of a key; drop the index, or name another table with %s",
			t.id(), w.id(), strings.Join(u, ", "), keyMode, modeAppend, keyFormat)
	}
	return nil
}

// keepAll makes the plan one that keeps every change: straight into the target where each value has the form of its column, else through
// the staging table, from which it is cast.
func (p *plan) keepAll(w *wanted, t *target, time changes.CommitTime) {
	p.meta, p.time, p.timeColumn, p.straight = w.meta, time, -1, true
	for i := range p.columns {
		c := &p.columns[i]
		p.straight = p.straight && !c.cast
		if slices.ContainsFunc(t.partitions, func(name string) bool { return quote(name) == c.quoted }) {
			p.timeColumn = i
		}
	}
}

// keep encodes a change as a row of its own. nil: done; otherwise nothing was added.
func (s *section) keep(b *connectors.Batch, record int, r *changes.Row) error {
	p := s.plan
	start := len(s.data)
	data, bad := p.appendChange(s.data, b, record, r)
	s.data = data
	if bad.problem != "" {
		s.data = s.data[:start]
		return p.explain(bad)
	}
	s.counts[opWrite]++
	s.live++
	s.rows = append(s.rows, stagedRow{start: start})
	return nil
}

// appendChange writes a change as a tuple of binary COPY: the staging table's op, the sink's own columns, then those of the source. What is
// not known of a row that is gone is NULL.
func (p *plan) appendChange(dst []byte, b *connectors.Batch, record int, r *changes.Row) ([]byte, failure) {
	rec := &b.Records[record]
	fields := len(p.meta) + len(p.columns)
	if p.straight {
		dst = append(dst, byte(fields>>8), byte(fields))
	} else {
		fields++
		dst = append(dst, byte(fields>>8), byte(fields), 0, 0, 0, 2, 0, opWrite)
	}
	dst = append(dst, 0, 0, 0, 1, r.Op.Letter(), 0, 0, 0, 8)
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.time.Micros(b, rec)-microsTo2000))
	dst = append(binary.BigEndian.AppendUint32(dst, uint32(len(b.Source))), b.Source...)
	dst = appendOrder(dst, rec.Order)
	row, gone := r.Row, false
	if r.Kind != changes.RowWrite {
		row, gone = r.Old, true
	}
	for i := range p.columns {
		c := &p.columns[i]
		from := row
		if c.fromKey {
			from = r.Key
		}
		cell := connectors.Cell{Kind: connectors.KindNull}
		if from != nil {
			cell = from[c.cell]
		}
		switch {
		case cell.Kind > connectors.KindUnavailable:
			var why problem
			if dst, why = c.enc.append(dst, b, cell); why != "" {
				return dst, failure{i, why}
			}
			continue
		case cell.Missing() && !gone:
			return dst, failure{i, problemUnsent}
		case i == p.timeColumn:
			return dst, failure{i, problemNoTime}
		}
		dst = append(dst, 0xff, 0xff, 0xff, 0xff)
	}
	return dst, failure{}
}

// appendOrder writes an order as the number that sorts like it, epoch · 2^96 + major · 2^32 + minor, in the binary form of numeric.
func appendOrder(dst []byte, o connectors.Order) []byte {
	const base, most = 10000, 10 // 128 bits are at most 39 digits
	high, low := uint64(o.Epoch)<<32|o.Major>>32, o.Major<<32|uint64(o.Minor)
	var digits [most]uint16 // the last first
	n := 0
	for high != 0 || low != 0 {
		var rest uint64
		high, rest = high/base, high%base
		low, rest = bits.Div64(rest, low, base)
		digits[n] = uint16(rest)
		n++
	}
	last := 0
	for last < n && digits[last] == 0 {
		last++
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(8+2*(n-last)))
	dst = binary.BigEndian.AppendUint16(dst, uint16(n-last))
	dst = binary.BigEndian.AppendUint16(dst, uint16(max(n-1, 0))) // weight of the first
	dst = append(dst, 0, 0, 0, 0)                                 // sign, digits behind the point
	for ; n > last; n-- {
		dst = binary.BigEndian.AppendUint16(dst, digits[n-1])
	}
	return dst
}
