package postgres

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// A connection that is lost inside a group of rows with one LSN must not make the batch end there: its offset says that the
// whole group was delivered (I3).
func TestConnectionLostInsideAGroup(t *testing.T) {
	t.Parallel()
	r := newRig(t, connectors.Config{"snapshot.mode": "no_data"})
	r.exec("CREATE TABLE a (id int PRIMARY KEY, v text)")
	r.start()
	r.streaming()
	r.task.stream.records = 1
	copyRows(t, r, 1, 50) // one WAL record
	s := r.task.stream
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for s.empty() || s.b.Len() < 20 { // what next does, up to the middle of the group
		f, err := s.wal.next(true)
		if err != nil {
			t.Fatal(err)
		}
		s.frame = f
		if s.b == nil {
			if err := s.newBatch(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.handle(ctx); err != nil {
			t.Fatal(err)
		}
	}
	s.wal.r, s.wal.w = 0, 0 // what has arrived and was not read is lost, too
	_ = s.wal.conn.Close()
	if err := r.poll(ctx, true); err != nil {
		t.Fatal(err)
	}
	r.crash()
	r.start()
	r.until(50)
}

// A slot that somebody drops and creates again while the connection is down has lost the changes in between (I8).
func TestSlotCreatedAnewBetweenConnections(t *testing.T) {
	t.Parallel()
	r := newRig(t, connectors.Config{"snapshot.mode": "no_data"})
	r.exec("CREATE TABLE a (id int PRIMARY KEY, v text)")
	r.start()
	r.exec("INSERT INTO a VALUES (1,'x')")
	r.until(1)
	slot := quoteLiteral(r.config["slot.name"])
	_ = r.task.wal.conn.Close()
	r.eventually("the slot is free", func() bool {
		_, err := r.sql.Exec(t.Context(), "SELECT pg_drop_replication_slot("+slot+")")
		return err == nil
	})
	r.exec("INSERT INTO a VALUES (2,'gone')", "SELECT pg_create_logical_replication_slot("+slot+", 'pgoutput')")
	err := r.pollError()
	if connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(err.Error(), "created anew") {
		t.Errorf("got %v", err)
	}
}

// The position of a message outside of transactions may be that of the commit record behind it; their orders differ (I2).
func TestOrderOfAMessageBeforeACommit(t *testing.T) {
	t.Parallel()
	r := newRig(t, connectors.Config{"snapshot.mode": "no_data"})
	r.exec("CREATE TABLE a (id int PRIMARY KEY, v text)")
	r.start()
	r.exec("BEGIN; INSERT INTO a VALUES (1,'x'); SELECT pg_logical_emit_message(false, 'f', 'alone'); COMMIT")
	r.until(2)
	if r.orders[0].Compare(r.orders[1]) >= 0 {
		t.Errorf("orders %v of %v", r.orders, r.events)
	}
}

// slowConn is a connection whose next write takes long to return.
type slowConn struct {
	net.Conn
	slow bool
}

func (c *slowConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if c.slow {
		time.Sleep(50 * time.Millisecond)
		c.slow = false
	}
	return n, err
}

// A slow write makes pgconn read in the background, which goes on when the answer has come. Both kinds of connection must get
// every byte all the same.
func TestConnectionTakenOverAfterASlowWrite(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	cfg, err := parseConfig(r.config)
	if err != nil {
		t.Fatal(err)
	}
	for _, replication := range []bool{false, true} {
		config, err := cfg.connConfig(replication)
		if err != nil {
			t.Fatal(err)
		}
		dial, slow := config.DialFunc, &slowConn{}
		config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			slow.Conn, err = dial(ctx, network, address)
			return slow, err
		}
		var w wire
		pc, err := w.dial(t.Context(), &config.Config)
		if err != nil {
			t.Fatal(err)
		}
		slow.slow = true
		if _, err := pc.Exec(t.Context(), "SELECT 1").ReadAll(); err != nil {
			t.Fatal(err)
		}
		if err := w.takeOver(t.Context(), pc); err != nil {
			t.Fatal(err)
		}
		if err := w.query("SELECT generate_series(1, 10000)"); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(20*time.Second, w.interrupt)
		rows := 0
		for {
			kind, _, err := w.message(true)
			if err != nil {
				t.Fatalf("replication %v: %v after %d rows", replication, err, rows)
			}
			if kind == 'D' {
				rows++
			}
			if kind == 'Z' {
				break
			}
		}
		timer.Stop()
		_ = w.conn.Close()
		if rows != 10000 {
			t.Errorf("replication %v: %d rows, want 10000", replication, rows)
		}
	}
}
