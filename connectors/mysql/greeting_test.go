package mysql

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// TestOtherServers points the connector at servers that are no MySQL: one that says nothing until it is asked, as a PostgreSQL does, is told
// apart by its answer, long before connect.timeout.ms.
func TestOtherServers(t *testing.T) {
	t.Parallel()
	host, port, err := net.SplitHostPort(bed.Postgres(t).Address())
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	cfg := parsed(t, Factory{}, plainConfig("database.hostname", host, "database.port", port, "connect.timeout.ms", "600000"))
	_, err = cfg.connect(t.Context())
	if err == nil || connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(err.Error(), "a PostgreSQL server listens there; check database.port") {
		t.Errorf("error %v after %s", err, time.Since(began))
	}
}

// TestSlowGreeting has a server that needs longer than others to begin, and one that ends the connection meanwhile.
func TestSlowGreeting(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan net.Conn, 4)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				close(asked)
				return
			}
			asked <- conn
		}
	}()
	defer func() { _ = listener.Close() }()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	cfg := parsed(t, Factory{}, plainConfig("database.hostname", "127.0.0.1", "database.port", port))
	failed := make(chan error, 1)
	go func() {
		_, err := cfg.connect(t.Context())
		failed <- err
	}()
	first, second := <-asked, <-asked // the connection, and the question
	if _, err := second.Write([]byte("J\x00\x00\x00\x0a9.7.4\x00")); err != nil {
		t.Fatal(err)
	}
	_ = first.Close()
	if err := <-failed; err == nil || strings.Contains(err.Error(), "PostgreSQL") || connectors.ClassOf(err) != connectors.Retriable {
		t.Errorf("error %v", err)
	}
	_ = second.Close()
}
