package faults

import (
	"context"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"

	"github.com/freshet-io/freshet/testbed"
)

// stage holds the servers, which stay up over the rounds. The worker reaches each of them through a proxy only.
type stage struct {
	source, target *testbed.Postgres
	kafka          *testbed.Kafka
	proxies        map[string]*toxiproxy.Proxy // source, target, kafka
}

func newStage(t *testing.T) *stage {
	t.Helper()
	toxi := bed.Toxiproxy(t)
	toKafka := toxi.Proxy(t, "127.0.0.1:1") // where the broker is comes out when it knows the proxy
	s := &stage{
		// A walsender whose reader is silent gives up soon, so that another worker can have its slot.
		source: testbed.StartPostgres(t, "wal_sender_timeout=3s"),
		target: testbed.StartTimescale(t),
		kafka:  testbed.StartKafkaBehind(t, toKafka.Listen),
	}
	toKafka.Upstream = s.kafka.Address()
	if err := toKafka.Save(); err != nil {
		t.Fatalf("point the proxy at Kafka: %v", err)
	}
	s.proxies = map[string]*toxiproxy.Proxy{"source": toxi.Proxy(t, s.source.Address()), "target": toxi.Proxy(t, s.target.Address()), "kafka": toKafka}
	return s
}

// heal makes all connections good again.
func (s *stage) heal(t testing.TB) {
	t.Helper()
	for name, p := range s.proxies {
		toxics, err := p.Toxics()
		if err != nil {
			t.Fatalf("list what is wrong with the connection to %s: %v", name, err)
		}
		for _, toxic := range toxics {
			if err := p.RemoveToxic(toxic.Name); err != nil {
				t.Fatalf("mend the connection to %s: %v", name, err)
			}
		}
		if err := p.Enable(); err != nil {
			t.Fatalf("mend the connection to %s: %v", name, err)
		}
	}
}

// hurt adds a toxic in one direction or in both.
func (s *stage) hurt(t testing.TB, where, stream, toxic string, attributes toxiproxy.Attributes) {
	t.Helper()
	for _, direction := range []string{"upstream", "downstream"} {
		if stream != direction && stream != "both" {
			continue
		}
		if _, err := s.proxies[where].AddToxic("", toxic, direction, 1, attributes); err != nil {
			t.Fatalf("add %s to the connection to %s: %v", toxic, where, err)
		}
	}
}

// pass lets time go by: how long a fault lasts.
func pass(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
