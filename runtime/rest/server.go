package rest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/freshet-io/freshet/runtime/workerconfig"
)

const (
	headerTimeout   = 10 * time.Second // for a client to send its headers
	idleTimeout     = 90 * time.Second
	maxHeader       = 64 << 10 // bytes
	shutdownTimeout = 60 * time.Second
)

// Server is the listeners of a worker.
type Server struct {
	// URL is what other workers are told; ID, host:port of it, is the worker's name in statuses.
	URL, ID string

	config Config
	bound  []bound
}

type bound struct {
	net.Listener
	main, admin bool
}

// Listen opens the listeners of the configuration. The caller serves, or closes, what it returns.
func Listen(c Config) (*Server, error) {
	s := &Server{config: c}
	ports := map[workerconfig.Listener]int{}
	open := func(list []listener, main, admin bool) error {
		for _, l := range list {
			socket, err := net.Listen("tcp", l.Address())
			if err != nil {
				return fmt.Errorf("listen at %s://%s for the REST API (worker key %s): %w", l.Protocol, l.Address(), workerconfig.KeyListeners, err)
			}
			if a, ok := socket.Addr().(*net.TCPAddr); ok {
				ports[l.Listener] = a.Port
			}
			if l.tls != nil {
				socket = tls.NewListener(socket, l.tls)
			} else {
				socket = plain{socket}
			}
			s.bound = append(s.bound, bound{socket, main, admin})
		}
		return nil
	}
	err := open(c.listeners, true, !c.adminApart)
	if err == nil {
		err = open(c.admin, false, true)
	}
	if err == nil {
		var own []workerconfig.Listener
		for _, l := range c.listeners {
			own = append(own, l.Listener)
		}
		s.URL, s.ID, err = c.worker.Advertised(own, func(l workerconfig.Listener) int { return ports[l] })
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close closes the listeners of a server that is not serving.
func (s *Server) Close() error {
	var errs []error
	for _, b := range s.bound {
		if err := b.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close listener %s: %w", b.Addr(), err))
		}
	}
	return errors.Join(errs...)
}

// Serve answers requests until ctx ends; then it takes no more and waits, at most a minute, for those that it has.
func (s *Server) Serve(ctx context.Context, h Herder, o Options) error {
	api := NewAPI(h, s.config, o)
	defer api.client.CloseIdleConnections()
	ended := make(chan error, len(s.bound))
	var servers []*http.Server
	for _, b := range s.bound {
		server := &http.Server{
			Handler:           api.Handler(b.main, b.admin),
			ReadHeaderTimeout: headerTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeader,
			ErrorLog:          slog.NewLogLogger(api.options.Logger.Handler(), slog.LevelDebug), // failed TLS handshakes and the like
			// OPTIONS * is an unknown path, as any other.
			DisableGeneralOptionsHandler: true,
		}
		servers = append(servers, server)
		go func() { ended <- server.Serve(b.Listener) }()
	}
	var errs []error
	left := len(servers)
	select {
	case <-ctx.Done():
	case err := <-ended:
		errs = append(errs, fmt.Errorf("serve the REST API: %w", err))
		left--
	}
	grace, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	for _, server := range servers {
		if err := server.Shutdown(grace); err != nil {
			errs = append(errs, fmt.Errorf("end requests to the REST API: %w", err), server.Close())
		}
	}
	for range left {
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			errs = append(errs, fmt.Errorf("serve the REST API: %w", err))
		}
	}
	return errors.Join(errs...)
}

// plain is a listener without TLS. What net/http itself answers to a request that it cannot read is replaced with the page
// that the reference's server sends.
type plain struct{ net.Listener }

func (l plain) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // net/http looks at it
	}
	return plainConn{c}, nil
}

type plainConn struct{ net.Conn }

// unreadable is how net/http begins that answer; none of the API's looks like it.
var unreadable = []byte("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")

func (c plainConn) Write(p []byte) (int, error) {
	if !bytes.HasPrefix(p, unreadable) {
		return c.Conn.Write(p) //nolint:wrapcheck // net/http looks at it
	}
	page := (&badPath{"/badMessage", "Bad Request"}).page()
	_, err := fmt.Fprintf(c.Conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", pageType, len(page), page)
	if err != nil {
		return 0, err //nolint:wrapcheck // net/http looks at it
	}
	return len(p), nil
}
