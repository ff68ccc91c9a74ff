package kafkaclient

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

func TestClusterID(t *testing.T) {
	cluster := fakeCluster(t, kfake.ClusterID("the-cluster"))
	s, err := (&Pool{}).Open(testContext(t), testConfig(t, cluster))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if id, err := s.ClusterID(testContext(t)); err != nil || id != "the-cluster" {
		t.Errorf("got %q, %v", id, err)
	}
}

func TestFenceProducers(t *testing.T) {
	cluster := fakeCluster(t, kfake.SeedTopics(1, "t"))
	cfg := txnConfig(t, cluster)
	first := newProducer(t, cfg, ProducerOptions{})
	transact(t, first, 1, "lost")
	if err := first.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	s, err := (&Pool{}).Open(testContext(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.FenceProducers(testContext(t), cfg.Producer, []string{"another", cfg.Producer.TransactionalID}); err != nil {
		t.Fatal(err)
	}
	if err := first.Commit(testContext(t)); !errors.Is(err, ErrFenced) {
		t.Errorf("commit of the fenced producer: %v", err)
	}
	if got := committed(t, cluster, "t"); got != "" {
		t.Errorf("committed %q", got)
	}
}
