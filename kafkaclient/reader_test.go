package kafkaclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// gathered is a receiver that keeps what it is given, by partition.
type gathered struct {
	mu      sync.Mutex
	values  map[int][]string
	n       int
	changed []error
}

func (g *gathered) receiver() Receiver {
	g.values = map[int][]string{}
	return Receiver{
		Take: func(_ context.Context, i, n int, read func() (*Fetched, error)) error {
			f, err := read()
			if err != nil {
				return err
			}
			rs, err := f.all()
			g.mu.Lock()
			defer g.mu.Unlock()
			for _, r := range rs {
				g.values[i] = append(g.values[i], fmt.Sprint(r.Offset, " ", string(r.Value[:min(len(r.Value), 8)])))
				g.n++
			}
			return err
		},
		Changed: func(_ int, err error) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.changed = append(g.changed, err)
		},
	}
}

func (g *gathered) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n
}

// reading runs a reader until the test ends.
func reading(t *testing.T, cfg *Config, topic string, partitions int32, to Receiver) {
	t.Helper()
	s := openSession(t, cfg)
	ids, err := s.Existing(testContext(t), false, topic)
	if err != nil {
		t.Fatal(err)
	}
	var parts []ReadPart
	for n := range partitions {
		parts = append(parts, ReadPart{TopicPartition: TopicPartition{topic, n}, ID: TopicID(ids[topic])})
	}
	if parts[0].ID == ([16]byte{}) {
		t.Fatal("the topic has no id")
	}
	r := s.NewReader(cfg, parts, to, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

func produceTo(t *testing.T, cluster *kfake.Cluster, rs ...*kgo.Record) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(4000))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.ProduceSync(testContext(t), rs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// tornListener cuts the connections of a broker after so many bytes of answers, once it is told to.
type tornListener struct {
	net.Listener
	on *atomic.Bool
}

func (l tornListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &tornConn{Conn: c, on: l.on}, err
}

type tornConn struct {
	net.Conn
	on    *atomic.Bool
	wrote int
	most  int
}

func (c *tornConn) Write(b []byte) (int, error) {
	if !c.on.Load() {
		return c.Conn.Write(b)
	}
	if c.most == 0 {
		c.most = c.wrote + 1 + rand.IntN(60_000)
	}
	if c.wrote += len(b); c.wrote > c.most {
		n, _ := c.Conn.Write(b[:len(b)-min(len(b), c.wrote-c.most)])
		_ = c.Conn.Close()
		return n, errors.New("cut")
	}
	return c.Conn.Write(b)
}

// Every record comes once and in order, whatever brokers answer, wherever partitions move and answers are cut off.
func TestReaderUnderChaos(t *testing.T) {
	const parts, each = 6, 250
	torn := &atomic.Bool{}
	cluster := fakeCluster(t, kfake.NumBrokers(3), kfake.SeedTopics(parts, "t"), kfake.ListenFn(func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		return tornListener{l, torn}, err
	}))
	var rs []*kgo.Record
	for n := range each {
		for p := range int32(parts) {
			rs = append(rs, &kgo.Record{Topic: "t", Partition: p, Value: fmt.Appendf(nil, "%-8d%s", n, strings.Repeat("x", 500))})
		}
	}
	produceTo(t, cluster, rs[:len(rs)/2]...)
	rng := rand.New(rand.NewPCG(7, 7)) // control functions run one at a time
	codes := []*kerr.Error{kerr.NotLeaderForPartition, kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.FencedLeaderEpoch, kerr.KafkaStorageError, kerr.OffsetOutOfRange}
	cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		switch rng.IntN(20) {
		case 0:
			return nil, errors.New("cut"), true
		case 1:
			go cluster.ShufflePartitionLeaders()
		case 2, 3:
			cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: codes[rng.IntN(len(codes))], Partitions: []int32{rng.Int32N(parts)}, Count: 1})
		}
		return nil, nil, false
	})
	got := &gathered{}
	reading(t, testConfig(t, cluster, "max.partition.fetch.bytes", "9000", "fetch.max.bytes", "30000"), "t", parts, got.receiver())
	waitFor(t, func() bool { return got.count() > 100 })
	torn.Store(true)
	waitFor(t, func() bool { return got.count() >= len(rs)/2 })
	torn.Store(false)
	cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) { return nil, nil, false })
	produceTo(t, cluster, rs[len(rs)/2:]...)
	waitFor(t, func() bool { return got.count() >= len(rs) })
	got.mu.Lock()
	defer got.mu.Unlock()
	for p := range parts {
		for n := range each {
			if want := fmt.Sprintf("%d %-8d", n, n); len(got.values[p]) != each || got.values[p][n] != want {
				t.Fatalf("partition %d: %d of %d records, record %d is not %q", p, len(got.values[p]), each, n, want)
			}
		}
	}
}

// A topic that is made again is not read under the id of the one before, however long it is.
func TestReaderKnowsTopicsByID(t *testing.T) {
	cluster := fakeCluster(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	produceTo(t, cluster, &kgo.Record{Topic: "t", Value: []byte("old")})
	got := &gathered{}
	cfg := testConfig(t, cluster)
	reading(t, cfg, "t", 1, got.receiver())
	waitFor(t, func() bool { return got.count() == 1 })
	s := openSession(t, cfg)
	remove := kmsg.NewPtrDeleteTopicsRequest()
	name := "t"
	remove.TopicNames, remove.Topics = []string{name}, []kmsg.DeleteTopicsRequestTopic{{Topic: &name}}
	c, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := remove.RequestWith(testContext(t), c); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(testContext(t), NewTopic{Name: "t", Partitions: 1, Replication: 1}); err != nil {
		t.Fatal(err)
	}
	produceTo(t, cluster, &kgo.Record{Topic: "t", Value: []byte("new0")}, &kgo.Record{Topic: "t", Value: []byte("new1")}, &kgo.Record{Topic: "t", Value: []byte("new2")})
	waitFor(t, func() bool {
		got.mu.Lock()
		defer got.mu.Unlock()
		return len(got.changed) > 2
	})
	if got.count() != 1 {
		t.Errorf("read %v", got.values)
	}
}

// A login and a rack are what they are for other requests; the leader may name another broker to read from.
func TestReaderLogsInAndReadsFromAnotherBroker(t *testing.T) {
	cluster := fakeCluster(t, kfake.NumBrokers(2), kfake.SeedTopics(1, "t"), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "u", "secret"))
	cfg := testConfig(t, cluster, "client.rack", "r2", "security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", "SCRAM-SHA-256",
		"sasl.jaas.config", `a.ScramLoginModule required username="u" password="secret";`)
	s := openSession(t, cfg)
	leader, err := s.client.Leader("t", 0)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan int32, 100)
	cluster.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		req := r.(*kmsg.FetchRequest)
		if req.Rack != "r2" {
			t.Errorf("rack %q", req.Rack)
		}
		node := cluster.CurrentNode()
		select {
		case asked <- node:
		default:
		}
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		topic, p := kmsg.NewFetchResponseTopic(), kmsg.NewFetchResponseTopicPartition()
		topic.TopicID, p.PreferredReadReplica = req.Topics[0].TopicID, 1-leader.ID()
		if node != leader.ID() {
			p.PreferredReadReplica = -1
			if req.Topics[0].Partitions[0].FetchOffset == 0 {
				p.RecordBatches = batchOf(t, 0, 0, Record{Value: []byte("near")})
			}
		}
		topic.Partitions = append(topic.Partitions, p)
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
	got := &gathered{}
	reading(t, cfg, "t", 1, got.receiver())
	waitFor(t, func() bool { return got.count() == 1 })
	if first := <-asked; first != leader.ID() {
		t.Errorf("broker %d was asked first, not the leader %d", first, leader.ID())
	}
}
