package plugins

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

// secrets hides what a configuration keeps secret in what a plugin says (I12). nil hides nothing.
type secrets struct {
	forms    []string // of what is hidden, the longest first
	replacer *strings.Replacer
}

const (
	leastSecret = 4 // bytes of a value that is hidden: a shorter one would hide what it is no part of
	leastLine   = 8 // likewise for a line of a value that has several
)

// What a URL, in whatever key, keeps secret.
var (
	credentials = regexp.MustCompile(`://[^/@\s:]*:([^/@\s]+)@`)
	parameters  = regexp.MustCompile(`(?i)[?&;](?:password|passwd|pwd|secret|token)=([^&;\s]+)`)
)

// newSecrets finds the secrets of a connector's configuration, and of the worker's.
func newSecrets(def *connectors.ConfigDef, c, worker connectors.Config) *secrets {
	s := &secrets{}
	for name, value := range c {
		if k := def.Find(name); connectors.SecretName(name) || k != nil && (k.Type == connectors.TypePassword || k.Show != nil) {
			s.add(value)
		}
		s.addURL(value)
	}
	for name, value := range worker {
		if connectors.SecretName(name) {
			s.add(value)
		}
		s.addURL(value)
	}
	slices.SortFunc(s.forms, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	s.forms = slices.Compact(s.forms)
	pairs := make([]string, 0, 2*len(s.forms))
	for _, form := range s.forms {
		pairs = append(pairs, form, connectors.Hidden)
	}
	s.replacer = strings.NewReplacer(pairs...)
	return s
}

func (s *secrets) addURL(value string) {
	for _, pattern := range []*regexp.Regexp{credentials, parameters} {
		for _, m := range pattern.FindAllStringSubmatch(value, -1) {
			s.add(m[1])
			if plain, err := url.PathUnescape(m[1]); err == nil {
				s.add(plain)
			}
		}
	}
}

// add hides a value in the forms in which texts quote it.
func (s *secrets) add(value string) {
	value = strings.TrimSpace(value)
	s.form(value, leastSecret)
	if !strings.Contains(value, "\n") {
		return
	}
	for line := range strings.Lines(value) { // a log has lines
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-----") {
			s.form(line, leastLine)
		}
	}
}

func (s *secrets) form(value string, least int) {
	if len(value) < least {
		return
	}
	quoted := strconv.Quote(value)
	s.forms = append(s.forms, value, quoted[1:len(quoted)-1], url.QueryEscape(value), url.PathEscape(value))
}

func (s *secrets) hide(text string) string {
	if s == nil || len(s.forms) == 0 {
		return text
	}
	return s.replacer.Replace(text)
}

// hideCut is hide for a text whose end was cut off, perhaps inside a secret.
func (s *secrets) hideCut(text string) string {
	text = s.hide(text)
	if s == nil {
		return text
	}
	for _, form := range s.forms {
		for n := min(len(form)-1, len(text)); n > 0; n-- {
			if strings.HasSuffix(text, form[:n]) {
				return text[:len(text)-n] + connectors.Hidden
			}
		}
	}
	return text
}

// hideIn is hide for a value as encoding/json makes them.
func (s *secrets) hideIn(value any) any {
	switch v := value.(type) {
	case string:
		return s.hide(v)
	case []any:
		for i := range v {
			v[i] = s.hideIn(v[i])
		}
	case map[string]any:
		for name, member := range v {
			delete(v, name)
			v[s.hide(name)] = s.hideIn(member)
		}
	}
	return value
}
