package mysql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"sync"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	library "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/freshet-io/freshet/connectors"
)

// queueBytes bounds what was received and is not taken yet; one event above it passes alone (I5).
const queueBytes = 4 << 20

// eventBytes is what an event takes beside its body.
const eventBytes = 64

// logEvent is one event of the binlog as the server sent it.
type logEvent struct {
	kind   replication.EventType
	flags  uint16
	time   uint32 // seconds since 1970; 0 for what the server made up for this connection
	server uint32 // server_id of the server on which it was written
	size   uint32
	end    uint32 // position behind it in its file; 0: not in the file
	at     int64  // when it was received, ns since 1970
	body   []byte // behind the header, without checksum
}

// artificial tells an event that is not in the file, or not at its place.
func (e *logEvent) artificial() bool {
	return e.end == 0 || e.flags&replication.LOG_EVENT_ARTIFICIAL_F != 0
}

func heartbeatEvent(k replication.EventType) bool {
	return k == replication.HEARTBEAT_EVENT || k == replication.HEARTBEAT_LOG_EVENT_V2
}

// binlog is one connection that receives the binlog. go-mysql's goroutine receives into a queue that is bounded in bytes, and
// take hands out everything that is there, so that batches form because work piles up. It never connects again.
// A second goroutine ("mysql binlog end") waits for the error that ends the first.
type binlog struct {
	syncer *replication.BinlogSyncer
	conn   *binlogDialer
	ended  chan struct{}
	ready  chan struct{} // holds a token when there is something to take

	mu     sync.Mutex
	room   sync.Cond
	events []logEvent
	bytes  int
	err    error
	closed bool
}

// binlogOptions says how to connect and where to start.
type binlogOptions struct {
	config  replication.BinlogSyncerConfig // connection, flavor, server id, time limits
	dialer  net.Dialer
	session []string // statements before the binlog is asked for
	gtids   *gtidSet // nil: by file and position
	file    string
	pos     uint64
}

// openBinlog connects and asks for the binlog. The server's answer, an error perhaps, is what take returns first.
func openBinlog(ctx context.Context, o binlogOptions) (*binlog, error) {
	if o.gtids == nil && o.pos > math.MaxUint32 {
		return nil, connectors.AsPermanent(fmt.Errorf("ask for the binlog: position %d of %s is beyond 4 GiB, for which a server can only be asked by GTIDs: "+
			"take a new snapshot (start once with snapshot.mode=when_needed after deleting the connector's offsets); gtid_mode=ON avoids this", o.pos, o.file))
	}
	l := &binlog{ended: make(chan struct{}), ready: make(chan struct{}, 1)}
	l.conn = &binlogDialer{dialer: o.dialer, reads: l.wakeForQueued}
	l.room.L = &l.mu
	c := o.config
	c.RawModeEnabled, c.DisableRetrySync, c.DiscardGTIDSet, c.EventCacheCount = true, true, true, 1
	c.FillZeroLogPos = c.Flavor == library.MariaDBFlavor
	c.SynchronousEventHandler, c.Dialer, c.Logger = l, l.conn.dial, slog.New(slog.DiscardHandler)
	c.Option = func(conn *client.Conn) error {
		for _, s := range o.session {
			if _, err := conn.Execute(s); err != nil {
				return fmt.Errorf("run %q: %w", s, err)
			}
		}
		return nil
	}
	l.syncer = replication.NewBinlogSyncer(c)
	stop := context.AfterFunc(ctx, func() { l.conn.end(0) })
	defer stop()
	stream, err := start(l.syncer, c.Flavor, o)
	if err != nil {
		close(l.ended)
		l.close(0)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if untrusted(err) {
			return nil, connectors.AsPermanent(fmt.Errorf("ask for the binlog: the server's certificate is not trusted: %s; "+
				"check database.ssl.mode, database.ssl.truststore and database.hostname", reason(err)))
		}
		return nil, fmt.Errorf("ask for the binlog: %w", plain(err))
	}
	go func() {
		defer close(l.ended)
		_, err := stream.GetEvent(context.WithoutCancel(ctx)) // nothing but the error: events go to HandleEvent
		l.fail(err)
	}()
	return l, nil
}

func start(s *replication.BinlogSyncer, flavor string, o binlogOptions) (*replication.BinlogStreamer, error) {
	if o.gtids == nil {
		return s.StartSync(library.Position{Name: o.file, Pos: uint32(o.pos)})
	}
	set, err := library.ParseGTIDSet(flavor, o.gtids.String())
	if err != nil {
		return nil, fmt.Errorf("parse GTID set %q: %w", o.gtids, err)
	}
	return s.StartSyncGTID(set)
}

// plain is an error of the library without the stack that it prints.
func plain(err error) error {
	var answer *library.MyError
	if errors.As(err, &answer) {
		return answer
	}
	return errors.New(err.Error())
}

// errClosed ends the receiving goroutine.
var errClosed = errors.New("the binlog connection is closed")

// HandleEvent implements replication.EventHandler, in go-mysql's goroutine. It waits for room.
func (l *binlog) HandleEvent(e *replication.BinlogEvent) error {
	h := e.Header
	out := logEvent{kind: h.EventType, flags: h.Flags, time: h.Timestamp, server: h.ServerID, size: h.EventSize, end: h.LogPos, at: time.Now().UnixNano()}
	switch g := e.Event.(type) {
	case *replication.GenericEvent:
		out.body = g.Data
	case *replication.RotateEvent:
		out.body = e.RawData[replication.EventHeaderSize:][:8+len(g.NextLogName)] // a checksum follows the name
	default:
		out.body = e.RawData[replication.EventHeaderSize:]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.bytes >= queueBytes && !l.closed {
		l.wake()
		l.room.Wait()
	}
	if l.closed {
		return errClosed
	}
	l.events = append(l.events, out)
	l.bytes += len(out.body) + eventBytes
	return nil
}

// wakeForQueued runs before every read of the connection, which may have to wait: all events that came with the one before are queued.
func (l *binlog) wakeForQueued() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.events) > 0 {
		l.wake()
	}
}

func (l *binlog) wake() {
	select {
	case l.ready <- struct{}{}:
	default:
	}
}

func (l *binlog) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = fmt.Errorf("read the binlog: %w", plain(err))
	}
	l.wake()
}

// take returns everything that is there, nil for nothing; what was received before an error comes before the error. spare is
// a slice to be used again.
func (l *binlog) take(spare []logEvent) ([]logEvent, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.events) == 0 {
		return nil, l.err
	}
	out := l.events
	clear(spare[:cap(spare)])
	l.events, l.bytes = spare[:0], 0
	l.room.Broadcast()
	if l.err != nil {
		l.wake()
	}
	return out, nil
}

// close ends the connection and its goroutines. Within patience the server is told to end its side, which otherwise notices when
// it sends the next time.
func (l *binlog) close(patience time.Duration) {
	l.mu.Lock()
	l.closed = true
	l.room.Broadcast()
	l.mu.Unlock()
	l.conn.end(patience)
	l.syncer.Close()
	<-l.ended
}

// binlogDialer makes the connections of one syncer, and can end them. After the end the syncer may connect once more, for as long
// as patience says, to kill the session that sends the binlog.
type binlogDialer struct {
	dialer   net.Dialer
	reads    func() // called before each read of a connection
	mu       sync.Mutex
	current  net.Conn
	ended    bool
	deadline time.Time
}

func (d *binlogDialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d.mu.Lock()
	ended, deadline := d.ended, d.deadline
	d.mu.Unlock()
	if ended {
		if time.Now().After(deadline) {
			return nil, errClosed
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	conn, err := d.dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case ended:
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	case d.ended: // meanwhile
		return nil, errors.Join(errClosed, conn.Close())
	default:
		d.current = conn
	}
	return readsConn{conn, d.reads}, nil
}

// readsConn tells when it is read. Whoever reads it has a buffer, and comes when that is empty.
type readsConn struct {
	net.Conn
	reads func()
}

// Read implements net.Conn.
func (c readsConn) Read(p []byte) (int, error) {
	c.reads()
	return c.Conn.Read(p)
}

// end closes the connection, which ends every read on it.
func (d *binlogDialer) end(patience time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return
	}
	d.ended, d.deadline = true, time.Now().Add(patience)
	if d.current != nil {
		_ = d.current.Close()
	}
}
