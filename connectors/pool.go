package connectors

import "sync"

// Pool reuses the memory of released batches. It keeps at most a fixed number of them, none with a chunk above 1 MiB.
// The nil Pool allocates and keeps nothing. Safe for concurrent use.
type Pool struct {
	mu   sync.Mutex
	free []*Batch
}

const (
	poolBatches  = 16
	poolMaxChunk = 1 << 20
)

func (p *Pool) get() *Batch {
	if p == nil {
		return &Batch{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		b := p.free[n-1]
		p.free = p.free[:n-1]
		return b
	}
	return &Batch{}
}

func (p *Pool) put(b *Batch) {
	if p == nil || poisoned {
		return
	}
	if cap(b.data) > poolMaxChunk || cap(b.cells)*cellSize > poolMaxChunk || cap(b.nested)*cellSize > poolMaxChunk || cap(b.Records)*recordSize > poolMaxChunk {
		return
	}
	clear(b.Streams)
	clear(b.Bodies)
	clear(b.raws)
	fresh := &Batch{Streams: b.Streams[:0], Records: b.Records[:0], Bodies: b.Bodies[:0], raws: b.raws[:0], cells: b.cells[:0], nested: b.nested[:0], data: b.data[:0]}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) < poolBatches {
		p.free = append(p.free, fresh)
	}
}
