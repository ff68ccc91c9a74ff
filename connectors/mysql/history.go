package mysql

import (
	"fmt"
	"strings"
	"time"

	"github.com/freshet-io/freshet/connectors/mysql/ddl"
)

// historyRecord is one record of the schema history: a statement, or a part of one, and what it made of a table (reference,
// io.debezium.relational.history.HistoryRecord).
type historyRecord struct {
	server   string   // topic.prefix; "" when the source is of another kind of connector
	position position // where a source goes on behind the statement, as the reference has it
	time     time.Time
	database string // "": none
	ddl      string
	changes  []ddl.Change // Create, Alter and Drop; Statement is not stored
}

// encode renders the record as the reference writes it: pretty into Kafka, on one line into a file.
func (h *historyRecord) encode(pretty bool) []byte {
	w := &jsonWriter{pretty: pretty, b: make([]byte, 0, 1024)}
	w.object(func() {
		w.name("source")
		w.object(func() { w.memberText("server", h.server) })
		w.name("position")
		w.object(func() { h.position.members(w) })
		w.memberInt("ts_ms", h.time.UnixMilli())
		w.memberText("databaseName", h.database)
		w.memberText("ddl", h.ddl)
		w.name("tableChanges")
		w.array(len(h.changes), func(i int) { writeChange(w, &h.changes[i]) })
	})
	return w.b
}

// members writes what the offset has, too, in its order.
func (p *position) members(w *jsonWriter) {
	r := jsonReader{data: []byte(p.offset(nil))}
	r.object(func(name string) {
		w.name(name)
		r.peek()
		start := r.at
		r.skip()
		w.b = append(w.b, r.data[start:r.at]...)
	})
}

var kindNames = map[ddl.Kind]string{ddl.Create: "CREATE", ddl.Alter: "ALTER", ddl.Drop: "DROP"}

func writeChange(w *jsonWriter, c *ddl.Change) {
	w.object(func() {
		w.memberText("type", kindNames[c.Kind])
		w.memberText("id", quotedID(c.ID))
		if c.Previous != (ddl.ID{}) && c.Kind == ddl.Alter {
			w.memberText("previousId", quotedID(c.Previous))
		}
		if c.Table == nil {
			return
		}
		t := c.Table
		w.name("table")
		w.object(func() {
			w.memberOptional("defaultCharsetName", t.Charset)
			w.texts("primaryKeyColumnNames", t.Key)
			w.name("columns")
			w.array(len(t.Columns), func(i int) { writeColumn(w, &t.Columns[i]) })
			w.texts("attributes", nil)
		})
		w.memberOptional("comment", t.Comment)
	})
}

func writeColumn(w *jsonWriter, c *ddl.Column) {
	w.object(func() {
		w.memberText("name", c.Name)
		w.memberInt("jdbcType", int64(c.JDBCType))
		if c.NativeType != 0 {
			w.memberInt("nativeType", int64(c.NativeType))
		}
		w.memberText("typeName", c.Type)
		w.memberOptional("typeExpression", c.Expression)
		w.memberOptional("charsetName", c.Charset)
		if c.Length >= 0 {
			w.memberInt("length", int64(c.Length))
		}
		if c.Scale >= 0 {
			w.memberInt("scale", int64(c.Scale))
		}
		w.memberInt("position", int64(c.Position))
		w.memberBool("optional", c.Optional)
		w.memberBool("autoIncremented", c.AutoIncrement)
		w.memberBool("generated", c.Generated)
		w.memberOptional("comment", c.Comment)
		w.memberBool("hasDefaultValue", c.HasDefault)
		if c.Default != nil {
			w.memberText("defaultValueExpression", *c.Default)
		}
		w.texts("enumValues", quotedLabels(c.Labels))
	})
}

// historyReader decodes records; it keeps texts that repeat. Not safe for concurrent use.
type historyReader struct {
	seen map[string]string
}

func newHistoryReader() *historyReader { return &historyReader{seen: map[string]string{}} }

// decode reads a record of this connector or of the reference. Members that are not known are ignored.
func (d *historyReader) decode(data []byte) (historyRecord, error) {
	var h historyRecord
	r := &jsonReader{data: data, seen: d.seen}
	var source, place bool
	r.object(func(name string) {
		switch name {
		case "source":
			source = true
			h.server = readSource(r)
		case "position":
			place = true
			h.position = readPosition(r)
		case "ts_ms":
			h.time = time.UnixMilli(r.integer()).UTC()
		case "databaseName":
			h.database = r.textOr("")
		case "ddl":
			h.ddl = r.textOr("")
		case "tableChanges":
			h.changes = nil
			if !r.null() {
				r.array(func() { h.changes = append(h.changes, readChange(r)) })
			}
		default:
			r.skip()
		}
	})
	if err := r.end(); err != nil {
		return historyRecord{}, fmt.Errorf("decode schema history: %w", err)
	}
	if !source || !place {
		return historyRecord{}, fmt.Errorf("decode schema history: a record without source and position")
	}
	return h, nil
}

func readSource(r *jsonReader) (server string) {
	members := 0
	r.object(func(name string) {
		members++
		if name == "server" && r.peek() == '"' {
			server = r.text()
			return
		}
		r.skip()
	})
	if members != 1 {
		return ""
	}
	return server
}

func readPosition(r *jsonReader) (p position) {
	r.object(func(name string) {
		switch name {
		case "file":
			p.file = r.textOr("")
		case "pos":
			p.pos = uint64(r.integer())
		case "event":
			p.event = r.integer()
		case "row":
			p.row = r.integer()
		case "gtids":
			p.gtids = r.textOr("")
			if strings.ContainsAny(p.gtids, "\n\r") {
				p.gtids = strings.NewReplacer("\n", "", "\r", "").Replace(p.gtids)
			}
		case "server_id":
			p.serverID = uint32(r.integer())
		case "ts_sec":
			p.seconds = r.integer()
		case "snapshot": // INITIAL, BLOCKING, …; true in older versions
			p.snapshot = "INITIAL"
			if r.peek() == '"' {
				p.snapshot = r.text()
				return
			}
			r.skip()
		default:
			r.skip()
		}
	})
	return p
}

func readChange(r *jsonReader) ddl.Change {
	var c ddl.Change
	var t *ddl.Table
	comment := ""
	r.object(func(name string) {
		switch name {
		case "type":
			switch kind := r.text(); kind {
			case "CREATE":
				c.Kind = ddl.Create
			case "ALTER":
				c.Kind = ddl.Alter
			case "DROP":
				c.Kind = ddl.Drop
			default:
				r.fail(fmt.Sprintf("unknown type of change %q", kind))
			}
		case "id":
			c.ID = readID(r)
		case "previousId":
			if !r.null() {
				c.Previous = readID(r)
			}
		case "table":
			if !r.null() {
				t = readTable(r)
			}
		case "comment":
			comment = r.textOr("")
		default:
			r.skip()
		}
	})
	switch {
	case r.err != nil:
	case c.Kind == 0 || c.ID == (ddl.ID{}):
		r.fail("a change without type and id")
	case c.Kind == ddl.Drop: // the table has no columns then
	case t == nil:
		r.fail("a change without its table")
	default:
		t.ID = c.ID
		if comment != "" {
			t.Comment = comment
		}
		c.Table = t
	}
	return c
}

func readTable(r *jsonReader) *ddl.Table {
	t := &ddl.Table{Columns: make([]ddl.Column, 0, 8)}
	r.object(func(name string) {
		switch name {
		case "defaultCharsetName":
			t.Charset = r.textOr("")
		case "comment": // older versions
			t.Comment = r.textOr("")
		case "primaryKeyColumnNames":
			t.Key = readTexts(r)
		case "columns":
			r.array(func() { t.Columns = append(t.Columns, readColumn(r)) })
		default:
			r.skip()
		}
	})
	return t
}

func readColumn(r *jsonReader) ddl.Column {
	c := ddl.Column{Length: -1, Scale: -1}
	r.object(func(name string) {
		switch name {
		case "name":
			c.Name = r.text()
		case "jdbcType":
			c.JDBCType = int(r.integer())
		case "nativeType":
			c.NativeType = int(r.integer())
		case "typeName":
			c.Type = r.textOr("")
		case "typeExpression":
			c.Expression = r.textOr("")
		case "charsetName":
			c.Charset = r.textOr("")
		case "length":
			c.Length = optionalInt(r)
		case "scale":
			c.Scale = optionalInt(r)
		case "position":
			c.Position = int(r.integer())
		case "optional":
			c.Optional = r.boolean()
		case "autoIncremented":
			c.AutoIncrement = r.boolean()
		case "generated":
			c.Generated = r.boolean()
		case "comment":
			c.Comment = r.textOr("")
		case "hasDefaultValue":
			c.HasDefault = r.boolean()
		case "defaultValueExpression":
			if !r.null() {
				v := r.text()
				c.Default = &v
			}
		case "enumValues":
			c.Labels = plainLabels(readTexts(r))
		default:
			r.skip()
		}
	})
	c.HasDefault = c.HasDefault || c.Default != nil
	if r.err == nil && c.Name == "" {
		r.fail("a column without name")
	}
	return c
}

func optionalInt(r *jsonReader) int {
	if r.null() {
		return -1
	}
	return int(r.integer())
}

func readTexts(r *jsonReader) []string {
	if r.null() {
		return nil
	}
	var out []string
	r.array(func() { out = append(out, r.text()) })
	return out
}

// quotedID is "database"."table", a quote in a name doubled.
func quotedID(id ddl.ID) string {
	quote := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
	if id.Database == "" {
		return quote(id.Table)
	}
	return quote(id.Database) + "." + quote(id.Table)
}

// readID reads "database"."table"; older versions wrote no quotes.
func readID(r *jsonReader) ddl.ID {
	text := r.text()
	var parts []string
	for rest := text; ; {
		part, behind, ok := identifier(rest)
		if !ok {
			r.fail(fmt.Sprintf("%q is no name of a table", text))
			return ddl.ID{}
		}
		parts = append(parts, part)
		if behind == "" {
			break
		}
		rest = behind[1:]
	}
	switch len(parts) {
	case 1:
		return ddl.ID{Table: parts[0]}
	case 2, 3: // three: with an empty schema
		return ddl.ID{Database: parts[0], Table: parts[len(parts)-1]}
	}
	r.fail(fmt.Sprintf("%q is no name of a table", text))
	return ddl.ID{}
}

// identifier reads one part of a name; rest begins with a point, or is empty.
func identifier(s string) (part, rest string, ok bool) {
	if s == "" {
		return "", "", false
	}
	q := s[0]
	if q != '"' && q != '`' {
		at := strings.IndexByte(s, '.')
		if at < 0 {
			return s, "", true
		}
		return s[:at], s[at:], at > 0
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] != q:
			b.WriteByte(s[i])
		case i+1 < len(s) && s[i+1] == q:
			b.WriteByte(q)
			i++
		default:
			rest = s[i+1:]
			return b.String(), rest, rest == "" || rest[0] == '.'
		}
	}
	return "", "", false
}

// Labels of ENUM and SET are stored as SHOW CREATE TABLE writes them: in quotes.
var labelQuotes = strings.NewReplacer(`'`, `''`, `\`, `\\`, "\x00", `\0`, "\n", `\n`, "\r", `\r`)

func quotedLabels(labels []string) []string {
	out := make([]string, len(labels))
	for i, l := range labels {
		out[i] = "'" + labelQuotes.Replace(l) + "'"
	}
	return out
}

func plainLabels(quoted []string) []string {
	out := quoted[:0:len(quoted)]
	for _, q := range quoted {
		out = append(out, plainLabel(q))
	}
	return out
}

// plainLabel reads a string literal; a text without quotes is what it is.
func plainLabel(s string) string {
	if len(s) < 2 || s[0] != s[len(s)-1] || s[0] != '\'' && s[0] != '"' {
		return s
	}
	q, s := s[0], s[1:len(s)-1]
	if strings.IndexByte(s, q) < 0 && strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == q && i+1 < len(s) && s[i+1] == q:
			i++
		case c == '\\' && i+1 < len(s):
			i++
			c = unescapedByte(s[i])
		}
		b = append(b, c)
	}
	return string(b)
}

// unescapedByte is what a backslash and c stand for in a string literal.
func unescapedByte(c byte) byte {
	switch c {
	case '0':
		return 0
	case 'b':
		return '\b'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'Z':
		return 0x1a
	}
	return c
}
