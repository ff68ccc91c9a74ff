package deadletter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/offsets"
)

// SourceClass is the class of the source that replays a queue into a sink. No configuration names it.
const SourceClass = "io.freshet.deadletter.ReplayConnector"

// Sources makes the source that reads the letters of a direct connector again, for one of its sinks. It is for one run.
type Sources struct {
	Reader *Reader
	From   Marks
	Sink   string // its alias; "": the only one

	Count int   // of the letters that were read; valid when the run has ended
	After Marks // of the queue's end, likewise
}

// Describe implements connectors.Factory.
func (f *Sources) Describe() connectors.Description {
	return connectors.Description{Class: SourceClass, Source: true, Config: &connectors.ConfigDef{}}
}

// Validate implements connectors.Factory.
func (f *Sources) Validate(context.Context, connectors.Config) []connectors.ConfigValue { return nil }

// Tasks implements connectors.Factory.
func (f *Sources) Tasks(_ context.Context, c connectors.Config, _ int) ([]connectors.Config, error) {
	return []connectors.Config{c}, nil
}

// NewSource implements connectors.SourceFactory.
func (f *Sources) NewSource(connectors.Config, connectors.Settings) (connectors.SourceTask, error) {
	s := &source{of: f, letters: make(chan *Letter), streams: map[string]*connectors.Stream{}}
	var err error
	if s.keys, err = f.Reader.queues.Converters.NewDecoder("key.converter", nil, nil); err != nil { // JsonConverter, as the letters are
		return nil, err
	}
	s.values, err = f.Reader.queues.Converters.NewDecoder("value.converter", nil, nil)
	return s, err
}

// source reads the queue in the goroutine "letters".
type source struct {
	of           *Sources
	keys, values converters.Decoder
	streams      map[string]*connectors.Stream

	session connectors.SourceSession
	cancel  context.CancelFunc
	letters chan *Letter // closed at the end
	failed  error        // why it ended
	n       int
}

// maxLetters is how many a batch has at most.
const maxLetters = 100

// Start implements connectors.SourceTask.
func (s *source) Start(_ context.Context, session connectors.SourceSession) error {
	s.session = session
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go func() {
		defer close(s.letters)
		s.of.After, s.failed = s.of.Reader.Read(ctx, s.of.From, func(l *Letter) error {
			if alias := l.Header(HeaderSink); alias != "" && s.of.Sink != "" && alias != s.of.Sink {
				return nil
			}
			select {
			case s.letters <- l:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	return nil
}

// Poll implements connectors.SourceTask.
func (s *source) Poll(ctx context.Context) (*connectors.Batch, error) {
	var first *Letter
	var ok bool
	select {
	case first, ok = <-s.letters:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if !ok {
		if s.failed != nil {
			return nil, connectors.AsPermanent(s.failed)
		}
		s.of.Count = s.n
		return nil, io.EOF
	}
	w, err := s.session.NewBatch(ctx, offsets.Partition(`{"dead-letters":`+strconv.Quote(s.of.Reader.connector)+`}`))
	if err != nil {
		return nil, err
	}
	for l := first; l != nil; {
		if err := s.add(w, l); err != nil {
			w.Abandon()
			return nil, connectors.AsPermanent(fmt.Errorf("replay the letter at %d: %w", l.Place, err))
		}
		l = nil
		if w.Len() < maxLetters {
			select {
			case l = <-s.letters:
			default:
			}
		}
	}
	return w.Finish(offsets.Offset(`{"letter":`+strconv.Itoa(s.n)+`}`), connectors.Order{Epoch: 1, Major: uint64(s.n), Minor: 1}), nil
}

func (s *source) add(w *connectors.Builder, l *Letter) error {
	if l.Header(HeaderOffset) != "" {
		return errors.New("it came from a topic: replay it there")
	}
	topic := l.Header(HeaderTopic)
	if topic == "" {
		return fmt.Errorf("it does not say which topic it belongs to (%s was false)", keyHeaders)
	}
	var body connectors.Body
	var err error
	if body.Key, err = s.keys.Decode(l.Key); err != nil {
		return fmt.Errorf("read its key: %w", err)
	}
	if body.Value, err = s.values.Decode(l.Value); err != nil {
		return fmt.Errorf("read its value: %w", err)
	}
	if s.streams[topic] == nil {
		s.streams[topic] = &connectors.Stream{Topic: topic}
	}
	op := connectors.OpNone
	if l.Value == nil {
		op = connectors.OpTombstone
	}
	s.n++
	r := w.Body(w.Stream(s.streams[topic]), op, body)
	r.Order, r.Last = connectors.Order{Epoch: 1, Major: uint64(s.n), Minor: 1}, true
	if l.Timestamp >= 0 {
		r.Timestamp = l.Timestamp * 1e6
	}
	w.Weigh(2 * (len(l.Key) + len(l.Value)))
	own := l.Own()
	if len(own) == 0 {
		return nil
	}
	w.Headers()
	for _, h := range own {
		w.Text(connectors.KindText, h.Key)
		if h.Value == nil {
			w.Null()
		} else {
			w.Text(connectors.KindText, h.Value)
		}
	}
	w.Records()[w.Len()-1].Headers = w.Record().Headers
	return nil
}

// Commit implements connectors.SourceTask: how far the queue was replayed is stored when all of it is durable.
func (s *source) Commit(context.Context, []offsets.Entry) error { return nil }

// Stop implements connectors.SourceTask.
func (s *source) Stop(context.Context) error {
	if s.cancel == nil {
		return nil
	}
	s.cancel()
	for range s.letters { //nolint:revive // until the goroutine has ended
	}
	return nil
}
