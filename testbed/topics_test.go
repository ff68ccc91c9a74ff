package testbed

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Read has what was committed by the time that it is called, although a broker answers a commit before readers can see it.
func TestReadCommitted(t *testing.T) {
	t.Parallel()
	k := StartKafka(t)
	topic := k.NewTopic(t, 4, nil)
	p := k.Client(t, kgo.TransactionalID(topic), kgo.DefaultProduceTopic(topic))
	const commits, records = 20, 4
	for n := range commits {
		if err := p.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for i := range records {
			if err := p.ProduceSync(t.Context(), &kgo.Record{Key: fmt.Append(nil, i)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
		if got, want := len(k.Read(t, topic)), (n+1)*records; got != want {
			t.Fatalf("%d records after commit %d, want %d", got, n+1, want)
		}
	}
}
