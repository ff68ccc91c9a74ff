package kafka

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"pgregory.net/rapid"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/testbed"
)

// world is one run of the property: a source that has the same batches for whoever reads it, a model broker, and owners of the
// one task, of which only the newest may write.
type world struct {
	rt      *rapid.T
	ctx     context.Context
	rng     *rand.Rand
	broker  *model
	servers string
	set     connectors.Settings
	config  connectors.Config
	total   int
	zombies []*ownerTask
	claim   string         // of the newest instance that has ended
	ends    map[string]int // of instances, by what ended them
}

// ownerTask is one instance of the task.
type ownerTask struct {
	task connectors.SinkTask
	run  *session
	next int // batch to put
	id   int
}

// values returns the records of a batch, the same at every reading: key=batch.record.
func values(n int) []string {
	rng := rand.New(rand.NewPCG(uint64(n), 3))
	var out []string
	for i := range 1 + rng.IntN(5) {
		out = append(out, fmt.Sprintf("%c=%d.%d", 'a'+rng.IntN(4), n, i))
	}
	return out
}

// start makes an instance: of another owner, or in place, as the runtime does after an error. Who is fenced is not started in place.
func (w *world) start(inPlace bool) *ownerTask {
	for {
		o := &ownerTask{run: newSession()}
		if w.set.Claim = ""; inPlace {
			w.set.Claim = w.claim
		}
		task, err := testFactory().NewSink(w.config, w.set)
		if err != nil {
			w.rt.Fatal(err)
		}
		o.task = task
		at := 0
		err = task.Start(w.ctx, o.run)
		if err == nil {
			at, err = progressOf(w.ctx, task)
		}
		if err == nil {
			o.next = at + 1
			w.check(at)
			return o
		}
		w.stop(o)
		inPlace = w.mustGoOn(err) && inPlace
	}
}

func progressOf(ctx context.Context, task connectors.SinkTask) (int, error) {
	list, err := task.(connectors.OffsetKeeper).Progress(ctx, orders)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	at := 0
	_, err = fmt.Sscanf(string(list[0].Offset), `{"lsn":%d}`, &at)
	return at, err
}

// mustGoOn takes the end of an instance: every error but a permanent one is followed by another instance, in place unless it is
// fenced.
func (w *world) mustGoOn(err error) (inPlace bool) {
	if connectors.ClassOf(err) == connectors.Permanent {
		w.rt.Fatalf("permanent: %v", err)
	}
	if w.ctx.Err() != nil {
		w.rt.Fatalf("not finished in time, instances ended by %v; the last error is %v", w.ends, err)
	}
	w.ends[connectors.ClassOf(err).String()]++
	w.rt.Logf("an instance ended: %v", err)
	return connectors.ClassOf(err) != connectors.Fenced
}

func (w *world) stop(o *ownerTask) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if w.rng.IntN(2) == 0 {
		cancel() // as a kill: nothing is aborted
	}
	_ = o.task.Stop(ctx) // what it could not end, the next owner ends
	w.claim = o.task.(connectors.Claimant).Claim()
}

// wake starts a zombie in place: it must find that it is fenced, and take nothing back (I6).
func (w *world) wake(z *ownerTask) {
	claim := z.task.(connectors.Claimant).Claim()
	for ctx := w.ctx; ; {
		s := w.set
		s.Claim = claim
		task, err := testFactory().NewSink(w.config, s)
		if err != nil {
			w.rt.Fatal(err)
		}
		err = task.Start(ctx, newSession())
		_ = task.Stop(ctx)
		switch {
		case connectors.ClassOf(err) == connectors.Fenced && err != nil:
			w.ends["zombie fenced at its restart"]++
			return
		case err == nil || w.ctx.Err() != nil:
			w.rt.Fatalf("a zombie that was started in place: %v", err)
		}
	}
}

// put gives the next batch to an owner, or to a zombie.
func (o *ownerTask) put(ctx context.Context) error {
	select {
	case err := <-o.run.failed:
		return err
	default:
	}
	o.id++
	b := batch(o.next, stream("t"), values(o.next)...)
	b.ID = connectors.BatchID(o.id)
	o.next++
	return o.task.Put(ctx, b)
}

// check compares what a reader of committed records sees with the committed offset: every record of the batches up to it, once,
// in order per key, and nothing else (I4, I11).
func (w *world) check(upTo int) {
	var want, have [4][]string
	for n := 1; n <= upTo; n++ {
		for _, v := range values(n) {
			want[v[0]-'a'] = append(want[v[0]-'a'], v[2:])
		}
	}
	// Within a partition, records are in the order of their writing.
	records, err := testbed.ReadTopics(w.ctx, w.servers, []string{"t"})
	if err != nil {
		w.rt.Fatalf("read: %v", err)
	}
	for _, r := range records {
		have[r.Key[0]-'a'] = append(have[r.Key[0]-'a'], string(r.Value))
	}
	for i := range want {
		if got, want := strings.Join(have[i], " "), strings.Join(want[i], " "); got != want {
			w.rt.Fatalf("offset %d, key %c:\nhave %s\nwant %s", upTo, 'a'+i, got, want)
		}
	}
}

// live moves everything through one owner after the other.
func (w *world) live() {
	o := w.start(false)
	for {
		var err error
		switch what := w.rng.IntN(60); {
		case o.next > w.total || what == 0:
			err = o.task.Flush(w.ctx)
		case what == 1: // somebody takes over; this one does not know
			w.zombies = append(w.zombies, o)
			w.ends["take-over"]++
			o = w.start(false)
		case what == 2:
			w.stop(o)
			w.ends["stop"]++
			o = w.start(w.rng.IntN(2) == 0)
		case what == 3 && len(w.zombies) > 0:
			i := w.rng.IntN(len(w.zombies))
			claim := w.claim
			w.stop(w.zombies[i])
			w.wake(w.zombies[i])
			w.claim = claim
			w.zombies = slices.Delete(w.zombies, i, i+1)
		case what < 8 && len(w.zombies) > 0:
			z := w.zombies[w.rng.IntN(len(w.zombies))]
			ctx, cancel := context.WithTimeout(w.ctx, 20*time.Millisecond) // it may have a full buffer
			_ = z.put(ctx)                                                 // its verdict is looked at in the end
			cancel()
		default:
			err = o.put(w.ctx)
		}
		if err != nil {
			w.stop(o)
			o = w.start(w.mustGoOn(err))
		} else if o.next > w.total {
			if err = o.task.Flush(w.ctx); err == nil {
				break
			}
			w.stop(o)
			o = w.start(w.mustGoOn(err))
		}
	}
	w.zombies = append(w.zombies, o)
}

// settle ends the disturbance and lets every zombie try once more: a fenced owner writes nothing, and knows that it is (I6).
func (w *world) settle() map[string]int {
	struck := w.broker.calm()
	last := w.zombies[len(w.zombies)-1]
	for _, z := range w.zombies[:len(w.zombies)-1] {
		err := z.put(w.ctx)
		if err == nil {
			err = z.task.Flush(w.ctx)
		}
		if err == nil {
			w.rt.Fatal("a zombie wrote")
		}
		w.ends["zombie "+connectors.ClassOf(err).String()]++
		w.rt.Logf("a zombie ended: %v", err)
		w.stop(z)
	}
	// Nobody but another owner fences, or an own request for the id that came after its repetition: no broker can tell these two.
	if n := w.ends["fenced"]; n > struck["InitProducerID done late"]+struck[repeated] {
		w.rt.Fatalf("%d owners were fenced by nobody", n)
	}
	at, err := progressOf(w.ctx, last.task)
	if err != nil || at != w.total {
		w.rt.Fatalf("progress %d of %d: %v", at, w.total, err)
	}
	w.check(w.total)
	w.stop(last)
	return struck
}

// TestExactlyOnceOverABadBroker: whatever a broker and the network do, a reader of committed records sees every record once and
// in order per key, the committed offset is that of the last record, and a fenced owner writes nothing more. It runs for some
// 20 seconds; FRESHET_ROUNDS asks for a number of rounds, FRESHET_SEED for one alone.
func TestExactlyOnceOverABadBroker(t *testing.T) {
	began, rounds := time.Now(), 0
	struck, ends := map[string]int{}, map[string]int{}
	once := func(rt *rapid.T, seed uint64) {
		rt.Logf("replay: FRESHET_SEED=%d go test ./connectors/kafka -run %s", seed, t.Name())
		w := newWorld(rt, seed)
		defer w.broker.Close()
		w.live()
		for what, n := range w.settle() {
			struck[what] += n
		}
		for what, n := range w.ends {
			ends[what] += n
		}
		rounds++
	}
	if text := os.Getenv("FRESHET_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		rapid.Check(t, func(rt *rapid.T) {
			if rounds == 0 {
				once(rt, seed)
			}
		})
		return
	}
	most, _ := strconv.Atoi(os.Getenv("FRESHET_ROUNDS"))
	for rounds < most || most == 0 && time.Since(began) < 20*time.Second {
		rapid.Check(t, func(rt *rapid.T) {
			if seed := rapid.Uint64().Draw(rt, "seed"); rounds < most || most == 0 && time.Since(began) < 20*time.Second {
				once(rt, seed)
			}
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("%d rounds; instances ended by %v; faults: %v", rounds, ends, struck)
	if len(struck) < 20 {
		t.Errorf("hardly anything went wrong: %v", struck)
	}
}

func newWorld(rt *rapid.T, seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 11))
	broker, err := newModel(seed, 5+rng.IntN(30), kfake.SeedTopics(3, "t"))
	if err != nil {
		rt.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	rt.Cleanup(cancel)
	w := &world{rt: rt, ctx: ctx, rng: rng, broker: broker, ends: map[string]int{}, servers: strings.Join(broker.ListenAddrs(), ","), total: 20 + rng.IntN(80)}
	w.set = settings(w.servers, true, "producer.retry.backoff.ms", "4", "producer.retry.backoff.max.ms", "20", "producer.batch.size", "200")
	w.config = connectors.Config{}
	if rng.IntN(3) == 0 {
		w.config["transaction.boundary"], w.config["transaction.boundary.interval.ms"] = "interval", "10"
	}
	return w
}
