package changes

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/freshet-io/freshet/connectors"
)

// maxTopic is the longest topic name that Kafka takes.
const maxTopic = 249

// Naming makes the names of topics, schemas and fields. Immutable.
type Naming struct {
	Prefix    string // topic.prefix
	delimiter string
	bySchema  bool // <prefix>.<schema>.<table>; else <prefix>.<catalog>.<table>
	unicode   bool // invalid characters of topics become _uXXXX instead of _
	schemas   adjustment
	fields    adjustment
	heartbeat string // topic
	txn       string // last part of the transaction topic
}

type adjustment uint8

const (
	adjustNone adjustment = iota
	adjustAvro
	adjustAvroUnicode
)

// NewNaming reads topic.prefix, topic.naming.strategy, topic.delimiter, topic.heartbeat.prefix, topic.heartbeat.name, topic.transaction,
// schema.name.adjustment.mode and field.name.adjustment.mode. strategy is the connector's default class.
func NewNaming(c connectors.Config, strategy string) (*Naming, error) {
	n := &Naming{
		Prefix:    strings.TrimSpace(c["topic.prefix"]),
		delimiter: orDefault(c["topic.delimiter"], "."),
		txn:       orDefault(c["topic.transaction"], "transaction"),
	}
	class := orDefault(c["topic.naming.strategy"], strategy)
	switch class[strings.LastIndexByte(class, '.')+1:] {
	case "SchemaTopicNamingStrategy":
		n.bySchema = true
	case "DefaultTopicNamingStrategy":
	case "SchemaUnicodeTopicNamingStrategy":
		n.bySchema, n.unicode = true, true
	case "DefaultUnicodeTopicNamingStrategy":
		n.unicode = true
	default:
		return nil, fmt.Errorf("read topic.naming.strategy: class %s is not supported yet; use io.debezium.schema.SchemaTopicNamingStrategy or io.debezium.schema.DefaultTopicNamingStrategy", class)
	}
	var err error
	if n.schemas, err = adjustmentOf("schema.name.adjustment.mode", c); err != nil {
		return nil, err
	}
	if n.fields, err = adjustmentOf("field.name.adjustment.mode", c); err != nil {
		return nil, err
	}
	n.heartbeat = strings.TrimSpace(c["topic.heartbeat.name"])
	if n.heartbeat == "" {
		n.heartbeat = orDefault(c["topic.heartbeat.prefix"], "__debezium-heartbeat") + n.delimiter + n.Prefix
	}
	return n, nil
}

func adjustmentOf(key string, c connectors.Config) (adjustment, error) {
	switch v := strings.ToLower(orDefault(c[key], "none")); v {
	case "none":
		return adjustNone, nil
	case "avro":
		return adjustAvro, nil
	case "avro_unicode":
		return adjustAvroUnicode, nil
	default:
		return adjustNone, fmt.Errorf("read %s: %q is not one of none, avro, avro_unicode", key, v)
	}
}

func orDefault(v, def string) string {
	if v = strings.TrimSpace(v); v == "" {
		return def
	}
	return v
}

// Topic is the topic of a table's changes.
func (n *Naming) Topic(t TableID) string {
	if n.bySchema {
		return n.topic(n.Prefix, t.Schema, t.Name)
	}
	return n.topic(n.Prefix, t.Catalog, t.Name)
}

// HeartbeatTopic is where heartbeats go.
func (n *Naming) HeartbeatTopic() string { return n.heartbeat }

// TransactionTopic is where transaction metadata goes.
func (n *Naming) TransactionTopic() string { return n.Prefix + n.delimiter + n.txn }

// MessageTopic is where logical messages go; the delimiter does not reach it.
func (n *Naming) MessageTopic() string { return n.Prefix + ".message" }

// SchemaChangeTopic is where DDL goes.
func (n *Naming) SchemaChangeTopic() string { return n.Prefix }

// topic joins the parts that are not empty, replaces what Kafka does not take, and cuts the name to its longest.
func (n *Naming) topic(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		if p == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(n.delimiter)
		}
		b.WriteString(p)
	}
	name := b.String()
	switch name {
	case ".":
		return "_"
	case "..":
		return "__"
	}
	b.Reset()
	for _, u := range utf16.Encode([]rune(name)) {
		switch {
		case u < 0x80 && topicByte(byte(u)) && (!n.unicode || u != '_'):
			b.WriteByte(byte(u))
		case n.unicode:
			b.WriteString(escapeUnit(u))
		default:
			b.WriteByte('_')
		}
	}
	name = b.String()
	if len(name) > maxTopic {
		name = name[:maxTopic]
	}
	return name
}

func topicByte(c byte) bool {
	return c == '.' || c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// escapeUnit is what the unicode modes write for a UTF-16 unit: at least two zeros before one or two digits.
func escapeUnit(u uint16) string {
	s := strconv.FormatUint(uint64(u), 16)
	if len(s) <= 2 {
		return "_u00" + s
	}
	return "_u" + s
}

// Field is the name of a field in key and row schemas.
func (n *Naming) Field(column string) string { return adjust(column, n.fields, false) }

// Schema is the adjusted name of a schema.
func (n *Naming) Schema(name string) string { return adjust(name, n.schemas, true) }

// adjust makes a name valid in Avro: letters, digits and underscores (dots in schema names), no digit at the start.
// A character outside becomes _, a digit at the start gets one before it. In unicode mode it becomes _uXXXX, the underscore itself, too.
func adjust(name string, mode adjustment, dots bool) string {
	if mode == adjustNone {
		return name
	}
	var b strings.Builder
	for i, u := range utf16.Encode([]rune(name)) {
		letter := u >= 'A' && u <= 'Z' || u >= 'a' && u <= 'z' || u == '_' && mode == adjustAvro
		digit := u >= '0' && u <= '9'
		switch {
		case letter, i > 0 && (digit || u == '.' && dots):
			b.WriteByte(byte(u))
		case mode == adjustAvroUnicode:
			b.WriteString(escapeUnit(u))
		case digit:
			b.WriteByte('_')
			b.WriteByte(byte(u))
		default:
			b.WriteByte('_')
		}
	}
	return b.String()
}
