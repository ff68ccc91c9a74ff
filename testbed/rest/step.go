package rest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const requestTimeout = 100 * time.Second

var variable = regexp.MustCompile(`\{\{(\w+)\}\}`)

// fill puts the values of variables into a text.
func (p *Player) fill(s string) string {
	return variable.ReplaceAllStringFunc(s, func(m string) string {
		if v, ok := p.vars[m[2:len(m)-2]]; ok {
			return v
		}
		return m
	})
}

// hide puts variables in the place of their values, in all texts of a value.
func (p *Player) hide(v any) any {
	switch v := v.(type) {
	case string:
		for _, pair := range p.hidden {
			v = strings.ReplaceAll(v, pair[0], "{{"+pair[1]+"}}")
		}
		return v
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = p.hide(x)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[p.hide(k).(string)] = p.hide(x)
		}
		return out
	}
	return v
}

// keptHeaders are those that are recorded.
var keptHeaders = []string{
	"content-type", "location", "allow", "www-authenticate", "vary",
	"access-control-allow-origin", "access-control-allow-methods", "access-control-allow-headers",
}

var transient = regexp.MustCompile(`(?i)Cannot complete request (momentarily|because of a conflicting operation)|request timed out`)

// step sends a request, again until its condition holds, and returns the last answer with variables in it.
func (p *Player) step(s Step) (Record, error) {
	if err := p.write(s.Files); err != nil {
		return Record{}, err
	}
	time.Sleep(time.Duration(s.Delay * float64(time.Second))) // the recording waited too
	to := p.base
	if s.To == "follower" {
		to = p.follower
	}
	headers := map[string]string{}
	for k, v := range s.Headers {
		headers[k] = p.fill(v)
	}
	var body []byte
	switch {
	case s.Raw != nil:
		body = []byte(p.fill(*s.Raw))
	case s.Body != nil:
		body = []byte(p.fill(string(s.Body)))
		if !slices.ContainsFunc(slices.Collect(maps.Keys(headers)), func(k string) bool { return strings.EqualFold(k, "content-type") }) {
			headers["Content-Type"] = "application/json"
		}
	}
	wait := 30.0
	if s.Timeout > 0 {
		wait = s.Timeout
	}
	end := time.Now().Add(time.Duration(wait * float64(time.Second)))
	for {
		got, err := p.send(to, s.Method, p.fill(s.Path), headers, body)
		if err != nil {
			return Record{}, err
		}
		doc, isJSON := parse(got.body)
		passing := !s.Keep409 && (got.status == 409 && transient.Match(got.body) ||
			got.status == 500 && bytes.Contains(got.body, []byte("a rebalance is expected")))
		reached := p.holds(s.Until, got.status, doc)
		if !passing && reached || time.Now().After(end) {
			return p.record(s, got, doc, isJSON, reached), nil
		}
		time.Sleep(200 * time.Millisecond) // between two looks at a worker
	}
}

func (p *Player) record(s Step, got reply, doc any, isJSON, reached bool) Record {
	out := Record{Step: s.Step, Status: got.status, Headers: map[string]string{}}
	for _, k := range keptHeaders {
		if v := got.header.Values(k); len(v) > 0 {
			out.Headers[k] = p.hide(v[len(v)-1]).(string)
		}
	}
	if object, ok := doc.(map[string]any); ok && s.Reduce == "values" {
		if configs, ok := object["configs"].([]any); ok {
			object["configs"] = each(configs, func(c any) any {
				definition, _ := c.(map[string]any)
				return definition["value"]
			})
		}
	}
	switch {
	case len(got.body) == 0:
	case isJSON:
		out.Body, out.hasBody = p.hide(doc), true
	default:
		text := p.hide(string(got.body)).(string)
		out.Text = &text
	}
	if !reached {
		out.Note = "condition not reached"
	}
	return out
}

func each(list []any, f func(any) any) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = f(v)
	}
	return out
}

// parse decodes JSON; anything else is its text.
func parse(b []byte) (any, bool) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return string(b), false
	}
	if _, err := d.Token(); err != io.EOF { //nolint:errorlint // Token returns it bare
		return string(b), false
	}
	return v, true
}

func (p *Player) write(files []File) error {
	for _, f := range files {
		path := p.fill(f.Path)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return fmt.Errorf("write a scenario's file: %w", err)
		}
		how := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
		if f.Append {
			how = os.O_CREATE | os.O_WRONLY | os.O_APPEND
		}
		out, err := os.OpenFile(path, how, 0o666)
		if err != nil {
			return fmt.Errorf("write a scenario's file: %w", err)
		}
		_, err = out.WriteString(p.fill(f.Content))
		if closed := out.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return fmt.Errorf("write a scenario's file: %w", err)
		}
	}
	return nil
}

type reply struct {
	status int
	header http.Header
	body   []byte
}

// send writes the request as it is, paths that no client library would send included.
func (p *Player) send(to *url.URL, method, path string, headers map[string]string, body []byte) (reply, error) {
	d := &net.Dialer{Timeout: 10 * time.Second}
	var c net.Conn
	var err error
	if to.Scheme == "https" {
		c, err = tls.DialWithDialer(d, "tcp", hostPort(to), &tls.Config{InsecureSkipVerify: true}) // a test's own certificate
	} else {
		c, err = d.Dial("tcp", hostPort(to))
	}
	if err != nil {
		return reply{}, fmt.Errorf("reach the worker: %w", err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return reply{}, fmt.Errorf("reach the worker: %w", err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", method, strings.TrimRight(to.Path, "/")+path, to.Host)
	accept := false
	for k, v := range headers {
		accept = accept || strings.EqualFold(k, "accept")
		fmt.Fprintf(&b, "%s: %s\r\n", k, v)
	}
	if !accept {
		b.WriteString("Accept: application/json\r\n")
	}
	if auth := p.vars["AUTH"]; auth != "" && headers == nil {
		r := http.Request{Header: http.Header{}}
		user, password, _ := strings.Cut(auth, ":")
		r.SetBasicAuth(user, password)
		fmt.Fprintf(&b, "Authorization: %s\r\n", r.Header.Get("Authorization"))
	}
	if body != nil || method == "POST" || method == "PUT" || method == "PATCH" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	b.Write(body)
	if _, err := c.Write(b.Bytes()); err != nil {
		return reply{}, fmt.Errorf("send to the worker: %w", err)
	}
	r, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		return reply{}, fmt.Errorf("read the worker's answer: %w", err)
	}
	defer func() { _ = r.Body.Close() }()
	content, err := io.ReadAll(r.Body)
	if err != nil {
		return reply{}, fmt.Errorf("read the worker's answer: %w", err)
	}
	return reply{r.StatusCode, r.Header, content}, nil
}
