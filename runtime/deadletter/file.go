package deadletter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/freshet-io/freshet/connectors"
)

// DefaultFileSize is the most that a file takes when nothing is said.
const DefaultFileSize = 1 << 30

// file is a queue of JSON lines. Several tasks and workers on one machine may append to the same file: each line is one write.
type file struct {
	path  string
	limit int64 // bytes; 0: none
	f     *os.File

	mu    sync.Mutex
	dirty bool
	torn  bool // the file may end in a part of a line
	line  []byte
}

func limitOf(c connectors.Config) int64 {
	if n, err := strconv.ParseInt(strings.TrimSpace(c[keyFileSize]), 10, 64); err == nil && n >= 0 {
		return n
	}
	return DefaultFileSize
}

func openFile(path string, limit int64) (target, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600) // it holds data of rows
	if err != nil {
		return nil, fileError("open", path, err)
	}
	out := &file{path: path, limit: limit, f: f}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil && size > 0 {
		last := make([]byte, 1)
		_, err = f.ReadAt(last, size-1)
		out.torn = last[0] != '\n'
	}
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return nil, errors.Join(fileError("open", path, err), f.Close())
	}
	return out, nil
}

// syncFolder makes the name of a new file durable.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (q *file) add(_ context.Context, r *Record) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.line = q.line[:0]
	if q.torn {
		q.line = append(q.line, '\n')
	}
	var err error
	if q.line, err = AppendLine(q.line, r); err != nil {
		return connectors.AsPermanent(fmt.Errorf("write to file %s: %w", q.path, err))
	}
	q.line = append(q.line, '\n')
	size, err := q.f.Seek(0, io.SeekEnd)
	if err != nil {
		return fileError("write", q.path, err)
	}
	if q.limit > 0 && size+int64(len(q.line)) > q.limit {
		return connectors.AsPermanent(fmt.Errorf("file %s is full: it has %d bytes, and %s is %d. Replay its records (freshet dead-letters replay) "+
			"and move it away, or raise the limit; then restart the connector, which goes on with this record", q.path, size, keyFileSize, q.limit))
	}
	q.dirty = true
	if _, err := q.f.Write(q.line); err != nil {
		q.torn = true
		return fileError("write", q.path, err)
	}
	q.torn = false
	if cap(q.line) > 1<<20 {
		q.line = nil // a big one is not kept
	}
	return nil
}

func (q *file) flush(context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.dirty {
		return nil
	}
	if err := q.f.Sync(); err != nil {
		return fileError("sync", q.path, err)
	}
	q.dirty = false
	return nil
}

func (q *file) close(context.Context) error {
	return errors.Join(fileError("sync", q.path, q.f.Sync()), fileError("close", q.path, q.f.Close()))
}

// fileError says what to do about what an operator can mend. A full disk passes.
func fileError(verb, path string, err error) error {
	if err == nil {
		return nil
	}
	var inner *os.PathError
	if errors.As(err, &inner) {
		err = inner.Err // the path is told once
	}
	what := fmt.Errorf("%s file %s: %w", verb, path, err)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return connectors.AsPermanent(fmt.Errorf("%w; make the directory on the machine where the task runs, or name another file with %s", what, keyFile))
	case errors.Is(err, os.ErrPermission):
		return connectors.AsPermanent(fmt.Errorf("%w; let the worker's user write there, or name another file with %s", what, keyFile))
	}
	return what
}
