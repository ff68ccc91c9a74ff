package elasticsearch

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/tlsconfig"
)

// client sends requests to the nodes of a cluster in turn, and keeps away from one that could not be reached for a while. Safe for
// concurrent use.
type client struct {
	http   *http.Client
	nodes  []*node
	next   atomic.Uint32
	auth   string // header
	user   string
	answer time.Duration
}

type node struct {
	url   string // without a path, or with the prefix of a proxy
	name  string // for messages
	until atomic.Int64
}

const (
	avoidFor  = 5 * time.Second
	maxAnswer = 64 << 20
)

func newClient(cfg *config) (*client, error) {
	dialer := &net.Dialer{Timeout: cfg.dial, KeepAlive: 15 * time.Second}
	t := &http.Transport{
		DialContext: dialer.DialContext, MaxIdleConnsPerHost: cfg.lanes + 2, IdleConnTimeout: cfg.idle, DisableCompression: true,
		TLSHandshakeTimeout: cfg.dial, WriteBufferSize: 64 << 10, ReadBufferSize: 32 << 10,
	}
	if cfg.proxy != nil {
		t.Proxy = http.ProxyURL(cfg.proxy)
	}
	if cfg.tls != nil {
		var err error
		if t.TLSClientConfig, err = tlsconfig.Client(cfg.tls); err != nil {
			return nil, fmt.Errorf("read %s%w", keyTLS, err)
		}
	}
	c := &client{user: cfg.user, answer: cfg.answer, http: &http.Client{
		Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if cfg.user != "" {
		c.auth = "Basic " + base64.StdEncoding.EncodeToString([]byte(cfg.user+":"+cfg.password))
	}
	for _, u := range cfg.nodes {
		base := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
		c.nodes = append(c.nodes, &node{url: base.String(), name: u.Host})
	}
	return c, nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

// pick returns the node for the next request.
func (c *client) pick() *node {
	start := int(c.next.Add(1))
	now := time.Now().UnixNano()
	var best *node
	for i := range c.nodes {
		n := c.nodes[(start+i)%len(c.nodes)]
		if n.until.Load() <= now {
			return n
		}
		if best == nil || n.until.Load() < best.until.Load() {
			best = n
		}
	}
	return best
}

// request is one call.
type request struct {
	method, path string
	kind         string // of content
	encoding     string // of content
	body         io.Reader
	length       int64
}

// lent is a request's body whose memory is used again after the request: the transport may read on while there is an answer already.
type lent struct {
	io.Reader
	once sync.Once
	done chan struct{}
}

// Close implements io.Closer.
func (l *lent) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// send makes one attempt. into is reused for the answer. An error means that there is no answer.
func (c *client) send(ctx context.Context, r request, into []byte) (status int, answer []byte, err error) {
	if c.answer > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.answer)
		defer cancel()
	}
	n := c.pick()
	req, err := http.NewRequestWithContext(ctx, r.method, n.url+r.path, nil)
	if err != nil {
		return 0, into, connectors.AsPermanent(fmt.Errorf("make a request: %w", err))
	}
	if r.body != nil {
		lent := &lent{Reader: r.body, done: make(chan struct{})}
		defer func() { <-lent.done }() // after the answer's body is closed
		req.Body, req.ContentLength = lent, r.length
		req.Header.Set("Content-Type", r.kind)
		if r.encoding != "" {
			req.Header.Set("Content-Encoding", r.encoding)
		}
	}
	if c.auth != "" {
		req.Header.Set("Authorization", c.auth)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, into, c.unreachable(ctx, n, err)
	}
	defer func() { _ = resp.Body.Close() }()
	into, err = readAll(resp.Body, into[:0])
	if err != nil {
		return 0, into, c.unreachable(ctx, n, err)
	}
	return resp.StatusCode, into, nil
}

func readAll(r io.Reader, into []byte) ([]byte, error) {
	for {
		if len(into) == cap(into) {
			into = append(into, 0)[:len(into)]
		}
		n, err := r.Read(into[len(into):cap(into)])
		into = into[:len(into)+n]
		switch {
		case errors.Is(err, io.EOF):
			return into, nil
		case err != nil:
			return into, err
		case len(into) > maxAnswer:
			return into, errors.New("the answer is above 64 MiB")
		}
	}
}

// unreachable explains why there is no answer, without the URL, which may hold a password (I12).
func (c *client) unreachable(ctx context.Context, n *node, err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	n.until.Store(time.Now().Add(avoidFor).UnixNano())
	if dial := (*net.OpError)(nil); errors.As(err, &dial) && dial.Op == "dial" && dial.Timeout() {
		return fmt.Errorf("reach %s: no connection in time (%s); check %s, and firewalls on the way", n.name, keyConnect, keyURL)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s did not answer within %s (%s)", n.name, c.answer, keyRead)
	}
	return fmt.Errorf("reach %s: %w%s", n.name, unwrapped(err), reachAdvice(err))
}

// unwrapped leaves out what the resolver puts around a name that it does not find, and a dialer around the reason.
func unwrapped(err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return syscall.ECONNREFUSED
	}
	var name *net.DNSError
	if errors.As(err, &name) {
		return fmt.Errorf("the host name %s cannot be resolved", name.Name)
	}
	return err
}

// reachAdvice says what to do when a node gives no answer.
func reachAdvice(err error) string {
	text := err.Error()
	switch {
	case errors.As(err, new(*net.DNSError)):
		return "; check " + keyURL
	case errors.Is(err, syscall.ECONNREFUSED):
		return "; check " + keyURL + ", and that the server runs and listens there"
	case strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return "; the server has no TLS there: write http:// in " + keyURL
	case strings.Contains(text, "malformed HTTP"), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "; the server is starting or stopping, or something other than HTTP answers there, or HTTP with TLS (https://): check " + keyURL
	case strings.Contains(text, "tls:"), strings.Contains(text, "x509:"):
		return "; check " + keyTLS + "ssl.truststore.location"
	}
	return ""
}

// call sends a small request and decodes the answer into out (nil: it is not wanted). It makes one attempt; *refusal is an answer that
// is an error.
func (c *client) call(ctx context.Context, method, path string, in, out any) error {
	r := request{method: method, path: path}
	if in != nil {
		text, ok := in.([]byte)
		if !ok {
			var err error
			if text, err = json.Marshal(in); err != nil {
				return connectors.AsPermanent(fmt.Errorf("encode request: %w", err))
			}
		}
		r.body, r.length, r.kind = bytes.NewReader(text), int64(len(text)), "application/json"
	}
	status, answer, err := c.send(ctx, r, nil)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, pathOnly(path), err)
	}
	if status >= 300 {
		return fmt.Errorf("%s %s: %w", method, pathOnly(path), refused(status, answer, c.user))
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", method, pathOnly(path), err)
	}
	return nil
}

func pathOnly(path string) string {
	path, _, _ = strings.Cut(path, "?")
	return path
}

// refusal is an answer that says no.
type refusal struct {
	status int
	kind   string // error type of the server
	reason string
	advice string
}

// Error implements error.
func (r *refusal) Error() string {
	text := "the server answered " + strconv.Itoa(r.status)
	if r.kind != "" {
		text += " " + r.kind
	}
	if r.reason != "" {
		text += ": " + r.reason
	}
	if r.advice != "" {
		text += "; " + r.advice
	}
	return text
}

// refused reads an error answer and classes it.
func refused(status int, answer []byte, user string) error {
	var full struct {
		Error json.RawMessage `json:"error"`
	}
	r := &refusal{status: status}
	if json.Unmarshal(answer, &full) == nil && full.Error != nil {
		var cause failureCause
		if json.Unmarshal(full.Error, &cause) == nil {
			r.kind, r.reason = cause.Type, cause.text()
		} else {
			_ = json.Unmarshal(full.Error, &r.reason)
		}
	} else {
		r.reason = shorten(strings.TrimSpace(string(answer)), 200)
	}
	switch {
	case status == http.StatusUnauthorized:
		r.advice = "check " + keyUser + " and " + keyPassword
		return connectors.AsPermanent(r)
	case status == http.StatusForbidden && r.kind != blockException:
		r.advice = "give user " + user + " the privileges monitor on the cluster and create_index, manage, view_index_metadata, index, create and delete on the indices"
		return connectors.AsPermanent(r)
	case transient(status, r.kind):
		return r
	}
	return connectors.AsPermanent(r)
}

const blockException = "cluster_block_exception"

// transient tells answers that another attempt may change.
func transient(status int, kind string) bool {
	return status == http.StatusTooManyRequests || status >= 500 || status == http.StatusRequestTimeout || kind == blockException
}

func statusOf(err error) int {
	var r *refusal
	if errors.As(err, &r) {
		return r.status
	}
	return 0
}

// failureCause is an error as the server describes it.
type failureCause struct {
	Type     string        `json:"type"`
	Reason   string        `json:"reason"`
	CausedBy *failureCause `json:"caused_by"`
}

func (f *failureCause) text() string {
	text := f.Reason
	for c := f.CausedBy; c != nil; c = c.CausedBy {
		if c.Reason != "" && !strings.Contains(text, c.Reason) {
			text += ": " + c.Reason
		}
	}
	text, _, _ = strings.Cut(text, "\n at [Source:") // the document follows
	return shorten(text, 1000)
}

func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// server is what a cluster says of itself.
type server struct {
	Name    string `json:"name"`
	Version struct {
		Number       string `json:"number"`
		Distribution string `json:"distribution"`
		Flavor       string `json:"build_flavor"`
	} `json:"version"`
}

func (s *server) product() string {
	if s.Version.Distribution == "opensearch" {
		return "OpenSearch"
	}
	return "Elasticsearch"
}

// hello asks who answers and whether this sink can talk to it.
func (c *client) hello(ctx context.Context) (*server, error) {
	var s server
	if err := c.call(ctx, http.MethodGet, "/", nil, &s); err != nil {
		var syntax *json.SyntaxError
		if status := statusOf(err); status == http.StatusNotFound || errors.As(err, &syntax) {
			return nil, connectors.AsPermanent(fmt.Errorf("find Elasticsearch or OpenSearch at %s: something else answers there; check %s: %w", c.nodes[0].name, keyURL, err))
		}
		return nil, fmt.Errorf("connect to Elasticsearch: %w", err)
	}
	major, _, _ := strings.Cut(s.Version.Number, ".")
	n, err := strconv.Atoi(major)
	if err != nil || s.product() == "Elasticsearch" && n < 7 {
		return nil, connectors.AsPermanent(fmt.Errorf("connect to %s: version %q cannot be written to; Elasticsearch 7 to 9 and OpenSearch 1 to 3 can", s.product(), s.Version.Number))
	}
	return &s, nil
}
