package file

import (
	"context"
	"fmt"
	"io"

	"github.com/freshet-io/freshet/connectors"
)

// stdout writes lines to standard output: at least once, each batch at once.
type stdout struct {
	lines   *lines
	out     io.Writer
	session connectors.SinkSession
	buffer  []byte
}

func (s *stdout) Start(ctx context.Context, session connectors.SinkSession) error {
	s.session = session
	return ctx.Err()
}

func (s *stdout) Put(ctx context.Context, b *connectors.Batch) error {
	var err error
	if s.buffer, err = s.lines.append(ctx, s.buffer[:0], b, s.session); err != nil {
		return err
	}
	if _, err := s.out.Write(s.buffer); err != nil {
		return fmt.Errorf("write to standard output: %w", err)
	}
	id := b.ID
	b.Release()
	s.session.Ack(id)
	return nil
}

func (s *stdout) Flush(context.Context) error { return nil }

func (s *stdout) Stop(context.Context) error { return nil }
