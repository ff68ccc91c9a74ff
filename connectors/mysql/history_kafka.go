package mysql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/kafkaclient"
)

const (
	historyKeys = "schema.history.internal."
	// keptLong is how long records must be kept at least for a topic to pass without a warning, as in the reference.
	keptLong = 5 * 365 * 24 * time.Hour
)

// kafkaHistory keeps the records in the only partition of a topic, without keys (reference,
// io.debezium.storage.kafka.history.KafkaSchemaHistory).
type kafkaHistory struct {
	cfg                historyConfig
	log                *slog.Logger
	producer, consumer *kafkaclient.Config
	pool               kafkaclient.Pool
	session            *kafkaclient.Session // of the producer
	out                *kafkaclient.Log     // nil: nothing was written yet
	there              bool                 // the topic had records: another one in its place would lack them
}

func newKafkaHistory(cfg *config, log *slog.Logger) (*kafkaHistory, error) {
	k := &kafkaHistory{cfg: cfg.history, log: log}
	var err error
	if k.producer, err = kafkaclient.Parse(historyProperties(cfg, "producer.")); err != nil {
		return nil, connectors.AsPermanent(fmt.Errorf("read schema.history.internal.producer.*: %w", err))
	}
	if k.consumer, err = kafkaclient.Parse(historyProperties(cfg, "consumer.")); err != nil {
		return nil, connectors.AsPermanent(fmt.Errorf("read schema.history.internal.consumer.*: %w", err))
	}
	for _, c := range []*kafkaclient.Config{k.producer, k.consumer} {
		if len(c.Unknown) > 0 {
			log.Warn("Kafka client properties of the schema history are not known and not used", "keys", c.Unknown)
		}
		for _, w := range c.Warnings {
			log.Warn("schema history: " + w)
		}
	}
	return k, nil
}

// historyProperties are the client properties under a prefix, over the reference's defaults.
func historyProperties(cfg *config, prefix string) map[string]string {
	name := strings.TrimSpace(cfg.raw[historyKeys+"name"])
	if name == "" {
		name = cfg.naming.Prefix + "-schemahistory"
	}
	p := map[string]string{"bootstrap.servers": cfg.history.bootstrap, "client.id": name}
	if prefix == "producer." {
		p["buffer.memory"], p["batch.size"], p["delivery.timeout.ms"] = "1048576", "32768", "120000"
	} else {
		p["isolation.level"] = "read_uncommitted"
	}
	for key, v := range cfg.raw {
		if rest, ok := strings.CutPrefix(key, historyKeys+prefix); ok {
			p[rest] = v
		}
	}
	return p
}

func (k *kafkaHistory) open(ctx context.Context) error {
	if k.session != nil {
		return nil
	}
	s, err := k.pool.Open(ctx, k.producer)
	if err != nil {
		return fmt.Errorf("open the schema history: %w", err)
	}
	k.session = s
	return nil
}

// exists tells whether there is a record.
func (k *kafkaHistory) exists(ctx context.Context) (bool, error) {
	switch _, err := k.session.Describe(ctx, k.cfg.topic); {
	case errors.Is(err, kafkaclient.ErrTopicMissing):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for the schema history: %w", err)
	}
	k.check(ctx)
	first, end, err := k.session.Bounds(ctx, k.cfg.topic, 0)
	if err != nil {
		return false, fmt.Errorf("look for the schema history: %w", err)
	}
	k.there = end > first
	return k.there, nil
}

// check warns of a topic that may lose records, or has them in an order that is not theirs.
func (k *kafkaHistory) check(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.queryTimeout)
	defer cancel()
	info, err := k.session.Describe(ctx, k.cfg.topic)
	var settings map[string]string
	if err == nil {
		settings, err = k.session.Settings(ctx, k.cfg.topic)
	}
	if err != nil {
		k.log.Info("The settings of the schema history's topic could not be checked", "topic", k.cfg.topic, "error", err)
		return
	}
	for _, problem := range unfitTopic(info, settings) {
		k.log.Warn("The topic of the schema history is not fit to keep it: "+problem, "topic", k.cfg.topic)
	}
}

// unfitTopic says what about a topic endangers a history in it, and what to do.
func unfitTopic(info kafkaclient.TopicInfo, settings map[string]string) (problems []string) {
	limited := func(key string, enough int64) {
		if n, err := strconv.ParseInt(settings[key], 10, 64); err == nil && n >= 0 && n < enough {
			problems = append(problems, fmt.Sprintf("%s=%d removes records that a restart needs: set it to -1", key, n))
		}
	}
	if p, ok := settings["cleanup.policy"]; ok && p != "delete" {
		problems = append(problems, fmt.Sprintf("cleanup.policy=%s refuses or removes records, which have no keys: set it to delete", p))
	}
	limited("retention.bytes", math.MaxInt64)
	limited("retention.ms", keptLong.Milliseconds())
	if n := len(info.Partitions); n != 1 {
		problems = append(problems, fmt.Sprintf("it has %d partitions: only partition 0 is read and written", n))
	}
	return problems
}

// read hands out the records from the beginning to the end of now. It gives up when none comes for as long as recovery.attempts and
// recovery.poll.interval.ms say.
func (k *kafkaHistory) read(ctx context.Context, each func(at string, record []byte) error) error {
	silence := time.Duration(max(k.cfg.attempts, 0)+1) * max(k.cfg.poll, time.Millisecond)
	errSilent := fmt.Errorf("no record came within %v: raise schema.history.internal.kafka.recovery.attempts or .recovery.poll.interval.ms", silence)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer timer.Stop()
	err := kafkaclient.ReadPartition(ctx, k.consumer, k.cfg.topic, 0, func(m kafkaclient.Message) error {
		timer.Reset(silence)
		if m.Value == nil {
			k.log.Warn("The schema history has a record without a value, which says nothing", "topic", k.cfg.topic, "offset", m.Offset)
			return nil
		}
		return each(fmt.Sprintf("topic %s, partition 0, offset %d", k.cfg.topic, m.Offset), m.Value)
	})
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err != nil {
		return fmt.Errorf("read the schema history: %w", err)
	}
	return nil
}

// append writes records and returns when all in-sync replicas have them.
func (k *kafkaHistory) append(ctx context.Context, records []historyRecord) error {
	if err := k.create(ctx); err != nil {
		return fmt.Errorf("write the schema history: %w", err)
	}
	messages := make([]kafkaclient.Message, len(records))
	for i := range records {
		messages[i].Value = records[i].encode(true)
	}
	if err := k.out.AppendAll(ctx, messages); err != nil {
		return fmt.Errorf("write the schema history: %w", err)
	}
	return nil
}

// create opens the topic for writing, and makes it when there is none and was none.
func (k *kafkaHistory) create(ctx context.Context) error {
	if k.out != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, k.cfg.createTimeout)
	defer cancel()
	var err error
	k.out, err = kafkaclient.OpenLog(ctx, k.session, k.producer, kafkaclient.LogOptions{
		Topic: k.cfg.topic, Partitions: 1, Replication: -1, Whole: true, Existing: k.there,
		Settings: map[string]string{"cleanup.policy": "delete", "retention.ms": strconv.FormatInt(math.MaxInt64, 10), "retention.bytes": "-1"},
	})
	if errors.Is(err, kafkaclient.ErrTopicMissing) {
		err = fmt.Errorf("%w; it was in %s", errNoHistory, k.cfg.place())
	}
	return err
}

func (k *kafkaHistory) close() {
	if k.out != nil {
		k.out.Close()
		k.out = nil
	}
	if k.session != nil {
		k.session.Close()
		k.session = nil
	}
}
