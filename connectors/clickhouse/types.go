package clickhouse

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/schemas"
)

// columnType is a type of the target, LowCardinality left out: the server takes the plain type for it.
type columnType struct {
	name     string // Int32, Decimal, Array, …; aliases resolved
	text     string // as the server writes it
	nullable bool
	digits   int    // of a Decimal; bytes of a FixedString
	scale    int    // of a Decimal, DateTime64, Time64
	zone     string // of a DateTime, DateTime64
	args     []*columnType
	labels   []string // of an Enum
	numbers  []int16
}

// plain is the type as blocks name it.
func (t *columnType) plain() string {
	text := t.name
	switch t.name {
	case "Decimal":
		text = fmt.Sprintf("Decimal(%d, %d)", t.digits, t.scale)
	case "DateTime64", "Time64":
		text = fmt.Sprintf("%s(%d)", t.name, t.scale)
		if t.zone != "" {
			text = fmt.Sprintf("%s(%d, %s)", t.name, t.scale, literal(t.zone))
		}
	case "DateTime":
		if t.zone != "" {
			text = "DateTime(" + literal(t.zone) + ")"
		}
	case "FixedString":
		text = fmt.Sprintf("FixedString(%d)", t.digits)
	case "Enum8", "Enum16":
		parts := make([]string, len(t.labels))
		for i, l := range t.labels {
			parts[i] = fmt.Sprintf("%s = %d", literal(l), t.numbers[i])
		}
		text = t.name + "(" + list(parts) + ")"
	case "Array", "Map", "Tuple":
		parts := make([]string, len(t.args))
		for i, a := range t.args {
			parts[i] = a.plain()
		}
		text = t.name + "(" + list(parts) + ")"
	}
	if t.nullable {
		return "Nullable(" + text + ")"
	}
	return text
}

// parseType reads a type as system.columns has it.
func parseType(text string) (*columnType, error) {
	text = strings.TrimSpace(text)
	name, inner, has := strings.Cut(text, "(")
	name = strings.TrimSpace(name)
	if !has {
		return &columnType{name: name, text: text}, nil
	}
	if !strings.HasSuffix(inner, ")") {
		return nil, fmt.Errorf("parse type %s: a parenthesis is missing", text)
	}
	args := splitArguments(inner[:len(inner)-1])
	if name == "Nullable" || name == "LowCardinality" || name == "SimpleAggregateFunction" {
		t, err := parseType(args[len(args)-1])
		if err != nil {
			return nil, err
		}
		t.nullable = t.nullable || name == "Nullable"
		t.text = text
		return t, nil
	}
	t := &columnType{name: name, text: text}
	err := t.parseArguments(args)
	if err != nil {
		return nil, fmt.Errorf("parse type %s: %w", text, err)
	}
	return t, nil
}

func (t *columnType) parseArguments(args []string) (err error) {
	number := func(i int) int {
		if i >= len(args) {
			return 0
		}
		n, bad := strconv.Atoi(args[i])
		if bad != nil {
			err = fmt.Errorf("%q is not a number", args[i])
		}
		return n
	}
	switch t.name {
	case "Decimal":
		t.digits, t.scale = number(0), number(1)
	case "Decimal32", "Decimal64", "Decimal128", "Decimal256":
		t.digits = map[string]int{"Decimal32": 9, "Decimal64": 18, "Decimal128": 38, "Decimal256": 76}[t.name]
		t.name, t.scale = "Decimal", number(0)
	case "FixedString":
		t.digits = number(0)
	case "DateTime64", "Time64":
		t.scale = number(0)
		if len(args) > 1 {
			t.zone = unquote(args[1])
		}
	case "DateTime":
		t.zone = unquote(args[0])
	case "Enum8", "Enum16":
		return t.parseLabels(args)
	case "Array", "Map":
		for _, a := range args {
			in, err := parseType(a)
			if err != nil {
				return err
			}
			t.args = append(t.args, in)
		}
		if len(t.args) != map[string]int{"Array": 1, "Map": 2}[t.name] {
			return errors.New("it has another number of arguments")
		}
	case "Tuple":
		for _, a := range args {
			if name, typ, named := strings.Cut(a, " "); named && !strings.Contains(name, "(") {
				a = typ
			}
			in, err := parseType(a)
			if err != nil {
				return err
			}
			t.args = append(t.args, in)
		}
	}
	return err
}

// parseLabels reads 'label' = number, ….
func (t *columnType) parseLabels(args []string) error {
	for _, a := range args {
		at := strings.LastIndexByte(a, '=')
		if at < 0 {
			return fmt.Errorf("%q is not a label with a number", a)
		}
		n, err := strconv.ParseInt(strings.TrimSpace(a[at+1:]), 10, 16)
		if err != nil {
			return fmt.Errorf("%q is not a label with a number", a)
		}
		t.labels, t.numbers = append(t.labels, unquote(strings.TrimSpace(a[:at]))), append(t.numbers, int16(n))
	}
	return nil
}

// splitArguments cuts at commas outside of parentheses and quotes.
func splitArguments(text string) []string {
	var out []string
	depth, start := 0, 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\'', '`':
			for end := text[i]; i+1 < len(text); {
				i++
				if text[i] == '\\' {
					i++
				} else if text[i] == end {
					break
				}
			}
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				out = append(out, strings.TrimSpace(text[start:i]))
				start = i + 1
			}
		}
	}
	return append(out, strings.TrimSpace(text[start:]))
}

// unquote reads a literal of text with its escapes.
func unquote(text string) string {
	if len(text) < 2 || text[0] != '\'' {
		return text
	}
	text = text[1 : len(text)-1]
	if !strings.ContainsAny(text, `\'`) {
		return text
	}
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\'' && i+1 < len(text) && text[i+1] == '\'' {
			i++
		}
		if c == '\\' && i+1 < len(text) {
			i++
			c = text[i]
			if at := strings.IndexByte("bfnrt0", c); at >= 0 {
				c = "\b\f\n\r\t\x00"[at]
			}
		}
		out.WriteByte(c)
	}
	return out.String()
}

var escapes = strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\x00", `\0`)

// literal is a constant of text.
func literal(s string) string { return "'" + escapes.Replace(s) + "'" }

var identifiers = strings.NewReplacer(`\`, `\\`, "`", "\\`")

// quote writes database.table, or a column.
func quote(parts ...string) string {
	out := make([]string, 0, len(parts))
	for _, p := range parts {
		if p != "" {
			out = append(out, "`"+identifiers.Replace(p)+"`")
		}
	}
	return strings.Join(out, ".")
}

func quoteList(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = quote(n)
	}
	return list(out)
}

const maxDigits = 76 // of a Decimal

// declaration is the type that a new column gets (docs/connectors/clickhouse.md). Columns of a key are never nullable.
func (cfg *config) declaration(c *schemas.Column, key bool, server version) string {
	typ := cfg.portable(c, server)
	switch {
	case key, !c.Optional, strings.HasPrefix(typ, "Array("), strings.HasPrefix(typ, "Map("):
		return typ
	case strings.HasPrefix(typ, "LowCardinality("):
		return "LowCardinality(Nullable(" + strings.TrimPrefix(typ, "LowCardinality(") + ")"
	}
	return "Nullable(" + typ + ")"
}

func (cfg *config) portable(c *schemas.Column, server version) string {
	digits := 6
	if c.Scale >= 0 && c.Scale <= 6 {
		digits = int(c.Scale)
	}
	switch c.Type {
	case schemas.TypeBool:
		return "Bool"
	case schemas.TypeInt16:
		return "Int16"
	case schemas.TypeInt32:
		return "Int32"
	case schemas.TypeInt64:
		return "Int64"
	case schemas.TypeUint64:
		return "UInt64"
	case schemas.TypeFloat32:
		return "Float32"
	case schemas.TypeFloat64:
		return "Float64"
	case schemas.TypeDecimal:
		return cfg.decimal(int(c.Length), int(c.Scale))
	case schemas.TypeMoney:
		return fmt.Sprintf("Decimal(20, %d)", max(2, min(int(c.Scale), 10)))
	case schemas.TypeEnum:
		return "LowCardinality(String)"
	case schemas.TypeUUID:
		return "UUID"
	case schemas.TypeDate:
		return "Date32"
	case schemas.TypeTimestamp, schemas.TypeTimestampTZ:
		return fmt.Sprintf("DateTime64(%d, 'UTC')", digits)
	case schemas.TypeTime:
		if server.atLeast(25, 6) {
			return fmt.Sprintf("Time64(%d)", digits)
		}
	case schemas.TypeList:
		if c.Elem != nil {
			elem := cfg.portable(c.Elem, server)
			if strings.HasPrefix(elem, "Array(") || strings.HasPrefix(elem, "Map(") {
				return "Array(" + elem + ")"
			}
			if c.Elem.Type == schemas.TypeEnum {
				elem = "String"
			}
			return "Array(Nullable(" + elem + "))"
		}
	case schemas.TypeMap:
		return "Map(String, Nullable(String))"
	}
	return "String"
}

// decimal is the type of a decimal; precision is below 1 where it has no bound.
func (cfg *config) decimal(precision, scale int) string {
	switch {
	case precision < 1 && cfg.unbounded == "string", precision > maxDigits, precision >= 1 && scale > maxDigits:
		return "String"
	case precision < 1:
		return "Decimal(76, 38)"
	case scale < 0: // numeric(3,-2): digits before the point only
		if precision -= scale; precision > maxDigits {
			return "String"
		}
		scale = 0
	case scale > precision: // numeric(2,5)
		precision = scale
	}
	return fmt.Sprintf("Decimal(%d, %d)", precision, scale)
}
