// Package tutorial_test does what docs/writing-a-plugin.md says.
package tutorial_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freshet-io/freshet/testbed"
)

// Each block of the page that is marked sh is run, in order, by one shell.
func TestWritingAPlugin(t *testing.T) {
	root, err := testbed.Root()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs/writing-a-plugin.md"))
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	script.WriteString("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n")
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 5 {
		t.Fatalf("%d blocks of commands", len(blocks))
	}
	for _, b := range blocks {
		script.WriteString("set -x\n" + b[1])
	}
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin, "./cmd/freshet")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build freshet: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "bash", "-c", script.String())
	c.Dir = t.TempDir()
	c.Env = append(os.Environ(), "FRESHET="+root, "PATH="+bin+":"+os.Getenv("PATH"))
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGTERM) }
	c.WaitDelay = 30 * time.Second
	out, err := c.CombinedOutput()
	if err != nil {
		logs := ""
		for _, name := range []string{"hello/log.txt", "hallo/log.txt"} {
			text, _ := os.ReadFile(filepath.Join(c.Dir, name)) // it may not have come so far
			logs += string(text)
		}
		t.Fatalf("%v\n%s\n%s", err, out, logs)
	}
	for _, want := range []string{
		`{"id":1,"text":"hello"}`, `{"id":2,"text":"again"}`, "hello-0.1.0\nhello-0.2.0\n", "reads a file", `"text": "hallo"`,
		"com.example.HelloSource: ", "com.example.HelloSink: ", "com.example.HalloSource: ", "com.example.HalloSink: ",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}
