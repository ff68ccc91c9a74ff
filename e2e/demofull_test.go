package e2e

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freshet-io/freshet/demo"
	"github.com/freshet-io/freshet/testbed"
)

// The full demo as a newcomer starts it: a run that Ctrl-C interrupts leaves no container, the run after one that was killed takes
// over its containers, and a whole one finds every target equal to the source.
func TestDemoFull(t *testing.T) {
	t.Parallel()
	testbed.NeedEngine(t)
	name := fmt.Sprintf("freshet-demo-%08x", rand.Uint32())
	containers := func(ctx context.Context) []string {
		out, err := exec.CommandContext(ctx, "docker", "ps", "-aq", "--filter", "label=freshet.demo="+name).Output()
		if err != nil {
			t.Errorf("list containers: %v", err)
		}
		return strings.Fields(string(out))
	}
	t.Cleanup(func() {
		if cache, err := demo.CacheDir(); err == nil {
			_ = os.Remove(filepath.Join(cache, name+".lock")) // of a name that never comes again
		}
		if ids := containers(context.Background()); len(ids) > 0 {
			t.Errorf("%d containers are left", len(ids))
			_ = exec.Command("docker", append([]string{"rm", "-fv"}, ids...)...).Run() // said above
		}
	})
	for _, s := range []struct {
		signal syscall.Signal
		left   int
	}{{syscall.SIGINT, 0}, {syscall.SIGKILL, 4}} {
		run, out := makeDemoFull(t, name)
		testbed.Eventually(t, func() string { return "not all containers were started" }, func() bool { return len(containers(t.Context())) == 4 })
		if err := syscall.Kill(-run.Process.Pid, s.signal); err != nil {
			t.Fatal(err)
		}
		_ = run.Wait() // make tells of the signal
		if n := len(containers(t.Context())); n != s.left {
			t.Errorf("%d containers are left after %s, want %d; it said:\n%s", n, s.signal, s.left, out)
		}
	}
	run, out := makeDemoFull(t, name)
	if err := run.Wait(); err != nil {
		t.Fatalf("%v; it said:\n%s", err, out)
	}
	said := out.String()
	if m := missing(said, []string{
		"removed 4 containers of a demo that was killed", "freshet run ", "─track─", `"horse" : "`, "since", "removed 4 containers\n",
		"ClickHouse, Elasticsearch and TimescaleDB equal the source, row by row",
	}); len(m) > 0 {
		t.Errorf("it did not say %q; it said:\n%s", m, said)
	}
}

// makeDemoFull starts `make demo-full`, in a process group of its own, as a terminal does.
func makeDemoFull(t *testing.T, name string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	root, err := testbed.Root()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	cmd := exec.CommandContext(ctx, "make", "demo-full", "ARGS=--once --name "+name)
	cmd.Dir, cmd.Stdout, cmd.Stderr = root, &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) // it has ended, but where the test failed
	})
	return cmd, &out
}
