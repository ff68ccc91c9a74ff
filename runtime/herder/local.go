package herder

import (
	"context"
	"errors"
	"sync"
	"time"
)

// LocalLogs returns logs that one herder alone keeps, in its memory.
func LocalLogs() (ConfigLog, StatusLog) { return &localConfig{}, &localStatus{} }

// LocalGroup returns a group of one, which has everything.
func LocalGroup() Group { return &localGroup{again: make(chan struct{}, 1)} }

type localConfig struct {
	mu    sync.Mutex
	apply func(int64, Message, bool)
	next  int64
}

func (l *localConfig) Start(_ context.Context, apply func(int64, Message, bool)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.apply = apply
	return nil
}

func (l *localConfig) Append(_ context.Context, ms ...Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.apply == nil {
		return errors.New("append to the config log: it has not been started")
	}
	for _, m := range ms {
		l.apply(l.next, m, true)
		l.next++
	}
	return nil
}

func (l *localConfig) Sync(context.Context) error { return nil }
func (l *localConfig) Lead(context.Context) error { return nil }
func (l *localConfig) Close() error               { return nil }

type localStatus struct {
	mu    sync.Mutex
	apply func(Message)
}

func (l *localStatus) Start(_ context.Context, apply func(Message)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.apply = apply
	return nil
}

func (l *localStatus) Put(m Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.apply != nil {
		l.apply(m)
	}
}

func (l *localStatus) Flush(context.Context) error { return nil }
func (l *localStatus) Close() error                { return nil }

type localGroup struct{ again chan struct{} }

func (g *localGroup) Run(ctx context.Context, m Member) error {
	for generation := int32(1); ; generation++ {
		m.Assigned(Assignment{Generation: generation, Leader: true, Began: time.Now(), Offset: m.Offset(), Tasks: m.Work()})
		select {
		case <-g.again:
		case <-ctx.Done():
			m.Revoke(context.WithoutCancel(ctx), m.Running())
			return nil
		}
	}
}

func (g *localGroup) Trouble() error { return nil }

func (g *localGroup) Rejoin() {
	select {
	case g.again <- struct{}{}:
	default:
	}
}
