package mysql

import (
	"fmt"
	"strings"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// layout is how the row images of one table map become the cells of one version of a table. It belongs to one goroutine.
type layout struct {
	id      changes.TableID
	fields  []field     // one per column of the table map
	keys    []layoutKey // one per field of the key
	copyKey bool
	jsons   int      // fields of binary JSON: the bits of a partial update
	raw     [][]byte // scratch: values of the key columns, nil when there is none
	was     [][]byte
	absent  []byte // stands for a value that no image has
	scratch scratch
}

// field is one column of a row image.
type field struct {
	code    code
	prefix  uint8 // bytes of the length before the value; 0: size
	json    bool  // binary JSON: partial updates have a bit for it
	scale   uint8 // digits of a decimal, fractional digits of a temporal value
	size    int   // bytes of the value when prefix is 0
	length  int   // what a binary value is padded to, digits of BIT
	whole   int   // digits of a decimal before the point
	cell    int   // index in the row; -1: only for the key, or not at all
	key     int   // index in layout.keys; -1: none
	charset *charset
	column  *column
	mask    *changes.Mask
}

type layoutKey struct {
	field int // index in layout.fields
	cell  int // index in the row; -1: masked or not captured there
}

// code is what a value in a row image is and which cell it makes.
type code uint8

const (
	codeSkip code = iota
	codeInt8
	codeInt16
	codeInt24
	codeInt32
	codeInt64
	codeUint8
	codeUint16
	codeUint24
	codeUint32
	codeUint64 // KindInt of its bits
	codeUint   // KindUint
	codeBool
	codeFloat
	codeFloatWide
	codeDouble
	codeDoubleNarrow
	codeDecimal
	codeUTF8
	codeText
	codeBytes
	codeBits
	codeEnum
	codeSet
	codeJSON
	codeYear
	codeDate
	codeTime
	codeTime2
	codeTimeHires // MariaDB without mysql56_temporal_format, with fractional digits; likewise below
	codeDatetime
	codeDatetime2
	codeDatetimeHires
	codeTimestamp
	codeTimestamp2
	codeTimestampHires
	codeVector
	codeUUID
	codeInet4
	codeInet6
)

// newLayout compiles how rows of m become cells of t. Without t the layout can only skip rows.
func newLayout(t *table, m *tableMap) (*layout, error) {
	l := &layout{fields: make([]field, len(m.columns)), absent: make([]byte, 0, 1), id: changes.TableID{Catalog: m.database, Name: m.table}}
	for i := range m.columns {
		l.fields[i].cell, l.fields[i].key = -1, -1
		if m.columns[i].kind == wireJSON {
			l.fields[i].json = true
			l.jsons++
		}
	}
	if t == nil {
		for i := range m.columns {
			l.fields[i].shape(&m.columns[i], -1)
		}
		return l, nil
	}
	l.id, l.copyKey = t.id, t.copyKey
	at, err := match(t, m)
	if err != nil {
		return nil, err
	}
	of := make([]int, len(t.columns)) // column of the table to field
	for i, column := range at {
		f, w := &l.fields[i], &m.columns[i]
		if column < 0 {
			f.shape(w, -1)
			continue
		}
		of[column] = i
		c := &t.columns[column]
		f.column, f.cell = c, c.cell
		f.shape(w, c.scale)
		if m.signed && c.op.whole() && w.unsigned != (c.unsigned || c.op == opUint) {
			return nil, mismatch(t, fmt.Sprintf("column %s is %s in the schema history and %s in the binlog", c.name, sign(!w.unsigned), sign(w.unsigned)))
		}
		if c.mask != nil {
			f.mask = c.mask.Clone()
		}
		if err := f.compile(c, w); err != nil {
			return nil, connectors.AsPermanent(fmt.Errorf("read rows of %s: column %s: %w", t.id, c.name, err))
		}
	}
	for i, k := range t.keys {
		l.keys = append(l.keys, layoutKey{field: of[k.column], cell: k.cell})
		l.fields[of[k.column]].key = i
	}
	l.raw, l.was = make([][]byte, len(l.keys)), make([][]byte, len(l.keys))
	return l, nil
}

// match tells which column of the table each column of the table map is; -1: none, one that the server keeps for itself.
func match(t *table, m *tableMap) ([]int, error) {
	at := make([]int, len(m.columns))
	next := 0
	for i := range m.columns {
		w := &m.columns[i]
		at[i] = -1
		if m.named && w.name == "row_end" && next >= len(t.columns) {
			return nil, versioned(t)
		}
		if w.array || m.named && w.hidden() && (next >= len(t.columns) || t.columns[next].name != w.name) {
			continue
		}
		if next < len(t.columns) {
			if m.named && t.columns[next].name != w.name {
				return nil, mismatch(t, fmt.Sprintf("column %d is %s in the schema history and %s in the binlog", next+1, t.columns[next].name, w.name))
			}
			at[i] = next
		}
		next++
	}
	if n := len(m.columns); !m.named && next == len(t.columns)+2 && m.columns[n-2].kind == wireTimestamp2 && m.columns[n-1].kind == wireTimestamp2 {
		return nil, versioned(t)
	}
	if next != len(t.columns) {
		return nil, mismatch(t, fmt.Sprintf("the schema history has %d columns, the binlog %d", len(t.columns), next))
	}
	return at, nil
}

// whole tells the integers whose sign their type says; other numbers have theirs in each value.
func (o op) whole() bool { return o == opInt || o == opUint }

func sign(unsigned bool) string {
	if unsigned {
		return "unsigned"
	}
	return "signed"
}

// hidden tells that a column may be one that MariaDB adds by itself: of system versioning, of long unique keys.
func (w *wireColumn) hidden() bool {
	return w.name == "row_start" || w.name == "row_end" || strings.HasPrefix(w.name, "DB_ROW_HASH_")
}

// versioned tells of columns that may be those of MariaDB's system versioning. Its binlog has the rows of the past, too, and deletes as
// updates: read as what they look like, they would undo changes.
func versioned(t *table) error {
	return connectors.AsPermanent(fmt.Errorf("read rows of %s: the binlog has two timestamps more than the schema history: when the table is WITH SYSTEM VERSIONING, "+
		"its changes cannot be told from its past, leave it out with table.exclude.list; else the history does not know a change of the table; set snapshot.mode to recovery and restart", t.id))
}

func mismatch(t *table, what string) error {
	return connectors.AsPermanent(fmt.Errorf("read rows of %s: %s: the history does not know a change of the table; set snapshot.mode to recovery and restart", t.id, what))
}

// shape says where a value ends. scale is the column's number of fractional digits, which old temporal formats do not tell.
func (f *field) shape(w *wireColumn, scale int) {
	switch w.kind {
	case wireTiny, wireYear:
		f.size = 1
	case wireShort:
		f.size = 2
	case wireInt24, wireDate, wireNewDate:
		f.size = 3
	case wireLong, wireFloat:
		f.size = 4
	case wireLongLong, wireDouble:
		f.size = 8
	case wireNewDecimal:
		f.scale, f.whole = uint8(w.meta), int(w.meta>>8)-int(w.meta&0xff)
		f.size = decimalSize(f.whole) + decimalSize(int(f.scale))
	case wireBit:
		f.length = bitLength(w.meta)
		f.size = (f.length + 7) / 8
	case wireTimestamp, wireTime, wireDatetime:
		f.oldTemporal(w.kind, max(scale, 0))
	case wireTimestamp2:
		f.code, f.scale, f.size = codeTimestamp2, uint8(w.meta), 4+(int(w.meta)+1)/2
	case wireDatetime2:
		f.code, f.scale, f.size = codeDatetime2, uint8(w.meta), 5+(int(w.meta)+1)/2
	case wireTime2:
		f.code, f.scale, f.size = codeTime2, uint8(w.meta), 3+(int(w.meta)+1)/2
	case wireEnum, wireSet:
		f.size = int(w.meta & 0xff)
	case wireVarchar, wireVarString, wireString, wireVarcharCompressed:
		f.prefix = 1
		if w.meta > 255 {
			f.prefix = 2
		}
	case wireBlob, wireGeometry, wireJSON, wireVector, wireBlobCompressed:
		f.prefix = uint8(w.meta & 0xff)
	}
}

// oldTemporal is the format before MySQL 5.6, which MariaDB can be told to go on using; its size grows with the fractional digits.
func (f *field) oldTemporal(kind byte, scale int) {
	scale = min(scale, 6)
	f.scale = uint8(scale)
	switch kind {
	case wireTimestamp:
		f.code, f.size = codeTimestamp, 4
		if scale > 0 {
			f.code, f.size = codeTimestampHires, 4+(scale+1)/2
		}
	case wireTime:
		f.code, f.size = codeTime, 3
		if scale > 0 {
			f.code, f.size = codeTimeHires, [...]int{3, 4, 4, 5, 5, 5, 6}[scale]
		}
	case wireDatetime:
		f.code, f.size = codeDatetime, 8
		if scale > 0 {
			f.code, f.size = codeDatetimeHires, [...]int{5, 6, 6, 7, 7, 7, 8}[scale]
		}
	}
}

// compile chooses the code: what the value is, by w, becomes what the column says.
func (f *field) compile(c *column, w *wireColumn) error {
	temporal := f.code
	f.code = codeSkip
	bytes := f.prefix > 0
	ok := true
	switch c.op {
	case opInt, opUint, opBool:
		ok = w.kind == wireTiny || w.kind == wireShort || w.kind == wireInt24 || w.kind == wireLong || w.kind == wireLongLong
		f.code = integerCode(c.op, c.unsigned, w.kind)
	case opFloat32, opFloat64:
		narrow := c.op == opFloat32
		switch {
		case w.kind == wireFloat && narrow:
			f.code = codeFloat
		case w.kind == wireFloat:
			f.code = codeFloatWide
		case narrow:
			f.code = codeDoubleNarrow
		default:
			f.code = codeDouble
		}
		ok = w.kind == wireFloat || w.kind == wireDouble
	case opDecimal:
		f.code, ok = codeDecimal, w.kind == wireNewDecimal
	case opText:
		f.code, ok = codeText, bytes
	case opJSON:
		f.code, ok = codeText, bytes // MariaDB: a text
		if w.kind == wireJSON {
			f.code = codeJSON
		}
	case opBytes, opGeometry, opPoint:
		f.code, ok = codeBytes, bytes
		if w.kind == wireString {
			f.length = c.length
		}
	case opBits:
		f.code, ok = codeBits, w.kind == wireBit
	case opEnum:
		f.code, ok = codeEnum, w.kind == wireEnum
	case opSet:
		f.code, ok = codeSet, w.kind == wireSet
	case opYear:
		f.code, ok = codeYear, w.kind == wireYear
	case opDate:
		f.code, ok = codeDate, w.kind == wireDate || w.kind == wireNewDate
	case opTime:
		f.code, ok = temporal, w.kind == wireTime || w.kind == wireTime2
	case opDatetime:
		f.code, ok = temporal, w.kind == wireDatetime || w.kind == wireDatetime2
	case opTimestamp:
		f.code, ok = temporal, w.kind == wireTimestamp || w.kind == wireTimestamp2
	case opVector:
		f.code, ok = codeVector, bytes
	case opUUID:
		f.code, f.length, ok = codeUUID, 16, bytes
	case opInet6:
		f.code, f.length, ok = codeInet6, 16, bytes
	case opInet4:
		f.code, f.length, ok = codeInet4, 4, bytes
	}
	if !ok {
		return fmt.Errorf("the schema history does not match type %d of the binlog; set snapshot.mode to recovery and restart", w.kind)
	}
	if w.kind == wireVarcharCompressed || w.kind == wireBlobCompressed {
		f.code |= codeCompressed
	}
	return f.resolveCharset(c, w)
}

func integerCode(o op, unsigned bool, kind byte) code {
	if o == opUint {
		return codeUint
	}
	if o == opBool {
		return codeBool
	}
	c := codeInt64
	switch kind {
	case wireTiny:
		c = codeInt8
	case wireShort:
		c = codeInt16
	case wireInt24:
		c = codeInt24
	case wireLong:
		c = codeInt32
	}
	if unsigned {
		c += codeUint8 - codeInt8
	}
	return c
}

// codeCompressed is added to the code of a compressed column (MariaDB).
const codeCompressed code = 0x80

func (f *field) resolveCharset(c *column, w *wireColumn) error {
	if f.code&^codeCompressed != codeText {
		return nil
	}
	f.charset = charsetNamed(c.charset)
	if w.collation != 0 {
		if set := collationCharset(w.collation); set != nil {
			f.charset = set
		}
	}
	if f.charset == nil && (c.op == opJSON || c.charset == "") { // MariaDB's JSON; a history that does not say
		f.charset = charsetNamed("utf8mb4")
	}
	if f.charset == nil {
		return fmt.Errorf("character set %q is not known", c.charset)
	}
	if f.charset.form == formUTF8 && f.code == codeText {
		f.code = codeUTF8
	}
	return nil
}
