package faults

import (
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"

	"github.com/freshet-io/freshet/testbed"
)

// stage holds the servers, which stay up over the rounds. The worker reaches each of them through a proxy only.
type stage struct {
	source  source
	target  *testbed.Postgres
	kafka   *testbed.Kafka
	proxies map[string]*toxiproxy.Proxy // source, target, kafka
}

func newStage(t *testing.T, start func(*testing.T) source) *stage {
	t.Helper()
	toxi := bed.Toxiproxy(t)
	toKafka := toxi.Proxy(t, "127.0.0.1:1") // where the broker is comes out when it knows the proxy
	s := &stage{
		source: start(t),
		target: testbed.StartTimescale(t),
		kafka:  testbed.StartKafkaBehind(t, toKafka.Listen),
	}
	toKafka.Upstream = s.kafka.Address()
	if err := toKafka.Save(); err != nil {
		t.Fatalf("point the proxy at Kafka: %v", err)
	}
	s.proxies = map[string]*toxiproxy.Proxy{"source": toxi.Proxy(t, s.source.address()), "target": toxi.Proxy(t, s.target.Address()), "kafka": toKafka}
	return s
}
