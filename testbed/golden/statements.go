package golden

import (
	"errors"
	"regexp"
	"strings"
)

// statement is one SQL statement of a file, as psql and mysql send it: each on its own, COPY … FROM STDIN with the lines that follow.
type statement struct {
	text string
	copy string // data for COPY … FROM STDIN
}

var copyFromStdin = regexp.MustCompile(`(?is)^copy\s.*\bfrom\s+stdin\b`)

// split cuts an SQL file into statements. token is the length of a quoted text, a comment or one byte.
func split(text string, token func(text string, i int) (int, error)) ([]statement, error) {
	var out []statement
	depth, start := 0, 0
	for i := 0; i < len(text); {
		n, err := token(text, i)
		if err != nil {
			return nil, err
		}
		switch text[i] {
		case '(':
			depth++
		case ')':
			depth--
		case ';':
			if depth > 0 {
				break
			}
			s := statement{text: strings.TrimSpace(text[start:i])}
			if copyFromStdin.MatchString(s.text) {
				data, rest, ok := strings.Cut(text[i+1:], "\n\\.\n")
				if !ok {
					return nil, errors.New("split SQL: no \\. after COPY … FROM STDIN")
				}
				s.copy = strings.TrimPrefix(strings.TrimLeft(data, " \t"), "\n") + "\n"
				n = len(text) - len(rest) - i
			}
			if s.text != "" {
				out = append(out, s)
			}
			start = i + n
		}
		i += n
	}
	if last := strings.TrimSpace(text[start:]); last != "" && !onlyComments(last) {
		out = append(out, statement{text: last})
	}
	return out, nil
}

func onlyComments(text string) bool {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "--") {
			return false
		}
	}
	return true
}

// postgresToken is the length of what begins at i: a quoted text, a comment, or one byte.
func postgresToken(text string, i int) (int, error) {
	rest := text[i:]
	switch {
	case rest[0] == '\'':
		escapes := i > 0 && (text[i-1] == 'E' || text[i-1] == 'e') && (i < 2 || !partOfName(text[i-2]))
		return quoted(rest, escapes)
	case rest[0] == '"':
		return quoted(rest, false)
	case strings.HasPrefix(rest, "--"):
		if n := strings.IndexByte(rest, '\n'); n >= 0 {
			return n, nil
		}
		return len(rest), nil
	case strings.HasPrefix(rest, "/*"):
		return blockComment(rest)
	case rest[0] == '$' && (i == 0 || !partOfName(text[i-1])):
		n := 1
		for n < len(rest) && partOfName(rest[n]) {
			n++
		}
		if n == len(rest) || rest[n] != '$' || n > 1 && rest[1] >= '0' && rest[1] <= '9' {
			return 1, nil
		}
		tag := rest[:n+1]
		end := strings.Index(rest[len(tag):], tag)
		if end < 0 {
			return 0, errors.New("split SQL: no end of " + tag)
		}
		return end + 2*len(tag), nil
	}
	return 1, nil
}

// mysqlToken is postgresToken in MySQL's words: a backslash escapes in texts, names are in backquotes, comments do not nest.
func mysqlToken(text string, i int) (int, error) {
	rest := text[i:]
	switch {
	case rest[0] == '\'' || rest[0] == '"':
		return quoted(rest, true)
	case rest[0] == '`':
		return quoted(rest, false)
	case rest[0] == '#' || strings.HasPrefix(rest, "-- ") || strings.HasPrefix(rest, "--\n"):
		if n := strings.IndexByte(rest, '\n'); n >= 0 {
			return n, nil
		}
		return len(rest), nil
	case strings.HasPrefix(rest, "/*"):
		end := strings.Index(rest[2:], "*/")
		if end < 0 {
			return 0, errors.New("split SQL: no end of a comment")
		}
		return end + 4, nil
	}
	return 1, nil
}

func partOfName(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// quoted is the length of a quoted text.
func quoted(text string, escapes bool) (int, error) {
	for i := 1; i < len(text); i++ {
		if escapes && text[i] == '\\' {
			i++
		} else if text[i] == text[0] {
			if i+1 < len(text) && text[i+1] == text[0] {
				i++
				continue
			}
			return i + 1, nil
		}
	}
	return 0, errors.New("split SQL: no end of a quoted text")
}

func blockComment(text string) (int, error) {
	depth := 0
	for i := 0; i+1 < len(text); i++ {
		switch text[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
			if depth == 0 {
				return i + 1, nil
			}
		}
	}
	return 0, errors.New("split SQL: no end of a comment")
}
