package kafkaclient

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/IBM/sarama"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

const (
	largestPiece = 256 << 10 // of a batch that is unpacked, but for a record that is larger
	largestZstd  = 128 << 20 // window, as of Kafka's Java client
)

// unpackers keep decompressors for use again: their tables take long to make. The zero value is ready. Safe for concurrent use.
type unpackers struct{ idle [5]sync.Pool } // by codec

// unpacker reads what one compressed batch holds, piece by piece, so that no more of it is in memory than is read from.
type unpacker struct {
	codec  sarama.CompressionCodec
	source bytes.Reader
	stream io.Reader
	piece  int // bytes to unpack at once
}

// unpack returns what a batch's records were before they were compressed: the bytes, or a reader of them.
func (k *unpackers) unpack(codec sarama.CompressionCodec, packed []byte) ([]byte, *unpacker, error) {
	switch {
	case codec == sarama.CompressionNone:
		return packed, nil, nil
	case codec == sarama.CompressionSnappy: // it knows its length, which is a limited multiple
		plain, err := unsnap(packed)
		return plain, nil, err
	case int(codec) >= len(k.idle):
		return nil, nil, fmt.Errorf("compression codec %d is not known", codec)
	}
	u, _ := k.idle[codec].Get().(*unpacker)
	if u == nil {
		u = &unpacker{codec: codec}
	}
	u.source.Reset(packed)
	u.piece = min(max(4*len(packed), firstPage), largestPiece)
	if err := u.reset(); err != nil {
		return nil, nil, err
	}
	return nil, u, nil
}

func (u *unpacker) reset() (err error) {
	switch u.codec {
	case sarama.CompressionGZIP:
		if z, ok := u.stream.(*gzip.Reader); ok {
			return z.Reset(&u.source)
		}
		u.stream, err = gzip.NewReader(&u.source)
	case sarama.CompressionLZ4:
		if z, ok := u.stream.(*lz4.Reader); ok {
			z.Reset(&u.source)
			return nil
		}
		u.stream = lz4.NewReader(&u.source)
	case sarama.CompressionZSTD:
		if z, ok := u.stream.(*zstd.Decoder); ok {
			return z.Reset(&u.source)
		}
		// Alone it decodes in the caller's goroutine and needs no end.
		u.stream, err = zstd.NewReader(&u.source, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(largestZstd))
	}
	return err
}

const mostSnappy = 32 // times the length of a block, more than the format can pack into it

// unsnap decodes snappy, alone or in the blocks of Kafka's Java client.
func unsnap(packed []byte) ([]byte, error) {
	const head = 16 // magic, version, the version that can read it
	if len(packed) < head || string(packed[:8]) != "\x82SNAPPY\x00" {
		return unsnapBlock(nil, packed)
	}
	var out []byte
	for rest := packed[head:]; len(rest) > 0; {
		if len(rest) < 4 || int64(len(rest)-4) < int64(binary.BigEndian.Uint32(rest)) {
			return nil, fmt.Errorf("%w: a block of snappy is cut off", errCorrupt)
		}
		n := 4 + int(binary.BigEndian.Uint32(rest))
		if out == nil { // as if the others were like the first one
			size, err := s2.DecodedLen(rest[4:n])
			if err != nil || size > mostSnappy*n {
				return nil, fmt.Errorf("%w: a block of snappy has no length", errCorrupt)
			}
			out = make([]byte, 0, size*((len(rest)+n-1)/n))
		}
		var err error
		if out, err = unsnapBlock(out, rest[4:n]); err != nil {
			return nil, err
		}
		rest = rest[n:]
	}
	return out, nil
}

func unsnapBlock(out, packed []byte) ([]byte, error) {
	n, err := s2.DecodedLen(packed)
	if err != nil || n > mostSnappy*(len(packed)+4) {
		return nil, fmt.Errorf("%w: a block of snappy has no length", errCorrupt)
	}
	out = slices.Grow(out, n)
	if _, err := s2.Decode(out[len(out):len(out)+n], packed); err != nil {
		return nil, fmt.Errorf("unpack snappy: %w", err)
	}
	return out[:len(out)+n], nil
}

// done gives the decompressor back.
func (k *unpackers) done(u *unpacker) {
	u.source.Reset(nil)
	k.idle[u.codec].Put(u)
}

// more returns rest with what follows it, in new memory: at least n bytes, unless the stream ends before. Its length is the batch's own
// word, so memory grows with what is there.
func (u *unpacker) more(rest []byte, n int) ([]byte, error) {
	for len(rest) < n {
		room := max(len(rest)+u.piece, min(n, 2*len(rest)))
		out := make([]byte, room)
		have := copy(out, rest)
		got, err := io.ReadFull(u.stream, out[have:])
		rest = out[: have+got : have+got]
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && u.ended() {
			return rest, io.EOF
		}
		if err != nil {
			return rest, err
		}
	}
	return rest, nil
}

// ended tells that io.ErrUnexpectedEOF was that of io.ReadFull: a stream that is cut off gives the same.
func (u *unpacker) ended() bool {
	n, err := u.stream.Read(make([]byte, 1))
	return n == 0 && errors.Is(err, io.EOF)
}
