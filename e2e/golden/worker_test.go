package golden_test

import (
	"testing"

	"github.com/freshet-io/freshet/testbed"
	"github.com/freshet-io/freshet/testbed/golden"
)

// startWorker runs a worker as a process, under the properties of the reference's worker, and returns what steers it through its REST
// API, and its offset topic.
func startWorker(t *testing.T, broker *testbed.Kafka) (worker golden.Worker, offsetTopic string) {
	t.Helper()
	group := broker.NewTopic(t, 1, nil) + "-golden"
	dir := t.TempDir()
	p := bed.Freshet(t, dir, "worker", "-c", testbed.WriteWorker(t, dir, broker.Bootstrap(), group, map[string]string{
		"key.converter.schemas.enable": "true", "value.converter.schemas.enable": "true",
		"offset.storage.partitions": "5", "offset.flush.interval.ms": "3600000", "producer.max.request.size": "20000000",
	}))
	url, _ := p.Ready()
	t.Cleanup(func() {
		if code := p.Stop(); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
		if t.Failed() {
			t.Logf("freshet said:\n%s", p.Output())
		}
	})
	return golden.OverREST(url), group + "-offsets"
}
