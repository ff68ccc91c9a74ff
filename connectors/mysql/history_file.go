package mysql

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
)

// maxHistoryRecord is the longest record that is read, in bytes: the longest statement and its tables.
const maxHistoryRecord = 256 << 20

// fileHistory keeps one record per line (reference, io.debezium.storage.file.history.FileSchemaHistory).
type fileHistory struct {
	path string
	log  *slog.Logger
	file *os.File // nil: not open yet
}

func (f *fileHistory) open(context.Context) error { return nil }

// exists tells whether there is a record.
func (f *fileHistory) exists(context.Context) (bool, error) {
	info, err := os.Stat(f.path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the schema history: %w", err)
	}
	return info.Size() > 0, nil
}

// read hands out every record that was written to its end.
func (f *fileHistory) read(ctx context.Context, each func(at string, record []byte) error) error {
	if err := f.prepare(); err != nil {
		return err
	}
	in, err := os.Open(f.path)
	if err != nil {
		return fmt.Errorf("read the schema history: %w", err)
	}
	defer func() { _ = in.Close() }() // it was only read
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 64<<10), maxHistoryRecord)
	for n := 1; lines.Scan(); n++ {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if line := bytes.TrimSpace(lines.Bytes()); len(line) > 0 {
			if err := each(fmt.Sprintf("%s, line %d", f.path, n), line); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read the schema history %s: %w", f.path, err)
	}
	return nil
}

// append writes records and returns when they are on the disk.
func (f *fileHistory) append(_ context.Context, records []historyRecord) error {
	if err := f.prepare(); err != nil {
		return err
	}
	var lines []byte
	for i := range records {
		lines = append(append(lines, records[i].encode(false)...), '\n')
	}
	_, err := f.file.Write(lines)
	if err == nil {
		err = f.file.Sync()
	}
	if err != nil {
		f.close() // what of it was written is looked at again
		return fmt.Errorf("write the schema history %s: %w", f.path, err)
	}
	return nil
}

// prepare opens the file, makes it when there is none, and ends what an interrupted write left.
func (f *fileHistory) prepare() error {
	if f.file != nil {
		return nil
	}
	if err := f.openFile(); err != nil {
		f.close()
		return fmt.Errorf("open the schema history: %w", err)
	}
	return nil
}

func (f *fileHistory) openFile() error {
	dir := filepath.Dir(f.path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	_, missing := os.Stat(f.path)
	var err error
	if f.file, err = os.OpenFile(f.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o644); err != nil {
		return err
	}
	if missing != nil {
		return syncDir(dir)
	}
	return f.mend()
}

// mend looks at a last line without an end: a whole record gets its end, a part of one is cut off.
func (f *fileHistory) mend() error {
	tail, at, err := f.tail()
	if err != nil || len(tail) == 0 {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(tail))
	var document json.RawMessage
	switch err = d.Decode(&document); {
	case errors.Is(err, io.ErrUnexpectedEOF):
		f.log.Warn(fmt.Sprintf("The last line of the schema history %s was not written to its end; its %d bytes are cut off", f.path, len(tail)))
		err = f.file.Truncate(at)
	case err != nil && !errors.Is(err, io.EOF):
		return fmt.Errorf("%s: what stands at byte %d is neither a record nor the beginning of one: restore the file, or remove what is broken: %w", f.path, at, err)
	default:
		_, err = f.file.Write([]byte{'\n'})
	}
	if err != nil {
		return err
	}
	return f.file.Sync()
}

// tail returns what stands behind the last end of a line, and where.
func (f *fileHistory) tail() (tail []byte, at int64, err error) {
	info, err := f.file.Stat()
	if err != nil {
		return nil, 0, err
	}
	const step = 64 << 10
	for end := info.Size(); end > 0; {
		start := max(0, end-step)
		block := make([]byte, end-start)
		if _, err := f.file.ReadAt(block, start); err != nil {
			return nil, 0, err
		}
		if i := bytes.LastIndexByte(block, '\n'); i >= 0 {
			return append(block[i+1:], tail...), start + int64(i) + 1, nil
		}
		tail, end = append(block, tail...), start
		if len(tail) > maxHistoryRecord {
			return nil, 0, fmt.Errorf("%s: the last line is longer than %d bytes", f.path, maxHistoryRecord)
		}
	}
	return tail, 0, nil
}

func (f *fileHistory) close() {
	if f.file != nil {
		_ = f.file.Close() // what counts was synced
		f.file = nil
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
