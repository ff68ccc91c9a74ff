package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/runtime/herder"
)

// appendLimit is for how long an append may take until it has been read back (Connect: READ_WRITE_TOTAL_TIMEOUT_MS).
const appendLimit = 30 * time.Second

// LogOptions say where a log is.
type LogOptions struct {
	Session *kafkaclient.Session // of Config; the log does not close it
	Config  *kafkaclient.Config
	Topic   kafkaclient.LogOptions // one partition for the config log, whatever is said
	// LeaderID is the transactional id under which the leader writes the config log, connect-cluster-<group.id> with
	// exactly.once.source.support=enabled or preparing; empty: leaders are not fenced.
	LeaderID string
	Logger   *slog.Logger
}

func (o *LogOptions) logger() *slog.Logger {
	if o.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Logger.With("logger", loggerName)
}

const loggerName = "freshet.cluster"

// LeaderID is the transactional id of the leader of a group (KIP-618).
func LeaderID(group string) string { return "connect-cluster-" + group }

// ConfigLog is the config topic as a herder.ConfigLog. It has one goroutine, "tail".
type ConfigLog struct {
	o     LogOptions
	log   *kafkaclient.Log
	tail  *tail
	limit time.Duration // of Append

	mu     sync.Mutex // held while records are written
	leader *kafkaclient.Producer
	claim  kafkaclient.Claim // of a leading producer that failed and was not fenced
	topic  *kafkaclient.Topic
}

// OpenConfigLog makes the topic when it is missing.
func OpenConfigLog(ctx context.Context, o LogOptions) (*ConfigLog, error) {
	o.Topic.Partitions = 1
	l, err := kafkaclient.OpenLog(ctx, o.Session, o.Config, o.Topic)
	if err != nil {
		return nil, fmt.Errorf("open config topic: %w", err)
	}
	if n := l.Partitions(); n > 1 {
		l.Close()
		return nil, fmt.Errorf("%w: topic %s, named by config.storage.topic, has %d partitions: it must have a single one, for only that keeps the "+
			"configurations of connectors consistent; name another topic, or create this one anew with one partition", kafkaclient.ErrUnfit, o.Topic.Topic, n)
	}
	return &ConfigLog{o: o, log: l, limit: appendLimit}, nil
}

// Start implements herder.ConfigLog.
func (c *ConfigLog) Start(ctx context.Context, apply func(offset int64, m herder.Message, live bool)) error {
	ends, err := c.log.Ends(ctx, true)
	if err != nil {
		return err
	}
	history := ends[0]
	c.tail = startTail(c.log, c.o.logger(), func(m kafkaclient.Message) {
		apply(m.Offset, herder.Message{Key: string(m.Key), Value: m.Value}, m.Offset >= history)
	})
	if err := c.tail.reach(ctx, ends); err != nil {
		return fmt.Errorf("read topic %s to its end: %w", c.log.Topic(), err)
	}
	return nil
}

// Append implements herder.ConfigLog. What only a leader may write fails with herder.ErrFenced unless Lead was called and nobody
// else has called it since.
func (c *ConfigLog) Append(ctx context.Context, ms ...herder.Message) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.limit, errTooLate)
	defer cancel()
	err := c.write(ctx, ms)
	if err == nil {
		err = c.tail.end(ctx, false)
		if err != nil {
			err = fmt.Errorf("read back what was written: %w", err)
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(context.Cause(ctx), errTooLate):
		err = fmt.Errorf("%w (limit %v): %w", errTooLate, c.limit, err)
	}
	return fmt.Errorf("append to config topic %s: %w", c.log.Topic(), err)
}

var errTooLate = errors.New("not written and read back in time: check that the brokers can be reached, and that the topic's partition " +
	"has a leader and enough replicas in sync")

func (c *ConfigLog) write(ctx context.Context, ms []herder.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.o.LeaderID != "" && privileged(ms) {
		return c.writeAsLeader(ctx, ms)
	}
	records := make([]kafkaclient.Message, len(ms))
	for i, m := range ms {
		records[i] = kafkaclient.Message{Key: []byte(m.Key), Value: m.Value}
	}
	return c.log.AppendAll(ctx, records)
}

// writeAsLeader writes one transaction. In the place of a producer that failed comes one that goes on only if nobody else leads by now.
func (c *ConfigLog) writeAsLeader(ctx context.Context, ms []herder.Message) error {
	if c.leader == nil {
		if !c.claim.Held {
			return fmt.Errorf("%w: this worker has not taken the lead", herder.ErrFenced)
		}
		if err := c.lead(ctx, c.claim); err != nil {
			return err
		}
	}
	now := time.Now().UnixMilli()
	var err error
	for i := 0; err == nil && i < len(ms); i++ {
		err = c.leader.Append(ctx, c.topic, 0, &kafkaclient.Record{Key: []byte(ms[i].Key), Value: ms[i].Value, Timestamp: now})
	}
	if err == nil {
		c.leader.Mark(1)
		c.leader.Cut()
		err = c.leader.Commit(ctx)
	}
	if err == nil {
		return nil
	}
	claim := c.leader.Claim()
	c.dropLeader()
	if errors.Is(err, kafkaclient.ErrFenced) {
		return fmt.Errorf("%w: %w", herder.ErrFenced, err)
	}
	c.claim = claim
	return err
}

// privileged tells what only the leader writes: all but target states, restart requests and log levels, unless they belong to more
// (Connect, KafkaConfigBackingStore).
func privileged(ms []herder.Message) bool {
	for _, m := range ms {
		switch {
		case strings.HasPrefix(m.Key, "target-state-"), strings.HasPrefix(m.Key, "restart-connector-"), strings.HasPrefix(m.Key, "logger-cluster-"):
		default:
			return true
		}
	}
	return false
}

// Sync implements herder.ConfigLog.
func (c *ConfigLog) Sync(ctx context.Context) error {
	if err := c.tail.end(ctx, true); err != nil {
		return fmt.Errorf("read topic %s to its end: %w", c.log.Topic(), err)
	}
	return nil
}

// Lead implements herder.ConfigLog: with a LeaderID it fences every earlier leader and ends its open transaction.
func (c *ConfigLog) Lead(ctx context.Context) error {
	if c.o.LeaderID == "" {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropLeader()
	return c.lead(ctx, kafkaclient.Claim{})
}

// lead makes the leader's producer; with a claim only if nobody has led since. c.mu is held.
func (c *ConfigLog) lead(ctx context.Context, claim kafkaclient.Claim) error {
	pc := c.o.Config.Producer
	pc.TransactionalID = c.o.LeaderID
	p, err := kafkaclient.NewProducer(ctx, c.o.Session, pc, kafkaclient.ProducerOptions{Logger: c.o.logger(), Claim: claim})
	if err == nil {
		if c.topic, err = p.Topic(ctx, c.log.Topic()); err == nil {
			c.leader = p
			return nil
		}
		c.claim = p.Claim()
		p.Close()
	}
	if errors.Is(err, kafkaclient.ErrFenced) {
		c.claim = kafkaclient.Claim{}
		err = fmt.Errorf("%w: %w", herder.ErrFenced, err)
	}
	return fmt.Errorf("take the lead over config topic %s: %w", c.log.Topic(), err)
}

func (c *ConfigLog) dropLeader() {
	c.claim = kafkaclient.Claim{}
	if c.leader != nil {
		c.leader.Close()
		c.leader = nil
	}
}

// Close implements herder.ConfigLog.
func (c *ConfigLog) Close() error {
	c.tail.stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropLeader()
	c.log.Close()
	return nil
}
