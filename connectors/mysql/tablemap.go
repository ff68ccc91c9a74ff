package mysql

import (
	"errors"
	"fmt"

	"github.com/freshet-io/freshet/connectors"
)

// tableMap is what a TABLE_MAP event says about a table: what its rows look like in the events that follow, and, as far as
// binlog_row_metadata gives it, what the columns are.
type tableMap struct {
	id       uint64 // of this version of the table, until the server restarts or forgets it
	database string
	table    string
	columns  []wireColumn
	signed   bool  // signs of numeric columns are given (MINIMAL and FULL)
	named    bool  // names are given (FULL)
	key      []int // columns of the primary key; given with FULL
}

// wireColumn is one column as the binlog has it.
type wireColumn struct {
	kind      byte   // wire…; ENUM and SET for those inside STRING
	meta      uint16 // precision<<8|scale, length, bytes of the length, fractional digits: as kind has it
	nullable  bool
	array     bool     // typed array: no column of the table's own
	unsigned  bool     // where tableMap.signed
	invisible bool     // not part of SELECT * (FULL)
	geometry  uint8    // 0 geometry, 1 point, …: type of GEOMETRY (FULL)
	collation uint16   // of text; 0: not given
	dimension uint32   // of VECTOR; 0: not given
	name      string   // where tableMap.named
	labels    []string // of ENUM and SET in UTF-8 (FULL)
}

// sequence tells that this is a sequence of MariaDB: a table with one row and always these columns, the first four of the sequence's type.
func (m *tableMap) sequence() bool {
	if len(m.columns) != 8 || m.named && m.columns[0].name != "next_not_cached_value" {
		return false
	}
	of := m.columns[0].kind
	switch of {
	case wireTiny, wireShort, wireInt24, wireLong, wireLongLong:
	default:
		return false
	}
	for i, kind := range [8]byte{of, of, of, of, wireLongLong, wireLongLong, wireTiny, wireLongLong} {
		if m.columns[i].kind != kind || m.columns[i].nullable {
			return false
		}
	}
	return true
}

// The optional metadata of TABLE_MAP.
const (
	metaSigns             = 1
	metaDefaultCharset    = 2
	metaCharsets          = 3
	metaNames             = 4
	metaSetLabels         = 5
	metaEnumLabels        = 6
	metaGeometryTypes     = 7
	metaKey               = 8
	metaKeyPrefixes       = 9
	metaLabelsDefault     = 10
	metaLabelsCharsets    = 11
	metaVisibility        = 12
	metaVectorDimensions  = 13
	maxColumns            = 1 << 16
	collationBinary       = 63
	typedArrayLengthBytes = 4
)

var errShortEvent = errors.New("the event ends early")

func malformedMap(err error) error {
	return connectors.AsPermanent(fmt.Errorf("read TABLE_MAP event: %w", err))
}

// parseTableMap reads the body of a TABLE_MAP event: without its header and its checksum. MariaDB counts geometry among the
// columns with a character set.
func parseTableMap(data []byte, mariadb bool) (*tableMap, error) {
	c := cursor{data: data}
	m := &tableMap{id: c.uint48()}
	c.take(2) // flags
	m.database = string(c.take(uint64(c.byte())))
	c.take(1) // terminating zero
	m.table = string(c.take(uint64(c.byte())))
	c.take(1)
	n := c.packed()
	if n > maxColumns {
		return nil, malformedMap(fmt.Errorf("%d columns", n))
	}
	kinds := c.take(n)
	meta := cursor{data: c.take(c.packed())}
	nulls := bitmap(c.take((n + 7) / 8))
	if c.short {
		return nil, malformedMap(errShortEvent)
	}
	m.columns = make([]wireColumn, n)
	for i := range m.columns {
		if err := m.columns[i].readMeta(kinds[i], &meta); err != nil {
			return nil, malformedMap(fmt.Errorf("column %d of %s.%s: %w", i, m.database, m.table, err))
		}
		m.columns[i].nullable = nulls.has(i)
	}
	if meta.short {
		return nil, malformedMap(errShortEvent)
	}
	if err := m.optional(&c, mariadb); err != nil {
		return nil, malformedMap(fmt.Errorf("metadata of %s.%s: %w", m.database, m.table, err))
	}
	return m, nil
}

// readMeta reads what follows the types about one column.
func (w *wireColumn) readMeta(kind byte, c *cursor) error {
	w.kind = kind
	if kind == wireTypedArray {
		w.array = true
		kind = c.byte()
	}
	switch kind {
	case wireTiny, wireShort, wireLong, wireLongLong, wireInt24, wireNull, wireTimestamp, wireDate, wireTime, wireDatetime, wireYear, wireNewDate:
	case wireFloat, wireDouble, wireBlob, wireGeometry, wireJSON, wireVector, wireTimestamp2, wireDatetime2, wireTime2, wireBlobCompressed:
		w.meta = uint16(c.byte())
	case wireVarchar:
		w.meta = c.uint16()
		if w.array {
			c.byte()
		}
	case wireVarString, wireBit, wireVarcharCompressed:
		w.meta = c.uint16()
	case wireNewDecimal, wireEnum, wireSet:
		w.meta = uint16(c.byte())<<8 | uint16(c.byte())
	case wireString:
		real, low := c.byte(), uint16(c.byte())
		switch {
		case real == wireEnum || real == wireSet:
			w.kind, w.meta = real, low
		default: // the length's bits 8 and 9 are in the type, inverted
			w.meta = low | (uint16(real&0x30)^0x30)<<4
		}
	default:
		return fmt.Errorf("its type %d is not known", kind)
	}
	if w.array {
		w.kind, w.meta = wireBlob, typedArrayLengthBytes
	}
	return w.checkMeta()
}

// checkMeta refuses what a row could not be read with.
func (w *wireColumn) checkMeta() error {
	ok := true
	switch low := w.meta & 0xff; w.kind {
	case wireBlob, wireGeometry, wireJSON, wireVector, wireBlobCompressed:
		ok = low >= 1 && low <= 4
	case wireTimestamp2, wireDatetime2, wireTime2:
		ok = low <= 6
	case wireEnum:
		ok = low == 1 || low == 2
	case wireSet:
		ok = low >= 1 && low <= 8
	case wireBit:
		ok = low < 8 && bitLength(w.meta) <= 64 && bitLength(w.meta) > 0
	case wireNewDecimal:
		precision := w.meta >> 8
		ok = precision >= 1 && precision <= 65 && low <= 38 && low <= precision
	case wireFloat, wireDouble:
		ok = low == 4 && w.kind == wireFloat || low == 8 && w.kind == wireDouble
	}
	if !ok {
		return fmt.Errorf("its metadata %d is not of its type %d", w.meta, w.kind)
	}
	return nil
}

// bitLength is the number of bits of BIT columns: whole bytes, and the rest.
func bitLength(meta uint16) int { return int(meta>>8)*8 + int(meta&0xff) }

// optional reads the fields that binlog_row_metadata adds: type, length, value.
func (m *tableMap) optional(c *cursor, mariadb bool) error {
	text := func(w *wireColumn) bool { return w.isText(mariadb) }
	labels := func(w *wireColumn) bool { return w.kind == wireEnum || w.kind == wireSet }
	var enums, sets [][]string
	for len(c.data) > 0 {
		field := c.byte()
		v := cursor{data: c.take(c.packed())}
		if c.short {
			return errShortEvent
		}
		switch field {
		case metaSigns:
			m.signs(v.data)
		case metaDefaultCharset:
			m.defaultCharset(&v, text)
		case metaCharsets:
			m.each(&v, text, func(w *wireColumn, n uint64) { w.collation = uint16(n) })
		case metaNames:
			m.named = true
			for i := range m.columns {
				m.columns[i].name = string(v.take(uint64(v.byte())))
			}
		case metaSetLabels:
			sets = readLabels(&v)
		case metaEnumLabels:
			enums = readLabels(&v)
		case metaGeometryTypes:
			m.each(&v, func(w *wireColumn) bool { return w.kind == wireGeometry }, func(w *wireColumn, n uint64) { w.geometry = uint8(n) })
		case metaKey, metaKeyPrefixes:
			m.primaryKey(&v, field == metaKeyPrefixes)
		case metaLabelsDefault:
			m.defaultCharset(&v, labels)
		case metaLabelsCharsets:
			m.each(&v, labels, func(w *wireColumn, n uint64) { w.collation = uint16(n) })
		case metaVisibility:
			for i := range m.columns {
				m.columns[i].invisible = i>>3 < len(v.data) && v.data[i>>3]&(0x80>>(i&7)) == 0
			}
		case metaVectorDimensions:
			m.each(&v, func(w *wireColumn) bool { return w.kind == wireVector }, func(w *wireColumn, n uint64) { w.dimension = uint32(n) })
		}
		if v.short {
			return errShortEvent
		}
	}
	m.assignLabels(wireEnum, enums)
	m.assignLabels(wireSet, sets)
	return nil
}

func (w *wireColumn) isText(mariadb bool) bool {
	switch w.kind {
	case wireString, wireVarString, wireVarchar, wireBlob, wireVarcharCompressed, wireBlobCompressed:
		return !w.array
	case wireGeometry:
		return mariadb
	}
	return false
}

func (w *wireColumn) isNumeric() bool {
	switch w.kind {
	case wireTiny, wireShort, wireInt24, wireLong, wireLongLong, wireNewDecimal, wireFloat, wireDouble, wireYear:
		return true
	}
	return false
}

// signs has a bit per numeric column, the most significant one of a byte first; a one is unsigned.
func (m *tableMap) signs(bits []byte) {
	m.signed = true
	at := 0
	for i := range m.columns {
		if !m.columns[i].isNumeric() {
			continue
		}
		if at>>3 >= len(bits) {
			return
		}
		m.columns[i].unsigned = bits[at>>3]&(0x80>>(at&7)) != 0
		at++
	}
}

// each reads one number per column of a kind.
func (m *tableMap) each(v *cursor, is func(*wireColumn) bool, set func(*wireColumn, uint64)) {
	for i := range m.columns {
		if len(v.data) > 0 && is(&m.columns[i]) {
			set(&m.columns[i], v.packed())
		}
	}
}

// defaultCharset reads a collation for all columns of a kind, then pairs of index (among those) and collation for the others.
func (m *tableMap) defaultCharset(v *cursor, is func(*wireColumn) bool) {
	common := uint16(v.packed())
	var of []*wireColumn
	for i := range m.columns {
		if is(&m.columns[i]) {
			m.columns[i].collation = common
			of = append(of, &m.columns[i])
		}
	}
	for len(v.data) > 0 {
		at, collation := v.packed(), uint16(v.packed())
		if at < uint64(len(of)) {
			of[at].collation = collation
		}
	}
}

func (m *tableMap) primaryKey(v *cursor, prefixes bool) {
	for len(v.data) > 0 {
		at := v.packed()
		if prefixes {
			v.packed() // characters of the column that the key has; 0: all
		}
		if at < uint64(len(m.columns)) {
			m.key = append(m.key, int(at))
		}
	}
}

// readLabels reads lists of labels in the character set of their column.
func readLabels(v *cursor) (out [][]string) {
	for len(v.data) > 0 {
		n := v.packed()
		list := make([]string, 0, min(n, uint64(len(v.data))))
		for ; n > 0 && !v.short; n-- {
			list = append(list, string(v.take(v.packed())))
		}
		out = append(out, list)
	}
	return out
}

// assignLabels gives the columns of a kind their lists, in UTF-8.
func (m *tableMap) assignLabels(kind byte, lists [][]string) {
	for i := range m.columns {
		w := &m.columns[i]
		if w.kind != kind || len(lists) == 0 {
			continue
		}
		w.labels, lists = lists[0], lists[1:]
		if set := collationCharset(w.collation); set != nil {
			for k, label := range w.labels {
				w.labels[k] = string(set.appendUTF8(nil, []byte(label)))
			}
		}
	}
}
