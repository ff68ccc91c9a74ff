package deadletter

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/kafkaclient"
)

// Letter is a record of a queue with its place there.
type Letter struct {
	Record
	Partition int32 // of the topic; 0 in a file
	Place     int64 // offset in the topic; number of the line in the file, from 1
}

// Header returns the newest header of a name, "" when there is none.
func (l *Letter) Header(name string) string {
	for i := len(l.Headers) - 1; i >= 0; i-- {
		if string(l.Headers[i].Key) == name {
			return string(l.Headers[i].Value)
		}
	}
	return ""
}

// Own are the record's headers without those that say where and why it failed.
func (l *Letter) Own() []connectors.RawHeader {
	var out []connectors.RawHeader
	for _, h := range l.Headers {
		if !Context(string(h.Key)) {
			out = append(out, h)
		}
	}
	return out
}

// Reader reads the queue of one connector, and remembers how far it was replayed.
type Reader struct {
	queues    *Queues
	config    connectors.Config
	settings  connectors.Settings
	connector string
	path      string // of a file; "": a topic
	topic     string
}

// Reader returns a reader for the queue that a configuration names.
func (q *Queues) Reader(c connectors.Config, s connectors.Settings) (*Reader, error) {
	for _, err := range q.Check(c, s.Worker) {
		return nil, err
	}
	r := &Reader{queues: q, config: c, settings: s, connector: s.Connector, path: strings.TrimSpace(c[keyFile]), topic: strings.TrimSpace(c[keyTopic])}
	if r.path == "" && r.topic == "" {
		return nil, fmt.Errorf("connector %s has no dead-letter queue: neither %s nor %s is set", s.Connector, keyTopic, keyFile)
	}
	return r, nil
}

// Marks is how far a queue was replayed: the next place of each partition.
type Marks map[int32]int64

// Read calls each with every letter of the connector from the marks on, to the end as it is now, and returns the marks of that end.
// Letters that name another connector are passed over.
func (r *Reader) Read(ctx context.Context, from Marks, each func(*Letter) error) (Marks, error) {
	mine := func(l *Letter) error {
		if name := l.Header(HeaderConnector); name != "" && name != r.connector {
			return nil
		}
		return each(l)
	}
	if r.path != "" {
		return r.readFile(from[0], mine)
	}
	return r.readTopic(ctx, from, mine)
}

func (r *Reader) readFile(from int64, each func(*Letter) error) (Marks, error) {
	f, err := os.Open(r.path)
	if errors.Is(err, os.ErrNotExist) {
		return Marks{}, nil // nothing was left out yet
	}
	if err != nil {
		return nil, fmt.Errorf("read the dead-letter queue: %w", err)
	}
	defer func() { _ = f.Close() }()
	in := bufio.NewReaderSize(f, 1<<20)
	for n := int64(1); ; n++ {
		text, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return Marks{0: n}, nil // a line without an end is being written, or was never acknowledged
		}
		if err != nil {
			return nil, fmt.Errorf("read file %s: %w", r.path, err)
		}
		if n < from {
			continue
		}
		rec, err := ParseLine(text)
		if err != nil {
			if !json.Valid(text) {
				continue // a line that a crash cut off: never acknowledged
			}
			return nil, fmt.Errorf("file %s, line %d: %w", r.path, n, err)
		}
		if err := each(&Letter{Record: *rec, Place: n}); err != nil {
			return nil, err
		}
	}
}

func (r *Reader) readTopic(ctx context.Context, from Marks, each func(*Letter) error) (Marks, error) {
	config, session, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	info, err := session.Describe(ctx, r.topic)
	if errors.Is(err, kafkaclient.ErrTopicMissing) {
		return Marks{}, nil
	}
	if err != nil {
		return nil, err
	}
	out := Marks{}
	for _, p := range info.Partitions {
		out[p] = from[p]
		err := kafkaclient.ReadPartition(ctx, config, r.topic, p, func(m kafkaclient.Message) error {
			if m.Offset < from[p] {
				return nil
			}
			l := &Letter{Record: Record{Key: m.Key, Value: m.Value, Timestamp: m.Timestamp}, Partition: p, Place: m.Offset}
			for _, h := range m.Headers {
				l.Headers = append(l.Headers, connectors.RawHeader(h))
			}
			out[p] = m.Offset + 1
			return each(l)
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (r *Reader) open(ctx context.Context) (*kafkaclient.Config, *kafkaclient.Session, error) {
	config, err := kafkaclient.Parse(producerProperties(r.config, r.settings))
	if err != nil {
		return nil, nil, fmt.Errorf("read Kafka client properties of the dead-letter queue: %w", err)
	}
	session, err := r.queues.Pool.Open(ctx, config)
	return config, session, err
}

// group keeps the marks of a topic: a consumer group without members.
func (r *Reader) group() string { return "freshet-dead-letters-" + r.connector }

// Replayed returns how far the queue was replayed.
func (r *Reader) Replayed(ctx context.Context) (Marks, error) {
	if r.path != "" {
		m, err := r.readSide()
		if err != nil {
			return nil, fmt.Errorf("read how far the queue was replayed: file %s: %w", r.side(), err)
		}
		return m, nil
	}
	_, session, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	all, err := session.GroupOffsets(ctx, r.group())
	if err != nil {
		return nil, fmt.Errorf("read how far the queue was replayed: %w", err)
	}
	out := Marks{}
	for p, at := range all {
		if p.Topic == r.topic {
			out[p.Partition] = at.Next
		}
	}
	return out, nil
}

// SetReplayed stores how far the queue was replayed.
func (r *Reader) SetReplayed(ctx context.Context, m Marks) error {
	if len(m) == 0 {
		return nil
	}
	if r.path != "" {
		if err := r.writeSide(m[0]); err != nil {
			return fmt.Errorf("store how far the queue was replayed: %w", err)
		}
		return nil
	}
	_, session, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	at := map[kafkaclient.TopicPartition]kafkaclient.GroupOffset{}
	for p, n := range m {
		at[kafkaclient.TopicPartition{Topic: r.topic, Partition: p}] = kafkaclient.GroupOffset{Next: n}
	}
	if err := session.CommitGroup(ctx, r.group(), kafkaclient.NoMember(), at); err != nil {
		return fmt.Errorf("store how far the queue was replayed: %w", err)
	}
	return nil
}
