package demo

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// process is a child whose end is watched.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
}

// startProcess starts a child that writes what it prints to the end of the file log.
func startProcess(log, executable string, args ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", filepath.Base(executable), err)
	}
	defer func() { _ = out.Close() }() // the child has its own descriptor
	p := &process{cmd: exec.Command(executable, args...), log: log, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = childAttributes(syscall.SIGKILL)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", executable, err)
	}
	go p.wait()
	return p, nil
}

func (p *process) wait() {
	_ = p.cmd.Wait() // how it ended is in ProcessState
	close(p.done)
}

// kill ends the child without a chance to clean up and returns when it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // the only error is that it has ended already
	<-p.done
}

// stop asks the child to end and waits; after ten seconds it is killed.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // as above
	timer := time.NewTimer(10 * time.Second)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.kill()
	}
}

// lastWords returns the end of the child's log for an error message.
func (p *process) lastWords(who string) string {
	if p == nil {
		return ""
	}
	text, err := os.ReadFile(p.log)
	if err != nil || len(text) == 0 {
		return ""
	}
	return "\n" + who + "'s last words:\n" + lastLines(string(text))
}

// lastLines indents the end of a text.
func lastLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > 15 {
		lines = lines[len(lines)-15:]
	}
	return "  " + strings.Join(lines, "\n  ")
}

// startWorker starts freshet with these arguments, and cancels the run when it ends by itself.
func startWorker(ctx context.Context, cancel context.CancelCauseFunc, log, executable string, args ...string) (*process, error) {
	p, err := startProcess(log, executable, args...)
	if err != nil {
		return nil, err
	}
	go p.watch(ctx, cancel)
	return p, nil
}

// startWorker starts the worker with both connectors.
func (d *demo) startWorker(ctx context.Context, cancel context.CancelCauseFunc) (err error) {
	args := append([]string{"run"}, d.connectorFiles()...)
	d.worker, err = startWorker(ctx, cancel, d.path("worker.log"), d.Executable, append(args, "-c", d.path("worker.properties"))...)
	return err
}

// watch ends with the worker or with the run.
func (p *process) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	select {
	case <-ctx.Done():
	case <-p.done:
		if p.cmd.ProcessState != nil && p.cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
			return // killed by the demo
		}
		cancel(fmt.Errorf("the worker ended by itself: %v", p.cmd.ProcessState))
	}
}
