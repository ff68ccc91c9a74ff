package demo

import (
	"context"
	"encoding/json"
	"fmt"
)

// compare returns when every target equals the source, row by row; nobody writes to the source any more.
func (d *fullDemo) compare(ctx context.Context, changes int64) error {
	var source []map[string]stored
	rows := 0
	for i := range d.tables {
		found, err := readTable(ctx, d.source, &d.tables[i], &report{})
		if err != nil {
			return err
		}
		source = append(source, found)
		rows += len(found)
	}
	for i, t := range d.targets {
		var r *report
		err := poll(ctx, func() (bool, error) {
			var err error
			r, err = d.difference(ctx, source, t)
			return err == nil && r.good(), err
		})
		switch {
		case err != nil && (r == nil || r.good() || ctx.Err() != nil):
			return fmt.Errorf("compare %s with the source: %w", d.titles[i], err)
		case err != nil:
			for _, p := range r.problems {
				d.progress.say("WRONG: %s: %s", d.titles[i], p)
			}
			return ErrMismatch
		}
	}
	d.progress.say("%d changes while the worker ran; %d rows in %d tables: %s, %s and %s equal the source, row by row", changes, rows, len(d.tables), d.titles[0], d.titles[1], d.titles[2])
	return nil
}

func (d *fullDemo) difference(ctx context.Context, source []map[string]stored, t target) (*report, error) {
	r := &report{}
	for i := range d.tables {
		copied, err := readTable(ctx, t, &d.tables[i], r)
		if err != nil {
			return nil, err
		}
		r.compareRows(&d.tables[i], source[i], copied)
	}
	return r, nil
}

// readTable reads a table with its JSON documents in one form, as servers print them differently.
func readTable(ctx context.Context, from target, t *table, r *report) (map[string]stored, error) {
	rows, err := from.rows(ctx, t, r)
	if err != nil {
		return nil, err
	}
	for i, c := range t.columns {
		if c.kind != document {
			continue
		}
		for key, s := range rows {
			if s.row[i] == nil {
				continue
			}
			var v any
			if err := json.Unmarshal([]byte(*s.row[i]), &v); err != nil {
				return nil, fmt.Errorf("read column %s of table %s, row %s: %w", c.name, t.name, key, err)
			}
			b, err := json.Marshal(v)
			if err != nil {
				return nil, fmt.Errorf("encode column %s of table %s: %w", c.name, t.name, err)
			}
			text := string(b)
			s.row[i] = &text
		}
	}
	return rows, nil
}
