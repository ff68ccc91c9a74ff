package rest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Fuzz sends n random requests to a worker, made from an OpenAPI description: most are as it says, some are not. It fails
// when the worker does not answer, answers with a status that the description does not have, with an error that does not explain itself,
// or with 500 without a cause: the request is as described, and cause, when given, does not know of one either.
func Fuzz(t *testing.T, file, base string, n int, seed uint64, cause func(method, path, message string) bool) {
	t.Helper()
	operations, err := description(file)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	f := &fuzzer{Rand: rand.New(rand.NewPCG(seed, 0)), address: hostPort(u)}
	defer f.close()
	statuses := map[int]int{}
	for i := range n {
		q := f.request(operations[f.IntN(len(operations))])
		status, header, body, err := f.send(q)
		if err != nil {
			t.Fatalf("seed %d, request %d: %s: %v", seed, i, q, err)
		}
		statuses[status]++
		if wrong := q.judge(status, header, body, cause); wrong != "" {
			t.Errorf("seed %d, request %d: %s\n  answered %d %.500s\n  %s", seed, i, q, status, body, wrong)
		}
	}
	t.Logf("%d requests, statuses %v", n, statuses)
	for _, s := range []int{200, 201, 202, 204, 400, 404, 405, 406, 415, 500} {
		if n >= 10000 && statuses[s] == 0 {
			t.Errorf("no request was answered %d: the fuzzer misses something", s)
		}
	}
}

type fuzzer struct {
	*rand.Rand
	address string
	conn    net.Conn
	in      *bufio.Reader
}

// query is one request. described tells that it is as the description says.
type query struct {
	operation
	target    string
	headers   [][2]string
	body      []byte
	described bool
	method    string
}

func (q query) String() string {
	return fmt.Sprintf("%s %s %v %.300q", q.method, q.target, q.headers, q.body)
}

var (
	names = []string{"a", "b", "c", "a b", "ü", "連結", "x;y", "x%41", "x/y", `x\y`, "..", ".", "", "none", "+", "?", "#", "\x00", "\x7f", strings.Repeat("n", 300)}
	words = []string{
		"", " ", "x", "1", "-1", "true", "null", "ü😀", "\x00", "a\nb", "${file:/none:x}", "${env:HOME}", strings.Repeat("w", 5000), "FileStreamSource", "FileStreamSink",
		"org.apache.kafka.connect.file.FileStreamSourceConnector", "Nope", "latest", "[1,2)", "DEBUG", "LOUD", "HmacSHA256", "AAAA", "!!", "9223372036854775808",
	}
	keys = []string{"connector.class", "name", "topic", "topics", "file", "tasks.max", "batch.size", "transforms", "key.converter", "x.y", "", "errors.tolerance", "filename", "position"}
)

func pick[T any](f *fuzzer, list []T) T { return list[f.IntN(len(list))] }

// seldom is true once in n times.
func (f *fuzzer) seldom(n int) bool { return f.IntN(n) == 0 }

func (f *fuzzer) request(o operation) query {
	q := query{operation: o, method: o.Method, described: true}
	path := o.Path
	query := url.Values{}
	for _, p := range o.Parameters {
		v := f.parameter(p)
		switch p.In {
		case "path":
			raw := f.escape(v)
			q.described = q.described && raw == url.PathEscape(v)
			path = strings.ReplaceAll(path, "{"+p.Name+"}", raw)
		case "query":
			if f.seldom(2) {
				query.Add(p.Name, v)
			}
		case "header":
			if !f.seldom(4) {
				q.headers = append(q.headers, [2]string{p.Name, strings.Map(printable, v)})
			}
		}
	}
	if f.seldom(50) {
		q.described = false
		path += pick(f, []string{"/", "//", "/x", "%2F", "%zz", "%ff", ";p=1", "/.."})
	}
	if q.target = path; len(query) > 0 {
		q.target += "?" + query.Encode()
	}
	if f.seldom(30) {
		q.described = false
		q.method = pick(f, []string{"GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW"})
	}
	f.addBody(&q)
	if f.seldom(20) {
		q.headers = append(q.headers, [2]string{"Accept", pick(f, []string{"*/*", "text/html", "application/json;q=0.1, text/*", "nonsense", "application/json; charset=utf-8", ";", "application/json;q=x"})})
	}
	return q
}

func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return -1
	}
	return r
}

// escape writes a segment of a path, seldom without escaping what needs it.
func (f *fuzzer) escape(s string) string {
	if f.seldom(20) {
		return strings.Map(func(r rune) rune {
			if r <= ' ' || r == 0x7f {
				return -1
			}
			return r
		}, s)
	}
	return url.PathEscape(s)
}

func (f *fuzzer) parameter(p parameter) string {
	switch {
	case p.In == "path" && p.Name == "connector":
		if f.seldom(4) {
			return pick(f, names)
		}
		return pick(f, names[:6])
	case len(p.Schema.Enum) > 0 && !f.seldom(5):
		return pick(f, p.Schema.Enum)
	case slices.Contains(p.Schema.Type, "boolean") && !f.seldom(5):
		return pick(f, []string{"true", "false"})
	case slices.Contains(p.Schema.Type, "integer") && !f.seldom(5):
		return strconv.Itoa(f.IntN(3))
	}
	return pick(f, words)
}

// addBody makes a body as described, or spoils it.
func (f *fuzzer) addBody(q *query) {
	contentType := "application/json"
	if q.operation.body == nil {
		if f.seldom(30) {
			q.body = []byte("{}")
			q.headers = append(q.headers, [2]string{"Content-Type", contentType})
		}
		return
	}
	v := f.value(q.operation.body, &q.described)
	q.body, _ = json.Marshal(v) // it is made of what can be encoded
	switch f.IntN(25) {
	case 0:
		q.body, q.described = q.body[:f.IntN(len(q.body)+1)], false
	case 1:
		q.body, q.described = []byte(pick(f, []string{"", "null", "[", "nul", "{]", "\xff\xfe", "\"", "{\"a\":1}}", strings.Repeat("[", 20000), "{\"name\":\"a\",\"name\":\"b\"}"})), false
	case 2:
		if len(q.body) > 0 {
			q.body, q.described = bytes.Clone(q.body), false
			q.body[f.IntN(len(q.body))] = byte(f.IntN(256))
		}
	case 3:
		contentType = pick(f, []string{"text/plain", "application/json; charset=UTF-8", "x", "application/xml", "*/*", "application/*"})
	}
	if !f.seldom(30) {
		q.headers = append(q.headers, [2]string{"Content-Type", contentType})
	}
}

// value makes a value of a schema; seldom one that is not, and then described becomes false.
func (f *fuzzer) value(s *schema, described *bool) any {
	if f.seldom(60) {
		*described = false
		return pick(f, []any{nil, "x", 1, 1.5, true, []any{}, map[string]any{}, map[string]any{"a": map[string]any{}}, []any{[]any{1}}})
	}
	kind := ""
	if len(s.Type) > 0 {
		kind = pick(f, s.Type)
	}
	switch kind {
	case "object":
		return f.object(s, described)
	case "array":
		out := []any{}
		for range f.IntN(3) {
			out = append(out, f.value(s.Items, described))
		}
		return out
	case "string":
		if len(s.Enum) > 0 {
			return pick(f, s.Enum)
		}
		return pick(f, words)
	case "integer":
		return pick(f, []any{0, 1, -1, json.Number("9223372036854775807"), json.Number("99999999999999999999")})
	}
	return nil
}

func (f *fuzzer) object(s *schema, described *bool) any {
	out := map[string]any{}
	for _, k := range slices.Sorted(func(yield func(string) bool) {
		for k := range s.Properties {
			if !yield(k) {
				return
			}
		}
	}) {
		required := slices.Contains(s.Required, k)
		if !required && f.seldom(2) {
			continue
		}
		if required && f.seldom(60) {
			*described = false
			continue
		}
		out[k] = f.value(s.Properties[k], described)
		if k == "name" && out[k] != nil {
			out[k] = pick(f, names)
		}
	}
	if s.More != nil {
		if !f.seldom(5) { // most are configurations that could be right
			out["connector.class"], out["topic"] = "FileStreamSource", "t"
		}
		for range f.IntN(4) {
			out[pick(f, keys)] = f.value(s.More, described)
		}
	} else if f.seldom(80) {
		out["bogus"], *described = 1, false
	}
	return out
}

// send sends the request over the connection of the last one, when that is still open.
func (f *fuzzer) send(q query) (status int, header http.Header, body []byte, err error) {
	for attempt := range 2 {
		if f.conn == nil {
			if f.conn, err = net.DialTimeout("tcp", f.address, 10*time.Second); err != nil {
				return 0, nil, nil, fmt.Errorf("reach the worker: %w", err)
			}
			f.in = bufio.NewReader(f.conn)
			attempt = 1 // a new connection has no excuse
		}
		status, header, body, err = f.exchange(q)
		if err == nil || attempt == 1 {
			return status, header, body, err
		}
		f.close()
	}
	return status, header, body, err
}

func (f *fuzzer) exchange(q query) (int, http.Header, []byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: h\r\n", q.method, q.target)
	for _, h := range q.headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	if q.body != nil {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(q.body))
	}
	b.WriteString("\r\n")
	b.Write(q.body)
	if err := f.conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return 0, nil, nil, fmt.Errorf("send to the worker: %w", err)
	}
	if _, err := f.conn.Write(b.Bytes()); err != nil {
		return 0, nil, nil, fmt.Errorf("send to the worker: %w", err)
	}
	r, err := http.ReadResponse(f.in, &http.Request{Method: q.method})
	if err != nil {
		return 0, nil, nil, fmt.Errorf("read the worker's answer: %w", err)
	}
	defer func() { _ = r.Body.Close() }()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("read the worker's answer: %w", err)
	}
	if r.Close {
		f.close()
	}
	return r.StatusCode, r.Header, body, nil
}

func (f *fuzzer) close() {
	if f.conn != nil {
		_ = f.conn.Close() // the next request makes another one
		f.conn = nil
	}
}

// layers are the statuses that the layers in front of every operation answer.
var layers = []int{400, 404, 405, 406, 413, 415}

// judge says what is wrong with an answer; "": nothing.
func (q query) judge(status int, header http.Header, body []byte, cause func(method, path, message string) bool) string {
	if q.method == "OPTIONS" {
		return ""
	}
	_, known := q.Responses[strconv.Itoa(status)]
	if q.method == q.Method && !known && !slices.Contains(layers, status) && !(status == 500 && !q.described) {
		return "the description does not have this status"
	}
	if status < 400 || q.method == "HEAD" {
		return ""
	}
	if strings.HasPrefix(header.Get("Content-Type"), "text/html") || status == 400 && len(body) == 0 {
		if status != 400 {
			return "a page that is not 400"
		}
		return ""
	}
	var e struct {
		Code    *int    `json:"error_code"`
		Message *string `json:"message"`
	}
	if err := json.Unmarshal(body, &e); err != nil || e.Code == nil || *e.Code != status || e.Message == nil || *e.Message == "" {
		return "the error does not explain itself"
	}
	if strings.Contains(*e.Message, "internal error") || strings.Contains(*e.Message, "runtime error") {
		return "something broke"
	}
	if status == 500 && q.described && (cause == nil || !cause(q.method, q.Path, *e.Message)) {
		return "500 without a cause"
	}
	return ""
}
