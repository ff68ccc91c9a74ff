package postgres

import (
	"net"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/testbed"
)

// TestNetworkFaults cuts the connection, and lets it go silent without an end, while changes come.
func TestNetworkFaults(t *testing.T) {
	t.Parallel()
	pg := testbed.StartPostgres(t, "wal_sender_timeout=1s")
	proxy := bed.Toxiproxy(t).Proxy(t, pg.Address())
	host, port, err := net.SplitHostPort(proxy.Listen)
	if err != nil {
		t.Fatal(err)
	}
	r := rigOn(t, pg, pg.NewDatabase(t), connectors.Config{"database.hostname": host, "database.port": port, "connection.validation.timeout.ms": "2000"})
	r.exec("CREATE TABLE a (id int PRIMARY KEY, v text)", "INSERT INTO a VALUES (1,'x')")
	r.start()
	r.until(1)
	r.streaming()
	r.exec("INSERT INTO a VALUES (2,'y')")
	r.until(2)
	if err := proxy.Disable(); err != nil {
		t.Fatal(err)
	}
	r.exec("INSERT INTO a VALUES (3,'cut')")
	r.quiet(firstPause)
	if err := proxy.Enable(); err != nil {
		t.Fatal(err)
	}
	r.until(3)
	silence, err := proxy.AddToxic("silence", "timeout", "downstream", 1, toxiproxy.Attributes{"timeout": 0})
	if err != nil {
		t.Fatal(err)
	}
	r.exec("INSERT INTO a VALUES (4,'silent')")
	first := r.task.wal
	r.eventually("the silent connection is given up", func() bool {
		r.quiet(time.Second)
		return r.task.wal != first
	})
	if err := proxy.RemoveToxic(silence.Name); err != nil {
		t.Fatal(err)
	}
	r.until(4)
	r.exec("INSERT INTO a VALUES (5,'z')")
	r.until(5)
}
