package testbed

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// The account of every ClickHouse.
const (
	ClickHouseUser     = "default"
	ClickHousePassword = "clickhouse"
)

// ClickHouse is a server with its HTTP interface. The built image has the engine without the native protocol and without clusters.
type ClickHouse struct{ *server }

// ClickHouse is the package's shared ClickHouse.
func (b *Bed) ClickHouse(t testing.TB) *ClickHouse {
	t.Helper()
	return share(t, b, "clickhouse", startClickHouse)
}

// StartClickHouse starts a ClickHouse for this test alone.
func StartClickHouse(t testing.TB) *ClickHouse {
	t.Helper()
	return run(t, startClickHouse)
}

func startClickHouse(ctx context.Context, e *engine) (*ClickHouse, error) {
	s, err := e.start(ctx, spec{
		server: "clickhouse",
		inside: "8123/tcp",
		environment: func(string, int) map[string]string {
			return map[string]string{"CLICKHOUSE_USER": ClickHouseUser, "CLICKHOUSE_PASSWORD": ClickHousePassword, "CLICKHOUSE_DEFAULT_ACCESS_MANAGEMENT": "1"}
		},
		ready: clickHouseReady,
	})
	if err != nil {
		return nil, err
	}
	return &ClickHouse{s}, nil
}

// ClickHouse starts a ClickHouse. Its port is the engine's, not the host's own.
func (l *Local) ClickHouse(ctx context.Context) (*ClickHouse, error) {
	c, err := startClickHouse(ctx, l.engine)
	if err != nil {
		return nil, err
	}
	l.servers = append(l.servers, c)
	return c, nil
}

// Ask is Query for a program.
func (c *ClickHouse) Ask(ctx context.Context, database, sql string) (string, error) {
	return clickHouseQuery(ctx, c.Address(), database, sql)
}

// Insert sends one insert with its data, and returns when it is durable.
func (c *ClickHouse) Insert(ctx context.Context, database, sql, data string) error {
	_, err := clickHousePost(ctx, c.Address(), url.Values{"database": {database}, "query": {sql}, "async_insert": {"0"}, "wait_end_of_query": {"1"}}, data)
	if err != nil {
		return fmt.Errorf("run %.200q: %w", sql, err)
	}
	return nil
}

func clickHouseReady(ctx context.Context, address string) error {
	_, err := clickHouseQuery(ctx, address, "", "SELECT 1")
	return err
}

func clickHouseQuery(ctx context.Context, address, database, sql string) (string, error) {
	answer, err := clickHousePost(ctx, address, url.Values{"database": {database}}, sql)
	if err != nil {
		return "", fmt.Errorf("run %.200q: %w", sql, err)
	}
	return strings.TrimSuffix(answer, "\n"), nil
}

func clickHousePost(ctx context.Context, address string, query url.Values, body string) (string, error) {
	to := url.URL{Scheme: "http", Host: address, Path: "/", RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), strings.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("make a request: %w", err)
	}
	req.SetBasicAuth(ClickHouseUser, ClickHousePassword)
	status, answer, err := fetch(req)
	if err == nil && status != http.StatusOK {
		err = errors.New(answer)
	}
	return answer, err
}

// Query runs a statement and returns the answer, in the format that it names, else as lines of values between tabs. database may be "".
func (c *ClickHouse) Query(t testing.TB, database, sql string) string {
	t.Helper()
	answer, err := clickHouseQuery(t.Context(), c.Address(), database, sql)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// NewDatabase creates a database for this test, which is dropped at its end.
func (c *ClickHouse) NewDatabase(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("t%08x", rand.Uint32())
	c.Query(t, "", "CREATE DATABASE "+name)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), cleanUpWithin)
		defer cancel()
		if _, err := clickHouseQuery(ctx, c.Address(), "", "DROP DATABASE IF EXISTS "+name); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return name
}

// Kill ends the server as kill -9 does. What it acknowledged stays.
func (c *ClickHouse) Kill(t testing.TB) {
	t.Helper()
	if err := c.kill(t.Context()); err != nil {
		t.Fatalf("kill ClickHouse: %v", err)
	}
}

// Restart starts a killed server again, on the same port, and waits until it answers.
func (c *ClickHouse) Restart(t testing.TB) {
	t.Helper()
	if err := c.restart(t.Context(), clickHouseReady); err != nil {
		t.Fatalf("restart ClickHouse: %v", err)
	}
}
