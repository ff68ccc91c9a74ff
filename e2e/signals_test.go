package e2e

import (
	"syscall"
	"testing"
	"time"

	"github.com/freshet-io/freshet/testbed"
)

// With a dead broker a graceful stop cannot make durable what is on its way: the first signal gives up after the grace
// period, the second one ends the program at once. Neither loses anything.
func TestSignals(t *testing.T) {
	t.Parallel()
	pg, kafka := bed.Postgres(t), testbed.StartKafka(t)
	database := pg.NewDatabase(t)
	pg.Exec(t, database, betsTable)
	dir := t.TempDir()
	c := pg.Connector(database, "bets", nil)
	topic := c["topic.prefix"] + ".public.bets"
	args := []string{
		"run", testbed.WriteConnector(t, dir, c), "-c",
		testbed.WriteFile(t, dir, "w.properties", "bootstrap.servers="+kafka.Bootstrap()+"\ntask.shutdown.graceful.timeout.ms=50000\n"),
	}
	p := start(t, dir, args...)
	kafka.WaitRecords(t, 2, deadline, topic)
	p.Says("msg=streaming")
	kafka.Kill(t)
	pg.Exec(t, database, "INSERT INTO bets VALUES (3, 'Late', 1)")
	p.Says("level=WARN", kafka.Bootstrap())

	began := time.Now()
	p.Signal(syscall.SIGINT)
	p.Says("stopping")
	p.Signal(syscall.SIGINT)
	if code := p.Ends(); code != 1 {
		t.Errorf("exit code %d after the second signal, want 1", code)
	}
	if took := time.Since(began); took > 25*time.Second { // far from the grace period, also on a busy machine
		t.Errorf("the second signal took %s", took)
	}

	kafka.Restart(t)
	p = start(t, dir, args...)
	kafka.WaitRecords(t, 3, deadline, topic)
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
}
