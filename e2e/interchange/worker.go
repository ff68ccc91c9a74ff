package interchange

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Writer runs the connector, one at a time.
type Writer interface {
	Name() string
	// Start returns when the connector reads the database.
	Start(ctx context.Context) error
	// Stop is orderly: offsets are stored.
	Stop(ctx context.Context) error
	// Kill ends the process as kill -9 does.
	Kill() error
	// Failed tells why the writer no longer runs; nil while it does.
	Failed(ctx context.Context) error
}

// Properties writes the file that both workers read. Members of more override.
func Properties(path string, more map[string]string) error {
	all := map[string]string{
		"plugin.discovery":                  "service_load",
		"key.converter":                     "org.apache.kafka.connect.json.JsonConverter",
		"value.converter":                   "org.apache.kafka.connect.json.JsonConverter",
		"config.storage.replication.factor": "1",
		"offset.storage.replication.factor": "1",
		"offset.storage.partitions":         "5",
		"status.storage.replication.factor": "1",
		"offset.flush.interval.ms":          "1000",
		// Connect stores the offset of what was acknowledged within the first limit after a stop; records that are acknowledged later, up
		// to the second limit, are in the topic, but not in the offset.
		"offset.flush.timeout.ms":           "60000",
		"task.shutdown.graceful.timeout.ms": "90000",
		// A worker that was killed gets its work back at once.
		"scheduled.rebalance.max.delay.ms": "0",
	}
	maps.Copy(all, more)
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&text, "%s=%s\n", key, all[key])
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		return fmt.Errorf("write worker properties: %w", err)
	}
	return nil
}

// process is a program whose output goes to a file.
type process struct {
	cmd  *exec.Cmd
	log  *os.File
	done chan struct{}
}

func run(log string, name string, args ...string) (*process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	p := &process{cmd: exec.Command(name, args...), log: f, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = f, f
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), f.Close())
	}
	go func() {
		_ = p.cmd.Wait() // the code is in ProcessState
		close(p.done)
	}()
	return p, nil
}

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// end sends a signal and waits for the end.
func (p *process) end(ctx context.Context, s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", p.cmd.Path, err)
	}
	select {
	case <-p.done:
		return p.log.Close()
	case <-ctx.Done():
		return fmt.Errorf("wait for the end of %s: %w", p.cmd.Path, ctx.Err())
	}
}

// Connect is a worker of Kafka Connect, started when it is needed first; with Running one that somebody else started.
type Connect struct {
	Running    bool
	Home       string // a folder with libs/ (Kafka, Connect) and plugins/ (Debezium)
	Properties string
	REST       string // where its listener is
	Log        string
	p          *process
}

func (c *Connect) up(ctx context.Context) error {
	if c.Running || c.p != nil && c.p.running() {
		return nil
	}
	var err error
	c.p, err = run(c.Log, "java", "-Xms256M", "-Xmx1G", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(c.Home, "libs", "*"), "org.apache.kafka.connect.cli.ConnectDistributed", c.Properties)
	if err != nil {
		return err
	}
	return poll(ctx, "Kafka Connect", func() (bool, error) {
		if !c.p.running() {
			return false, fmt.Errorf("start Kafka Connect: it ended, see %s", c.Log)
		}
		status, _, err := c.call(ctx, http.MethodGet, "/connectors", nil)
		return err == nil && status == http.StatusOK, nil
	})
}

// Close ends the worker.
func (c *Connect) Close(ctx context.Context) error {
	if c.p == nil || !c.p.running() {
		return nil
	}
	return c.p.end(ctx, syscall.SIGTERM)
}

func (c *Connect) call(ctx context.Context, method, path string, body any) (int, []byte, error) {
	var text io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, nil, fmt.Errorf("encode request: %w", err)
		}
		text = bytes.NewReader(b)
	}
	rq, err := http.NewRequestWithContext(ctx, method, c.REST+path, text)
	if err != nil {
		return 0, nil, fmt.Errorf("make request: %w", err)
	}
	rq.Header.Set("Content-Type", "application/json")
	rs, err := http.DefaultClient.Do(rq)
	if err != nil {
		return 0, nil, fmt.Errorf("ask Kafka Connect: %w", err)
	}
	b, err := io.ReadAll(rs.Body)
	return rs.StatusCode, b, errors.Join(err, rs.Body.Close())
}

// must repeats a request while the worker says that it cannot serve it now.
func (c *Connect) must(ctx context.Context, method, path string, body any) error {
	return poll(ctx, method+" "+path, func() (bool, error) {
		status, text, err := c.call(ctx, method, path, body)
		if err != nil {
			return false, err
		}
		if status == http.StatusConflict || status == http.StatusInternalServerError && bytes.Contains(text, []byte("timed out")) {
			return false, nil
		}
		if status >= 300 {
			return false, fmt.Errorf("%s %s: %d %s", method, path, status, text)
		}
		return true, nil
	})
}

// state waits until the connector and its task are in the state; STOPPED has no task.
func (c *Connect) state(ctx context.Context, name, want string) error {
	return poll(ctx, "connector "+name+" "+want, func() (bool, error) {
		var s struct {
			Connector struct{ State string }
			Tasks     []struct{ State, Trace string }
		}
		status, text, err := c.call(ctx, http.MethodGet, "/connectors/"+name+"/status", nil)
		if err != nil || status != http.StatusOK || json.Unmarshal(text, &s) != nil {
			return false, nil
		}
		for _, t := range s.Tasks {
			if t.State == "FAILED" {
				return false, fmt.Errorf("run connector %s: its task failed: %.2000s", name, t.Trace)
			}
		}
		if want == "STOPPED" {
			return s.Connector.State == want && len(s.Tasks) == 0, nil
		}
		return s.Connector.State == want && len(s.Tasks) == 1 && s.Tasks[0].State == want, nil
	})
}

// Debezium is a connector in Kafka Connect.
type Debezium struct {
	Worker *Connect
	Config map[string]string
	there  bool
}

// Name implements Writer.
func (d *Debezium) Name() string { return "Debezium" }

// Start implements Writer.
func (d *Debezium) Start(ctx context.Context) error {
	path := "/connectors/" + d.Config["name"]
	killed := d.there && !d.Worker.Running && !d.Worker.p.running() // it is in state RUNNING and starts with its worker
	if err := d.Worker.up(ctx); err != nil {
		return err
	}
	var err error
	switch {
	case !d.there:
		err = d.Worker.must(ctx, http.MethodPut, path+"/config", d.Config)
	case !killed:
		err = d.Worker.must(ctx, http.MethodPut, path+"/resume", nil)
	}
	d.there = true
	if err != nil {
		return err
	}
	return d.Worker.state(ctx, d.Config["name"], "RUNNING")
}

// Stop implements Writer.
func (d *Debezium) Stop(ctx context.Context) error {
	if err := d.Worker.must(ctx, http.MethodPut, "/connectors/"+d.Config["name"]+"/stop", nil); err != nil {
		return err
	}
	return d.Worker.state(ctx, d.Config["name"], "STOPPED")
}

// Failed implements Writer.
func (d *Debezium) Failed(ctx context.Context) error {
	return d.Worker.state(ctx, d.Config["name"], "RUNNING")
}

// Kill implements Writer.
func (d *Debezium) Kill() error {
	if d.Worker.Running {
		return errors.New("kill Kafka Connect: it was not started here")
	}
	return d.Worker.p.end(context.Background(), syscall.SIGKILL)
}

// Freshet is the same connector in freshet run.
type Freshet struct {
	Binary     string
	Properties string
	Config     map[string]string
	Dir        string // for the connector file and the log
	p          *process
}

// Build builds the program into dir and returns its path. It needs to run inside the module.
func Build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "freshet")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/freshet-io/freshet/cmd/freshet").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build freshet: %w\n%s", err, out)
	}
	return binary, nil
}

// Name implements Writer.
func (f *Freshet) Name() string { return freshetName }

const freshetName = "Freshet"

// Start implements Writer.
func (f *Freshet) Start(context.Context) error {
	text, err := json.Marshal(f.Config)
	if err != nil {
		return fmt.Errorf("encode connector: %w", err)
	}
	file := filepath.Join(f.Dir, f.Config["name"]+".json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return fmt.Errorf("write connector: %w", err)
	}
	f.p, err = run(f.log(), f.Binary, "run", file, "-c", f.Properties)
	return err
}

func (f *Freshet) log() string { return filepath.Join(f.Dir, f.Config["name"]+".freshet.log") }

// Stop implements Writer.
func (f *Freshet) Stop(ctx context.Context) error {
	if err := f.p.end(ctx, syscall.SIGTERM); err != nil {
		return err
	}
	if code := f.p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("stop freshet: exit code %d, see %s", code, f.log())
	}
	return nil
}

// Failed implements Writer.
func (f *Freshet) Failed(context.Context) error {
	if f.Running() {
		return nil
	}
	return fmt.Errorf("run freshet: it ended with exit code %d, see %s", f.p.cmd.ProcessState.ExitCode(), f.log())
}

// Running tells that the program runs.
func (f *Freshet) Running() bool { return f.p != nil && f.p.running() }

// Kill implements Writer.
func (f *Freshet) Kill() error { return f.p.end(context.Background(), syscall.SIGKILL) }

// poll asks until ok, an error, or the end of the context.
func poll(ctx context.Context, what string, ok func() (bool, error)) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		done, err := ok()
		if done || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		}
	}
}
