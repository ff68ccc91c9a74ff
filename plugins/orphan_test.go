package plugins_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/plugins"
)

// middleArgument, followed by a file for the numbers of processes, makes the test binary a worker with one task in a plugin that does not
// look at its standard input.
const middleArgument = "-middle-worker"

func work(pids string) {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	c := &plugins.Command{Path: path, Args: []string{faultyArgument, "hangs in Poll"}, Environment: []string{pidsVariable + "=" + pids}}
	sources, _, err := c.Open(context.Background(), nil)
	if err != nil {
		panic(err)
	}
	task, err := sources[0].NewSource(connectors.Config{}, connectors.Settings{})
	if err != nil {
		panic(err)
	}
	if err := task.Start(context.Background(), &host{}); err != nil {
		panic(err)
	}
	fmt.Println("ready")
	time.Sleep(time.Hour)
}

// TestAPluginDiesWithItsWorker: of kill -9, too, and whether or not it looks at its standard input; no folder of a socket is left.
func TestAPluginDiesWithItsWorker(t *testing.T) {
	t.Parallel()
	v := newVictim(t, "of a worker of its own")
	worker := exec.Command(v.Path, middleArgument, v.pids)
	folder, err := os.MkdirTemp("", "orphan") // a short name: it is a part of a socket's
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	worker.Stderr, worker.Env = &v.log, append(os.Environ(), "TMPDIR="+folder)
	out, err := worker.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "ready\n" {
		t.Errorf("%q, %v: %s", line, err, v.log.text())
	}
	if err := worker.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = worker.Wait()
	v.gone()
	if left, err := filepath.Glob(filepath.Join(folder, "*")); err != nil || len(left) > 0 {
		t.Errorf("%v are left behind, %v", left, err)
	}
}
