package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/offsets"
)

// member is this source in one generation of its group.
type member struct {
	session sarama.ConsumerGroupSession
	shares  map[offsets.Partition]*share
	read    chan struct{} // closed when nothing is read any more
	open    bool          // batches may still be delivered (source.mu)
	polled  bool          // some were (source.mu)
}

// parked is the client of a consumer group that joins and reads nothing: the goroutine of a claim whose partition cannot be read waits
// for that until its generation ends. Records are read by kafkaclient.Reader, which is bounded in bytes (I5).
type parked struct{ sarama.Client }

// PartitionNotReadable implements sarama.Client.
func (parked) PartitionNotReadable(string, int32) bool { return true }

const (
	missing   = time.Second      // between two looks for topics that are not there
	lookAgain = 30 * time.Second // at most, between two looks whether topics are still the same
	rejoin    = time.Second      // between two attempts to join
)

// take is the goroutine "group": it joins one generation after the other until ctx ends.
func (s *source) take(ctx context.Context) {
	for ctx.Err() == nil {
		topics, err := s.present(ctx)
		if err == nil {
			s.tell(topics)
		}
		if err == nil && len(topics) == 0 {
			pause(ctx, missing)
			continue
		}
		if err == nil {
			names := slices.Sorted(maps.Keys(topics))
			watch, changed := context.WithCancel(ctx)
			done := make(chan struct{})
			go func() { defer close(done); s.watch(watch, topics, changed) }()
			err = s.members.Consume(watch, names, group{s, topics, changed})
			changed()
			<-done
		}
		switch {
		case err == nil, ctx.Err() != nil:
		case errors.Is(err, sarama.ErrClosedConsumerGroup):
			return
		case hopeless(err):
			s.fail(connectors.AsPermanent(fmt.Errorf("read topics as consumer group %s: %w", s.group, err)))
			return
		default:
			s.log.Warn("the consumer group was not joined; trying again", "group", s.group, "error", err)
			pause(ctx, rejoin)
		}
	}
}

// hopeless tells that no later attempt to join can succeed. Most of what a coordinator refuses passes with the next one.
func hopeless(err error) bool {
	for _, k := range []sarama.KError{
		sarama.ErrGroupAuthorizationFailed, sarama.ErrTopicAuthorizationFailed, sarama.ErrInvalidTopic, sarama.ErrInvalidGroupId,
		sarama.ErrInvalidSessionTimeout, sarama.ErrInconsistentGroupProtocol, sarama.ErrFencedInstancedId,
	} {
		if errors.Is(err, k) {
			return true
		}
	}
	return errors.Is(err, kafkaclient.ErrLogin) || connectors.ClassOf(err) == connectors.Permanent
}

// report logs what the client cannot tell otherwise, until the group is closed.
func (s *source) report() {
	for err := range s.members.Errors() {
		s.log.Warn("reading topics", "group", s.group, "error", err)
	}
}

// present finds the topics to read that there are, and their ids.
func (s *source) present(ctx context.Context) (map[string]string, error) {
	if s.pattern == nil {
		return s.client.Existing(ctx, s.config.Sarama().Metadata.AllowAutoTopicCreation, s.topics...)
	}
	all, err := s.client.Existing(ctx, false)
	maps.DeleteFunc(all, func(name, _ string) bool { return !s.pattern.MatchString(name) })
	return all, err
}

// tell logs what is waited for, when that is something else than before.
func (s *source) tell(topics map[string]string) {
	away := slices.DeleteFunc(slices.Clone(s.topics), func(name string) bool { _, there := topics[name]; return there })
	waits := strings.Join(away, ", ")
	if s.pattern != nil && len(topics) == 0 {
		waits = "any that topics.regex matches: " + s.pattern.String()
	}
	if waits != "" && waits != s.waits {
		s.log.Warn("topics are not there, or may not be described; each is read from when it is", "topics", waits, "group", s.group)
	}
	s.waits = waits
}

// watch ends a generation when other topics are to be read than those that it began with, or one was made again. It looks now and then,
// and when the reader finds a topic changed.
func (s *source) watch(ctx context.Context, topics map[string]string, changed func()) {
	every := s.config.Sarama().Metadata.RefreshFrequency
	if s.pattern == nil && len(topics) < len(s.topics) {
		every = missing
	}
	for {
		var tick <-chan time.Time
		if every > 0 {
			tick = time.After(min(every, lookAgain))
		}
		asked := false
		select {
		case <-tick:
		case <-s.look:
			asked = true
		case <-ctx.Done():
			return
		}
		now, err := s.present(ctx)
		if err == nil && s.others(topics, now) || err != nil && asked && hopeless(err) { // the next attempt to join tells of the error
			changed()
			return
		}
	}
}

// others tells that there are topics now which a generation does not read. That a named one is away, as it is for a broker that has just
// started, changes nothing.
func (s *source) others(before, now map[string]string) bool {
	for name, id := range now {
		if old, known := before[name]; !known || old != id && old != "" && id != "" {
			return true
		}
	}
	return s.pattern != nil && len(now) < len(before)
}

// group hears of assignments (sarama.ConsumerGroupHandler).
type group struct {
	*source
	ids   map[string]string // of the topics
	again func()            // ends the generation; the next one looks where everything is
}

// Setup begins a generation.
func (g group) Setup(session sarama.ConsumerGroupSession) error {
	m := &member{session: session, shares: map[offsets.Partition]*share{}, read: make(chan struct{}), open: true}
	var list []offsets.Partition
	for topic, partitions := range session.Claims() {
		for _, n := range partitions {
			p := &share{of: m, at: kafkaclient.TopicPartition{Topic: topic, Partition: n}, resume: make(chan struct{}, 1)}
			var err error
			if p.partition, err = partitionOf(p.at); err != nil {
				return connectors.AsPermanent(err)
			}
			m.shares[p.partition] = p
			list = append(list, p.partition)
		}
	}
	starts := map[offsets.Partition]beginning{}
	if len(list) > 0 {
		var err error
		if starts, err = g.place(session.Context(), m, list); err != nil {
			return err
		}
	}
	g.mu.Lock()
	g.member = m
	g.mu.Unlock()
	reader := g.reader(m, list, starts)
	go func() { defer close(m.read); reader.Run(session.Context()) }()
	return nil
}

// ConsumeClaim implements sarama.ConsumerGroupHandler. It is not called: see parked.
func (g group) ConsumeClaim(session sarama.ConsumerGroupSession, _ sarama.ConsumerGroupClaim) error {
	<-session.Context().Done()
	return nil
}

// Cleanup ends a generation: what was polled is made durable and committed before others get the partitions.
func (g group) Cleanup(session sarama.ConsumerGroupSession) error {
	g.mu.Lock()
	m := g.member
	if m != nil {
		m.open = false
	}
	g.mu.Unlock()
	if m != nil {
		<-m.read
	}
	if m != nil && m.polled {
		ctx, cancel := context.WithTimeout(g.running, g.config.Sarama().Consumer.Group.Rebalance.Timeout)
		defer cancel()
		if err := g.settle(ctx, m); err != nil && g.running.Err() == nil && !errors.Is(err, connectors.ErrStopped) {
			g.log.Warn("partitions are given away before all that was read of them is durable; their next owner reads the rest again", "error", err)
		}
	}
	g.mu.Lock()
	g.member = nil
	g.mu.Unlock()
	return nil
}

// settle drains until no batch of this generation is on its way to the sinks.
func (s *source) settle(ctx context.Context, m *member) error {
	list := make([]offsets.Partition, 0, len(m.shares))
	for p := range m.shares {
		list = append(list, p)
	}
	for {
		s.mu.Lock()
		held, taken := s.inHand, s.taken
		s.mu.Unlock()
		if err := s.session.Drain(ctx, list...); err != nil || !held {
			return err
		}
		select {
		case <-taken:
		case <-time.After(10 * time.Millisecond): // a paused task takes nothing but by draining
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
