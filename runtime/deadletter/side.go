package deadletter

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// side keeps how far a file was replayed.
func (r *Reader) side() string { return r.path + ".replayed-" + r.connector }

// sideMarks is what lies in that file. A queue that is smaller than it was, or begins in another way, began anew.
type sideMarks struct {
	Lines int64  `json:"lines"`           // the next one
	Bytes int64  `json:"bytes"`           // size of the queue then
	First string `json:"first,omitempty"` // checksum of its first line; "": there was none
}

func (r *Reader) readSide() (Marks, error) {
	text, err := os.ReadFile(r.side())
	if errors.Is(err, os.ErrNotExist) || err == nil && len(text) == 0 { // or lost by the disk: nothing is known
		return Marks{}, nil
	}
	var m sideMarks
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		return nil, fmt.Errorf("%w; delete it to replay all of the queue again", err)
	}
	now, err := r.now()
	if errors.Is(err, os.ErrNotExist) {
		return Marks{}, nil
	}
	if err != nil {
		return nil, err
	}
	if now.Bytes < m.Bytes || m.First != "" && now.First != m.First {
		return Marks{}, nil
	}
	return Marks{0: m.Lines}, nil
}

// writeSide replaces the file as a whole: whoever is killed leaves the one before.
func (r *Reader) writeSide(lines int64) error {
	m, err := r.now()
	if err != nil {
		return err
	}
	m.Lines = lines
	if lines <= 1 {
		m.First = "" // its first line may not be whole
	}
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode how far: %w", err)
	}
	if err := os.WriteFile(r.side()+".new", text, 0o600); err != nil {
		return fmt.Errorf("write side file: %w", err)
	}
	if err := os.Rename(r.side()+".new", r.side()); err != nil {
		return fmt.Errorf("write side file: %w", err)
	}
	return nil
}

// firstBytes of a line are enough to tell it.
const firstBytes = 64 << 10

// now is the queue as it is: its size, and what tells its first line.
func (r *Reader) now() (sideMarks, error) {
	f, err := os.Open(r.path)
	if err != nil {
		return sideMarks{}, fmt.Errorf("open the queue: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return sideMarks{}, fmt.Errorf("read size of the queue: %w", err)
	}
	head, err := io.ReadAll(io.LimitReader(f, firstBytes))
	if err != nil {
		return sideMarks{}, fmt.Errorf("read the queue: %w", err)
	}
	m := sideMarks{Bytes: info.Size()}
	if len(head) > 0 {
		line, _, _ := bytes.Cut(head, []byte("\n"))
		sum := sha256.Sum256(line)
		m.First = hex.EncodeToString(sum[:])
	}
	return m, nil
}
