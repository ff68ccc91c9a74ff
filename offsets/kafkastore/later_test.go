package kafkastore

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/offsets"
)

// A worker that was killed in the middle of a transaction must not hold up the one that will fence it.
func TestOpenLaterDoesNotWaitForOpenTransactions(t *testing.T) {
	c := cluster(t, kfake.NumBrokers(1))
	entry := offsets.Entry{Partition: plain, Offset: `{"lsn":1}`}
	save(t, mustOpen(t, c), "orders", entry)

	addresses := strings.Join(c.ListenAddrs(), ",")
	killed, err := kgo.NewClient(kgo.SeedBrokers(addresses), kgo.TransactionalID("freshet-orders-0"), kgo.DefaultProduceTopic("connect-offsets"))
	if err != nil {
		t.Fatal(err)
	}
	defer killed.Close()
	if err := killed.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	key, err := offsets.EncodeKey("orders", plain)
	if err != nil {
		t.Fatal(err)
	}
	if err := killed.ProduceSync(limit(t), &kgo.Record{Key: key, Value: []byte(`{"lsn":2}`)}).FirstErr(); err != nil {
		t.Fatal(err)
	}

	cfg, err := kafkaclient.Parse(map[string]string{"bootstrap.servers": addresses})
	if err != nil {
		t.Fatal(err)
	}
	var pool kafkaclient.Pool
	session, err := pool.Open(limit(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	s, err := Open(limit(t), Options{Session: session, Config: cfg, Topic: "connect-offsets", Partitions: 3, Replication: 1, Later: true})
	if err != nil {
		t.Fatalf("open while a transaction is open: %v", err)
	}
	defer func() { _ = s.Close() }()
	if _, err := s.Records("orders", []offsets.Entry{entry}); err == nil {
		t.Error("records are made without knowing the stored keys")
	}
	if err := killed.EndTransaction(t.Context(), kgo.TryAbort); err != nil { // what fencing does
		t.Fatal(err)
	}
	if got, want := load(t, s, "orders"), string(plain)+`={"lsn":1}`; got != want {
		t.Errorf("loaded %s, want %s", got, want)
	}
}
