package plugins

import (
	"encoding/binary"
	"fmt"
	"sync"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec of everything but batches
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// codec is gRPC's for Protobuf, but for frames: a batch is encoded into the memory that is sent, and decoded out of the memory that was
// received.
type codec struct {
	encoding.CodecV2
	memory *buffers
}

func newCodec(memory *buffers) codec { return codec{encoding.GetCodecV2("proto"), memory} }

// batchTag begins SourceOutput.batch and SinkInput.batch: field 1, bytes.
const batchTag = 1<<3 | 2

// frame is a SourceOutput or a SinkInput. One that is sent has either a batch or a message; of one that was received the batch is valid
// until free.
type frame[M proto.Message] struct {
	batch   []byte
	message M // when there is no batch
	memory  mem.Buffer
}

// framed is a frame of any message.
type framed interface {
	marshal(codec) (mem.BufferSlice, error)
	unmarshal(codec, mem.BufferSlice) error
}

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if f, ok := v.(framed); ok {
		return f.marshal(c)
	}
	return c.CodecV2.Marshal(v)
}

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if f, ok := v.(framed); ok {
		return f.unmarshal(c, data)
	}
	return c.CodecV2.Unmarshal(data, v)
}

func (f *frame[M]) marshal(c codec) (mem.BufferSlice, error) {
	if f.batch == nil {
		return c.CodecV2.Marshal(f.message)
	}
	head := binary.AppendUvarint([]byte{batchTag}, uint64(len(f.batch)))
	return mem.BufferSlice{mem.SliceBuffer(head), mem.NewBuffer(&f.batch, c.memory)}, nil
}

func (f *frame[M]) unmarshal(c codec, data mem.BufferSlice) error {
	memory := data.MaterializeToBuffer(c.memory)
	text := memory.ReadOnlyData()
	if len(text) > 0 && text[0] == batchTag {
		n, at := binary.Uvarint(text[1:])
		if at <= 0 || n != uint64(len(text)-1-at) {
			memory.Free()
			return fmt.Errorf("a batch of %d bytes in a message of %d", n, len(text))
		}
		f.batch, f.memory = text[1+at:], memory
		return nil
	}
	defer memory.Free()
	return c.CodecV2.Unmarshal(mem.BufferSlice{memory}, f.message)
}

// free gives the memory of a received batch back.
func (f *frame[M]) free() {
	if f.memory != nil {
		f.memory.Free()
	}
	f.batch, f.memory = nil, nil
}

// buffers is a mem.BufferPool for encoded batches. What it holds unused goes with a garbage collection; larger buffers than pooled are not kept.
type buffers struct{ free sync.Pool }

const (
	pooled    = 4 << 20
	firstSize = 256 << 10
)

// Get implements mem.BufferPool.
func (p *buffers) Get(n int) *[]byte {
	if b, ok := p.free.Get().(*[]byte); ok {
		if cap(*b) >= n {
			*b = (*b)[:n]
			return b
		}
		p.free.Put(b)
	}
	b := make([]byte, n, max(n, firstSize))
	return &b
}

// Put implements mem.BufferPool.
func (p *buffers) Put(b *[]byte) {
	if cap(*b) <= pooled {
		p.free.Put(b)
	}
}

// empty returns a buffer to append to.
func (p *buffers) empty() []byte { return (*p.Get(0))[:0] }
