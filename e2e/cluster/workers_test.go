package cluster

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/rest/client"
	"github.com/freshet-io/freshet/testbed"
	"github.com/freshet-io/freshet/testbed/rounds"
)

// group is a cluster of workers, each of them a process.
type group struct {
	testing.TB
	name       string
	properties map[string]string // of every worker, on top of the usual ones
	members    []*worker
}

// worker is a place for one process after the other, with the same properties.
type worker struct {
	*testbed.Program                    // the newest one; nil before the first
	bootstrap        string             // where it finds the broker
	id               string             // host:port of its REST API, as statuses name it
	api              *client.Client     // never gives up on a rebalance
	before           []*testbed.Program // that ended
}

// newGroup makes places for as many workers as there are ways to the broker.
func newGroup(t testing.TB, name string, bootstrap []string, properties map[string]string) *group {
	t.Helper()
	g := &group{TB: t, name: name, properties: properties}
	for _, address := range bootstrap {
		w := &worker{bootstrap: address, id: testbed.FreeAddress(t)}
		var err error
		if w.api, err = client.New(client.Options{URL: "http://" + w.id, Patience: time.Minute}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.api.Close)
		g.members = append(g.members, w)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(g.said())
		}
	})
	return g
}

// internal are the topics of the group.
func (g *group) internal() []string {
	return []string{g.name + "-configs", g.name + "-offsets", g.name + "-status"}
}

// start starts a worker, which has ended or never ran.
func (g *group) start(w *worker) {
	g.Helper()
	properties := map[string]string{
		"key.converter.schemas.enable":     "false",
		"value.converter.schemas.enable":   "false",
		"offset.storage.partitions":        "3",
		"status.storage.partitions":        "2",
		"scheduled.rebalance.max.delay.ms": "0",
		"listeners":                        "http://" + w.id,
	}
	maps.Copy(properties, g.properties)
	if w.Program != nil {
		w.before = append(w.before, w.Program)
	}
	dir := g.TempDir()
	w.Program = bed.Freshet(g, dir, "worker", "-c", testbed.WriteWorker(g, dir, w.bootstrap, g.name, properties))
}

// but lists all workers but some.
func (g *group) but(out ...*worker) []*worker {
	return slices.DeleteFunc(slices.Clone(g.members), func(w *worker) bool { return slices.Contains(out, w) })
}

// answers waits until the workers are in the group.
func (g *group) answers(of ...*worker) {
	g.Helper()
	for _, w := range of {
		w.Until("worker "+w.id+" does not answer", func() bool {
			if w.Ended() {
				g.Fatalf("worker %s has ended", w.id)
			}
			ctx, cancel := context.WithTimeout(g.Context(), time.Second)
			defer cancel()
			_, err := w.api.Names(ctx)
			return err == nil
		})
	}
}

// create makes a connector through a worker.
func (g *group) create(w *worker, config connectors.Config) {
	g.Helper()
	ctx, cancel := context.WithTimeout(g.Context(), time.Minute)
	defer cancel()
	if _, err := w.api.Create(ctx, config["name"], config, ""); err != nil {
		g.Fatalf("create connector %s: %v", config["name"], err)
	}
}

// owners tells on which worker each connector's only task runs, by its id; "" for one of which not everything runs. complaint names
// the first of these.
func (g *group) owners(ask *worker) (owners map[string]string, complaint string) {
	g.Helper()
	ctx, cancel := context.WithTimeout(g.Context(), 5*time.Second)
	defer cancel()
	all, err := ask.api.All(ctx)
	if err != nil {
		return nil, err.Error()
	}
	owners = map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := all[name].Status
		owners[name] = ""
		if s.Connector.State == runtime.Running && len(s.Tasks) == 1 && s.Tasks[0].State == runtime.Running {
			owners[name] = s.Tasks[0].WorkerID
		} else if complaint == "" {
			complaint = fmt.Sprintf("connector %s: %+v", name, s)
		}
	}
	return owners, complaint
}

// shared checks that every task is on one of the workers and that none of them has more than one above another; "" is well.
func shared(owners map[string]string, among []*worker) string {
	count := map[string]int{}
	for _, w := range among {
		count[w.id] = 0
	}
	for name, id := range owners {
		if _, here := count[id]; !here {
			return fmt.Sprintf("connector %s is on %q", name, id)
		}
		count[id]++
	}
	counts := slices.Collect(maps.Values(count))
	if slices.Max(counts)-slices.Min(counts) > 1 {
		return fmt.Sprintf("tasks by worker: %v", count)
	}
	return ""
}

// patience is how long workers may take to settle, whatever happened.
const patience = 3 * time.Minute

// until polls until ok.
func until(t testing.TB, complaint func() string, ok func() bool) {
	t.Helper()
	limit := time.Now().Add(patience)
	for !ok() {
		if t.Context().Err() != nil || time.Now().After(limit) {
			t.Fatal(complaint())
		}
		rounds.Pass(t.Context(), 100*time.Millisecond)
	}
}

// waited is for how long, since the machine started, something waited for processors or disks; 0 where the system does not tell.
func waited(t testing.TB) (sum time.Duration) {
	t.Helper()
	for _, of := range []string{"cpu", "io"} {
		text, err := os.ReadFile("/proc/pressure/" + of)
		if err != nil {
			continue
		}
		_, total, _ := strings.Cut(string(text), "total=")
		total, _, _ = strings.Cut(total, "\n")
		n, err := strconv.ParseInt(total, 10, 64)
		if err != nil {
			t.Fatalf("read the pressure on %s: %v", of, err)
		}
		sum += time.Duration(n) * time.Microsecond
	}
	return sum
}

// tail is how much of what a process printed is shown, in bytes.
const tail = 30_000

// said is the end of what every process printed.
func (g *group) said() string {
	var out strings.Builder
	for _, w := range g.members {
		for i, p := range append(slices.Clone(w.before), w.Program) {
			if p == nil {
				continue
			}
			text := p.Output()
			fmt.Fprintf(&out, "--- worker %s, process %d:\n%s\n", w.id, i+1, text[max(0, len(text)-tail):])
		}
	}
	return out.String()
}

// quit ends the workers so that they print what their goroutines wait for.
func (g *group) quit() {
	g.Helper()
	for _, w := range g.members {
		if w.Program != nil && !w.Ended() {
			w.Signal(syscall.SIGQUIT)
			w.Ends()
		}
	}
}

// panics fails the test when a process did.
func (g *group) panics() {
	g.Helper()
	for _, w := range g.members {
		for _, p := range append(slices.Clone(w.before), w.Program) {
			if text := p.Output(); strings.Contains(text, "panic") || strings.Contains(text, "goroutine 1 [") {
				g.Errorf("worker %s panicked", w.id)
			}
		}
	}
}
