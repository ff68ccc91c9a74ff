package file

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/schemas"
)

// source follows a file. A line becomes a record when its end has been written. Partition {"filename":path}, offset
// {"position":bytes}, as FileStreamSourceTask has them.
type source struct {
	path      string
	lines     int
	partition offsets.Partition
	stream    *connectors.Stream
	session   connectors.SourceSession

	file   *os.File
	at     int64  // where buffer starts in the file
	buffer []byte // read and not handed out: an unfinished line
	filled int64  // where reading goes on
}

const (
	chunk = 64 << 10
	// look is how often a file is looked at that has nothing new: nothing tells when another process appends.
	look = 100 * time.Millisecond
)

func newSource(v connectors.Values) (*source, error) {
	path, lines := v.String("file"), int(v.Int("batch.size"))
	if strings.TrimSpace(path) == "" {
		return nil, connectors.AsPermanent(errors.New("read standard input: it has no position to resume at; name a file with the key file"))
	}
	if lines < 1 {
		lines = defaultLines
	}
	name, err := json.Marshal(map[string]string{"filename": path})
	if err != nil {
		return nil, fmt.Errorf("name file %s: %w", path, err)
	}
	p, err := offsets.Canonical(name)
	if err != nil {
		return nil, fmt.Errorf("name file %s: %w", path, err)
	}
	return &source{
		path: path, lines: lines, partition: p,
		stream: &connectors.Stream{Topic: v.String("topic"), Value: &schemas.Schema{Kind: schemas.String}},
	}, nil
}

// Start finds the stored position; the file may come later.
func (s *source) Start(ctx context.Context, session connectors.SourceSession) error {
	s.session = session
	stored, err := session.Offsets(ctx, s.partition)
	if err != nil {
		return fmt.Errorf("read position of file %s: %w", s.path, err)
	}
	for _, e := range stored {
		if e.Partition != s.partition {
			continue
		}
		var o struct {
			Position *int64 `json:"position"`
		}
		if err := json.Unmarshal([]byte(e.Offset), &o); err != nil || o.Position == nil || *o.Position < 0 {
			return connectors.AsPermanent(fmt.Errorf("read position of file %s: %s is not {\"position\":bytes}", s.path, e.Offset))
		}
		s.at = *o.Position
	}
	s.filled = s.at
	return nil
}

// Poll waits for complete lines.
func (s *source) Poll(ctx context.Context) (*connectors.Batch, error) {
	for {
		more, err := s.fill()
		if err != nil {
			return nil, err
		}
		if bytes.IndexByte(s.buffer, '\n') >= 0 {
			return s.batch(ctx)
		}
		if more {
			continue
		}
		timer := time.NewTimer(look)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
	}
}

// fill reads the next piece; false: there is none.
func (s *source) fill() (bool, error) {
	if s.file == nil {
		f, err := os.Open(s.path)
		if errors.Is(err, fs.ErrNotExist) && s.at == 0 {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("open file: %w", err)
		}
		s.file = f
	}
	if bytes.IndexByte(s.buffer, '\n') >= 0 {
		return true, nil
	}
	n := len(s.buffer)
	s.buffer = append(s.buffer, make([]byte, chunk)...)
	got, err := s.file.ReadAt(s.buffer[n:], s.filled)
	s.buffer = s.buffer[:n+got]
	s.filled += int64(got)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("read file %s: %w", s.path, err)
	}
	if got == 0 {
		return false, s.check()
	}
	return true, nil
}

// check notices that the file was cut or replaced: what was in it is gone.
func (s *source) check() error {
	info, err := s.file.Stat()
	if err != nil {
		return fmt.Errorf("look at file %s: %w", s.path, err)
	}
	if info.Size() < s.filled {
		return connectors.AsPermanent(fmt.Errorf("read file %s: it has %d bytes, but was read up to %d; it was cut or replaced. "+
			"Put it back, or reset the offsets of the connector to read it from the start", s.path, info.Size(), s.filled))
	}
	now, err := os.Stat(s.path)
	if err != nil || os.SameFile(info, now) {
		return nil // removed: what was written before is read; nothing more comes
	}
	return connectors.AsPermanent(fmt.Errorf("read file %s: it was replaced by another one after %d bytes; "+
		"reset the offsets of the connector to read the new one from the start", s.path, s.filled))
}

// batch hands out the complete lines of the buffer.
func (s *source) batch(ctx context.Context) (*connectors.Batch, error) {
	w, err := s.session.NewBatch(ctx, s.partition)
	if err != nil {
		return nil, err
	}
	stream := w.Stream(s.stream)
	used := 0
	var order connectors.Order
	for w.Len() < s.lines {
		n := bytes.IndexByte(s.buffer[used:], '\n')
		if n < 0 {
			break
		}
		line := bytes.TrimSuffix(s.buffer[used:used+n], []byte("\r"))
		r := w.Body(stream, connectors.OpNone, connectors.Body{Value: schemas.Typed{Schema: s.stream.Value, Value: string(line)}})
		order = connectors.Order{Epoch: 1, Major: uint64(s.at) + uint64(used), Minor: 1}
		r.Order, r.Timestamp, r.Last = order, time.Now().UnixNano(), true
		used += n + 1
	}
	s.at += int64(used)
	s.buffer = append(s.buffer[:0], s.buffer[used:]...)
	if cap(s.buffer) > 16*chunk && len(s.buffer) < chunk {
		s.buffer = bytes.Clone(s.buffer)
	}
	return w.Finish(offsets.Offset(fmt.Sprintf(`{"position":%d}`, s.at)), order), nil
}

// Commit implements connectors.SourceTask; a file forgets nothing.
func (s *source) Commit(context.Context, []offsets.Entry) error { return nil }

// Stop implements connectors.SourceTask.
func (s *source) Stop(context.Context) error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return explain("close", s.path, err)
}
