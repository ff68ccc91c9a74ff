package kafkaclient

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// What is appended is handed out once and in order, while partitions move between brokers.
func TestFollowThroughMoves(t *testing.T) {
	const parts, total = 6, 300
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	cfg := testConfig(t, cluster)
	l, err := OpenLog(testContext(t), openSession(t, cfg), cfg, LogOptions{Topic: "log", Partitions: parts, Replication: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()

	var mu sync.Mutex
	got, next := map[string][]string{}, map[int32]int64{}
	n := 0
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	ended := make(chan error, 1)
	enough := errors.New("enough")
	go func() {
		ended <- l.Follow(ctx, Follower{
			Each: func(partition int32, m Message) error {
				mu.Lock()
				defer mu.Unlock()
				if string(m.Key) == "end" {
					return enough
				}
				if m.Offset < next[partition] {
					t.Errorf("partition %d: offset %d after position %d", partition, m.Offset, next[partition])
				}
				got[string(m.Key)] = append(got[string(m.Key)], string(m.Value))
				n++
				return nil
			},
			Passed:  func(partition int32, to int64) { mu.Lock(); next[partition] = to; mu.Unlock() },
			Trouble: func(error) {},
		})
	}()
	want := map[string][]string{}
	for i := range total {
		if i%10 == 9 {
			if err := cluster.MoveTopicPartition("log", int32(i/10)%parts, int32(i/10)%3); err != nil {
				t.Fatal(err)
			}
		}
		key, value := fmt.Sprint("key", i%20), fmt.Sprint(i)
		want[key] = append(want[key], value)
		if err := l.Append(testContext(t), []byte(key), []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, func() bool { mu.Lock(); defer mu.Unlock(); return n >= total })
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	ends, err := l.Ends(testContext(t), true)
	if err != nil || len(ends) != parts {
		t.Fatalf("ends %v, %v", ends, err)
	}
	waitFor(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		for id, end := range ends {
			if next[id] < end {
				return false
			}
		}
		return true
	})
	if err := l.Append(testContext(t), []byte("end"), nil); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, enough) || strings.Contains(err.Error(), "partition") {
		t.Errorf("Follow ended with %v, want the receiver's own error", err)
	}
}
