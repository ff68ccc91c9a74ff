package testbed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TopicPartition names a partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Partitions lists the topics of a broker with their partition counts.
func Partitions(ctx context.Context, c *kgo.Client) (map[string]int32, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = nil
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	out := map[string]int32{}
	for _, t := range resp.Topics {
		if t.ErrorCode == 0 && t.Topic != nil {
			out[*t.Topic] = int32(len(t.Partitions))
		}
	}
	return out, nil
}

// EndOffsets gives for every partition of the topics that are there the offset after its last committed record.
func EndOffsets(ctx context.Context, c *kgo.Client, topics []string) (map[TopicPartition]int64, error) {
	there, err := Partitions(ctx, c)
	if err != nil {
		return nil, err
	}
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.IsolationLevel = -1, 1
	for _, name := range topics {
		if there[name] == 0 {
			continue
		}
		topic := kmsg.NewListOffsetsRequestTopic()
		topic.Topic = name
		for p := range there[name] {
			partition := kmsg.NewListOffsetsRequestTopicPartition()
			partition.Partition, partition.Timestamp = p, -1
			topic.Partitions = append(topic.Partitions, partition)
		}
		req.Topics = append(req.Topics, topic)
	}
	out := map[TopicPartition]int64{}
	if len(req.Topics) == 0 {
		return out, nil
	}
	for _, shard := range c.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return nil, fmt.Errorf("ask for end offsets: %w", shard.Err)
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return nil, fmt.Errorf("ask for the end offset of %s[%d]: %w", t.Topic, p.Partition, err)
				}
				out[TopicPartition{t.Topic, p.Partition}] = p.Offset
			}
		}
	}
	return out, nil
}

// ReadCommitted is ReadTopics with everything that is committed by now.
func ReadCommitted(ctx context.Context, bootstrap string, topics []string) ([]*kgo.Record, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		return nil, fmt.Errorf("make a Kafka client: %w", err)
	}
	markersWritten(ctx, c)
	c.Close()
	return ReadTopics(ctx, bootstrap, topics)
}

// CommittedEnds is EndOffsets behind everything that is committed by now.
func CommittedEnds(ctx context.Context, c *kgo.Client, topics []string) (map[TopicPartition]int64, error) {
	markersWritten(ctx, c)
	return EndOffsets(ctx, c, topics)
}

// ReadTopics returns every record of the topics that are there that a reader of committed records sees, in topic, partition and offset order.
func ReadTopics(ctx context.Context, bootstrap string, topics []string) ([]*kgo.Record, error) {
	admin, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		return nil, fmt.Errorf("make a Kafka client: %w", err)
	}
	defer admin.Close()
	ends, err := EndOffsets(ctx, admin, topics)
	if err != nil {
		return nil, err
	}
	from := map[string]map[int32]kgo.Offset{}
	for tp, end := range ends {
		if end == 0 {
			delete(ends, tp)
			continue
		}
		if from[tp.Topic] == nil {
			from[tp.Topic] = map[int32]kgo.Offset{}
		}
		from[tp.Topic][tp.Partition] = kgo.NewOffset().AtStart()
	}
	if len(ends) == 0 {
		return nil, nil
	}
	// Control records show how far a partition was read when a transaction's marker is its last entry.
	c, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), kgo.FetchMaxPartitionBytes(50<<20))
	if err != nil {
		return nil, fmt.Errorf("make a Kafka consumer: %w", err)
	}
	defer c.Close()
	var records []*kgo.Record
	for len(ends) > 0 {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return nil, fmt.Errorf("read topics: %w", err)
		}
		var errs []error
		fetches.EachError(func(topic string, p int32, err error) {
			errs = append(errs, fmt.Errorf("read %s[%d]: %w", topic, p, err))
		})
		if err := errors.Join(errs...); err != nil {
			return nil, err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			tp := TopicPartition{r.Topic, r.Partition}
			end, open := ends[tp]
			if !open {
				return
			}
			if !r.Attrs.IsControl() {
				records = append(records, r)
			}
			if r.Offset >= end-1 {
				delete(ends, tp)
			}
		})
	}
	slices.SortStableFunc(records, func(a, b *kgo.Record) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return records, nil
}

// markersWithin is how long the markers of transactions may take. A broker that is alone loses them when it starts (docs/cluster.md,
// "Limits"): those are not waited for without end.
const markersWithin = 10 * time.Second

// markersWritten waits for the markers of the transactions that are committed by now: a broker answers who commits before it has written
// them, and until then nobody sees what was committed.
func markersWritten(ctx context.Context, c *kgo.Client) {
	ctx, cancel := context.WithTimeout(ctx, markersWithin)
	defer cancel()
	var missing map[string]bool
	_ = poll(ctx, func() (bool, error) { // what is missing all the same is told by whoever reads
		now := map[string]bool{}
		req := kmsg.NewPtrListTransactionsRequest()
		req.StateFilters = []string{"PrepareCommit"}
		for _, shard := range c.RequestSharded(ctx, req) {
			if shard.Err != nil { // a broker that is away has none to write
				continue
			}
			for _, tx := range shard.Resp.(*kmsg.ListTransactionsResponse).TransactionStates {
				now[tx.TransactionalID] = true
			}
		}
		if missing == nil {
			missing = now
		}
		maps.DeleteFunc(missing, func(id string, _ bool) bool { return !now[id] })
		return len(missing) == 0, nil
	})
}

// DeleteTopics deletes topics and waits until they are gone.
func DeleteTopics(ctx context.Context, c *kgo.Client, topics []string) error {
	if len(topics) == 0 {
		return nil
	}
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = 20_000
	for _, name := range topics {
		topic := kmsg.NewDeleteTopicsRequestTopic()
		topic.Topic = &name
		req.Topics, req.TopicNames = append(req.Topics, topic), append(req.TopicNames, name)
	}
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return fmt.Errorf("delete topics: %w", err)
	}
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
			return fmt.Errorf("delete topics: %w", err)
		}
	}
	return poll(ctx, func() (bool, error) {
		there, err := Partitions(ctx, c)
		if err != nil {
			return false, err
		}
		return !slices.ContainsFunc(topics, func(name string) bool { return there[name] > 0 }), nil
	})
}

// TopicConfigs gives the settings that were set on each topic itself.
func TopicConfigs(ctx context.Context, c *kgo.Client, topics []string) (map[string]map[string]string, error) {
	out := map[string]map[string]string{}
	if len(topics) == 0 {
		return out, nil
	}
	req := kmsg.NewPtrDescribeConfigsRequest()
	for _, name := range topics {
		resource := kmsg.NewDescribeConfigsRequestResource()
		resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, name
		req.Resources = append(req.Resources, resource)
	}
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("describe topics: %w", err)
	}
	for _, r := range resp.Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return nil, fmt.Errorf("describe topic %s: %w", r.ResourceName, err)
		}
		configs := map[string]string{}
		for _, config := range r.Configs {
			if config.Source == kmsg.ConfigSourceDynamicTopicConfig && config.Value != nil {
				configs[config.Name] = *config.Value
			}
		}
		out[r.ResourceName] = configs
	}
	return out, nil
}
