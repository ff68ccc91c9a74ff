package connectortest

import (
	"context"
	"fmt"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// Loopback returns a sink task that turns every batch into bytes and back before it hands it to task, as a plugin in another
// process does. The memory of the original is released at once.
func Loopback(task connectors.SinkTask) connectors.SinkTask {
	l := &loopback{SinkTask: task, writer: connectors.NewWireWriter(), reader: connectors.NewWireReader(), pool: &connectors.Pool{}}
	if k, ok := task.(connectors.OffsetKeeper); ok {
		return &keepingLoopback{l, k}
	}
	return l
}

type loopback struct {
	connectors.SinkTask
	writer  *connectors.WireWriter
	reader  *connectors.WireReader
	pool    *connectors.Pool
	session connectors.SinkSession
	text    []byte
}

func (l *loopback) Start(ctx context.Context, s connectors.SinkSession) error {
	l.session = s
	return l.SinkTask.Start(ctx, s)
}

func (l *loopback) Put(ctx context.Context, b *connectors.Batch) error {
	var err error
	if l.text, err = l.writer.Append(l.text[:0], b); err != nil {
		return connectors.AsPermanent(fmt.Errorf("loop batch back: %w", err))
	}
	size := b.Size()
	copied, err := l.reader.Decode(l.text, l.pool, func(*connectors.Batch) { l.session.Charge(-size) })
	if err != nil {
		return connectors.AsPermanent(fmt.Errorf("loop batch back: %w", err))
	}
	l.session.Charge(size)
	if err := l.SinkTask.Put(ctx, copied); err != nil {
		copied.Release()
		return err
	}
	b.Release()
	return nil
}

type keepingLoopback struct {
	*loopback
	keeper connectors.OffsetKeeper
}

func (l *keepingLoopback) Progress(ctx context.Context, p ...offsets.Partition) ([]connectors.Progress, error) {
	return l.keeper.Progress(ctx, p...)
}

func (l *keepingLoopback) Claim() string {
	if c, ok := l.keeper.(connectors.Claimant); ok {
		return c.Claim()
	}
	return ""
}

func (l *keepingLoopback) SetProgress(ctx context.Context, p []connectors.Progress) error {
	return l.keeper.SetProgress(ctx, p)
}
