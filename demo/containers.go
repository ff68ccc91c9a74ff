package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// containerLabel is on every container of a full demo; its value is the demo's name.
	containerLabel = "freshet.demo"
	// startLimit is how long a server in a container may take until it answers.
	startLimit = 2 * time.Minute
)

// container is a server in a container, reached by a port of 127.0.0.1.
type container struct {
	title       string // of the server
	name        string // of the container
	image       string
	inside      int // port in the container
	port        int // of 127.0.0.1
	environment []string
	command     []string
	ready       func(ctx context.Context) error // whether the server takes requests
}

func (c *container) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)) }

// imageOf is the image for a server: FRESHET_IMAGE_<SERVER>, else the official one.
func imageOf(server, official string) string {
	if image := os.Getenv("FRESHET_IMAGE_" + strings.ToUpper(server)); image != "" {
		return image
	}
	return official
}

// docker runs the docker command and returns what it prints on standard output. It has a process group of its own: Ctrl-C reaches
// the demo alone, which decides what to do.
func docker(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.SysProcAttr = childAttributes(syscall.SIGTERM)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		if text := strings.TrimSpace(complaint.String()); text != "" {
			err = errors.New(text)
		}
		return "", fmt.Errorf("docker %s: %w", args[0], err)
	}
	return strings.TrimRight(out.String(), "\n"), nil
}

// needDocker says what to do when there is no engine to start containers with.
func needDocker(ctx context.Context) error {
	const instead = "\nfreshet demo (make demo) shows the product without containers"
	if _, err := exec.LookPath("docker"); err != nil {
		return errors.New("the full demo runs its servers in containers, and there is no command docker here: install Docker" + instead)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if _, err := docker(ctx, "version", "--format", "{{.Server.Version}}"); err != nil {
		return fmt.Errorf("the full demo runs its servers in containers, and no container engine answers (%w): start Docker, or let DOCKER_HOST name an engine%s", err, instead)
	}
	return nil
}

// removeContainers removes the containers of the demo of this name, whoever started them.
func removeContainers(ctx context.Context, name string) (int, error) {
	list, err := docker(ctx, "ps", "-aq", "--filter", "label="+containerLabel+"="+name)
	if err != nil {
		return 0, fmt.Errorf("list the demo's containers: %w", err)
	}
	ids := strings.Fields(list)
	if len(ids) == 0 {
		return 0, nil
	}
	if _, err := docker(ctx, append([]string{"rm", "-fv"}, ids...)...); err != nil {
		return 0, fmt.Errorf("remove the demo's containers: %w", err)
	}
	return len(ids), nil
}

// fetch gets the image when the engine lacks it.
func (c *container) fetch(ctx context.Context) error {
	if _, err := docker(ctx, "image", "inspect", "--format", "{{.Id}}", c.image); err == nil {
		return nil
	}
	if _, err := docker(ctx, "pull", "--quiet", c.image); err != nil {
		return fmt.Errorf("get the image of %s: %w; make demo-full can build it, FRESHET_IMAGE_… names another one", c.title, err)
	}
	return nil
}

// start starts the container. A port that somebody else has taken is replaced by a free one.
func (c *container) start(ctx context.Context, demo string) error {
	if !free(c.port) {
		if err := c.move(); err != nil {
			return err
		}
	}
	for attempt := 0; ; attempt++ {
		args := []string{
			"run", "--detach", "--pull", "never", "--name", c.name, "--label", containerLabel + "=" + demo,
			"--publish", fmt.Sprintf("127.0.0.1:%d:%d", c.port, c.inside),
		}
		for _, e := range c.environment {
			args = append(args, "--env", e)
		}
		args = append(append(args, c.image), c.command...)
		// A call that was cut off might leave a container that nobody removes.
		_, err := docker(context.WithoutCancel(ctx), args...)
		if err == nil {
			return ctx.Err()
		}
		// The engine knows of ports that nobody listens on here.
		taken := strings.Contains(err.Error(), "port is already allocated") || strings.Contains(err.Error(), "address already in use")
		if !taken || attempt == 3 {
			return fmt.Errorf("start %s: %w", c.title, err)
		}
		if _, err := docker(context.WithoutCancel(ctx), "rm", "-fv", c.name); err != nil {
			return fmt.Errorf("start %s again at another port: %w", c.title, err)
		}
		if err := c.move(); err != nil {
			return err
		}
	}
}

func (c *container) move() error {
	port, err := freePort()
	c.port = int(port)
	return err
}

// free tells whether nobody listens on a port of 127.0.0.1.
func free(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	return err == nil && l.Close() == nil
}

// await returns when the server takes requests.
func (c *container) await(ctx context.Context) error {
	limited, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("it does not answer after %s", startLimit))
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for asked := 1; ; asked++ {
		err := c.ready(limited)
		if err == nil {
			return nil
		}
		if asked%10 == 0 {
			if state, e := docker(limited, "inspect", "--format", "{{.State.Status}}", c.name); e != nil || state != "running" {
				return fmt.Errorf("start %s: its container has ended%s", c.title, c.lastWords(ctx))
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limited.Done():
			return fmt.Errorf("start %s: %w: %w%s", c.title, context.Cause(limited), err, c.lastWords(ctx))
		case <-tick.C:
		}
	}
}

// lastWords returns the end of the container's log for an error message.
func (c *container) lastWords(ctx context.Context) string {
	cmd := exec.CommandContext(ctx, "docker", "logs", "--tail", "15", c.name)
	cmd.SysProcAttr = childAttributes(syscall.SIGTERM)
	text, err := cmd.CombinedOutput()
	if err != nil || len(text) == 0 {
		return ""
	}
	return "\nits last words:\n" + lastLines(string(text))
}
