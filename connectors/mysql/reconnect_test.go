package mysql

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/testbed"
)

// receive handles events until done says so.
func (r *rig) receive(done func(s *stream) bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	s := r.task.stream
	if s.binlog == nil {
		if err := r.task.connectStream(ctx); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := s.newBatch(ctx); err != nil {
		r.t.Fatal(err)
	}
	for !done(s) {
		e, err := s.nextEvent(ctx)
		if err == nil && e == nil {
			err = s.wait(ctx)
		}
		if err == nil && e != nil {
			if err = s.handle(ctx, e); err == nil && s.payload == nil {
				s.next++
			}
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

// TestCutWhileSkipping loses the connection while the part of a transaction that was delivered before is read again.
func TestCutWhileSkipping(t *testing.T) {
	restartable(t, func(t *testing.T, make func(t *testing.T) *rig) {
		r := make(t)
		r.exec("CREATE TABLE t (id INT PRIMARY KEY)")
		r.start()
		r.streaming()
		r.task.stream.records = 1
		const n = 9
		r.exec("BEGIN")
		for i := range n {
			r.exec(fmt.Sprintf("INSERT INTO t VALUES (%d)", i))
		}
		r.exec("COMMIT")
		for len(r.events) < n-2 {
			r.step()
		}
		r.stop()
		r.start()
		r.receive(func(s *stream) bool { return s.tx.events == 7 })
		r.task.disconnect(0)
		r.until(n)
	})
}

// TestCutBehindAGTID: of a transaction, and of a statement that changes a table, only the GTID had come when the connection was lost, or when the
// position was stored and the task started again.
func TestCutBehindAGTID(t *testing.T) {
	for _, compressed := range []string{"OFF", "ON"} {
		t.Run("compression "+compressed, func(t *testing.T) {
			r := newRig(t, nil)
			r.exec("CREATE TABLE t (id INT PRIMARY KEY)", "SET SESSION binlog_transaction_compression="+compressed)
			r.start()
			r.streaming()
			r.exec("INSERT INTO t VALUES (0)")
			r.until(1)
			rows := 1
			for _, lose := range []func(){
				func() { r.task.disconnect(0) },
				func() {
					r.task.stream.lastBatch = time.Time{}
					r.step()
					r.stop()
					r.start()
				},
			} {
				for _, change := range []string{"", fmt.Sprintf("ALTER TABLE t ADD COLUMN v%d INT", rows)} {
					if change != "" {
						r.exec(change)
					}
					r.exec(fmt.Sprintf("INSERT INTO t (id) VALUES (%d)", rows))
					r.receive(func(s *stream) bool { return s.announced })
					s := r.task.stream
					s.events = s.events[:s.next]
					lose()
					rows++
					r.until(rows)
				}
			}
			if got := r.events[rows-1]; !strings.Contains(got, "(4,") || strings.Count(got, ",") != 2 {
				t.Errorf("the last event is %s", got)
			}
		})
	}
}

// TestReconnectInALaterFile loses the connection in another file than the one in which the task began.
func TestReconnectInALaterFile(t *testing.T) {
	r := newRig(t, nil)
	r.exec("CREATE TABLE t (id INT PRIMARY KEY)")
	r.start()
	r.streaming()
	r.exec("INSERT INTO t VALUES (1)")
	r.until(1)
	r.stop()
	r.start()
	r.exec("INSERT INTO t VALUES (2)")
	r.until(2)
	for created := r.task.stream.created; r.task.stream.created == created; { // a file is told by the second
		time.Sleep(time.Until(time.Unix(created+1, 0)))
		r.exec("FLUSH BINARY LOGS", "DELETE FROM t WHERE id < 0")
		r.quiet(50 * time.Millisecond)
	}
	r.exec("INSERT INTO t VALUES (3)")
	r.until(3)
	r.cut()
	r.exec("INSERT INTO t VALUES (4)")
	r.until(4)
}

// failing is a history that cannot be written.
type failing struct{ history }

var errUnwritable = errors.New("no place left")

func (failing) append(context.Context, []historyRecord) error { return errUnwritable }

// TestHistoryIsLostWhileStreaming: what only a new instance can mend ends Poll.
func TestHistoryIsLostWhileStreaming(t *testing.T) {
	r := newRig(t, nil)
	r.exec("CREATE TABLE t (id INT PRIMARY KEY)")
	r.start()
	r.streaming()
	r.task.schema.history = failing{r.task.schema.history}
	r.exec("ALTER TABLE t ADD COLUMN v INT", "INSERT INTO t VALUES (1, 2)")
	if err := r.pollError(); !errors.Is(err, errUnwritable) || connectors.ClassOf(err) != connectors.Retriable {
		t.Fatal(err)
	}
	r.stop()
	r.start()
	r.until(1)
	if r.events[0] != "t c (1) after (1,2) last." {
		t.Error(r.events)
	}
}

// TestExcludedSources goes on without the transactions of servers that gtid.source.includes leaves out.
func TestExcludedSources(t *testing.T) {
	r := newRig(t, connectors.Config{"gtid.source.includes": "00000000-0000-0000-0000-000000000000", "gtid.source.filter.dml.events": "false"})
	r.exec("CREATE TABLE t (id INT PRIMARY KEY)")
	r.start()
	r.streaming()
	r.exec("INSERT INTO t VALUES (1)")
	r.until(1)
	r.stop()
	r.start()
	r.exec("INSERT INTO t VALUES (2)")
	r.until(2)
}

// TestUndecodableRow leaves out the rest of an event, and goes on behind it.
func TestUndecodableRow(t *testing.T) {
	r := newRig(t, connectors.Config{"event.deserialization.failure.handling.mode": "warn"})
	r.exec("CREATE TABLE t (id INT PRIMARY KEY)")
	r.start()
	r.streaming()
	r.task.stream.records = 1
	r.exec("BEGIN", "INSERT INTO t VALUES (1), (2)", "INSERT INTO t VALUES (3)", "COMMIT")
	r.receive(func(s *stream) bool {
		if s.next >= len(s.events) || !isRowsEvent(byte(s.events[s.next].kind)) {
			return false
		}
		e := &s.events[s.next]
		e.body = e.body[:len(e.body)-1]
		return true
	})
	r.until(1)
	if row := r.offset()["row"]; row != 1.0 {
		t.Errorf("the offset says row %v of the event", row)
	}
	r.until(2)
	if r.events[1] != "t c (3) after (3) last." && r.events[1] != "t c (3) after (3)" || r.orders[1].Minor != r.orders[0].Minor+minorsPerRow {
		t.Errorf("%v, %v", r.events, r.orders)
	}
}

// TestRotateAwayFromATransaction: a transaction lies in one file.
func TestRotateAwayFromATransaction(t *testing.T) {
	rotate := func(file string) *logEvent {
		return &logEvent{kind: replication.ROTATE_EVENT, body: append(binary.LittleEndian.AppendUint64(nil, 4), file...)}
	}
	s := &stream{log: slog.New(slog.DiscardHandler), pos: position{file: "b.000001", pos: 100}, resume: resume{events: 3, armed: true}}
	if err := s.rotate(rotate("b.000001")); err != nil || !s.resume.armed {
		t.Error(err, s.resume)
	}
	if err := s.rotate(rotate("b.000002")); err != nil || s.resume.armed {
		t.Error(err, s.resume)
	}
}

// TestEndOfXA: nothing follows COMMIT of a distributed transaction, and positions go on.
func TestEndOfXA(t *testing.T) {
	for name, make := range map[string]func(*testing.T) *rig{
		"mysql":   func(t *testing.T) *rig { return newRig(t, nil) },
		"mariadb": func(t *testing.T) *rig { return newMariaDBRig(t, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			r := make(t)
			r.exec("CREATE TABLE t (id INT PRIMARY KEY)")
			r.start()
			r.streaming()
			r.exec("XA START 'end'", "INSERT INTO t VALUES (1)", "XA END 'end'", "XA PREPARE 'end'", "XA COMMIT 'end'")
			r.until(1)
			r.quiet(500 * time.Millisecond)
			if r.task.stream.tx.group {
				t.Error("the transaction is still open")
			}
		})
	}
}

// TestPurgedWhenNeeded takes a new snapshot when the server says only in its answer that the binlog is gone.
func TestPurgedWhenNeeded(t *testing.T) {
	r := rigOn(t, testbed.StartMariaDB(t), Factory{Version: "1", MariaDB: true}, connectors.Config{"snapshot.mode": "when_needed"})
	r.exec("CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
	r.start()
	r.until(1)
	r.streaming()
	r.stop()
	r.exec("INSERT INTO t VALUES (2)", "FLUSH BINARY LOGS", "INSERT INTO t VALUES (3)")
	for deadline := time.Now().Add(time.Minute); ; { // the server notes in the background that it needs the file no more
		result, err := r.sql.Execute("SHOW MASTER STATUS")
		if err != nil {
			t.Fatal(err)
		}
		last, _ := result.GetString(0, 0)
		r.exec("PURGE BINARY LOGS TO '" + last + "'")
		if result, err = r.sql.Execute("SHOW BINARY LOGS"); err != nil {
			t.Fatal(err)
		}
		if result.RowNumber() == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the binlog is not purged")
		}
	}
	state := r.statePartition()
	id, err := parseIdentity(r.store[state])
	if err != nil {
		t.Fatal(err)
	}
	id.Epoch = 2 // as after a failover
	r.store[state] = offsets.Offset(id.append(nil))
	r.events, r.orders = nil, nil
	r.start()
	r.until(3)
	for _, o := range r.orders {
		if o.Epoch < 2 {
			t.Errorf("order %v is below those of epoch 2", o)
		}
	}
}

// TestWarnsOfTables says what the configuration asks of a table and does not get.
func TestWarnsOfTables(t *testing.T) {
	var log bytes.Buffer
	r := newRig(t, connectors.Config{"message.key.columns": "(.*).t:id,nothing"})
	r.log = slog.New(slog.NewTextHandler(&log, nil))
	r.exec("CREATE TABLE t (id INT PRIMARY KEY)")
	r.start()
	r.streaming()
	r.exec("INSERT INTO t VALUES (1)")
	r.until(1)
	r.stop()
	if !strings.Contains(log.String(), "column=nothing") {
		t.Error(log.String())
	}
}

func TestOrderBeyond4GiB(t *testing.T) {
	if a, b := order(1, "b.000001", 1<<30, 9), order(1, "b.000001", 1<<32+4, 0); b.Compare(a) <= 0 {
		t.Error(a, b)
	}
}

// TestBehind4GiB has positions that a server cannot be asked for.
func TestBehind4GiB(t *testing.T) {
	const end = 5 << 30
	s := &server{files: []string{"binlog.000008", "binlog.000009"}, sizes: []uint64{end + 44, end}}
	for _, c := range []struct {
		file string
		pos  uint64
		want string
	}{
		{"binlog.000008", 4711, "binlog.000008:4711"},
		{"binlog.000008", end, "binlog.000009:4"},                // only the name of the next file follows
		{"binlog.000008", end - 200, "binlog.000008:5368708920"}, // a transaction does
		{"binlog.000009", end, "binlog.000009:5368709120"},       // what follows is not written yet
	} {
		file, pos := s.behindEnd(c.file, c.pos)
		if got := fmt.Sprintf("%s:%d", file, pos); got != c.want {
			t.Errorf("%s:%d: %s, want %s", c.file, c.pos, got, c.want)
		}
	}
	_, err := openBinlog(t.Context(), binlogOptions{file: "binlog.000009", pos: end})
	if err == nil || connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(err.Error(), "beyond 4 GiB") {
		t.Errorf("error %v", err)
	}
}
