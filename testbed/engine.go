package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
)

// Every container carries these labels, so that those of a run that was killed can be found and removed.
const (
	labelBed   = "freshet.testbed"
	labelOwner = "freshet.testbed.owner" // owner() of the process that started it
)

// engine is a container engine that answers.
type engine struct {
	client *testcontainers.DockerClient
	host   string // where published ports are reached
}

// connect finds the container engine. Testcontainers reads its environment once, so it is set here, before the first call.
func connect(ctx context.Context) (*engine, error) {
	// No reaper container: its image may be out of reach. What a killed run leaves is removed by the next one.
	if err := os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true"); err != nil {
		return nil, fmt.Errorf("set environment: %w", err)
	}
	socket := os.Getenv("DOCKER_HOST") == "" || strings.HasPrefix(os.Getenv("DOCKER_HOST"), "unix:")
	if _, set := os.LookupEnv("TESTCONTAINERS_HOST_OVERRIDE"); !set && socket && engineIsHere() {
		if err := os.Setenv("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1"); err != nil {
			return nil, fmt.Errorf("set environment: %w", err)
		}
	}
	log.SetDefault(log.NewNoopLogger())
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return nil, fmt.Errorf("find the container engine: %w", err)
	}
	if err := provider.Health(ctx); err != nil {
		return nil, fmt.Errorf("reach the container engine: %w", err)
	}
	// Testcontainers looks elsewhere when nothing answers at DOCKER_HOST; that would not be the engine that was asked for.
	if asked, got := os.Getenv("DOCKER_HOST"), provider.Client().DaemonHost(); asked != "" && asked != got {
		return nil, fmt.Errorf("reach the container engine: nothing answers at DOCKER_HOST=%s", asked)
	}
	host, err := provider.DaemonHost(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the container engine's address: %w", err)
	}
	if host == "localhost" { // clients would try ::1 first
		host = "127.0.0.1"
	}
	cli, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the container engine: %w", err)
	}
	return &engine{client: cli, host: host}, nil
}

// engineIsHere reports whether the engine runs beside this process, which a process in a container must not take for granted.
func engineIsHere() bool {
	names, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return false
	}
	for _, name := range names {
		if b, err := os.ReadFile(name); err == nil && strings.TrimSpace(string(b)) == "dockerd" {
			return true
		}
	}
	return false
}

// NeedEngine ends the test unless a container engine answers. It is skipped with "NOT RUN", and fails where CI=true.
func NeedEngine(t testing.TB) {
	t.Helper()
	e, err := connect(t.Context())
	if err != nil {
		notRun(t, err)
	}
	_ = e.client.Close()
}

func notRun(t testing.TB, cause error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("NOT RUN: this test needs a container engine: %v", cause)
	}
	t.Skipf("NOT RUN: this test needs a container engine (run testdata/images/engine as root, or set DOCKER_HOST): %v", cause)
}

// owner names this process: host, process namespace and id.
func owner() string { return ownerPrefix() + strconv.Itoa(os.Getpid()) }

func ownerPrefix() string {
	host, _ := os.Hostname()
	space, _ := os.Readlink("/proc/self/ns/pid")
	return host + "/" + space + "/"
}

// removeLeftovers removes the containers of processes of this machine that are gone.
func (e *engine) removeLeftovers(ctx context.Context) error {
	found, err := e.client.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", labelBed)})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	var errs []error
	for _, c := range found.Items {
		pid, ours := strings.CutPrefix(c.Labels[labelOwner], ownerPrefix())
		if !ours {
			continue
		}
		if _, err := os.Stat("/proc/" + pid); err == nil {
			continue
		}
		_, err := e.client.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{RemoveVolumes: true, Force: true})
		// Another test process may be doing the same.
		if err != nil && !strings.Contains(err.Error(), "already in progress") && !strings.Contains(err.Error(), "No such container") {
			errs = append(errs, fmt.Errorf("remove container %s of a dead run: %w", c.ID, err))
		}
	}
	return errors.Join(errs...)
}

// image is the image to start for a server: FRESHET_IMAGE_<NAME>, or what testdata/images chooses (FRESHET_TEST_IMAGES).
func image(ctx context.Context, server string) (string, error) {
	if name := os.Getenv("FRESHET_IMAGE_" + strings.ToUpper(server)); name != "" {
		return name, nil
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(root, "testdata", "images", "images"), "get", server)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("find an image for %s: %w: %s", server, err, stderr.Bytes())
	}
	return strings.TrimSpace(string(out)), nil
}

// Root is the folder of the module that the tests run in.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the module's folder: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find the module's folder: no go.mod above the working directory")
		}
		dir = parent
	}
}
