package e2e

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

// builder builds freshet once for all tests of the package.
type builder struct {
	once sync.Once
	dir  string
	err  error
}

var freshet builder

func binary(t testing.TB) string {
	t.Helper()
	freshet.once.Do(freshet.build)
	if freshet.err != nil {
		t.Fatal(freshet.err)
	}
	return freshet.path()
}

func (b *builder) path() string { return filepath.Join(b.dir, "freshet") }

func (b *builder) build() {
	if b.dir, b.err = os.MkdirTemp("", "freshet-e2e-"); b.err != nil {
		return
	}
	if out, err := exec.Command("go", "build", "-o", b.path(), "../cmd/freshet").CombinedOutput(); err != nil {
		b.err = fmt.Errorf("build freshet: %w\n%s", err, out)
	}
}

// remove removes what was built.
func (b *builder) remove() {
	if b.dir != "" {
		_ = os.RemoveAll(b.dir) // a leftover in the temporary directory harms nobody
	}
}

// program is one run of freshet; all that it prints is in one text.
type program struct {
	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer for the program's output.
func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *program) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// start runs freshet in the directory until the test ends.
func start(t testing.TB, dir string, args ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.Command(binary(t), args...), done: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start freshet: %v", err)
	}
	go func() {
		_ = p.cmd.Wait() // the code is in ProcessState
		close(p.done)
	}()
	t.Cleanup(p.kill)
	return p
}

func (p *program) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// ends waits for the end and returns the exit code.
func (p *program) ends() int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(60 * time.Second):
		p.t.Fatalf("freshet is still running after a minute; it said:\n%s", p.output())
		return -1
	}
}

// stop sends SIGTERM and returns the exit code.
func (p *program) stop() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatalf("stop freshet: %v", err)
	}
	return p.ends()
}

// says waits until the output holds every one of the texts.
func (p *program) says(texts ...string) {
	p.t.Helper()
	p.until("it does not say "+strings.Join(texts, ", "), func() bool { return len(missing(p.output(), texts)) == 0 })
}

// until waits for a condition while the program runs (or has ended).
func (p *program) until(complaint string, ok func() bool) {
	p.t.Helper()
	eventually(p.t, func() string { return complaint + "; freshet said:\n" + p.output() }, ok)
}

func missing(text string, wanted []string) []string {
	var out []string
	for _, w := range wanted {
		if !strings.Contains(text, w) {
			out = append(out, w)
		}
	}
	return out
}

// eventually polls until ok, for a minute at most.
func eventually(t testing.TB, complaint func() string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatal(complaint())
		case <-tick.C:
		}
	}
}

// once runs freshet to its end and returns what it printed and its exit code.
func once(t testing.TB, dir string, args ...string) (string, int) {
	t.Helper()
	p := start(t, dir, args...)
	code := p.ends()
	return p.output(), code
}

// writeConnector writes a connector file and returns its path.
func writeConnector(t testing.TB, dir string, c map[string]string) string {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, dir, c["name"]+".json", string(text))
}

func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
