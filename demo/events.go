package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// unavailable stands in an event for a large value that the change did not touch.
const unavailable = "__debezium_unavailable_value"

// tombstone is the operation of a record without a value, which follows every delete.
const tombstone = '0'

// item is one event of a key as the comparison sees it.
type item struct {
	op      byte
	version int64 // of the new row; 0 for deletes and tombstones
}

// keyLog is what arrived for one key: every event, and the row that replaying them gives (nil: deleted).
type keyLog struct {
	items []item
	row   []*string
}

// arrival is when one event was committed, as it says itself, and when it could be read from the broker.
type arrival struct {
	version         int64 // as in item
	committed, seen time.Time
}

// consumer reads the topics from the beginning with read_committed, in a goroutine of its own.
type consumer struct {
	client *kgo.Client
	tables []table
	done   chan struct{}

	mu       sync.Mutex
	keys     []map[string]*keyLog // per table
	next     map[partition]int64  // offset after the last record read, markers of transactions included
	arrivals []arrival
	events   int64
}

type partition struct {
	topic  string
	number int32
}

// startConsumer reads until close; an event that it cannot read cancels the run.
func startConsumer(ctx context.Context, address string, tables []table, cancel context.CancelCauseFunc) (*consumer, error) {
	c := &consumer{tables: tables, done: make(chan struct{}), next: map[partition]int64{}}
	var topics []string
	for i := range c.tables {
		topics = append(topics, c.tables[i].topic())
		c.keys = append(c.keys, map[string]*keyLog{})
	}
	var err error
	c.client, err = kgo.NewClient(kgo.SeedBrokers(address), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.MetadataMinAge(100*time.Millisecond), kgo.MetadataMaxAge(500*time.Millisecond)) // the topics do not exist yet
	if err != nil {
		return nil, fmt.Errorf("make a consumer: %w", err)
	}
	go c.read(ctx, cancel)
	return c, nil
}

func (c *consumer) read(ctx context.Context, cancel context.CancelCauseFunc) {
	defer close(c.done)
	for {
		fetches := c.client.PollFetches(ctx)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return
		}
		now := time.Now()
		c.mu.Lock()
		var err error
		fetches.EachRecord(func(r *kgo.Record) {
			c.next[partition{r.Topic, r.Partition}] = r.Offset + 1
			if e := c.take(r, now); e != nil && err == nil {
				err = fmt.Errorf("read event %s[%d]@%d: %w", r.Topic, r.Partition, r.Offset, e)
			}
		})
		c.mu.Unlock()
		if err != nil {
			cancel(err)
			return
		}
	}
}

// envelope is the part of a Debezium event that the comparison needs.
type envelope struct {
	Before, After map[string]any
	Op            string
	Source        struct {
		TsUs int64 `json:"ts_us"`
	}
}

func decode(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(into)
}

func (c *consumer) take(r *kgo.Record, now time.Time) error {
	if r.Attrs.IsControl() {
		return nil
	}
	number := 0
	for number < len(c.tables) && c.tables[number].topic() != r.Topic {
		number++
	}
	t := &c.tables[number]
	var key map[string]any
	if err := decode(r.Key, &key); err != nil {
		return fmt.Errorf("decode key: %w", err)
	}
	keyRow, err := t.row(key, nil)
	if err != nil {
		return err
	}
	name := t.keyOf(keyRow)
	log := c.keys[number][name]
	if log == nil {
		log = &keyLog{}
		c.keys[number][name] = log
	}
	c.events++
	if r.Value == nil {
		log.items = append(log.items, item{op: tombstone})
		return nil
	}
	var e envelope
	if err := decode(r.Value, &e); err != nil {
		return fmt.Errorf("decode value: %w", err)
	}
	if len(e.Op) != 1 {
		return fmt.Errorf("operation %q is not one letter", e.Op)
	}
	version, err := log.apply(t, e)
	if e.Op != "r" {
		c.arrivals = append(c.arrivals, arrival{version, time.UnixMicro(e.Source.TsUs), now})
	}
	return err
}

// apply enters an event, replays it and returns the version as in item.
func (l *keyLog) apply(t *table, e envelope) (version int64, err error) {
	row := l.row
	l.row = nil
	if e.Op != "d" {
		if l.row, err = t.row(e.After, row); err != nil {
			return 0, err
		}
		if version, err = t.versionOf(l.row); err != nil {
			return 0, err
		}
	}
	l.items = append(l.items, item{e.Op[0], version})
	return version, nil
}

// row turns the fields of an event into canonical texts; a value that was not sent is taken from the row before.
func (t *table) row(fields map[string]any, before []*string) ([]*string, error) {
	out := make([]*string, len(t.columns))
	for i := range t.columns {
		v := fields[t.columns[i].name]
		if v == unavailable && before != nil {
			out[i] = before[i]
			continue
		}
		var err error
		if out[i], err = t.columns[i].fromEvent(v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// count is how many events have been read.
func (c *consumer) count() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.events
}

// has tells whether the ledger rows of these ids have arrived.
func (c *consumer) has(ids []int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		if c.keys[ledger][fmt.Sprint(id)] == nil {
			return false
		}
	}
	return true
}

// atEnd tells whether every partition has been read to where it ends now for a reader of committed records.
func (c *consumer) atEnd(ctx context.Context) (bool, error) {
	ends, err := c.endOffsets(ctx)
	if err != nil {
		return false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for p, end := range ends {
		if c.next[p] < end {
			return false, nil
		}
	}
	return true, nil
}

func (c *consumer) endOffsets(ctx context.Context) (map[partition]int64, error) {
	metadata := kmsg.NewPtrMetadataRequest()
	for i := range c.tables {
		topic, name := kmsg.NewMetadataRequestTopic(), c.tables[i].topic()
		topic.Topic = &name
		metadata.Topics = append(metadata.Topics, topic)
	}
	there, err := metadata.RequestWith(ctx, c.client)
	if err != nil {
		return nil, fmt.Errorf("ask for the topics: %w", err)
	}
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.IsolationLevel = -1, 1
	for _, t := range there.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return nil, fmt.Errorf("ask for topic %s: %w", *t.Topic, err)
		}
		topic := kmsg.NewListOffsetsRequestTopic()
		topic.Topic = *t.Topic
		for _, p := range t.Partitions {
			part := kmsg.NewListOffsetsRequestTopicPartition()
			part.Partition, part.Timestamp = p.Partition, -1
			topic.Partitions = append(topic.Partitions, part)
		}
		req.Topics = append(req.Topics, topic)
	}
	resp, err := req.RequestWith(ctx, c.client)
	if err != nil {
		return nil, fmt.Errorf("ask for end offsets: %w", err)
	}
	out := map[partition]int64{}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, fmt.Errorf("ask for the end offset of %s[%d]: %w", t.Topic, p.Partition, err)
			}
			out[partition{t.Topic, p.Partition}] = p.Offset
		}
	}
	return out, nil
}

func (c *consumer) close() {
	c.client.Close()
	<-c.done
}
