package kafkaclient

import (
	"time"

	"github.com/IBM/sarama"
)

const (
	batchOverhead  = 61 // bytes of a record batch without records (protocol guide, "Record Batch")
	recordOverhead = 36 // upper bound of a record's varints and attributes
	headerOverhead = 10 // two varints
	recordMemory   = 144
	recordPage     = 32
	firstBlock     = 4 << 10
)

// Record is what Append takes; nil keys and values are null, empty ones are empty. The bytes are copied.
type Record struct {
	Key, Value []byte
	Headers    []Header
	// Timestamp is in ms since 1970; below 0 counts as 0. It must be about now: a broker that restarts forgets a producer whose
	// last timestamp is older than producer.id.expiration.ms, and then takes a repeated batch for a new one.
	Timestamp int64
}

// Header is a record header; a nil Value is null.
type Header struct{ Key, Value []byte }

// chunk is the batch of one partition: first being filled, then queued, then on its way. It is reused.
type chunk struct {
	part *partition
	txn  uint64 // number of the transaction it belongs to
	born time.Time

	recs  []*sarama.Record // the first n are in use, the others wait for reuse
	n     int
	block []byte // records point into it; a full block is left to them and a larger one begins
	heads []*sarama.RecordHeader
	nh    int
	size  int   // upper bound of the batch's bytes on the wire, before compression
	held  int64 // bytes charged to the producer's budget

	first, last int64 // timestamps: of the first record, the largest

	marks    []uint64 // of the batches whose records are in here
	lastMark uint64
	counted  uint64 // the last mark that knows this chunk

	sent      uint64 // counts what its partition has sent
	sequenced bool
	producer  identity
	sequence  int32
	batch     *sarama.RecordBatch // encoded once, kept for retries
}

// identity is what a broker knows a producer by.
type identity struct {
	id    int64
	epoch int16
}

func recordSize(r *Record) int {
	n := recordOverhead + len(r.Key) + len(r.Value)
	for i := range r.Headers {
		n += headerOverhead + len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return n
}

// shortage returns how many bytes of memory must be allocated before a record of the given size fits, and the size of
// the next block.
func (c *chunk) shortage(need, most int) (bytes int64, block int) {
	if len(c.block)+need > cap(c.block) {
		block = max(firstBlock, need, min(2*cap(c.block), most))
		bytes += int64(block)
	}
	if c.n == len(c.recs) {
		bytes += recordPage * recordMemory
	}
	return bytes, block
}

func (c *chunk) grow(block int) {
	if block > 0 {
		c.block = make([]byte, 0, block)
	}
	if c.n == len(c.recs) {
		page := make([]sarama.Record, recordPage)
		for i := range page {
			c.recs = append(c.recs, &page[i])
		}
	}
}

func (c *chunk) append(r *Record, size int) {
	ts := max(r.Timestamp, 0)
	if c.n == 0 {
		c.first, c.last = ts, ts
	}
	c.last = max(c.last, ts)
	rec := c.recs[c.n]
	rec.TimestampDelta = time.Duration(ts-c.first) * time.Millisecond
	rec.OffsetDelta = int64(c.n)
	rec.Key, rec.Value, rec.Headers = c.copy(r.Key), c.copy(r.Value), nil
	if len(r.Headers) > 0 {
		rec.Headers = c.headers(r.Headers)
	}
	c.n++
	c.size += size
}

func (c *chunk) copy(b []byte) []byte {
	if b == nil {
		return nil
	}
	at := len(c.block)
	c.block = append(c.block, b...)
	return c.block[at:len(c.block):len(c.block)]
}

func (c *chunk) headers(hs []Header) []*sarama.RecordHeader {
	from := c.nh
	for i := range hs {
		if c.nh == len(c.heads) {
			c.heads = append(c.heads, new(sarama.RecordHeader))
		}
		h := c.heads[c.nh]
		h.Key, h.Value = c.copy(hs[i].Key), c.copy(hs[i].Value)
		c.nh++
	}
	return c.heads[from:c.nh:c.nh]
}

// encode makes the sarama batch; a retry sends the same bytes under the same sequence number.
func (c *chunk) encode(cfg *ProducerConfig, transactional bool) *sarama.RecordBatch {
	if c.batch == nil {
		c.batch = &sarama.RecordBatch{
			Version: 2, Codec: cfg.Codec, CompressionLevel: cfg.Level, PartitionLeaderEpoch: -1,
			LastOffsetDelta: int32(c.n - 1), FirstTimestamp: time.UnixMilli(c.first), MaxTimestamp: time.UnixMilli(c.last),
			ProducerID: c.producer.id, ProducerEpoch: c.producer.epoch, FirstSequence: c.sequence,
			Records: c.recs[:c.n], IsTransactional: transactional,
		}
	}
	return c.batch
}

// split moves the second half of the records into another chunk, which keeps the first half's bytes alive. Marks are
// counted for both.
func (c *chunk) split() *chunk {
	k := c.n / 2
	d := &chunk{
		part: c.part, txn: c.txn, born: c.born, marks: append([]uint64(nil), c.marks...), lastMark: c.lastMark,
		counted: c.counted, sent: c.sent, sequenced: c.sequenced, producer: c.producer, sequence: addSequence(c.sequence, k),
		n: c.n - k, size: batchOverhead, first: c.first, last: c.last,
	}
	d.recs = append(d.recs, c.recs[k:c.n]...)
	for i, rec := range d.recs {
		rec.OffsetDelta = int64(i)
		d.size += wireSize(rec)
	}
	c.recs = c.recs[:k:k]
	c.n, c.size, c.batch = k, c.size-(d.size-batchOverhead), nil
	c.block, c.heads = nil, nil // d's records point into them too
	return d
}

func wireSize(rec *sarama.Record) int {
	n := recordOverhead + len(rec.Key) + len(rec.Value)
	for _, h := range rec.Headers {
		n += headerOverhead + len(h.Key) + len(h.Value)
	}
	return n
}

// addSequence counts in 31 bits (Java: DefaultRecordBatch.incrementSequence).
func addSequence(s int32, n int) int32 {
	return int32((int64(s) + int64(n)) & (1<<31 - 1))
}

// reset empties the chunk for reuse.
func (c *chunk) reset() {
	*c = chunk{recs: c.recs, block: c.block[:0], heads: c.heads, marks: c.marks[:0], held: c.held, size: batchOverhead}
}
