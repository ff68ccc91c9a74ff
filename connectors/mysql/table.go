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
	cell     int // index in the row; -1: only for the key, or not at all
	mask     *changes.Mask
}

type keyColumn struct {
	column int // index into columns
	cell   int // index in the row; -1: masked or not captured there
}

// op is what a column's values are; chosen once per column.
type op uint8

const (
	opInt op = iota // every integer type, with or without sign
	opBool
	opFloat32
	opFloat64
	opDecimal
	opText
	opBytes
	opBits
	opEnum
	opSet
	opJSON
	opYear
	opDate
	opTime
	opDatetime
	opTimestamp
	opGeometry
	opPoint
	opVector
)
