package plugins_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// polls starts a source, polls until there is an error, stops it and returns the error and how many batches came before.
func (v *victim) polls(task connectors.SourceTask) (n int, err error) {
	v.Helper()
	err = task.Start(v.bounded(), &host{})
	for ; err == nil; n++ {
		var b *connectors.Batch
		if b, err = task.Poll(v.bounded()); err == nil {
			b.Release()
		}
	}
	if stop := task.Stop(v.bounded()); stop != nil {
		v.Errorf("Stop: %v", stop)
	}
	return n - 1, err
}

func TestFaultsOfASource(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault string
		class connectors.Class
		says  []string
	}{
		{"dies in Start", connectors.Retriable, []string{"start the task", "exit status 7"}},
		{"has a long answer", connectors.Permanent, []string{"larger than max"}},
		{"tells a secret in Start", connectors.Retriable, []string{"connect with [hidden]: refused"}},
		{"dies in Poll", connectors.Retriable, []string{"exit status 7"}},
		{"ends in Poll", connectors.Retriable, []string{"plugin faulty ended"}},
		{"panics in Poll", connectors.Retriable, []string{"panic: no more devices than [hidden]"}},
		{"leaves a child", connectors.Retriable, []string{"exit status 8"}},
		{"stops itself", connectors.Retriable, []string{"no sign of life for 15s"}},
		{"leaks", connectors.Retriable, []string{"more than plugin.memory.limit allows (400 MiB)"}},
		{"has a child that leaks", connectors.Retriable, []string{"more than plugin.memory.limit allows (400 MiB)"}},
		{"sends garbage", connectors.Permanent, []string{"read from plugin faulty: decode batch"}},
		{"sends nothing", connectors.Permanent, []string{"neither a batch nor an error"}},
		{"sends a batch of an unknown stream", connectors.Permanent, []string{"decode batch"}},
		{"sends a cut batch", connectors.Permanent, []string{"decode batch"}},
		{"sends what is no message", connectors.Permanent, []string{"unmarshal"}},
		{"has an error without a text", connectors.Retriable, []string{"an error without a text"}},
		{"has an error of no class", connectors.Retriable, []string{"odd"}},
		{"has a long error", connectors.Retriable, []string{"xxx…"}},
		{"tells a secret", connectors.Retriable, []string{"log in as app with [hidden] at [hidden]"}},
		{"settles as a source", connectors.Permanent, []string{"a call that a task of its kind cannot make"}},
		{"tolerates nothing", connectors.Permanent, []string{"without the record"}},
		{"tolerates nowhere", connectors.Permanent, []string{"unknown stage"}},
		{"asks nothing", connectors.Permanent, []string{"a call that a task of its kind cannot make"}},
		{"asks about garbage", connectors.Permanent, []string{"partition"}},
		{"asks twice at once", connectors.Permanent, []string{"asked question 5 while there was one"}},
	} {
		t.Run(c.fault, func(t *testing.T) {
			t.Parallel()
			v := newVictim(t, c.fault)
			task := v.source()
			switch c.fault {
			case "stops itself":
				v.Patience = 15 * time.Second // also for the start of the process
			case "leaks", "has a child that leaks":
				v.Memory = 400 << 20
			}
			_, err := v.polls(task)
			v.refused(err, c.class, c.says...)
			if len(err.Error()) > 20<<10 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			if c.fault == "tells a secret" {
				for _, text := range []string{"plain [hidden]", "json [hidden]"} {
					if !strings.Contains(v.log.text(), text) {
						t.Errorf("%q is not in the log: %s", text, v.log.text())
					}
				}
			}
		})
	}
}

// TestBatchesAhead: those that were asked for are polled, and then there is an error.
func TestBatchesAhead(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "sends batches ahead")
	n, err := v.polls(v.source())
	v.refused(err, connectors.Permanent, "more than 2 batches ahead")
	if n >= 50 {
		t.Errorf("%d batches were taken", n)
	}
}

func TestALongClaim(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "has a long claim")
	_, err := v.polls(v.source())
	v.refused(err, connectors.Permanent, "claim")
}

// TestHanging: whatever hangs in a plugin that is alive otherwise, the worker's calls end with their contexts, and Stop ends the process.
func TestHanging(t *testing.T) {
	t.Parallel()
	short := func(t *testing.T, f func(ctx context.Context) error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if err := f(ctx); err == nil || connectors.ClassOf(err) != connectors.Retriable {
			t.Errorf("got %v", err)
		}
	}
	for _, fault := range []string{"hangs in Open", "hangs in Start", "hangs in Poll", "hangs in Stop"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			v := newVictim(t, fault)
			task := v.source()
			if fault == "hangs in Open" || fault == "hangs in Start" {
				short(t, func(ctx context.Context) error { return task.Start(ctx, &host{}) })
			} else if err := task.Start(v.bounded(), &host{}); err != nil {
				t.Fatal(err)
			}
			if fault == "hangs in Poll" {
				short(t, func(ctx context.Context) error { _, err := task.Poll(ctx); return err })
			}
			if fault == "hangs in Stop" {
				ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
				defer cancel()
				began := time.Now()
				_ = task.Stop(ctx)
				if took := time.Since(began); took > generous {
					t.Errorf("Stop took %s", took)
				}
			} else if err := task.Stop(v.bounded()); err != nil {
				t.Errorf("Stop: %v", err)
			}
			v.gone()
		})
	}
}

// TestNoise: what a plugin says beside its work neither stops that, nor fills the worker.
func TestNoise(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"floods its log", "writes a line of 20 MB", "asks without end"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			v := newVictim(t, fault)
			task := v.source()
			began := time.Now()
			if err := task.Start(v.bounded(), &host{}); err != nil {
				t.Fatal(err)
			}
			for range 20 {
				b, err := task.Poll(v.bounded())
				if err != nil {
					t.Fatal(err)
				}
				b.Release()
			}
			if fault == "writes a line of 20 MB" {
				v.eventually("the line", func() bool { return strings.Contains(v.log.text(), "cut=true") })
			}
			if err := task.Stop(v.bounded()); err != nil {
				t.Errorf("Stop: %v", err)
			}
			text := v.log.text()
			if most := 200 * (time.Since(began).Seconds() + 2) * 250; float64(len(text)) > most+20<<10 {
				t.Errorf("%d bytes of log in %s", len(text), time.Since(began))
			}
			v.discreet(text)
		})
	}
}

func TestObservationsAreBounded(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "observes at length")
	task := v.source()
	if err := task.Start(v.bounded(), &host{}); err != nil {
		t.Fatal(err)
	}
	observed := task.(connectors.Observed)
	v.eventually("an observation", func() bool { return observed.Observe().Server != "" })
	o := observed.Observe()
	if o.Server != connectors.Hidden || len(o.Snapshot.Rows) == 0 || len(o.Snapshot.Rows) > 20_000 {
		t.Errorf("server %q, %d tables", o.Server, len(o.Snapshot.Rows))
	}
	for table := range o.Snapshot.Rows {
		if len(table) > 1100 {
			t.Fatalf("a table's name has %d bytes", len(table))
		}
	}
	if err := task.Stop(v.bounded()); err != nil {
		t.Error(err)
	}
}

// TestNothingIsInherited: neither the environment nor open files of the worker are in the plugin.
func TestNothingIsInherited(t *testing.T) {
	t.Setenv("WORKER_ONLY", "a-value-of-the-worker")
	file, err := os.Create(filepath.Join(t.TempDir(), "secret-file"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	v := newVictim(t, "lists what it inherited")
	_, err = v.polls(v.source())
	v.refused(err, connectors.Retriable, pidsVariable, "file pipe:")
	for _, text := range []string{"WORKER_ONLY", "a-value-of-the-worker", "secret-file", "HOME="} {
		if strings.Contains(err.Error(), text) {
			t.Errorf("%s is in the plugin: %v", text, err)
		}
	}
}
