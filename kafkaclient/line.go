package kafkaclient

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/IBM/sarama"
)

// line is a connection to a broker that sarama opens, TLS and login included, and whose requests are our own from then on: fetches,
// whose answers are read from it as there is room for them. It belongs to one goroutine, and ends with its context.
type line struct {
	broker  *sarama.Broker
	conn    net.Conn
	client  string // client.id
	version int16  // of fetch requests, at most
	patience,
	writes time.Duration // for how long it may be silent, and not take what is sent
	in   *bufio.Reader
	sent int32 // requests: the correlation id of the next one
	got  int32
	buf  []byte
	stop func() bool
}

const (
	fetchKey      = 1
	fetchFlexible = 12 // by names of topics (Kafka 2.7)
	fetchByID     = 13 // by their ids (Kafka 3.1)
	headerPiece   = 32 << 10
)

// caught is a dialer of sarama that remembers its connection.
type caught struct {
	outlets *outlets
	conn    net.Conn
}

// Dial implements proxy.Dialer.
func (c *caught) Dial(network, address string) (net.Conn, error) {
	conn, err := c.outlets.Dial(network, address)
	c.conn = conn
	return conn, err
}

// openLine connects to a broker.
func openLine(ctx context.Context, outlets *outlets, conf *sarama.Config, address string) (*line, error) {
	return wait(ctx, func() (*line, error) {
		c := *conf
		c.Net.TLS.Enable, c.Net.TLS.Config = false, nil // the outlets'
		dialer := &caught{outlets: outlets}
		c.Net.Proxy.Enable, c.Net.Proxy.Dialer = true, dialer
		l := &line{broker: sarama.NewBroker(address), client: c.ClientID, patience: c.Consumer.MaxWaitTime + c.Net.ReadTimeout, writes: c.Net.WriteTimeout}
		if err := l.broker.Open(&c); err != nil {
			return nil, err
		}
		if _, err := l.broker.Connected(); err != nil { // waits for the login
			return nil, err
		}
		versions, err := l.broker.ApiVersions(&sarama.ApiVersionsRequest{Version: 3, ClientSoftwareName: "freshet", ClientSoftwareVersion: "1"})
		if err != nil {
			_ = l.broker.Close() // the error is the one to report
			return nil, err
		}
		for _, k := range versions.ApiKeys {
			if k.ApiKey == fetchKey {
				l.version = min(k.MaxVersion, fetchByID)
			}
		}
		if l.version < fetchFlexible {
			_ = l.broker.Close() // the error is the one to report
			return nil, fmt.Errorf("the broker at %s is older than Kafka 2.7: it has no fetch requests of version %d", address, fetchFlexible)
		}
		l.conn = dialer.conn
		l.in = bufio.NewReaderSize(patient{l}, headerPiece)
		l.stop = context.AfterFunc(ctx, l.cut)
		return l, nil
	})
}

// cut ends whatever waits for the connection.
func (l *line) cut() {
	_ = l.conn.Close()   // sarama sees it as closed by the broker
	_ = l.broker.Close() // it may be closed already
}

// close gives the connection up.
func (l *line) close() {
	if l.stop() {
		l.cut()
	}
}

// patient reads from the connection, which may be silent for so long.
type patient struct{ l *line }

func (p patient) Read(b []byte) (int, error) {
	if err := p.l.conn.SetReadDeadline(time.Now().Add(p.l.patience)); err != nil {
		return 0, err
	}
	return p.l.conn.Read(b)
}

// request asks for these partitions, in this order; byID: topics have ids in the answer.
func (l *line) request(conf *sarama.Config, parts []*readPart) (byID bool, err error) {
	version := l.version
	for _, p := range parts {
		if p.ID == ([16]byte{}) {
			version = fetchFlexible
		}
	}
	w := append(l.buf[:0], 0, 0, 0, 0)
	w = binary.BigEndian.AppendUint16(w, fetchKey)
	w = binary.BigEndian.AppendUint16(w, uint16(version))
	w = binary.BigEndian.AppendUint32(w, uint32(l.sent))
	w = binary.BigEndian.AppendUint16(w, uint16(len(l.client)))
	w = append(append(w, l.client...), 0)
	w = binary.BigEndian.AppendUint32(w, 0xffffffff) // no replica
	w = binary.BigEndian.AppendUint32(w, uint32(conf.Consumer.MaxWaitTime.Milliseconds()))
	w = binary.BigEndian.AppendUint32(w, uint32(conf.Consumer.Fetch.Min))
	w = binary.BigEndian.AppendUint32(w, uint32(conf.Consumer.Fetch.MaxBytes))
	w = append(w, byte(conf.Consumer.IsolationLevel))
	w = binary.BigEndian.AppendUint32(w, 0)          // no session
	w = binary.BigEndian.AppendUint32(w, 0xffffffff) // epoch of it
	topics := 0
	for i, p := range parts {
		if i == 0 || !parts[i-1].sameTopic(p) {
			topics++
		}
	}
	w = binary.AppendUvarint(w, uint64(topics+1))
	for i, n := 0, 0; i < len(parts); i = n {
		for n = i + 1; n < len(parts) && parts[n].sameTopic(parts[i]); n++ {
		}
		if version >= fetchByID {
			w = append(w, parts[i].ID[:]...)
		} else {
			w = append(binary.AppendUvarint(w, uint64(len(parts[i].Topic)+1)), parts[i].Topic...)
		}
		w = binary.AppendUvarint(w, uint64(n-i+1))
		for _, p := range parts[i:n] {
			w = binary.BigEndian.AppendUint32(w, uint32(p.Partition))
			w = binary.BigEndian.AppendUint32(w, uint32(p.epoch))
			w = binary.BigEndian.AppendUint64(w, uint64(p.Next))
			w = binary.BigEndian.AppendUint32(w, 0xffffffff)         // epoch of the record before: it is not remembered
			w = binary.BigEndian.AppendUint64(w, 0xffffffffffffffff) // start of a follower's log
			w = binary.BigEndian.AppendUint32(w, uint32(p.bytes))
			w = append(w, 0)
		}
		w = append(w, 0)
	}
	w = append(w, 1) // no forgotten topics
	w = append(binary.AppendUvarint(w, uint64(len(conf.RackID)+1)), conf.RackID...)
	w = append(w, 0)
	binary.BigEndian.PutUint32(w, uint32(len(w)-4))
	l.buf = w
	if err := l.conn.SetWriteDeadline(time.Now().Add(l.writes)); err != nil {
		return false, fmt.Errorf("send a fetch request: %w", err)
	}
	if _, err := l.conn.Write(w); err != nil {
		return false, fmt.Errorf("send a fetch request: %w", err)
	}
	l.sent++
	return version >= fetchByID, nil
}

// answer is a fetch answer that is being read. After an error its values are zero.
type answer struct {
	line       *line
	byID       bool
	left       int // bytes
	topics     int // that were not begun
	partitions int // of the topic at hand
	topic      string
	id         [16]byte
	done       bool
	err        error
	tmp        [8]byte
}

// partAnswer is what an answer has of a partition, before its records.
type partAnswer struct {
	partition int32
	err       sarama.KError
	aborted   []abortedTransaction
	replica   int32
	records   int // bytes that follow
}

// answer begins to read the answer to the oldest request. A broker that throttles does not take the next one before it is time.
func (l *line) answer(byID bool) (*answer, error) {
	a := &answer{line: l, byID: byID, left: 4}
	size := a.uint32()
	a.left = int(int32(size))
	if id := a.uint32(); a.err == nil && id != uint32(l.got) {
		return nil, fmt.Errorf("read a fetch answer: it is number %d, not %d", id, l.got)
	}
	l.got++
	a.tags()
	a.uint32() // throttle time
	code := sarama.KError(int16(a.uint16()))
	a.uint32() // session
	a.topics = a.count()
	if a.err == nil && code != sarama.ErrNoError {
		return nil, code
	}
	return a, a.err
}

// next reads up to the records of the next partition; false: there is none, or an error.
func (a *answer) next(p *partAnswer) bool {
	for a.partitions == 0 {
		if a.topics == 0 || a.err != nil {
			return false
		}
		a.topics--
		if a.byID {
			a.full(a.id[:])
		} else {
			name := make([]byte, min(a.count(), 1<<15))
			a.full(name)
			a.topic = string(name)
		}
		if a.partitions = a.count(); a.partitions == 0 {
			a.tags()
		}
	}
	a.partitions--
	p.partition = int32(a.uint32())
	p.err = sarama.KError(int16(a.uint16()))
	a.skip(24) // high watermark, last stable offset, start of the log
	p.aborted = nil
	for n := a.count(); n > 0 && a.err == nil; n-- {
		p.aborted = append(p.aborted, abortedTransaction{int64(a.uint64()), int64(a.uint64())})
		a.tags()
	}
	p.replica = int32(a.uint32())
	p.records = a.count()
	if p.records > a.left && a.err == nil {
		a.err = errors.New("read a fetch answer: its records are longer than itself")
	}
	return a.err == nil
}

// over reads what follows the records of a partition; last: it was the last one.
func (a *answer) over() (last bool) {
	a.tags()
	if a.partitions > 0 {
		return false
	}
	a.tags()
	if a.topics > 0 {
		return false
	}
	a.end()
	return true
}

// end reads what follows all topics.
func (a *answer) end() {
	a.tags()
	a.done = true
	if a.err == nil && a.left != 0 {
		a.err = fmt.Errorf("read a fetch answer: %d bytes are left over", a.left)
	}
}

func (a *answer) full(b []byte) {
	if a.err == nil && len(b) > a.left {
		a.err = errors.New("read a fetch answer: it is cut off")
	}
	if a.err != nil {
		clear(b)
		return
	}
	n, err := io.ReadFull(a.line.in, b)
	a.left -= n
	if err != nil {
		clear(b)
		a.err = fmt.Errorf("read a fetch answer: %w", err)
	}
}

func (a *answer) skip(n int) {
	if a.err == nil && (n < 0 || n > a.left) {
		a.err = errors.New("read a fetch answer: it is cut off")
	}
	if a.err != nil {
		return
	}
	n, err := a.line.in.Discard(n)
	a.left -= n
	if err != nil {
		a.err = fmt.Errorf("read a fetch answer: %w", err)
	}
}

func (a *answer) uint16() uint16 {
	b := a.tmp[:2]
	a.full(b)
	return binary.BigEndian.Uint16(b)
}

func (a *answer) uint32() uint32 {
	b := a.tmp[:4]
	a.full(b)
	return binary.BigEndian.Uint32(b)
}

func (a *answer) uint64() uint64 {
	b := a.tmp[:8]
	a.full(b)
	return binary.BigEndian.Uint64(b)
}

func (a *answer) uvarint() (v uint64) {
	for shift := 0; shift < 35; shift += 7 {
		b := a.tmp[:1]
		a.full(b)
		v |= uint64(b[0]&0x7f) << shift
		if b[0] < 0x80 {
			return v
		}
	}
	if a.err == nil {
		a.err = errors.New("read a fetch answer: a length has no end")
	}
	return 0
}

// count reads the length of an array or of bytes; null counts as none.
func (a *answer) count() int {
	n := int(a.uvarint()) - 1
	if n > a.left && a.err == nil {
		a.err = errors.New("read a fetch answer: it is cut off")
	}
	if a.err != nil {
		return 0
	}
	return max(n, 0)
}

// tags passes over fields of later versions.
func (a *answer) tags() {
	for n := a.uvarint(); n > 0 && a.err == nil; n-- {
		a.uvarint()
		a.skip(int(a.uvarint()))
	}
}
