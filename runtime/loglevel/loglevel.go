// Package loglevel keeps the levels of named loggers, which change while the program runs, as Kafka Connect's /admin/loggers
// shows them. A logger's name is dotted; an attribute "logger" of log/slog gives it.
package loglevel

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Root is the name of the logger above all others.
const Root = "root"

// maxNames bounds what requests can make the registry hold, in bytes of names.
const maxNames = 1 << 20

// ErrTooMany tells that there is no room for one more logger.
var ErrTooMany = errors.New("too many loggers have been named: use one that is there, or restart the worker")

// Trace, Fatal, All and Off are the levels that log/slog lacks.
const (
	All   = slog.Level(math.MinInt32)
	Trace = slog.Level(-8)
	Fatal = slog.Level(12)
	Off   = slog.Level(math.MaxInt32)
)

var levels = []struct {
	name  string
	level slog.Level
}{
	{"ALL", All},
	{"TRACE", Trace},
	{"DEBUG", slog.LevelDebug},
	{"INFO", slog.LevelInfo},
	{"WARN", slog.LevelWarn},
	{"ERROR", slog.LevelError},
	{"FATAL", Fatal},
	{"OFF", Off},
}

// Parse finds a level by its name in any case.
func Parse(name string) (slog.Level, bool) {
	for _, l := range levels {
		if strings.EqualFold(l.name, name) {
			return l.level, true
		}
	}
	return 0, false
}

// Name is the name of a level, of the next one below for a level between two.
func Name(level slog.Level) string {
	name := levels[0].name
	for _, l := range levels {
		if l.level <= level {
			name = l.name
		}
	}
	return name
}

// Level is a logger's level as the REST API shows it; Changed is in milliseconds since 1970, nil for one that was never set.
type Level struct {
	Level   string `json:"level"`
	Changed *int64 `json:"last_modified"`
}

// Levels is the registry. It is safe for concurrent use.
type Levels struct {
	mu      sync.Mutex
	loggers map[string]*logger
	bytes   int // of the names
}

type logger struct {
	level   atomic.Int32
	changed time.Time
}

// New returns a registry whose root logger has this level.
func New(root slog.Level) *Levels {
	l := &Levels{loggers: map[string]*logger{}}
	r := &logger{}
	r.level.Store(int32(root))
	l.loggers[Root] = r
	return l
}

// All returns every logger that has been named.
func (l *Levels) All() map[string]Level {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[string]Level, len(l.loggers))
	for name, lg := range l.loggers {
		out[name] = lg.show()
	}
	return out
}

// Get returns one logger; ok is false for one that nobody has named.
func (l *Levels) Get(name string) (level Level, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lg, ok := l.loggers[normal(name)]
	if !ok {
		return Level{}, false
	}
	return lg.show(), true
}

// Set gives a logger and those below it a level and returns, sorted, the names of those that had another one.
func (l *Levels) Set(name string, level slog.Level) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	name = normal(name)
	if _, err := l.get(name); err != nil {
		return nil, err
	}
	now := time.Now()
	changed := []string{}
	for n, lg := range l.loggers {
		if name != Root && n != name && !strings.HasPrefix(n, name+".") {
			continue
		}
		if lg.level.Swap(int32(level)) != int32(level) {
			lg.changed = now
			changed = append(changed, n)
		}
	}
	slices.Sort(changed)
	return changed, nil
}

// get finds a logger or adds it with the level of the nearest one above.
func (l *Levels) get(name string) (*logger, error) {
	if lg, ok := l.loggers[name]; ok {
		return lg, nil
	}
	if l.bytes+len(name) > maxNames {
		return nil, ErrTooMany
	}
	above := l.loggers[Root]
	for n := name; ; {
		i := strings.LastIndexByte(n, '.')
		if i < 0 {
			break
		}
		n = n[:i]
		if lg, ok := l.loggers[n]; ok {
			above = lg
			break
		}
	}
	lg := &logger{}
	lg.level.Store(above.level.Load())
	l.loggers[name] = lg
	l.bytes += len(name)
	return lg, nil
}

func normal(name string) string { return cmp.Or(name, Root) }

func (lg *logger) show() Level {
	out := Level{Level: Name(slog.Level(lg.level.Load()))}
	if !lg.changed.IsZero() {
		ms := lg.changed.UnixMilli()
		out.Changed = &ms
	}
	return out
}

// Handler passes on to next what the level of its logger lets through. The logger is the last attribute "logger" that was
// given with With, the root logger without one.
func (l *Levels) Handler(next slog.Handler) slog.Handler {
	return &handler{next, l, l.loggers[Root]}
}

type handler struct {
	next   slog.Handler
	levels *Levels
	logger *logger
}

func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return int64(level) >= int64(h.logger.level.Load())
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	return h.next.Handle(ctx, r) //nolint:wrapcheck // a handler stands for its next one
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := &handler{h.next.WithAttrs(attrs), h.levels, h.logger}
	for _, a := range attrs {
		if a.Key == "logger" {
			h.levels.mu.Lock()
			if lg, err := h.levels.get(normal(a.Value.String())); err == nil {
				out.logger = lg
			}
			h.levels.mu.Unlock()
		}
	}
	return out
}

func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.next.WithGroup(name), h.levels, h.logger}
}
