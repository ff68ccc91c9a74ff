package demo

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The broker ends with its input, and then ends the servers and removes the files that a killed demo left behind.
func TestBrokerCleansUpBehindAKilledDemo(t *testing.T) {
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	work := filepath.Join(t.TempDir(), "run")
	if err := os.MkdirAll(dataPath(work, "source"), 0o700); err != nil {
		t.Fatal(err)
	}
	server := exec.Command("sleep", "600")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	pid := strconv.Itoa(server.Process.Pid)
	if err := os.WriteFile(filepath.Join(dataPath(work, "source"), "postmaster.pid"), []byte(pid+"\n/somewhere\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	in, stop := io.Pipe()
	out, announce := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- Broker(in, announce, int(port), work) }()
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.TrimSpace(address)))
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Ping(t.Context()); err != nil {
		t.Errorf("the broker does not answer: %v", err)
	}
	client.Close()

	if err := stop.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := server.Wait(); err == nil {
		t.Error("the server was not ended")
	}
	if _, err := os.Stat(work); !os.IsNotExist(err) {
		t.Errorf("the directory is still there: %v", err)
	}
}

func TestArchivesAreCopiedOnce(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "cache")
	for name, text := range map[string]string{"a.txz": "archive", "temp_1": "unfinished"} {
		if err := os.WriteFile(filepath.Join(from, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(from, "link.txz")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := copyArchives(from, to); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(to)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != "a.txz" {
		t.Errorf("copied %v, want a.txz alone", entries)
	}
	if err := copyArchives(filepath.Join(from, "missing"), to); err != nil {
		t.Errorf("a cache that is not there yet: %v", err)
	}
}
