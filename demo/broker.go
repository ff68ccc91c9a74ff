package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

// BrokerCommand is the hidden subcommand that calls Broker.
const BrokerCommand = "demo-broker"

// broker is the embedded broker, a child process.
type broker struct {
	address string
	cmd     *exec.Cmd
	stdin   io.Closer
	done    chan struct{}
}

// startBroker starts the broker and waits until it listens. Closing its standard input ends it, so it ends with the demo
// in whatever way the demo ends.
func startBroker(ctx context.Context, executable, work string) (*broker, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	b := &broker{address: net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))), done: make(chan struct{})}
	b.cmd = exec.Command(executable, BrokerCommand, strconv.Itoa(int(port)), work)
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if b.stdin, err = b.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("make the broker's standard input: %w", err)
	}
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("make the broker's standard output: %w", err)
	}
	var complaint strings.Builder
	b.cmd.Stderr = &complaint
	if err := b.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the broker: %w", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	go func() {
		_ = b.cmd.Wait() // what it has to say comes by its standard error
		close(b.done)
	}()
	if err != nil || strings.TrimSpace(line) != b.address {
		b.stop()
		return nil, fmt.Errorf("start the broker: %s", strings.TrimSpace(complaint.String()))
	}
	return b, ctx.Err()
}

func (b *broker) stop() {
	_ = b.stdin.Close() // it ends at the end of its input
	<-b.done
}

// Broker runs the embedded broker on a port of 127.0.0.1 until in ends, announcing its address on out. When in ends
// and the work directory is still there, the demo was killed: the Postgres servers it left behind are ended and its
// files removed. (A MariaDB ends with its parent, the demo.)
func Broker(in io.Reader, out io.Writer, port int, work string) error {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(3),
		kfake.BrokerConfigs(map[string]string{"message.max.bytes": "10485760"}))
	if err != nil {
		return fmt.Errorf("start the embedded broker: %w", err)
	}
	defer cluster.Close()
	fmt.Fprintln(out, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	_, err = io.Copy(io.Discard, in)
	return errors.Join(err, cleanUp(work))
}

// cleanUp ends what a killed demo left in its work directory.
func cleanUp(work string) error {
	if _, err := os.Stat(work); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, name := range []string{"source", "sink"} {
		if pid, ok := serverPID(dataPath(work, name)); ok {
			_ = syscall.Kill(pid, syscall.SIGQUIT) // immediate shutdown; it may have ended by itself
		}
	}
	for _, dir := range []string{work, os.Getenv(privateDir)} {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove the demo's directory: %w", err)
		}
	}
	return nil
}

// serverPID reads the process id of the Postgres server that runs on a data directory.
func serverPID(data string) (int, bool) {
	text, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return 0, false
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	return pid, err == nil && pid > 1
}
