package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/IBM/sarama"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/offsets"
)

// source reads the partitions that its consumer group assigns to it, at least once: the committed offset of the group is where it
// goes on. What a broker has of a partition comes from the reader of the generation, with room for it; Poll turns it into a batch.
type source struct {
	name     string
	group    string
	instance string // group.instance.id
	config   *kafkaclient.Config
	topics   []string
	pattern  *regexp.Regexp // in place of topics
	waits    string         // topics that are told to be away (of "group")
	keys     converters.Decoder
	values   converters.Decoder
	log      *slog.Logger
	streams  map[string]*connectors.Stream
	keepRaw  bool                      // records as they lie in the topic stay with their batch
	record   kafkaclient.FetchedRecord // Poll's

	session connectors.SourceSession
	client  *kafkaclient.Session
	members sarama.ConsumerGroup
	running context.Context // until Stop
	cancel  context.CancelFunc
	ended   sync.WaitGroup // its goroutines
	stopped bool

	ready  chan *share
	failed chan error // what ended "group"
	broken error      // what Poll returns when all before it is durable

	mu     sync.Mutex
	member *member       // nil between two generations
	look   chan struct{} // wakes "watch"
	inHand bool          // Poll returned a batch, and was not called since
	taken  chan struct{} // closed and replaced when Poll is called: that batch has been delivered
}

// maxBatch bounds the bytes of keys and values in one batch; one record above it passes alone.
const maxBatch = 1 << 20

// Start joins the group. Partitions come later.
func (s *source) Start(ctx context.Context, session connectors.SourceSession) error {
	s.session = session
	// Its connections are its own: sarama does not let consumers share any.
	client, err := (&kafkaclient.Pool{}).Open(ctx, s.config)
	if err != nil {
		return classify(err)
	}
	s.client = client
	if s.members, err = sarama.NewConsumerGroupFromClient(s.group, parked{client.Client()}); err != nil {
		return fmt.Errorf("join consumer group %s: %w", s.group, err)
	}
	s.running, s.cancel = context.WithCancel(context.Background())
	s.ended.Add(2)
	go func() { defer s.ended.Done(); s.report() }()
	go func() { defer s.ended.Done(); s.take(s.running) }()
	return nil
}

// Poll waits for records of any partition.
func (s *source) Poll(ctx context.Context) (*connectors.Batch, error) {
	s.mu.Lock()
	if s.inHand {
		s.inHand = false
		close(s.taken)
		s.taken = make(chan struct{})
	}
	s.mu.Unlock()
	for {
		if errors.Is(s.broken, connectors.ErrStopped) {
			return nil, s.broken
		}
		if s.broken != nil {
			if err := s.session.Drain(ctx); err != nil {
				s.log.Warn("records before one that cannot be read are sent again", "error", err)
			}
			return nil, s.broken
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case err := <-s.failed:
			s.broken = err
		case p := <-s.ready:
			b := s.batch(ctx, p)
			p.resume <- struct{}{}
			if !s.hand(p, b) {
				s.broken = nil
			} else if b != nil {
				return b, nil
			}
		}
	}
}

// hand tells that the partition is still this member's; else its batch is dropped. b may be nil.
func (s *source) hand(p *share, b *connectors.Batch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.member != p.of || !p.of.open {
		if b != nil {
			b.Release() // the next owner reads it
		}
		return false
	}
	if b != nil {
		s.inHand, p.of.polled = true, true
	}
	return true
}

// batch makes a batch of what has come, or of the beginning of it; nil: there is no record in it, or its first one cannot be read, as
// s.broken says.
func (s *source) batch(ctx context.Context, p *share) *connectors.Batch {
	w := p.batch
	stream := w.Stream(s.stream(p.at.Topic))
	converters.Within(ctx, s.keys, s.values)
	size, next, first := 0, int64(-1), int64(0)
	r := &s.record
	p.taken = false
	for size < maxBatch {
		more, err := p.records.Read(r)
		if err != nil {
			err = fmt.Errorf("read topic %s, partition %d: %w: no part of the batch before offset %d can be read; "+
				"to go on behind it, stop the connector and alter its offsets", p.at.Topic, p.at.Partition, err, p.records.Next)
			s.broken = connectors.AsPermanent(err)
		} else if more {
			s.broken = s.add(ctx, w, p, stream, r)
		}
		if p.taken = !more || s.broken != nil; p.taken {
			break
		}
		if next < 0 {
			first = r.Timestamp
		}
		next = r.Offset + 1
		size += len(r.Key) + len(r.Value)
	}
	if next < 0 {
		w.Abandon()
		return nil
	}
	through := p.log.order(next - 1)
	if p.taken && s.broken == nil {
		next = p.records.Next // past markers and what was left out
	}
	b := w.Finish(p.offset(next), through)
	if first > 0 {
		b.Committed = first * 1000
	}
	return b
}

// add appends one record. One that cannot be converted is left out when that is tolerated.
func (s *source) add(ctx context.Context, w *connectors.Builder, p *share, stream uint32, m *kafkaclient.FetchedRecord) error {
	var body connectors.Body
	var err error
	part, stage := "key", connectors.StageKeyConverter
	if body.Key, err = s.keys.Decode(m.Key); err == nil {
		part, stage = "value", connectors.StageValueConverter
		body.Value, err = s.values.Decode(m.Value)
	}
	if err != nil {
		cause := converters.Classify(fmt.Errorf("convert the %s of a record of topic %s, partition %d, offset %d: %w", part, p.at.Topic, p.at.Partition, m.Offset, err))
		if connectors.ClassOf(cause) != connectors.Permanent {
			return cause
		}
		raw := p.raw(m)
		return s.session.Tolerate(ctx, &raw, stage, cause)
	}
	op := connectors.OpNone
	if m.Value == nil {
		op = connectors.OpTombstone
	}
	r := w.Body(stream, op, body)
	r.KafkaPartition, r.Order, r.Last = p.at.Partition, p.log.order(m.Offset), true
	if m.Timestamp >= 0 {
		r.Timestamp = m.Timestamp * 1e6
	}
	w.Weigh(2*(len(m.Key)+len(m.Value)) + bodySize)
	if s.keepRaw {
		w.Raw(p.raw(m))
	}
	if len(m.Headers) == 0 {
		return nil
	}
	w.Headers()
	for _, h := range m.Headers {
		w.Text(connectors.KindText, h.Key)
		switch {
		case h.Value == nil:
			w.Null()
		case utf8.Valid(h.Value):
			w.Text(connectors.KindText, h.Value)
		default:
			w.Text(connectors.KindBytes, h.Value)
		}
	}
	w.Records()[w.Len()-1].Headers = w.Record().Headers
	return nil
}

// raw is the record as it lies in its topic; it shares the memory of m.
func (p *share) raw(m *kafkaclient.FetchedRecord) connectors.Raw {
	r := connectors.Raw{Topic: p.at.Topic, Partition: p.at.Partition, Offset: m.Offset, Timestamp: m.Timestamp, Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, connectors.RawHeader{Key: h.Key, Value: h.Value})
	}
	return r
}

// bodySize is about what a materialised record takes beside its contents.
const bodySize = 256

func (s *source) stream(topic string) *connectors.Stream {
	if s.streams[topic] == nil {
		s.streams[topic] = &connectors.Stream{Topic: topic}
	}
	return s.streams[topic]
}

// Commit stores offsets in the group: the durable write. What this member does not own any more is left to who does, and what is of a
// log that is gone to nobody.
func (s *source) Commit(ctx context.Context, upTo []offsets.Entry) error {
	s.mu.Lock()
	m := s.member
	s.mu.Unlock()
	if m == nil {
		return nil
	}
	at := map[kafkaclient.TopicPartition]kafkaclient.GroupOffset{}
	for _, e := range upTo {
		p := m.shares[e.Partition]
		next, of, err := parsePosition(e.Offset)
		if err != nil {
			return connectors.AsPermanent(err)
		}
		if p != nil && of == p.log && next > p.next.Load() {
			at[p.at] = kafkaclient.GroupOffset{Next: next, Metadata: p.text}
		}
	}
	if len(at) == 0 {
		return nil
	}
	who := kafkaclient.GroupMember{ID: m.session.MemberID(), Instance: s.instance, Generation: m.session.GenerationID()}
	err := s.client.CommitGroup(ctx, s.group, who, at)
	if errors.Is(err, kafkaclient.ErrGroupLost) {
		s.log.Warn("partitions were lost before their offsets were committed; their next owner reads again what came after", "error", err)
		return nil
	}
	if err != nil {
		return classify(err)
	}
	for _, p := range m.shares {
		if next, ok := at[p.at]; ok {
			p.next.Store(next.Next)
		}
	}
	return nil
}

// Stop leaves the group.
func (s *source) Stop(ctx context.Context) error {
	if s.client == nil || s.stopped {
		return nil
	}
	s.stopped = true
	done := make(chan error, 1)
	go func() { done <- s.leave() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("leave consumer group %s: %w", s.group, ctx.Err())
	}
}

func (s *source) leave() error {
	defer s.client.Close()
	if s.members == nil {
		return nil
	}
	s.cancel()
	err := s.members.Close()
	s.ended.Wait()
	if err != nil {
		return fmt.Errorf("leave consumer group %s: %w", s.group, err)
	}
	return nil
}

func (s *source) fail(err error) {
	select {
	case s.failed <- err:
	default: // the first one counts
	}
}

// pause waits; false: ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
