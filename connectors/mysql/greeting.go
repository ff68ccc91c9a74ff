package mysql

import (
	"context"
	"errors"
	"time"
)

// errPostgres is a PostgreSQL server where a MySQL was looked for.
var errPostgres = errors.New("a PostgreSQL server listens there")

const (
	// greetingPatience is how long a server may be silent before it is asked what it is. A MySQL speaks first, a PostgreSQL never does.
	greetingPatience = 2 * time.Second
	answerPatience   = 2 * time.Second
)

// suspicion looks during a handshake that takes long whether the server is a PostgreSQL, over a second connection, in the goroutine of a timer
// that ends with the handshake. ctx is the handshake's, and ends with errPostgres.
type suspicion struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	done   chan struct{}
}

func (cfg *config) suspect(ctx context.Context) *suspicion {
	s := &suspicion{done: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.timer = time.AfterFunc(greetingPatience, func() {
		defer close(s.done)
		if cfg.isPostgres(s.ctx) {
			s.cancel(errPostgres)
		}
	})
	return s
}

// end waits for the goroutine.
func (s *suspicion) end() {
	stopped := s.timer.Stop()
	s.cancel(context.Canceled)
	if !stopped {
		<-s.done
	}
}

// isPostgres asks as a client of PostgreSQL does that wants to encrypt (SSLRequest); the answer is one byte, S or N.
func (cfg *config) isPostgres(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	conn, err := cfg.dialer().DialContext(ctx, "tcp", cfg.address())
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write([]byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}); err != nil {
		return false
	}
	answer := make([]byte, 8)
	n, err := conn.Read(answer)
	return err == nil && n == 1 && (answer[0] == 'S' || answer[0] == 'N')
}
