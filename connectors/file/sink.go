package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// sink appends lines to a locked file. Put converts; the goroutine "write" appends and syncs what has piled up, then the
// side file, then acknowledges: a line is in the file exactly when its position is. A shared file has neither lock nor side file:
// each of several tasks appends whole lines, at least once.
type sink struct {
	path      string
	connector string
	shared    bool
	lines     *lines
	text      []byte // lines of one batch, reused by Put

	session connectors.SinkSession
	file    *os.File
	ended   chan struct{} // closed when "write" has ended

	mu      sync.Mutex
	state   *state
	pending block
	spare   []byte // memory of a written block
	writing bool
	failed  error
	stopped bool
	changed chan struct{} // closed and replaced when any of the above changes
}

// block is what waits to be written.
type block struct {
	text []byte
	ids  []connectors.BatchID
	at   []connectors.Progress // of the batches, in order
}

// maxPending bounds the converted and unwritten bytes; one batch above it passes alone.
const maxPending = 4 << 20

func newSink(path, connector string, l *lines) *sink {
	return &sink{path: path, connector: connector, lines: l, changed: make(chan struct{})}
}

// Start locks the file and cuts off what was written without its position.
func (s *sink) Start(ctx context.Context, session connectors.SinkSession) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.session = session
	flags, open := os.O_RDWR|os.O_CREATE, s.open
	if s.shared {
		flags, open = flags|os.O_APPEND, s.join
	}
	f, err := os.OpenFile(s.path, flags, 0o644)
	if s.shared && errors.Is(err, fs.ErrNotExist) {
		return connectors.AsPermanent(fmt.Errorf("Couldn't find or create file '%s' for FileStreamSinkTask: %w", s.path, err)) //nolint:staticcheck // the reference's text
	}
	if err != nil {
		return explain("open", s.path, err)
	}
	if err := open(f); err != nil {
		return errors.Join(err, f.Close())
	}
	s.file = f
	s.ended = make(chan struct{})
	go s.write()
	return nil
}

func (s *sink) open(f *os.File) error {
	if err := lock(f); err != nil {
		return err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return explain("open", s.path, err)
	}
	st, err := readState(s.path)
	if err != nil {
		return err
	}
	if st == nil {
		// What is there already stays. It is noted before the first line, so that a later start cuts only lines of ours.
		st = &state{Format: stateFormat, Length: size}
		if err := st.write(s.path); err != nil {
			return err
		}
	}
	if size < st.Length {
		return connectors.AsPermanent(fmt.Errorf("open file %s: it has %d bytes, but %d were written; somebody cut or replaced it. "+
			"Put it back, or remove %s and reset the offsets for a new start", s.path, size, st.Length, sidePath(s.path)))
	}
	if err := cut(f, st.Length); err != nil {
		return explain("cut", s.path, err)
	}
	s.state = st
	return nil
}

// join ends a line that an append without room left unfinished.
func (s *sink) join(f *os.File) error {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return explain("open", s.path, err)
	}
	last := make([]byte, 1)
	if _, err = f.ReadAt(last, size-1); err == nil && last[0] != '\n' {
		_, err = f.WriteString("\n")
	}
	return explain("open", s.path, err)
}

// cut ends the file at length, durably.
func cut(f *os.File, length int64) error {
	if err := f.Truncate(length); err != nil {
		return err
	}
	if _, err := f.Seek(length, io.SeekStart); err != nil {
		return err
	}
	return f.Sync()
}

// Put converts the batch and releases it.
func (s *sink) Put(ctx context.Context, b *connectors.Batch) error {
	text, err := s.lines.append(ctx, s.text[:0], b, s.session)
	if err != nil {
		return err
	}
	if s.text = text; cap(text) > maxPending {
		s.text = nil // a big one is not kept
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.failed == nil && len(s.pending.ids) > 0 && len(s.pending.text)+len(text) > maxPending {
		if err := s.wait(ctx); err != nil {
			return err
		}
	}
	if s.failed != nil {
		return s.failed
	}
	if s.stopped {
		return connectors.ErrStopped
	}
	s.session.Charge(len(text))
	s.pending.text = append(s.pending.text, text...)
	s.pending.ids = append(s.pending.ids, b.ID)
	s.pending.at = append(s.pending.at, connectors.Progress{Partition: b.Source, Offset: b.Offset, Through: b.Through})
	b.Release()
	s.notify()
	return nil
}

// wait gives up the lock until something changes.
func (s *sink) wait(ctx context.Context) error {
	changed := s.changed
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *sink) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Flush waits until everything has been written.
func (s *sink) Flush(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.failed == nil && (len(s.pending.ids) > 0 || s.writing) {
		if err := s.wait(ctx); err != nil {
			return err
		}
	}
	return s.failed
}

// write is the goroutine that makes things durable.
func (s *sink) write() {
	defer close(s.ended)
	for {
		work, ok := s.take()
		if !ok {
			return
		}
		err := s.commit(work)
		if err == nil {
			for _, id := range work.ids {
				s.session.Ack(id)
			}
		}
		s.session.Charge(-len(work.text))
		s.wrote(work, err)
		if err != nil {
			s.session.Fail(err)
			return
		}
	}
}

// wrote ends the write of a block, after its batches were acknowledged: that is what Flush waits for.
func (s *sink) wrote(work block, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = false
	s.failed = err
	if cap(work.text) <= 2*maxPending {
		s.spare = work.text[:0]
	}
	s.notify()
}

// take waits for work; false: the sink was stopped.
func (s *sink) take() (block, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.pending.ids) == 0 && !s.stopped {
		_ = s.wait(context.Background()) // ends with Stop
	}
	if s.stopped {
		return block{}, false
	}
	work := s.pending
	s.pending = block{text: s.spare}
	s.spare = nil
	s.writing = true
	return work, true
}

// commit appends the lines, syncs them, and then notes their positions.
func (s *sink) commit(work block) error {
	if len(work.text) > 0 {
		if _, err := s.file.Write(work.text); err != nil {
			return explain("write", s.path, err)
		}
		if err := s.file.Sync(); err != nil {
			return explain("sync", s.path, err)
		}
	}
	if s.shared {
		return nil
	}
	s.mu.Lock()
	s.state.Length += int64(len(work.text))
	for _, p := range work.at {
		s.state.set(s.connector, p)
	}
	text, err := s.state.encode(s.path)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return writeSide(s.path, text)
}

// Stop ends the goroutine after what it writes just now, and unlocks the file.
func (s *sink) Stop(context.Context) error {
	s.mu.Lock()
	s.stopped = true
	if s.session != nil {
		s.session.Charge(-len(s.pending.text))
	}
	s.pending = block{}
	s.notify()
	s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	<-s.ended // a write to a local file ends
	err := s.file.Close()
	s.file = nil
	return explain("close", s.path, err)
}

// keeper is a sink that keeps positions beside its file.
type keeper struct{ *sink }

// Progress implements connectors.OffsetKeeper. The lock on the file keeps every other task away.
func (s keeper) Progress(_ context.Context, p ...offsets.Partition) ([]connectors.Progress, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == nil {
		return nil, errors.New("read positions of file: the sink is not started")
	}
	var out []connectors.Progress
	for _, at := range s.state.Positions {
		if at.Connector == s.connector && (len(p) == 0 || slices.Contains(p, at.Partition)) {
			out = append(out, connectors.Progress{Partition: at.Partition, Offset: at.Offset, Through: connectors.Order{Epoch: at.Epoch, Major: at.Major, Minor: at.Minor}})
		}
	}
	return out, nil
}

// SetProgress implements connectors.OffsetKeeper.
func (s keeper) SetProgress(_ context.Context, p []connectors.Progress) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == nil {
		return errors.New("set positions of file: the sink is not started")
	}
	for _, at := range p {
		s.state.remove(s.connector, at.Partition)
		if at.Offset != "" {
			s.state.set(s.connector, at)
		}
	}
	return s.state.write(s.path)
}
