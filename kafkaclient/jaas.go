package kafkaclient

import (
	"errors"
	"fmt"
	"strings"
)

// jaasEntry is one login module line of sasl.jaas.config.
type jaasEntry struct {
	module  string // class name, as written
	options map[string]string
}

// parseJaas reads "<module class> <flag> name=value … ;" with single or double quoted values
// (javax.security.auth.login.Configuration, as Kafka's JaasConfig reads it). Errors never quote a value (I12).
func parseJaas(s string) (jaasEntry, error) {
	e := jaasEntry{options: map[string]string{}}
	toks, err := jaasTokens(s)
	if err != nil {
		return e, err
	}
	if len(toks) < 3 || toks[len(toks)-1] != ";" {
		return e, errors.New(`must be "<login module class> required name="value" ... ;" and end in a semicolon`)
	}
	e.module = toks[0]
	switch strings.ToLower(toks[1]) {
	case "required", "requisite", "sufficient", "optional":
	default:
		return e, errors.New("the word after the login module class must be required, requisite, sufficient or optional")
	}
	for rest := toks[2:]; rest[0] != ";"; rest = rest[3:] {
		if len(rest) < 4 || rest[1] != "=" || rest[2] == ";" || rest[0] == "=" {
			return e, errors.New(`options must be written as name="value"`)
		}
		e.options[rest[0]] = strings.TrimPrefix(rest[2], "\x00")
	}
	return e, nil
}

// jaasTokens splits into words, "=" and ";". A quoted word is marked by a leading NUL so that ";" in quotes stays a value.
func jaasTokens(s string) ([]string, error) {
	var toks []string
	for i := 0; i < len(s); {
		switch ch := s[i]; {
		case ch == ' ' || ch == '\t' || ch == '\n' || ch == '\r':
			i++
		case ch == '=' || ch == ';':
			toks = append(toks, string(ch))
			i++
			if ch == ';' && strings.TrimSpace(s[i:]) != "" {
				return nil, errors.New("there is text after the first semicolon: give exactly one login module")
			}
		case ch == '"' || ch == '\'':
			word, n, ok := quoted(s[i:])
			if !ok {
				return nil, errors.New("a quote is not closed")
			}
			toks = append(toks, "\x00"+word)
			i += n
		default:
			n := strings.IndexAny(s[i:], " \t\r\n=;\"'")
			if n < 0 {
				n = len(s) - i
			}
			toks = append(toks, s[i:i+n])
			i += n
		}
	}
	return toks, nil
}

// quoted reads a quoted string with backslash escapes at the start of s and returns it and the bytes it took.
func quoted(s string) (string, int, bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == s[0]:
			return b.String(), i + 1, true
		case s[i] == '\\' && i+1 < len(s):
			i++
			switch s[i] {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case 'r':
				b.WriteByte('\r')
			default:
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return "", 0, false
}

// credentials returns the user and password that sasl.jaas.config gives for a mechanism.
func credentials(jaas, mechanism string) (user, password string, err error) {
	if strings.TrimSpace(jaas) == "" {
		return "", "", fmt.Errorf("sasl.jaas.config is not set: sasl.mechanism=%s needs a user name and a password in it", mechanism)
	}
	e, err := parseJaas(jaas)
	if err != nil {
		return "", "", fmt.Errorf("sasl.jaas.config: %w", err)
	}
	want := "org.apache.kafka.common.security.scram.ScramLoginModule"
	if mechanism == "PLAIN" {
		want = "org.apache.kafka.common.security.plain.PlainLoginModule"
	}
	// Clients with a shaded Kafka (Confluent Cloud's examples) prefix the class name.
	if !strings.HasSuffix(e.module, want[strings.LastIndexByte(want, '.'):]) {
		return "", "", fmt.Errorf("sasl.jaas.config: login module %s does not fit sasl.mechanism=%s: use %s", e.module, mechanism, want)
	}
	user, password = e.options["username"], e.options["password"]
	if user == "" || password == "" {
		return "", "", errors.New("sasl.jaas.config: username and password must both be given")
	}
	return user, password, nil
}
