package faults

import (
	"strings"
	"syscall"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"
	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/testbed"
	"github.com/freshet-io/freshet/testbed/rounds"
)

// killWorker kills the worker and compares what it leaves.
func (r *round) killWorker() {
	r.Helper()
	r.p.Kill()
	r.gone = append(r.gone, r.p)
	r.audit()
}

// fault carries out one step; at its end everything is as before, and a worker runs.
func (r *round) fault(s step) {
	r.Helper()
	switch s.kind {
	case killWorker:
		r.killWorker()
		rounds.Pass(r.Context(), s.long)
		r.start()
		return
	case zombie:
		r.zombie(s)
		return
	}
	r.mend = r.begin(s)
	end := func() {
		r.mend()
		r.mend = nil
	}
	if s.kill == 0 {
		rounds.Pass(r.Context(), s.long)
		end()
		return
	}
	rounds.Pass(r.Context(), s.kill)
	r.p.Kill()
	rounds.Pass(r.Context(), s.long-s.kill)
	end()
	r.gone = append(r.gone, r.p)
	r.audit()
	r.start()
}

// begin makes something go wrong and returns what mends it.
func (r *round) begin(s step) (end func()) {
	r.Helper()
	proxy := r.proxies[s.where]
	heal := r.heal
	switch s.kind {
	case killSource:
		r.source.kill(r)
		return func() { r.source.restart(r) }
	case killTarget:
		r.target.Kill(r)
		return func() { r.target.Restart(r) }
	case killKafka:
		r.kafka.Kill(r)
		return func() { r.kafka.Restart(r) }
	case cut:
		testbed.Cut(r, proxy)
		return heal
	case tear:
		testbed.Hurt(r, proxy, s.stream, "limit_data", toxiproxy.Attributes{"bytes": s.amount})
		return heal
	case slow:
		testbed.Hurt(r, proxy, s.stream, "latency", toxiproxy.Attributes{"latency": 100, "jitter": 50})
		testbed.Hurt(r, proxy, s.stream, "bandwidth", toxiproxy.Attributes{"rate": s.amount})
		return heal
	case halfOpen:
		testbed.Hurt(r, proxy, s.stream, "timeout", toxiproxy.Attributes{"timeout": 0})
		return heal
	case sessions:
		r.source.endSessions(r)
		if r.copy != "" {
			endSessions(r, r.target, r.copy)
		}
		return func() {}
	case storeGone:
		return r.withholdStore()
	}
	return r.source.begin(r, s)
}

// endSessions ends the worker's sessions, as an administrator does.
func endSessions(r *round, server *testbed.Postgres, database string) {
	r.Helper()
	server.Exec(r, "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+database+"' AND application_name <> ''")
}

// withholdStore makes the offset store refuse writes: its topic asks for more replicas than there are, its table is locked.
func (r *round) withholdStore() (end func()) {
	r.Helper()
	if r.plan.store == "topic" {
		r.kafka.AlterTopic(r, r.offsets, "min.insync.replicas", "2")
		return func() { r.kafka.AlterTopic(r, r.offsets, "min.insync.replicas", "1") }
	}
	conn, err := pgx.Connect(r.Context(), r.target.DSN(r.copy))
	if err == nil {
		_, err = conn.Exec(r.Context(), "BEGIN; LOCK TABLE freshet_offsets IN ACCESS EXCLUSIVE MODE")
	}
	if err != nil {
		r.Fatalf("lock the table of offsets: %v", err)
	}
	return func() { _ = conn.Close(r.Context()) }
}

// zombie stops the worker for longer than its transactions may last, lets another one take over, and continues it: it must
// find that it is fenced, take nothing back and write nothing more.
func (r *round) zombie(s step) {
	r.Helper()
	sink := "kafka"
	if r.plan.sinks[0] == tableSink {
		sink = "target"
	}
	// Who has not begun yet takes over when it wakes up.
	r.wait("streaming", func() bool { return strings.Contains(r.p.Output(), "msg=streaming") })
	r.more()
	// With a slow sink something is on its way when the worker stops.
	testbed.Hurt(r, r.proxies[sink], "both", "latency", toxiproxy.Attributes{"latency": 150})
	rounds.Pass(r.Context(), 300*time.Millisecond+s.delay)
	old := r.p
	old.Signal(syscall.SIGSTOP)
	began := time.Now()
	r.heal()
	r.gone = append(r.gone, old)
	r.dir = r.TempDir() // an offset file is locked by whoever uses it
	r.start()
	r.wait("the other worker to stream", func() bool { return strings.Contains(r.p.Output(), "msg=streaming") })
	rounds.Pass(r.Context(), s.long-time.Since(began))
	r.more()
	old.Signal(syscall.SIGCONT)
	r.wait("the zombie to end", old.Ended)
	// While the other one is connecting again, nobody reads the slot, and nothing but its place tells of the take-over.
	if code, out := old.Ends(), old.Output(); code != 1 || !strings.Contains(out, "fenced") && !strings.Contains(out, "was created anew or moved") {
		r.Errorf("the zombie ended with %d, want 1 and fenced", code)
	}
}
