// Package testbed starts the real servers that tests need as containers, and cuts them up so that tests can run in parallel:
// a database of its own for each test in a shared PostgreSQL, MySQL or MariaDB, topics of its own in a shared broker. It also runs the freshet
// program itself. Imported by tests only.
//
// A package that shares servers between its tests has
//
//	var bed testbed.Bed
//
//	func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }
//
// and calls bed.Postgres(t), bed.Kafka(t) in its tests; a test that kills its server starts one of its own with
// StartPostgres(t) or StartKafka(t). Without a container engine such tests are skipped with "NOT RUN"; where CI=true they fail.
package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// Bed holds the servers that the tests of one package share. Its zero value is ready; Main must be called by TestMain.
type Bed struct {
	mu      sync.Mutex
	managed bool
	engine  *engine
	failed  error // why there is no engine
	servers map[string]*shared
	binary  builder
}

type shared struct {
	once   sync.Once
	server interface{ terminate(context.Context) error }
	err    error
}

// Main runs the tests, removes the shared servers and what was built, and returns the exit code.
func (b *Bed) Main(m *testing.M) int {
	b.mu.Lock()
	b.managed = true
	b.mu.Unlock()
	code := m.Run()
	b.binary.remove()
	if err := b.close(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

func (b *Bed) close(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for _, s := range b.servers {
		if s.server != nil {
			errs = append(errs, s.server.terminate(ctx))
		}
	}
	if b.engine != nil {
		errs = append(errs, b.engine.client.Close())
	}
	b.servers, b.engine = nil, nil
	return errors.Join(errs...)
}

// slot is the shared server of this name, perhaps not started yet.
func (b *Bed) slot(t testing.TB, name string) (*shared, *engine) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.managed {
		t.Fatal("testbed: shared servers need a TestMain that calls Bed.Main")
	}
	if b.engine == nil && b.failed == nil {
		b.engine, b.failed = connect(context.Background())
		if b.failed == nil {
			if err := b.engine.removeLeftovers(context.Background()); err != nil {
				t.Log(err)
			}
		}
	}
	if b.failed != nil {
		notRun(t, b.failed)
	}
	s := b.servers[name]
	if s == nil {
		s = new(shared)
		if b.servers == nil {
			b.servers = map[string]*shared{}
		}
		b.servers[name] = s
	}
	return s, b.engine
}

// share returns the shared server of this name, started by whoever asks first.
func share[S interface{ terminate(context.Context) error }](t testing.TB, b *Bed, name string, start func(context.Context, *engine) (S, error)) S {
	t.Helper()
	slot, e := b.slot(t, name)
	slot.once.Do(func() {
		// Not the test's context: the server outlives the test that started it.
		s, err := start(context.Background(), e)
		if err != nil {
			slot.err = err
			return
		}
		slot.server = s
	})
	if slot.err != nil {
		t.Fatal(slot.err)
	}
	return slot.server.(S)
}

// Postgres is the package's shared PostgreSQL. Settings are as for StartPostgres; each set of them has a server.
func (b *Bed) Postgres(t testing.TB, settings ...string) *Postgres {
	t.Helper()
	return share(t, b, "postgres "+strings.Join(settings, " "), func(ctx context.Context, e *engine) (*Postgres, error) {
		return startPostgres(ctx, e, "postgres", settings)
	})
}

// Timescale is the package's shared PostgreSQL with TimescaleDB.
func (b *Bed) Timescale(t testing.TB, settings ...string) *Postgres {
	t.Helper()
	return share(t, b, "timescaledb "+strings.Join(settings, " "), func(ctx context.Context, e *engine) (*Postgres, error) {
		return startPostgres(ctx, e, "timescaledb", settings)
	})
}

// Kafka is the package's shared broker.
func (b *Bed) Kafka(t testing.TB) *Kafka {
	t.Helper()
	return share(t, b, "kafka", startKafka)
}

// Toxiproxy is the package's shared Toxiproxy.
func (b *Bed) Toxiproxy(t testing.TB) *Toxiproxy {
	t.Helper()
	return share(t, b, "toxiproxy", startToxiproxy)
}
