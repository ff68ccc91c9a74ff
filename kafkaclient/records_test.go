package kafkaclient

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// batchOf writes records as a batch that begins at an offset.
func batchOf(t testing.TB, codec sarama.CompressionCodec, base int64, records ...Record) []byte {
	t.Helper()
	return packed(t, &packer{codec: codec, level: sarama.CompressionLevelDefault}, base, records...)
}

func packed(t testing.TB, k *packer, base int64, records ...Record) []byte {
	t.Helper()
	c := &chunk{}
	c.reset()
	c.plain = k.codec == sarama.CompressionNone
	for i := range records {
		size := recordSize(&records[i])
		for !c.fits(size) {
			page, _ := c.turn(size, testBatch)
			c.grow(page)
		}
		c.append(&records[i])
	}
	if err := c.seal(k, false); err != nil {
		t.Fatal(err)
	}
	out := bytes.Join(c.appendWire(nil), nil)
	binary.BigEndian.PutUint64(out, uint64(base)) // the checksum begins behind it
	return out
}

// inTransaction makes a batch one of a producer's transaction; control: the marker that ends it.
func inTransaction(batch []byte, producer int64, control bool) []byte {
	batch[22] |= transactionalBit
	if control {
		batch[22] |= controlBit
	}
	binary.BigEndian.PutUint64(batch[43:], uint64(producer))
	return summed(batch)
}

func summed(batch []byte) []byte {
	binary.BigEndian.PutUint32(batch[17:], crc32.Checksum(batch[21:], castagnoli))
	return batch
}

func (f *Fetched) all() (out []FetchedRecord, err error) {
	for {
		var r FetchedRecord
		if more, err := f.Read(&r); err != nil || !more {
			return out, err
		}
		out = append(out, r)
	}
}

func randomRecords(seed uint64) (out []Record) {
	r := rand.New(rand.NewPCG(seed, 2))
	text := func(most int) []byte {
		b := make([]byte, r.IntN(most))
		for i := range b {
			b[i] = "abcd\x00"[r.IntN(5)]
		}
		return b
	}
	for range 1 + r.IntN(60) {
		rec := Record{Timestamp: r.Int64N(1 << 40), Value: text(300)}
		switch r.IntN(12) {
		case 0:
			rec.Value = nil
		case 1:
			rec.Value = text(600 << 10)
		case 2, 3, 4:
			rec.Key = text(20)
		}
		for range r.IntN(3) {
			rec.Headers = append(rec.Headers, Header{text(5), text(9)})
		}
		out = append(out, rec)
	}
	return out
}

func checkRecords(t *testing.T, got []FetchedRecord, base int64, want []Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	same := func(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }
	for i, r := range got {
		w := want[i]
		if r.Offset != base+int64(i) || r.Timestamp != w.Timestamp || !same(r.Key, w.Key) || !same(r.Value, w.Value) ||
			!slices.EqualFunc(r.Headers, w.Headers, func(a, b Header) bool { return bytes.Equal(a.Key, b.Key) && same(a.Value, b.Value) }) {
			t.Fatalf("record %d differs: offset %d, %d, %.20q, %d bytes", i, r.Offset, r.Timestamp, r.Key, len(r.Value))
		}
	}
}

var allCodecs = []sarama.CompressionCodec{sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD}

// What the producer writes is read again, from any offset, of any codec; decompressors are used again.
func TestFetchedRecords(t *testing.T) {
	pool := &unpackers{}
	for seed := range uint64(12) {
		for _, codec := range allCodecs {
			one, two := randomRecords(seed), randomRecords(seed+100)
			data := append(batchOf(t, codec, 50, one...), batchOf(t, codec, 50+int64(len(one)), two...)...)
			n, next, need, err := wholeBatches(data)
			want := append(slices.Clone(one), two...)
			if n != len(data) || next != 50+int64(len(want)) || need != 0 || err != nil {
				t.Fatalf("%d of %d bytes, next %d, %v", n, len(data), next, err)
			}
			from := int64(len(want) / 3)
			got, err := (&Fetched{from: 50 + from, data: data, unpackers: pool}).all()
			if err != nil {
				t.Fatalf("%v: %v", codec, err)
			}
			checkRecords(t, got, 50+from, want[from:])
		}
	}
}

// A batch that was cut off is left for the next answer, which has to be as large; one that is damaged is never read.
func TestWholeBatches(t *testing.T) {
	one := batchOf(t, sarama.CompressionNone, 7, Record{Value: []byte("a")}, Record{Value: []byte("b")})
	data := append(slices.Clone(one), batchOf(t, sarama.CompressionLZ4, 9, Record{Value: []byte("c")})...)
	for i := range data {
		n, next, need, err := wholeBatches(data[:i])
		whole := i >= len(one)
		if err != nil || whole != (n == len(one)) || whole != (next == 9) || !whole && n != 0 || i >= 12 && i < len(one) && need != len(one) {
			t.Fatalf("%d bytes: %d whole, next %d, needs %d, %v", i, n, next, need, err)
		}
	}
	for i := checkedFrom - 4; i < len(one); i++ {
		bad := slices.Clone(one)
		bad[i] ^= 0x40
		if n, _, _, err := wholeBatches(bad); n != 0 || !errors.Is(err, errCorrupt) {
			t.Fatalf("byte %d: %d bytes are whole, %v", i, n, err)
		}
	}
	one[magicAt] = 1
	if _, _, _, err := wholeBatches(one); !errors.Is(err, ErrFormat) {
		t.Errorf("format 1: %v", err)
	}
}

// Aborted transactions overlap; of each, what comes before its marker is passed over, and its producer's next one is read. Other
// isolation reads all but markers.
func TestFetchedTransactions(t *testing.T) {
	offset := int64(0)
	batch := func(producer int64, control bool, value string) []byte {
		offset++
		return inTransaction(batchOf(t, sarama.CompressionNone, offset-1, Record{Value: []byte(value)}), producer, control)
	}
	plain := func(value string) []byte {
		offset++
		return batchOf(t, sarama.CompressionNone, offset-1, Record{Value: []byte(value)})
	}
	data := slices.Concat(batch(1, false, "x"), batch(2, false, "y"), plain("a"), batch(1, false, "x"), batch(3, false, "b"), batch(2, true, ""),
		batch(2, false, "c"), batch(1, true, ""), batch(1, false, "d"), batch(3, true, ""), batch(1, false, "z"), batch(1, true, ""))
	for committed, want := range map[bool]string{true: "abcd", false: "xyaxbcdz"} {
		f := &Fetched{data: data, committed: committed, aborted: []abortedTransaction{{1, 0}, {2, 1}, {1, 10}}}
		got, err := f.all()
		text := ""
		for _, r := range got {
			text += string(r.Value)
		}
		if err != nil || text != want {
			t.Errorf("committed %t: %q, %v", committed, text, err)
		}
	}
}

// The time of a topic that stamps by itself is the batch's.
func TestFetchedAppendTime(t *testing.T) {
	b := batchOf(t, sarama.CompressionNone, 0, Record{Timestamp: 5, Value: []byte("a")}, Record{Timestamp: 6, Value: []byte("b")})
	b[22] |= appendTimeBit
	binary.BigEndian.PutUint64(b[35:], 99)
	got, err := (&Fetched{data: summed(b)}).all()
	if err != nil || len(got) != 2 || got[0].Timestamp != 99 || got[1].Timestamp != 99 {
		t.Errorf("%+v, %v", got, err)
	}
}

// FuzzFetched: what was written is read; what lies in a batch whose checksum is right is read or refused, in bounded memory.
func FuzzFetched(f *testing.F) {
	for codec := range uint8(5) {
		f.Add(codec, []byte("key"), []byte("value, value, value, value"), []byte{14, 0, 0, 0, 1, 2, 'a', 0})
	}
	var packers []*packer
	for _, codec := range allCodecs {
		packers = append(packers, &packer{codec: codec, level: sarama.CompressionLevelDefault})
	}
	pool := &unpackers{}
	f.Fuzz(func(t *testing.T, codec uint8, key, value, body []byte) {
		if len(body) > 1<<16 || len(value) > 1<<16 {
			return
		}
		want := []Record{{Key: key, Value: value, Headers: []Header{{key, value}}}, {Value: value, Timestamp: int64(len(body))}}
		data := packed(t, packers[int(codec)%len(packers)], 3, want...)
		got, err := (&Fetched{data: data, unpackers: pool}).all()
		if err != nil {
			t.Fatal(err)
		}
		want[0].Key, want[0].Value, want[1].Value = append([]byte{}, key...), append([]byte{}, value...), append([]byte{}, value...)
		for i := range want { // nil is null
			if key == nil {
				want[0].Key = nil
			}
			if value == nil {
				want[i].Value = nil
			}
		}
		checkRecords(t, got, 3, want)
		data = append(data[:batchOverhead:batchOverhead], body...)
		binary.BigEndian.PutUint32(data[8:], uint32(len(data)-batchPrefix))
		if n, _, _, err := wholeBatches(summed(data)); n != len(data) || err != nil {
			t.Fatalf("%d of %d bytes, %v", n, len(data), err)
		}
		_, _ = (&Fetched{data: data, unpackers: pool}).all() // it ends
	})
}

// answerFrom reads an answer as a lane does.
func answerFrom(body []byte, byID bool) (text string, err error) {
	l := &line{in: bufio.NewReader(bytes.NewReader(body))}
	a, err := l.answer(byID)
	if err != nil {
		return "", err
	}
	for p := (partAnswer{}); a.next(&p); {
		records := make([]byte, p.records)
		a.full(records)
		text += fmt.Sprintf("%x%s/%d: %d %d %v %q\n", a.id[:2], a.topic, p.partition, p.err, p.replica, p.aborted, records)
		a.over()
	}
	if a.err == nil && !a.done {
		a.end()
	}
	return text, a.err
}

// Answers are those that another client writes, with fields of later versions; one that is cut off is an error.
func TestFetchAnswers(t *testing.T) {
	for _, version := range []int16{fetchFlexible, fetchByID} {
		r := kmsg.NewFetchResponse()
		r.Version = version
		for i, name := range []string{"one", "two"} {
			topic := kmsg.NewFetchResponseTopic()
			topic.Topic, topic.TopicID = name, [16]byte{byte(i + 1), 7}
			for n := range int32(2) {
				p := kmsg.NewFetchResponseTopicPartition()
				p.Partition, p.PreferredReadReplica, p.RecordBatches = n, -1, []byte("records")
				if n == 1 {
					p.ErrorCode, p.PreferredReadReplica, p.RecordBatches = 6, 4, nil
					p.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{{ProducerID: 9, FirstOffset: 8}}
					p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = 3, 2
				}
				topic.Partitions = append(topic.Partitions, p)
			}
			r.Topics = append(r.Topics, topic)
		}
		body := r.AppendTo([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0})
		binary.BigEndian.PutUint32(body, uint32(len(body)-4))
		want := ""
		for i, name := range []string{"one", "two"} {
			id := fmt.Sprintf("%02x07", i+1)
			if version < fetchByID {
				id = "0000" + name
			}
			want += id + "/0: 0 -1 [] \"records\"\n" + id + "/1: 6 4 [{9 8}] \"\"\n"
		}
		if got, err := answerFrom(body, version >= fetchByID); err != nil || got != want {
			t.Errorf("version %d: got %s, %v\nwant %s", version, got, err, want)
		}
		for i := range body {
			if _, err := answerFrom(body[:i], version >= fetchByID); err == nil {
				t.Fatalf("version %d: %d of %d bytes are an answer", version, i, len(body))
			}
		}
	}
}

// FuzzFetchAnswer: any bytes are read or refused.
func FuzzFetchAnswer(f *testing.F) {
	f.Add([]byte{0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0}, true)
	f.Fuzz(func(t *testing.T, body []byte, byID bool) {
		if len(body) < 8 {
			return
		}
		binary.BigEndian.PutUint32(body, uint32(len(body)-4)) // as far as the frame goes, memory does
		if text, err := answerFrom(body, byID); err == nil && len(text) > 64*len(body) {
			t.Errorf("%d bytes from %d", len(text), len(body))
		}
	})
}
