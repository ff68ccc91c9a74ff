package kafkastore

import "github.com/freshet-io/freshet/kafkaclient"

// WorkerOptions reads Topic, Partitions, Replication and Settings from a worker's offset.storage.* properties
// (Kafka Connect, DistributedConfig): 25 partitions unless said otherwise. Topic is empty when it is not named.
func WorkerOptions(worker map[string]string) (Options, error) {
	t, err := kafkaclient.StorageTopic(worker, "offset.storage.", kafkaclient.LogOptions{Partitions: 25, Replication: -1})
	return Options{Topic: t.Topic, Partitions: t.Partitions, Replication: t.Replication, Settings: t.Settings}, err
}
