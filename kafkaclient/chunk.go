package kafkaclient

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"
	"slices"
	"time"
)

const (
	batchOverhead  = 61 // bytes of a record batch without records (protocol guide, "Record Batch")
	recordOverhead = 36 // upper bound of a record's varints and attributes
	headerOverhead = 10 // two varints
	firstPage      = 4 << 10
	largestPage    = 64 << 10 // but for a record that is larger
)

// Record is what Append takes; nil keys and values are null, empty ones are empty. The bytes are copied.
type Record struct {
	Key, Value []byte
	Headers    []Header
	Common     *Headers // come after Headers; nil: none
	// Timestamp is in ms since 1970; below 0 counts as 0. It must be about now: a broker that restarts forgets a producer whose
	// last timestamp is older than producer.id.expiration.ms, and then takes a repeated batch for a new one.
	Timestamp int64
	Ref       uint64 // what ProducerOptions.Refused is told; 0: the record cannot be left out
}

// Header is a record header; a nil Value is null.
type Header struct{ Key, Value []byte }

// Headers are headers that many records have in common, rendered once. Immutable.
type Headers struct {
	n    int
	wire []byte
}

// RenderHeaders prepares headers for Record.Common.
func RenderHeaders(hs []Header) *Headers {
	out := &Headers{n: len(hs)}
	for i := range hs {
		out.wire = appendHeader(out.wire, &hs[i])
	}
	return out
}

// chunk is the batch of one partition: first being filled, then queued, then on its way. It is reused. Its records are written once,
// in the form in which they are sent.
type chunk struct {
	part *partition
	txn  uint64 // number of the transaction it belongs to
	born time.Time

	pages [][]byte // whole records each; those behind pages[at] are empty
	at    int      // page being filled
	n     int      // records
	size  int      // bytes of the batch on the wire, before compression
	given int      // bytes of the keys, values and own headers of its records
	plain bool     // not to be compressed: sum counts
	sum   uint32   // checksum of the records, made while they are in the processor's cache
	held  int64    // bytes charged to the producer's budget

	first, last int64 // timestamps: of the first record, the largest

	refs    []uint64     // one per record, where a refused one can be left out
	refused *RecordError // its only record is refused

	marks    []uint64 // of the batches whose records are in here
	lastMark uint64
	counted  uint64 // the last mark that knows this chunk

	sent      uint64 // counts what its partition has sent
	sequenced bool
	producer  identity
	sequence  int32
	sealed    bool // head is rendered; a retry sends the same bytes
	head      [batchOverhead]byte
	packed    []byte // compressed records
}

// identity is what a broker knows a producer by.
type identity struct {
	id    int64
	epoch int16
}

// recordSize is an upper bound of a record's bytes on the wire.
func recordSize(r *Record) int {
	n := recordOverhead + len(r.Key) + len(r.Value)
	for i := range r.Headers {
		n += headerOverhead + len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	if r.Common != nil {
		n += len(r.Common.wire)
	}
	return n
}

// fits tells whether a record of the given size can be appended without more memory.
func (c *chunk) fits(need int) bool {
	if len(c.pages) == 0 {
		return false
	}
	p := c.pages[c.at]
	return cap(p)-len(p) >= need
}

// turn makes the next page, where there is one that is large enough, the one to be filled. Otherwise it returns the size of the
// page that grow has to add, and how many more bytes the chunk will hold then.
func (c *chunk) turn(need, most int) (page int, bytes int64) {
	if c.fits(need) {
		return 0, 0
	}
	last := 0
	if len(c.pages) > 0 {
		if last = cap(c.pages[c.at]); len(c.pages[c.at]) == 0 { // too small: it is replaced
			page = max(need, last)
			return page, int64(page - last)
		}
	}
	if c.at+1 < len(c.pages) {
		c.at++
		return c.turn(need, most)
	}
	page = max(firstPage, need, min(2*last, most, largestPage))
	return page, int64(page)
}

// grow adds the page that turn asked for.
func (c *chunk) grow(page int) {
	switch {
	case page == 0:
	case len(c.pages) > 0 && len(c.pages[c.at]) == 0:
		c.pages[c.at] = make([]byte, 0, page)
	default:
		c.pages = append(c.pages, make([]byte, 0, page))
		c.at = len(c.pages) - 1
	}
}

// append writes a record that fits.
func (c *chunk) append(r *Record) {
	ts := c.stamp(r)
	if c.n == 0 {
		c.first, c.last = ts, ts
	}
	c.last = max(c.last, ts)
	p := c.pages[c.at]
	q := appendPrefix(p, r, len(r.Value), ts-c.first, c.n)
	c.pages[c.at] = appendSuffix(append(q, r.Value...), r)
	c.count(r, len(p))
}

func (c *chunk) stamp(r *Record) int64 { return max(r.Timestamp, 0) }

// count takes note of the record that starts at the given place of its page.
func (c *chunk) count(r *Record, from int) {
	p := c.pages[c.at][from:]
	c.size += len(p)
	c.given += len(r.Key) + len(r.Value)
	for i := range r.Headers {
		c.given += len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	c.n++
	if c.plain {
		c.sum = crc32.Update(c.sum, castagnoli, p)
	}
}

// appendPrefix writes what comes before the value of a record of version 2 (protocol guide, "Record"); value is its length.
func appendPrefix(dst []byte, r *Record, value int, delta int64, index int) []byte {
	dst = binary.AppendVarint(dst, int64(recordLen(r, value, delta, index)))
	dst = append(dst, 0) // attributes
	dst = binary.AppendVarint(dst, delta)
	dst = appendBytes(binary.AppendVarint(dst, int64(index)), r.Key)
	if r.Value == nil && value == 0 {
		value = -1
	}
	return binary.AppendVarint(dst, int64(value))
}

// recordLen is the length that a record begins with.
func recordLen(r *Record, value int, delta int64, index int) int {
	n, headers := 1+varintLen(delta)+varintLen(int64(index))+bytesLen(r.Key)+varintLen(int64(value))+value, len(r.Headers)
	for i := range r.Headers {
		n += bytesLen(r.Headers[i].Key) + bytesLen(r.Headers[i].Value)
	}
	if r.Common != nil {
		n += len(r.Common.wire)
		headers += r.Common.n
	}
	return n + varintLen(int64(headers))
}

// appendSuffix writes what comes behind the value: the headers.
func appendSuffix(dst []byte, r *Record) []byte {
	headers := len(r.Headers)
	if r.Common != nil {
		headers += r.Common.n
	}
	dst = binary.AppendVarint(dst, int64(headers))
	for i := range r.Headers {
		dst = appendHeader(dst, &r.Headers[i])
	}
	if r.Common != nil {
		dst = append(dst, r.Common.wire...)
	}
	return dst
}

func appendHeader(dst []byte, h *Header) []byte {
	dst = append(binary.AppendVarint(dst, int64(len(h.Key))), h.Key...) // a header's name is never null
	return appendBytes(dst, h.Value)
}

func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return append(dst, 1) // -1
	}
	return append(binary.AppendVarint(dst, int64(len(b))), b...)
}

func bytesLen(b []byte) int { return varintLen(int64(len(b))) + len(b) } // null takes one byte too

func varintLen(v int64) int {
	return (bits.Len64(uint64(v<<1^v>>63)|1) + 6) / 7
}

// seal compresses the records and renders what comes before them; a retry sends the same bytes under the same sequence number.
func (c *chunk) seal(k *packer, transactional bool) error {
	if c.sealed {
		return nil
	}
	sum, size := c.sum, c.size-batchOverhead
	if !c.plain {
		var err error
		if c.packed, err = k.pack(c.packed[:0], c.pages[:c.at+1]); err != nil {
			return fmt.Errorf("compress a batch of %d records: %w", c.n, err)
		}
		sum, size = crc32.Checksum(c.packed, castagnoli), len(c.packed)
	}
	attributes := int16(k.codec)
	if transactional {
		attributes |= 0x10
	}
	h := c.head[:0]
	h = binary.BigEndian.AppendUint64(h, 0) // base offset
	h = binary.BigEndian.AppendUint32(h, uint32(batchOverhead-12+size))
	h = binary.BigEndian.AppendUint32(h, 1<<32-1) // partition leader epoch: unknown
	h = append(h, 2, 0, 0, 0, 0)                  // version, checksum
	h = binary.BigEndian.AppendUint16(h, uint16(attributes))
	h = binary.BigEndian.AppendUint32(h, uint32(c.n-1))
	h = binary.BigEndian.AppendUint64(h, uint64(c.first))
	h = binary.BigEndian.AppendUint64(h, uint64(c.last))
	h = binary.BigEndian.AppendUint64(h, uint64(c.producer.id))
	h = binary.BigEndian.AppendUint16(h, uint16(c.producer.epoch))
	h = binary.BigEndian.AppendUint32(h, uint32(c.sequence))
	h = binary.BigEndian.AppendUint32(h, uint32(c.n))
	binary.BigEndian.PutUint32(h[17:], joinChecksums(crc32.Checksum(h[21:], castagnoli), sum, size))
	c.sealed = true
	return nil
}

// appendWire appends the sealed batch as views.
func (c *chunk) appendWire(out [][]byte) [][]byte {
	out = append(out, c.head[:])
	if !c.plain {
		return append(out, c.packed)
	}
	return append(out, c.pages[:c.at+1]...)
}

// unseal lets the batch be rendered anew.
func (c *chunk) unseal() { c.sealed, c.packed = false, c.packed[:0] }

// split moves the second half of the records into another chunk. Marks are counted for both.
func (c *chunk) split() *chunk {
	k := c.n / 2
	d := &chunk{
		part: c.part, txn: c.txn, born: c.born, marks: slices.Clone(c.marks), lastMark: c.lastMark, counted: c.counted,
		sent: c.sent, sequenced: c.sequenced, producer: c.producer, sequence: addSequence(c.sequence, k),
		n: c.n - k, first: c.first, last: c.last, plain: c.plain,
	}
	if len(c.refs) > 0 {
		d.refs = slices.Clone(c.refs[k:])
		d.held, c.refs = int64(cap(d.refs))*8, c.refs[:k]
	}
	i, end, page := 0, 0, 0
	for at := range c.pages[:c.at+1] {
		rest, from := c.pages[at], 0
		for len(rest) > 0 {
			n := firstRecord(rest)
			if i == k {
				page, end = at, from
			}
			if i >= k {
				d.pages, d.held = appendRenumbered(d.pages, d.held, rest[:n], i-k)
			}
			rest, from, i = rest[n:], from+n, i+1
		}
	}
	for at := page + 1; at < len(c.pages); at++ {
		c.pages[at] = c.pages[at][:0]
	}
	c.pages[page] = c.pages[page][:end]
	d.given = c.given * d.n / c.n // about
	c.at, c.n, c.given = page, k, c.given-d.given
	if end == 0 && page > 0 {
		c.at--
	}
	d.at = len(d.pages) - 1
	c.measure()
	d.measure()
	c.unseal()
	return d
}

// measure counts what append counts.
func (c *chunk) measure() {
	c.size, c.sum = batchOverhead, 0
	for _, p := range c.pages {
		c.size += len(p)
		c.sum = crc32.Update(c.sum, castagnoli, p)
	}
}

// firstRecord is how many bytes the first record takes.
func firstRecord(b []byte) int {
	n, at := binary.Varint(b)
	return at + int(n)
}

// appendRenumbered copies a record under another index in its batch.
func appendRenumbered(pages [][]byte, held int64, rec []byte, index int) ([][]byte, int64) {
	_, at := binary.Varint(rec)
	rest := rec[at+1:] // attributes
	delta, n := binary.Varint(rest)
	_, m := binary.Varint(rest[n:])
	rest = rest[n+m:]
	need := len(rec) + recordOverhead
	if k := len(pages); k == 0 || cap(pages[k-1])-len(pages[k-1]) < need {
		page := make([]byte, 0, max(need, largestPage))
		pages, held = append(pages, page), held+int64(cap(page))
	}
	k := len(pages) - 1
	dst := binary.AppendVarint(pages[k], int64(1+varintLen(delta)+varintLen(int64(index))+len(rest)))
	dst = append(dst, 0)
	dst = binary.AppendVarint(binary.AppendVarint(dst, delta), int64(index))
	pages[k] = append(dst, rest...)
	return pages, held
}

// addSequence counts in 31 bits (Java: DefaultRecordBatch.incrementSequence).
func addSequence(s int32, n int) int32 {
	return int32((int64(s) + int64(n)) & (1<<31 - 1))
}

// capacity is the memory that the chunk holds.
func (c *chunk) capacity() int64 {
	n := int64(cap(c.packed)) + int64(cap(c.refs))*8
	for _, p := range c.pages {
		n += int64(cap(p))
	}
	return n
}

// reset empties the chunk for reuse.
func (c *chunk) reset() {
	for i := range c.pages {
		c.pages[i] = c.pages[i][:0]
	}
	*c = chunk{pages: c.pages, packed: c.packed[:0], marks: c.marks[:0], refs: c.refs[:0], held: c.held, size: batchOverhead}
}
