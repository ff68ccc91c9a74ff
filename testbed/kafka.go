package testbed

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Kafka is a broker in a container: one node, plain text, topics made on first use.
type Kafka struct{ *server }

// StartKafka starts a broker for this test alone.
func StartKafka(t testing.TB) *Kafka {
	t.Helper()
	return run(t, startKafka)
}

// StartKafkaBehind starts a broker that tells its clients another address than its own, such as a proxy's: they come back
// through it whatever they connect to first.
func StartKafkaBehind(t testing.TB, address string) *Kafka {
	t.Helper()
	return run(t, func(ctx context.Context, e *engine) (*Kafka, error) { return startKafkaAt(ctx, e, address) })
}

// StartKafkaWithDoors starts a broker with further ways in, each of which tells its clients an address of its own, such as a proxy's:
// clients can be cut off one by one.
func StartKafkaWithDoors(t testing.TB, addresses ...string) *Kafka {
	t.Helper()
	return run(t, func(ctx context.Context, e *engine) (*Kafka, error) { return startKafkaAt(ctx, e, "", addresses...) })
}

// Doors are the addresses behind which the further ways in are, in order.
func (k *Kafka) Doors() []string {
	var out []string
	for _, port := range k.more {
		out = append(out, net.JoinHostPort(k.Host(), strconv.Itoa(port)))
	}
	return out
}

func startKafka(ctx context.Context, e *engine) (*Kafka, error) { return startKafkaAt(ctx, e, "") }

func startKafkaAt(ctx context.Context, e *engine, advertised string, doors ...string) (*Kafka, error) {
	var more []string
	for i := range doors {
		more = append(more, strconv.Itoa(firstDoor+i)+"/tcp")
	}
	s, err := e.start(ctx, spec{
		server: "kafka",
		inside: "9092/tcp",
		more:   more,
		environment: func(host string, port int) map[string]string {
			address := advertised
			if address == "" {
				address = net.JoinHostPort(host, strconv.Itoa(port))
			}
			return kafkaEnvironment(address, doors)
		},
		ready: kafkaReady,
	})
	if err != nil {
		return nil, err
	}
	return &Kafka{s}, nil
}

// kafkaEnvironment has two listeners: clients come by the published port, the broker reaches itself inside its container.
// A broker that cannot do the latter refuses transactions.
func kafkaEnvironment(advertised string, doors []string) map[string]string {
	env := kafkaSettings(1, 1)
	maps.Copy(env, map[string]string{
		"KAFKA_NODE_ID":                        "1",
		"KAFKA_CONTROLLER_QUORUM_VOTERS":       "1@localhost:9093",
		"KAFKA_LISTENERS":                      "CLIENT://:9092,BROKER://:19092,CONTROLLER://:9093",
		"KAFKA_ADVERTISED_LISTENERS":           "CLIENT://" + advertised + ",BROKER://localhost:19092",
		"KAFKA_INTER_BROKER_LISTENER_NAME":     "BROKER",
		"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CLIENT:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
	})
	for i, address := range doors {
		door := "DOOR" + strconv.Itoa(i)
		env["KAFKA_LISTENERS"] += fmt.Sprintf(",%s://:%d", door, firstDoor+i)
		env["KAFKA_ADVERTISED_LISTENERS"] += "," + door + "://" + address
		env["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"] += "," + door + ":PLAINTEXT"
	}
	return env
}

// kafkaSettings are those of every broker: how many replicas a partition has, and how many a write needs.
func kafkaSettings(replicas, inSync int) map[string]string {
	env := map[string]string{
		"KAFKA_PROCESS_ROLES":                                               "broker,controller",
		"KAFKA_CONTROLLER_LISTENER_NAMES":                                   "CONTROLLER",
		"KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS":                                "4",
		"KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS":                        "4",
		"KAFKA_TRANSACTION_ABORT_TIMED_OUT_TRANSACTION_CLEANUP_INTERVAL_MS": "1000",
		"KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS":                            "0",
		"KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS":                                "1000",
		"KAFKA_MESSAGE_MAX_BYTES":                                           "20000000",
		"KAFKA_REPLICA_FETCH_MAX_BYTES":                                     "20000000",
		"KAFKA_LOG_RETENTION_MS":                                            "-1",
	}
	for _, topic := range []string{"DEFAULT", "OFFSETS_TOPIC", "TRANSACTION_STATE_LOG", "SHARE_COORDINATOR_STATE_TOPIC"} {
		env["KAFKA_"+topic+"_REPLICATION_FACTOR"] = strconv.Itoa(replicas)
	}
	for _, of := range []string{"MIN_INSYNC_REPLICAS", "TRANSACTION_STATE_LOG_MIN_ISR", "SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR"} {
		env["KAFKA_"+of] = strconv.Itoa(inSync)
	}
	return env
}

const firstDoor = 9100 // port in the container

// kafkaReady succeeds when the broker at the address answers and has a controller. It asks over one plain connection, as the
// advertised address may not be reachable yet.
func kafkaReady(ctx context.Context, address string) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.DialTimeout(2*time.Second))
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	defer c.Close()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return fmt.Errorf("ask for metadata: %w", err)
	}
	if len(resp.Brokers) == 0 || resp.ControllerID < 0 {
		return errors.New("the broker is not registered yet")
	}
	return nil
}

// Bootstrap is the value of bootstrap.servers.
func (k *Kafka) Bootstrap() string { return k.Address() }

// Client makes a client that is closed at the end of the test.
func (k *Kafka) Client(t testing.TB, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(k.Address())}, options...)...)
	if err != nil {
		t.Fatalf("make a Kafka client: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// NewTopic creates a topic with a name of its own.
func (k *Kafka) NewTopic(t testing.TB, partitions int32, configs map[string]string) string {
	t.Helper()
	name := fmt.Sprintf("t%08x", rand.Uint32())
	k.CreateTopic(t, name, partitions, configs)
	return name
}

// CreateTopic creates a topic.
func (k *Kafka) CreateTopic(t testing.TB, name string, partitions int32, configs map[string]string) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(k.Address()))
	if err != nil {
		t.Fatalf("make a Kafka client: %v", err)
	}
	defer c.Close()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
	for key, value := range configs {
		config := kmsg.NewCreateTopicsRequestTopicConfig()
		config.Name, config.Value = key, &value
		topic.Configs = append(topic.Configs, config)
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(t.Context(), c)
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	if err != nil {
		t.Fatalf("create topic %s: %v", name, err)
	}
}

// MakeTopicAgain deletes a topic and waits until another one has its name: this one's, or one that the broker made for a reader who asked
// for it.
func (k *Kafka) MakeTopicAgain(t testing.TB, name string, partitions int32) {
	t.Helper()
	c := k.Client(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	look := func() kmsg.MetadataResponseTopic {
		ask := kmsg.NewPtrMetadataRequest()
		ask.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
		answer, err := ask.RequestWith(ctx, c)
		if err != nil {
			t.Fatalf("look for topic %s: %v", name, err)
		}
		return answer.Topics[0]
	}
	old := look().TopicID
	remove := kmsg.NewPtrDeleteTopicsRequest()
	remove.TimeoutMillis = 10_000
	remove.TopicNames = []string{name}
	remove.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: &name}}
	if _, err := remove.RequestWith(ctx, c); err != nil {
		t.Fatalf("delete topic %s: %v", name, err)
	}
	again := kmsg.NewPtrCreateTopicsRequest()
	again.TimeoutMillis = 10_000
	again.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: name, NumPartitions: partitions, ReplicationFactor: 1}}
	for tick := time.NewTicker(50 * time.Millisecond); ; { // the name is free when the deletion is through
		if _, err := again.RequestWith(ctx, c); err != nil {
			t.Fatalf("create topic %s: %v", name, err)
		}
		now := look()
		if now.ErrorCode == 0 && now.TopicID != old {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("topic %s has error %d and id %x, which was %x", name, now.ErrorCode, now.TopicID, old)
		}
	}
}

// AlterTopic sets one setting of a topic.
func (k *Kafka) AlterTopic(t testing.TB, name, key, value string) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(k.Address()))
	if err != nil {
		t.Fatalf("make a Kafka client: %v", err)
	}
	defer c.Close()
	config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	config.Name, config.Value = key, &value
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, name
	resource.Configs = append(resource.Configs, config)
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Resources = append(req.Resources, resource)
	resp, err := req.RequestWith(t.Context(), c)
	if err == nil {
		err = kerr.ErrorForCode(resp.Resources[0].ErrorCode)
	}
	if err != nil {
		t.Fatalf("set %s of topic %s: %v", key, name, err)
	}
}

// Read returns every record of the topics that are there and that is committed by now, in topic, partition and offset order.
func (k *Kafka) Read(t testing.TB, topics ...string) []*kgo.Record {
	t.Helper()
	records, err := ReadCommitted(t.Context(), k.Address(), topics)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// WaitRecords reads the topics until they hold at least n committed records.
func (k *Kafka) WaitRecords(t testing.TB, n int, within time.Duration, topics ...string) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	var records []*kgo.Record
	err := poll(ctx, func() (bool, error) {
		var err error
		records, err = ReadTopics(ctx, k.Address(), topics)
		if err != nil {
			return false, retryable{err}
		}
		return len(records) >= n, nil
	})
	if err != nil {
		t.Fatalf("%s: %d of %d records within %s: %v", strings.Join(topics, ","), len(records), n, within, err)
	}
	return records
}

// Kill ends the broker as kill -9 does.
func (k *Kafka) Kill(t testing.TB) {
	t.Helper()
	if err := k.kill(t.Context()); err != nil {
		t.Fatalf("kill Kafka: %v", err)
	}
}

// Stop ends the broker as SIGTERM does, and waits for its end.
func (k *Kafka) Stop(t testing.TB) {
	t.Helper()
	if err := k.stop(t.Context()); err != nil {
		t.Fatalf("stop Kafka: %v", err)
	}
}

// Restart starts a killed broker again, on the same port.
func (k *Kafka) Restart(t testing.TB) {
	t.Helper()
	if err := k.restart(t.Context(), kafkaReady); err != nil {
		t.Fatalf("restart Kafka: %v", err)
	}
}
