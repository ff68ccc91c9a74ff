package kafkastore

import (
	"testing"

	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/offsets"
)

// topic is a compacted topic: the records in order, and what is left of them for a reader.
type topic struct{ records []kafkaclient.Message }

func (p *topic) read() *Store {
	s := &Store{entries: map[id]*entry{}, done: 1}
	for _, m := range p.records {
		_ = s.take(m)
	}
	return s
}

// compacted keeps the newest record of each key, in any order: compaction keeps the order, but other partitions of the topic
// are read before or after.
func (p *topic) compacted() *topic {
	var out topic
	seen := map[string]bool{}
	for i := len(p.records) - 1; i >= 0; i-- {
		if m := p.records[i]; !seen[string(m.Key)] {
			seen[string(m.Key)] = true
			out.records = append(out.records, m)
		}
	}
	return &out
}

// FuzzRecords: whatever keys and values others wrote, a saved position is what every later reader finds, also after compaction,
// and a deleted one is gone.
func FuzzRecords(f *testing.F) {
	f.Add([]byte(`["c",{"server":"orders"}]`), []byte(`{"lsn":1}`), []byte(`["c", {"server": "orders"}]`), []byte(`{"lsn":2}`))
	f.Add([]byte(`["c",{"b":1,"a":2}]`), []byte(`{"lsn":1}`), []byte(`["c",{"a":2,"b":1}]`), []byte(nil))
	f.Add([]byte(`["d",{"server":"orders"}]`), []byte(`null`), []byte(`{}`), []byte(`{}`))
	f.Add([]byte(`["c",{"a":"\u0061"}]`), []byte(`{"a":{}}`), []byte(nil), []byte(nil))
	f.Fuzz(func(t *testing.T, key1, value1, key2, value2 []byte) {
		p := &topic{[]kafkaclient.Message{{Key: key1, Value: value1}, {Key: key2, Value: value2}}}
		for _, key := range [][]byte{key1, key2} {
			connector, partition, err := offsets.DecodeKey(key)
			if err != nil {
				continue
			}
			for _, want := range []offsets.Offset{`{"lsn":3}`, ""} {
				ms, err := p.read().records(connector, []offsets.Entry{{Partition: partition, Offset: want}})
				if err != nil {
					t.Fatal(err)
				}
				p.records = append(p.records, ms...)
				for _, reader := range []*topic{p, p.compacted()} {
					e := reader.read().entries[id{connector, partition}]
					if want == "" && e != nil || want != "" && (e == nil || e.offset != want) {
						t.Fatalf("after %q=%q, %q=%q: saved %q, found %+v", key1, value1, key2, value2, want, e)
					}
				}
			}
		}
	})
}
