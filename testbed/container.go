package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
)

const (
	startTimeout = 4 * time.Minute
	// cleanUpWithin is how long a server may take to drop what a test has made.
	cleanUpWithin = 2 * time.Minute
)

// server is a running container with published ports, which stay the same over Kill and Restart.
type server struct {
	engine    *engine
	container testcontainers.Container
	port      int   // on the engine's host; also the port inside where the network is the host's
	more      []int // further ones
}

// spec says how to start a server.
type spec struct {
	server      string   // which image
	inside      string   // port in the container, "5432/tcp"; "": the host's network
	more        []string // further ones
	ports       []int    // on the host, where they have to be known before; nil: free ones
	environment func(host string, port int) map[string]string
	command     func(port int) []string
	ready       func(ctx context.Context, address string) error // tried until it succeeds
}

// start starts the container and waits until it is ready.
func (e *engine) start(ctx context.Context, s spec) (*server, error) {
	img, err := image(ctx, s.server)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var last error
	for range 5 { // another process may take the port in between
		ports := s.ports
		if ports == nil {
			if ports, err = freePorts(1 + len(s.more)); err != nil {
				return nil, err
			}
		}
		c, err := testcontainers.Run(ctx, img, e.customize(s, ports)...)
		if err == nil {
			srv := &server{engine: e, container: c, port: ports[0], more: ports[1:]}
			if err := srv.wait(ctx, s.ready); err != nil {
				return nil, errors.Join(fmt.Errorf("start %s: %w", img, err), srv.terminate(context.WithoutCancel(ctx)))
			}
			return srv, nil
		}
		last = fmt.Errorf("start %s: %w", img, err)
		if c != nil {
			last = errors.Join(last, testcontainers.TerminateContainer(c, testcontainers.StopTimeout(0)))
		}
		if !strings.Contains(err.Error(), "already allocated") && !strings.Contains(err.Error(), "already in use") {
			break
		}
	}
	return nil, last
}

func (e *engine) customize(s spec, ports []int) []testcontainers.ContainerCustomizer {
	options := []testcontainers.ContainerCustomizer{
		testcontainers.WithLogger(log.NewNoopLogger()),
		testcontainers.WithLabels(map[string]string{labelBed: s.server, labelOwner: owner()}),
		testcontainers.WithHostConfigModifier(func(h *container.HostConfig) {
			if s.inside == "" {
				h.NetworkMode = "host"
				return
			}
			h.PortBindings = network.PortMap{}
			for i, inside := range append([]string{s.inside}, s.more...) {
				h.PortBindings[network.MustParsePort(inside)] = []network.PortBinding{{HostPort: strconv.Itoa(ports[i])}}
			}
		}),
	}
	if s.inside != "" {
		options = append(options, testcontainers.WithExposedPorts(append([]string{s.inside}, s.more...)...))
	}
	if s.environment != nil {
		options = append(options, testcontainers.WithEnv(s.environment(e.host, ports[0])))
	}
	if s.command != nil {
		options = append(options, testcontainers.WithCmd(s.command(ports[0])...))
	}
	return options
}

func freePorts(n int) (out []int, err error) {
	for range n {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		out = append(out, port)
	}
	return out, nil
}

// freePort picks a port below the range from which outgoing connections take theirs.
func freePort() (int, error) {
	for range 100 {
		port := 20000 + rand.IntN(12000)
		l, err := net.Listen("tcp", "0.0.0.0:"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		return port, l.Close()
	}
	return 0, errors.New("find a free port: none in 20000-31999")
}

// FreeAddress is a host:port of this machine on which nobody listens. It stays free while what a test makes listen there is away: no
// outgoing connection takes its port.
func FreeAddress(t testing.TB) string {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// Address is host:port of the server.
func (s *server) Address() string { return net.JoinHostPort(s.engine.host, strconv.Itoa(s.port)) }

// Port is the server's port on the engine's host.
func (s *server) Port() int { return s.port }

// Host is the engine's host.
func (s *server) Host() string { return s.engine.host }

// Process is the number of the server's process where the engine is on this machine.
func (s *server) Process(ctx context.Context) (int, error) {
	state, err := s.container.State(ctx)
	if err != nil {
		return 0, fmt.Errorf("find the process of the server at %s: %w", s.Address(), err)
	}
	return state.Pid, nil
}

// wait polls until the server is ready, the context ends or the container stops.
func (s *server) wait(ctx context.Context, ready func(context.Context, string) error) error {
	return poll(ctx, func() (bool, error) {
		try, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		err := ready(try, s.Address())
		if err == nil {
			return true, nil
		}
		state, inspectErr := s.container.State(ctx)
		if inspectErr == nil && !state.Running {
			return false, fmt.Errorf("it stopped with status %d; its log ends in:\n%s", state.ExitCode, s.logTail(ctx))
		}
		return false, retryable{err}
	})
}

// retryable is why a condition does not hold yet.
type retryable struct{ error }

// poll calls done until it says so, or fails with an error that is not retryable, or the context ends.
func poll(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok {
			return nil
		}
		if err != nil && !errors.As(err, new(retryable)) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}

func (s *server) logTail(ctx context.Context) string {
	r, err := s.container.Logs(ctx)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(r)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-2000):])
}

// kill ends the server's processes as kill -9 does. Its data stays.
func (s *server) kill(ctx context.Context) error {
	if _, err := s.engine.client.ContainerKill(ctx, s.container.GetContainerID(), client.ContainerKillOptions{Signal: "KILL"}); err != nil {
		return fmt.Errorf("kill container: %w", err)
	}
	return poll(ctx, func() (bool, error) {
		state, err := s.container.State(ctx)
		if err != nil {
			return false, fmt.Errorf("inspect container: %w", err)
		}
		return !state.Running, nil
	})
}

// stop tells the server to end, and waits for its end.
func (s *server) stop(ctx context.Context) error {
	patience := 60
	if _, err := s.engine.client.ContainerStop(ctx, s.container.GetContainerID(), client.ContainerStopOptions{Timeout: &patience}); err != nil {
		return fmt.Errorf("stop container: %w", err)
	}
	return nil
}

// restart starts the container again, on the same port, and waits until it is ready.
func (s *server) restart(ctx context.Context, ready func(context.Context, string) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if _, err := s.engine.client.ContainerStart(ctx, s.container.GetContainerID(), client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("start container: %w", err)
	}
	return s.wait(ctx, ready)
}

func (s *server) terminate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := testcontainers.TerminateContainer(s.container, testcontainers.StopContext(ctx), testcontainers.StopTimeout(0)); err != nil {
		return fmt.Errorf("remove container: %w", err)
	}
	return nil
}

// run starts a server for one test.
func run[S interface{ terminate(context.Context) error }](t testing.TB, start func(context.Context, *engine) (S, error)) S {
	t.Helper()
	e, err := connect(t.Context())
	if err != nil {
		notRun(t, err)
	}
	s, err := start(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.terminate(context.WithoutCancel(t.Context())), e.client.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}
