package file

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// state is the side file of a sink's file: how long the file is, and up to where each partition is in it. It is replaced as a
// whole, after the file was synced.
type state struct {
	Format    int        `json:"format"`
	Length    int64      `json:"length"`
	Positions []position `json:"positions"`
}

type position struct {
	Connector string            `json:"connector"`
	Partition offsets.Partition `json:"partition"`
	Offset    offsets.Offset    `json:"offset"`
	Epoch     uint32            `json:"epoch,omitempty"`
	Major     uint64            `json:"major,string,omitempty"`
	Minor     uint32            `json:"minor,omitempty"`
}

const stateFormat = 1

func sidePath(path string) string { return path + ".freshet" }

// readState returns nil when there is no side file.
func readState(path string) (*state, error) {
	text, err := os.ReadFile(sidePath(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read positions of file %s: %w", path, err)
	}
	s := &state{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, connectors.AsPermanent(fmt.Errorf("read positions of file %s: %s is damaged; remove both files for a new start: %w", path, sidePath(path), err))
	}
	if s.Format != stateFormat {
		return nil, connectors.AsPermanent(fmt.Errorf("read positions of file %s: %s has format %d, this freshet reads %d", path, sidePath(path), s.Format, stateFormat))
	}
	return s, nil
}

// write replaces the side file; it is durable when it returns.
func (s *state) write(path string) error {
	text, err := s.encode(path)
	if err != nil {
		return err
	}
	return writeSide(path, text)
}

func (s *state) encode(path string) ([]byte, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode positions of file %s: %w", path, err)
	}
	return append(text, '\n'), nil
}

func writeSide(path string, text []byte) error {
	side := sidePath(path)
	f, err := os.OpenFile(side+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return explain("write positions of", path, err)
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return explain("write positions of", path, err)
	}
	if err := os.Rename(side+".new", side); err != nil {
		return explain("write positions of", path, err)
	}
	return syncFolder(path)
}

func syncFolder(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return explain("sync folder of", path, err)
	}
	return explain("sync folder of", path, errors.Join(d.Sync(), d.Close()))
}

// set notes a position; an empty offset keeps the one before.
func (s *state) set(connector string, p connectors.Progress) {
	i := s.find(connector, p.Partition)
	if i < 0 {
		s.Positions = append(s.Positions, position{Connector: connector, Partition: p.Partition})
		i = len(s.Positions) - 1
	}
	at := &s.Positions[i]
	if p.Offset != "" {
		at.Offset = p.Offset
	}
	at.Epoch, at.Major, at.Minor = p.Through.Epoch, p.Through.Major, p.Through.Minor
}

func (s *state) remove(connector string, p offsets.Partition) {
	if i := s.find(connector, p); i >= 0 {
		s.Positions = slices.Delete(s.Positions, i, i+1)
	}
}

func (s *state) find(connector string, p offsets.Partition) int {
	for i := range s.Positions {
		if s.Positions[i].Connector == connector && s.Positions[i].Partition == p {
			return i
		}
	}
	return -1
}

// explain names the file and says what to do.
func explain(what, path string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%s file %s: the disk is full; nothing is lost, make room: %w", what, path, err)
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS):
		return connectors.AsPermanent(fmt.Errorf("%s file %s: it cannot be written; change its permissions: %w", what, path, err))
	}
	return fmt.Errorf("%s file %s: %w", what, path, err)
}
