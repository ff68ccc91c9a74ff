package kafkaclient

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/IBM/sarama"
)

// TopicPartition names one partition of a topic.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// GroupOffset is what a consumer group has committed for a partition.
type GroupOffset struct {
	Next     int64  // where it is read on
	Metadata string // what the member that committed it added
}

// GroupMember is who commits offsets of a consumer group.
type GroupMember struct {
	ID         string
	Instance   string // group.instance.id; "" for none
	Generation int32
}

// NoMember commits while a group has no members.
func NoMember() GroupMember { return GroupMember{Generation: sarama.GroupGenerationUndefined} }

// ErrGroupLost: the coordinator does not know this member, or not any more: others may have its partitions.
var ErrGroupLost = errors.New("it is not a member of this generation of the consumer group")

// ErrGroupBusy: the consumer group has members, so its offsets cannot be changed from outside.
var ErrGroupBusy = errors.New("the consumer group has members")

// GroupOffsets returns what a consumer group has committed. A group that is not known has none.
func (s *Session) GroupOffsets(ctx context.Context, group string) (map[TopicPartition]GroupOffset, error) {
	out := map[TopicPartition]GroupOffset{}
	err := s.askCoordinator(ctx, group, func(b *sarama.Broker) error {
		resp, err := b.FetchOffset(sarama.NewOffsetFetchRequest(s.client.Config().Version, group, nil))
		if err != nil {
			return err
		}
		if e := resp.GroupError(); e != sarama.ErrNoError {
			return e
		}
		clear(out)
		blocks := resp.Blocks
		if g := resp.GetGroup(group); g != nil {
			blocks = g.Blocks
		}
		for topic, partitions := range blocks {
			for partition, at := range partitions {
				if at.Err != sarama.ErrNoError {
					return at.Err
				}
				if at.Offset >= 0 {
					out[TopicPartition{topic, partition}] = GroupOffset{at.Offset, at.Metadata}
				}
			}
		}
		return nil
	})
	if errors.Is(err, sarama.ErrGroupIDNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the offsets of consumer group %s: %w", group, explain(err))
	}
	return out, nil
}

// CommitGroup stores where partitions are read on. ErrGroupLost for a member, ErrGroupBusy for NoMember: the group has others.
func (s *Session) CommitGroup(ctx context.Context, group string, m GroupMember, at map[TopicPartition]GroupOffset) error {
	err := s.askCoordinator(ctx, group, func(b *sarama.Broker) error {
		req := sarama.NewOffsetCommitRequest(s.client.Config(), group)
		req.ConsumerID, req.ConsumerGroupGeneration = m.ID, m.Generation
		if m.Instance != "" {
			req.GroupInstanceId = &m.Instance
		}
		for p, o := range at {
			req.AddBlockWithLeaderEpoch(p.Topic, p.Partition, o.Next, -1, 0, o.Metadata)
		}
		resp, err := b.CommitOffset(req)
		if err != nil {
			return err
		}
		return firstError(resp.Errors)
	})
	switch {
	case err == nil:
		return nil
	case isOneOf(err, sarama.ErrUnknownMemberId, sarama.ErrIllegalGeneration, sarama.ErrRebalanceInProgress, sarama.ErrFencedInstancedId):
		known := ErrGroupLost
		if m.ID == "" {
			known = ErrGroupBusy
		}
		err = fmt.Errorf("%w: %w", known, err)
	}
	return fmt.Errorf("commit offsets of consumer group %s: %w", group, explain(err))
}

// DeleteGroupOffsets forgets what an empty group has committed for these partitions; ErrGroupBusy when it is not empty.
func (s *Session) DeleteGroupOffsets(ctx context.Context, group string, list []TopicPartition) error {
	err := s.askCoordinator(ctx, group, func(b *sarama.Broker) error {
		req := &sarama.DeleteOffsetsRequest{Group: group}
		for _, p := range list {
			req.AddPartition(p.Topic, p.Partition)
		}
		resp, err := b.DeleteOffsets(req)
		if err != nil {
			return err
		}
		if resp.ErrorCode != sarama.ErrNoError {
			return resp.ErrorCode
		}
		return firstError(resp.Errors)
	})
	return groupChanged("delete offsets of", group, err)
}

// DeleteGroup forgets an empty group with all of its offsets; ErrGroupBusy when it is not empty. One that is not there is no error.
func (s *Session) DeleteGroup(ctx context.Context, group string) error {
	err := s.askCoordinator(ctx, group, func(b *sarama.Broker) error {
		resp, err := b.DeleteGroups(&sarama.DeleteGroupsRequest{Version: 2, Groups: []string{group}})
		if err != nil {
			return err
		}
		e, ok := resp.GroupErrorCodes[group]
		switch {
		case !ok:
			return sarama.ErrIncompleteResponse
		case e != sarama.ErrNoError:
			return e
		}
		return nil
	})
	return groupChanged("delete", group, err)
}

func groupChanged(what, group string, err error) error {
	switch {
	case err == nil, isOneOf(err, sarama.ErrGroupIDNotFound):
		return nil
	case isOneOf(err, sarama.ErrNonEmptyGroup, sarama.ErrGroupSubscribedToTopic):
		err = fmt.Errorf("%w: %w", ErrGroupBusy, err)
	}
	return fmt.Errorf("%s consumer group %s: %w", what, group, explain(err))
}

// RemoveStrays takes the members out of a consumer group that is not at rest: those that asked to join and never took their share, for
// they are gone. One that lives joins again. ErrGroupBusy: the group is at rest, so its members live.
func (s *Session) RemoveStrays(ctx context.Context, group string) error {
	err := s.askCoordinator(ctx, group, func(b *sarama.Broker) error {
		resp, err := b.DescribeGroups(&sarama.DescribeGroupsRequest{Version: 4, Groups: []string{group}})
		if err != nil {
			return err
		}
		if len(resp.Groups) != 1 {
			return sarama.ErrIncompleteResponse
		}
		if e := resp.Groups[0].Err; e != sarama.ErrNoError {
			return e
		}
		if resp.Groups[0].State == "Stable" {
			return ErrGroupBusy
		}
		req := &sarama.LeaveGroupRequest{Version: 4, GroupId: group}
		for id := range resp.Groups[0].Members {
			req.Members = append(req.Members, sarama.MemberIdentity{MemberId: id})
		}
		if len(req.Members) == 0 {
			return nil
		}
		left, err := b.LeaveGroup(req)
		if err != nil {
			return err
		}
		if left.Err != sarama.ErrNoError {
			return left.Err
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("remove the members of consumer group %s: %w", group, explain(err))
	}
	return nil
}

func isOneOf(err error, kinds ...sarama.KError) bool {
	return slices.ContainsFunc(kinds, func(k sarama.KError) bool { return errors.Is(err, k) })
}

// firstError is the error of one of the partitions, if any has one.
func firstError(all map[string]map[int32]sarama.KError) error {
	for _, partitions := range all {
		for _, e := range partitions {
			if e != sarama.ErrNoError {
				return e
			}
		}
	}
	return nil
}

// askCoordinator sends a request to the coordinator of a group, a few times.
func (s *Session) askCoordinator(ctx context.Context, group string, call func(*sarama.Broker) error) error {
	again := false
	return s.attempts(ctx, func() (*sarama.Broker, error) {
		if again {
			_ = s.client.RefreshCoordinator(group) // the next line tells
		}
		again = true
		return s.client.Coordinator(group)
	}, call)
}

// TopicID reads what Existing returns of a topic; "" gives the zero id.
func TopicID(text string) (id [16]byte) {
	if b, err := base64.RawURLEncoding.DecodeString(text); err == nil && len(b) == len(id) {
		copy(id[:], b)
	}
	return id
}

// Existing returns which of the named topics there are, each with its id as Kafka's tools show it, by which a topic that is deleted and
// made again is another one; "" from brokers that have none. The brokers may make those that are missing when create is set and their
// auto.create.topics.enable is. No names: every topic but Kafka's internal ones.
func (s *Session) Existing(ctx context.Context, create bool, names ...string) (map[string]string, error) {
	found := map[string]string{}
	err := s.ask(ctx, func(b *sarama.Broker) error {
		req := sarama.NewMetadataRequest(sarama.V2_8_0_0, names)
		req.AllowAutoTopicCreation = create && len(names) > 0
		resp, err := b.GetMetadata(req)
		if err != nil {
			return err
		}
		clear(found)
		for _, t := range resp.Topics {
			switch {
			case len(names) == 0 && t.IsInternal:
			case t.Err == sarama.ErrNoError, t.Err == sarama.ErrLeaderNotAvailable && len(t.Partitions) > 0:
				found[t.Name] = ""
				if t.Uuid != (sarama.Uuid{}) {
					found[t.Name] = t.Uuid.String()
				}
			case t.Err == sarama.ErrTopicAuthorizationFailed, t.Err == sarama.ErrInvalidTopic:
				return fmt.Errorf("topic %s: %w", t.Name, t.Err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for topics: %w", explain(err))
	}
	return found, nil
}
