package changes

import (
	"encoding/hex"
	"regexp"
	"strings"

	"github.com/freshet-io/freshet/schemas"
)

var (
	wholeText  = regexp.MustCompile(`^-?\d+$`)
	numberText = regexp.MustCompile(`^\(?(-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\)?$`)
	dayText    = regexp.MustCompile(`^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])$`)
	momentText = regexp.MustCompile(`^(\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]))(?: \d\d:\d\d:\d\d(?:\.\d+)?)?$`)
	clockText  = regexp.MustCompile(`^-?\d{1,3}:\d\d:\d\d(?:\.\d+)?$`)
	castsText  = regexp.MustCompile(`^(?:::[A-Za-z0-9_." ]+(?:\([0-9, ]+\))?(?:\[\])*(?: with(?:out)? time zone)?)*$`)
	introducer = regexp.MustCompile(`(?s)^_[A-Za-z0-9]+'(.*)'$`)
)

// MySQLEpoch is what MySQL's schema history says of CURRENT_TIMESTAMP.
const MySQLEpoch = "1970-01-01 00:00:00"

// Constant is the text of a default that is one constant, as its type reads it; false for none and for what a target cannot have:
// functions, expressions, and in MySQL moments, which depend on the time zone of a session.
func Constant(mysql bool, c *schemas.Column) (string, bool) {
	if c.Default == "" {
		return "", false
	}
	read := postgresConstant
	if mysql {
		read = func(text string) (string, bool) { return mysqlConstant(c, text) }
	}
	text, ok := read(c.Default)
	return text, ok && strings.IndexByte(text, 0) < 0
}

// postgresConstant reads what pg_get_expr prints: 'it”s'::text, B'101', 12.5, '-1'::integer, true.
func postgresConstant(expr string) (string, bool) {
	if expr == "true" || expr == "false" {
		return expr, true
	}
	value, casts := expr, ""
	if at := strings.Index(expr, "::"); at >= 0 && !strings.Contains(expr, "'") {
		value, casts = expr[:at], expr[at:]
	}
	if m := numberText.FindStringSubmatch(value); m != nil && castsText.MatchString(casts) {
		return m[1], true
	}
	rest, bits := strings.CutPrefix(expr, "B'")
	if !bits {
		var quoted bool
		if rest, quoted = strings.CutPrefix(expr, "'"); !quoted {
			return "", false
		}
	}
	for i := 0; i < len(rest); i++ {
		switch {
		case rest[i] != '\'':
		case i+1 < len(rest) && rest[i+1] == '\'':
			i++
		default:
			return strings.ReplaceAll(rest[:i], "''", "'"), castsText.MatchString(rest[i+1:])
		}
	}
	return "", false
}

// mysqlConstant reads the text of a default in MySQL's table definitions: the inside of a literal.
func mysqlConstant(c *schemas.Column, text string) (string, bool) {
	text = CutIntroducer(text)
	switch c.Type {
	case schemas.TypeText, schemas.TypeEnum, schemas.TypeUUID, schemas.TypeOther:
		return UnescapeMySQL(text), true
	case schemas.TypeBytes:
		return mysqlBytes(c, text)
	}
	text = strings.TrimSpace(text)
	switch strings.ToLower(text) {
	case "true":
		text = "1"
	case "false":
		text = "0"
	}
	switch c.Type {
	case schemas.TypeInt16, schemas.TypeInt32, schemas.TypeInt64, schemas.TypeUint64:
		if strings.HasPrefix(c.TypeName, "year") && len(text) < 4 {
			return "", false // two digits
		}
		return text, wholeText.MatchString(text)
	case schemas.TypeFloat32, schemas.TypeFloat64, schemas.TypeDecimal:
		return text, numberText.MatchString(text)
	case schemas.TypeBits:
		if missing := int(c.Length) - len(text); missing > 0 {
			text = strings.Repeat("0", missing) + text
		}
		return text, strings.Trim(text, "01") == "" && len(text) == int(c.Length)
	case schemas.TypeDate:
		return text, dayText.MatchString(text)
	case schemas.TypeTimestamp:
		return text, momentText.MatchString(text) && !strings.HasPrefix(text, "0000") && text != MySQLEpoch
	case schemas.TypeTime:
		return text, clockText.MatchString(text)
	}
	return "", false
}

func mysqlBytes(c *schemas.Column, text string) (string, bool) {
	raw := []byte(UnescapeMySQL(text))
	if digits, ok := strings.CutPrefix(strings.ToLower(text), "0x"); ok {
		var err error
		if raw, err = hex.DecodeString(digits); err != nil {
			return "", false
		}
	}
	if strings.HasPrefix(c.TypeName, "binary") {
		if missing := int(max(c.Length, 1)) - len(raw); missing > 0 {
			raw = append(raw, make([]byte, missing)...)
		}
	}
	return `\x` + hex.EncodeToString(raw), true
}

// CutIntroducer takes the name of a character set off the default of a column of MySQL: of _latin1'x' it leaves x.
func CutIntroducer(text string) string {
	if m := introducer.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return text
}

// UnescapeMySQL reads the inside of a literal of MySQL: doubled quotes, and escapes with a backslash.
func UnescapeMySQL(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		ch := text[i]
		if i+1 == len(text) || ch != '\\' && (ch != '\'' || text[i+1] != '\'') {
			out.WriteByte(ch)
			continue
		}
		i++
		if at := strings.IndexByte("0bnrtZ", text[i]); at >= 0 && ch == '\\' {
			out.WriteByte("\x00\b\n\r\t\x1a"[at])
			continue
		}
		out.WriteByte(text[i])
	}
	return out.String()
}
