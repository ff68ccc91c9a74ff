package kafkaclient

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// Message is a record read from a topic; the slices belong to the receiver.
type Message struct {
	Offset     int64
	Key, Value []byte // nil: null
	Headers    []Header
	Timestamp  int64 // ms
}

// Log is a compacted topic used as a table: written by key, read whole.
type Log struct {
	cfg       *Config
	session   *Session
	topic     string
	isolation sarama.IsolationLevel
	producer  *Producer
	handle    *Topic
	partition int32           // of what is appended; -1: by key
	next      map[int32]int64 // for ReadNew
	patience  time.Duration   // of a reader; 0: openPatience
}

// LogOptions describe the topic.
type LogOptions struct {
	Topic       string
	Partitions  int32             // when it is created; -1: the broker's default
	Replication int16             // when it is created; -1: the broker's default
	Settings    map[string]string // further topic settings; cleanup.policy is always compact
	Uncommitted bool              // read records of open and aborted transactions too
	Existing    bool              // fail rather than create the topic
	Whole       bool              // keep every record: cleanup.policy is what Settings say, nothing is refused, and records go to partition 0
}

// OpenLog creates the topic when it is missing and opens it for reading and appending. The session must belong to cfg; the
// Log does not close it.
func OpenLog(ctx context.Context, s *Session, cfg *Config, o LogOptions) (*Log, error) {
	l := &Log{cfg: cfg, session: s, topic: o.Topic, isolation: sarama.ReadCommitted, partition: -1}
	if o.Whole {
		l.partition = 0
	}
	if o.Uncommitted {
		l.isolation = sarama.ReadUncommitted
	}
	_, err := s.Describe(ctx, o.Topic)
	if errors.Is(err, ErrTopicMissing) && !o.Existing {
		settings := map[string]string{}
		for k, v := range o.Settings {
			settings[k] = v
		}
		if !o.Whole {
			settings["cleanup.policy"] = "compact"
		}
		err = s.Create(ctx, NewTopic{Name: o.Topic, Partitions: o.Partitions, Replication: o.Replication, Settings: settings})
	}
	if err != nil {
		return nil, err
	}
	if !o.Whole {
		if err := l.checkCompacted(ctx); err != nil { // also of a new one: somebody else may have made it meanwhile
			return nil, err
		}
	}
	if err := l.connect(ctx); err != nil {
		return nil, err
	}
	return l, nil
}

// connect makes the producer, or another one in the place of one that has given up.
func (l *Log) connect(ctx context.Context) error {
	pc := l.cfg.Producer
	pc.TransactionalID = ""
	p, err := NewProducer(ctx, l.session, pc, ProducerOptions{})
	if err != nil {
		return err
	}
	handle, err := p.Topic(ctx, l.topic)
	if err != nil {
		p.Close()
		return err
	}
	if l.producer != nil {
		l.producer.Close()
	}
	l.producer, l.handle = p, handle
	return nil
}

// checkCompacted refuses a topic whose old records would be deleted by age (as Connect's TopicAdmin does).
func (l *Log) checkCompacted(ctx context.Context) error {
	settings, err := l.session.Settings(ctx, l.topic)
	if k, ok := asKError(err); ok && (k == sarama.ErrTopicAuthorizationFailed || k == sarama.ErrClusterAuthorizationFailed) {
		return nil // without the right to look, the operator's word is taken
	}
	if err != nil {
		return err
	}
	if p, ok := settings["cleanup.policy"]; ok && p != "compact" {
		return fmt.Errorf("%w: topic %s has cleanup.policy=%s and would lose records: set it to compact, or name another topic", ErrUnfit, l.topic, p)
	}
	return nil
}

// Partitions returns the number of partitions.
func (l *Log) Partitions() int32 { return l.handle.Partitions() }

// Topic returns the topic's name.
func (l *Log) Topic() string { return l.topic }

// Append writes one record, a nil value deletes the key, and returns when it is acknowledged. One caller at a time.
func (l *Log) Append(ctx context.Context, key, value []byte) error {
	return l.AppendAll(ctx, []Message{{Key: key, Value: value}})
}

// AppendAll writes records together and returns when all are acknowledged. One caller at a time. After an error some of
// them may be written.
func (l *Log) AppendAll(ctx context.Context, ms []Message) error {
	if err := l.producer.Err(); err != nil && !errors.Is(err, ErrClosed) {
		if err := l.connect(ctx); err != nil {
			return fmt.Errorf("append to topic %s: %w", l.topic, err)
		}
	}
	now := time.Now().UnixMilli()
	for _, m := range ms {
		r := Record{Key: m.Key, Value: m.Value, Headers: m.Headers, Timestamp: now}
		if err := l.producer.Append(ctx, l.handle, l.partition, &r); err != nil {
			return fmt.Errorf("append to topic %s: %w", l.topic, err)
		}
	}
	l.producer.Mark(0)
	if err := l.producer.Flush(ctx); err != nil {
		return fmt.Errorf("append to topic %s: %w", l.topic, err)
	}
	return nil
}

// Close ends the log's producer.
func (l *Log) Close() { l.producer.Close() }

// ReadToEnd calls each with every record from the beginning to the end as it was when the call was made, of all partitions,
// in order within a partition. Under read_committed it waits for open transactions that began before that end.
func (l *Log) ReadToEnd(ctx context.Context, each func(partition int32, m Message) error) error {
	l.next = nil
	return l.ReadNew(ctx, each)
}

// ReadNew is ReadToEnd for what came since the last read. One caller at a time.
func (l *Log) ReadNew(ctx context.Context, each func(partition int32, m Message) error) error {
	if err := l.read(ctx, each); err != nil {
		return fmt.Errorf("read topic %s to its end: %w", l.topic, err)
	}
	return nil
}

// read uses connections of its own, for a fetch that waits would hold up the producers of a shared one.
func (l *Log) read(ctx context.Context, each func(int32, Message) error) error {
	r, err := newLogReader(ctx, l.cfg, l.topic, l.isolation, each)
	if err != nil {
		return err
	}
	r.patience = l.patience
	defer func() { _ = r.client.Close() }()
	parts, err := wait(ctx, func() ([]int32, error) { return r.client.Partitions(l.topic) })
	if err != nil {
		return explain(err)
	}
	if l.next == nil {
		l.next = map[int32]int64{}
	}
	for _, id := range parts {
		at, err := r.partition(ctx, id, l.next[id])
		if err != nil {
			return err
		}
		l.next[id] = at
	}
	return nil
}

// ReadPartition calls each with every record of a partition, from its beginning to its end as it was when the call was made, over a
// connection of its own.
func ReadPartition(ctx context.Context, cfg *Config, topic string, partition int32, each func(m Message) error) error {
	r, err := newLogReader(ctx, cfg, topic, cfg.sarama.Consumer.IsolationLevel, func(_ int32, m Message) error { return each(m) })
	if err == nil {
		defer func() { _ = r.client.Close() }()
		_, err = r.partition(ctx, partition, 0)
	}
	if err != nil {
		return fmt.Errorf("read topic %s to its end: %w", topic, err)
	}
	return nil
}
