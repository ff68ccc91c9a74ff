package kafkastore

import (
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/freshet-io/freshet/offsets"
)

// TestLoadsShareAReading starts many loads at once, as the tasks of a worker that takes over do: they see what another worker wrote
// before, and do not read the topic each.
func TestLoadsShareAReading(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	first, err := open(t, cluster, "offsets")
	if err != nil {
		t.Fatal(err)
	}
	other, err := open(t, cluster, "offsets")
	if err != nil {
		t.Fatal(err)
	}
	const loads = 100
	for round := range 3 {
		want := offsets.Offset([]byte{'{', '"', 'n', '"', ':', byte('1' + round), '}'})
		if err := other.Save(limit(t), "c", []offsets.Entry{{Partition: plain, Offset: want}}); err != nil {
			t.Fatal(err)
		}
		before := first.begun.Load()
		first.mu.Lock() // the loads wait, as for another's reading
		var started, ended sync.WaitGroup
		started.Add(loads)
		for range loads {
			ended.Go(func() {
				started.Done()
				list, err := first.Load(limit(t), "c")
				if err != nil || len(list) != 1 || list[0].Offset != want {
					t.Errorf("got %v, %v, want %s", list, err, want)
				}
			})
		}
		started.Wait()
		first.mu.Unlock()
		ended.Wait()
		if n := first.begun.Load() - before; n > loads/4 {
			t.Errorf("%d readings for %d loads", n, loads)
		}
	}
}
