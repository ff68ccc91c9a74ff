package kafkaclient

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func fakeCluster(t testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func testConfig(t testing.TB, c *kfake.Cluster, extra ...string) *Config {
	props := map[string]string{"bootstrap.servers": strings.Join(c.ListenAddrs(), ","), "retry.backoff.ms": "5", "retry.backoff.max.ms": "20"}
	for i := 0; i < len(extra); i += 2 {
		props[extra[i]] = extra[i+1]
	}
	cfg, err := Parse(props)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func openSession(t testing.TB, cfg *Config) *Session {
	var pool Pool
	s, err := pool.Open(testContext(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func newProducer(t testing.TB, cfg *Config, opts ProducerOptions) *Producer {
	p, err := NewProducer(testContext(t), openSession(t, cfg), cfg.Producer, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func topicOf(t testing.TB, p *Producer, name string) *Topic {
	topic, err := p.Topic(testContext(t), name)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

func appendAll(t testing.TB, p *Producer, topic *Topic, partition int32, values ...string) {
	t.Helper()
	for _, v := range values {
		if err := p.Append(testContext(t), topic, partition, &Record{Value: []byte(v), Timestamp: time.Now().UnixMilli()}); err != nil {
			t.Fatal(err)
		}
	}
}

// readTopic returns the values of a partition in order.
func readTopic(t testing.TB, cfg *Config, topic string, partition int32, isolation sarama.IsolationLevel) []string {
	t.Helper()
	var out []string
	l := &Log{cfg: cfg, topic: topic, isolation: isolation}
	err := l.read(testContext(t), func(p int32, m Message) error {
		if p == partition {
			out = append(out, string(m.Value))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func numbers(from, to int) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprint(i))
	}
	return out
}

type completions struct {
	mu     sync.Mutex
	tokens []uint64
}

func (c *completions) done(token uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens = append(c.tokens, token)
}

// produceNumbered writes 0…n-1 to every partition, a batch per number, and checks order of completion and of the log.
func produceNumbered(t *testing.T, cluster *kfake.Cluster, partitions int32, n int, extra ...string) *Producer {
	t.Helper()
	var got completions
	cfg := testConfig(t, cluster, extra...)
	p := newProducer(t, cfg, ProducerOptions{Done: got.done})
	topic := topicOf(t, p, "t")
	for i := range n {
		for part := range partitions {
			appendAll(t, p, topic, part, fmt.Sprint(i))
		}
		p.Mark(uint64(i))
	}
	if err := p.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if len(got.tokens) != n {
		t.Fatalf("%d tokens done of %d", len(got.tokens), n)
	}
	for i, tok := range got.tokens {
		if tok != uint64(i) {
			t.Fatalf("token %d came at place %d", tok, i)
		}
	}
	want := strings.Join(numbers(0, n), " ")
	for part := range partitions {
		if have := strings.Join(readTopic(t, cfg, "t", part, sarama.ReadUncommitted), " "); have != want {
			t.Fatalf("partition %d: %.200s", part, have)
		}
	}
	return p
}

func TestProducerKeepsOrderAndReportsDurability(t *testing.T) {
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		t.Run(codec, func(t *testing.T) {
			produceNumbered(t, fakeCluster(t, kfake.SeedTopics(3, "t")), 3, 300, "compression.type", codec)
		})
	}
}

func TestProducerWritesKeysHeadersAndNulls(t *testing.T) {
	cluster := fakeCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(7, "t"))
	cfg := testConfig(t, cluster)
	p := newProducer(t, cfg, ProducerOptions{})
	topic := topicOf(t, p, "t")
	r := &Record{
		Key: []byte("foobar"), Headers: []Header{{[]byte("a"), []byte("1")}, {[]byte("b"), nil}, {[]byte("c"), []byte{}}},
		Timestamp: 1700000000123,
	}
	if err := p.Append(testContext(t), topic, -1, r); err != nil {
		t.Fatal(err)
	}
	p.Mark(1)
	if err := p.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	part := PartitionFor([]byte("foobar"), 7)
	found := false
	l := &Log{cfg: cfg, topic: "t", isolation: sarama.ReadUncommitted}
	err := l.read(testContext(t), func(at int32, m Message) error {
		found = true
		if at != part || string(m.Key) != "foobar" || m.Value != nil || m.Timestamp != 1700000000123 {
			t.Errorf("partition %d, message %+v", at, m)
		}
		if len(m.Headers) != 3 || m.Headers[1].Value != nil || m.Headers[2].Value == nil || !bytes.Equal(m.Headers[0].Value, []byte("1")) {
			t.Errorf("headers %q", m.Headers)
		}
		return nil
	})
	if err != nil || !found {
		t.Fatal(found, err)
	}
}

func TestProducerSurvivesFaults(t *testing.T) {
	produce := []kmsg.Key{kmsg.Produce}
	for _, c := range []struct {
		name   string
		faults []kfake.Fault
	}{
		{"not leader", []kfake.Fault{{Keys: produce, Err: kerr.NotLeaderForPartition, Count: 7}}},
		{"timed out after it was applied", []kfake.Fault{{Keys: produce, Err: kerr.RequestTimedOut, Count: 9}}},
		{"too few replicas", []kfake.Fault{{Keys: produce, Err: kerr.NotEnoughReplicas, Count: 5}}},
		{"too few replicas after append", []kfake.Fault{{Keys: produce, Err: kerr.NotEnoughReplicasAfterAppend, Count: 5}}},
		{"one partition storage error", []kfake.Fault{{Keys: produce, Partitions: []int32{1}, Err: kerr.KafkaStorageError, Count: 6}}},
		{"metadata fails too", []kfake.Fault{
			{Keys: produce, Err: kerr.LeaderNotAvailable, Count: 3},
			{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "t", Err: kerr.LeaderNotAvailable, Count: 2},
		}},
		{"producer state lost", []kfake.Fault{{Keys: produce, Partitions: []int32{0}, Err: kerr.UnknownProducerID, Count: 1}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := fakeCluster(t, kfake.SeedTopics(3, "t"))
			var once sync.Once
			seen := 0
			cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				if seen++; seen == 4 {
					once.Do(func() { cluster.Fault(c.faults...) })
				}
				return nil, nil, false
			})
			p := produceNumbered(t, cluster, 3, 200, "batch.size", "150")
			if p.Stats().Retries == 0 {
				t.Error("the fault never struck")
			}
		})
	}
}

// TestFirstChunkGoesAlone refuses the first request to a broker that does not know the producer. It would take any other chunk
// that is under way for the first.
func TestFirstChunkGoesAlone(t *testing.T) {
	cluster := fakeCluster(t, kfake.SeedTopics(1, "t"))
	var sequences []uint32
	cluster.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		const sequence = 53 // of a record batch
		sequences = append(sequences, binary.BigEndian.Uint32(r.(*kmsg.ProduceRequest).Topics[0].Partitions[0].Records[sequence:]))
		return nil, nil, false
	})
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotLeaderForPartition, Count: 1})
	produceNumbered(t, cluster, 1, 200, "batch.size", "150")
	cluster.Close()
	if len(sequences) < 3 || sequences[0] != 0 || sequences[1] != 0 || sequences[2] == 0 {
		t.Errorf("sequences of the first requests: %v; want the first chunk twice, then the others", sequences[:min(4, len(sequences))])
	}
}

func TestProducerSurvivesLostConnections(t *testing.T) {
	cluster := fakeCluster(t, kfake.SeedTopics(3, "t"))
	n := 0
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		n++
		if n%5 == 3 && n < 40 {
			return nil, errors.New("cut"), true
		}
		return nil, nil, false
	})
	if p := produceNumbered(t, cluster, 3, 300, "batch.size", "150"); p.Stats().Retries == 0 {
		t.Error("no connection was cut")
	}
}

func TestProducerFollowsLeaders(t *testing.T) {
	cluster := fakeCluster(t, kfake.SeedTopics(6, "t"))
	n := 0
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if n++; n%7 == 5 && n < 50 {
			go cluster.ShufflePartitionLeaders()
		}
		return nil, nil, false
	})
	produceNumbered(t, cluster, 6, 300, "batch.size", "150")
}

func TestProducerSplitsWhatTheBrokerFindsTooLarge(t *testing.T) {
	cluster := fakeCluster(t, kfake.SeedTopics(1, "t"))
	big := func(r kmsg.Request) bool {
		for _, top := range r.(*kmsg.ProduceRequest).Topics {
			for _, part := range top.Partitions {
				if binary.BigEndian.Uint32(part.Records[57:]) > 3 {
					return true
				}
			}
		}
		return false
	}
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.MessageTooLarge, Count: -1, When: big})
	cfg := testConfig(t, cluster)
	p := newProducer(t, cfg, ProducerOptions{})
	topic := topicOf(t, p, "t")
	for i := range 20 {
		appendAll(t, p, topic, 0, numbers(i*10, i*10+10)...)
		p.Mark(uint64(i))
	}
	if err := p.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if have := readTopic(t, cfg, "t", 0, sarama.ReadUncommitted); strings.Join(have, " ") != strings.Join(numbers(0, 200), " ") {
		t.Errorf("have %v", have)
	}
}

func TestProducerSurfacesPermanentErrors(t *testing.T) {
	for _, c := range []struct {
		err  *kerr.Error
		want string
	}{
		{kerr.TopicAuthorizationFailed, "grant this user WRITE"},
		{kerr.MessageTooLarge, "raise max.message.bytes"},
		{kerr.InvalidRecord, "topic t partition 0"},
	} {
		t.Run(c.err.Message, func(t *testing.T) {
			cluster := fakeCluster(t, kfake.SeedTopics(1, "t"))
			cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: c.err, Count: -1})
			failed := make(chan error, 2)
			p := newProducer(t, testConfig(t, cluster), ProducerOptions{
				Done:   func(uint64) { t.Error("done") },
				Failed: func(err error) { failed <- err },
			})
			topic := topicOf(t, p, "t")
			appendAll(t, p, topic, 0, "x")
			p.Mark(1)
			err := p.Flush(testContext(t))
			var re *RecordError
			if !errors.As(err, &re) || re.Topic != "t" || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v", err)
			}
			if err := <-failed; !errors.As(err, &re) {
				t.Errorf("failed with %v", err)
			}
			if err := p.Append(testContext(t), topic, 0, &Record{}); !errors.As(err, &re) {
				t.Errorf("append after failure: %v", err)
			}
		})
	}
}

func TestProducerRefusesARecordThatIsTooLarge(t *testing.T) {
	cluster := fakeCluster(t, kfake.SeedTopics(1, "t"))
	cfg := testConfig(t, cluster, "max.request.size", "10000")
	p := newProducer(t, cfg, ProducerOptions{})
	topic := topicOf(t, p, "t")
	err := p.Append(testContext(t), topic, 0, &Record{Value: make([]byte, 10001)})
	var re *RecordError
	if !errors.As(err, &re) || !strings.Contains(err.Error(), "max.request.size=10000") {
		t.Fatalf("error = %v", err)
	}
	appendAll(t, p, topic, 0, "after")
	p.Mark(1)
	if err := p.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
}

func TestProducerNamesAMissingTopic(t *testing.T) {
	cluster := fakeCluster(t)
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "none", Err: kerr.InvalidTopicException, Count: -1})
	p := newProducer(t, testConfig(t, cluster), ProducerOptions{})
	if _, err := p.Topic(testContext(t), "none"); err == nil || !strings.Contains(err.Error(), "topic names may have") {
		t.Errorf("error = %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if _, err := p.Topic(ctx, "absent"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v", err)
	}
}

func TestProducerIsBoundedInMemory(t *testing.T) {
	cluster := fakeCluster(t, kfake.SeedTopics(2, "t"))
	release := make(chan struct{})
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		cluster.SleepControl(func() { <-release })
		return nil, nil, false
	})
	cfg := testConfig(t, cluster, "buffer.memory", "200000", "batch.size", "20000", "max.request.size", "300000")
	p := newProducer(t, cfg, ProducerOptions{})
	topic := topicOf(t, p, "t")
	value := make([]byte, 5000)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second) // to fill the memory
	defer cancel()
	appended := 0
	var err error
	for err == nil {
		if err = p.Append(ctx, topic, int32(appended%2), &Record{Value: value}); err == nil {
			appended++
		}
	}
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "buffer.memory") {
		t.Fatalf("error = %v", err)
	}
	if s := p.Stats(); s.Buffered > 200000 || appended < 10 || appended > 40 {
		t.Errorf("%d records, %d bytes", appended, s.Buffered)
	}
	close(release)
	p.Mark(1)
	if err := p.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if err := p.Append(testContext(t), topic, 0, &Record{Value: make([]byte, 250000)}); err != nil {
		t.Errorf("a record larger than the buffer does not pass alone: %v", err)
	}
	p.Mark(2)
	if err := p.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if s := p.Stats(); s.Buffered != 0 || s.Records != int64(appended)+1 {
		t.Errorf("stats %+v", s)
	}
}

func TestProducerSticksToAPartitionPerBatchWithoutKey(t *testing.T) {
	cluster := fakeCluster(t, kfake.SeedTopics(4, "t"))
	cfg := testConfig(t, cluster, "batch.size", "2000")
	p := newProducer(t, cfg, ProducerOptions{})
	topic := topicOf(t, p, "t")
	for i := range 2000 {
		if err := p.Append(testContext(t), topic, -1, &Record{Value: []byte(fmt.Sprint(i))}); err != nil {
			t.Fatal(err)
		}
	}
	p.Mark(1)
	if err := p.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	used := 0
	for part := range int32(4) {
		if len(readTopic(t, cfg, "t", part, sarama.ReadUncommitted)) > 0 {
			used++
		}
	}
	if used < 2 {
		t.Errorf("%d partitions used", used)
	}
}

func TestUnreachableBrokerIsNamed(t *testing.T) {
	cfg, err := Parse(map[string]string{"bootstrap.servers": "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	var pool Pool
	if _, err = pool.Open(testContext(t), cfg); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") ||
		!strings.Contains(err.Error(), "check bootstrap.servers") {
		t.Errorf("error = %v", err)
	}
	if len(pool.sessions) != 0 {
		t.Error("the failed session stays in the pool")
	}
}

func TestSessionsAreShared(t *testing.T) {
	cluster := fakeCluster(t)
	var pool Pool
	a, err := pool.Open(testContext(t), testConfig(t, cluster, "transactional.id", "x"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := pool.Open(testContext(t), testConfig(t, cluster, "compression.type", "lz4"))
	if err != nil {
		t.Fatal(err)
	}
	if a != b {
		t.Error("equal connection properties, two sessions")
	}
	a.Close()
	if b.client.Closed() {
		t.Error("closed under its other user")
	}
	b.Close()
	if !b.client.Closed() || len(pool.sessions) != 0 {
		t.Error("not closed by its last user")
	}
}

func TestARefusedLoginIsPermanent(t *testing.T) {
	cluster := fakeCluster(t, kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", "p"))
	cluster.ControlKey(int16(kmsg.SASLAuthenticate), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		resp := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return resp, nil, true
	})
	var pool Pool
	_, err := pool.Open(testContext(t), testConfig(t, cluster, "security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", "PLAIN", "sasl.jaas.config",
		`org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="very-secret";`))
	if !errors.Is(err, ErrLogin) || !Permanent(err) || !strings.Contains(err.Error(), "log in to Kafka at 127.0.0.1") || strings.Contains(err.Error(), "very-secret") {
		t.Errorf("error = %v", err)
	}
}

func TestTLS(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	wrongName := *tmpl
	wrongName.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)}
	for name, c := range map[string]struct {
		cert  *x509.Certificate
		trust bool
		extra []string
		want  string
	}{
		"trusted":           {tmpl, true, nil, ""},
		"not trusted":       {tmpl, false, nil, "check security.protocol, ssl.truststore"},
		"wrong name":        {&wrongName, true, nil, "the name in the certificate"},
		"name not verified": {&wrongName, true, []string{"ssl.endpoint.identification.algorithm", ""}, ""},
		"still verified":    {&wrongName, false, []string{"ssl.endpoint.identification.algorithm", ""}, "x509"},
	} {
		t.Run(name, func(t *testing.T) {
			der, err := x509.CreateCertificate(rand.Reader, c.cert, c.cert, &key.PublicKey, key)
			if err != nil {
				t.Fatal(err)
			}
			cluster := fakeCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "t"), kfake.TLS(&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}))
			extra := append([]string{"security.protocol", "SSL"}, c.extra...)
			if c.trust {
				extra = append(extra, "ssl.truststore.type", "PEM", "ssl.truststore.certificates",
					string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
			}
			if c.want == "" {
				produceNumbered(t, cluster, 1, 10, extra...)
				got := &gathered{}
				reading(t, testConfig(t, cluster, extra...), "t", 1, got.receiver())
				waitFor(t, func() bool { return got.count() == 10 })
				return
			}
			var pool Pool
			if _, err := pool.Open(testContext(t), testConfig(t, cluster, extra...)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
}

func TestSASL(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			cluster := fakeCluster(t, kfake.EnableSASL(), kfake.Superuser(mechanism, "u,=", "secret"), kfake.SeedTopics(1, "t"))
			module := "scram.ScramLoginModule"
			if mechanism == "PLAIN" {
				module = "plain.PlainLoginModule"
			}
			props := func(password string) []string {
				return []string{
					"security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", mechanism, "sasl.jaas.config",
					"org.apache.kafka.common.security." + module + ` required username="u,=" password="` + password + `";`,
				}
			}
			produceNumbered(t, cluster, 0, 1, props("secret")...)
			var pool Pool
			_, err := pool.Open(testContext(t), testConfig(t, cluster, props("wrong-password")...))
			if err == nil || !strings.Contains(err.Error(), "sasl.jaas.config") || strings.Contains(err.Error(), "wrong-password") {
				t.Errorf("error = %v", err)
			}
		})
	}
}
