package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// Until is the condition for an answer; all that is given must hold.
type Until struct {
	Status      statuses          `json:"status"`
	Equals      map[string]any    `json:"equals"` // pointer to value
	Len         map[string]int    `json:"len"`
	Contains    map[string]string `json:"contains"`
	NotContains map[string]string `json:"not_contains"`
}

// statuses is one number or a list.
type statuses []int

// UnmarshalJSON reads either.
func (s *statuses) UnmarshalJSON(b []byte) error {
	var one int
	if json.Unmarshal(b, &one) == nil {
		*s = statuses{one}
		return nil
	}
	return json.Unmarshal(b, (*[]int)(s)) //nolint:wrapcheck // part of a file that names itself
}

func (p *Player) holds(u *Until, status int, doc any) bool {
	if u == nil {
		return true
	}
	if len(u.Status) > 0 && !slices.Contains(u.Status, status) {
		return false
	}
	for at, want := range u.Equals {
		if s, ok := want.(string); ok {
			want = p.fill(s)
		}
		if !sameValue(pointer(doc, at), want) {
			return false
		}
	}
	for at, n := range u.Len {
		switch v := pointer(doc, at).(type) {
		case []any:
			if len(v) != n {
				return false
			}
		case map[string]any:
			if len(v) != n {
				return false
			}
		default:
			return false
		}
	}
	for at, s := range u.Contains {
		if !contains(pointer(doc, at), p.fill(s)) {
			return false
		}
	}
	for at, s := range u.NotContains {
		if contains(pointer(doc, at), p.fill(s)) {
			return false
		}
	}
	return true
}

// contains looks in a text, among the elements of a list, or in the JSON of anything else.
func contains(v any, s string) bool {
	switch v := v.(type) {
	case string:
		return strings.Contains(v, s)
	case []any:
		return slices.Contains(v, any(s))
	}
	return strings.Contains(dump(v), s)
}

// dump writes JSON as the recorder did: blanks behind commas and colons, ASCII only.
func dump(v any) string {
	var b bytes.Buffer
	dumpTo(&b, v)
	return b.String()
}

func dumpTo(b *bytes.Buffer, v any) {
	switch v := v.(type) {
	case map[string]any:
		b.WriteByte('{')
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for i, k := range keys {
			if i > 0 {
				b.WriteString(", ")
			}
			dumpTo(b, k)
			b.WriteString(": ")
			dumpTo(b, v[k])
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, x := range v {
			if i > 0 {
				b.WriteString(", ")
			}
			dumpTo(b, x)
		}
		b.WriteByte(']')
	case string:
		var plain bytes.Buffer
		e := json.NewEncoder(&plain)
		e.SetEscapeHTML(false)
		_ = e.Encode(v) // a text can be encoded
		for _, r := range strings.TrimSuffix(plain.String(), "\n") {
			switch {
			case r < 0x80:
				b.WriteRune(r)
			case r < 0x10000:
				fmt.Fprintf(b, `\u%04x`, r)
			default:
				high, low := utf16.EncodeRune(r)
				fmt.Fprintf(b, `\u%04x\u%04x`, high, low)
			}
		}
	case nil:
		b.WriteString("null")
	default:
		fmt.Fprint(b, v)
	}
}

// sameValue compares numbers by their value, whatever they were decoded to.
func sameValue(a, b any) bool {
	x, ok := number(a)
	y, ok2 := number(b)
	if ok && ok2 {
		return x.Cmp(y) == 0
	}
	return reflect.DeepEqual(a, b)
}

func number(v any) (*big.Rat, bool) {
	switch v := v.(type) {
	case json.Number:
		return new(big.Rat).SetString(v.String())
	case float64:
		r := new(big.Rat).SetFloat64(v)
		return r, r != nil
	}
	return nil, false
}

// pointer finds a place in a document (RFC 6901); nil when it is not there.
func pointer(doc any, at string) any {
	for _, part := range pointerParts(at) {
		switch v := doc.(type) {
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			doc = v[i]
		case map[string]any:
			doc = v[part]
		default:
			return nil
		}
	}
	return doc
}

func pointerParts(at string) []string {
	if at == "" {
		return nil
	}
	parts := strings.Split(at, "/")[1:]
	for i, part := range parts {
		parts[i] = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
	}
	return parts
}

// setPointer replaces what is at a place and returns the document.
func setPointer(doc any, at string, v any) any {
	parts := pointerParts(at)
	if len(parts) == 0 {
		return v
	}
	last := parts[len(parts)-1]
	switch parent := pointer(doc, at[:strings.LastIndexByte(at, '/')]).(type) {
	case []any:
		if i, err := strconv.Atoi(last); err == nil && i >= 0 && i < len(parent) {
			parent[i] = v
		}
	case map[string]any:
		parent[last] = v
	}
	return doc
}

// Compare tells where an answer differs from the recorded one, after what may differ has been made the same.
func Compare(s Step, recorded, got Record) []Detail {
	want, have := normalise(recorded, s), normalise(got, s)
	superset := map[string]bool{}
	for _, at := range s.Superset {
		superset["/body"+at] = true
	}
	out := diff(want, have, "", superset)
	for _, alt := range s.Alternates {
		text, _ := pointer(got.Body, "/message").(string)
		if len(out) > 0 && got.Status == alt.Status && regexp.MustCompile("(?s)"+alt.Message).MatchString(text) {
			return nil
		}
	}
	return out
}

var connectorsPath = regexp.MustCompile(`^/connectors/?(\?.*)?$`)

func normalise(r Record, s Step) map[string]any {
	headers := map[string]any{}
	out := map[string]any{"step": r.Step, "status": json.Number(strconv.Itoa(r.Status)), "headers": headers}
	for k, v := range r.Headers {
		headers[k] = v
	}
	if v, ok := r.Headers["content-type"]; ok {
		headers["content-type"] = strings.ToLower(strings.ReplaceAll(v, " ", ""))
	}
	if r.Text != nil {
		out["text"] = *r.Text
	}
	if v, ok := r.Headers["allow"]; ok {
		headers["allow"] = sorted(v)
		if r.Text != nil {
			out["text"] = sorted(*r.Text)
		}
	}
	if r.Text != nil && s.LooseText {
		out["text"] = "<loose>"
	}
	if !r.hasBody {
		return out
	}
	body := walk{s.Drop}.value(r.Body, "", "")
	if s.Method == "GET" && connectorsPath.MatchString(s.Path) {
		body = ownConnectors(body)
	}
	if list, ok := body.([]any); ok && !slices.ContainsFunc(list, func(v any) bool { _, text := v.(string); return !text }) {
		slices.SortFunc(list, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	}
	for at, pattern := range s.Loose {
		v := pointer(body, at)
		text, isText := v.(string)
		if pattern == "any" && v != nil || pattern != "any" && isText && regexp.MustCompile("(?s)"+pattern).MatchString(text) {
			body = setPointer(body, at, "<loose>")
		}
	}
	out["body"] = body
	return out
}

func sorted(list string) string {
	parts := strings.Split(list, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

// ownConnectors leaves out the connectors of others.
func ownConnectors(body any) any {
	switch v := body.(type) {
	case []any:
		return slices.DeleteFunc(v, func(x any) bool { return !strings.Contains(fmt.Sprint(x), "{{RUN}}") })
	case map[string]any:
		if _, failed := v["error_code"]; failed {
			return v
		}
		for k := range v {
			if !strings.Contains(k, "{{RUN}}") {
				delete(v, k)
			}
		}
	}
	return body
}

// walk copies a body; what differs from run to run becomes a word.
type walk struct{ drop []string }

// value copies v, which is under key, or in a list there; parent is the key of the object around it.
func (w walk) value(v any, key, parent string) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		_, cluster := v["kafka_cluster_id"]
		for k, x := range v {
			if slices.Contains(w.drop, k) && key != "config" {
				continue
			}
			out[k] = w.value(w.word(x, k, key, cluster), k, key)
		}
		return out
	case []any:
		out := make([]any, 0, len(v))
		for _, x := range v {
			out = append(out, w.value(x, key, parent))
		}
		if key == "offsets" || key == "topics" {
			slices.SortFunc(out, func(a, b any) int { return strings.Compare(dump(a), dump(b)) })
		}
		return out
	}
	return v
}

func (walk) word(v any, key, parent string, cluster bool) any {
	text, isText := v.(string)
	_, isNumber := v.(json.Number)
	switch {
	case key == "worker_id" && isText:
		return "<worker>"
	case key == "trace" && isText:
		text, _, _ = strings.Cut(text, "\n")
		return text
	case key == "kafka_cluster_id", key == "commit" && cluster:
		return "<" + key + ">"
	case key == "version" && (v == nil || isText) && parent != "config" && parent != "definition_config":
		return "<version>"
	case key == "last_modified" && isNumber:
		return "<ms>"
	case key == "documentation" && isText:
		return "<doc>"
	}
	return v
}

// diff lists the places where two values differ; places in superset may have more.
func diff(want, got any, at string, superset map[string]bool) []Detail {
	if superset[at] {
		if list, ok := want.([]any); ok {
			if have, ok := got.([]any); ok {
				return missing(list, have, at)
			}
		}
		if object, ok := want.(map[string]any); ok {
			if have, ok := got.(map[string]any); ok {
				fewer := map[string]any{}
				for k := range object {
					if v, there := have[k]; there {
						fewer[k] = v
					}
				}
				got = fewer
			}
		}
	}
	switch w := want.(type) {
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			return diffObjects(w, g, at, superset)
		}
	case []any:
		if g, ok := got.([]any); ok {
			if len(w) != len(g) {
				return []Detail{{at, fmt.Sprintf("%d elements %s", len(w), dump(w)), fmt.Sprintf("%d elements %s", len(g), dump(g))}}
			}
			var out []Detail
			for i := range w {
				out = append(out, diff(w[i], g[i], fmt.Sprintf("%s/%d", at, i), superset)...)
			}
			return out
		}
	case json.Number:
		if g, ok := got.(json.Number); ok && isFloat(w) == isFloat(g) && sameValue(w, g) {
			return nil
		}
	}
	if !reflect.DeepEqual(want, got) {
		return []Detail{{at, dump(want), dump(got)}}
	}
	return nil
}

func isFloat(n json.Number) bool { return strings.ContainsAny(n.String(), ".eE") }

func diffObjects(want, got map[string]any, at string, superset map[string]bool) []Detail {
	keys := map[string]any{}
	for k := range want {
		keys[k] = nil
	}
	for k := range got {
		keys[k] = nil
	}
	var out []Detail
	names := make([]string, 0, len(keys))
	for k := range keys {
		names = append(names, k)
	}
	slices.Sort(names)
	for _, k := range names {
		path := at + "/" + strings.ReplaceAll(strings.ReplaceAll(k, "~", "~0"), "/", "~1")
		w, inWant := want[k]
		g, inGot := got[k]
		switch {
		case !inGot:
			out = append(out, Detail{path, dump(w), "(absent)"})
		case !inWant:
			out = append(out, Detail{path, "(absent)", dump(g)})
		default:
			out = append(out, diff(w, g, path, superset)...)
		}
	}
	return out
}

// missing lists the elements of want that are not in got, in their order.
func missing(want, got []any, at string) []Detail {
	var out []Detail
	for _, w := range want {
		i := slices.IndexFunc(got, func(g any) bool { return len(diff(w, g, "", nil)) == 0 })
		if i < 0 {
			out = append(out, Detail{at, "missing (or out of order): " + dump(w), "…"})
			got = nil
			continue
		}
		got = got[i+1:]
	}
	return out
}
