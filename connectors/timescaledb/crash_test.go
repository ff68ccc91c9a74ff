package timescaledb

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/schemas"
)

// cutter passes connections on to a server and cuts some of them at a chosen moment.
type cutter struct {
	net.Listener
	upstream string
	moment   func(n int64) cut // for the n-th COMMIT or INSERT of all connections
	seen     atomic.Int64
	cuts     atomic.Int64
	owned    sync.WaitGroup
}

type cut uint8

const (
	cutNothing cut = iota
	cutCopy        // when the rows are on their way: no COMMIT was sent
	cutRequest     // COMMIT never arrives
	cutAnswer      // COMMIT arrives and succeeds, its answer does not
)

func newCutter(t *testing.T, upstream string, moment func(int64) cut) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{Listener: l, upstream: upstream, moment: moment}
	c.owned.Add(1)
	go c.accept()
	t.Cleanup(func() { _ = l.Close(); c.owned.Wait() })
	return c
}

func (c *cutter) accept() {
	defer c.owned.Done()
	for {
		client, err := c.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", c.upstream)
		if err != nil {
			_ = client.Close()
			continue
		}
		answers := make(chan struct{}, 1)
		var hold atomic.Bool
		c.owned.Add(2)
		go func() { defer c.owned.Done(); c.answers(client, server, &hold, answers) }()
		go func() { defer c.owned.Done(); c.requests(client, server, &hold, answers) }()
	}
}

// requests looks for COMMIT, which the sink sends in a message of its own.
func (c *cutter) requests(client, server net.Conn, hold *atomic.Bool, answered <-chan struct{}) {
	defer func() { _, _ = client.Close(), server.Close() }()
	buf := make([]byte, 1<<16)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		what := cutNothing
		commit := bytes.HasSuffix(buf[:n], []byte("COMMIT\x00"))
		if commit || bytes.Contains(buf[:n], []byte("FROM STDIN")) {
			what = c.moment(c.seen.Add(1))
		}
		switch {
		case what == cutCopy && !commit, what == cutRequest && commit:
			c.cuts.Add(1)
			return
		case what == cutAnswer && commit:
			hold.Store(true)
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
		if hold.Load() {
			<-answered // the server has committed
			c.cuts.Add(1)
			return
		}
	}
}

func (c *cutter) answers(client, server net.Conn, hold *atomic.Bool, answered chan<- struct{}) {
	defer func() {
		answered <- struct{}{}
		_, _ = client.Close(), server.Close()
	}()
	buf := make([]byte, 1<<16)
	for {
		n, err := server.Read(buf)
		if err != nil || hold.Load() {
			return
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

// A connection that is cut while rows are on their way, before COMMIT and after it, loses nothing and writes nothing twice,
// also where no key would notice.
func TestCutConnections(t *testing.T) {
	t.Parallel()
	server := bed.Postgres(t)
	keyless := connectortest.Table("log", 0, connectortest.Column("n", schemas.TypeInt32, "integer", false))
	once := []string{keyInsert, "insert", keyKeyMode, "none", keyDelete, "false"}
	for name, c := range map[string]struct {
		what cut
		keys []string
	}{
		"copy": {cutCopy, once}, "request": {cutRequest, once}, "answer": {cutAnswer, once},
		"every change, copy": {cutCopy, []string{keyMode, modeAppend}}, "every change, answer": {cutAnswer, []string{keyMode, modeAppend}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, server)
			cutting := newCutter(t, server.Address(), func(n int64) cut {
				if n%3 == 2 || n%7 == 1 {
					return c.what
				}
				return cutNothing
			})
			cfg := settings(server, r.database, c.keys...)
			cfg[keyURL] = "jdbc:postgresql://" + cutting.Addr().String() + "/" + r.database + "?sslmode=disable"
			_ = r.Task.Stop(context.Background())
			r.start(cfg)
			want := 0
			for i := range 40 {
				err := r.Put(func(w *connectors.Builder) {
					for range i%4 + 1 {
						want++
						insert(want).Append(w, keyless, connectors.Order{})
					}
				})
				if err == nil && i%5 == 0 {
					err = r.Flush()
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := r.Flush(); err != nil {
				t.Fatal(err)
			}
			r.expect("SELECT count(*) || ' ' || count(DISTINCT n) || ' ' || max(n) FROM log", fmt.Sprintf("%d %d %d", want, want, want))
			if cutting.cuts.Load() == 0 {
				t.Error("no connection was cut")
			}
			t.Logf("%d connections were cut", cutting.cuts.Load())
		})
	}
}

// A new owner whose first COMMIT is cut off does not take the first one of the owner before for its own.
func TestCutBehindATakeOver(t *testing.T) {
	t.Parallel()
	server := bed.Postgres(t)
	through := func(t *testing.T, r *rig) string {
		t.Helper()
		c := newCutter(t, server.Address(), func(n int64) cut {
			if n <= 2 { // the COPY and the COMMIT behind it
				return cutRequest
			}
			return cutNothing
		})
		t.Cleanup(func() {
			if c.cuts.Load() == 0 {
				t.Error("no connection was cut")
			}
		})
		return "jdbc:postgresql://" + c.Addr().String() + "/" + r.database + "?sslmode=disable"
	}
	t.Run("of everything", func(t *testing.T) {
		t.Parallel()
		once := []string{keyInsert, "insert", keyKeyMode, "none", keyDelete, "false"}
		r := newRig(t, server, once...)
		keyless := connectortest.Table("log", 0, connectortest.Column("n", schemas.TypeInt32, "integer", false))
		r.Write(keyless, insert(1))
		_ = r.Task.Stop(context.Background())
		r.start(settings(server, r.database, append(once, keyURL, through(t, r))...))
		r.Write(keyless, insert(2))
		r.expect("SELECT n::text FROM log ORDER BY n", "1 | 2")
	})
	t.Run("of a partition", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, server)
		a, b := newSharer(r, 0), newSharer(r, 1, keyURL, through(t, r))
		must(t, a.assign(first), a.read(first, 2), a.Flush())
		must(t, b.assign(first), b.read(first, 1), b.Flush())
		r.expect(counts, "0: 1 | 1: 1 | 2: 1")
	})
}

// A COMMIT that is still under way when its session is lost is waited for.
func TestCommittedWaits(t *testing.T) {
	t.Parallel()
	server := bed.Postgres(t)
	database := server.NewDatabase(t)
	conn := server.Connect(t, database)
	l := ledger{connector: "c", sink: "s"}
	must(t, l.open(t.Context(), conn, []string{"freshet_offsets"}))
	if _, err := l.takeOver(t.Context(), conn, nil); err != nil {
		t.Fatal(err)
	}
	p := position{partition: "p", offset: "{}"}
	for i, end := range []string{"ROLLBACK", "COMMIT", "ROLLBACK", "COMMIT"} { // the first two make the row
		flush := int64(i + 1)
		old := server.Connect(t, database)
		sql, _ := l.store(&p, flush)
		for _, text := range []string{"BEGIN", sql} {
			if _, err := old.Exec(t.Context(), text); err != nil {
				t.Fatal(err)
			}
		}
		type answer struct {
			done bool
			err  error
		}
		answers := make(chan answer, 1)
		go func() {
			done, err := l.committed(t.Context(), conn, &p, flush)
			answers <- answer{done, err}
		}()
		select {
		case a := <-answers:
			t.Fatalf("transaction %d is under way: %+v", flush, a)
		case <-time.After(300 * time.Millisecond):
		}
		if _, err := old.Exec(t.Context(), end); err != nil {
			t.Fatal(err)
		}
		if a := <-answers; a.err != nil || a.done != (end == "COMMIT") {
			t.Errorf("transaction %d, %s: %+v", flush, end, a)
		}
		if end == "COMMIT" {
			l.stored([]position{p})
		}
	}
}

// Deadlocks and serialization failures are tried again.
func TestDeadlock(t *testing.T) {
	t.Parallel()
	r := newRig(t, bed.Postgres(t))
	r.server.Exec(t, r.database, `CREATE TABLE bets (id int PRIMARY KEY, horse text, stake int);
CREATE SEQUENCE tries;
CREATE FUNCTION once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF nextval('tries') < 3 THEN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; END IF; RETURN NEW; END $$;
CREATE TRIGGER once BEFORE INSERT ON bets FOR EACH ROW EXECUTE FUNCTION once()`)
	r.Write(connectortest.Bets(), insert(1, "a", 1))
	r.expect("SELECT horse FROM bets", "a")
	// The server ends the session in the middle of a transaction.
	r.server.Exec(t, r.database, `ALTER SEQUENCE tries RESTART;
CREATE OR REPLACE FUNCTION once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF nextval('tries') < 3 THEN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(0.1); END IF; RETURN NEW; END $$;`)
	r.Write(connectortest.Bets(), insert(2, "b", 1))
	r.expect("SELECT horse FROM bets ORDER BY id", "a | b")
	if err := r.Session.Failure(); err != nil {
		t.Error(err)
	}
}
