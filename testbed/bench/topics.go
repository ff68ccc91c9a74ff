//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/freshet-io/freshet/testbed"
)

// topicsOfRun is how every topic of this run begins, but for those of offsets.
func topicsOfRun() string { return "bench_" }

// ends sums, per topic, the offsets after the last committed record. Without transactions that is the number of records.
func (s *servers) ends(ctx context.Context, topics ...string) (map[string]int64, error) {
	ends, err := testbed.EndOffsets(ctx, s.kafka, topics)
	if err != nil {
		return nil, err
	}
	out := map[string]int64{}
	for at, end := range ends {
		out[at.Topic] += end
	}
	return out, nil
}

// holds asks whether a topic, which may not be there yet, has so many committed records (markers of transactions count, too). The
// broker answers in the middle of what is measured, so it is asked little: not for all of its topics, and not again who leads the partitions.
func (s *servers) holds(topic string, records int) question {
	var leaders map[int32][]int32
	return func(ctx context.Context) (bool, error) {
		if leaders == nil {
			t, err := s.describe(ctx, topic)
			if refused := (*kerr.Error)(nil); errors.As(err, &refused) && refused.Retriable {
				return false, nil // it is not there, or is being made
			} else if err != nil {
				return false, err
			}
			leaders = map[int32][]int32{}
			for _, p := range t.Partitions {
				leaders[p.Leader] = append(leaders[p.Leader], p.Partition)
			}
		}
		sum := int64(0)
		for broker, partitions := range leaders {
			n, err := s.endsAt(ctx, broker, topic, partitions)
			if refused := (*kerr.Error)(nil); errors.As(err, &refused) && refused.Retriable {
				leaders = nil
				return false, nil
			} else if err != nil {
				return false, err
			}
			sum += n
		}
		return sum >= int64(records), nil
	}
}

// describe asks for one topic.
func (s *servers) describe(ctx context.Context, topic string) (kmsg.MetadataResponseTopic, error) {
	req := kmsg.NewPtrMetadataRequest()
	wanted := kmsg.NewMetadataRequestTopic()
	wanted.Topic = &topic
	req.Topics = append(req.Topics, wanted)
	there, err := req.RequestWith(ctx, s.kafka)
	if err == nil {
		err = kerr.ErrorForCode(there.Topics[0].ErrorCode)
	}
	if err != nil {
		return kmsg.MetadataResponseTopic{}, fmt.Errorf("ask for topic %s: %w", topic, err)
	}
	return there.Topics[0], nil
}

// endsAt sums the offsets after the last committed record of partitions that a broker leads.
func (s *servers) endsAt(ctx context.Context, broker int32, topic string, partitions []int32) (int64, error) {
	wanted := kmsg.NewListOffsetsRequestTopic()
	wanted.Topic = topic
	for _, id := range partitions {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = id, -1
		wanted.Partitions = append(wanted.Partitions, p)
	}
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.IsolationLevel, req.Topics = -1, 1, append(req.Topics, wanted)
	answer, err := s.kafka.Broker(int(broker)).Request(ctx, req)
	if err != nil {
		return 0, fmt.Errorf("ask for the end of topic %s: %w", topic, err)
	}
	sum := int64(0)
	for _, t := range answer.(*kmsg.ListOffsetsResponse).Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return 0, fmt.Errorf("ask for the end of topic %s: %w", topic, err)
			}
			sum += p.Offset
		}
	}
	return sum, nil
}

// createTopic makes a topic of one partition; policy is its cleanup.policy, delete or compact.
func (s *servers) createTopic(ctx context.Context, name, policy string) error {
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "cleanup.policy", Value: &policy}}
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 1, 1
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, s.kafka)
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("create topic %s: %w", name, err)
	}
	return nil
}

// deleteTopics deletes the topics of this process whose names begin so.
func (s *servers) deleteTopics(ctx context.Context, prefix string) error {
	there, err := testbed.Partitions(ctx, s.kafka)
	if err != nil {
		return err
	}
	var topics []string
	for topic := range there {
		if strings.HasPrefix(topic, prefix) && strings.Contains(topic, fmt.Sprintf("_%d_", os.Getpid())) {
			topics = append(topics, topic)
		}
	}
	return testbed.DeleteTopics(ctx, s.kafka, topics)
}

func kversionOf(ctx context.Context, c *kgo.Client) (*kversion.Versions, error) {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "freshet-bench", "1"
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("ask for the broker's version: %w", err)
	}
	return kversion.FromApiVersionsResponse(resp), nil
}

// count reads a topic to its end and counts records and bytes by the headers of their batches, aborted ones not left out: a run
// without faults has none. Nothing is decompressed or parsed.
func (s *servers) count(ctx context.Context, topic string) (records, bytes int64, err error) {
	t, err := s.describe(ctx, topic)
	if err != nil {
		return 0, 0, err
	}
	for _, p := range t.Partitions {
		n, size, err := s.countPartition(ctx, topic, t.TopicID, p)
		if err != nil {
			return 0, 0, err
		}
		records, bytes = records+n, bytes+size
	}
	return records, bytes, nil
}

func (s *servers) countPartition(ctx context.Context, topic string, id [16]byte, p kmsg.MetadataResponseTopicPartition) (records, bytes int64, err error) {
	for next := int64(0); ; {
		part := kmsg.NewFetchRequestTopicPartition()
		part.Partition, part.FetchOffset, part.PartitionMaxBytes = p.Partition, next, 32<<20
		wanted := kmsg.NewFetchRequestTopic()
		wanted.Topic, wanted.TopicID, wanted.Partitions = topic, id, append(wanted.Partitions, part)
		req := kmsg.NewPtrFetchRequest()
		req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch, req.IsolationLevel = 10, 1, 32<<20, -1, 1
		req.Topics = append(req.Topics, wanted)
		answer, err := s.kafka.Broker(int(p.Leader)).Request(ctx, req)
		if err != nil {
			return 0, 0, fmt.Errorf("read topic %s: %w", topic, err)
		}
		resp := answer.(*kmsg.FetchResponse)
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			return 0, 0, fmt.Errorf("read topic %s: %w", topic, err)
		}
		if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
			return 0, 0, fmt.Errorf("read topic %s: the answer is not about it", topic)
		}
		got := resp.Topics[0].Partitions[0]
		if err := kerr.ErrorForCode(got.ErrorCode); err != nil {
			return 0, 0, fmt.Errorf("read topic %s: %w", topic, err)
		}
		n, after, err := countBatches(got.RecordBatches)
		if err != nil {
			return 0, 0, fmt.Errorf("read topic %s: %w", topic, err)
		}
		if after <= next {
			return records, bytes, nil
		}
		records, bytes, next = records+n, bytes+int64(len(got.RecordBatches)), after
	}
}

// countBatches counts the records of whole record batches (format 2), markers of transactions left out, and returns the offset
// after the last batch. The last batch of a fetch may be cut off; it comes again.
func countBatches(b []byte) (records, after int64, err error) {
	const header = 61
	for len(b) >= header {
		size := 12 + int(int32(binary.BigEndian.Uint32(b[8:])))
		if b[16] != 2 || size < header {
			return 0, 0, errors.New("count records: not a record batch of format 2")
		}
		if size > len(b) {
			break
		}
		if control := binary.BigEndian.Uint16(b[21:])&(1<<5) != 0; !control {
			records += int64(binary.BigEndian.Uint32(b[57:]))
		}
		after = int64(binary.BigEndian.Uint64(b)) + int64(binary.BigEndian.Uint32(b[23:])) + 1
		b = b[size:]
	}
	return records, after, nil
}
