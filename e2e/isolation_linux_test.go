package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/freshet-io/freshet/testbed"
)

const isolated = "plugin.isolation=process\nlisteners=http://127.0.0.1:0"

// killsKey says how often processes of plugins are killed in the long form.
const killsKey = "FRESHET_PLUGIN_KILLS"

// What is built in keeps its promises in processes of its own while those, and the worker, are killed under load. A connector beside
// it does not notice.
func TestCrashInProcesses(t *testing.T) {
	t.Parallel()
	t.Run("exactly once into Kafka", func(t *testing.T) {
		t.Parallel()
		c := newCrash(t, bed.Postgres(t), bed.Kafka(t), isolated+"\n"+exactlyOnce, nil)
		c.killProcesses()
		c.once(c.topics())
	})
	t.Run("into tables", func(t *testing.T) {
		t.Parallel()
		target := bed.Timescale(t)
		to := target.NewDatabase(t)
		c := newCrash(t, bed.Postgres(t), nil, isolated, target.ToTable(to, nil))
		c.killProcesses()
		c.checkTables(target, to)
	})
	t.Run("into a file", func(t *testing.T) {
		t.Parallel()
		out := filepath.Join(t.TempDir(), "out.jsonl")
		c := newCrash(t, bed.Postgres(t), nil, isolated, testbed.ToFile(out))
		c.killProcesses()
		c.checkFile(out)
	})
}

// killProcesses kills the processes of the source and the sink, one of them alone, and the worker, which leaves none behind.
func (c *crash) killProcesses() {
	c.Helper()
	rounds := 3
	if text := os.Getenv(killsKey); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			c.Fatalf("%s: %v", killsKey, err)
		}
		c.count += rounds * crashTransactions / 8
	}
	beside := c.neighbour()
	c.load()
	c.interruptSnapshot(1)
	beside.runs(c.p)
	kills := 0
	for round := range rounds {
		c.progress()
		beside.grow()
		before := c.processes(beside)
		switch {
		case round == 1: // the source, which is started last; the sink is stopped
			before = before[1:]
		case round == 2:
			before = before[:1]
		case round > 2 && c.random.IntN(3) > 0:
			before = before[c.random.IntN(len(before)):][:1]
		}
		kills += c.killed(beside, before, round == 0)
		beside.unharmed(c.p)
	}
	restarts := c.p.Task("freshet/connectors/" + c.config["name"]).Records.Restarts
	c.Logf("%d rounds: %d processes were killed, the task was started again %d times", rounds, kills, restarts)
	c.progress()
	left := append(c.processes(beside), beside.pid)
	c.kill()
	testbed.Eventually(c, func() string { return "processes are left behind a worker that was killed" }, func() bool {
		for _, pid := range left {
			if strings.Contains(commandOf(pid), "plugin") {
				return false
			}
		}
		return true
	})
	beside.grow()
	c.start()
	beside.runs(c.p)
	beside.unharmed(c.p)
	c.finish()
	if pids := children(c, c.p.Pid()); len(pids) > 0 {
		c.Errorf("processes %v are left behind a worker that was stopped", pids)
	}
	beside.complete()
}

// killed kills processes of the task and waits until it runs again. The log tells why it was away. With seen, its processes are killed
// whenever it runs, until the status was seen to tell of it, too. It returns how many were killed.
func (c *crash) killed(beside *neighbour, pids []int, seen bool) (kills int) {
	c.Helper()
	name, said := c.config["name"], len(c.p.Output())
	restarts := c.p.Task("freshet/connectors/" + name).Records.Restarts
	kill := func(pids []int) {
		for _, pid := range pids {
			if syscall.Kill(pid, syscall.SIGKILL) == nil { // else it has ended
				kills++
			}
		}
	}
	kill(pids)
	if seen {
		c.p.Until("the status does not tell of the kill", func() bool {
			task := c.p.Task("connectors/" + name + "/status")
			if task.State == "RESTARTING" && strings.Contains(task.Trace, wasKilled) {
				return true
			}
			if c.p.Task("freshet/connectors/"+name).State == "RUNNING" {
				kill(beside.others(c.p))
			}
			return false
		})
	}
	c.p.Until("the task does not run again", func() bool {
		task := c.p.Task("freshet/connectors/" + name)
		return task.Records.Restarts > restarts && task.State == "RUNNING"
	})
	c.p.Until("the status is not RUNNING", func() bool { return c.p.Task("connectors/"+name+"/status").State == "RUNNING" })
	for line := range strings.Lines(c.p.Output()[said:]) {
		if strings.Contains(line, "started again") && strings.Contains(line, "connector="+name) && strings.Contains(line, wasKilled) {
			return kills
		}
	}
	c.Errorf("the log does not tell that processes %v were killed:\n%s", pids, c.p.Output()[said:])
	return kills
}

// wasKilled is what the status and the log say of a process that was killed.
const wasKilled = "signal: killed"

// processes waits for those of the source and the sink.
func (c *crash) processes(beside *neighbour) (pids []int) {
	c.Helper()
	c.p.Until("there is no process for the source, or none for the sink", func() bool {
		pids = beside.others(c.p)
		return len(pids) >= 2
	})
	return pids
}

// children are the processes that a process has started, without those that have ended.
func children(t testing.TB, parent int) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		name, rest, _ := strings.Cut(string(text), ") ") // pid (name) state parent
		pid, _, _ := strings.Cut(name, " ")
		fields := strings.Fields(rest)
		if len(fields) < 2 || fields[0] == "Z" || fields[1] != strconv.Itoa(parent) {
			continue
		}
		n, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}

// commandOf is the command line of a process, "" when it has ended.
func commandOf(pid int) string {
	text, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return strings.ReplaceAll(string(text), "\x00", " ")
}
