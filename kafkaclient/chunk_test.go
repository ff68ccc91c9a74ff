package kafkaclient

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// TestChunkOnTheWire reads batches back with another client's decoder: whole, halved, and used again.
func TestChunkOnTheWire(t *testing.T) {
	common := RenderHeaders([]Header{{[]byte("run"), []byte("1")}, {[]byte("none"), nil}})
	for _, codec := range []sarama.CompressionCodec{sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD} {
		t.Run(codec.String(), func(t *testing.T) {
			k := &packer{codec: codec, level: sarama.CompressionLevelDefault}
			rapid.Check(t, func(rt *rapid.T) {
				c := &chunk{size: batchOverhead}
				for range 2 {
					records := drawRecords(rt, common)
					c.reset()
					c.plain, c.producer, c.sequence = codec == sarama.CompressionNone, identity{77, 3}, 5
					for i := range records {
						size := recordSize(&records[i])
						for !c.fits(size) {
							page, _ := c.turn(size, testBatch)
							c.grow(page)
						}
						before := c.size
						c.append(&records[i])
						c.refs = append(c.refs, uint64(i))
						if c.size-before > size {
							rt.Fatalf("a record takes %d bytes, more than the bound of %d", c.size-before, size)
						}
					}
					checkChunk(rt, c, k, records, 5)
					if c.n < 2 {
						continue
					}
					d := c.split()
					if held := d.capacity(); held != d.held {
						rt.Fatalf("the second half holds %d bytes and is charged for %d", held, d.held)
					}
					if len(c.refs) != c.n || len(d.refs) != d.n || d.refs[0] != uint64(c.n) {
						rt.Fatalf("references %v and %v of %d and %d records", c.refs, d.refs, c.n, d.n)
					}
					checkChunk(rt, c, k, records[:c.n], 5)
					checkChunk(rt, d, k, records[c.n:], 5+int32(c.n))
				}
			})
		})
	}
}

const testBatch = 1 << 20

func drawRecords(rt *rapid.T, common *Headers) []Record {
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
	most := rapid.SampledFrom([]int{1, 30, 200, 9000, 70000}).Draw(rt, "most bytes")
	text := func() []byte {
		if r.IntN(5) == 0 {
			return nil
		}
		return bytes.Repeat([]byte{byte('a' + r.IntN(26))}, r.IntN(most))
	}
	records := make([]Record, rapid.IntRange(1, 40).Draw(rt, "records"))
	for i := range records {
		rec := &records[i]
		rec.Key, rec.Value, rec.Timestamp = text(), text(), 1700000000000+r.Int64N(100000)-50000
		for range r.IntN(3) {
			rec.Headers = append(rec.Headers, Header{[]byte("h"), text()})
		}
		if r.IntN(2) == 0 {
			rec.Common = common
		}
	}
	return records
}

func checkChunk(rt *rapid.T, c *chunk, k *packer, want []Record, sequence int32) {
	if err := c.seal(k, true); err != nil {
		rt.Fatal(err)
	}
	wire := bytes.Join(c.appendWire(nil), nil)
	var batch kmsg.RecordBatch
	if err := batch.ReadFrom(wire); err != nil {
		rt.Fatalf("read the batch: %v", err)
	}
	if sum := crc32.Checksum(wire[21:], castagnoli); uint32(batch.CRC) != sum || int(batch.Length) != len(wire)-12 {
		rt.Fatalf("checksum %x, length %d of %d bytes with checksum %x", batch.CRC, batch.Length, len(wire), sum)
	}
	if batch.Attributes != int16(k.codec)|0x10 || batch.ProducerID != 77 || batch.ProducerEpoch != 3 || batch.FirstSequence != sequence ||
		int(batch.NumRecords) != len(want) || int(batch.LastOffsetDelta) != len(want)-1 || batch.Magic != 2 || batch.PartitionLeaderEpoch != -1 {
		rt.Fatalf("batch %+v for %d records", batch, len(want))
	}
	raw, err := kgo.DefaultDecompressor().Decompress(batch.Records, kgo.CompressionCodecType(k.codec))
	if err != nil {
		rt.Fatalf("decompress: %v", err)
	}
	if k.codec == sarama.CompressionNone && len(wire) != c.size {
		rt.Fatalf("size %d of %d bytes", c.size, len(wire))
	}
	newest := int64(0)
	for i := range want {
		var rec kmsg.Record
		if err := rec.ReadFrom(raw); err != nil {
			rt.Fatalf("read record %d: %v", i, err)
		}
		n, at := binary.Varint(raw)
		raw = raw[at+int(n):]
		w := &want[i]
		headers := slices.Clone(w.Headers)
		if w.Common != nil {
			headers = append(headers, Header{[]byte("run"), []byte("1")}, Header{[]byte("none"), nil})
		}
		same := slices.EqualFunc(rec.Headers, headers, func(a kmsg.Header, b Header) bool {
			return a.Key == string(b.Key) && equalBytes(a.Value, b.Value)
		})
		if !same || int(rec.OffsetDelta) != i || batch.FirstTimestamp+rec.TimestampDelta64 != w.Timestamp || !equalBytes(rec.Key, w.Key) || !equalBytes(rec.Value, w.Value) {
			rt.Fatalf("record %d is %+v, want %+v", i, rec, w)
		}
		newest = max(newest, w.Timestamp)
	}
	if len(raw) > 0 || batch.MaxTimestamp < newest {
		rt.Fatalf("%d bytes behind the records; newest %d, want %d", len(raw), batch.MaxTimestamp, newest)
	}
}

func equalBytes(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

func TestJoinChecksums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.SliceOf(rapid.Byte()).Draw(t, "a"), rapid.SliceOf(rapid.Byte()).Draw(t, "b")
		got := joinChecksums(crc32.Checksum(a, castagnoli), crc32.Checksum(b, castagnoli), len(b))
		if want := crc32.Checksum(slices.Concat(a, b), castagnoli); got != want {
			t.Fatalf("got %x, want %x", got, want)
		}
	})
}
