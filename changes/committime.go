package changes

import (
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// CommitTime says where the records of a stream have the time of their commit.
type CommitTime struct {
	cell   int // of Record.Source, -1: nowhere
	micros int64
}

// CommitTimeOf looks for it in the source block. Streams of Rows have it with RowsOptions.Events.
func CommitTimeOf(s *connectors.Stream) CommitTime {
	best := CommitTime{cell: -1}
	if s.Source == nil {
		return best
	}
	for i, f := range s.Source.Fields {
		if f.Cell < 0 || f.Divide > 1 || f.Multiply > 1 || s.Source.Schema.Fields[i].Schema.Kind != schemas.Int64 {
			continue
		}
		switch s.Source.Schema.Fields[i].Name {
		case "ts_us":
			return CommitTime{f.Cell, 1}
		case "ts_ms":
			best = CommitTime{f.Cell, 1000}
		}
	}
	return best
}

// Micros is the time of a change in µs since 1970: of its commit (a row of a snapshot: of that), else when it was read.
func (t CommitTime) Micros(b *connectors.Batch, r *connectors.Record) int64 {
	if t.cell >= 0 && !r.Source.Absent() {
		if cells := b.Cells(r.Source); t.cell < len(cells) && cells[t.cell].Kind == connectors.KindInt {
			return cells[t.cell].Int() * t.micros
		}
	}
	return r.Timestamp / 1000
}

// committed is the source block of streams of Rows: the time alone.
func committed() *connectors.SourceBlock {
	return &connectors.SourceBlock{
		Schema: &schemas.Schema{Kind: schemas.Struct, Fields: []schemas.Field{{Name: "ts_us", Schema: Plain(schemas.Int64, true)}}},
		Fields: []connectors.SourceField{{Cell: 0}},
	}
}

// committedAt is when a change was committed, in µs since 1970, by the source block of its envelope; false: it does not say.
func (c *change) committedAt(p *rowPlan) (int64, bool) {
	if n, ok := pick(c.source, p.src.micros, "ts_us").(int64); ok {
		return n, true
	}
	n, ok := pick(c.source, p.src.millis, "ts_ms").(int64)
	return n * 1000, ok
}
