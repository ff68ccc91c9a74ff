//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/schemas"
)

// Changes that the child makes itself, as cheaply as it can: what a sink does with them is not held up by a database that is read.

const (
	madeClass = "Made"
	madeBatch = 2048 // rows
	madeRows  = "rows"
	// beginLine is what a child prints when the row with which the target was made ready has had its time, and the others begin.
	beginLine = "begin"
	warmTime  = time.Second
)

// madeReading is a connector that makes so many rows, as those of the load.
func madeReading(name string, rows int) reading {
	return reading{name: name, config: map[string]string{"name": name, "connector.class": madeClass, "tasks.max": "1", madeRows: strconv.Itoa(rows)}}
}

// madeFactory makes sources of made rows.
type madeFactory struct{}

// Describe implements connectors.Factory.
func (madeFactory) Describe() connectors.Description {
	return connectors.Description{Class: madeClass, Source: true, Version: "bench", Doc: "Makes rows.", Config: &connectors.ConfigDef{
		Keys: []connectors.Key{{Name: madeRows, Type: connectors.TypeInt, Doc: "How many."}},
	}}
}

// Validate implements connectors.Factory.
func (madeFactory) Validate(context.Context, connectors.Config) []connectors.ConfigValue { return nil }

// Tasks implements connectors.Factory.
func (madeFactory) Tasks(_ context.Context, c connectors.Config, _ int) ([]connectors.Config, error) {
	return []connectors.Config{c}, nil
}

// NewSource implements connectors.SourceFactory.
func (madeFactory) NewSource(c connectors.Config, s connectors.Settings) (connectors.SourceTask, error) {
	rows, err := strconv.Atoi(c[madeRows])
	if err != nil || rows < 2 {
		return nil, connectors.AsPermanent(errors.New("rows must be a number above 1"))
	}
	return &maker{rows: rows, stream: madeStream(s.Connector)}, nil
}

// maker is the source.
type maker struct {
	rows, at int
	stream   *connectors.Stream
	session  connectors.SourceSession
	text     []byte
}

const madePartition = offsets.Partition(`{"server":"made"}`)

// madeStream describes bench.rows as the source does.
func madeStream(name string) *connectors.Stream {
	kinds := [10]schemas.Type{
		schemas.TypeInt64, schemas.TypeInt32, schemas.TypeInt64, schemas.TypeDecimal, schemas.TypeFloat64,
		schemas.TypeText, schemas.TypeText, schemas.TypeBool, schemas.TypeTimestampTZ, schemas.TypeTimestampTZ,
	}
	names := [10]string{"bigint", "integer", "bigint", "numeric(12,2)", "double precision", "text", "text", "boolean", "timestamp with time zone", "timestamp with time zone"}
	t := &schemas.Table{Catalog: database, Schema: "bench", Name: "rows", Key: []int{0}}
	for i, c := range columns() {
		column := schemas.Column{Name: c[0], Type: kinds[i], TypeName: names[i], Length: -1, Scale: -1, Optional: c[0] == "note"}
		if kinds[i] == schemas.TypeDecimal {
			column.Length, column.Scale = 12, 2
		}
		t.Columns = append(t.Columns, column)
	}
	id := &schemas.Schema{Kind: schemas.Int64}
	return &connectors.Stream{
		Topic: name + ".bench.rows", Table: t,
		Row:       &schemas.Schema{Kind: schemas.Struct, Name: "Value"}, // a stream without it has deletes alone
		Key:       &schemas.Schema{Kind: schemas.Struct, Name: "Key", Fields: []schemas.Field{{Name: "id", Schema: id}}},
		KeyFields: []connectors.Field{{Name: "id", Schema: id}},
	}
}

// Start implements connectors.SourceTask.
func (m *maker) Start(_ context.Context, s connectors.SourceSession) error {
	m.session = s
	return nil
}

// Poll implements connectors.SourceTask. The first row comes alone.
func (m *maker) Poll(ctx context.Context) (*connectors.Batch, error) {
	n := min(madeBatch, m.rows-m.at)
	switch m.at {
	case 0:
		n = 1
	case 1:
		if err := pause(ctx, warmTime); err != nil {
			return nil, err
		}
		fmt.Println(beginLine)
	case m.rows:
		<-ctx.Done()
		return nil, ctx.Err()
	}
	w, err := m.session.NewBatch(ctx, madePartition)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	stream := w.Stream(m.stream)
	for range n {
		m.at++
		m.row(w, stream, int64(m.at), now)
	}
	return w.Finish(offsets.Offset(`{"at":`+strconv.Itoa(m.at)+`}`), order(m.at)), nil
}

func order(n int) connectors.Order {
	return connectors.Order{Epoch: 1, Major: uint64(n), Minor: 1}
}

// row is number n of the load (columns).
func (m *maker) row(w *connectors.Builder, stream uint32, n int64, now time.Time) {
	record := w.Begin(stream, connectors.OpCreate)
	record.Order, record.Timestamp, record.Last = order(int(n)), now.UnixNano(), n%1000 == 0
	w.Key()
	w.Int(n)
	w.After()
	w.Int(n)
	w.Int(n * 7919 % 100000)
	w.Int(100000000000 + n*31)
	cents := n % 1000000
	m.text = append(strconv.AppendInt(m.text[:0], cents/100, 10), '.', byte('0'+cents/10%10), byte('0'+cents%10))
	w.Text(connectors.KindDecimal, m.text)
	w.Float64(1 + float64(n%997)/8)
	w.String([4]string{"open", "won", "lost", "void"}[n%4])
	m.text = strconv.AppendInt(append(m.text[:0], "selection "...), n%5000, 10)
	m.text = strconv.AppendInt(append(m.text, " in race "...), n%97, 10)
	w.Text(connectors.KindText, m.text)
	w.Bool(n%3 == 0)
	w.Temporal(connectors.KindTimestampTZ, 1767225600123456+n*1000000)
	w.Temporal(connectors.KindTimestampTZ, now.UnixMicro())
	w.Commit()
}

// Commit implements connectors.SourceTask.
func (*maker) Commit(context.Context, []offsets.Entry) error { return nil }

// Stop implements connectors.SourceTask.
func (*maker) Stop(context.Context) error { return nil }
