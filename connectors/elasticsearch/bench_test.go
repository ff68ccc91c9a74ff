package elasticsearch

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	elastic "github.com/elastic/go-elasticsearch/v9"
	"github.com/elastic/go-elasticsearch/v9/esutil"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/schemas"
)

const stubVariable = "FRESHET_BULK_STUB"

// stub answers bulk requests as a server that takes everything would, with an item for each action.
func stub() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(l.Addr())
	full := `{"index":{"_index":"shop.public.bets","_id":"1","_version":1,"result":"created","_shards":{"total":2,"successful":1,"failed":0},"_seq_no":1,"_primary_term":1,"status":201}},`
	err = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Elastic-Product", "Elasticsearch")
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/_bulk"):
			text, _ := io.ReadAll(r.Body)
			item := full
			if r.URL.Query().Has("filter_path") {
				item = `{"index":{"status":201}},`
			}
			n := bytes.Count(text, []byte("\n")) / 2
			_, _ = fmt.Fprintf(w, `{"errors":false,"took":1,"items":[%s]}`, strings.TrimSuffix(strings.Repeat(item, n), ","))
		case strings.HasSuffix(r.URL.Path, "/_mapping"):
			_, _ = io.WriteString(w, `{"x":{"mappings":{}}}`)
		default:
			_, _ = io.WriteString(w, `{"name":"stub","version":{"number":"9.3.1"}}`)
		}
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// startStub runs the stub in another process, so that only the client's CPU is measured.
func startStub(b *testing.B) string {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), self)
	cmd.Env = append(os.Environ(), stubVariable+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return "http://" + strings.TrimSpace(address)
}

// cpu is what this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// tenColumns is a table of 10 columns, with rows of about 190 bytes.
func tenColumns() *connectors.Stream {
	s := betsStream()
	column := func(name string, typ schemas.Type) schemas.Column {
		return schemas.Column{Name: name, Type: typ, Length: -1, Scale: -1}
	}
	s.Table = &schemas.Table{Catalog: "shop", Schema: "public", Name: "bets", Key: []int{0}, Columns: []schemas.Column{
		column("id", schemas.TypeInt64), column("customer", schemas.TypeInt64), column("market", schemas.TypeInt32), column("selection", schemas.TypeText), column("odds", schemas.TypeDecimal),
		column("stake", schemas.TypeDecimal), column("status", schemas.TypeText), column("note", schemas.TypeText), column("placed", schemas.TypeTimestampTZ), column("live", schemas.TypeBool),
	}}
	return s
}

const batchRows = 2048

func tenColumnBatch(s *connectors.Stream, from int, done func(*connectors.Batch)) *connectors.Batch {
	w := connectors.NewBuilder(`{"server":"shop"}`, nil, done)
	at := w.Stream(s)
	for n := from; n < from+batchRows; n++ {
		w.Begin(at, connectors.OpCreate).Order = connectors.Order{Epoch: 1, Major: uint64(n + 1), Minor: 1}
		w.Key()
		w.Int(int64(n))
		w.After()
		w.Int(int64(n))
		w.Int(int64(n % 10007))
		w.Int(int64(n % 311))
		w.String("Manchester United to win")
		w.Text(connectors.KindDecimal, []byte("2.375"))
		w.Text(connectors.KindDecimal, []byte("25.00"))
		w.String("accepted")
		w.String("placed from the mobile application, version 7")
		w.Temporal(connectors.KindTimestampTZ, 1709210096123456+int64(n))
		w.Bool(n%2 == 0)
		w.Commit()
	}
	b := w.Finish("{}", connectors.Order{})
	b.ID = connectors.BatchID(from/batchRows + 1)
	return b
}

// BenchmarkRender is the part before the request: from cells to lines.
func BenchmarkRender(b *testing.B) {
	s := tenColumns()
	task, ok := newTask(b, settings("http://127.0.0.1:1")).(*sink)
	if !ok {
		b.Fatal("not this package's sink")
	}
	p, err := newPlan(task.cfg, s, "shop.public.bets")
	if err != nil {
		b.Fatal(err)
	}
	task.task, task.used = &connectortest.Session{}, []*plan{p}
	for range 5 {
		task.lanes = append(task.lanes, newLane(task))
	}
	batch := tenColumnBatch(s, 0, nil)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += batchRows {
		for _, l := range task.lanes {
			l.filling.reset(8 << 20)
		}
		if _, err := task.take(context.Background(), &held{batch: batch, left: 1}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBulk compares the client's CPU for a document with that of go-elasticsearch's BulkIndexer, which gets its documents ready as
// JSON: freshet makes them from cells. cpu-ns/doc is the number to compare; the server is another process.
func BenchmarkBulk(b *testing.B) {
	b.Run("freshet", func(b *testing.B) {
		r := rigOn(b, settings(startStub(b)))
		r.stream = tenColumns()
		var batches []*connectors.Batch
		for n := 0; n < 64; n++ {
			batch := tenColumnBatch(r.stream, n*batchRows, nil)
			batch.Retain(1 << 20)
			batches = append(batches, batch)
		}
		b.ReportAllocs()
		b.ResetTimer()
		began := cpu(b)
		docs := 0
		for ; docs < b.N; docs += batchRows {
			if err := r.sink.Put(context.Background(), batches[docs/batchRows%len(batches)]); err != nil {
				b.Fatal(err)
			}
		}
		if err := r.sink.Flush(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(cpu(b)-began)/float64(docs), "cpu-ns/doc")
	})
	b.Run("bulkindexer", func(b *testing.B) {
		client, err := elastic.NewClient(elastic.Config{Addresses: []string{startStub(b)}})
		if err != nil {
			b.Fatal(err)
		}
		indexer, err := esutil.NewBulkIndexer(esutil.BulkIndexerConfig{Client: client, NumWorkers: 5, FlushBytes: 5 << 20})
		if err != nil {
			b.Fatal(err)
		}
		doc := readyDocument(b)
		b.ReportAllocs()
		b.ResetTimer()
		began := cpu(b)
		for n := range b.N {
			version := int64(n + 1)
			if err := indexer.Add(context.Background(), esutil.BulkIndexerItem{
				Action: "index", Index: "shop.public.bets", DocumentID: fmt.Sprint(n), Body: bytes.NewReader(doc), Version: &version, VersionType: "external_gte",
			}); err != nil {
				b.Fatal(err)
			}
		}
		if err := indexer.Close(context.Background()); err != nil {
			b.Fatal(err)
		}
		if stats := indexer.Stats(); stats.NumFlushed != uint64(b.N) || stats.NumFailed != 0 {
			b.Fatalf("%+v", stats)
		}
		b.ReportMetric(float64(cpu(b)-began)/float64(b.N), "cpu-ns/doc")
	})
}

// readyDocument is what freshet writes for such a row.
func readyDocument(b *testing.B) []byte {
	b.Helper()
	s := tenColumns()
	batch := tenColumnBatch(s, 1_000_000, nil)
	task, ok := newTask(b, settings("http://127.0.0.1:1")).(*sink)
	if !ok {
		b.Fatal("not this package's sink")
	}
	p, err := newPlan(task.cfg, s, "shop.public.bets")
	if err != nil {
		b.Fatal(err)
	}
	doc, bad := p.appendRow(nil, batch, batch.Cells(batch.Records[0].After), false)
	if bad.problem != "" {
		b.Fatal(bad)
	}
	doc[0] = '{'
	return append(doc, '}')
}
