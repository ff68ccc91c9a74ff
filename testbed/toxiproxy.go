package testbed

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"
)

// Toxiproxy cuts and slows connections. It runs in the engine's host network.
type Toxiproxy struct {
	*server
	client *toxiproxy.Client
}

// StartToxiproxy starts a Toxiproxy for this test alone.
func StartToxiproxy(t testing.TB) *Toxiproxy {
	t.Helper()
	return run(t, startToxiproxy)
}

func startToxiproxy(ctx context.Context, e *engine) (*Toxiproxy, error) {
	s, err := e.start(ctx, spec{
		server:  "toxiproxy",
		command: func(port int) []string { return []string{"-host=0.0.0.0", "-port=" + strconv.Itoa(port)} },
		ready: func(_ context.Context, address string) error {
			if _, err := toxiproxy.NewClient(address).Version(); err != nil {
				return fmt.Errorf("ask for the version: %w", err)
			}
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	return &Toxiproxy{server: s, client: toxiproxy.NewClient(s.Address())}, nil
}

// Proxy listens on a port of its own and passes on to the upstream address until the end of the test. The result's Disable,
// AddToxic and so on do the damage; its Listen is the address for clients.
func (p *Toxiproxy) Proxy(t testing.TB, upstream string) *toxiproxy.Proxy {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := p.client.CreateProxy(fmt.Sprintf("p%08x", rand.Uint32()), p.Host()+":"+strconv.Itoa(port), upstream)
	if err != nil {
		t.Fatalf("create a proxy for %s: %v", upstream, err)
	}
	t.Cleanup(func() {
		if err := proxy.Delete(); err != nil {
			t.Errorf("delete the proxy for %s: %v", upstream, err)
		}
	})
	return proxy
}

// Hurt adds a toxic to a proxy: stream is upstream, downstream or both.
func Hurt(t testing.TB, proxy *toxiproxy.Proxy, stream, toxic string, attributes toxiproxy.Attributes) {
	t.Helper()
	for _, direction := range []string{"upstream", "downstream"} {
		if stream != direction && stream != "both" {
			continue
		}
		if _, err := proxy.AddToxic("", toxic, direction, 1, attributes); err != nil {
			t.Fatalf("add %s to the proxy of %s: %v", toxic, proxy.Upstream, err)
		}
	}
}

// Cut ends the connections of proxies and refuses new ones.
func Cut(t testing.TB, proxies ...*toxiproxy.Proxy) {
	t.Helper()
	for _, p := range proxies {
		if err := p.Disable(); err != nil {
			t.Fatalf("cut the connections to %s: %v", p.Upstream, err)
		}
	}
}

// Heal makes proxies pass everything on again.
func Heal(t testing.TB, proxies ...*toxiproxy.Proxy) {
	t.Helper()
	for _, p := range proxies {
		toxics, err := p.Toxics()
		if err != nil {
			t.Fatalf("list what is wrong with the connections to %s: %v", p.Upstream, err)
		}
		for _, toxic := range toxics {
			if err := p.RemoveToxic(toxic.Name); err != nil {
				t.Fatalf("mend the connections to %s: %v", p.Upstream, err)
			}
		}
		if err := p.Enable(); err != nil {
			t.Fatalf("mend the connections to %s: %v", p.Upstream, err)
		}
	}
}
