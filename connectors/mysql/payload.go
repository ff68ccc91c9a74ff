package mysql

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/klauspost/compress/zstd"
)

// The fields of TRANSACTION_PAYLOAD: each has a type, a length and a value, all packed integers.
const (
	payloadEnd         = 0
	payloadCompression = 2
	payloadZstd        = 0
	payloadPlain       = 255
	// payloadWindow bounds what the decoder remembers of a payload, whose size has no bound (I5).
	payloadWindow = 128 << 20
)

// payload reads the events inside a compressed transaction one at a time; an event is valid until the next one is read.
type payload struct {
	source bytes.Reader
	zip    *zstd.Decoder
	in     io.Reader
	header [replication.EventHeaderSize]byte
	body   []byte
	outer  logEvent
	event  logEvent
}

// open begins to read a compressed transaction. All of its events have the position of this one.
func (s *stream) open(e *logEvent) error {
	p := s.unpacker
	if p == nil {
		p = &payload{}
	}
	if err := p.reset(e); err != nil {
		return badEvent("TRANSACTION_PAYLOAD", err)
	}
	s.unpacker, s.payload = p, p
	return nil
}

func (p *payload) reset(e *logEvent) error {
	c := cursor{data: e.body}
	kind := uint64(payloadZstd)
	for {
		field := c.packed()
		if c.short {
			return errShortControl
		}
		if field == payloadEnd {
			break
		}
		value := cursor{data: c.take(c.packed())}
		if c.short {
			return errShortControl
		}
		if field == payloadCompression {
			kind = value.packed()
		}
	}
	p.outer = *e
	p.source.Reset(c.data)
	switch kind {
	case payloadPlain:
		p.in = &p.source
	case payloadZstd:
		var err error
		if p.zip == nil {
			p.zip, err = zstd.NewReader(&p.source, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(payloadWindow))
		} else {
			err = p.zip.Reset(&p.source)
		}
		if err != nil {
			return err
		}
		p.in = p.zip
	default:
		return fmt.Errorf("compression type %d is not known", kind)
	}
	return nil
}

// next returns the next event, nil at the end.
func (p *payload) next() (*logEvent, error) {
	if _, err := io.ReadFull(p.in, p.header[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, badEvent("TRANSACTION_PAYLOAD", err)
	}
	var h replication.EventHeader
	if err := h.Decode(p.header[:]); err != nil {
		return nil, badEvent("TRANSACTION_PAYLOAD", err)
	}
	size := int64(binary.LittleEndian.Uint32(p.header[9:])) - replication.EventHeaderSize
	if size < 0 {
		return nil, badEvent("TRANSACTION_PAYLOAD", errShortControl)
	}
	if err := p.read(size); err != nil {
		return nil, badEvent("TRANSACTION_PAYLOAD", err)
	}
	p.event = logEvent{kind: h.EventType, flags: h.Flags, time: h.Timestamp, server: h.ServerID, size: h.EventSize, at: p.outer.at, body: p.body}
	return &p.event, nil
}

// read fills body with the next n bytes; it grows with what there is, whatever n claims.
func (p *payload) read(n int64) error {
	const step = 1 << 20
	p.body = p.body[:0]
	for n > 0 {
		part := int(min(n, step))
		at := len(p.body)
		if cap(p.body)-at < part {
			p.body = append(p.body[:cap(p.body)], make([]byte, at+part-cap(p.body))...)
		}
		p.body = p.body[:at+part]
		if _, err := io.ReadFull(p.in, p.body[at:]); err != nil {
			return err
		}
		n -= int64(part)
	}
	return nil
}

// close gives the decoder back.
func (p *payload) close() {
	if p != nil && p.zip != nil {
		p.zip.Close()
	}
}
