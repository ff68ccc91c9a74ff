package testbed

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// kafkas are brokers of one cluster.
type kafkas []*Kafka

// StartKafkas starts brokers of one cluster, in the host's network: every one has every partition, and a write needs all but one of
// them, so that one may be away at a time.
func StartKafkas(t testing.TB, n int) []*Kafka {
	t.Helper()
	return run(t, func(ctx context.Context, e *engine) (kafkas, error) { return startKafkas(ctx, e, n) })
}

// startKafkas starts them at the same time: none is ready before most of them are.
func startKafkas(ctx context.Context, e *engine, n int) (kafkas, error) {
	ports, err := freePorts(2 * n)
	if err != nil {
		return nil, err
	}
	var voters []string
	for i := range n {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", i+1, ports[2*i+1]))
	}
	all, failed := make(kafkas, n), make([]error, n)
	var starts sync.WaitGroup
	for i := range n {
		starts.Go(func() {
			s, err := e.start(ctx, spec{
				server: "kafka",
				ports:  ports[2*i : 2*i+2],
				environment: func(host string, port int) map[string]string {
					return memberEnvironment(i+1, n, host, port, ports[2*i+1], voters)
				},
				ready: kafkaReady,
			})
			if err != nil {
				failed[i] = err
				return
			}
			all[i] = &Kafka{s}
		})
	}
	starts.Wait()
	if err := errors.Join(failed...); err != nil {
		return nil, errors.Join(err, all.terminate(context.WithoutCancel(ctx)))
	}
	return all, nil
}

// memberEnvironment is that of one of n brokers. One that was killed is given up within seconds.
func memberEnvironment(id, n int, host string, port, controller int, voters []string) map[string]string {
	env := kafkaSettings(n, n-1)
	maps.Copy(env, map[string]string{
		"KAFKA_NODE_ID":                        strconv.Itoa(id),
		"KAFKA_CONTROLLER_QUORUM_VOTERS":       strings.Join(voters, ","),
		"KAFKA_LISTENERS":                      fmt.Sprintf("CLIENT://0.0.0.0:%d,CONTROLLER://127.0.0.1:%d", port, controller),
		"KAFKA_ADVERTISED_LISTENERS":           "CLIENT://" + net.JoinHostPort(host, strconv.Itoa(port)),
		"KAFKA_INTER_BROKER_LISTENER_NAME":     "CLIENT",
		"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"KAFKA_BROKER_SESSION_TIMEOUT_MS":      "6000",
		"KAFKA_BROKER_HEARTBEAT_INTERVAL_MS":   "500",
	})
	return env
}

// WaitInSync waits until every partition has all of its replicas, as the broker knows it: after a restart, before another one may go.
func WaitInSync(t testing.TB, k *Kafka) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	c := k.Client(t)
	err := poll(ctx, func() (bool, error) {
		resp, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, c)
		if err != nil {
			return false, retryable{err}
		}
		for _, topic := range resp.Topics {
			for _, p := range topic.Partitions {
				if len(p.ISR) < len(p.Replicas) {
					return false, retryable{fmt.Errorf("partition %d of %s has %d replicas of %d", p.Partition, *topic.Topic, len(p.ISR), len(p.Replicas))}
				}
			}
		}
		return true, nil
	})
	if err != nil {
		t.Fatalf("wait for replicas: %v", err)
	}
}

func (k kafkas) terminate(ctx context.Context) error {
	var errs []error
	for _, one := range k {
		if one != nil {
			errs = append(errs, one.terminate(ctx))
		}
	}
	return errors.Join(errs...)
}
