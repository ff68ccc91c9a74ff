package standalone

import (
	"context"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/rest/client"
)

// served runs until the test ends, and returns a client of its REST API.
func (r *run) served(settings string) *client.Client {
	r.Helper()
	r.o.Worker = r.file("worker.properties", "offset.storage.file.filename="+r.dir+"/offsets.db\nlisteners=http://127.0.0.1:0\n"+settings)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.run(ctx) }()
	r.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			r.Error(err)
		}
	})
	url := regexp.MustCompile(`the REST API is ready" url=(\S+)`)
	r.until("the API is not ready", func() bool { return url.MatchString(r.log.String()) })
	c, err := client.New(client.Options{URL: url.FindStringSubmatch(r.log.String())[1]})
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(c.Close)
	return c
}

func (r *run) until(complaint string, ok func() bool) {
	r.Helper()
	ctx := limited(r.T)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			r.Fatalf("%s; log %s", complaint, r.log)
		case <-tick.C:
		}
	}
}

func TestServe(t *testing.T) {
	t.Setenv("FRESHET_TEST_CLASS", "TargetSink")
	r := newRun(t)
	r.o.Connectors = []string{r.file("c.json", `{"name":"c","connector.class":"FeedSource","sinks":"a","sinks.a.connector.class":"${env:FRESHET_TEST_CLASS}"}`)}
	c := r.served("config.providers=env\nconfig.providers.env.class=org.apache.kafka.common.config.provider.EnvVarConfigProvider\n")
	ctx := limited(t)
	if err := c.Wait(ctx, "c", runtime.Running); err != nil {
		t.Fatal(err)
	}
	if info, err := c.Info(ctx, "c"); err != nil || info.Config["sinks.a.connector.class"] != "${env:FRESHET_TEST_CLASS}" {
		t.Errorf("placeholders are not kept: %v, %v", info, err)
	}
	r.feed.Extend(connectortest.Partition(1), 10)
	r.until("nothing is delivered", func() bool { return len(r.target.Durable(connectortest.Partition(1))) == 10 })
	if err := c.Stop(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(ctx, "c", runtime.Stopped); err != nil {
		t.Fatal(err)
	}
	if list, err := c.Offsets(ctx, "c"); err != nil || len(list) != 1 || string(list[0].Offset) != `{"n":10}` {
		t.Errorf("offsets %s, %v", list, err)
	}
	if _, err := c.Create(ctx, "d", connectors.Config{"connector.class": "Nonsense"}, ""); err == nil || !strings.Contains(err.Error(), "Failed to find any class") {
		t.Errorf("got %v", err)
	}
	if _, err := c.Create(ctx, "d", connectors.Config{"connector.class": "FeedSource", "sinks": "a", "sinks.a.connector.class": "TargetSink"}, runtime.Stopped); err != nil {
		t.Error(err)
	}
	if err := c.Delete(ctx, "c"); err != nil {
		t.Error(err)
	}
	if names, err := c.Names(ctx); err != nil || len(names) != 1 || names[0] != "d" {
		t.Errorf("connectors %v, %v", names, err)
	}
}

func TestServeRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for _, c := range []struct {
		settings string
		done     bool
		want     string
	}{
		{"listeners=http://" + taken.Addr().String(), false, "address already in use"},
		{"listeners=http://127.0.0.1:0\nrest.extension.classes=org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension", false, "rest.extension.classes"},
		{"listeners=http://127.0.0.1:0", true, "has no end of its own"},
	} {
		r := newRun(t)
		r.o.Worker = r.file("worker.properties", "offset.storage.file.filename="+r.dir+"/offsets.db\n"+c.settings)
		r.o.UntilDone = c.done
		if err := r.run(limited(t)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", c.settings, err)
		}
	}
}
