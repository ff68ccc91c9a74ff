package kafkaclient

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/IBM/sarama"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy/xerial"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// compressor is what the stream codecs have in common.
type compressor interface {
	io.WriteCloser
	Reset(io.Writer)
}

// packer compresses as a producer is told to. Safe for concurrent use.
type packer struct {
	codec sarama.CompressionCodec
	level int
	idle  sync.Pool // their tables take long to make
}

// pack appends the compressed form of the pages, one after the other, in the framing of Kafka's Java client. dst is empty.
func (k *packer) pack(dst []byte, pages [][]byte) ([]byte, error) {
	if k.codec == sarama.CompressionSnappy {
		return xerial.Encode(dst, bytes.Join(pages, nil)), nil
	}
	w := k.idle.Get()
	if w == nil {
		var err error
		if w, err = newCompressor(k.codec, k.level); err != nil {
			return dst, err
		}
	}
	defer k.idle.Put(w)
	if z, ok := w.(*zstd.Encoder); ok {
		return z.EncodeAll(bytes.Join(pages, nil), dst), nil // a stream would hold a window of megabytes
	}
	return compressStream(dst, w.(compressor), pages)
}

func compressStream(dst []byte, w compressor, pages [][]byte) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	w.Reset(out)
	for _, p := range pages {
		if _, err := w.Write(p); err != nil {
			return dst, err
		}
	}
	if err := w.Close(); err != nil {
		return dst, err
	}
	w.Reset(nil)
	return out.Bytes(), nil
}

func newCompressor(codec sarama.CompressionCodec, level int) (any, error) {
	switch codec {
	case sarama.CompressionGZIP:
		if level == sarama.CompressionLevelDefault {
			level = gzip.DefaultCompression
		}
		return gzip.NewWriterLevel(nil, level)
	case sarama.CompressionLZ4:
		w := lz4.NewWriter(nil)
		// As the Java client: blocks of 64 KiB, no checksum of the content, as the batch has one.
		return w, w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false))
	case sarama.CompressionZSTD:
		speed := zstd.SpeedDefault
		if level != sarama.CompressionLevelDefault {
			speed = zstd.EncoderLevelFromZstd(level)
		}
		return zstd.NewWriter(nil, zstd.WithZeroFrames(true), zstd.WithEncoderLevel(speed), zstd.WithEncoderConcurrency(1))
	}
	return nil, fmt.Errorf("compression codec %d is not known", codec)
}
