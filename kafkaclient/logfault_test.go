package kafkaclient

import (
	"testing"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A log lives as long as its worker: what a broker refuses for a while must not end it.
func TestLogGoesOnAfterARefusal(t *testing.T) {
	cluster := fakeCluster(t)
	cfg := testConfig(t, cluster)
	l, err := OpenLog(testContext(t), openSession(t, cfg), cfg, LogOptions{Topic: "offsets", Partitions: 1, Replication: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	put := func(v string) error { return l.Append(testContext(t), []byte("k"), []byte(v)) }
	if err := put("1"); err != nil {
		t.Fatal(err)
	}
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed, Count: 1})
	if err := put("2"); err == nil {
		t.Fatal("the refusal was not reported")
	}
	if err := put("3"); err != nil {
		t.Fatalf("after the refusal: %v", err)
	}
	var last string
	if err := l.ReadToEnd(testContext(t), func(_ int32, m Message) error { last = string(m.Value); return nil }); err != nil || last != "3" {
		t.Errorf("read %q, %v", last, err)
	}
}

// A broker lists aborted transactions by their ends, not by their beginnings (Java: Fetcher sorts them).
func TestAbortedTransactionsInAnyOrder(t *testing.T) {
	batch := func(first, producer int64, control bool, value string) *sarama.Records {
		b := &sarama.RecordBatch{FirstOffset: first, ProducerID: producer, IsTransactional: true, Control: control}
		b.Records = []*sarama.Record{{Value: []byte(value)}}
		return &sarama.Records{RecordBatch: b}
	}
	block := &sarama.FetchResponseBlock{
		AbortedTransactions: []*sarama.AbortedTransaction{{ProducerID: 2, FirstOffset: 1}, {ProducerID: 1, FirstOffset: 0}},
		RecordsSet:          []*sarama.Records{batch(0, 1, false, "aborted"), batch(1, 2, false, "aborted"), batch(2, 2, true, ""), batch(3, 1, true, "")},
	}
	r := &logReader{isolation: sarama.ReadCommitted, each: func(_ int32, m Message) error {
		t.Errorf("offset %d of an aborted transaction was read", m.Offset)
		return nil
	}}
	if next, _, err := r.records(0, 0, 4, block); err != nil || next != 4 {
		t.Errorf("next %d, %v", next, err)
	}
}
