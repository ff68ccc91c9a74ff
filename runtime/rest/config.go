package rest

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/freshet-io/freshet/runtime/workerconfig"
	"github.com/freshet-io/freshet/tlsconfig"
)

// Config is what the worker's properties say of the REST API (reference §1.7, §1.8). The zero Config listens nowhere, and asks
// nobody for a password.
type Config struct {
	listeners []listener
	// admin are the listeners of /admin/loggers alone. With adminApart the others do not serve it: admin.listeners is set,
	// perhaps to nothing.
	admin      []listener
	adminApart bool
	worker     *workerconfig.Config

	clientTLS *tls.Config // of requests to other workers
	cors      cors
	rules     []headerRule
	users     map[string][32]byte // digests of passwords; nil: no basic authentication
	oidc      oidcConfig
}

// listener is one address to listen at; tls nil is plain HTTP.
type listener struct {
	workerconfig.Listener
	tls *tls.Config
}

// Configure reads the keys of the REST API. env reads the environment (os.Getenv).
func Configure(w *workerconfig.Config, env func(string) string) (Config, error) {
	c := Config{worker: w, cors: readCORS(w), oidc: readOIDC(w)}
	var err error
	if c.listeners, err = withTLS(w, w.Listeners(), false); err != nil {
		return c, err
	}
	admin, beside := w.AdminListeners()
	c.adminApart = !beside
	if c.admin, err = withTLS(w, admin, true); err != nil {
		return c, err
	}
	for _, l := range c.listeners {
		if l.tls != nil {
			if c.clientTLS, err = tlsconfig.Client(w.ListenerTLS(false)); err != nil {
				return c, fmt.Errorf("requests to other workers: %w", err)
			}
		}
	}
	if c.rules, err = readRules(w.String("response.http.headers.config")); err != nil {
		return c, fmt.Errorf("worker key response.http.headers.config: %w", err)
	}
	c.users, err = readUsers(w, env)
	return c, err
}

func withTLS(w *workerconfig.Config, from []workerconfig.Listener, admin bool) ([]listener, error) {
	var out []listener
	for _, l := range from {
		with := listener{Listener: l}
		if l.Protocol == "https" {
			var err error
			if with.tls, err = tlsconfig.Server(w.ListenerTLS(admin)); err != nil {
				return nil, fmt.Errorf("listener https://%s: %w", l.Address(), err)
			}
		}
		out = append(out, with)
	}
	return out, nil
}

// client makes requests to other workers. It follows no redirects: a request carries credentials.
func (c *Config) client() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:     c.clientTLS,
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSHandshakeTimeout: 10 * time.Second,
			MaxIdleConnsPerHost: 4,
			IdleConnTimeout:     30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
