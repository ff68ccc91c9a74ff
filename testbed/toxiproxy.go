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
