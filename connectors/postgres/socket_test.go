package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// pair returns a socket and what is at its other end.
func pair(t *testing.T) (*socket, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = client.Close(), far.Close() })
	return newSocket(client), far
}

// TestLowWaterNeverStallsTheTail sends floods that set the mark, each followed by bytes that trickle.
func TestLowWaterNeverStallsTheTail(t *testing.T) {
	s, far := pair(t)
	got := make(chan byte, 1<<20)
	go func() {
		defer close(got)
		buf := make([]byte, readBuffer)
		for {
			n, err := s.Read(buf)
			for _, b := range buf[:n] {
				if b != 0 {
					got <- b
				}
			}
			if err != nil {
				return
			}
		}
	}()
	marker := byte(1)
	expect := func() {
		t.Helper()
		select {
		case b := <-got:
			if b != marker {
				t.Fatalf("byte %d, want %d", b, marker)
			}
			marker = marker%100 + 1
		case <-time.After(time.Minute):
			t.Fatal("the tail was held back")
		}
	}
	for range 3 {
		small := make([]byte, 300)
		for range 20000 { // far more than fastReads in fastWindow
			if _, err := far.Write(small); err != nil {
				t.Fatal(err)
			}
		}
		for range 20 {
			if _, err := far.Write([]byte{marker}); err != nil {
				t.Fatal(err)
			}
			expect()
		}
	}
	_ = far.Close()
	if _, open := <-got; open {
		t.Error("bytes after the end")
	}
}

func TestSocketReadNow(t *testing.T) {
	s, far := pair(t)
	buf := make([]byte, 10)
	s.nowait = true
	if n, err := s.Read(buf); n != 0 || !errors.Is(err, errWouldBlock) {
		t.Fatalf("read from an empty socket: %d, %v", n, err)
	}
	if _, err := far.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	for {
		n, err := s.Read(buf)
		if errors.Is(err, errWouldBlock) {
			continue
		}
		if n != 3 || err != nil {
			t.Fatalf("read: %d, %v", n, err)
		}
		break
	}
	_ = far.Close()
	for {
		_, err := s.Read(buf)
		if errors.Is(err, errWouldBlock) {
			continue
		}
		if !errors.Is(err, io.EOF) {
			t.Fatalf("read from a closed socket: %v", err)
		}
		break
	}
}

func TestSocketInterrupt(t *testing.T) {
	for _, marked := range []bool{false, true} {
		s, far := pair(t)
		s.marked = marked && setLowWater(s.raw, lowWaterMark)
		ctx, cancel := context.WithCancel(t.Context())
		stop := context.AfterFunc(ctx, s.interrupt)
		go cancel()
		if _, err := s.Read(make([]byte, 1)); !os.IsTimeout(err) {
			t.Fatalf("interrupted read: %v", err)
		}
		stop()
		s.proceed()
		if _, err := far.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		if n, err := s.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Fatalf("read after it: %d, %v", n, err)
		}
	}
}
