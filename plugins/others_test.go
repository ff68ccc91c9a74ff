package plugins_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets/boltstore"
	"github.com/freshet-io/freshet/plugins/plugintest"
	"github.com/freshet-io/freshet/runtime"
)

const (
	fileSourceClass = "FileStreamSource"
	fileSinkClass   = "FileStreamSink"
)

// renamed is a connector under the name of its fault.
type renamed struct {
	connectors.SourceFactory
	class string
}

// Describe implements connectors.Factory.
func (r renamed) Describe() connectors.Description { return describedAs(r.SourceFactory, r.class) }

type renamedSink struct {
	connectors.SinkFactory
	class string
}

// Describe implements connectors.Factory.
func (r renamedSink) Describe() connectors.Description { return describedAs(r.SinkFactory, r.class) }

func describedAs(f connectors.Factory, class string) connectors.Description {
	d := f.Describe()
	d.Class, d.Version = class, "1"
	return d
}

// newNeighbour returns a source and a sink that have a fault.
func newNeighbour(t *testing.T, fault string) (*victim, connectors.SourceFactory, connectors.SinkFactory) {
	t.Helper()
	v := newVictim(t, fault)
	switch fault {
	case "stops itself", "stops itself in Put":
		v.Patience = 10 * time.Second
	case "leaks":
		v.Memory = 400 << 20
	}
	sources, sinks, err := v.Open(v.bounded(), v.logger())
	if err != nil {
		t.Fatal(err)
	}
	return v, renamed{sources[0], fault}, renamedSink{sinks[0], fault}
}

// neighbours are the connectors of a worker, one of which copies lines and has no fault.
type neighbours struct {
	*testing.T
	worker *runtime.Worker
	store  *boltstore.Store
	dir    string
	in     *os.File
	lines  int
	wait   func(what string, holds func() bool)
}

func newNeighbours(t *testing.T, wait func(string, func() bool), sources []connectors.SourceFactory, sinks []connectors.SinkFactory) *neighbours {
	t.Helper()
	n := &neighbours{T: t, dir: t.TempDir(), wait: wait}
	var err error
	if n.store, err = boltstore.Open(filepath.Join(n.dir, "offsets.db")); err != nil {
		t.Fatal(err)
	}
	n.worker = runtime.NewWorker(runtime.Options{
		Catalog: runtime.NewCatalog(sources, sinks), Store: n.store, Config: connectors.Config{"freshet.health.stall.ms": "1000"},
	})
	if n.in, err = os.OpenFile(filepath.Join(n.dir, "in"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.in.Close() })
	n.put("sound", fileSourceClass, fileSinkClass)
	n.goOn()
	return n
}

// bounded is the time that the worker may take for all.
func (n *neighbours) bounded() context.Context {
	ctx, cancel := context.WithTimeoutCause(n.Context(), 3*generous, errors.New("the worker did not go on"))
	n.Cleanup(cancel)
	return ctx
}

// put makes a connector from a source to a sink of these classes; those of files copy the lines.
func (n *neighbours) put(name, source, sink string) {
	n.Helper()
	c := connectors.Config{"connector.class": source, "sinks": "out", "sinks.out.connector.class": sink}
	if source == fileSourceClass {
		c["file"], c["topic"] = n.in.Name(), "lines"
	}
	if sink == fileSinkClass {
		c["sinks.out.file"] = filepath.Join(n.dir, name)
	}
	if err := n.worker.Put(n.bounded(), name, c, runtime.Running); err != nil {
		n.Fatal(err)
	}
}

// goOn adds a line and waits until the sound connector has copied it.
func (n *neighbours) goOn() {
	n.Helper()
	n.lines++
	if _, err := fmt.Fprintln(n.in, "line", n.lines); err != nil {
		n.Fatal(err)
	}
	n.wait(fmt.Sprint("line ", n.lines), func() bool { return countLines(filepath.Join(n.dir, "sound")) >= n.lines })
}

// close ends the worker; the sound connector has noticed nothing.
func (n *neighbours) close() {
	n.Helper()
	if s := status(n.worker, "sound"); s.State != runtime.Running || s.Trace != "" {
		n.Errorf("the sound connector is %v", s)
	}
	if err := n.worker.Close(n.bounded()); err != nil {
		n.Error(err)
	}
	if err := n.store.Close(); err != nil {
		n.Error(err)
	}
	if got := countLines(filepath.Join(n.dir, "sound")); got != n.lines {
		n.Errorf("%d lines of %d", got, n.lines)
	}
}

// TestOthersGoOn: while the plugins of other connectors fail in every way, the worker runs on, the statuses of those tell what is the
// matter, and a connector whose plugin is sound loses, repeats and notices nothing.
func TestOthersGoOn(t *testing.T) {
	t.Parallel()
	faults := []struct {
		fault string
		state runtime.State
		says  string
	}{
		{"stops itself", runtime.Restarting, "it gave no sign of life for 10s and was ended"},
		{"leaks", runtime.Restarting, "more than plugin.memory.limit allows (400 MiB), and was ended"},
		{"floods its log", runtime.Running, ""},
		{"dies in Poll", runtime.Restarting, "plugin faulty ended: exit status 7"},
		{"sends garbage", runtime.Failed, "read from plugin faulty: decode batch"},
		{"sends batches ahead", runtime.Failed, "it sent more than 2 batches ahead; the plugin is at fault and was ended"},
		{"is replaced", runtime.Failed, "it does not speak version 1 of the protocol, as this worker does, but 9; use a build of the plugin for this one"},
	}
	sources := []connectors.SourceFactory{plugintest.Command(t).IsolateSource(fileSource)}
	var victims []*victim
	for _, f := range faults {
		v, source, _ := newNeighbour(t, f.fault)
		sources, victims = append(sources, source), append(victims, v)
	}
	n := newNeighbours(t, victims[0].eventually, sources, []connectors.SinkFactory{fileSink})
	for _, f := range faults {
		n.put(f.fault, f.fault, fileSinkClass)
		n.goOn()
	}
	for i, f := range faults {
		v := victims[i]
		if f.fault == "is replaced" {
			v.replace()
		}
		v.eventually(fmt.Sprintf("%s to be %s with %q", f.fault, f.state, f.says), func() bool {
			s := status(n.worker, f.fault)
			return s.State == f.state && strings.Contains(s.Trace, f.says)
		})
		n.goOn()
		if f.state == runtime.Restarting { // it need not fail again and again
			if err := n.worker.Delete(n.bounded(), f.fault); err != nil {
				t.Error(err)
			}
		}
	}
	n.close()
}

// TestOthersGoOnBesideSinks is TestOthersGoOn for faults of sinks. One that hangs and gives signs of life is not ended: the health of the
// worker tells who waits for it.
func TestOthersGoOnBesideSinks(t *testing.T) {
	t.Parallel()
	faults := []struct{ fault, trace, stalls string }{
		{"stops itself in Put", "it gave no sign of life for 10s and was ended", ""},
		{"dies in Put", "plugin faulty ended: exit status 7", ""},
		{"hangs in Put", "", "wait for sink hangs in Put"},
		{"acknowledges nothing", "", "wait for sink acknowledges nothing"},
	}
	sinks := []connectors.SinkFactory{plugintest.Command(t).IsolateSink(fileSink)}
	var victims []*victim
	for _, f := range faults {
		v, _, sink := newNeighbour(t, f.fault)
		sinks, victims = append(sinks, sink), append(victims, v)
	}
	n := newNeighbours(t, victims[0].eventually, []connectors.SourceFactory{fileSource}, sinks)
	for _, f := range faults {
		n.put(f.fault, fileSourceClass, f.fault)
		n.goOn()
	}
	for i, f := range faults {
		victims[i].eventually(f.fault+" to be told of", func() bool {
			if s := status(n.worker, f.fault); f.stalls == "" {
				return s.State == runtime.Restarting && strings.Contains(s.Trace, f.trace)
			}
			return slices.ContainsFunc(n.worker.Stalled(), func(s runtime.Stall) bool {
				return s.Connector == f.fault && strings.Contains(s.String(), f.stalls)
			})
		})
		n.goOn()
		if err := n.worker.Delete(n.bounded(), f.fault); err != nil {
			t.Error(err)
		}
		n.goOn()
	}
	n.close()
}

// status is that of a connector's one task.
func status(w *runtime.Worker, connector string) (s runtime.TaskStatus) {
	if all, err := w.Status(connector); err == nil && len(all.Tasks) == 1 {
		s = all.Tasks[0]
	}
	return s
}

// countLines counts the lines of a file; one that is not there has none.
func countLines(path string) int {
	text, _ := os.ReadFile(path)
	return strings.Count(string(text), "\n")
}
