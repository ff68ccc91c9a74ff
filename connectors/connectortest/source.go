package connectortest

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest/conformance"
	"github.com/freshet-io/freshet/offsets"
)

// Feed is a source of numbered records in partitions that come and go. Each partition is a log 1, 2, 3, …; a source task reads
// those that it is assigned, from the durable offset on. A revoked partition is drained first, as a consumer group does.
// Safe for concurrent use; it outlives the source tasks that read it.
type Feed struct {
	// Fail is called before each batch; an error ends that task. nil: never.
	Fail func() error
	// Records is how many records a batch has; 0: three. A batch may have fewer at the end.
	Records int
	// Positions adds a batch without records after every so many batches; 0: none.
	Positions int
	// Unreadable tells that record n cannot be turned into one of a batch; nil: none.
	Unreadable func(n int) bool
	// Width is how many bytes of text each record carries.
	Width int

	mu        sync.Mutex
	length    map[offsets.Partition]int // how much there is
	assigned  map[offsets.Partition]bool
	committed map[offsets.Partition]int
	closed    bool // no more is coming
	changed   chan struct{}
	starts    int
}

// NewFeed returns a feed without partitions.
func NewFeed() *Feed {
	return &Feed{
		length: map[offsets.Partition]int{}, assigned: map[offsets.Partition]bool{}, committed: map[offsets.Partition]int{},
		changed: make(chan struct{}),
	}
}

// Partition names partition n of a feed.
func Partition(n int) offsets.Partition { return conformance.Partition(n) }

// Extend makes partition p n records longer and assigns it.
func (f *Feed) Extend(p offsets.Partition, n int) {
	f.change(func() { f.length[p] += n; f.assigned[p] = true })
}

// Assign assigns p, or revokes it.
func (f *Feed) Assign(p offsets.Partition, on bool) { f.change(func() { f.assigned[p] = on }) }

// End says that nothing more comes: a task that has read all gets io.EOF.
func (f *Feed) End() { f.change(func() { f.closed = true }) }

func (f *Feed) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	close(f.changed)
	f.changed = make(chan struct{})
}

// Committed is up to where the source knows that p is durable: it was told, or it resumed there.
func (f *Feed) Committed(p offsets.Partition) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.committed[p]
}

// Starts counts the tasks that were started.
func (f *Feed) Starts() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.starts
}

// Length is how many records p has.
func (f *Feed) Length(p offsets.Partition) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.length[p]
}

// FeedOffset is the offset after record n.
func FeedOffset(n int) offsets.Offset { return conformance.Offset(n) }

// NewSource returns a task that reads the feed.
func (f *Feed) NewSource() connectors.SourceTask {
	return &feedSource{feed: f, at: map[offsets.Partition]int{}, stream: FeedStream()}
}

// FeedStream is the stream of all records of a feed: a table feed(n bigint key, text).
func FeedStream() *connectors.Stream { return conformance.Numbers() }

type feedSource struct {
	feed    *Feed
	session connectors.SourceSession
	stream  *connectors.Stream
	at      map[offsets.Partition]int // assigned partitions, and what was read of them
	batches int
}

func (s *feedSource) Start(ctx context.Context, session connectors.SourceSession) error {
	s.session = session
	s.feed.mu.Lock()
	s.feed.starts++
	s.feed.mu.Unlock()
	return ctx.Err()
}

func (s *feedSource) Poll(ctx context.Context) (*connectors.Batch, error) {
	for {
		if s.feed.Fail != nil {
			if err := s.feed.Fail(); err != nil {
				return nil, err
			}
		}
		p, changed, done := s.pick()
		switch {
		case p.revoke:
			if err := s.session.Drain(ctx, p.name); err != nil {
				return nil, fmt.Errorf("drain %s: %w", p.name, err)
			}
			delete(s.at, p.name)
		case p.fresh:
			if err := s.assign(ctx, p.name); err != nil {
				return nil, err
			}
		case p.name != "":
			return s.read(ctx, p.name, p.length)
		case done:
			return nil, io.EOF
		default:
			select {
			case <-changed:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
}

type picked struct {
	name          offsets.Partition
	length        int
	revoke, fresh bool
}

// pick finds something to do: a partition to give up, to take over or to read.
func (s *feedSource) pick() (p picked, changed <-chan struct{}, done bool) {
	f := s.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	for name := range s.at {
		if !f.assigned[name] {
			return picked{name: name, revoke: true}, nil, false
		}
	}
	for name, on := range f.assigned {
		at, known := s.at[name]
		switch {
		case on && !known:
			return picked{name: name, fresh: true}, nil, false
		case on && at < f.length[name]:
			return picked{name: name, length: f.length[name]}, nil, false
		}
	}
	return picked{}, f.changed, f.closed
}

func (s *feedSource) assign(ctx context.Context, p offsets.Partition) error {
	stored, err := s.session.Offsets(ctx, p)
	if err != nil {
		return fmt.Errorf("read offset of %s: %w", p, err)
	}
	s.at[p] = 0
	for _, e := range stored {
		if e.Partition == p {
			if s.at[p], err = conformance.ParseOffset(e.Offset); err != nil {
				return connectors.AsPermanent(fmt.Errorf("parse offset of %s: %w", p, err))
			}
		}
	}
	s.feed.durable(p, s.at[p])
	return nil
}

func (s *feedSource) read(ctx context.Context, p offsets.Partition, length int) (*connectors.Batch, error) {
	w, err := s.session.NewBatch(ctx, p)
	if err != nil {
		return nil, err
	}
	s.batches++
	if s.feed.Positions > 0 && s.batches%s.feed.Positions == 0 {
		return w.Finish(FeedOffset(s.at[p]), conformance.Order(s.at[p])), nil
	}
	want := s.feed.Records
	if want == 0 {
		want = 3
	}
	stream := w.Stream(s.stream)
	last := s.at[p]
	for last < length && w.Len() < want {
		last++
		if s.feed.Unreadable == nil || !s.feed.Unreadable(last) {
			AppendFeedRecord(w, stream, last, s.feed.Width)
			continue
		}
		raw := &connectors.Raw{Topic: string(p), Offset: int64(last), Value: []byte("?")}
		if err := s.session.Tolerate(ctx, raw, connectors.StageValueConverter, fmt.Errorf("record %d of %s cannot be read", last, p)); err != nil {
			w.Abandon()
			return nil, err
		}
	}
	s.at[p] = last
	return w.Finish(FeedOffset(s.at[p]), conformance.Order(s.at[p])), nil
}

// AppendFeedRecord adds record n with a text of width bytes; stream is the index of FeedStream in the batch.
func AppendFeedRecord(w *connectors.Builder, stream uint32, n, width int) {
	conformance.AppendNumber(w, stream, n, width)
}

func (s *feedSource) Commit(_ context.Context, upTo []offsets.Entry) error {
	for _, e := range upTo {
		n, err := conformance.ParseOffset(e.Offset)
		if err != nil {
			return connectors.AsPermanent(fmt.Errorf("parse committed offset: %w", err))
		}
		s.feed.durable(e.Partition, n)
	}
	return nil
}

func (f *Feed) durable(p offsets.Partition, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.committed[p] = max(f.committed[p], n)
}

func (s *feedSource) Stop(context.Context) error { return nil }

// Sources is a factory of the class "FeedSource" over feeds chosen by the caller.
type Sources struct{ Feed *Feed }

// Describe implements connectors.Factory.
func (Sources) Describe() connectors.Description {
	return connectors.Description{Class: "io.freshet.test.FeedSourceConnector", Aliases: []string{"FeedSource"}, Source: true, Version: "1", Config: &connectors.ConfigDef{Keys: []connectors.Key{
		{Name: "feed.name", Type: connectors.TypeString, Importance: "LOW"},
	}}}
}

// Validate implements connectors.Factory.
func (s Sources) Validate(_ context.Context, c connectors.Config) []connectors.ConfigValue {
	values, _ := s.Describe().Config.Validate(c)
	return values
}

// Tasks implements connectors.Factory.
func (Sources) Tasks(_ context.Context, c connectors.Config, _ int) ([]connectors.Config, error) {
	return []connectors.Config{c}, nil
}

// NewSource implements connectors.SourceFactory.
func (s Sources) NewSource(connectors.Config, connectors.Settings) (connectors.SourceTask, error) {
	return s.Feed.NewSource(), nil
}
