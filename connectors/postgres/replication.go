package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// postgresEpoch is 2000-01-01 UTC in µs since 1970: where the server's timestamps start.
const postgresEpoch = 946684800 * 1_000_000

// walStream is a connection in COPY BOTH mode: it reads what the walsender sends and tells it what is durable.
// Everything but confirm and interrupt belongs to one goroutine.
type walStream struct {
	wire
	status   standby
	patience time.Duration // a server that is asked and says nothing for so long is gone
	gone     atomic.Bool   // it is
}

// defaultPatience is for a server whose own wal_sender_timeout is off.
const defaultPatience = time.Minute

// walFrame is one CopyData message of the walsender.
type walFrame struct {
	kind  byte   // 'w' data, 'k' keepalive
	start uint64 // data: position of the change
	end   uint64 // how far the server has read its log
	data  []byte // a view, valid until the next read
}

// openStream connects for replication and starts streaming. interval is the pause between status messages; check may refuse the server.
func openStream(ctx context.Context, config *pgconn.Config, slot string, start uint64, options []string, interval time.Duration, check func(server) error) (*walStream, error) {
	s := &walStream{}
	pc, err := s.dial(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect for replication: %w", err)
	}
	senderTimeout, err := walSenderTimeout(ctx, pc)
	if err == nil {
		var found server
		if found, err = identify(ctx, pc); err == nil {
			err = check(found)
		}
	}
	if err != nil {
		_ = pc.Close(ctx)
		return nil, err
	}
	if err := s.takeOver(ctx, pc); err != nil {
		return nil, err
	}
	if err := s.start(ctx, slot, start, options); err != nil {
		_ = s.conn.Close()
		return nil, err
	}
	s.patience = defaultPatience
	if senderTimeout > 0 {
		interval = min(interval, senderTimeout/3)
		s.patience = senderTimeout
	}
	s.status.begin(s, max(interval, 10*time.Millisecond))
	return s, nil
}

// walSenderTimeout is after how long without a word the server gives a receiver up; 0 when never.
func walSenderTimeout(ctx context.Context, pc *pgconn.PgConn) (time.Duration, error) {
	results, err := pc.Exec(ctx, "SHOW wal_sender_timeout").ReadAll()
	if err != nil || len(results) != 1 || len(results[0].Rows) != 1 {
		return 0, fmt.Errorf("read wal_sender_timeout: %w", err)
	}
	text := string(results[0].Rows[0][0])
	for _, u := range []struct{ suffix, unit string }{{"min", "m"}, {"d", "h"}} {
		if n, ok := strings.CutSuffix(text, u.suffix); ok {
			text = n + u.unit // a day counts as an hour: only a bound for the pause between messages
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, nil // "0": switched off
	}
	return d, nil
}

// start gives the command and waits for the server's consent.
func (s *walStream) start(ctx context.Context, slot string, lsn uint64, options []string) error {
	sql := fmt.Sprintf("START_REPLICATION SLOT %s LOGICAL %s (%s)", pgx.Identifier{slot}.Sanitize(), pglogrepl.LSN(lsn), strings.Join(options, ", "))
	stop := context.AfterFunc(ctx, s.interrupt)
	defer stop()
	if err := s.query(sql); err != nil {
		return fmt.Errorf("start replication from slot %s: %w", slot, err)
	}
	for {
		kind, body, err := s.message(true)
		if err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return fmt.Errorf("start replication from slot %s: %w", slot, err)
		}
		switch kind {
		case 'W': // CopyBothResponse
			return nil
		case 'E':
			return fmt.Errorf("start replication from slot %s: %w", slot, serverError(body))
		}
	}
}

// next returns the next data or keepalive message. Without wait it returns errWouldBlock when no whole message is there.
func (s *walStream) next(wait bool) (walFrame, error) {
	for {
		kind, body, err := s.message(wait)
		if err != nil && s.gone.Load() {
			return walFrame{}, fmt.Errorf("read from the walsender: the server has said nothing for %s, although it was asked", s.patience)
		}
		if err != nil {
			return walFrame{}, err
		}
		switch kind {
		case 'd':
			if f, ok := s.frame(body); ok {
				return f, nil
			}
			return walFrame{}, fmt.Errorf("read from the walsender: malformed replication message of %d bytes", len(body))
		case 'E':
			return walFrame{}, fmt.Errorf("read from the walsender: %w", serverError(body))
		case 'c', 'C', 'Z':
			return walFrame{}, errors.New("read from the walsender: the server ended replication")
		}
	}
}

func (s *walStream) frame(b []byte) (walFrame, bool) {
	switch {
	case len(b) >= 25 && b[0] == 'w':
		f := walFrame{kind: 'w', start: binary.BigEndian.Uint64(b[1:]), end: binary.BigEndian.Uint64(b[9:]), data: b[25:]}
		return f, true
	case len(b) == 18 && b[0] == 'k':
		f := walFrame{kind: 'k', end: binary.BigEndian.Uint64(b[1:])}
		if b[17] != 0 {
			s.status.poke()
		}
		return f, true
	}
	return walFrame{}, false
}

// confirm lets the server forget everything below lsn (I7). Safe from any goroutine.
func (s *walStream) confirm(lsn uint64) { s.status.confirm(lsn) }

// close sends what is confirmed, ends the copy so that the server releases the slot, and disconnects. It takes at most the time given.
func (s *walStream) close(patience time.Duration) {
	s.status.end()
	s.proceed()
	_ = s.conn.SetDeadline(time.Now().Add(patience))
	end := append(s.status.message(false), 'c', 0, 0, 0, 4) // CopyDone
	if _, err := s.conn.Write(end); err == nil {
		for {
			kind, _, err := s.message(true)
			if err != nil || kind == 'Z' || kind == 'E' {
				break
			}
		}
		_, _ = s.conn.Write([]byte{'X', 0, 0, 0, 4}) // Terminate
	}
	_ = s.conn.Close()
}

// standby sends status messages from a goroutine of its own ("postgres status"), which lives from begin to end.
type standby struct {
	conn      net.Conn
	mu        sync.Mutex
	confirmed uint64 // durable downstream up to here
	wake      chan struct{}
	quit      chan struct{}
	done      chan struct{}
}

func (s *standby) begin(w *walStream, interval time.Duration) {
	s.conn = w.conn
	s.wake, s.quit, s.done = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(s.done)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			ask := false
			select {
			case <-s.quit:
				return
			case <-s.wake:
			case <-ticker.C:
				ask = true // the answer tells how far an idle server's log has moved
				if w.silent(w.patience) {
					w.gone.Store(true)
					_ = s.conn.Close() // the reader connects again
					return
				}
			}
			// A failed write is not handled here: the reader of the connection meets the same failure.
			if _, err := s.conn.Write(s.message(ask)); err != nil {
				return
			}
		}
	}()
}

func (s *standby) end() {
	if s.quit == nil {
		return
	}
	close(s.quit)
	_ = s.conn.SetWriteDeadline(time.Now().Add(time.Second))
	<-s.done
	s.quit = nil
}

func (s *standby) confirm(lsn uint64) {
	s.mu.Lock()
	moved := lsn > s.confirmed
	s.confirmed = max(s.confirmed, lsn)
	s.mu.Unlock()
	if moved {
		s.poke()
	}
}

func (s *standby) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// message renders a standby status update. Write, flush and apply are set together: the server takes a flush position
// of zero for the write position, and would forget what nobody has stored (I7).
func (s *standby) message(ask bool) []byte {
	s.mu.Lock()
	lsn := s.confirmed
	s.mu.Unlock()
	b := make([]byte, 0, 48)
	b = append(b, 'd', 0, 0, 0, 4+1+4*8+1, 'r')
	for range 3 {
		b = binary.BigEndian.AppendUint64(b, lsn)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(time.Now().UnixMicro()-postgresEpoch))
	if ask {
		return append(b, 1)
	}
	return append(b, 0)
}
