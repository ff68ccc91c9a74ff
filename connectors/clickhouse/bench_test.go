package clickhouse

import (
	"bytes"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
)

// BenchmarkSink compares the sink with bare inserts of ready-made blocks into a table of the same kind on the same server, by one client, in
// blocks of as many rows. Rounds of both take turns; the budget is a ratio of 0.8.
func BenchmarkSink(b *testing.B) {
	r := newRig(b, bed.ClickHouse(b), keyInterval, "0")
	s := connectortest.Ten()
	const perBatch, batches, perBlock = 1000, 400, 80000 // 16 MiB have about 80,000 of these rows
	r.Write(s, remove(-1, nil, nil, nil, nil, nil, nil, nil, nil, nil))
	r.query("CREATE TABLE bare AS ten")
	cfg, err := parseConfig(settings(r.server, r.database))
	if err != nil {
		b.Fatal(err)
	}
	server := newServer(cfg)
	b.Cleanup(server.close)
	p := planOf(b, s)
	query := url.Values{"query": {"INSERT INTO bare FORMAT Native"}, "database": {r.database}, "async_insert": {"0"}}
	var sink, bare time.Duration
	rows := 0
	for round := 0; b.Loop(); round++ {
		list := make([]*connectors.Batch, batches)
		for n := range list {
			list[n] = connectortest.TenBatch(s, (round*batches+n)*perBatch, perBatch)
			list[n].ID = r.Session.Next()
		}
		started := time.Now()
		for _, batch := range list {
			if err := r.Task.Put(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
		}
		if err := r.Flush(); err != nil {
			b.Fatal(err)
		}
		sink += time.Since(started)

		var blocks [][]byte
		for at := 0; at < perBatch*batches; at += perBlock {
			sec := newSection(p)
			encode(b, sec, connectortest.TenBatch(s, round*perBatch*batches+at, perBlock))
			blocks = append(blocks, bytes.Join(sec.parts(), nil))
		}
		started = time.Now()
		for _, block := range blocks {
			if _, err := server.post(b.Context(), query, "", int64(len(block)), bytes.NewReader(block)); err != nil {
				b.Fatal(err)
			}
		}
		bare += time.Since(started)
		rows += perBatch * batches
	}
	r.expect("SELECT count() FROM ten_current", fmt.Sprint(rows))
	r.expect("SELECT count() FROM bare FINAL", fmt.Sprint(rows))
	b.ReportMetric(float64(rows)/sink.Seconds(), "rows/s")
	b.ReportMetric(float64(rows)/bare.Seconds(), "rows/s-bare")
	b.ReportMetric(bare.Seconds()/sink.Seconds(), "ratio")
}
