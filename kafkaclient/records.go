package kafkaclient

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/IBM/sarama"
)

// FetchedRecord is a record as it lies in its partition. Key, Value and the contents of the headers may be kept: their memory is not
// used again. The list of headers is valid until the next one is read.
type FetchedRecord struct {
	Offset    int64
	Timestamp int64 // ms since 1970, -1: none
	Key       []byte
	Value     []byte // nil is null, also for Key
	Headers   []Header
}

// Fetched is what one answer has of a partition: whole record batches of version 2. It belongs to one goroutine.
type Fetched struct {
	Next int64 // where the partition is read on after it

	from      int64
	data      []byte // batches that were not begun
	committed bool   // only records of committed transactions
	aborted   []abortedTransaction
	dead      []int64 // producers whose records are of an aborted transaction
	unpackers *unpackers

	at     batchHeader
	left   int32  // records of the batch at hand
	buf    []byte // of which these are bytes
	packed *unpacker
}

type abortedTransaction struct{ producer, first int64 }

// batchHeader is what comes before the records of a batch (protocol guide, "Record Batch").
type batchHeader struct {
	base       int64
	size       int // of the whole batch
	attributes uint16
	lastDelta  int32
	first, max int64 // timestamps
	producer   int64
	count      int32
}

const (
	codecBits         = 0x07
	appendTimeBit     = 0x08
	transactionalBit  = 0x10
	controlBit        = 0x20
	batchPrefix       = 12 // base offset and length, which does not count them
	magicAt, magicNow = 16, 2
	checkedFrom       = 21
)

var errCorrupt = errors.New("the record batch is corrupt")

func (h *batchHeader) last() int64        { return h.base + int64(h.lastDelta) }
func (h *batchHeader) is(bit uint16) bool { return h.attributes&bit != 0 }
func (h *batchHeader) codec() sarama.CompressionCodec {
	return sarama.CompressionCodec(h.attributes & codecBits)
}

// parseHeader reads the header of a batch that is whole.
func parseHeader(b []byte) batchHeader {
	return batchHeader{
		base: int64(binary.BigEndian.Uint64(b)), size: batchPrefix + int(int32(binary.BigEndian.Uint32(b[8:]))),
		attributes: binary.BigEndian.Uint16(b[21:]), lastDelta: int32(binary.BigEndian.Uint32(b[23:])),
		first: int64(binary.BigEndian.Uint64(b[27:])), max: int64(binary.BigEndian.Uint64(b[35:])),
		producer: int64(binary.BigEndian.Uint64(b[43:])), count: int32(binary.BigEndian.Uint32(b[57:])),
	}
}

// wholeBatches checks the batches at the beginning of b. A broker cuts an answer off anywhere: n bytes are whole ones, the last of which
// ends before offset next (-1: there is none); the one behind them, when it has begun, takes need bytes.
func wholeBatches(b []byte) (n int, next int64, need int, err error) {
	next = -1
	for {
		rest := b[n:]
		if len(rest) < batchPrefix {
			return n, next, 0, nil
		}
		size := batchPrefix + int(int32(binary.BigEndian.Uint32(rest[8:])))
		if len(rest) > magicAt && rest[magicAt] != magicNow {
			return n, next, 0, fmt.Errorf("offset %d: %w", int64(binary.BigEndian.Uint64(rest)), ErrFormat)
		}
		if size < batchOverhead {
			return n, next, 0, fmt.Errorf("%w: offset %d is in a batch of %d bytes", errCorrupt, int64(binary.BigEndian.Uint64(rest)), size)
		}
		if len(rest) < size {
			return n, next, size, nil
		}
		h := parseHeader(rest)
		if sum := crc32.Checksum(rest[checkedFrom:size], castagnoli); sum != binary.BigEndian.Uint32(rest[17:]) {
			return n, next, 0, fmt.Errorf("%w: the checksum of the batch at offset %d is wrong", errCorrupt, h.base)
		}
		if h.lastDelta < 0 || h.last() < next-1 {
			return n, next, 0, fmt.Errorf("%w: the batch at offset %d ends at %d", errCorrupt, h.base, h.last())
		}
		n, next = n+size, h.last()+1
	}
}

// Read reads the next record; false: there is none left. Markers, records of aborted transactions and those before the offset that was
// asked for are passed over.
func (f *Fetched) Read(r *FetchedRecord) (bool, error) {
	for {
		if f.left == 0 {
			if len(f.data) == 0 {
				return false, nil
			}
			if err := f.begin(); err != nil {
				return false, fmt.Errorf("read the batch at offset %d: %w", f.at.base, err)
			}
			continue
		}
		if err := f.record(r); err != nil {
			return false, fmt.Errorf("read the batch at offset %d: %w", f.at.base, err)
		}
		if f.left--; f.left == 0 {
			f.end()
		}
		if r.Offset >= f.from {
			return true, nil
		}
	}
}

// begin opens the next batch; none of one that is passed over.
func (f *Fetched) begin() (err error) {
	f.at = parseHeader(f.data)
	body := f.data[batchOverhead:f.at.size:f.at.size]
	f.data = f.data[f.at.size:]
	for len(f.aborted) > 0 && f.aborted[0].first <= f.at.last() {
		f.dead = append(f.dead, f.aborted[0].producer)
		f.aborted = f.aborted[1:]
	}
	switch {
	case f.at.is(controlBit): // it ends the producer's transaction
		f.dead = slices.DeleteFunc(f.dead, func(id int64) bool { return id == f.at.producer })
		return nil
	case f.committed && f.at.is(transactionalBit) && slices.Contains(f.dead, f.at.producer), f.at.last() < f.from, f.at.count <= 0:
		return nil
	}
	f.left = f.at.count
	f.buf, f.packed, err = f.unpackers.unpack(f.at.codec(), body)
	return err
}

func (f *Fetched) end() {
	f.buf = nil
	if f.packed != nil {
		f.unpackers.done(f.packed)
		f.packed = nil
	}
}

// want makes n bytes of the batch available.
func (f *Fetched) want(n int) error {
	if n <= len(f.buf) {
		return nil
	}
	if f.packed == nil {
		return fmt.Errorf("%w: it ends in the middle of a record", errCorrupt)
	}
	var err error
	if f.buf, err = f.packed.more(f.buf, n); err != nil && len(f.buf) < n {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: it ends in the middle of a record", errCorrupt)
		}
		return fmt.Errorf("unpack records: %w", err)
	}
	return nil
}

// record reads one record (protocol guide, "Record").
func (f *Fetched) record(r *FetchedRecord) error {
	size, n := binary.Varint(f.buf)
	if n == 0 && f.packed != nil && len(f.buf) < binary.MaxVarintLen32 {
		if err := f.want(len(f.buf) + 1); err != nil {
			return err
		}
		return f.record(r)
	}
	if n <= 0 || size < 0 || size > 1<<31-1 {
		return fmt.Errorf("%w: a record has no length", errCorrupt)
	}
	if err := f.want(n + int(size)); err != nil {
		return err
	}
	c := cut{b: f.buf[n : n+int(size) : n+int(size)]}
	f.buf = f.buf[n+int(size):]
	c.skip(1) // attributes: none are known
	delta := c.varint()
	r.Offset = f.at.base + c.varint()
	r.Timestamp = f.at.first + delta
	if f.at.is(appendTimeBit) {
		r.Timestamp = f.at.max
	}
	r.Timestamp = max(r.Timestamp, -1)
	r.Key, r.Value = c.bytes(), c.bytes()
	r.Headers = r.Headers[:0]
	headers := c.varint()
	if headers < 0 || headers > int64(len(c.b)) {
		c.bad = true
	}
	for ; headers > 0 && !c.bad; headers-- {
		name := c.bytes()
		r.Headers = append(r.Headers, Header{name, c.bytes()})
	}
	if c.bad {
		return fmt.Errorf("%w: a record is cut off", errCorrupt)
	}
	return nil
}

// cut takes values off the front of a record.
type cut struct {
	b   []byte
	bad bool
}

func (c *cut) skip(n int) {
	if n > len(c.b) {
		c.bad, n = true, len(c.b)
	}
	c.b = c.b[n:]
}

func (c *cut) varint() int64 {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.bad = true
		return 0
	}
	c.b = c.b[n:]
	return v
}

// bytes are nil for a negative length, and never nil otherwise.
func (c *cut) bytes() []byte {
	n := c.varint()
	if n < 0 || c.bad {
		return nil
	}
	if n > int64(len(c.b)) {
		c.bad = true
		return nil
	}
	out := c.b[:n:n]
	c.b = c.b[n:]
	return out
}
