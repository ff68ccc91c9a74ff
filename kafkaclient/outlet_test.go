package kafkaclient

import (
	"errors"
	"net"
	"testing"
)

type countingConn struct {
	net.Conn
	written int
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.written += len(p)
	return len(p), nil
}

// A produce request that waited for its connection is not sent after the producer was closed: others may own its topics by then.
func TestRequestOfAClosedProducerIsNotSent(t *testing.T) {
	request := make([]byte, requestHeader+8) // key 0: produce; ends in the number of topics
	quit := make(chan struct{})
	under := &countingConn{}
	c := &outletConn{under, &outlet{frame: [][]byte{{0, 0, 0, 0}}, quit: quit}}
	if n, err := c.Write(request); n != len(request) || err != nil || under.written != len(request) {
		t.Fatalf("while it is open: %d of %d bytes, %v", n, under.written, err)
	}
	close(quit)
	if _, err := c.Write(request); !errors.Is(err, errUnwanted) || under.written != len(request) {
		t.Errorf("after its end: %v, %d bytes written", err, under.written)
	}
}
