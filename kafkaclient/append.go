package kafkaclient

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// Append takes one record; partition -1 chooses by key as the Java client does, without a key a partition that changes
// from batch to batch. It waits while the buffer is full. An error means that the record was not taken; a *RecordError
// concerns this record alone.
func (p *Producer) Append(ctx context.Context, t *Topic, partition int32, r *Record) error {
	pt, err := p.place(ctx, t, partition, r, recordSize(r))
	if err != nil {
		return err
	}
	p.enter(pt)
	pt.open.append(r)
	if p.opts.Refused != nil {
		p.refer(pt.open, r.Ref)
	}
	return nil
}

// place chooses the record's partition and gives it an open chunk that has room for size bytes.
func (p *Producer) place(ctx context.Context, t *Topic, partition int32, r *Record, size int) (*partition, error) {
	if p.broken.Load() {
		return nil, p.Err()
	}
	if size+batchOverhead > p.cfg.RequestBytes {
		return nil, &RecordError{
			Topic: t.name, Partition: partition, Bytes: size, Records: 1,
			Err: fmt.Errorf("larger than max.request.size=%d: raise it, and max.message.bytes of the topic", p.cfg.RequestBytes),
		}
	}
	switch {
	case partition >= int32(len(t.parts)):
		return nil, &RecordError{
			Topic: t.name, Partition: partition, Bytes: size, Records: 1,
			Err: fmt.Errorf("the topic has only %d partitions", len(t.parts)),
		}
	case partition >= 0:
	case r.Key != nil:
		partition = PartitionFor(r.Key, int32(len(t.parts)))
	default:
		partition = t.sticky
	}
	pt := t.parts[partition]
	if c := pt.open; c == nil || c.size+size > p.cfg.BatchBytes || !c.fits(size) {
		if err := p.room(ctx, pt, size); err != nil {
			return nil, err
		}
	}
	return pt, nil
}

// enter notes that the next record of the present batch goes into the partition's open chunk.
func (p *Producer) enter(pt *partition) {
	c := pt.open
	if c.lastMark == p.mark {
		return
	}
	if c.n == 0 {
		c.txn = p.txnNext
	}
	c.lastMark = p.mark
	c.marks = append(c.marks, p.mark)
	p.touched = append(p.touched, pt)
}

// room gives pt an open chunk that has room for size bytes, waiting for memory when the buffer is full (I5).
func (p *Producer) room(ctx context.Context, pt *partition, size int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if p.err != nil {
			return p.err
		}
		c := pt.open
		if c != nil && c.n > 0 && c.size+size > p.cfg.BatchBytes {
			p.push(pt)
			if pt.id == pt.topic.sticky {
				pt.topic.sticky = rand.Int32N(int32(len(pt.topic.parts)))
			}
			c = nil
		}
		if c == nil {
			c = p.takeChunk(pt, size)
			pt.open = c
			if c.n > 0 { // it has records already, which Mark must hand over even when no other follows
				p.touched = append(p.touched, pt)
			}
		}
		page, bytes := c.turn(size, p.cfg.BatchBytes)
		if p.used+bytes <= p.cfg.BufferBytes || p.pending == 0 && p.openChunks() == 0 {
			p.used += bytes
			c.held += bytes
			c.grow(page)
			return nil
		}
		p.handOver()
		if p.used+bytes <= p.cfg.BufferBytes || p.pending == 0 {
			continue
		}
		if err := p.await(ctx, func() bool { return p.used+bytes <= p.cfg.BufferBytes || p.pending == 0 }); err != nil {
			return fmt.Errorf("wait for room in the producer's buffer (buffer.memory=%d): %w", p.cfg.BufferBytes, err)
		}
	}
}
