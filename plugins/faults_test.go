package plugins_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/plugins"
)

const (
	generous = 60 * time.Second // no call may need as long
	secret   = `pa"ss&wörd`
	address  = "https://app:s3cr%21t@db/x"
)

// victim is the worker's side of a faulty plugin.
type victim struct {
	*testing.T
	*plugins.Command
	log  lines
	pids string
}

func newVictim(t *testing.T, fault string) *victim {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{T: t, pids: filepath.Join(t.TempDir(), "pids")}
	v.Command = &plugins.Command{
		Name: "faulty", Path: path, Args: []string{faultyArgument, fault}, Environment: []string{pidsVariable + "=" + v.pids, "GOTRACEBACK=single"},
		Patience: generous,
	}
	t.Cleanup(v.gone)
	return v
}

// gone checks that no process of the plugin is left, nor its socket.
func (v *victim) gone() {
	text, err := os.ReadFile(v.pids)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // it may be ended before it has written that
		v.Error(err)
	}
	for _, pid := range strings.Fields(string(text)) {
		v.eventually("process "+pid+" to be gone", func() bool { return ended(pid) })
	}
}

// ended tells that a process is gone, or is nothing but its number.
func ended(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "Z")
}

// replace installs another version of a plugin whose fault is to be replaced.
func (v *victim) replace() {
	v.Helper()
	if err := os.WriteFile(v.pids+replacedSuffix, nil, 0o600); err != nil {
		v.Fatal(err)
	}
}

func (v *victim) eventually(what string, holds func() bool) {
	v.Helper()
	for end := time.Now().Add(generous); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			v.Errorf("waited for %s", what)
			return
		}
	}
}

func (v *victim) logger() *slog.Logger { return slog.New(slog.NewTextHandler(&v.log, nil)) }

// source and sink return tasks of the plugin, with secrets in their configuration.
func (v *victim) source() connectors.SourceTask {
	v.Helper()
	sources, _, err := v.Open(v.Context(), v.logger())
	if err != nil {
		v.Fatal(err)
	}
	task, err := sources[0].NewSource(v.config(), connectors.Settings{Logger: v.logger()})
	if err != nil {
		v.Fatal(err)
	}
	return task
}

func (v *victim) sink() connectors.SinkTask {
	v.Helper()
	_, sinks, err := v.Open(v.Context(), v.logger())
	if err != nil {
		v.Fatal(err)
	}
	task, err := sinks[0].NewSink(v.config(), connectors.Settings{Logger: v.logger()})
	if err != nil {
		v.Fatal(err)
	}
	return task
}

func (*victim) config() connectors.Config {
	return connectors.Config{"password": secret, "url": address}
}

// bounded is a context that no call may live to the end of.
func (v *victim) bounded() context.Context {
	ctx, cancel := context.WithTimeoutCause(v.Context(), generous, errors.New("the call did not return"))
	v.Cleanup(cancel)
	return ctx
}

// refused checks an error and what it says, and that no secret is in it.
func (v *victim) refused(err error, class connectors.Class, texts ...string) {
	v.Helper()
	if err == nil {
		v.Fatal("no error")
	}
	if connectors.ClassOf(err) != class {
		v.Errorf("%v is %s, not %s", err, connectors.ClassOf(err), class)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			v.Errorf("%q does not say %q", err, text)
		}
	}
	v.discreet(err.Error())
	v.discreet(v.log.text())
}

func (v *victim) discreet(text string) {
	v.Helper()
	for _, s := range []string{secret, `pa\"ss`, "s3cr"} {
		if strings.Contains(text, s) {
			v.Errorf("a secret is in %q", text)
		}
	}
}

// lines is a log.
type lines struct {
	mu  sync.Mutex
	all strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// host is a session of a source without bounds.
type host struct{}

func (*host) NewBatch(_ context.Context, p offsets.Partition) (*connectors.Builder, error) {
	return connectors.NewBuilder(p, nil, nil), nil
}

func (*host) Offsets(context.Context, ...offsets.Partition) ([]offsets.Entry, error) { return nil, nil }
func (*host) Reached(offsets.Partition) []connectors.Reached                         { return nil }
func (*host) Anew(offsets.Partition)                                                 {}
func (*host) State(context.Context, ...offsets.Partition) ([]offsets.Entry, error)   { return nil, nil }
func (*host) Remember(context.Context, ...offsets.Entry) error                       { return nil }
func (*host) Drain(ctx context.Context, _ ...offsets.Partition) error                { <-ctx.Done(); return ctx.Err() }

func (*host) Tolerate(_ context.Context, _ *connectors.Raw, _ connectors.Stage, cause error) error {
	return connectors.AsPermanent(cause)
}

// TestFaultsAtStart: none of these becomes a process to work with.
func TestFaultsAtStart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault string
		class connectors.Class
		says  []string
	}{
		{"silent", connectors.Retriable, []string{"no handshake within 2s"}},
		{"deaf", connectors.Retriable, []string{"did not answer within 15s"}},
		{"exits", connectors.Retriable, []string{"ended before its handshake", "exit status 3", "cannot load libtargets.so"}},
		{"exits without a word", connectors.Retriable, []string{"ended before its handshake"}},
		{"panics", connectors.Retriable, []string{"panic: no such device"}},
		{"chatters", connectors.Permanent, []string{`no handshake but "Welcome to the plugin!"`}},
		{"chatters and exits", connectors.Permanent, []string{`no handshake but "Loading the targets"`, "exit status 3", "cannot load libtargets.so"}},
		{"prints without end", connectors.Permanent, []string{"no handshake but"}},
		{"speaks version 9", connectors.Permanent, []string{"does not speak version 1 of the protocol, as this worker does, but 9"}},
		{"speaks net/rpc", connectors.Permanent, []string{"speaks netrpc, not grpc"}},
		{"listens on tcp", connectors.Permanent, []string{"only unix sockets"}},
		{"listens elsewhere", connectors.Permanent, []string{"outside of the folder"}},
		{"describes nothing", connectors.Permanent, []string{"it has none"}},
		{"describes neither", connectors.Permanent, []string{"either a source or a sink"}},
		{"describes a key of no type", connectors.Permanent, []string{`unknown type "SECRET"`}},
		{"describes at length", connectors.Permanent, []string{"larger than max"}},
	} {
		t.Run(c.fault, func(t *testing.T) {
			t.Parallel()
			v := newVictim(t, c.fault)
			v.Socket = c.fault == "listens elsewhere"
			switch c.fault {
			case "silent":
				v.Patience = 2 * time.Second
			case "deaf": // it has a handshake to print first
				v.Patience = 15 * time.Second
			}
			_, _, err := v.Open(v.bounded(), v.logger())
			v.refused(err, c.class, append(c.says, "plugin faulty")...)
		})
	}
	for content, want := range map[string]string{"": "no such file", "\x00\x01": "install a build for this machine", "#!/no/such/interpreter\n": "names an interpreter that is not there"} {
		t.Run("no executable", func(t *testing.T) {
			t.Parallel()
			c := &plugins.Command{Path: filepath.Join(t.TempDir(), "plugin")}
			if content != "" {
				if err := os.WriteFile(c.Path, []byte(content), 0o700); err != nil { //nolint:gosec // it is run
					t.Fatal(err)
				}
			}
			_, _, err := c.Open(t.Context(), slog.Default())
			for errors.Is(err, syscall.ETXTBSY) { // a process that another test is starting still has the file open
				_, _, err = c.Open(t.Context(), slog.Default())
			}
			if connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v", content, err)
			}
		})
	}
}
