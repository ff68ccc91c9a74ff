package kafkaclient

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// TopicInfo is what the cluster says of a topic.
type TopicInfo struct {
	Name        string
	Partitions  []int32
	Replication int // of the first partition
}

// NewTopic describes a topic to create; -1 partitions or replicas are the broker's default.
type NewTopic struct {
	Name        string
	Partitions  int32
	Replication int16
	Settings    map[string]string
}

// Describe looks a topic up without creating it; ErrTopicMissing when there is none.
func (s *Session) Describe(ctx context.Context, topic string) (TopicInfo, error) {
	info := TopicInfo{Name: topic}
	err := s.ask(ctx, func(b *sarama.Broker) error {
		req := sarama.NewMetadataRequest(sarama.V2_8_0_0, []string{topic})
		req.AllowAutoTopicCreation = false
		resp, err := b.GetMetadata(req)
		if err != nil {
			return err
		}
		for _, t := range resp.Topics {
			if t.Name != topic {
				continue
			}
			// A partition without a leader for the moment exists all the same.
			if t.Err != sarama.ErrNoError && t.Err != sarama.ErrLeaderNotAvailable {
				return t.Err
			}
			info.Partitions = info.Partitions[:0]
			for _, p := range t.Partitions {
				info.Partitions = append(info.Partitions, p.ID)
				info.Replication = len(p.Replicas)
			}
			return nil
		}
		return sarama.ErrUnknownTopicOrPartition
	})
	if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		err = ErrTopicMissing
	}
	if err != nil {
		return TopicInfo{}, fmt.Errorf("describe topic %s: %w", topic, explain(err))
	}
	return info, nil
}

// Create makes a topic and waits until it can be seen; one that exists already is left as it is.
func (s *Session) Create(ctx context.Context, t NewTopic) error {
	detail := &sarama.TopicDetail{NumPartitions: t.Partitions, ReplicationFactor: t.Replication, ConfigEntries: map[string]*string{}}
	for k, v := range t.Settings {
		detail.ConfigEntries[k] = &v
	}
	err := s.askController(ctx, func(b *sarama.Broker) error {
		resp, err := b.CreateTopics(&sarama.CreateTopicsRequest{
			Version: 5, Timeout: 30 * time.Second, TopicDetails: map[string]*sarama.TopicDetail{t.Name: detail},
		})
		if err != nil {
			return err
		}
		te := resp.TopicErrors[t.Name]
		switch {
		case te == nil:
			return sarama.ErrIncompleteResponse
		case te.Err == sarama.ErrNoError, te.Err == sarama.ErrTopicAlreadyExists:
			return nil
		case te.ErrMsg != nil && *te.ErrMsg != "":
			return fmt.Errorf("%w: %s", te.Err, *te.ErrMsg)
		}
		return te.Err
	})
	if err != nil {
		return fmt.Errorf("create topic %s with %d partitions and replication factor %d: %w", t.Name, t.Partitions, t.Replication, explain(err))
	}
	for {
		_, err := s.Describe(ctx, t.Name)
		if !errors.Is(err, ErrTopicMissing) {
			return err
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("wait for the new topic %s: %w", t.Name, err)
		}
	}
}

// Settings returns a topic's configuration.
func (s *Session) Settings(ctx context.Context, topic string) (map[string]string, error) {
	settings := map[string]string{}
	err := s.ask(ctx, func(b *sarama.Broker) error {
		resp, err := b.DescribeConfigs(&sarama.DescribeConfigsRequest{
			Version: 1, Resources: []*sarama.ConfigResource{{Type: sarama.TopicResource, Name: topic}},
		})
		if err != nil {
			return err
		}
		for _, r := range resp.Resources {
			if r.ErrorCode != 0 {
				return sarama.KError(r.ErrorCode)
			}
			for _, e := range r.Configs {
				settings[e.Name] = e.Value
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the settings of topic %s: %w", topic, explain(err))
	}
	return settings, nil
}

// Bounds returns the first offset of a partition, and the one behind its last record.
func (s *Session) Bounds(ctx context.Context, topic string, partition int32) (first, end int64, err error) {
	r := &logReader{client: s.client, topic: topic}
	if first, end, err = r.bounds(ctx, partition); err != nil {
		return 0, 0, fmt.Errorf("look up the bounds of topic %s, partition %d: %w", topic, partition, explain(err))
	}
	return first, end, nil
}

// ask sends a request to any broker, a few times.
func (s *Session) ask(ctx context.Context, call func(*sarama.Broker) error) error {
	return s.attempts(ctx, func() (*sarama.Broker, error) {
		b := s.client.LeastLoadedBroker()
		if b == nil {
			return nil, sarama.ErrOutOfBrokers
		}
		return b, nil
	}, call)
}

func (s *Session) askController(ctx context.Context, call func(*sarama.Broker) error) error {
	return s.attempts(ctx, s.client.Controller, call)
}

func (s *Session) attempts(ctx context.Context, choose func() (*sarama.Broker, error), call func(*sarama.Broker) error) error {
	for attempt := 1; ; attempt++ {
		_, err := wait(ctx, func() (struct{}, error) {
			b, err := choose()
			if err != nil {
				return struct{}{}, err
			}
			generation := s.generation(b)
			if err = call(b); err != nil {
				if _, answered := asKError(err); !answered {
					s.drop(b, generation)
				} else if errors.Is(err, sarama.ErrNotController) {
					_, _ = s.client.RefreshController() // the next attempt tells
				}
			}
			return struct{}{}, err
		})
		if err == nil || errors.Is(err, sarama.ErrUnknownTopicOrPartition) || !retriable(err) || ctx.Err() != nil || attempt == 5 {
			return err
		}
		if serr := sleep(ctx, time.Duration(attempt)*50*time.Millisecond); serr != nil {
			return errors.Join(serr, err)
		}
	}
}
