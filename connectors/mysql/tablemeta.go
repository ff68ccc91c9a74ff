package mysql

import (
	"strings"

	"github.com/freshet-io/freshet/connectors/mysql/ddl"
)

// definition is the table as the binlog describes it with binlog_row_metadata=FULL; nil when it does not. What the binlog does not have
// (defaults, comments, unique keys) is missing.
func (m *tableMap) definition() *ddl.Table {
	if !m.named || !m.signed {
		return nil
	}
	t := &ddl.Table{ID: ddl.ID{Database: m.database, Table: m.table}}
	for i := range m.columns {
		w := &m.columns[i]
		if w.array {
			continue
		}
		c := ddl.Column{Name: w.name, Optional: w.nullable, Length: -1, Scale: -1, Position: len(t.Columns) + 1, Labels: w.labels, Invisible: w.invisible}
		if !w.describe(&c) {
			return nil
		}
		t.Columns = append(t.Columns, c)
	}
	for _, i := range m.key {
		t.Key = append(t.Key, m.columns[i].name)
	}
	return t
}

// describe sets the type of a column; false: it has none that could be declared.
func (w *wireColumn) describe(c *ddl.Column) bool {
	switch w.kind {
	case wireVarchar, wireVarString, wireString, wireBlob, wireVarcharCompressed, wireBlobCompressed:
		w.describeText(c)
	case wireEnum, wireSet:
		c.Type, c.Length = "ENUM", 1
		if w.kind == wireSet {
			c.Type = "SET"
		}
		c.Charset = collationCharsetName(w.collation)
	case wireNewDecimal:
		c.Type, c.Length, c.Scale = "DECIMAL", int(w.meta>>8), int(w.meta&0xff)
	case wireBit:
		c.Type, c.Length = "BIT", bitLength(w.meta)
	case wireTime2, wireDatetime2, wireTimestamp2:
		c.Type = map[byte]string{wireTime2: "TIME", wireDatetime2: "DATETIME", wireTimestamp2: "TIMESTAMP"}[w.kind]
		if w.meta > 0 {
			c.Length = int(w.meta)
		}
	case wireGeometry:
		names := strings.Fields("GEOMETRY POINT LINESTRING POLYGON MULTIPOINT MULTILINESTRING MULTIPOLYGON GEOMETRYCOLLECTION")
		if int(w.geometry) >= len(names) {
			return false
		}
		c.Type = names[w.geometry]
	default:
		c.Type = map[byte]string{
			wireTiny: "TINYINT", wireShort: "SMALLINT", wireInt24: "MEDIUMINT", wireLong: "INT", wireLongLong: "BIGINT", wireFloat: "FLOAT", wireDouble: "DOUBLE",
			wireYear: "YEAR", wireDate: "DATE", wireNewDate: "DATE", wireTime: "TIME", wireDatetime: "DATETIME", wireTimestamp: "TIMESTAMP", wireJSON: "JSON", wireVector: "VECTOR",
		}[w.kind]
		if w.unsigned && w.isNumeric() && w.kind != wireYear {
			c.Type += " UNSIGNED"
		}
	}
	return c.Type != ""
}

// describeText tells text from bytes by the collation, and the types of long values by the bytes of their length.
func (w *wireColumn) describeText(c *ddl.Column) {
	binary := w.collation == collationBinary
	if !binary {
		c.Charset = collationCharsetName(w.collation)
	}
	switch w.kind {
	case wireBlob, wireBlobCompressed:
		c.Type = []string{"", "TINY", "", "MEDIUM", "LONG", "", "", ""}[w.meta&7]
		if binary {
			c.Type += "BLOB"
		} else {
			c.Type += "TEXT"
		}
		return
	case wireString:
		c.Type = "CHAR"
	default:
		c.Type = "VARCHAR"
	}
	c.Length = int(w.meta)
	if binary {
		c.Type = strings.Replace(c.Type, "CHAR", "BINARY", 1)
		return
	}
	switch c.Charset { // the length is in bytes
	case "utf8mb4", "utf16", "utf16le", "utf32", "gb18030":
		c.Length /= 4
	case "utf8", "utf8mb3", "ujis", "eucjpms":
		c.Length /= 3
	case "ucs2", "big5", "gbk", "gb2312", "sjis", "cp932", "euckr":
		c.Length /= 2
	}
}
