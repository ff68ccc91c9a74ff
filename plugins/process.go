package plugins

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/plugins/pluginpb"
)

// Command says how the processes of a plugin are started.
type Command struct {
	Name        string   // for errors and logs; "": the base name of Path
	Path        string   // of the executable
	Args        []string // behind it
	Dir         string   // working directory; "": the worker's
	Environment []string // NAME=value: all that the processes get of it, beside what the protocol needs
	Socket      bool     // no TLS on the socket, which lies in a folder that only the worker's user can enter
	// Verify is called before each start; nil: nothing is verified.
	Verify func() error
	// Memory is how many bytes a process may have resident, 0: any number. One that has more is ended.
	Memory int64
	// Patience bounds the start of a process, and how long it may leave a sign of life unanswered. 0: 30 s.
	Patience time.Duration
}

const patience = 30 * time.Second

func (c *Command) name() string {
	if c.Name != "" {
		return c.Name
	}
	return filepath.Base(c.Path)
}

func (c *Command) patience() time.Duration {
	if c.Patience > 0 {
		return c.Patience
	}
	return patience
}

// process is a running plugin.
type process struct {
	pluginpb.ConnectorClient
	command *Command
	client  *plugin.Client
	child   *child
	memory  buffers
	secrets *secrets
	watch   sync.WaitGroup
}

// start starts a process and connects to it. Errors are permanent where another attempt would find the same. What hide knows is hidden in
// its log and its errors.
func (c *Command) start(ctx context.Context, log *slog.Logger, hide *secrets) (*process, error) {
	if c.Verify != nil {
		if err := c.Verify(); err != nil {
			return nil, connectors.AsPermanent(fmt.Errorf("verify plugin %s: %w", c.name(), err))
		}
	}
	k := newChild(c, log, hide)
	p := &process{command: c, child: k, secrets: hide}
	p.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: handshake, VersionedPlugins: map[int]plugin.PluginSet{Protocol: {service: &endpoint{}}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC}, GRPCDialOptions: dialOptions(&p.memory), AutoMTLS: !c.Socket, SkipHostEnv: true,
		StartTimeout: c.patience(), Logger: hclog.NewNullLogger(), SyncStdout: k.out, SyncStderr: k.out, RunnerFunc: k.run,
	})
	ended := context.AfterFunc(ctx, func() { k.kill(context.Cause(ctx)) })
	defer ended()
	late := time.AfterFunc(c.patience()+time.Second, func() { k.kill(fmt.Errorf("it did not answer within %s after its start", c.patience())) })
	defer late.Stop()
	raw, err := p.connect()
	if err != nil {
		k.kill(nil)
		p.client.Kill()
		k.clear()
		return nil, c.notStarted(ctx, k, err)
	}
	p.ConnectorClient = raw
	p.watch.Go(func() { p.every(pingEvery, p.ping) })
	if c.Memory > 0 {
		p.watch.Go(func() { p.every(weighEvery, p.weigh) })
	}
	return p, nil
}

func (p *process) connect() (pluginpb.ConnectorClient, error) {
	client, err := p.client.Client()
	if err != nil {
		return nil, err
	}
	raw, err := client.Dispense(service)
	if err != nil {
		return nil, err
	}
	if client.Ping() == nil {
		p.child.clear() // the connection stands, and is the only one: a worker that is killed leaves nothing behind
	}
	return raw.(pluginpb.ConnectorClient), nil //nolint:errcheck,forcetypeassert // endpoint.GRPCClient makes it
}

// notStarted tells why there is no process.
func (c *Command) notStarted(ctx context.Context, k *child, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("start plugin %s: %w", c.name(), context.Cause(ctx))
	}
	if k.problem != nil {
		return connectors.AsPermanent(fmt.Errorf("start plugin %s: %w", c.name(), k.problem))
	}
	if err := k.checkHandshake(); err != nil {
		if k.crashed() {
			err = fmt.Errorf("%w; it %s", err, k.end(0))
		}
		return connectors.AsPermanent(fmt.Errorf("start plugin %s: %w", c.name(), err))
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	within := time.Second
	switch {
	case k.first.handed() != "":
	case strings.HasPrefix(text, "timeout"):
		text = fmt.Sprintf("it printed no handshake within %s; is %s a plugin of Freshet?", c.patience(), c.Path)
	default:
		text, within = "it ended before its handshake", dying
	}
	if cause := k.cause(); cause != nil {
		text = cause.Error()
	}
	if end := k.end(within); end != "" {
		text += "; it " + end
	}
	return fmt.Errorf("start plugin %s: %s", c.name(), k.out.hide.hide(shorten(text, textLimit)))
}

var errNoHandshake = errors.New("it printed no handshake")

// checkHandshake tells what is wrong with the first line, if anything is that another attempt would find, too.
func (k *child) checkHandshake() error {
	line := k.first.handed()
	parts := strings.Split(line, "|") // core version, version, network, address, protocol, certificate
	switch {
	case line == "":
		return nil
	case len(parts) < 5 || parts[0] != strconv.Itoa(plugin.CoreProtocolVersion):
		return fmt.Errorf("%w but %q; is %s a plugin of Freshet?", errNoHandshake, k.out.hide.hideCut(shorten(line, lastWords)), k.command.Path)
	case parts[1] != strconv.Itoa(Protocol):
		return fmt.Errorf("it does not speak version %d of the protocol, as this worker does, but %s; use a build of the plugin for this one", Protocol, shorten(parts[1], 20))
	case parts[4] != string(plugin.ProtocolGRPC):
		return fmt.Errorf("it speaks %s, not %s", shorten(parts[4], 20), plugin.ProtocolGRPC)
	}
	_, _, err := k.PluginToHost(parts[2], parts[3])
	return err
}

// failed is the error of a call: what the process died of, when it did.
func (p *process) failed(doing string, err error) error {
	end := ""
	if p.child.cause() == nil {
		within := time.Second
		if status.Code(err) == codes.Unavailable {
			within = dying // a broken connection is often the first sign of a death
		}
		end = p.child.end(within)
	}
	if cause := p.child.cause(); cause != nil {
		return fmt.Errorf("%s: plugin %s: %w", doing, p.command.name(), cause)
	}
	if end != "" {
		return fmt.Errorf("%s: plugin %s %s", doing, p.command.name(), end)
	}
	code := status.Code(err)
	err = fmt.Errorf("%s: call plugin %s: %w", doing, p.command.name(), &remote{text: p.secrets.hide(shorten(err.Error(), textLimit)), is: err})
	switch code {
	case codes.Unimplemented, codes.ResourceExhausted, codes.Internal: // it lacks a call, a message is too large, or is none
		return connectors.AsPermanent(err)
	}
	return err
}

// error is what the plugin reports.
func (p *process) error(e *pluginpb.Error) error { return fromError(e, p.secrets) }

// outcome is the error of a call of a task: of the call itself, or the one that its answer reports.
func (p *process) outcome(ctx context.Context, doing string, err error, reported *pluginpb.Error) error {
	switch {
	case err == nil:
		return p.error(reported)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return p.failed(doing, err)
}

// refuse ends the process for something that the protocol forbids. Another attempt would find the same.
func (p *process) refuse(format string, args ...any) {
	p.child.kill(connectors.AsPermanent(fmt.Errorf(format+"; the plugin is at fault and was ended", args...)))
}

// pause slows what the process says too often. What it said before it ended is heard at once.
func (p *process) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.child.done:
	}
}

// gone is closed when the process has ended.
func (p *process) gone() <-chan struct{} { return p.child.done }

// close ends the process: orderly, and after grace by force. It returns when it has ended.
func (p *process) close(grace time.Duration) {
	timer := time.AfterFunc(grace, func() { p.child.kill(errors.New("it did not end in time")) })
	defer timer.Stop()
	p.client.Kill()
	p.child.kill(nil)
	<-p.child.done
	p.watch.Wait()
}

const (
	pingEvery  = 2 * time.Second
	weighEvery = 250 * time.Millisecond
)

// every looks at the process again and again until it has ended.
func (p *process) every(pause time.Duration, look func()) {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		select {
		case <-p.child.done:
			return
		case <-ticker.C:
			look()
		}
	}
}

// ping ends a process that answers nothing.
func (p *process) ping() {
	late := time.AfterFunc(p.command.patience(), func() {
		p.child.kill(fmt.Errorf("it gave no sign of life for %s and was ended", p.command.patience()))
	})
	defer late.Stop()
	if client, err := p.client.Client(); err == nil {
		_ = client.Ping() // a broken connection shows in the calls
	}
}

// weigh ends a process that has more memory than it may.
func (p *process) weigh() {
	if n := resident(p.child.ID()); n > p.command.Memory {
		p.child.kill(fmt.Errorf("it had %d MiB of memory, more than plugin.memory.limit allows (%d MiB), and was ended", n>>20, p.command.Memory>>20))
	}
}

// child is the operating system's side of a process, for go-plugin a runner.
type child struct {
	command *Command
	cmd     *exec.Cmd
	folder  string // of its socket
	out     *logLines
	first   *firstLine
	stdin   io.WriteCloser
	done    chan struct{} // it has ended, and its output is read
	problem error         // why it could not be started

	mu      sync.Mutex
	running bool // it was started
	ended   bool
	status  error // of Wait
	why     error // it was ended for
	killed  bool  // it was still running then
}

func newChild(c *Command, log *slog.Logger, hide *secrets) *child {
	k := &child{command: c, out: newLogLines(log, hide), done: make(chan struct{})}
	k.first = newFirstLine(k.out)
	return k
}

// run is a plugin.ClientConfig.RunnerFunc: spec has what go-plugin wants in the environment.
func (k *child) run(_ hclog.Logger, spec *exec.Cmd, folder string) (runner.Runner, error) {
	k.folder = folder
	k.cmd = exec.Command(k.command.Path, k.command.Args...) //nolint:gosec // the operator's plugin
	k.cmd.Dir, k.cmd.Env = k.command.Dir, append(spec.Env, k.command.Environment...)
	if k.command.Memory > 0 {
		k.cmd.Env = append(k.cmd.Env, "GOMEMLIMIT="+strconv.FormatInt(k.command.Memory/10*9, 10))
	}
	k.cmd.Stdout, k.cmd.Stderr, k.cmd.WaitDelay = k.first, k.out, 2*time.Second
	k.cmd.SysProcAttr = attributes()
	var err error
	if k.stdin, err = k.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return k, nil
}

// unstartable says what to do about a file that is there and executable, and yet starts nothing.
func unstartable(err error) string {
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Sprintf("; install a build for this machine (%s/%s), or a script that begins with #!", goruntime.GOOS, goruntime.GOARCH)
	case errors.Is(err, fs.ErrNotExist):
		return "; if it is a script, its first line (#!) names an interpreter that is not there"
	}
	return ""
}

// Start implements runner.Runner.
func (k *child) Start(context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.problem = k.why; k.problem == nil {
		if err := k.cmd.Start(); err != nil {
			k.problem = fmt.Errorf("start process: %w%s", err, unstartable(err))
		}
	}
	if k.problem != nil {
		k.first.end()
		k.ended = true
		close(k.done)
		return k.problem
	}
	k.running = true
	go k.wait()
	return nil
}

func (k *child) wait() {
	if awaitExit(k.cmd.Process) {
		killGroup(k.cmd.Process) // those that it has started
	}
	err := k.cmd.Wait()
	k.first.end()
	k.out.end()
	k.mu.Lock()
	k.ended, k.status = true, err
	k.mu.Unlock()
	close(k.done)
}

// clear removes the folder of the socket.
func (k *child) clear() {
	if k.folder != "" {
		_ = os.RemoveAll(k.folder)
	}
}

// kill ends the process for a reason; nil: it has had its time.
func (k *child) kill(why error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended {
		return
	}
	if k.why == nil {
		k.why = why
	}
	if k.running {
		k.killed = true
		killGroup(k.cmd.Process)
	}
}

// crashed tells that the process has failed by itself.
func (k *child) crashed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ended && !k.killed && k.status != nil
}

// cause is why the worker ended the process, nil when it did not.
func (k *child) cause() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.why
}

// dying is how long a process that seems to be gone may take to be gone.
const dying = 10 * time.Second

// end tells how the process ended, "" when it has not within that time.
func (k *child) end(within time.Duration) string {
	select {
	case <-k.done:
	case <-time.After(within):
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.ended {
		return ""
	}
	text := "ended"
	if k.status != nil {
		text += ": " + k.status.Error()
	}
	if last := k.out.last(); last != "" {
		text += "; its last words: " + last
	}
	return text
}

// Wait implements runner.AttachedRunner.
func (k *child) Wait(context.Context) error {
	<-k.done
	return nil
}

// Kill implements runner.AttachedRunner. What has printed something else than a handshake may be about to die of what says more.
func (k *child) Kill(context.Context) error {
	if errors.Is(k.checkHandshake(), errNoHandshake) {
		select {
		case <-k.done:
		case <-time.After(goodbye):
		}
	}
	k.kill(nil)
	return nil
}

// Stdout implements runner.Runner: the handshake only.
func (k *child) Stdout() io.ReadCloser { return k.first.reader }

// Stderr implements runner.Runner: what comes there is in the log already.
func (k *child) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name implements runner.Runner.
func (k *child) Name() string { return k.command.Path }

// ID implements runner.AttachedRunner.
func (k *child) ID() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.running {
		return ""
	}
	return strconv.Itoa(k.cmd.Process.Pid)
}

// Diagnose implements runner.Runner.
func (*child) Diagnose(context.Context) string { return "" }

// PluginToHost implements runner.AddrTranslator.
func (k *child) PluginToHost(network, address string) (string, string, error) {
	if network != "unix" {
		return "", "", fmt.Errorf("it listens on %s %s; only unix sockets are allowed", shorten(network, 20), shorten(address, 200))
	}
	if k.command.Socket && filepath.Dir(address) != filepath.Clean(k.folder) { // nothing else keeps others from it
		return "", "", fmt.Errorf("it listens on %s, outside of the folder that PLUGIN_UNIX_SOCKET_DIR names", shorten(address, 200))
	}
	return network, address, nil
}

// HostToPlugin implements runner.AddrTranslator.
func (*child) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// resident returns how many bytes of memory a process and those below it have, what they share once for each; 0 when that cannot be known.
func resident(pid string) (total int64) {
	folder := "/proc/" + pid + "/"
	text, _ := os.ReadFile(folder + "statm") // fails when it has ended
	if fields := strings.Fields(string(text)); len(fields) > 1 {
		pages, _ := strconv.ParseInt(fields[1], 10, 64) // the kernel writes numbers
		total = pages * int64(os.Getpagesize())
	}
	threads, _ := os.ReadDir(folder + "task") // likewise
	for _, thread := range threads {
		children, _ := os.ReadFile(folder + "task/" + thread.Name() + "/children") // likewise
		for _, child := range strings.Fields(string(children)) {
			total += resident(child)
		}
	}
	return total
}
