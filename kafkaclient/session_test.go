package kafkaclient

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
)

// Something that accepts connections and never answers shows only after the time limits of dial and read: the log tells earlier.
func TestServersThatNeverAnswerAreNamed(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var held []net.Conn
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			c, err := silent.Accept()
			if err != nil {
				return
			}
			held = append(held, c)
		}
	}()
	out, in := io.Pipe()
	pool := &Pool{Logger: slog.New(slog.NewTextHandler(in, nil))}
	cfg, err := Parse(map[string]string{"bootstrap.servers": silent.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		s, err := pool.Open(testContext(t), cfg)
		if err == nil {
			s.Close()
		}
		_ = in.CloseWithError(errors.New("the log ends"))
		ended <- err
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.Contains(line, "no Kafka broker has answered yet") || !strings.Contains(line, silent.Addr().String()) {
		t.Errorf("logged %q, %v", line, err)
	}
	_ = silent.Close() // nothing was written
	<-accepted
	for _, c := range held {
		_ = c.Close()
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "connect to Kafka at "+silent.Addr().String()) {
		t.Errorf("open: %v", err)
	}
}
