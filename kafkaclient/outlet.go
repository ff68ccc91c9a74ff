package kafkaclient

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/IBM/sarama"
)

// outlets makes the connections of a session's brokers and lets produce requests pass by sarama's encoder, which copies
// the records twice and allocates them once more: sarama writes a request without topics, with its header, correlation id
// and place among the others, and the connection puts the topics in from the memory that they lie in.
type outlets struct {
	dialer net.Dialer
	tls    *tls.Config // nil: plain text

	mu sync.Mutex
	by map[string]*outlet // by address, as sarama's brokers have it
}

// outlet is what all connections to one address have in common.
type outlet struct {
	mu    sync.Mutex
	frame [][]byte        // of the produce request that the holder of mu is writing
	quit  <-chan struct{} // closed: nobody wants that request any more
	small []byte
}

func newOutlets() *outlets { return &outlets{by: map[string]*outlet{}} }

// dialFor makes sarama connect through the outlets. TLS is theirs, so that what sarama writes is seen in plain.
func (o *outlets) dialFor(conf *sarama.Config) {
	o.dialer = net.Dialer{Timeout: conf.Net.DialTimeout, KeepAlive: conf.Net.KeepAlive, LocalAddr: conf.Net.LocalAddr}
	if conf.Net.TLS.Enable {
		o.tls = conf.Net.TLS.Config
		conf.Net.TLS.Enable, conf.Net.TLS.Config = false, nil
	}
	conf.Net.Proxy.Enable, conf.Net.Proxy.Dialer = true, o
}

// Dial connects to a broker; sarama calls it.
func (o *outlets) Dial(network, address string) (net.Conn, error) {
	conn, err := o.dialer.Dial(network, address)
	if err != nil {
		return nil, err
	}
	if o.tls == nil {
		return &outletConn{conn, o.at(address)}, nil
	}
	config := o.tls
	if config.ServerName == "" {
		config = config.Clone()
		if config.ServerName, _, err = net.SplitHostPort(address); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("read broker address %s: %w", address, err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.dialer.Timeout)
	defer cancel()
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &outletConn{secure, o.at(address)}, nil
}

func (o *outlets) at(address string) *outlet {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.by[address]
	if a == nil {
		a = &outlet{}
		o.by[address] = a
	}
	return a
}

// errUnwanted: the producer was closed while its request waited for the connection.
var errUnwanted = errors.New("the producer is closed")

// produce sends req, which has no topics, with frame in the place of them. The frame may be used again when it returns. It may wait
// until a broker that is away is back: what nobody wants any more by then, for quit is closed, is not sent (I6).
func (o *outlets) produce(broker *sarama.Broker, req *sarama.ProduceRequest, frame [][]byte, quit <-chan struct{}, answered sarama.ProduceCallback) error {
	a := o.at(broker.Addr())
	a.mu.Lock()
	defer a.mu.Unlock()
	a.frame, a.quit = frame, quit
	defer func() { a.frame, a.quit = nil, nil }()
	return broker.AsyncProduce(req, answered) // writes before it returns
}

// outletConn is a connection to a broker as sarama sees it.
type outletConn struct {
	net.Conn
	outlet *outlet
}

const (
	requestHeader = 14       // size, key, version, correlation id, length of the client's name
	smallRequest  = 16 << 10 // up to here one copy is cheaper than several pieces
)

// Write implements net.Conn. sarama writes a request whole.
func (c *outletConn) Write(p []byte) (int, error) {
	// Only produce calls AsyncProduce, so whoever writes a produce request (key 0) holds the outlet.
	if len(p) < requestHeader || binary.BigEndian.Uint16(p[4:]) != 0 || c.outlet.frame == nil {
		return c.Conn.Write(p)
	}
	o := c.outlet
	select {
	case <-o.quit:
		return 0, errUnwanted
	default:
	}
	topics := len(p) - 4 // their number, 0, is the end of the request
	size := topics
	for _, b := range o.frame {
		size += len(b)
	}
	o.small = append(o.small[:0], p[:topics]...)
	binary.BigEndian.PutUint32(o.small, uint32(size-4))
	if size <= smallRequest {
		for _, b := range o.frame {
			o.small = append(o.small, b...)
		}
		if _, err := c.Conn.Write(o.small); err != nil {
			return 0, c.torn(err)
		}
		return len(p), nil
	}
	pieces := net.Buffers(append([][]byte{o.small}, o.frame...))
	if _, err := pieces.WriteTo(c.Conn); err != nil {
		return 0, c.torn(err)
	}
	return len(p), nil
}

// torn closes a connection on which a request may have been written in part: what another user of it wrote would end that
// request.
func (c *outletConn) torn(err error) error {
	_ = c.Conn.Close() // the error is the one to report
	return err
}

// appendFrame renders the topics of a produce request of version 3 to 8 (protocol guide, "Produce API"); the chunks are
// sealed, one per partition, and stay as they are until the frame has been written.
func appendFrame(out [][]byte, chunks []*chunk) [][]byte {
	chunks = slices.Clone(chunks)
	slices.SortStableFunc(chunks, func(a, b *chunk) int { return strings.Compare(a.part.topic.name, b.part.topic.name) })
	topics, room := 0, 4
	for i, c := range chunks {
		room += 8
		if i == 0 || chunks[i-1].part.topic != c.part.topic {
			topics++
			room += 2 + len(c.part.topic.name) + 4
		}
	}
	text := binary.BigEndian.AppendUint32(make([]byte, 0, room), uint32(topics))
	from := 0
	for i, c := range chunks {
		if t := c.part.topic; i == 0 || chunks[i-1].part.topic != t {
			n := 1
			for i+n < len(chunks) && chunks[i+n].part.topic == t {
				n++
			}
			text = append(binary.BigEndian.AppendUint16(text, uint16(len(t.name))), t.name...)
			text = binary.BigEndian.AppendUint32(text, uint32(n))
		}
		text = binary.BigEndian.AppendUint32(text, uint32(c.part.id))
		length := len(text)
		text = append(text, 0, 0, 0, 0)
		before := len(out) + 1
		out = c.appendWire(append(out, text[from:]))
		size := 0
		for _, b := range out[before:] {
			size += len(b)
		}
		binary.BigEndian.PutUint32(text[length:], uint32(size))
		from = len(text)
	}
	return out
}
