package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/testbed"
)

// neighbour is a connector from file to file in the same worker as one whose processes are killed. Its source runs in the worker, its
// sink has a process of its own, which is left alone.
type neighbour struct {
	testing.TB
	in, out string
	lines   int
	pid     int // of the sink's process
}

const neighbourName = "neighbour"

// neighbour adds one to what freshet runs.
func (c *crash) neighbour() *neighbour {
	c.Helper()
	n := &neighbour{TB: c, in: filepath.Join(c.dir, "neighbour.txt"), out: filepath.Join(c.dir, "neighbour.jsonl")}
	config := testbed.ToFile(n.out)
	config["name"], config["connector.class"], config["file"], config["topic"] = neighbourName, "FileStreamSource", n.in, "lines"
	config["plugin.isolation"], config["sinks.out.plugin.isolation"] = "none", "process"
	c.args = append(c.args, testbed.WriteConnector(c, c.dir, config))
	n.grow()
	return n
}

// runs finds the process of its sink in a worker that was started: it has the file open.
func (n *neighbour) runs(p *testbed.Program) {
	n.Helper()
	p.Until("the neighbour's sink has no process", func() bool {
		for _, pid := range children(n, p.Pid()) {
			if slices.Contains(openFiles(pid), n.out) {
				n.pid = pid
				return true
			}
		}
		return false
	})
}

// others are the processes of the worker that are not the neighbour's.
func (n *neighbour) others(p *testbed.Program) []int {
	n.Helper()
	return slices.DeleteFunc(children(n, p.Pid()), func(pid int) bool { return pid == n.pid })
}

// grow adds lines.
func (n *neighbour) grow() {
	n.Helper()
	f, err := os.OpenFile(n.in, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		n.Fatal(err)
	}
	for range 100 {
		n.lines++
		if _, err := fmt.Fprintf(f, "line %d\n", n.lines); err != nil {
			n.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		n.Fatal(err)
	}
}

// unharmed waits until every line is there, and checks that neither worker, task nor process was started again.
func (n *neighbour) unharmed(p *testbed.Program) {
	n.Helper()
	p.Until("the neighbour does not go on", func() bool {
		text, err := os.ReadFile(n.out)
		return err == nil && strings.Count(string(text), "\n") >= n.lines
	})
	p.Until("the neighbour's status is not RUNNING", func() bool { return p.Task("connectors/"+neighbourName+"/status").State == "RUNNING" })
	if task := p.Task("freshet/connectors/" + neighbourName); task.State != "RUNNING" || task.Records.Restarts != 0 {
		n.Errorf("the neighbour's task: %+v", task)
	}
	if p.Ended() || !slices.Contains(children(n, p.Pid()), n.pid) {
		n.Fatalf("the worker, or the process of the neighbour's sink, has ended; freshet said:\n%s", p.Output())
	}
}

// complete checks that every line came once, in order.
func (n *neighbour) complete() {
	n.Helper()
	text, err := os.ReadFile(n.out)
	if err != nil {
		n.Fatal(err)
	}
	count := 0
	for line := range strings.Lines(string(text)) {
		count++
		var got struct{ Value string }
		if err := json.Unmarshal([]byte(line), &got); err != nil || got.Value != "line "+strconv.Itoa(count) {
			n.Fatalf("line %d of the neighbour is %q (%v)", count, line, err)
		}
	}
	if count != n.lines {
		n.Errorf("the neighbour has %d lines, want %d", count, n.lines)
	}
	n.Logf("the neighbour copied %d lines", count)
}

// openFiles are the paths of what a process has open.
func openFiles(pid int) (paths []string) {
	links, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "fd", "*"))
	if err != nil {
		return nil
	}
	for _, link := range links {
		if path, err := os.Readlink(link); err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}
