package connectortest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Gate passes connections on to a server, or holds back all that they carry. Safe for concurrent use.
type Gate struct {
	listener net.Listener
	upstream string

	mu   sync.Mutex
	open chan struct{} // closed: it passes on
	all  []net.Conn
	done bool
}

// NewGate returns an open gate to the address of a server; it is closed when the test ends.
func NewGate(t testing.TB, upstream string) *Gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &Gate{listener: l, upstream: upstream, open: make(chan struct{})}
	close(g.open)
	var running sync.WaitGroup
	running.Go(func() { g.accept(&running) })
	t.Cleanup(func() {
		_ = l.Close()
		g.mu.Lock()
		g.done = true
		for _, c := range g.all {
			_ = c.Close()
		}
		g.mu.Unlock()
		g.set(true)
		running.Wait()
	})
	return g
}

// Address is where clients connect to.
func (g *Gate) Address() string { return g.listener.Addr().String() }

// Stick holds back everything until release is called.
func (g *Gate) Stick() (release func()) {
	g.set(false)
	return func() { g.set(true) }
}

func (g *Gate) set(pass bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.open:
		if !pass {
			g.open = make(chan struct{})
		}
	default:
		if pass {
			close(g.open)
		}
	}
}

func (g *Gate) accept(running *sync.WaitGroup) {
	for {
		client, err := g.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", g.upstream)
		if err != nil {
			_ = client.Close()
			continue
		}
		g.mu.Lock()
		g.all = append(g.all, client, server)
		done := g.done
		g.mu.Unlock()
		if done {
			_, _ = client.Close(), server.Close()
			return
		}
		running.Go(func() { g.pass(server, client) })
		running.Go(func() { g.pass(client, server) })
	}
}

// pass copies from one connection to another while the gate is open.
func (g *Gate) pass(to, from net.Conn) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		g.mu.Lock()
		open := g.open
		g.mu.Unlock()
		<-open
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if err == io.EOF { //nolint:errorlint // as Read returns it
				if c, ok := to.(*net.TCPConn); ok {
					_ = c.CloseWrite()
				}
			}
			return
		}
	}
}
