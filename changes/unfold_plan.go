package changes

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// rowPlan is how the records of one topic with one schema of keys and one of values become rows. Immutable.
type rowPlan struct {
	stream   *connectors.Stream // without Table: the records are no rows
	id       TableID            // as the source block says
	key      *schemas.Schema
	value    *schemas.Schema
	keyed    keyShape
	loose    [2]int // versions of the shapes of schemaless keys and values
	envelope bool
	at       envelopeAt
	src      sourceAt
	keys     []keyColumn
	columns  []rowColumn // of stream.Table
}

// envelopeAt are the indexes of an envelope's members, or of a row's additional ones; -1: it has none.
type envelopeAt struct{ before, after, op, source, millis, micros, nanos, deleted int }

// sourceAt are the indexes of members of the source block.
type sourceAt struct {
	postgres, mysql                                                       bool
	db, schema, table, snapshot, sequence, lsn, file, pos, micros, millis int
}

// origin is where a cell of the key comes from.
type origin uint8

const (
	fromKey origin = iota
	fromWholeKey
	fromRow
	fromTopic
	fromPartition
	fromOffset
	fromHeader
)

type keyColumn struct {
	column
	from origin
	at   int
}

// rowColumn is a column of the table: a member of the row, or (key ≥ 0) a field of the key that the row lacks.
type rowColumn struct {
	column
	at  int
	key int
}

// keyShape is what a record's key is.
type keyShape uint8

const (
	keyNone keyShape = iota
	keyStruct
	keyMap
	keyWhole
)

func keyShapeOf(k schemas.Typed) keyShape {
	switch k.Value.(type) {
	case nil:
		return keyNone
	case schemas.StructValue:
		return keyStruct
	case schemas.MapValue:
		return keyMap
	}
	return keyWhole
}

func (r *Rows) topic(name string) *topicRows {
	t := r.topics[name]
	if t == nil {
		t = &topicRows{plans: map[planKey]*rowPlan{}}
		r.topics[name] = t
	}
	return t
}

// plan returns the plan of a record with a value.
func (r *Rows) plan(t *topicRows, topic string, body *connectors.Body) (*rowPlan, error) {
	loose := body.Value.Schema == nil
	if loose {
		if err := t.row.takeBody(body); err != nil {
			return nil, err
		}
	}
	keyed := keyShapeOf(body.Key)
	if keyed == keyMap {
		if err := t.key.take(body.Key.Value.(schemas.MapValue)); err != nil {
			return nil, err
		}
	}
	if p := t.last; p != nil && (p.fits(t, body, keyed) || keyed == keyNone && p.truncates(t, body)) {
		return p, nil
	}
	probe := &rowPlan{key: body.Key.Schema, value: body.Value.Schema, keyed: keyed, loose: [2]int{t.key.version, t.row.version}}
	probe.classify(body.Value)
	at := planKey{probe.key, probe.value, probe.id}
	if p := t.plans[at]; p != nil && p.fits(t, body, keyed) {
		t.last = p
		return p, nil
	}
	if err := r.build(probe, t, topic, body); err != nil {
		return nil, err
	}
	r.keep(t, topic, at, probe)
	t.last = probe
	return probe, nil
}

// keep remembers a plan. The same shape has the same stream.
func (r *Rows) keep(t *topicRows, topic string, at planKey, p *rowPlan) {
	if t.last != nil && reflect.DeepEqual(t.last.stream, p.stream) {
		p.stream = t.last.stream
	}
	for _, other := range t.plans {
		if reflect.DeepEqual(other.stream, p.stream) {
			p.stream = other.stream
			break
		}
	}
	if r.plans >= maxRowPlans {
		clear(r.topics)
		clear(t.plans)
		r.topics[topic], r.plans = t, 0
	}
	if t.plans[at] == nil {
		r.plans++
	}
	t.plans[at] = p
}

// fits tells that the plan is for this record.
func (p *rowPlan) fits(t *topicRows, body *connectors.Body, keyed keyShape) bool {
	if p.key != body.Key.Schema || p.value != body.Value.Schema || p.keyed != keyed || keyed == keyMap && p.loose[0] != t.key.version {
		return false
	}
	if p.value == nil && (p.loose[1] != t.row.version || p.envelope != looseEnvelope(body.Value.Value)) {
		return false
	}
	return !p.envelope || p.id == p.tableID(body.Value.Value)
}

// truncates tells that a record without key empties the plan's table: it has no key to know the table's by.
func (p *rowPlan) truncates(t *topicRows, body *connectors.Body) bool {
	op, _ := pick(body.Value.Value, p.at.op, "op").(string)
	if op != "t" || !p.envelope || !reflect.DeepEqual(p.value, body.Value.Schema) {
		return false
	}
	same := connectors.Body{Key: schemas.Typed{Schema: p.key}, Value: schemas.Typed{Schema: p.value, Value: body.Value.Value}}
	return p.fits(t, &same, p.keyed)
}

func (p *rowPlan) tableID(v schemas.Value) (id TableID) {
	source := pick(v, p.at.source, "source")
	id.Catalog, _ = pick(source, p.src.db, "db").(string)
	id.Schema, _ = pick(source, p.src.schema, "schema").(string)
	id.Name, _ = pick(source, p.src.table, "table").(string)
	return id
}

// takeBody makes the shape fit the rows of a record.
func (s *looseShape) takeBody(body *connectors.Body) error {
	v := body.Value.Value
	if !looseEnvelope(v) {
		if row, ok := v.(schemas.MapValue); ok {
			return s.take(row)
		}
		return s.take(schemas.MapValue{{Key: valueColumn, Value: v}})
	}
	for _, name := range [...]string{"before", "after"} {
		row, ok := pick(v, -1, name).(schemas.MapValue)
		if !ok {
			continue
		}
		if err := s.take(row); err != nil {
			return err
		}
	}
	return nil
}

// looseEnvelope recognises an envelope without schema.
func looseEnvelope(v schemas.Value) bool {
	m, ok := v.(schemas.MapValue)
	if !ok {
		return false
	}
	op, ok := pick(m, -1, "op").(string)
	if !ok || len(op) != 1 {
		return false
	}
	_, ok = pick(m, -1, "source").(schemas.MapValue)
	return ok
}

// The names of columns of values and keys that are no structs.
const (
	valueColumn = "value"
	wholeKey    = "key"
)

// classify finds out what a value is: an envelope with its members, or a row.
func (p *rowPlan) classify(v schemas.Typed) {
	s := v.Schema
	index := func(in *schemas.Schema, name string) int {
		if in == nil || in.Kind != schemas.Struct {
			return -1
		}
		return in.Field(name)
	}
	member := func(at int) *schemas.Schema {
		if at < 0 {
			return nil
		}
		return s.Fields[at].Schema
	}
	p.at = envelopeAt{
		index(s, "before"), index(s, "after"), index(s, "op"), index(s, "source"), index(s, "ts_ms"), index(s, "ts_us"), index(s, "ts_ns"), -1,
	}
	source := member(p.at.source)
	p.src = sourceAt{
		false, false, index(source, "db"), index(source, "schema"), index(source, "table"), index(source, "snapshot"), index(source, "sequence"),
		index(source, "lsn"), index(source, "file"), index(source, "pos"), index(source, "ts_us"), index(source, "ts_ms"),
	}
	op := member(p.at.op)
	if s == nil {
		p.envelope = looseEnvelope(v.Value)
	} else {
		p.envelope = op != nil && op.Kind == schemas.String && source != nil && source.Kind == schemas.Struct
	}
	if !p.envelope {
		p.at = envelopeAt{-1, -1, index(s, "__op"), -1, -1, -1, -1, index(s, "__deleted")}
		return
	}
	connector, _ := pick(pick(v.Value, p.at.source, "source"), index(source, "connector"), "connector").(string)
	p.src.postgres, p.src.mysql = connector == "postgresql", isMySQL(connector)
	p.id = p.tableID(v.Value)
}

// connector is the name in the source block.
func (p *rowPlan) connector() string {
	switch {
	case p.src.postgres:
		return "postgresql"
	case p.src.mysql:
		return "mysql"
	}
	return ""
}

// noRows tells the records about something else than rows: heartbeats, boundaries of transactions, changes of schemas, messages.
func (p *rowPlan) noRows(v schemas.Value) bool {
	if p.value != nil {
		name := p.value.Name[strings.LastIndexByte(p.value.Name, '.')+1:]
		switch {
		case name == "Heartbeat" || name == "TransactionMetadataValue" || name == "SchemaChangeValue":
			return strings.HasPrefix(p.value.Name, "io.debezium.")
		}
		return p.envelope && p.at.before < 0 && p.at.after < 0
	}
	if m, ok := v.(schemas.MapValue); ok && !p.envelope {
		_, ddl := pick(m, -1, "ddl").(string)
		_, source := pick(m, -1, "source").(schemas.MapValue)
		return ddl && source
	}
	op, _ := pick(v, -1, "op").(string)
	return p.envelope && op == "m"
}

// build makes keys, columns and the stream.
func (r *Rows) build(p *rowPlan, t *topicRows, topic string, body *connectors.Body) error {
	p.stream = &connectors.Stream{Topic: topic}
	if p.noRows(body.Value.Value) {
		return nil
	}
	rows, name, err := r.rowColumns(p, t)
	if err != nil {
		return err
	}
	if p.keys, err = r.keyColumns(p, t, body.Key, rows); err != nil {
		return err
	}
	for i := range p.keys {
		p.keys[i].adopt(rows)
	}
	r.makeStream(p, topic, rows)
	if len(p.columns) == 0 {
		return errNoFields
	}
	p.stream.Row = &schemas.Schema{Kind: schemas.Struct, Optional: true, Name: name}
	for i := range p.columns {
		f := p.columns[i].field
		f.Name, f.Cell = p.columns[i].Name, i
		p.stream.Fields = append(p.stream.Fields, f)
		p.stream.Row.Fields = append(p.stream.Row.Fields, schemas.Field{Name: f.Name, Schema: f.Schema})
	}
	p.stream.Value = p.stream.Row
	if r.o.Events && p.envelope {
		p.stream.Source = committed()
	}
	return nil
}

// adopt takes over what the row's schema says of the column beyond the key's: propagated types do not reach keys.
func (k *keyColumn) adopt(rows []rowColumn) {
	i := slices.IndexFunc(rows, func(c rowColumn) bool { return c.Name == k.Name })
	if i < 0 || k.whole == nil || rows[i].whole == nil || k.whole.Kind != rows[i].whole.Kind || k.whole.Name != rows[i].whole.Name {
		return
	}
	optional := k.Optional
	k.column = rows[i].column
	k.Optional = optional
}

// rowColumns lists the members of rows, and the name of their schema.
func (r *Rows) rowColumns(p *rowPlan, t *topicRows) ([]rowColumn, string, error) {
	var out []rowColumn
	if p.value == nil {
		if out = t.row.rowColumns(p, r.o.Nulls); len(out) == 0 {
			out = t.row.rowColumns(p, true) // a row has a column
		}
		return out, "", nil
	}
	s := p.value
	if p.envelope {
		if s = nil; p.at.after >= 0 {
			s = p.value.Fields[p.at.after].Schema
		} else if p.at.before >= 0 {
			s = p.value.Fields[p.at.before].Schema
		}
		if s.Kind != schemas.Struct {
			return nil, "", fmt.Errorf("the rows in its envelope are of type %s, and only structs can be rows of a table", s.Kind)
		}
	}
	if s.Kind != schemas.Struct {
		return []rowColumn{{columnOf(valueColumn, s, ""), 0, -1}}, "", nil
	}
	for i, f := range s.Fields {
		if !p.envelope && (i == p.at.op || i == p.at.deleted) {
			continue
		}
		out = append(out, rowColumn{columnOf(f.Name, f.Schema, p.connector()), i, -1})
	}
	return out, s.Name, nil
}

func (s *looseShape) rowColumns(p *rowPlan, nulls bool) (out []rowColumn) {
	for i := range s.columns {
		c := s.columns[i]
		if !p.envelope && (c.Name == "__op" || c.Name == "__deleted") || c.TypeName == NullType && !nulls {
			continue
		}
		out = append(out, rowColumn{c, i, -1})
	}
	return out
}

// keyColumns lists the fields of the key.
func (r *Rows) keyColumns(p *rowPlan, t *topicRows, key schemas.Typed, rows []rowColumn) ([]keyColumn, error) {
	names := r.o.KeyFields
	switch r.o.KeyMode {
	case KeyNone:
		return nil, nil
	case KeyKafka:
		if len(names) != 3 {
			names = []string{"__connect_topic", "__connect_partition", "__connect_offset"}
		}
		return []keyColumn{
			{columnOf(names[0], Plain(schemas.String, false), ""), fromTopic, -1},
			{columnOf(names[1], Plain(schemas.Int32, false), ""), fromPartition, -1},
			{columnOf(names[2], Plain(schemas.Int64, false), ""), fromOffset, -1},
		}, nil
	case KeyHeader:
		if len(names) == 0 {
			return nil, fmt.Errorf("primary.key.mode=%s needs primary.key.fields: the names of headers", KeyHeader)
		}
		var out []keyColumn
		for _, name := range names {
			out = append(out, keyColumn{columnOf(name, Plain(schemas.String, false), ""), fromHeader, -1})
		}
		return out, nil
	case KeyValue:
		var all []keyColumn
		for i := range rows {
			all = append(all, keyColumn{rows[i].column, fromRow, rows[i].at})
		}
		return choose(all, names, "value")
	}
	return recordKey(p, t, key, names)
}

func recordKey(p *rowPlan, t *topicRows, key schemas.Typed, names []string) ([]keyColumn, error) {
	var all []keyColumn
	switch p.keyed {
	case keyNone:
		return nil, nil
	case keyStruct:
		for i, f := range key.Schema.Fields {
			all = append(all, keyColumn{columnOf(f.Name, f.Schema, p.connector()), fromKey, i})
		}
	case keyMap:
		for i := range t.key.columns {
			if t.key.columns[i].TypeName != NullType {
				all = append(all, keyColumn{t.key.columns[i], fromKey, i})
				all[len(all)-1].Optional = false
			}
		}
	case keyWhole:
		name := wholeKey
		if len(names) == 1 {
			name = names[0]
		} else if len(names) > 1 {
			return nil, fmt.Errorf("primary.key.fields names %d fields, and the key is a single value: name one", len(names))
		}
		var c column
		if key.Schema != nil {
			c = columnOf(name, key.Schema, p.connector())
		} else {
			typ, _ := looseType(key.Value)
			c = looseColumn(name, typ, false)
		}
		c.Optional = false
		return []keyColumn{{c, fromWholeKey, -1}}, nil
	}
	return choose(all, names, "key")
}

// choose picks the named ones; none named: all.
func choose(all []keyColumn, names []string, what string) ([]keyColumn, error) {
	if len(names) == 0 {
		return all, nil
	}
	var out []keyColumn
	for _, name := range names {
		i := slices.IndexFunc(all, func(k keyColumn) bool { return k.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("primary.key.fields names %s, and the %s of the record has no such field", name, what)
		}
		out = append(out, all[i])
	}
	return out, nil
}

// makeStream makes the table: the members of rows, before them what only the key has.
func (r *Rows) makeStream(p *rowPlan, topic string, rows []rowColumn) {
	find := func(name string) int {
		return slices.IndexFunc(rows, func(c rowColumn) bool { return c.Name == name })
	}
	for i := range p.keys {
		if find(p.keys[i].Name) < 0 && !r.o.KeysApart {
			p.columns = append(p.columns, rowColumn{p.keys[i].column, -1, i})
		}
	}
	p.columns = append(p.columns, rows...)
	table := &schemas.Table{Catalog: p.id.Catalog, Schema: p.id.Schema, Name: p.id.Name}
	if table.Name == "" {
		table.Name = topic
	}
	for i := range p.columns {
		table.Columns = append(table.Columns, p.columns[i].Column)
	}
	s := p.stream
	s.Table = table
	if len(p.keys) == 0 {
		return
	}
	s.Key = &schemas.Schema{Kind: schemas.Struct}
	for i := range p.keys {
		f := p.keys[i].field
		f.Name, f.Cell = p.keys[i].Name, i
		s.KeyFields = append(s.KeyFields, f)
		s.Key.Fields = append(s.Key.Fields, schemas.Field{Name: f.Name, Schema: f.Schema})
		if at := table.Column(f.Name); at >= 0 {
			table.Key = append(table.Key, at)
		}
	}
	if len(table.Key) < len(p.keys) {
		table.Key = nil
	}
}

// tombstonePlan returns the plan of a record without value: that of the last value with the same key, else one of the key alone.
func (r *Rows) tombstonePlan(t *topicRows, topic string, body *connectors.Body) (*rowPlan, error) {
	keyed := keyShapeOf(body.Key)
	if keyed == keyMap {
		if err := t.key.take(body.Key.Value.(schemas.MapValue)); err != nil {
			return nil, err
		}
	}
	same := func(p *rowPlan) bool {
		return p != nil && p.key == body.Key.Schema && p.keyed == keyed && (keyed != keyMap || p.loose[0] == t.key.version)
	}
	if same(t.last) {
		return t.last, nil
	}
	at := planKey{body.Key.Schema, nil, TableID{Name: "\x00tombstone"}}
	if p := t.plans[at]; same(p) && (t.last == nil || p.stream == t.last.stream) {
		return p, nil
	}
	p := &rowPlan{key: body.Key.Schema, keyed: keyed, loose: [2]int{t.key.version, 0}, stream: &connectors.Stream{Topic: topic}}
	if l := t.last; l != nil && l.keyed == keyed && keyed != keyMap && reflect.DeepEqual(l.key, p.key) {
		*p = *l
		p.key = body.Key.Schema
		r.keep(t, topic, at, p)
		return p, nil
	}
	var err error
	if p.keys, err = r.keyColumns(p, t, body.Key, nil); err != nil {
		return nil, err
	}
	if l := t.last; l != nil {
		p.id = l.id
	}
	r.makeStream(p, topic, nil)
	r.keep(t, topic, at, p)
	return p, nil
}
