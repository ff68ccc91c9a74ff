package plugins_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/plugins"
	"github.com/freshet-io/freshet/plugins/pluginpb"
)

// faultyArgument, followed by the name of a fault, makes the test binary a plugin that has it.
const faultyArgument = "-faulty-plugin"

// pidsVariable names a file to which such a plugin writes the numbers of its processes.
const pidsVariable = "FAULTY_PIDS"

// replacedSuffix makes the name of that file one whose existence is that of another version.
const replacedSuffix = ".replaced"

const (
	faultySource = "FaultySource"
	faultySink   = "FaultySink"
)

// stderr is the file: go-plugin replaces the variable.
var stderr = os.Stderr

func misbehave(fault string) {
	notePID(os.Getpid())
	if fault == "is replaced" && replaced() {
		fault = "speaks version 9"
	}
	switch fault {
	case "silent":
	case "leaks alone":
		leak()
	case "exits":
		fmt.Fprintln(os.Stderr, "cannot load libtargets.so")
		os.Exit(3)
	case "exits without a word":
		os.Exit(0)
	case "panics":
		panic("no such device")
	case "chatters":
		fmt.Println("Welcome to the plugin!")
	case "chatters and exits":
		fmt.Println("Loading the targets")
		time.Sleep(50 * time.Millisecond)
		fmt.Fprintln(os.Stderr, "cannot load libtargets.so")
		os.Exit(3)
	case "speaks version 9":
		fmt.Println("1|9|unix|/tmp/nowhere|grpc|")
	case "speaks net/rpc":
		fmt.Println("1|1|unix|/tmp/nowhere|netrpc|")
	case "listens on tcp":
		fmt.Println("1|1|tcp|127.0.0.1:1|grpc|")
	case "listens elsewhere":
		fmt.Println("1|1|unix|/tmp/nowhere|grpc|")
	case "prints without end":
		for {
			_, _ = os.Stdout.Write(bytes.Repeat([]byte("x"), 1<<16))
		}
	case "deaf":
		path := filepath.Join(os.Getenv(plugin.EnvUnixSocketDir), "deaf")
		l, err := net.Listen("unix", path)
		if err != nil {
			panic(err)
		}
		defer func() { _ = l.Close() }()
		fmt.Println("1|1|unix|" + path + "|grpc|")
	default:
		serveFaulty(&faulty{fault: fault})
		return
	}
	time.Sleep(time.Hour)
}

func notePID(pid int) {
	f, err := os.OpenFile(os.Getenv(pidsVariable), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(f, pid)
	_ = f.Close()
}

// replaced tells that another version of the plugin was installed.
func replaced() bool {
	_, err := os.Stat(os.Getenv(pidsVariable) + replacedSuffix)
	return err == nil
}

func serveFaulty(s *faulty) {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plugins.Handshake, Logger: hclog.NewNullLogger(),
		VersionedPlugins: map[int]plugin.PluginSet{plugins.Protocol: {plugins.Service: &faultyPlugin{server: s}}},
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(options, grpc.MaxRecvMsgSize(1<<30), grpc.MaxSendMsgSize(1<<30))...)
		},
	})
}

type faultyPlugin struct {
	plugin.NetRPCUnsupportedPlugin
	server pluginpb.ConnectorServer
}

func (p *faultyPlugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	pluginpb.RegisterConnectorServer(s, p.server)
	return nil
}

func (*faultyPlugin) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}

// faulty serves a source and a sink, one call of which does what the fault says.
type faulty struct {
	pluginpb.UnimplementedConnectorServer
	fault   string
	config  map[string]string
	session pluginpb.Connector_SessionServer
	asked   chan struct{} // closed when there is a session
}

func (s *faulty) Describe(context.Context, *pluginpb.DescribeRequest) (*pluginpb.DescribeResponse, error) {
	keys := []*pluginpb.Key{
		{Name: "password", Type: string(connectors.TypePassword), Importance: "HIGH"},
		{Name: "url", Type: string(connectors.TypeString), Importance: "HIGH", Guarded: true},
	}
	out := &pluginpb.DescribeResponse{Connectors: []*pluginpb.Description{
		{Class: faultySource, Source: true, Keys: keys, Observed: true}, {Class: faultySink, Sink: true, Keys: keys},
	}}
	switch s.fault {
	case "describes nothing":
		out.Connectors = nil
	case "describes neither":
		out.Connectors = []*pluginpb.Description{{Class: "Neither"}}
	case "describes a key of no type":
		keys[0].Type = "SECRET"
	case "describes at length":
		keys[0].Doc = strings.Repeat("x", 80<<20)
	}
	return out, nil
}

func (s *faulty) Validate(_ context.Context, r *pluginpb.ValidateRequest) (*pluginpb.ValidateResponse, error) {
	password, url := r.GetConfig()["password"], r.GetConfig()["url"]
	if password == "" {
		return &pluginpb.ValidateResponse{}, nil
	}
	return &pluginpb.ValidateResponse{Values: []*pluginpb.ConfigValue{
		{Name: "password", Value: &password, Errors: []string{"the password " + password + " is too short"}},
		{Name: "url", Value: &url},
		{Name: "topic", Value: &password},
	}}, nil
}

func (*faulty) Tasks(_ context.Context, r *pluginpb.TasksRequest) (*pluginpb.TasksResponse, error) {
	return &pluginpb.TasksResponse{Tasks: []*pluginpb.TaskConfig{{Config: r.GetConfig()}}}, nil
}

func (s *faulty) Open(_ context.Context, r *pluginpb.OpenRequest) (*pluginpb.Result, error) {
	s.config, s.asked = r.GetConfig(), make(chan struct{})
	if s.fault == "hangs in Open" {
		time.Sleep(time.Hour)
	}
	return &pluginpb.Result{}, nil
}

func (s *faulty) Start(context.Context, *pluginpb.StartRequest) (*pluginpb.TaskResult, error) {
	switch s.fault {
	case "hangs in Start":
		time.Sleep(time.Hour)
	case "dies in Start":
		os.Exit(7)
	case "has a long answer":
		return &pluginpb.TaskResult{Claim: strings.Repeat("x", 80<<20)}, nil
	case "has a long claim":
		return &pluginpb.TaskResult{Claim: strings.Repeat("x", 1<<20)}, nil
	case "tells a secret in Start":
		return &pluginpb.TaskResult{Error: &pluginpb.Error{Text: "connect with " + s.config["password"] + ": refused"}}, nil
	}
	return &pluginpb.TaskResult{}, nil
}

func (*faulty) Commit(context.Context, *pluginpb.CommitRequest) (*pluginpb.Result, error) {
	return &pluginpb.Result{}, nil
}

func (s *faulty) Stop(ctx context.Context, _ *pluginpb.StopRequest) (*pluginpb.TaskResult, error) {
	if s.fault == "hangs in Stop" {
		time.Sleep(time.Hour)
	}
	return &pluginpb.TaskResult{}, nil
}

// Session holds the stream for the faults; answers are left to them.
func (s *faulty) Session(stream pluginpb.Connector_SessionServer) error {
	s.session = stream
	close(s.asked)
	<-stream.Context().Done()
	return nil
}

// tell sends calls.
func (s *faulty) tell(calls ...*pluginpb.Call) {
	<-s.asked
	for _, call := range calls {
		if s.session.Send(call) != nil {
			return
		}
	}
}

// ask sends a question and returns the error of its answer.
func (s *faulty) ask(call *pluginpb.Call) *pluginpb.Error {
	call.Id = 1
	s.tell(call)
	a, err := s.session.Recv()
	if err != nil {
		return &pluginpb.Error{Text: err.Error()}
	}
	return a.GetError()
}

// batches are messages with rows, the first of which defines their stream.
func batches(n int) [][]byte {
	w, stream := connectors.NewWireWriter(), connectortest.Ten()
	var out [][]byte
	for i := range n {
		b := connectortest.TenBatch(stream, 10*i, 10)
		text, err := w.Append(nil, b)
		b.Release()
		if err != nil {
			panic(err)
		}
		out = append(out, text)
	}
	return out
}

func fail(text string) *pluginpb.SourceOutput {
	return &pluginpb.SourceOutput{Error: &pluginpb.Error{Text: text}}
}

// inherited lists the environment and the open files of this process.
func inherited() string {
	list := os.Environ()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	for _, f := range files {
		if to, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil { // else it was the folder's
			list = append(list, "file "+to)
		}
	}
	slices.Sort(list)
	return strings.Join(list, "\n")
}

// fork starts a process that outlives this one and holds its output.
func fork(name string, args ...string) {
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = stderr, stderr
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	notePID(cmd.Process.Pid)
}

// leak takes memory without end.
func leak() {
	var held [][]byte
	for range time.Tick(time.Millisecond) {
		p := make([]byte, 1<<20)
		for i := 0; i < len(p); i += 4096 {
			p[i] = 1
		}
		held = append(held, p)
	}
	_ = held
}

// flood writes lines to both outputs without end.
func flood() {
	line := bytes.Repeat([]byte("all is well, and will be so for a long time\n"), 100)
	go func() {
		for {
			_, _ = os.Stdout.Write(line)
		}
	}()
	for {
		_, _ = stderr.Write(line)
	}
}

func freeze() { _ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) }
