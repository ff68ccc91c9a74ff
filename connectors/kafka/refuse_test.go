package kafka

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/plugins/plugintest"
)

// tolerant is the runtime's side with errors.tolerance=all and a dead-letter queue.
type tolerant struct {
	*session
	t *testing.T

	guard    sync.Mutex
	letters  []string // batch/record stage
	causes   []string
	unstored int // letters that are not durable
	exactly  bool
}

func (r *tolerant) Reject(_ context.Context, b *connectors.Batch, record int, cause error) error {
	r.guard.Lock()
	defer r.guard.Unlock()
	row := b.Records[record].After
	r.letters = append(r.letters, fmt.Sprintf("%d/%d %.1s %s", b.ID, record, b.Bytes(b.Cells(row)[0]), connectors.StageOf(cause)))
	r.causes = append(r.causes, cause.Error())
	r.unstored++
	if connectors.ClassOf(cause) != connectors.Permanent {
		r.t.Errorf("cause %v", cause)
	}
	return nil
}

func (r *tolerant) Settle(context.Context) error {
	r.guard.Lock()
	defer r.guard.Unlock()
	r.unstored = 0
	return nil
}

func (r *tolerant) Ack(id connectors.BatchID) {
	r.guard.Lock()
	if r.exactly && r.unstored > 0 { // I1
		r.t.Errorf("batch %d is committed before %d letters are durable", id, r.unstored)
	}
	r.guard.Unlock()
	r.session.Ack(id)
}

// TestRecordsThatTheBrokerRefuses: a record that only the broker knows to be too large, or against the rules of its topic, goes to the
// dead-letter queue alone. What is beside it in its batch is written, in order.
func TestRecordsThatTheBrokerRefuses(t *testing.T) {
	k := bed.Kafka(t)
	for _, c := range []struct{ exactly, process bool }{{false, false}, {true, false}, {false, true}, {true, true}} {
		exactly := c.exactly
		t.Run(fmt.Sprintf("exactly once=%t/process=%t", exactly, c.process), func(t *testing.T) {
			small := k.NewTopic(t, 2, map[string]string{"max.message.bytes": "2000"})
			compact := k.NewTopic(t, 1, map[string]string{"cleanup.policy": "compact"})
			s := settings(k.Bootstrap(), exactly)
			s.Connector, s.Tolerant = small, true
			task, run := newTaskOf(t, plugintest.Sink(t, testFactory(), c.process), nil, s), &tolerant{session: newSession(), t: t, exactly: exactly}
			if err := task.Start(limit(t), run); err != nil {
				t.Fatal(err)
			}
			var want, letters []string
			for id := 1; id <= 20; id++ {
				var values []string
				for i := range 30 {
					if i == id || id == 7 && i < 3 {
						values = append(values, "a="+strings.Repeat("x", 3000+id))
						letters = append(letters, fmt.Sprintf("%d/%d x KAFKA_PRODUCE", id, i))
						continue
					}
					value := fmt.Sprintf("%c=%d.%d", 'a'+i%3, id, i)
					values, want = append(values, value), append(want, value)
				}
				put(t, task, batch(id, stream(small), values...))
			}
			keyless := connectors.NewBuilder(orders, nil, nil)
			at := keyless.Stream(stream(compact))
			for _, v := range []string{"k=1", "=nokey", "k=2"} {
				key, value, _ := strings.Cut(v, "=")
				keyless.Begin(at, connectors.OpCreate)
				if key != "" {
					keyless.Key()
					keyless.String(key)
					keyless.Null()
				}
				keyless.After()
				keyless.String(value)
				keyless.Commit()
			}
			b := keyless.Finish(`{"lsn":21}`, connectors.Order{Major: 21})
			b.ID = 21
			put(t, task, b, batch(22, stream(small), "a=end"))
			letters = append(letters, "21/1 n KAFKA_PRODUCE")
			want = append(want, "a=end")
			flush(t, task)
			run.check(t, 22)

			// Partitions come one after the other.
			inOrder := func(values []string) string {
				slices.SortStableFunc(values, func(x, y string) int { return strings.Compare(x[:1], y[:1]) })
				return strings.Join(values, " ")
			}
			if got := inOrder(strings.Fields(text(readAll(t, k.Bootstrap(), small, len(want))))); got != inOrder(want) {
				t.Errorf("written: %s", got)
			}
			if got := text(readAll(t, k.Bootstrap(), compact, 2)); got != "k=1 k=2" {
				t.Errorf("written into the compacted topic: %s", got)
			}
			slices.Sort(run.letters)
			slices.Sort(letters)
			if !slices.Equal(run.letters, letters) {
				t.Errorf("letters %v, want %v", run.letters, letters)
			}
			for i, cause := range run.causes {
				if topic, hint := small, "max.message.bytes"; !strings.Contains(cause, " to topic "+topic+" partition ") || !strings.Contains(cause, hint) {
					if topic, hint = compact, "cleanup.policy=compact"; !strings.Contains(cause, " to topic "+topic+" partition 0: ") || !strings.Contains(cause, hint) {
						t.Errorf("cause %d: %s", i, cause)
					}
				}
			}
			if exactly {
				if got, err := task.(connectors.OffsetKeeper).Progress(limit(t), orders); err != nil || len(got) != 1 || got[0].Offset != `{"lsn":22}` {
					t.Errorf("progress %v %v", got, err)
				}
			}
		})
	}
}

// TestARecordThatTheBrokerRefusesEndsTheTask where nothing is tolerated, with an error that says what to do.
func TestARecordThatTheBrokerRefusesEndsTheTask(t *testing.T) {
	k := bed.Kafka(t)
	for _, exactly := range []bool{false, true} {
		topic := k.NewTopic(t, 1, map[string]string{"max.message.bytes": "2000"})
		s := settings(k.Bootstrap(), exactly)
		s.Connector = topic
		task, run := start(t, nil, s)
		put(t, task, batch(1, stream(topic), "a=1", "a="+strings.Repeat("x", 3000)))
		select {
		case err := <-run.failed:
			if connectors.ClassOf(err) != connectors.Permanent {
				t.Errorf("class %v", connectors.ClassOf(err))
			}
			for _, want := range []string{"write record of 30", " bytes to topic " + topic + " partition 0", "max.message.bytes"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want one with %s", err, want)
				}
			}
		case <-limit(t).Done():
			t.Fatal("not refused")
		}
	}
}

// listening counts what the runtime hears of trouble.
type listening struct {
	*session
	heard chan error
	now   atomic.Bool // tries again, as the status has it
}

func (l *listening) Retrying(err error) {
	l.now.Store(true)
	select {
	case l.heard <- err:
	default:
	}
}

func (l *listening) Ack(id connectors.BatchID) {
	l.now.Store(false)
	l.session.Ack(id)
}

// door is a listener of brokers that can be shut.
type door struct {
	net.Listener
	shut *atomic.Bool
}

func (d door) Accept() (net.Conn, error) {
	c, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return guest{c, d.shut}, nil
}

type guest struct {
	net.Conn
	shut *atomic.Bool
}

func (g guest) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	if g.shut.Load() {
		_ = g.Conn.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

func clusterBehind(t *testing.T, shut *atomic.Bool) string {
	return cluster(t, kfake.SeedTopics(1, "a"), kfake.ListenFn(func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		return door{l, shut}, err
	}))
}

// A task that has failed is stopped in the time that there is, whether or not the coordinator can be told.
func TestStopOfAFailedTaskWhileNoBrokerAnswers(t *testing.T) {
	var shut atomic.Bool
	task, _ := start(t, nil, settings(clusterBehind(t, &shut), true))
	put(t, task, batch(1, stream("a"), "k=1"))
	flush(t, task)
	shut.Store(true)
	if err := task.Put(limit(t), batch(2, stream("a"), "k=2", "k=bad")); connectors.ClassOf(err) != connectors.Permanent {
		t.Fatalf("put: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- task.Stop(ctx) }()
	select {
	case err := <-stopped:
		t.Log(err)
	case <-limit(t).Done():
		t.Fatal("it is not stopped")
	}
}

// TestSinkTellsThatItTriesAgain while no broker answers, and not for longer than until it has written.
func TestSinkTellsThatItTriesAgain(t *testing.T) {
	for _, exactly := range []bool{false, true} {
		t.Run(fmt.Sprint("exactly once ", exactly), func(t *testing.T) {
			t.Parallel()
			var shut atomic.Bool
			servers := clusterBehind(t, &shut)
			task, run := newTask(t, nil, settings(servers, exactly)), &listening{session: newSession(), heard: make(chan error, 1)}
			if err := task.Start(limit(t), run); err != nil {
				t.Fatal(err)
			}
			put(t, task, batch(1, stream("a"), "k=1"))
			flush(t, task)
			if len(run.heard) > 0 {
				t.Errorf("told of trouble: %v", <-run.heard)
			}
			for id := 2; id < 4; id++ {
				shut.Store(true)
				put(t, task, batch(id, stream("a"), fmt.Sprint("k=", id)))
				select {
				case err := <-run.heard:
					for _, want := range []string{"(brokers [" + servers + "])", "check that the brokers run and can be reached"} {
						if !strings.Contains(err.Error(), want) {
							t.Errorf("told %v, want %s", err, want)
						}
					}
				case <-limit(t).Done():
					t.Fatal("nothing was told")
				}
				shut.Store(false)
				flush(t, task)
				run.check(t, id)
				if run.now.Load() {
					t.Error("the trouble has no end")
				}
				for len(run.heard) > 0 { // of attempts before the end
					t.Log(<-run.heard)
				}
			}
			if got := text(read(t, servers, "a")); got != "k=1 k=2 k=3" {
				t.Error(got)
			}
		})
	}
}
