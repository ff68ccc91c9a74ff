package deadletter

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/kafkaclient"
)

// Replay sends the letters from the marks on to the topics where they came from, as they were there: key, value, own headers,
// timestamp, and the partition. Letters of all go to the topic `to` when one is named, by their keys. It returns how many were sent, and
// the marks when all of them are durable.
func (r *Reader) Replay(ctx context.Context, from Marks, to string) (int, Marks, error) {
	config, err := kafkaclient.Parse(producerProperties(r.config, r.settings))
	if err != nil {
		return 0, nil, fmt.Errorf("read Kafka client properties: %w", err)
	}
	session, err := r.queues.Pool.Open(ctx, config)
	if err != nil {
		return 0, nil, err
	}
	defer session.Close()
	producer, err := kafkaclient.NewProducer(ctx, session, config.Producer, kafkaclient.ProducerOptions{Logger: r.settings.Logger})
	if err != nil {
		return 0, nil, err
	}
	defer producer.Close()
	topics := map[string]*kafkaclient.Topic{}
	n := 0
	marks, err := r.Read(ctx, from, func(l *Letter) error {
		name, err := r.origin(l, to)
		if err != nil {
			return err
		}
		t := topics[name]
		if t == nil {
			if t, err = producer.Topic(ctx, name); err != nil {
				return err
			}
			topics[name] = t
		}
		partition := int32(-1)
		if p, err := strconv.ParseInt(l.Header(HeaderPartition), 10, 32); to == "" && err == nil && int32(p) < t.Partitions() {
			partition = int32(p)
		}
		rec := kafkaclient.Record{Key: l.Key, Value: l.Value, Timestamp: max(l.Timestamp, 0)}
		for _, h := range l.Own() {
			rec.Headers = append(rec.Headers, kafkaclient.Header(h))
		}
		if err := producer.Append(ctx, t, partition, &rec); err != nil {
			return fmt.Errorf("replay the letter at %d: %w", l.Place, err)
		}
		n++
		producer.Mark(uint64(n))
		return nil
	})
	if err == nil {
		err = producer.Flush(ctx)
	}
	if err != nil {
		return 0, nil, err
	}
	return n, marks, nil
}

// origin is the topic that a letter goes to.
func (r *Reader) origin(l *Letter, to string) (string, error) {
	if to == "" {
		to = l.Header(HeaderTopic)
	}
	if list := connectors.SplitList(r.config["topics"]); to == "" && len(list) == 1 {
		to = list[0]
	}
	if to == "" {
		return "", fmt.Errorf("the letter at %d does not say which topic it came from (%s was false): name one", l.Place, keyHeaders)
	}
	if strings.EqualFold(to, r.topic) {
		return "", fmt.Errorf("the letter at %d would go into the dead-letter queue %s again: name another topic", l.Place, to)
	}
	return to, nil
}
