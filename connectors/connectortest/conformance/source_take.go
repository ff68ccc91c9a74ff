package conformance

import (
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// take takes down what a batch brings, and its offset as durable. It checks that what comes follows what came.
func (r *sourceRun) take(b *connectors.Batch) {
	r.Helper()
	if p, err := offsets.Canonical([]byte(b.Source)); err != nil || p != b.Source {
		r.Errorf("partition %q is not canonical: %q, %v", b.Source, p, err)
	}
	for i := range b.Records {
		r.takeRecord(b, &b.Records[i], i)
	}
	if len(b.Records) > 0 && !r.h.NoOrder && b.Through.Compare(b.Records[len(b.Records)-1].Order) < 0 {
		r.Errorf("the batch's Through is %s, its last record has order %s", b.Through.Text(), b.Records[len(b.Records)-1].Order.Text())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.h.Own && !slices.Contains(r.asked, b.Source) {
		r.asked = append(r.asked, b.Source)
		r.Errorf("the source has not asked for the offset of %s, from which a batch comes: a sink that keeps offsets takes a partition over when it is asked for", b.Source)
	}
	if b.Offset != "" {
		if _, err := offsets.ParseOffset([]byte(b.Offset)); err != nil {
			r.Errorf("offset %q: %v", b.Offset, err)
		}
		r.stored[b.Source] = b.Offset
	}
	for _, e := range b.Extra {
		if _, err := offsets.ParseOffset([]byte(e.Offset)); e.Offset != "" && err != nil {
			r.Errorf("entry %s beside the offset: %q: %v", e.Partition, e.Offset, err)
		}
		r.stored[e.Partition] = e.Offset
	}
	if b.Offset != "" || len(b.Extra) > 0 {
		r.marked = true
		r.marks = append(r.marks, mark{maps.Clone(r.stored), maps.Clone(r.at)})
	}
}

func (r *sourceRun) takeRecord(b *connectors.Batch, rec *connectors.Record, i int) {
	r.Helper()
	if !r.h.NoOrder {
		if c := rec.Order.Compare(b.Through); c > 0 {
			r.Errorf("record %d has order %s, above Through %s of its batch", i, rec.Order.Text(), b.Through.Text())
		}
		last, ok := r.last[b.Source]
		if c := rec.Order.Compare(last); ok && (c < 0 || c == 0 && rec.Order.Minor != 0) {
			r.Errorf("order %s in %s does not grow: the record before has %s", rec.Order.Text(), b.Source, last.Text())
		}
		r.last[b.Source] = rec.Order
		if rec.Order.Compare(r.highest[b.Source]) > 0 {
			r.highest[b.Source] = rec.Order
		}
	}
	now := seen{rec.Order, r.content(b, rec)}
	group, n := "", 0
	if r.h.Number == nil {
		group = string(b.Source)
		n = r.recognise(group, now)
	} else if n = r.h.Number(b, rec); n == 0 {
		return
	}
	next := r.at[group] + 1
	for r.left[next] {
		next++
	}
	switch {
	case n == next:
		r.at[group], r.fresh[group] = n, true
	case n > next:
		r.Fatalf("record %d%s came after %d: %d are missing", n, in(group), next-1, n-next)
	case r.fresh[group]:
		r.Fatalf("record %d%s came again after %d", n, in(group), next-1)
	case !r.h.Replays:
		r.Fatalf("record %d%s came again, after a restart behind %d", n, in(group), next-1)
	default:
		r.replayed++
	}
	list := r.known[group]
	for len(list) < n-1 {
		list = append(list, seen{})
	}
	before, restarted := r.before[b.Source]
	above := r.h.Own && rec.Order.Compare(before) > 0
	if n > len(list) {
		if r.h.Own && restarted && !above {
			r.Errorf("record %d%s has order %s, before the restart there was %s: sinks that go by it take the record for an old one", n, in(group), rec.Order.Text(), before.Text())
		}
		r.known[group] = append(list, now)
		r.keys[group+"\x00"+now.text] = append(r.keys[group+"\x00"+now.text], n)
		return
	}
	if was := list[n-1]; !r.h.NoOrder && was.order != now.order && !above {
		r.Errorf("record %d%s has order %s, before it had %s", n, in(group), now.order.Text(), was.order.Text())
	} else if was.text != now.text {
		r.Errorf("record %d%s is %s, before it was %s", n, in(group), now.text, was.text)
	}
}

// recognise is the number of a record that has none of its own: that of the known one with the same content, else the next.
func (r *sourceRun) recognise(group string, now seen) int {
	r.Helper()
	next := r.at[group] + 1
	known := r.keys[group+"\x00"+now.text]
	if slices.Contains(known, next) {
		return next
	}
	again := -1
	for _, n := range known {
		if n > next || r.h.NoOrder || r.h.Own || r.known[group][n-1].order == now.order {
			again = n
			break
		}
	}
	switch {
	case next > len(r.known[group]) && (again < 0 || r.h.NoOrder):
		return next // nobody knows more
	case again > 0:
		return again
	}
	r.Fatalf("record %d%s is %s, before it was %s", next, in(group), now.text, r.known[group][next-1].text)
	return 0
}

func in(group string) string {
	if group == "" {
		return ""
	}
	return " of " + group
}

func (r *sourceRun) place() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.stored) == 0 {
		return "without an offset"
	}
	return fmt.Sprintf("at %v", r.stored)
}

// content is what a record holds, as text: what must be the same whenever it is read. Where it is sent again, a time since the check began
// may be that of its coming.
func (r *sourceRun) content(b *connectors.Batch, rec *connectors.Record) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s %c", b.Streams[rec.Stream].Topic, rec.Op.Letter())
	for _, row := range []struct {
		name string
		connectors.Row
	}{{"key", rec.Key}, {"before", rec.Before}, {"after", rec.After}} {
		if row.Absent() {
			continue
		}
		out.WriteString(" " + row.name)
		for _, c := range b.Cells(row.Row) {
			if r.h.Own && c.Kind == connectors.KindTimestampTZ && c.Int() >= r.began.UnixMicro() {
				out.WriteString(" now")
				continue
			}
			out.WriteString(" " + Show(b, c))
		}
	}
	if rec.Value > 0 {
		body := &b.Bodies[rec.Value-1]
		fmt.Fprintf(&out, " %v %v", body.Key.Value, body.Value.Value)
	}
	const enough = 1000
	text := out.String()
	if len(text) <= enough {
		return text
	}
	return fmt.Sprintf("%s… (%d bytes, CRC %08x)", text[:enough], len(text), crc32.ChecksumIEEE([]byte(text)))
}

// Show writes a cell as text that tells it from every other one.
func Show(b *connectors.Batch, c connectors.Cell) string {
	switch c.Kind {
	case connectors.KindNull:
		return "null"
	case connectors.KindAbsent:
		return "absent"
	case connectors.KindUnavailable:
		return "unavailable"
	case connectors.KindText:
		return fmt.Sprintf("%q", b.Bytes(c))
	case connectors.KindDecimal, connectors.KindBits:
		return fmt.Sprintf("%d %s", c.Kind, b.Bytes(c))
	case connectors.KindBytes:
		return fmt.Sprintf("x%x", b.Bytes(c))
	case connectors.KindFloat32, connectors.KindFloat64:
		return fmt.Sprintf("%d %g", c.Kind, c.Float())
	case connectors.KindInterval:
		months, days, micros := b.Interval(c)
		return fmt.Sprintf("%d months %d days %d µs", months, days, micros)
	case connectors.KindList, connectors.KindMap, connectors.KindPoint:
		out := fmt.Sprintf("%d [", c.Kind)
		for _, e := range b.List(c) {
			out += " " + Show(b, e)
		}
		return out + " ]"
	}
	return fmt.Sprintf("%d %d %d", c.Kind, c.Int(), c.Offset())
}
