package mysql

import (
	"context"
	"log/slog"
	"testing"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors/mysql/ddl"
)

const betsRows = 400 // in betsEvents

// recordedStream is a stream that has everything but a connection, and the recorded events as it receives them.
func recordedStream(t testing.TB) (*stream, []logEvent) {
	t.Helper()
	cfg := testConfig(t, flavorMySQL, map[string]string{"schema.history.internal": "io.debezium.relational.history.MemorySchemaHistory"})
	log := slog.New(slog.DiscardHandler)
	tables, err := newSchema(cfg, false, cfg.sourceBlock("1", "", nil), nil, log)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tables.catalog.Apply("bench", betsTable+" DEFAULT CHARSET=utf8mb4", ddl.SQLMode(0)); err != nil {
		t.Fatal(err)
	}
	s := &stream{
		cfg: cfg, log: log, session: &rig{}, schema: tables, watch: &watch{}, records: maxRecords, partition: `{"server":"p"}`, state: `{"freshet":"state","server":"p"}`,
		known: map[changes.TableID]*tracked{}, micros: 1,
	}
	if err := s.begin(position{file: "binlog.000001", pos: 4}, identity{}); err != nil {
		t.Fatal(err)
	}
	s.attach(&binlog{ready: make(chan struct{}, 1)})
	s.tx.file = s.file
	var events []logEvent
	end := uint32(4)
	for _, e := range betsEvents(t) {
		kind := replication.EventType(e.kind)
		if kind == replication.FORMAT_DESCRIPTION_EVENT {
			continue
		}
		end += uint32(len(e.raw))
		events = append(events, logEvent{kind: kind, time: 1, server: 1, size: uint32(len(e.raw)), end: end, body: e.body})
	}
	return s, events
}

// pass takes one batch of everything that was received.
func pass(t testing.TB, s *stream, received []logEvent) {
	s.events, s.next = received, 0
	b, err := s.nextBatch(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(b.Records) * (len(received) - s.next + 1); n == 0 || s.next != len(received) {
		t.Fatalf("%d records, %d of %d events", len(b.Records), s.next, len(received))
	}
	b.Release()
}

// BenchmarkStream turns raw events of the binlog into batches, without a server.
func BenchmarkStream(b *testing.B) {
	s, events := recordedStream(b)
	b.ReportAllocs()
	for b.Loop() {
		pass(b, s, events)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*betsRows), "ns/row")
}
