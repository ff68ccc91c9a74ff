// Package client speaks Kafka Connect's REST API, of a worker of this program or of a JVM. Requests that a rebalance gets in
// the way of are made again. It starts no goroutine.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// DefaultURL is where a worker listens when nothing else is said.
const DefaultURL = "http://localhost:8083"

const (
	answerLimit = 64 << 20         // bytes
	oneRequest  = 90 * time.Second // the reference's own limit
	patience    = 30 * time.Second
	firstPause  = 100 * time.Millisecond
	lastPause   = 2 * time.Second
)

// Options says where the API is and who asks. User and Token are exclusive.
type Options struct {
	URL            string // "": DefaultURL; a user in it is used for basic authentication
	User, Password string // basic authentication
	Token          string // bearer
	CAFile         string // PEM; "": the system's
	Insecure       bool   // the server's certificate is not checked
	Agent          string // User-Agent
	// Patience is how long a request is made again while the workers rebalance; 0: 30 s.
	Patience time.Duration
	// Waiting is called before such a pause, with what the worker says; nil: nobody.
	Waiting func(message string)
}

// Client is safe for concurrent use.
type Client struct {
	options Options
	base    *url.URL
	http    *http.Client
}

// Error is an answer that is not a success.
type Error struct {
	Code    int
	Message string // the worker's own words
}

func (e *Error) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("HTTP %d %s", e.Code, http.StatusText(e.Code))
	}
	return e.Message
}

// Missing tells that what was asked for does not exist.
func Missing(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == http.StatusNotFound
}

// Unreachable tells that no worker answered.
type Unreachable struct {
	URL string
	Err error
}

func (e *Unreachable) Error() string { return fmt.Sprintf("no answer from %s: %v", e.URL, e.Err) }

// Unwrap returns the cause.
func (e *Unreachable) Unwrap() error { return e.Err }

// New checks the options; it does not connect.
func New(o Options) (*Client, error) {
	if o.URL == "" {
		o.URL = DefaultURL
	}
	if o.Patience <= 0 {
		o.Patience = patience
	}
	base, err := url.Parse(strings.TrimSuffix(o.URL, "/"))
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, errors.New("the URL of the worker is not one: http://host:port or https://host:port is expected")
	}
	if base.User != nil {
		o.User = base.User.Username()
		o.Password, _ = base.User.Password()
		base.User = nil
	}
	if o.User != "" && o.Token != "" {
		return nil, errors.New("a user and a token are given; one of them is enough")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.Insecure} //nolint:gosec // asked for
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read CA certificates: %w", err)
		}
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read CA certificates: %s has no certificate in PEM format", o.CAFile)
		}
	}
	return &Client{options: o, base: base, http: &http.Client{Transport: transport, Timeout: oneRequest}}, nil
}

// URL is the base of the API, without credentials.
func (c *Client) URL() string { return c.base.String() }

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// path joins escaped segments.
func path(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}

// do makes a request, with body as JSON unless it is nil, and reads the answer into out unless that is nil. While the workers
// rebalance it tries again, for Patience at most.
func (c *Client) do(ctx context.Context, method, path string, body, out any) (code int, err error) {
	var text []byte
	if body != nil {
		if text, err = json.Marshal(body); err != nil {
			return 0, fmt.Errorf("write the request: %w", err)
		}
	}
	deadline := time.Now().Add(c.options.Patience)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		code, answer, err := c.once(ctx, method, path, text)
		if err != nil {
			return 0, err
		}
		if code < 300 {
			return code, decode(answer, out)
		}
		failed := &Error{code, message(answer)}
		if !rebalancing(failed) || time.Now().Add(pause).After(deadline) {
			return code, failed
		}
		if c.options.Waiting != nil {
			c.options.Waiting(failed.Message)
		}
		if err := wait(ctx, pause); err != nil {
			return code, errors.Join(failed, err)
		}
	}
}

func decode(answer []byte, out any) error {
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("read the worker's answer; is this a Kafka Connect REST API? %w", err)
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (c *Client) once(ctx context.Context, method, path string, body []byte) (code int, answer []byte, err error) {
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base.String()+path, reader)
	if err != nil {
		return 0, nil, fmt.Errorf("make the request: %w", err)
	}
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.options.Agent != "" {
		request.Header.Set("User-Agent", c.options.Agent)
	}
	switch {
	case c.options.Token != "":
		request.Header.Set("Authorization", "Bearer "+c.options.Token)
	case c.options.User != "":
		request.SetBasicAuth(c.options.User, c.options.Password)
	}
	response, err := c.http.Do(request)
	if err != nil {
		var where *url.Error
		if errors.As(err, &where) {
			err = where.Err
		}
		return 0, nil, &Unreachable{c.URL(), err}
	}
	defer response.Body.Close() //nolint:errcheck // read to its end
	answer, err = io.ReadAll(io.LimitReader(response.Body, answerLimit+1))
	if err != nil {
		return 0, nil, &Unreachable{c.URL(), fmt.Errorf("read the answer: %w", err)}
	}
	if len(answer) > answerLimit {
		return 0, nil, fmt.Errorf("the answer of %s is larger than %d MiB", c.URL(), answerLimit>>20)
	}
	return response.StatusCode, answer, nil
}

var title = regexp.MustCompile(`(?is)<title>(.*?)</title>`)

// message is what an answer that is not a success says: the API's JSON, the title of a page of the HTTP server, or a short text.
func message(answer []byte) string {
	var body struct {
		Message *string `json:"message"`
	}
	if json.Unmarshal(answer, &body) == nil && body.Message != nil {
		return *body.Message
	}
	if m := title.FindSubmatch(answer); m != nil {
		return strings.TrimSpace(string(m[1]))
	}
	text := strings.TrimSpace(string(answer))
	if strings.HasPrefix(text, "{") || strings.HasPrefix(text, "<") || len(text) > 500 {
		return ""
	}
	return text
}

// rebalancing tells answers that are different when the workers have settled (reference §1.3).
func rebalancing(e *Error) bool {
	switch e.Code {
	case http.StatusConflict:
		return strings.HasPrefix(e.Message, "Cannot complete request")
	case http.StatusInternalServerError:
		return strings.Contains(e.Message, "because a rebalance is expected")
	}
	return false
}

func query(path string, pairs ...any) string {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if on, isBool := pairs[i+1].(bool); isBool {
			q.Add(pairs[i].(string), strconv.FormatBool(on))
		} else {
			q.Add(pairs[i].(string), pairs[i+1].(string))
		}
	}
	return path + "?" + q.Encode()
}
