package testbed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a running program may take for what a test waits for.
const patience = time.Minute

// builder builds freshet once for all tests of a package.
type builder struct {
	once sync.Once
	dir  string
	err  error
}

func (b *builder) path() string { return filepath.Join(b.dir, "freshet") }

func (b *builder) build() {
	root, err := Root()
	if err == nil {
		b.dir, err = os.MkdirTemp("", "freshet-e2e-")
	}
	if err != nil {
		b.err = fmt.Errorf("build freshet: %w", err)
		return
	}
	cmd := exec.Command("go", "build", "-o", b.path(), "./cmd/freshet")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		b.err = fmt.Errorf("build freshet: %w\n%s", err, out)
	}
}

// remove removes what was built.
func (b *builder) remove() {
	if b.dir != "" {
		_ = os.RemoveAll(b.dir) // a leftover in the temporary directory harms nobody
	}
}

// Program is one run of freshet; all that it prints is in one text.
//
// One goroutine waits for the process; it ends with it.
type Program struct {
	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer for the program's output.
func (p *Program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

// Output is what the program has printed.
func (p *Program) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// Freshet runs the program in a directory until the test ends, at most. The binary is built by the first call.
func (b *Bed) Freshet(t testing.TB, dir string, args ...string) *Program {
	t.Helper()
	b.binary.once.Do(b.binary.build)
	if b.binary.err != nil {
		t.Fatal(b.binary.err)
	}
	p := &Program{t: t, cmd: exec.Command(b.binary.path(), args...), done: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start freshet: %v", err)
	}
	go func() {
		_ = p.cmd.Wait() // the code is in ProcessState
		close(p.done)
	}()
	t.Cleanup(p.Kill)
	return p
}

// Pid is the number of its process.
func (p *Program) Pid() int { return p.cmd.Process.Pid }

// Kill ends the program as kill -9 does.
func (p *Program) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// Signal sends a signal; a program that has ended takes none.
func (p *Program) Signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatalf("send %s to freshet: %v", s, err)
	}
}

// Ended tells whether the program has ended.
func (p *Program) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Ends waits for the end and returns the exit code.
func (p *Program) Ends() int {
	p.t.Helper()
	return p.EndsWithin(patience)
}

// EndsWithin is Ends for a program that has much to do.
func (p *Program) EndsWithin(limit time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		p.t.Fatalf("freshet is still running after %s; it said:\n%s", limit, p.Output())
		return -1
	}
}

// Stop sends SIGTERM and returns the exit code. A program listens for signals before it says its first line, which is waited for: one
// that has only just been started would be ended by the signal itself.
func (p *Program) Stop() int {
	p.t.Helper()
	p.Until("it says nothing", func() bool { return p.Ended() || p.Output() != "" })
	p.Signal(syscall.SIGTERM)
	return p.Ends()
}

// Says waits until the output holds every one of the texts.
func (p *Program) Says(texts ...string) {
	p.t.Helper()
	p.Until("it does not say "+strings.Join(texts, ", "), func() bool {
		output := p.Output()
		for _, text := range texts {
			if !strings.Contains(output, text) {
				return false
			}
		}
		return true
	})
}

// Until waits for a condition while the program runs (or has ended).
func (p *Program) Until(complaint string, ok func() bool) {
	p.t.Helper()
	Eventually(p.t, func() string { return complaint + "; freshet said:\n" + p.Output() }, ok)
}

// Eventually polls until ok, for a minute at most, and less often as time goes by.
func Eventually(t testing.TB, complaint func() string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for pause := 20 * time.Millisecond; !ok(); pause = min(pause*5/4, 250*time.Millisecond) {
		select {
		case <-ctx.Done():
			t.Fatal(complaint())
		case <-time.After(pause):
		}
	}
}

// WriteConnector writes a connector file and returns its path.
func WriteConnector(t testing.TB, dir string, c map[string]string) string {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return WriteFile(t, dir, c["name"]+".json", string(text))
}

// WriteFile writes a file and returns its path.
func WriteFile(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
