package plugins

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	lineLimit = 16 << 10 // bytes of a line; what is longer is cut
	lineRate  = 200      // lines a second, and as many at once; what is more is counted
	byteRate  = 8 << 20  // bytes a second that are read: a plugin that writes more waits, the worker has other things to do
	lastWords = 500      // bytes of the last line that an error shows
)

// logLines makes log records of the lines that a process writes: a line that is a JSON object with "msg" has its own level and
// attributes. Secrets are hidden (I12). Safe for concurrent use.
type logLines struct {
	log  *slog.Logger
	hide *secrets

	mu      sync.Mutex
	line    []byte
	cut     bool
	lines   pace
	bytes   pace
	dropped int
	words   []byte // the last line, or the first one of a panic
	broken  bool   // its end was cut off
	fatal   bool
	ended   bool // nobody writes any more; what is still on its way is read at once
}

func newLogLines(log *slog.Logger, hide *secrets) *logLines {
	return &logLines{log: log, hide: hide, lines: newPace(lineRate), bytes: newPace(byteRate)}
}

// Write implements io.Writer.
func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(p)
	if pause := l.bytes.use(n); !l.ended {
		time.Sleep(pause)
	}
	l.lines.refill()
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			l.add(p)
			return n, nil
		}
		l.add(p[:i])
		l.flush()
		p = p[i+1:]
	}
}

func (l *logLines) add(p []byte) {
	if room := lineLimit - len(l.line); len(p) > room {
		p, l.cut = p[:room], true
	}
	l.line = append(l.line, p...)
}

// end logs what is left.
func (l *logLines) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.flush()
	if l.dropped > 0 {
		l.log.Warn("the plugin wrote more than is logged", "lines", l.dropped)
	}
}

func (l *logLines) flush() {
	line, cut := bytes.TrimRight(l.line, "\r "), l.cut
	l.line, l.cut = l.line[:0], false
	if len(line) == 0 {
		return
	}
	l.remember(line, cut)
	if !l.lines.take() {
		l.dropped++
		return
	}
	if l.dropped > 0 {
		l.log.Warn("the plugin wrote more than is logged", "lines", l.dropped)
		l.dropped = 0
	}
	level, text, attributes := l.parse(line, cut)
	if cut {
		attributes = append(attributes, "cut", true)
	}
	l.log.Log(context.Background(), level, text, attributes...)
}

// remember keeps the last line, or the first one of a panic.
func (l *logLines) remember(line []byte, cut bool) {
	fatal := bytes.HasPrefix(line, []byte("panic: ")) || bytes.HasPrefix(line, []byte("fatal error: "))
	if l.fatal && !fatal {
		return
	}
	l.words, l.broken, l.fatal = append(l.words[:0], line...), cut, fatal
}

// last returns the beginning of the last line, "" when there is none.
func (l *logLines) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.words) == 0 {
		return ""
	}
	_, text, _ := l.parse(l.words, l.broken)
	return shorten(text, lastWords)
}

// parse takes a line that is not empty.
func (l *logLines) parse(line []byte, cut bool) (slog.Level, string, []any) {
	level := slog.LevelInfo
	plain := func() (slog.Level, string, []any) {
		if cut {
			return level, l.hide.hideCut(string(line)), nil
		}
		return level, l.hide.hide(string(line)), nil
	}
	var members map[string]any
	if line[0] != '{' || json.Unmarshal(line, &members) != nil {
		return plain()
	}
	text, ok := members["msg"].(string)
	if !ok {
		return plain()
	}
	if name, ok := members["level"].(string); ok {
		_ = level.UnmarshalText([]byte(name)) // another name: as info
	}
	var attributes []any
	for _, name := range slices.Sorted(maps.Keys(members)) {
		switch name {
		case "msg", "level", "time", "connector", "task":
		default:
			attributes = append(attributes, l.hide.hide(name), l.hide.hideIn(members[name]))
		}
	}
	return level, l.hide.hide(text), attributes
}

// pace bounds how often something happens: rate times a second, and as many at once. It belongs to one goroutine.
type pace struct {
	rate, left float64
	at         time.Time
}

func newPace(rate float64) pace { return pace{rate, rate, time.Now()} }

func (p *pace) refill() {
	now := time.Now()
	p.left = min(p.rate, p.left+now.Sub(p.at).Seconds()*p.rate)
	p.at = now
}

// take tells whether it may happen at the time of the last refill.
func (p *pace) take() bool {
	if p.left < 1 {
		return false
	}
	p.left--
	return true
}

// use takes n, and returns how long to wait for what was not there.
func (p *pace) use(n int) time.Duration {
	p.refill()
	p.left -= float64(n)
	if p.left >= 0 {
		return 0
	}
	return time.Duration(-p.left / p.rate * float64(time.Second))
}

// shorten keeps at most so many bytes of a text.
func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// firstLine hands the first line of a process's output, its handshake, to a reader, and the rest to the log.
type firstLine struct {
	reader *io.PipeReader
	writer *io.PipeWriter
	rest   io.Writer

	mu     sync.Mutex
	line   []byte
	passed bool // line is whole
}

func newFirstLine(rest io.Writer) *firstLine {
	f := &firstLine{rest: rest}
	f.reader, f.writer = io.Pipe()
	return f
}

// handshakeLimit bounds the first line; its reader gives up at 64 KiB.
const handshakeLimit = 16 << 10

// Write implements io.Writer.
func (f *firstLine) Write(p []byte) (int, error) {
	n := len(p)
	if p = f.take(p); len(p) > 0 {
		_, _ = f.rest.Write(p)
	}
	return n, nil
}

// take takes what belongs to the first line, and hands that out when it is whole.
func (f *firstLine) take(p []byte) (rest []byte) {
	f.mu.Lock()
	if f.passed {
		f.mu.Unlock()
		return p
	}
	n := min(len(p), handshakeLimit-len(f.line)) // what is longer is no handshake
	if i := bytes.IndexByte(p[:n], '\n'); i >= 0 {
		n, f.passed = i+1, true
	}
	f.line = append(f.line, p[:n]...)
	f.passed = f.passed || len(f.line) == handshakeLimit
	passed, line := f.passed, f.line
	f.mu.Unlock()
	if passed {
		_, _ = f.writer.Write(line)
		_ = f.writer.Close()
	}
	return p[n:]
}

// handed returns the first line, "" as long as it is not whole.
func (f *firstLine) handed() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.passed {
		return ""
	}
	return strings.TrimSpace(string(f.line))
}

// end is called when nothing more is written.
func (f *firstLine) end() { _ = f.writer.Close() }
