package mysql

import (
	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// table is one version of a captured table: how its rows become cells. Immutable, so that several goroutines may decode with it.
type table struct {
	id      changes.TableID    // Catalog: the database
	stream  *connectors.Stream // one cell of a row per column of stream.Table
	columns []column           // every column of the table, in the order of the binlog
	keys    []keyColumn        // one per field of stream.Key
	copyKey bool               // every key cell can be taken from the row
}

// column is how one column's values become cells, whether they come as text (snapshot) or as binlog bytes.
type column struct {
	name     string
	op       op // what the values are
	unsigned bool
	length   int // of CHAR, BINARY, BIT; -1: none
	scale    int // digits of DECIMAL, fractional digits of temporal types
	charset  string
	labels   []string // of ENUM and SET
	optional bool
	adjust   bool  // enable.time.adjuster: years below 100 are 1970 to 2069
	noDay    int64 // of a required column of dates: what stands for a date that is no day, in the unit of the cell
	cell     int   // index in the row; -1: only for the key, or not at all
	mask     *changes.Mask
}

type keyColumn struct {
	column int // index into columns
	cell   int // index in the row; -1: masked or not captured there
}

// op is what a column's values are; chosen once per column. The comments say what cell each makes, from text and from the binlog alike.
type op uint8

const (
	opInt       op = iota // KindInt, signed or unsigned
	opUint                // KindUint: BIGINT UNSIGNED
	opBool                // KindBool: not zero
	opFloat32             // KindFloat32
	opFloat64             // KindFloat64; of a FLOAT column the single-precision number
	opDecimal             // KindDecimal: plain text with column.scale fractional digits
	opText                // KindText: UTF-8
	opBytes               // KindBytes; of BINARY(n) padded with zero bytes to column.length
	opBits                // KindBits: column.length digits
	opEnum                // KindText: the label; empty for 0, the value that is no member
	opSet                 // KindText: the labels, separated by commas
	opJSON                // KindText: as jsonb.go writes it
	opYear                // KindInt; 0 for 0000
	opDate                // KindDate, by column.appendDate
	opTime                // KindTime
	opDatetime            // KindTimestamp, by column.appendDatetime
	opTimestamp           // KindTimestampTZ; by column.appendNoDay for 0000-00-00 00:00:00
	opGeometry            // KindBytes: SRID (4 bytes, little-endian), then WKB: what the server stores
	opPoint               // as opGeometry
	opVector              // KindList of KindFloat32
	opUUID                // KindText (MariaDB)
	opInet4               // KindText (MariaDB)
	opInet6               // KindText (MariaDB)
)
