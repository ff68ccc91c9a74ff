package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/tlsconfig"
)

const maxAnswer = 16 << 20 // bytes

// transport sends each request to the first address that answers, with credentials and headers. Every address is one of the
// registry's; requests come with the first one's.
type transport struct {
	addresses []*url.URL
	current   atomic.Uint32
	headers   http.Header
	user      *url.Userinfo // nil: that of the address
	token     string
	normalize bool
	timeout   time.Duration
	below     *http.Transport
}

func newTransport(v connectors.Values, c connectors.Config) (*transport, error) {
	t := &transport{headers: http.Header{}, normalize: v.Bool(keyNormalize), timeout: time.Duration(v.Int(keyRead)) * time.Millisecond}
	for _, s := range v.List(keyURL) {
		u, err := url.Parse(strings.TrimRight(s, "/"))
		if err != nil {
			return nil, errors.New("read schema.registry.url: it is not an address") // the cause would show its password
		}
		t.addresses = append(t.addresses, u)
	}
	if len(t.addresses) == 0 {
		return nil, errors.New("read schema.registry.url: name at least one registry")
	}
	if v.Bool(keyRandom) {
		t.current.Store(uint32(time.Now().UnixNano()>>10) % uint32(len(t.addresses)))
	}
	if v.Enum(keyBasic) == "user_info" {
		info := v.String(keyOldUserInfo)
		if info == "" {
			info = v.String(keyUserInfo)
		}
		name, password, ok := strings.Cut(info, ":")
		if !ok {
			return nil, errors.New("read basic.auth.user.info: with basic.auth.credentials.source=USER_INFO it is user:password")
		}
		t.user = url.UserPassword(name, password)
	}
	t.token = v.String(keyToken)
	for _, name := range v.Family(prefixHeader) {
		t.headers.Set(strings.TrimPrefix(name, prefixHeader), c[name])
	}
	props := map[string]string{}
	for name, value := range c {
		if rest, ok := strings.CutPrefix(name, prefixTLS); ok && strings.HasPrefix(rest, "ssl.") {
			props[rest] = value
		}
	}
	secure, err := tlsconfig.Client(props)
	if err != nil {
		return nil, fmt.Errorf("read schema.registry.%w", err)
	}
	dial := &net.Dialer{Timeout: time.Duration(v.Int(keyConnect)) * time.Millisecond}
	t.below = &http.Transport{TLSClientConfig: secure, DialContext: dial.DialContext, ForceAttemptHTTP2: true, IdleConnTimeout: 30 * time.Second, MaxIdleConns: 2}
	if host := v.String(keyProxyHost); host != "" {
		t.below.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: net.JoinHostPort(host, strconv.FormatInt(v.Int(keyProxyPort), 10))})
	}
	return t, nil
}

// base is the address that requests are made with.
func (t *transport) base() string {
	u := *t.addresses[0]
	u.User = nil
	return u.String()
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		if err = errors.Join(err, r.Body.Close()); err != nil {
			return nil, err
		}
	}
	path := strings.TrimPrefix(r.URL.EscapedPath(), t.addresses[0].EscapedPath())
	var failed error
	for range t.addresses {
		at := t.current.Load() % uint32(len(t.addresses))
		resp, err := t.send(r, body, t.addresses[at], path)
		if err == nil && resp.StatusCode < 500 {
			return resp, nil
		}
		if err == nil {
			err = fmt.Errorf("%s answers %s", t.addresses[at].Host, resp.Status)
		}
		failed = errors.Join(failed, err)
		t.current.CompareAndSwap(at, (at+1)%uint32(len(t.addresses)))
		if r.Context().Err() != nil {
			break
		}
	}
	return nil, &unanswered{failed}
}

// unanswered tells that no registry gave an answer that says anything about the request.
type unanswered struct{ error }

func (u *unanswered) Unwrap() error { return u.error }

func (t *transport) send(r *http.Request, body []byte, to *url.URL, path string) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(r.Context(), t.timeout)
	defer cancel()
	out := r.Clone(ctx)
	u := *to
	u.User = nil
	u.Path, u.RawPath, u.RawQuery = to.Path, "", r.URL.RawQuery
	full := u.EscapedPath() + path
	u.Path, _ = url.PathUnescape(full)
	u.RawPath = full
	if t.normalize && r.Method == http.MethodPost && strings.HasPrefix(path, "/subjects/") {
		u.RawQuery = "normalize=true"
	}
	out.URL, out.Host = &u, u.Host
	out.Body = nil
	if body != nil {
		out.Body = io.NopCloser(bytes.NewReader(body))
		out.ContentLength = int64(len(body))
	}
	for name, values := range t.headers {
		out.Header[name] = values
	}
	user := t.user
	if user == nil {
		user = to.User
	}
	switch {
	case t.token != "":
		out.Header.Set("Authorization", "Bearer "+t.token)
	case user != nil:
		password, _ := user.Password()
		out.SetBasicAuth(user.Username(), password)
	}
	out.Header.Set("Accept", "application/vnd.schemaregistry.v1+json, application/vnd.schemaregistry+json, application/json")
	resp, err := t.below.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	if len(answer) > maxAnswer {
		return nil, fmt.Errorf("the answer of %s is longer than %d bytes", to.Host, maxAnswer)
	}
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusRequestTimeout {
		return nil, fmt.Errorf("%s answers %s", to.Host, resp.Status)
	}
	if resp.StatusCode >= 300 {
		answer = explained(resp.StatusCode, answer)
	}
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	return resp, nil
}

// explained makes the answer of a proxy, or of a registry of another make, look like a registry's error.
func explained(status int, body []byte) []byte {
	var said struct {
		Code    int    `json:"error_code"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(body, &said); err != nil || said.Code == 0 {
		said.Code = status
		if said.Message == "" {
			said.Message = http.StatusText(status)
		}
	}
	out, _ := json.Marshal(said) // numbers and text
	return out
}
