package rest

import (
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const jsonType = "application/json"

// media is one entry of an Accept header.
type media struct {
	kind, sub string
	params    map[string]string // without q
	q         float64
}

func (m media) matches(contentType string) bool {
	kind, sub, _ := strings.Cut(contentType, "/")
	return m.q > 0 && (m.kind == "*" || m.kind == kind) && (m.sub == "*" || m.sub == sub)
}

// plain tells that it names a type without wildcards.
func (m media) plain() bool { return m.kind != "*" && m.sub != "*" }

// accepted reads the Accept headers, the most wanted first; ok is false for a header that cannot be read.
func accepted(h http.Header) (out []media, ok bool) {
	for _, field := range strings.Split(strings.Join(h.Values("Accept"), ","), ",") {
		if field = strings.TrimSpace(field); field == "" {
			continue
		}
		name, params, err := mime.ParseMediaType(field)
		if err != nil {
			return nil, false
		}
		m := media{q: 1, params: params}
		if m.kind, m.sub, ok = strings.Cut(name, "/"); !ok {
			return nil, false
		}
		if q, set := params["q"]; set {
			if m.q, err = strconv.ParseFloat(q, 64); err != nil {
				return nil, false
			}
			delete(params, "q")
		}
		out = append(out, m)
	}
	if len(out) == 0 {
		out = []media{{kind: "*", sub: "*", q: 1}}
	}
	slices.SortStableFunc(out, func(a, b media) int {
		switch {
		case a.q > b.q:
			return -1
		case a.q < b.q:
			return 1
		case a.plain() != b.plain():
			if a.plain() {
				return -1
			}
			return 1
		}
		return 0
	})
	return out, true
}

// jsonFor is the content type of a JSON answer for these wishes; "" when JSON is not among them.
func jsonFor(wanted []media) string {
	for _, m := range wanted {
		if m.matches(jsonType) {
			if m.plain() && len(m.params) > 0 {
				return strings.ReplaceAll(mime.FormatMediaType(jsonType, m.params), "; ", ";")
			}
			return jsonType
		}
	}
	return ""
}

// readable tells whether a body of this content type is one that the API reads; a request may leave it out.
func readable(contentType string) (ok bool, err error) {
	if contentType == "" {
		return true, nil
	}
	name, _, err := mime.ParseMediaType(contentType)
	if err != nil || !strings.Contains(name, "/") {
		return false, errBadHeader
	}
	kind, sub, _ := strings.Cut(name, "/")
	return media{kind: kind, sub: sub, q: 1}.matches(jsonType), nil
}
