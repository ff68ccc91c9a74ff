// Package kafkaclient is Freshet's Kafka client: it reads the client properties of Kafka's Java clients, and offers a
// producer (batches, idempotent, transactional), a compacted-topic log and topic administration over sarama's protocol layer.
package kafkaclient

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

// Limits and defaults that differ from the Java client's on purpose: batches form because requests are in flight, so a
// batch may be as large as a request, and nothing ever waits for a linger.
const (
	DefaultRequestBytes = 1 << 20  // max.request.size, as in Java
	DefaultBatchBytes   = 1 << 19  // batch.size when it is not set
	DefaultBufferBytes  = 32 << 20 // buffer.memory, as in Java
	maxInFlight         = 5        // the broker remembers the sequences of five batches

	// A broker answers a write after request.timeout.ms at the latest; the connection is given up a little later.
	answerSlack = 2 * time.Second
)

// Config is what the client properties of one producer, consumer or admin client say. Durations are zero when unset
// means "for ever".
type Config struct {
	Brokers  []string // host:port
	Producer ProducerConfig
	Warnings []string // settings that have no effect here, one sentence each, for the log
	Unknown  []string // keys that are not client properties at all, sorted, for one warning

	sarama *sarama.Config
	key    string // equal for configs that may share connections
}

// ProducerConfig holds the producer's settings, in bytes and durations.
type ProducerConfig struct {
	TransactionalID    string
	TransactionTimeout time.Duration
	DeliveryTimeout    time.Duration // 0: retry for ever
	RequestTimeout     time.Duration
	RetryBackoff       time.Duration
	RetryBackoffMax    time.Duration
	RequestBytes       int // one request, and the largest record
	BatchBytes         int // one batch of one partition
	BufferBytes        int64
	InFlight           int // requests per broker
	Codec              sarama.CompressionCodec
	Level              int // sarama.CompressionLevelDefault or the codec's level
}

// Parse reads client properties (Kafka documentation, "Producer Configs", "Consumer Configs", "Admin Configs"). An error
// names the key and what to write instead; secrets do not appear in it (I12).
func Parse(props map[string]string) (*Config, error) {
	c := &Config{sarama: newSaramaConfig()}
	c.Producer = ProducerConfig{
		TransactionTimeout: time.Minute, RequestTimeout: 30 * time.Second,
		RetryBackoff: 100 * time.Millisecond, RetryBackoffMax: time.Second,
		RequestBytes: DefaultRequestBytes, BatchBytes: DefaultBatchBytes, BufferBytes: DefaultBufferBytes,
		InFlight: maxInFlight, Level: sarama.CompressionLevelDefault,
	}
	known := settings()
	keys := make([]string, 0, len(props))
	for k := range props {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		set, ok := known[k]
		if !ok {
			if !ownedElsewhere(k) {
				c.Unknown = append(c.Unknown, k)
			}
			continue
		}
		if err := set(c, k, strings.TrimSpace(props[k])); err != nil {
			return nil, err
		}
	}
	if len(c.Brokers) == 0 {
		return nil, fmt.Errorf("bootstrap.servers is not set: name at least one broker as host:port")
	}
	if err := c.setCompressionLevel(props); err != nil {
		return nil, err
	}
	if err := c.setSecurity(props); err != nil {
		return nil, err
	}
	if c.Producer.BatchBytes > c.Producer.RequestBytes {
		c.Producer.BatchBytes = c.Producer.RequestBytes
	}
	if err := c.sarama.Validate(); err != nil {
		return nil, fmt.Errorf("check client properties: %w", err)
	}
	c.key = connectionKey(props, keys)
	return c, nil
}

// Sarama returns a copy of the sarama configuration, for the consumer group and the group calls that use sarama directly.
func (c *Config) Sarama() *sarama.Config {
	s := *c.sarama
	return &s
}

func newSaramaConfig() *sarama.Config {
	s := sarama.NewConfig()
	s.Version = sarama.V4_0_0_0 // upper bound; each broker's own ranges lower it
	s.MetricRegistry = noMetrics{}
	s.ClientID = "freshet"
	s.Metadata.Full = false
	s.Metadata.Retry.Max = 2
	s.Metadata.Retry.Backoff = 100 * time.Millisecond
	s.Net.MaxOpenRequests = 64 // several producers share a connection, each keeps its own bound
	s.Net.DialTimeout = 10 * time.Second
	s.Net.ReadTimeout, s.Net.WriteTimeout = 30*time.Second+answerSlack, 30*time.Second+answerSlack
	s.Consumer.IsolationLevel = sarama.ReadCommitted
	s.Consumer.Return.Errors = true
	s.Consumer.Offsets.AutoCommit.Enable = false // CommitGroup tells whether it succeeded
	s.Admin.Timeout = 30 * time.Second
	return s
}

type setter func(c *Config, key, value string) error

// settings is the table of client properties with a meaning here.
func settings() map[string]setter {
	return map[string]setter{
		"bootstrap.servers":                     setBrokers,
		"client.id":                             func(c *Config, _, v string) error { c.sarama.ClientID = v; return nil },
		"client.rack":                           func(c *Config, _, v string) error { c.sarama.RackID = v; return nil },
		"request.timeout.ms":                    setRequestTimeout,
		"socket.connection.setup.timeout.ms":    duration(func(c *Config) *time.Duration { return &c.sarama.Net.DialTimeout }),
		"metadata.max.age.ms":                   duration(func(c *Config) *time.Duration { return &c.sarama.Metadata.RefreshFrequency }),
		"retry.backoff.ms":                      duration(func(c *Config) *time.Duration { return &c.Producer.RetryBackoff }),
		"retry.backoff.max.ms":                  duration(func(c *Config) *time.Duration { return &c.Producer.RetryBackoffMax }),
		"default.api.timeout.ms":                duration(func(c *Config) *time.Duration { return &c.sarama.Admin.Timeout }),
		"allow.auto.create.topics":              boolean(func(c *Config) *bool { return &c.sarama.Metadata.AllowAutoTopicCreation }),
		"acks":                                  setAcks,
		"enable.idempotence":                    setIdempotence,
		"max.in.flight.requests.per.connection": setInFlight,
		"delivery.timeout.ms":                   setDeliveryTimeout,
		"retries":                               setRetries,
		"batch.size":                            setBatchSize,
		"linger.ms":                             setLinger,
		"max.request.size":                      size(func(c *Config) *int { return &c.Producer.RequestBytes }, 1024, 1<<30),
		"buffer.memory":                         setBufferMemory,
		"compression.type":                      setCompression,
		"compression.gzip.level":                checked, "compression.lz4.level": checked, "compression.zstd.level": checked,
		"transactional.id":       func(c *Config, _, v string) error { c.Producer.TransactionalID = v; return nil },
		"transaction.timeout.ms": duration(func(c *Config) *time.Duration { return &c.Producer.TransactionTimeout }),
		"isolation.level":        setIsolation,
		"auto.offset.reset":      setOffsetReset,
		"fetch.min.bytes":        size32(func(c *Config) *int32 { return &c.sarama.Consumer.Fetch.Min }),
		"fetch.max.bytes":        size32(func(c *Config) *int32 { return &c.sarama.Consumer.Fetch.MaxBytes }),
		"max.partition.fetch.bytes": size32(func(c *Config) *int32 {
			return &c.sarama.Consumer.Fetch.Default
		}),
		"fetch.max.wait.ms":     duration(func(c *Config) *time.Duration { return &c.sarama.Consumer.MaxWaitTime }),
		"session.timeout.ms":    duration(func(c *Config) *time.Duration { return &c.sarama.Consumer.Group.Session.Timeout }),
		"heartbeat.interval.ms": duration(func(c *Config) *time.Duration { return &c.sarama.Consumer.Group.Heartbeat.Interval }),
		"max.poll.interval.ms":  duration(func(c *Config) *time.Duration { return &c.sarama.Consumer.Group.Rebalance.Timeout }),
		"group.instance.id":     func(c *Config, _, v string) error { c.sarama.Consumer.Group.InstanceId = v; return nil },
		"security.protocol":     checked, "sasl.mechanism": checked, "sasl.jaas.config": checked,
		"ssl.truststore.type": checked, "ssl.truststore.location": checked, "ssl.truststore.certificates": checked,
		"ssl.truststore.password": checked, "ssl.keystore.type": checked, "ssl.keystore.location": checked,
		"ssl.keystore.password": checked, "ssl.keystore.certificate.chain": checked, "ssl.keystore.key": checked,
		"ssl.key.password": checked, "ssl.endpoint.identification.algorithm": checked, "ssl.protocol": checked,
		"ssl.enabled.protocols": checked,
	}
}

// checked marks keys that are read together later (security, compression levels).
func checked(*Config, string, string) error { return nil }

// ownedElsewhere reports keys of the Java clients that are right to be there and mean nothing here: serializers, metrics,
// pool sizes, and what the consumer group decides itself.
func ownedElsewhere(key string) bool {
	switch key {
	case "key.serializer", "value.serializer", "key.deserializer", "value.deserializer", "group.id", "enable.auto.commit",
		"max.block.ms", "metadata.max.idle.ms", "connections.max.idle.ms", "reconnect.backoff.ms", "reconnect.backoff.max.ms",
		"send.buffer.bytes", "receive.buffer.bytes", "socket.connection.setup.timeout.max.ms", "metric.reporters",
		"metrics.num.samples", "metrics.recording.level", "metrics.sample.window.ms", "auto.include.jmx.reporter",
		"enable.metrics.push", "client.dns.lookup", "max.poll.records", "check.crcs", "exclude.internal.topics",
		"partition.assignment.strategy", "partitioner.ignore.keys", "partitioner.adaptive.partitioning.enable",
		"partitioner.availability.timeout.ms", "ssl.cipher.suites", "ssl.provider", "ssl.keymanager.algorithm",
		"ssl.trustmanager.algorithm", "ssl.secure.random.implementation", "metadata.recovery.strategy",
		"metadata.recovery.rebootstrap.trigger.ms", "group.protocol", "auto.commit.interval.ms":
		return true
	}
	return false
}

func setBrokers(c *Config, key, value string) error {
	for _, addr := range strings.Split(value, ",") {
		addr = strings.TrimSpace(addr)
		if addr == "" {
			continue
		}
		// Java accepts PROTOCOL://host:port.
		if _, rest, ok := strings.Cut(addr, "://"); ok {
			addr = rest
		}
		_, port, err := net.SplitHostPort(addr)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			return fmt.Errorf("%s: %q is not host:port", key, addr)
		}
		c.Brokers = append(c.Brokers, addr)
	}
	return nil
}

func setRequestTimeout(c *Config, key, value string) error {
	d, err := millis(key, value)
	if err != nil {
		return err
	}
	if d < time.Millisecond {
		return fmt.Errorf("%s: must be at least 1", key)
	}
	c.Producer.RequestTimeout = d
	c.sarama.Net.ReadTimeout = d + answerSlack
	c.sarama.Net.WriteTimeout = d + answerSlack
	return nil
}

func setAcks(c *Config, key, value string) error {
	switch value {
	case "all", "-1":
	case "0", "1":
		c.warn("%s=%s has no effect: every write waits for all in-sync replicas (acks=all)", key, value)
	default:
		return fmt.Errorf("%s: %q is not one of all, -1, 0, 1", key, value)
	}
	return nil
}

func setIdempotence(c *Config, key, value string) error {
	on, err := truth(key, value)
	if err == nil && !on {
		c.warn("%s=false has no effect: the producer is always idempotent", key)
	}
	return err
}

func setInFlight(c *Config, key, value string) error {
	n, err := number(key, value, 1, 1<<31-1)
	if err != nil {
		return err
	}
	if n > maxInFlight {
		c.warn("%s=%d is more than an idempotent producer may have: %d are used", key, n, maxInFlight)
	}
	c.Producer.InFlight = int(min(n, maxInFlight))
	return nil
}

func setDeliveryTimeout(c *Config, key, value string) error {
	d, err := millis(key, value)
	if err != nil {
		return err
	}
	// Connect sets Integer.MAX_VALUE for "for ever".
	if d >= (1<<31-1)*time.Millisecond {
		d = 0
	}
	c.Producer.DeliveryTimeout = d
	return nil
}

func setRetries(c *Config, key, value string) error {
	n, err := number(key, value, 0, 1<<31-1)
	if err == nil && n < 1<<31-1 {
		c.warn("%s=%d has no effect: set delivery.timeout.ms to bound retries by time", key, n)
	}
	return err
}

func setBatchSize(c *Config, key, value string) error {
	n, err := number(key, value, 0, 1<<30)
	if err == nil {
		c.Producer.BatchBytes = int(max(n, 1))
	}
	return err
}

func setLinger(c *Config, key, value string) error {
	n, err := number(key, value, 0, 1<<31-1)
	if err == nil && n > 0 {
		c.warn("%s=%d has no effect: batches form while requests are in flight, without waiting", key, n)
	}
	return err
}

func setBufferMemory(c *Config, key, value string) error {
	n, err := number(key, value, 1024, 1<<40)
	if err == nil {
		c.Producer.BufferBytes = n
	}
	return err
}

func setCompression(c *Config, key, value string) error {
	switch strings.ToLower(value) {
	case "none", "":
		c.Producer.Codec = sarama.CompressionNone
	case "gzip":
		c.Producer.Codec = sarama.CompressionGZIP
	case "snappy":
		c.Producer.Codec = sarama.CompressionSnappy
	case "lz4":
		c.Producer.Codec = sarama.CompressionLZ4
	case "zstd":
		c.Producer.Codec = sarama.CompressionZSTD
	default:
		return fmt.Errorf("%s: %q is not one of none, gzip, snappy, lz4, zstd", key, value)
	}
	return nil
}

func (c *Config) setCompressionLevel(props map[string]string) error {
	for _, l := range []struct {
		key      string
		codec    sarama.CompressionCodec
		min, max int64
	}{
		{"compression.gzip.level", sarama.CompressionGZIP, -1, 9},
		{"compression.lz4.level", sarama.CompressionLZ4, 1, 17},
		{"compression.zstd.level", sarama.CompressionZSTD, -131072, 22},
	} {
		value, ok := props[l.key]
		if !ok {
			continue
		}
		n, err := number(l.key, value, l.min, l.max)
		if err != nil {
			return err
		}
		if l.codec == sarama.CompressionLZ4 {
			c.warn("%s has no effect: lz4 has one level here", l.key)
			continue
		}
		if c.Producer.Codec == l.codec && n != -1 {
			c.Producer.Level = int(n)
		}
	}
	return nil
}

func setIsolation(c *Config, key, value string) error {
	switch value {
	case "read_committed":
		c.sarama.Consumer.IsolationLevel = sarama.ReadCommitted
	case "read_uncommitted":
		c.sarama.Consumer.IsolationLevel = sarama.ReadUncommitted
	default:
		return fmt.Errorf("%s: %q is not one of read_committed, read_uncommitted", key, value)
	}
	return nil
}

func setOffsetReset(c *Config, key, value string) error {
	switch value {
	case "earliest":
		c.sarama.Consumer.Offsets.Initial = sarama.OffsetOldest
	case "latest":
		c.sarama.Consumer.Offsets.Initial = sarama.OffsetNewest
	case "none":
		c.sarama.Consumer.Group.ResetInvalidOffsets = false
	default:
		return fmt.Errorf("%s: %q is not one of earliest, latest, none", key, value)
	}
	return nil
}

func (c *Config) warn(format string, args ...any) {
	c.Warnings = append(c.Warnings, fmt.Sprintf(format, args...))
}

func duration(field func(*Config) *time.Duration) setter {
	return func(c *Config, key, value string) error {
		d, err := millis(key, value)
		if err == nil {
			*field(c) = d
		}
		return err
	}
}

func boolean(field func(*Config) *bool) setter {
	return func(c *Config, key, value string) error {
		b, err := truth(key, value)
		if err == nil {
			*field(c) = b
		}
		return err
	}
}

func size(field func(*Config) *int, low, high int64) setter {
	return func(c *Config, key, value string) error {
		n, err := number(key, value, low, high)
		if err == nil {
			*field(c) = int(n)
		}
		return err
	}
}

func size32(field func(*Config) *int32) setter {
	return func(c *Config, key, value string) error {
		n, err := number(key, value, 1, 1<<31-1)
		if err == nil {
			*field(c) = int32(n)
		}
		return err
	}
}

func millis(key, value string) (time.Duration, error) {
	n, err := number(key, value, 0, 1<<62/int64(time.Millisecond))
	return time.Duration(n) * time.Millisecond, err
}

func number(key, value string, low, high int64) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %q is not a whole number", key, value)
	}
	if n < low || n > high {
		return 0, fmt.Errorf("%s: %d is not between %d and %d", key, n, low, high)
	}
	return n, nil
}

func truth(key, value string) (bool, error) {
	switch strings.ToLower(value) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("%s: %q is neither true nor false", key, value)
}

// connectionKey hashes the properties that decide what a connection is; configs with equal keys share one Session.
func connectionKey(props map[string]string, sorted []string) string {
	h := sha256.New()
	for _, k := range sorted {
		switch {
		case k == "bootstrap.servers", k == "client.id", k == "client.rack", k == "security.protocol", k == "request.timeout.ms",
			k == "metadata.max.age.ms", k == "socket.connection.setup.timeout.ms", k == "allow.auto.create.topics",
			strings.HasPrefix(k, "sasl."), strings.HasPrefix(k, "ssl."):
			fmt.Fprintf(h, "%q=%q\n", k, props[k])
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
