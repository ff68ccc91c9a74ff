package testbed

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"
)

// Connect is a worker of Kafka Connect with Debezium's connectors for Postgres and MySQL, in a container in the host's network.
type Connect struct{ *server }

// StartConnect starts a worker of the group on a broker. Its three topics are <group>-configs, -offsets and -status; properties
// are further ones of the worker.
func StartConnect(t testing.TB, k *Kafka, group string, properties map[string]string) *Connect {
	t.Helper()
	return run(t, func(ctx context.Context, e *engine) (*Connect, error) {
		s, err := e.start(ctx, spec{
			server: "connect",
			environment: func(host string, port int) map[string]string {
				env := map[string]string{
					"BOOTSTRAP_SERVERS":                 k.Address(),
					"GROUP_ID":                          group,
					"CONFIG_STORAGE_TOPIC":              group + "-configs",
					"OFFSET_STORAGE_TOPIC":              group + "-offsets",
					"STATUS_STORAGE_TOPIC":              group + "-status",
					"ADVERTISED_HOST_NAME":              host,
					"ADVERTISED_PORT":                   strconv.Itoa(port),
					"CONNECT_LISTENERS":                 "http://" + net.JoinHostPort(host, strconv.Itoa(port)),
					"CONNECT_OFFSET_STORAGE_PARTITIONS": "3",
				}
				for _, topic := range []string{"CONFIG", "OFFSET", "STATUS"} {
					env["CONNECT_"+topic+"_STORAGE_REPLICATION_FACTOR"] = "1"
				}
				maps.Copy(env, environmentOf(properties))
				return env
			},
			ready: connectReady,
		})
		if err != nil {
			return nil, err
		}
		return &Connect{s}, nil
	})
}

// environmentOf spells properties as the image wants them.
func environmentOf(properties map[string]string) map[string]string {
	env := map[string]string{}
	for name, value := range properties {
		spelled := []byte("CONNECT_")
		for _, c := range []byte(name) {
			switch {
			case c == '.':
				spelled = append(spelled, '_')
			case c == '_':
				spelled = append(spelled, "__"...)
			case c == '-':
				spelled = append(spelled, "___"...)
			case c >= 'a' && c <= 'z':
				spelled = append(spelled, c-'a'+'A')
			default:
				spelled = append(spelled, c)
			}
		}
		env[string(spelled)] = value
	}
	return env
}

// connectReady succeeds when the worker answers and is in its group.
func connectReady(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/connectors", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the worker answers %s %s %w", resp.Status, body, err)
	}
	return nil
}

// URL is the base of the worker's REST API.
func (c *Connect) URL() string { return "http://" + c.Address() }

// Stop ends the worker as SIGTERM does, and waits for its end.
func (c *Connect) Stop(t testing.TB) {
	t.Helper()
	if err := c.stop(t.Context()); err != nil {
		t.Fatalf("stop Kafka Connect: %v", err)
	}
}

// Kill ends the worker as kill -9 does.
func (c *Connect) Kill(t testing.TB) {
	t.Helper()
	if err := c.kill(t.Context()); err != nil {
		t.Fatalf("kill Kafka Connect: %v", err)
	}
}

// Restart starts a worker that was stopped or killed again, on the same port.
func (c *Connect) Restart(t testing.TB) {
	t.Helper()
	if err := c.restart(t.Context(), connectReady); err != nil {
		t.Fatalf("restart Kafka Connect: %v", err)
	}
}

// Log is the end of what the worker has printed.
func (c *Connect) Log(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
	defer cancel()
	return c.logTail(ctx)
}
