package changes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

// ReselectClass is the class of the post-processor that reads values again which an event does not have.
const ReselectClass = "io.debezium.processors.reselect.ReselectColumnsPostProcessor"

const (
	keyProcessors = "post.processors"
	// MaxReselected is how many rows are read again at once, so that what a batch gets on top of what was sent stays small (I5).
	MaxReselected = 128
)

// Reselector finds the values of a batch that are unavailable or NULL and shall be read again, and puts in what a SELECT finds: the row as
// it is then, not as it was at the change. It belongs to one goroutine. Without a post-processor it is nil, and does nothing.
type Reselector struct {
	columns     filter
	unavailable bool
	nulls       bool
	eventKey    bool
	fail        bool
	signal      string
	log         *slog.Logger
	plans       map[*connectors.Stream]*reselectPlan
	known       map[*connectors.Stream]FetchFunc
	looked      int // records of the batch at hand that were looked at
	open        int // of those after looked that lack something, as far as Due counted
	counted     int
}

// reselectPlan is what is read again of a table.
type reselectPlan struct {
	columns []bool // of Stream.Table: may be read again
	key     []int  // of Stream.Table: by which rows are found; nil: there is none
	warned  bool
}

// FetchFunc runs one SELECT and gives every row of the answer to Lookup.Row. Its error is one of the connection when it is retriable.
type FetchFunc func(ctx context.Context, l *Lookup) error

// maxReselectPlans is how many streams are known; beyond them all is made again.
const maxReselectPlans = 1000

// Lookup is one SELECT: the rows of a table with these keys.
type Lookup struct {
	Stream  *connectors.Stream
	Columns []bool                // of Stream.Table: what is asked for, the key included; the others may be NULL
	Key     []int                 // of Stream.Table, in key order
	Keys    [][]connectors.Cell   // one cell per Key; of the builder
	waiting map[string][]waitCell // by the text of the key
	w       *connectors.Builder
}

// waitCell is a place that a value is read for.
type waitCell struct {
	row    connectors.Row
	column int
}

// NewReselector reads post.processors and the keys of the one that it names; nil: there is none.
func NewReselector(c connectors.Config, log *slog.Logger) (*Reselector, error) {
	names := connectors.SplitList(c[keyProcessors])
	switch {
	case len(names) == 0:
		return nil, nil
	case len(names) > 1:
		return nil, fmt.Errorf("read %s: more than one is not supported yet", keyProcessors)
	}
	own := func(key string) string { return strings.TrimSpace(c[names[0]+"."+key]) }
	if class := own("type"); class != ReselectClass {
		return nil, fmt.Errorf("read %s: %s.type is %q, which is not supported yet; there is %s", keyProcessors, names[0], class, ReselectClass)
	}
	r := &Reselector{log: log, signal: strings.TrimSpace(c["signal.data.collection"]), plans: map[*connectors.Stream]*reselectPlan{}, known: map[*connectors.Stream]FetchFunc{}}
	r.unavailable = !strings.EqualFold(own("reselect.unavailable.values"), "false")
	r.nulls = !strings.EqualFold(own("reselect.null.values"), "false")
	r.eventKey = strings.EqualFold(own("reselect.use.event.key"), "true")
	r.fail = strings.EqualFold(own("reselect.error.handling.mode"), "fail")
	var err error
	include, exclude := names[0]+".reselect.columns.include.list", names[0]+".reselect.columns.exclude.list"
	if r.columns.include, err = ParsePatterns(include, c[include]); err != nil {
		return nil, err
	}
	if r.columns.exclude, err = ParsePatterns(exclude, c[exclude]); err != nil {
		return nil, err
	}
	if len(r.columns.include) > 0 && len(r.columns.exclude) > 0 {
		return nil, fmt.Errorf("read %s: %s and %s are both given; use one of them", keyProcessors, include, exclude)
	}
	return r, nil
}

// Begin is for a new batch.
func (r *Reselector) Begin() {
	if r != nil {
		r.looked, r.counted, r.open = 0, 0, 0
	}
}

// Due tells that enough records of w lack something for a SELECT.
func (r *Reselector) Due(w *connectors.Builder) bool {
	if r == nil || w == nil {
		return false
	}
	for ; r.counted < w.Len(); r.counted++ {
		if r.lacks(w, &w.Records()[r.counted]) {
			r.open++
		}
	}
	return r.open >= MaxReselected
}

func (r *Reselector) lacks(w *connectors.Builder, rec *connectors.Record) bool {
	if rec.Value != 0 || rec.After.Absent() || rec.Op != connectors.OpCreate && rec.Op != connectors.OpUpdate {
		return false
	}
	p := r.plan(w.Streams()[rec.Stream])
	for i, c := range w.Row(rec.After) {
		if p.columns[i] && r.wanted(c) {
			return true
		}
	}
	return false
}

// wanted tells a value that is to be read again.
func (r *Reselector) wanted(c connectors.Cell) bool {
	return c.Missing() && r.unavailable || c.Kind == connectors.KindNull && r.nulls
}

// Note says how rows of a stream are read again. It must be known before Fill.
func (r *Reselector) Note(s *connectors.Stream, fetch FetchFunc) {
	if len(r.known) >= maxReselectPlans {
		clear(r.known)
	}
	r.known[s] = fetch
}

// Knows tells that Note has said it.
func (r *Reselector) Knows(s *connectors.Stream) bool { return r.known[s] != nil }

// Fill reads again what the records of w lack that were not looked at yet. An error of the connection is returned, and Fill may be called
// again. What else goes wrong, and a row that is gone, is what reselect.error.handling.mode says: logged, or an error.
func (r *Reselector) Fill(ctx context.Context, w *connectors.Builder) error {
	if r == nil || w == nil {
		return nil
	}
	for r.looked < w.Len() {
		to, lookups := r.gather(w)
		for _, l := range lookups {
			if err := r.run(ctx, l); err != nil {
				return err
			}
		}
		r.looked = to
		r.counted, r.open = max(r.counted, to), 0
	}
	return nil
}

func (r *Reselector) run(ctx context.Context, l *Lookup) error {
	id := l.Stream.Table.ID()
	err := connectors.AsPermanent(errors.New("the table is not known any more"))
	if fetch := r.known[l.Stream]; fetch != nil {
		err = fetch(ctx, l)
	}
	switch {
	case err != nil && (ctx.Err() != nil || connectors.ClassOf(err) == connectors.Retriable):
		return fmt.Errorf("read values of table %s again: %w", id, err)
	case err == nil && len(l.waiting) == 0:
		return nil
	case err == nil:
		err = fmt.Errorf("%d of %d rows are not there any more", len(l.waiting), len(l.Keys))
	}
	err = fmt.Errorf("read values of table %s again, which events do not have: %w", id, err)
	if r.fail {
		return connectors.AsPermanent(fmt.Errorf("%w; reselect.error.handling.mode=warn passes such events on as they are", err))
	}
	r.log.Warn("events are passed on without these values", "error", err)
	return nil
}

// gather makes the lookups of the next MaxReselected records that lack something.
func (r *Reselector) gather(w *connectors.Builder) (to int, out []*Lookup) {
	n := 0
	records := w.Records()
	for to = r.looked; to < len(records) && n < MaxReselected; to++ {
		rec := &records[to]
		if !r.lacks(w, rec) {
			continue
		}
		s := w.Streams()[rec.Stream]
		p := r.plan(s)
		if p.key == nil {
			if !p.warned {
				p.warned = true
				r.log.Warn("values of a table without key cannot be read again", "table", s.Table.ID())
			}
			continue
		}
		var l *Lookup
		for _, x := range out {
			if x.Stream == s {
				l = x
			}
		}
		if l == nil {
			l = &Lookup{Stream: s, Columns: make([]bool, len(p.columns)), Key: p.key, waiting: map[string][]waitCell{}, w: w}
			for _, k := range p.key {
				l.Columns[k] = true
			}
			out = append(out, l)
		}
		if l.add(r, p, rec) {
			n++
		}
	}
	return to, out
}

func (l *Lookup) add(r *Reselector, p *reselectPlan, rec *connectors.Record) bool {
	row := l.w.Row(rec.After)
	key := make([]connectors.Cell, len(l.Key))
	for i, k := range l.Key {
		key[i] = row[k]
	}
	name, ok := l.name(key)
	if !ok {
		return false
	}
	if _, there := l.waiting[name]; !there {
		l.Keys = append(l.Keys, key)
	}
	for i, c := range row {
		if p.columns[i] && r.wanted(c) {
			l.Columns[i] = true
			l.waiting[name] = append(l.waiting[name], waitCell{row: rec.After, column: i})
		}
	}
	return true
}

// name is the text of a key; false: it has a part that is not known.
func (l *Lookup) name(key []connectors.Cell) (string, bool) {
	var out []byte
	for _, c := range key {
		at := len(out)
		var ok bool
		if out, ok = AppendSQLText(out, l.w, c); !ok {
			return "", false
		}
		out = strconv.AppendInt(append(out, 0), int64(len(out)-at), 10)
	}
	return string(out), true
}

// Asks tells that the SELECT is to have a column; its cell is below 0 when events do not have it.
func (l *Lookup) Asks(cell int) bool { return cell >= 0 && l.Columns[cell] }

// SQL is the SELECT. fields are what it returns, as SQL; table and the names of key columns (by quote) are quoted; literal makes SQL of a key's
// value, whose text is as AppendSQLText has it.
func (l *Lookup) SQL(fields []string, table string, quote func(name string) string, literal func(c connectors.Cell, text string) string) (string, error) {
	names := make([]string, len(l.Key))
	for i, k := range l.Key {
		names[i] = quote(l.Stream.Table.Columns[k].Name)
	}
	rows := make([]string, len(l.Keys))
	for i, key := range l.Keys {
		values := make([]string, len(key))
		for j, c := range key {
			text, ok := AppendSQLText(nil, l.w, c)
			if !ok {
				return "", errors.New("its key holds values that rows cannot be found by")
			}
			values[j] = literal(c, string(text))
		}
		rows[i] = "(" + strings.Join(values, ", ") + ")"
	}
	return fmt.Sprintf("SELECT %s FROM %s WHERE (%s) IN (%s)", strings.Join(fields, ", "), table, strings.Join(names, ", "), strings.Join(rows, ", ")), nil
}

// Row takes one row that was found: add appends its cells, one per column of Stream.Table.
func (l *Lookup) Row(add func(w *connectors.Builder) error) error {
	w := l.w
	rec := w.Begin(0, connectors.OpNone)
	w.After()
	if err := add(w); err != nil {
		w.Discard()
		return err
	}
	row := w.Row(rec.After)
	key := make([]connectors.Cell, len(l.Key))
	for i, k := range l.Key {
		key[i] = row[k]
	}
	name, ok := l.name(key)
	list := l.waiting[name]
	if !ok || list == nil {
		w.Discard() // of another spelling: it is none of those
		return nil
	}
	for _, to := range list {
		w.SetCell(to.row, to.column, row[to.column])
	}
	delete(l.waiting, name)
	w.Detach()
	return nil
}

// plan says what is read again of a table.
func (r *Reselector) plan(s *connectors.Stream) *reselectPlan {
	if p := r.plans[s]; p != nil {
		return p
	}
	p := &reselectPlan{}
	if s.Table != nil {
		id := IDOf(s.Table).String()
		p.columns = make([]bool, len(s.Table.Columns))
		for i := range p.columns {
			p.columns[i] = !strings.EqualFold(id, r.signal) && r.columns.accepts(id+":"+s.Table.Columns[i].Name)
		}
		p.key = r.keyOf(s)
		for _, k := range p.key {
			p.columns[k] = false
		}
	}
	if len(r.plans) >= maxReselectPlans {
		clear(r.plans)
	}
	r.plans[s] = p
	return p
}

// keyOf returns the columns that rows are found by, nil for none.
func (r *Reselector) keyOf(s *connectors.Stream) []int {
	if !r.eventKey {
		return s.Table.Key
	}
	var out []int
	for i := range s.KeyFields {
		k := s.Table.Column(s.KeyFields[i].Name)
		if k < 0 {
			return nil
		}
		out = append(out, k)
	}
	return out
}

// AppendSQLText appends a value as both databases read it inside of quotes: numbers, texts and times as they are written, bytes in
// hexadecimal without prefix. false for what no key holds: NULL, what was not sent, lists.
func AppendSQLText(dst []byte, w *connectors.Builder, c connectors.Cell) ([]byte, bool) {
	switch c.Kind {
	case connectors.KindBool:
		return strconv.AppendBool(dst, c.Bool()), true
	case connectors.KindInt:
		return strconv.AppendInt(dst, c.Int(), 10), true
	case connectors.KindUint:
		return strconv.AppendUint(dst, c.Uint(), 10), true
	case connectors.KindFloat32:
		return strconv.AppendFloat(dst, c.Float(), 'g', -1, 32), true
	case connectors.KindFloat64:
		return strconv.AppendFloat(dst, c.Float(), 'g', -1, 64), true
	case connectors.KindDecimal, connectors.KindText, connectors.KindBits:
		return append(dst, w.Bytes(c)...), true
	case connectors.KindBytes:
		return fmt.Appendf(dst, "%x", w.Bytes(c)), true
	case connectors.KindDate, connectors.KindTime, connectors.KindTimestamp, connectors.KindTimestampTZ:
		return appendMoment(dst, c)
	}
	return dst, false
}

// appendMoment appends a date, a time or both; in UTC where there is a zone.
func appendMoment(dst []byte, c connectors.Cell) ([]byte, bool) {
	const day = 86400 * 1000000
	v := c.Int()
	if c.Kind != connectors.KindTime && (v == math.MaxInt64 || v == math.MinInt64) {
		return dst, false
	}
	switch c.Kind {
	case connectors.KindDate:
		return appendDate(dst, v), true
	case connectors.KindTime:
		if v < 0 {
			dst, v = append(dst, '-'), -v
		}
		return fmt.Appendf(dst, "%02d:%02d:%02d.%06d", v/3600e6, v/60e6%60, v/1e6%60, v%1e6), true
	}
	days := floorDiv(v, day)
	v -= days * day
	dst = append(appendDate(dst, days), ' ')
	dst = fmt.Appendf(dst, "%02d:%02d:%02d.%06d", v/3600e6, v/60e6%60, v/1e6%60, v%1e6)
	if c.Kind == connectors.KindTimestampTZ {
		dst = append(dst, "+00:00"...)
	}
	return dst, true
}
