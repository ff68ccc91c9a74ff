package postgres

import (
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// TestStandby: a connector takes its snapshot from a standby and streams from a slot there, which PostgreSQL has from 16 on. It writes nothing, goes
// on after a restart, and after the promotion.
func TestStandby(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	replica := c.primary.StartReplica(t)
	c.exec("INSERT INTO a VALUES (1,'x'), (2,'x')")
	replica.CatchUp(t, c.primary)
	r := rigOn(t, replica, "postgres", connectors.Config{"slot.name": "standby", "table.include.list": "public.a", "status.update.interval.ms": "100", "snapshot.max.threads": "2"})
	r.refuses(t, "the server is a standby", "make the publication on the primary")

	c.exec("CREATE PUBLICATION made FOR TABLE a")
	replica.CatchUp(t, c.primary)
	r.config["publication.name"], r.config["publication.autocreate.mode"] = "made", "disabled"
	stop := make(chan struct{})
	logged := make(chan error, 1)
	primary := c.primary.Connect(t, "postgres")
	go func() { // a standby makes a slot when it learns what runs on the primary, which an idle one does not tell by itself
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				logged <- nil
				return
			case <-tick.C:
			}
			if _, err := primary.Exec(t.Context(), "SELECT pg_log_standby_snapshot()"); err != nil {
				logged <- err
				return
			}
		}
	}()
	r.start()
	r.until(2)
	close(stop)
	if err := <-logged; err != nil {
		t.Fatal(err)
	}
	c.exec("INSERT INTO a VALUES (3,'x')")
	want(t, r.next(1), "public.a c (3) after (3,x) last.")
	r.crash()
	c.exec("UPDATE a SET v = 'y' WHERE id = 1")
	r.start()
	want(t, r.next(1), "public.a u (1) after (1,y) last.")
	r.stop()

	replica.CatchUp(t, c.primary)
	c.primary.Kill(t)
	replica.Promote(t)
	c.sql = r.sql
	c.exec("DELETE FROM a WHERE id = 2")
	r.start()
	want(t, r.next(2)[:1], "public.a d (2) before (2,-)")
}
