//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// process is a worker that runs.
type process struct {
	cmd   *exec.Cmd
	log   string
	lines chan string   // what it prints on standard output
	done  chan struct{} // closed when it has ended
	err   error         // valid after done
}

// worker describes a worker to start.
type worker struct {
	source     reading
	properties map[string]string
	child      bool // this program as a worker, not the freshet binary
	rows       int  // child: where a discarding sink ends; 0: at the marker
	profile    bool // child: of its CPU time, where that is asked for
}

// startWorker writes the configuration and the offset to begin at, and starts the worker.
func (b *bench) startWorker(ctx context.Context, w worker) (*process, error) {
	name := b.name("worker")
	connector, properties := filepath.Join(b.work, name+".json"), filepath.Join(b.work, name+".properties")
	text, err := json.Marshal(w.source.config)
	if err != nil {
		return nil, fmt.Errorf("encode the connector: %w", err)
	}
	if err := os.WriteFile(connector, text, 0o600); err != nil {
		return nil, fmt.Errorf("write the connector's file: %w", err)
	}
	var lines strings.Builder
	fmt.Fprintf(&lines, "offset.storage.file.filename=%s\n", b.offsetFile(name))
	for key, value := range w.properties {
		fmt.Fprintf(&lines, "%s=%s\n", key, value)
	}
	if err := os.WriteFile(properties, []byte(lines.String()), 0o600); err != nil {
		return nil, fmt.Errorf("write the worker's file: %w", err)
	}
	if err := b.seed(ctx, b.offsetFile(name), w.properties["offset.storage.topic"], w.source); err != nil {
		return nil, err
	}
	if w.child {
		args := []string{"worker", "-c", properties, "-rows", fmt.Sprint(w.rows)}
		if w.profile && b.profile != "" {
			args = append(args, "-profile", filepath.Join(b.profile, w.source.name+".pprof"))
		}
		return startProcess(filepath.Join(b.work, name+".log"), b.self, append(args, connector)...)
	}
	return startProcess(filepath.Join(b.work, name+".log"), b.binary, "run", "-c", properties, connector)
}

// startProcess starts a program whose standard error goes to the file log. It ends with this program.
func startProcess(log, program string, args ...string) (*process, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, fmt.Errorf("make a log: %w", err)
	}
	defer func() { _ = out.Close() }() // the child has its own descriptor
	p := &process{cmd: exec.Command(program, args...), log: log, lines: make(chan string, 16), done: make(chan struct{})}
	p.cmd.Stderr = out
	// A group of its own: Ctrl-C reaches this program alone, which then ends its children in order.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	printed, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	go p.watch(printed)
	return p, nil
}

// watch passes lines on and ends with the process; lines that nobody reads are dropped.
func (p *process) watch(printed io.Reader) {
	for lines := bufio.NewScanner(printed); lines.Scan(); {
		select {
		case p.lines <- lines.Text():
		default:
		}
	}
	p.err = p.cmd.Wait()
	close(p.done)
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// ended is an error when the process has ended by itself.
func (p *process) ended() error {
	select {
	case <-p.done:
		return fmt.Errorf("the worker ended by itself: %v%s", p.cmd.ProcessState, p.lastWords())
	default:
		return nil
	}
}

func (p *process) lastWords() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return "; its last words:\n  " + strings.Join(lines[max(0, len(lines)-15):], "\n  ")
}

// line waits for the next line that the process prints.
func (p *process) line(ctx context.Context) (string, error) {
	select {
	case line := <-p.lines:
		return line, nil
	case <-p.done:
		select {
		case line := <-p.lines:
			return line, nil
		default:
			return "", p.ended()
		}
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// printed asks whether the process has printed a line; others are passed over.
func (p *process) printed(text string) question {
	return func(context.Context) (bool, error) {
		for {
			select {
			case line := <-p.lines:
				if line == text {
					return true, nil
				}
			default:
				return false, nil
			}
		}
	}
}

// stopChild ends a child of this program and reads what it prints last.
func (p *process) stopChild(ctx context.Context) (childStats, error) {
	var stats childStats
	p.stop()
	text, err := p.line(ctx)
	if err != nil {
		return stats, err
	}
	if err := json.Unmarshal([]byte(text), &stats); err != nil || stats.Rows == 0 {
		return stats, fmt.Errorf("read what the worker counted: %q: %w", text, err)
	}
	return stats, nil
}

// stop asks the process to end; after 20 seconds it is killed.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	t := time.NewTimer(20 * time.Second)
	defer t.Stop()
	select {
	case <-p.done:
	case <-t.C:
		_ = p.cmd.Process.Kill() // as above
		<-p.done
	}
}
