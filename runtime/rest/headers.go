package rest

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime/workerconfig"
)

// cors is what browsers' pages of other origins may do; no origins: nothing.
type cors struct{ origins, methods []string }

func readCORS(w *workerconfig.Config) cors {
	c := cors{
		origins: connectors.SplitList(w.String("access.control.allow.origin")),
		methods: connectors.SplitList(w.String("access.control.allow.methods")),
	}
	if len(c.methods) == 0 {
		c.methods = []string{"GET", "POST", "HEAD"}
	}
	return c
}

// allows tells that one of the space-separated origins is among those of the configuration; * in them stands for
// any text without a slash, alone for every origin.
func (c cors) allows(origins string) bool {
	for _, origin := range strings.Fields(origins) {
		for _, pattern := range c.origins {
			if pattern == "*" || pattern == origin {
				return true
			}
			if ok, err := path.Match(pattern, origin); ok && err == nil {
				return true
			}
		}
	}
	return false
}

func (c cors) set(h http.Header, hr *http.Request) {
	origin := hr.Header.Get("Origin")
	if len(c.origins) == 0 || origin == "" {
		return
	}
	h.Add("Vary", "Origin")
	if !c.allows(origin) {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if hr.Method == http.MethodOptions && hr.Header.Get("Access-Control-Request-Method") != "" {
		h.Set("Access-Control-Allow-Methods", strings.Join(c.methods, ","))
		h.Set("Access-Control-Allow-Headers", "Content-Type,Accept,Authorization")
		h.Set("Access-Control-Max-Age", "60")
	}
}

// preflight tells that the request is a browser's question, which never carries credentials, and that it may ask.
func (r *request) preflight() bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" && r.api.config.cors.allows(r.Header.Get("Origin"))
}

// headerRule is one rule of response.http.headers.config.
type headerRule struct {
	add   bool
	name  string
	value string
	in    time.Duration // for dates: from now
	date  bool
}

// readRules reads rules like `set X-Frame-Options: DENY, "add Cache-Control: no-cache, no-store", addDate Expires: 86400000`.
func readRules(list string) ([]headerRule, error) {
	var out []headerRule
	for _, text := range splitQuoted(list) {
		action, rest, found := strings.Cut(strings.TrimSpace(text), " ")
		name, value, colon := strings.Cut(rest, ":")
		r := headerRule{name: strings.TrimSpace(name), value: strings.TrimSpace(value)}
		if !found || !colon || r.name == "" || strings.ContainsAny(r.name, " \t") {
			return nil, fmt.Errorf("%q is not of the form '[action] [header name]:[header value]'", text)
		}
		switch strings.ToLower(action) {
		case "set":
		case "add":
			r.add = true
		case "setdate", "adddate":
			ms, err := strconv.ParseInt(r.value, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%q: %s is not a number of milliseconds", text, r.value)
			}
			r.add, r.date, r.in = strings.EqualFold(action, "adddate"), true, time.Duration(ms)*time.Millisecond
		default:
			return nil, fmt.Errorf("%q: the action is not one of set, add, setDate, addDate", text)
		}
		out = append(out, r)
	}
	return out, nil
}

// splitQuoted splits at commas outside of double quotes and takes the quotes off.
func splitQuoted(s string) (out []string) {
	quoted := false
	parts := strings.FieldsFunc(s, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ',' && !quoted
	})
	for _, p := range parts {
		if p = strings.ReplaceAll(p, `"`, ""); strings.TrimSpace(p) != "" {
			out = append(out, p)
		}
	}
	return slices.Clip(out)
}

// headers sets the headers of the configuration on every answer.
func (c *Config) headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		h := w.Header()
		for _, r := range c.rules {
			value := r.value
			if r.date {
				value = time.Now().Add(r.in).UTC().Format(http.TimeFormat)
			}
			if r.add {
				h.Add(r.name, value)
			} else {
				h.Set(r.name, value)
			}
		}
		c.cors.set(h, hr)
		next.ServeHTTP(w, hr)
	})
}
