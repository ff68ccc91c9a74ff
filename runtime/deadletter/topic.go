package deadletter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/kafkaclient"
)

// topic is a queue in Kafka.
type topic struct {
	name     string
	session  *kafkaclient.Session
	producer *kafkaclient.Producer
	topic    *kafkaclient.Topic
	marks    uint64
}

const defaultFactor = 3

// openTopic connects, and makes the topic when it is missing: one partition, as the reference does.
func openTopic(ctx context.Context, pool *kafkaclient.Pool, c connectors.Config, s connectors.Settings) (target, error) {
	name := strings.TrimSpace(c[keyTopic])
	config, err := kafkaclient.Parse(producerProperties(c, s))
	if err != nil {
		return nil, connectors.AsPermanent(fmt.Errorf("read Kafka client properties of the dead-letter queue: %w", err))
	}
	t := &topic{name: name}
	if t.session, err = pool.Open(ctx, config); err != nil {
		return nil, classify(err)
	}
	log := s.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	err = t.make(ctx, pool, c, s, log)
	if err == nil {
		t.producer, err = kafkaclient.NewProducer(ctx, t.session, config.Producer, kafkaclient.ProducerOptions{Logger: log})
	}
	if err == nil {
		t.topic, err = t.producer.Topic(ctx, name)
	}
	if err != nil {
		return nil, errors.Join(classify(err), t.close(ctx))
	}
	return t, nil
}

// make makes the topic unless it is there.
func (t *topic) make(ctx context.Context, pool *kafkaclient.Pool, c connectors.Config, s connectors.Settings, log *slog.Logger) error {
	_, err := t.session.Describe(ctx, t.name)
	if !errors.Is(err, kafkaclient.ErrTopicMissing) {
		return err
	}
	admin := t.session
	if p := adminProperties(c, s); p != nil {
		config, err := kafkaclient.Parse(p)
		if err != nil {
			return connectors.AsPermanent(fmt.Errorf("read the admin client properties of the dead-letter queue: %w", err))
		}
		if admin, err = pool.Open(ctx, config); err != nil {
			return err
		}
		defer admin.Close()
	}
	factor := int64(defaultFactor)
	if v := strings.TrimSpace(c[keyFactor]); v != "" {
		if factor, err = strconv.ParseInt(v, 10, 16); err != nil {
			return connectors.AsPermanent(fmt.Errorf("%s: %q is not a number", keyFactor, v))
		}
	}
	if err := admin.Create(ctx, kafkaclient.NewTopic{Name: t.name, Partitions: 1, Replication: int16(factor)}); err != nil {
		return fmt.Errorf("make the dead-letter topic (%s=%d): %w", keyFactor, factor, err)
	}
	log.Info("made the topic of the dead-letter queue", "topic", t.name, "replication", factor)
	return nil
}

func (t *topic) add(ctx context.Context, r *Record) error {
	out := kafkaclient.Record{Key: r.Key, Value: r.Value, Timestamp: max(r.Timestamp, 0)}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, kafkaclient.Header(h))
	}
	if err := t.producer.Append(ctx, t.topic, -1, &out); err != nil {
		return t.explain(err)
	}
	// At once: the record may share a chunk with one that flush is waiting for.
	t.marks++
	t.producer.Mark(t.marks)
	return nil
}

func (t *topic) flush(ctx context.Context) error { return t.explain(t.producer.Flush(ctx)) }

func (t *topic) explain(err error) error {
	if err == nil {
		return nil
	}
	return classify(fmt.Errorf("topic %s: %w", t.name, err))
}

// close ends the producer within ctx.
func (t *topic) close(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if t.producer != nil {
			t.producer.Close()
		}
		t.session.Close()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("end the producer of topic %s: %w", t.name, ctx.Err())
	}
}

// classify gives an error of the client its class.
func classify(err error) error {
	if kafkaclient.Permanent(err) {
		return connectors.AsPermanent(err)
	}
	return err
}
