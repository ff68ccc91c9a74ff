package kafka

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// remembering is a session of a connector whose store, or whose sink, keeps what it is given.
type remembering struct {
	alone
	mu    sync.Mutex
	state map[offsets.Partition]offsets.Offset
	kept  []offsets.Entry // positions of a sink
}

func (r *remembering) State(_ context.Context, ps ...offsets.Partition) ([]offsets.Entry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []offsets.Entry
	for _, p := range ps {
		if o, ok := r.state[p]; ok {
			out = append(out, offsets.Entry{Partition: p, Offset: o})
		}
	}
	return out, nil
}

func (r *remembering) Remember(_ context.Context, list ...offsets.Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range list {
		r.state[e.Partition] = e.Offset
	}
	return nil
}

func (r *remembering) Offsets(context.Context, ...offsets.Partition) ([]offsets.Entry, error) {
	return r.kept, nil
}

// placed is a record that was read: "epoch/offset value".
func placed(b *connectors.Batch, i int) string {
	r := &b.Records[i]
	return fmt.Sprintf("%d/%d %v", r.Order.Epoch, r.Order.Major, b.Bodies[r.Value-1].Value.Value)
}

// readPlaced reads until a record with this value has come, and commits all of it in the group.
func readPlaced(t *testing.T, task connectors.SourceTask, last string) []string {
	t.Helper()
	var out []string
	for {
		b, err := task.Poll(limit(t))
		if err != nil {
			t.Fatalf("%v after %q", err, out)
		}
		for i := range b.Records {
			out = append(out, placed(b, i))
		}
		upTo := []offsets.Entry{{Partition: b.Source, Offset: b.Offset}}
		done := fmt.Sprint(b.Bodies[b.Records[len(b.Records)-1].Value-1].Value.Value) == last
		b.Release()
		if err := task.Commit(limit(t), upTo); err != nil {
			t.Fatal(err)
		}
		if done {
			return out
		}
	}
}

func produceTexts(t *testing.T, servers, topic, prefix string, n int) []string {
	t.Helper()
	var rs []*kgo.Record
	var out []string
	for i := range n {
		out = append(out, prefix+strconv.Itoa(i))
		rs = append(rs, &kgo.Record{Topic: topic, Value: []byte(out[i])})
	}
	produce(t, servers, rs...)
	return out
}

// numbered are the records that values make in an epoch.
func numbered(epoch int, values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = fmt.Sprintf("%d/%d %s", epoch, i, v)
	}
	return out
}

// A topic that is deleted and made again while it is read is read from its beginning, above all that came before, also when it is
// longer than the old one by the time it is looked at.
func TestSourceOfATopicMadeAgain(t *testing.T) {
	for _, n := range []int{3, 9} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			k := bed.Kafka(t)
			topic := k.NewTopic(t, 1, nil)
			s := sourceSettings(k.Bootstrap())
			s.Connector = topic
			session := &remembering{state: map[offsets.Partition]offsets.Offset{}}
			task := begin(t, connectors.Config{"topics": topic}, s, session)
			old := produceTexts(t, k.Bootstrap(), topic, "old", 5)
			if got := readPlaced(t, task, "old4"); !slices.Equal(got, numbered(1, old)) {
				t.Fatalf("read %q", got)
			}
			k.MakeTopicAgain(t, topic, 1)
			want := numbered(2, produceTexts(t, k.Bootstrap(), topic, "new", n))
			if got := readPlaced(t, task, "new"+strconv.Itoa(n-1)); !slices.Equal(got, want) {
				t.Errorf("read %q, want %q", got, want)
			}
		})
	}
}

// A topic that is made again while nobody reads it is another one, too, for a sink that keeps offsets and for one that does not.
func TestSourceOfATopicMadeAgainMeanwhile(t *testing.T) {
	for _, keeps := range []bool{false, true} {
		t.Run(fmt.Sprintf("sink keeps offsets %t", keeps), func(t *testing.T) {
			k := bed.Kafka(t)
			topic := k.NewTopic(t, 1, nil)
			s := sourceSettings(k.Bootstrap())
			s.Connector = topic
			session := &remembering{state: map[offsets.Partition]offsets.Offset{}}
			for round := 1; round <= 3; round++ {
				values := produceTexts(t, k.Bootstrap(), topic, fmt.Sprint("round", round, "-"), 4+round)
				task := newSource(t, connectors.Config{"topics": topic}, s)
				if err := task.Start(limit(t), session); err != nil {
					t.Fatal(err)
				}
				if got, want := readPlaced(t, task, values[len(values)-1]), numbered(round, values); !slices.Equal(got, want) {
					t.Errorf("round %d: read %q, want %q", round, got, want)
				}
				if err := task.Stop(limit(t)); err != nil {
					t.Fatal(err)
				}
				if keeps { // all that is known is what the sink has
					h := lineage{}
					for _, o := range session.state {
						h = parseLineage(string(o))
					}
					clear(session.state)
					session.kept = []offsets.Entry{{Partition: offsets.Partition(fmt.Sprintf(`{"kafka_partition":0,"kafka_topic":%q}`, topic)), Offset: (&share{text: h.text()}).offset(int64(len(values)))}}
				}
				k.MakeTopicAgain(t, topic, 1)
			}
		})
	}
}

// A position that lies beyond the end of its log was in another one, whatever is known of the two.
func TestSourceBeyondTheEnd(t *testing.T) {
	k := bed.Kafka(t)
	topic := k.NewTopic(t, 1, nil)
	values := produceTexts(t, k.Bootstrap(), topic, "v", 3)
	s := sourceSettings(k.Bootstrap())
	s.Connector = topic
	at := offsets.Entry{Partition: offsets.Partition(fmt.Sprintf(`{"kafka_partition":0,"kafka_topic":%q}`, topic)), Offset: `{"kafka_offset":5}`}
	session := &remembering{state: map[offsets.Partition]offsets.Offset{}, kept: []offsets.Entry{at}}
	if got, want := readPlaced(t, begin(t, connectors.Config{"topics": topic}, s, session), "v2"), numbered(2, values); !slices.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
}

// What is remembered of a topic makes its history at least as late.
func TestHistories(t *testing.T) {
	for _, c := range []struct {
		id   string
		of   []lineage
		want uint32
	}{
		{"b", nil, 1},
		{"b", []lineage{{1, "b"}}, 1},
		{"b", []lineage{{1, "a"}}, 2},
		{"b", []lineage{{1, "a"}, {2, "b"}}, 2},
		{"c", []lineage{{1, "a"}, {2, "b"}}, 3},
		{"c", []lineage{{3, "c"}, {2, "b"}, {}}, 3},
		{"", []lineage{{2, "a"}}, 2},
		{"b", []lineage{{2, ""}}, 2},
	} {
		h := lineage{Epoch: 1, ID: c.id}
		for _, of := range c.of {
			h.follow(of)
		}
		if h.Epoch != c.want {
			t.Errorf("%q after %v is number %d, want %d", c.id, c.of, h.Epoch, c.want)
		}
		text := (&share{text: h.text()}).offset(7)
		next, of, err := parsePosition(text)
		if err != nil || next != 7 || of != h || parseLineage(h.text()) != h {
			t.Errorf("%+v is written as %s", h, text)
		}
	}
	for _, text := range []offsets.Offset{`{}`, `{"kafka_offset":-1}`, `{"kafka_offset":"x"}`, `7`} {
		if _, _, err := parsePosition(text); err == nil {
			t.Errorf("%s is a position", text)
		}
	}
}
