package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/testbed"
)

// rig runs a source against a database, with offsets in memory and a sink that keeps every record as text.
type rig struct {
	t      testing.TB
	pg     *testbed.Postgres
	db     string
	config connectors.Config
	sql    *pgx.Conn
	log    *slog.Logger

	mu      sync.Mutex
	store   map[offsets.Partition]offsets.Offset
	written []offsets.Offset // of the plain partition, in order
	pool    connectors.Pool
	task    *source
	events  []string // one per record
	orders  []connectors.Order
	batches int
	reached []connectors.Reached // by several sinks
}

func newRig(t testing.TB, config connectors.Config) *rig {
	t.Helper()
	pg := bed.Postgres(t)
	return rigOn(t, pg, pg.NewDatabase(t), config)
}

func rigOn(t testing.TB, pg *testbed.Postgres, db string, config connectors.Config) *rig {
	t.Helper()
	r := &rig{t: t, pg: pg, db: db, store: map[offsets.Partition]offsets.Offset{}, log: slog.New(slog.DiscardHandler)}
	if testing.Verbose() {
		r.log = slog.New(slog.NewTextHandler(testWriter{t}, nil))
	}
	r.config = connectors.Config{
		"topic.prefix": "p", "database.hostname": pg.Host(), "database.port": fmt.Sprint(pg.Port()), "database.user": testbed.PostgresUser,
		"database.password": testbed.PostgresPassword, "database.dbname": db, "plugin.name": "pgoutput", "slot.name": "s_" + db,
		"status.update.interval.ms": "1000",
	}
	maps.Copy(r.config, config)
	r.sql = pg.Connect(t, db)
	t.Cleanup(r.stop)
	return r
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func (r *rig) exec(sql ...string) {
	r.t.Helper()
	for _, q := range sql {
		if _, err := r.sql.PgConn().Exec(r.t.Context(), q).ReadAll(); err != nil {
			r.t.Fatalf("%s: %v", q, err)
		}
	}
}

// NewBatch implements connectors.SourceSession.
func (r *rig) NewBatch(_ context.Context, p offsets.Partition) (*connectors.Builder, error) {
	return connectors.NewBuilder(p, &r.pool, nil), nil
}

// Offsets implements connectors.SourceSession.
func (r *rig) Offsets(_ context.Context, ps ...offsets.Partition) ([]offsets.Entry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []offsets.Entry
	for _, p := range ps {
		if o, ok := r.store[p]; ok {
			out = append(out, offsets.Entry{Partition: p, Offset: o})
		}
	}
	return out, nil
}

// Reached implements connectors.SourceSession.
func (r *rig) Reached(offsets.Partition) []connectors.Reached { return r.reached }

// Anew implements connectors.SourceSession.
func (r *rig) Anew(offsets.Partition) { r.reached = nil }

// State implements connectors.SourceSession.
func (r *rig) State(ctx context.Context, ps ...offsets.Partition) ([]offsets.Entry, error) {
	return r.Offsets(ctx, ps...)
}

// Remember implements connectors.SourceSession.
func (r *rig) Remember(_ context.Context, state ...offsets.Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range state {
		r.store[e.Partition] = e.Offset
	}
	return nil
}

// Tolerate implements connectors.SourceSession.
func (r *rig) Tolerate(_ context.Context, _ *connectors.Raw, _ connectors.Stage, cause error) error {
	return cause
}

// Drain implements connectors.SourceSession.
func (r *rig) Drain(context.Context, ...offsets.Partition) error { return nil }

func (r *rig) start() {
	r.t.Helper()
	if err := r.tryStart(); err != nil {
		r.t.Fatalf("start: %v", err)
	}
}

func (r *rig) tryStart() error {
	task, err := Factory{}.NewSource(r.config, connectors.Settings{Connector: "c", Version: "1", RunID: "run", Logger: r.log})
	if err != nil {
		return err
	}
	r.task = task.(*source)
	return task.Start(r.t.Context(), r)
}

// stop ends the task in order; crash cuts its connections.
func (r *rig) stop() {
	if r.task != nil {
		if err := r.task.Stop(context.Background()); err != nil {
			r.t.Errorf("stop: %v", err)
		}
		r.task = nil
	}
}

func (r *rig) crash() {
	if r.task.wal != nil {
		_ = r.task.wal.conn.Close()
	}
	r.stop()
}

// poll takes one batch. durable says whether it is stored and committed.
func (r *rig) poll(ctx context.Context, durable bool) error {
	b, err := r.task.Poll(ctx)
	if err != nil {
		return err
	}
	r.batches++
	for i := range b.Records {
		r.events = append(r.events, describe(b, &b.Records[i]))
		r.orders = append(r.orders, b.Records[i].Order)
	}
	if durable {
		r.save(b)
	}
	b.Release()
	return nil
}

func (r *rig) save(b *connectors.Batch) {
	entries := append([]offsets.Entry{{Partition: b.Source, Offset: b.Offset}}, b.Extra...)
	r.mu.Lock()
	for _, e := range entries {
		if _, err := offsets.ParseOffset([]byte(e.Offset)); e.Offset != "" && err != nil {
			r.t.Errorf("an entry that no store takes: %s: %v", e.Offset, err)
		}
		r.store[e.Partition] = e.Offset
	}
	r.written = append(r.written, b.Offset)
	r.mu.Unlock()
	if err := r.task.Commit(r.t.Context(), entries); err != nil {
		r.t.Fatalf("commit: %v", err)
	}
}

// until polls until there are n records since the start of the rig.
func (r *rig) until(n int) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	for len(r.events) < n {
		if err := r.poll(ctx, true); err != nil {
			r.t.Fatalf("poll: %v; %d of %d records so far:\n%s", err, len(r.events), n, strings.Join(r.events, "\n"))
		}
	}
	if len(r.events) != n {
		r.t.Fatalf("%d records, want %d:\n%s", len(r.events), n, strings.Join(r.events, "\n"))
	}
}

// quiet polls for a while and fails when a record comes.
func (r *rig) quiet(d time.Duration) {
	r.t.Helper()
	n := len(r.events)
	ctx, cancel := context.WithTimeout(r.t.Context(), d)
	defer cancel()
	for {
		err := r.poll(ctx, true)
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			r.t.Fatalf("poll: %v", err)
		}
	}
	if len(r.events) != n {
		r.t.Fatalf("unexpected records:\n%s", strings.Join(r.events[n:], "\n"))
	}
}

// streaming polls until the stream is connected.
func (r *rig) streaming() {
	r.t.Helper()
	for d := 20 * time.Millisecond; r.task.wal == nil; d *= 2 { // a slow machine needs longer to connect
		if d > 20*time.Second {
			r.t.Fatal("the stream does not connect")
		}
		r.quiet(d)
	}
}

// pollError polls until there is an error.
func (r *rig) pollError() error {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	for {
		if err := r.poll(ctx, true); err != nil {
			if ctx.Err() != nil {
				r.t.Fatal("no error")
			}
			return err
		}
	}
}

func (r *rig) offset() map[string]any {
	p, _ := partitionOf(r.config["topic.prefix"])
	var m map[string]any
	if err := json.Unmarshal([]byte(r.store[p]), &m); err != nil {
		r.t.Fatalf("offset %q: %v", r.store[p], err)
	}
	return m
}

// eventually waits for a condition.
func (r *rig) eventually(what string, done func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !done() {
		if time.Now().After(deadline) {
			r.t.Fatalf("not reached: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (r *rig) slotLSN() uint64 {
	var lsn string
	if err := r.sql.QueryRow(r.t.Context(), "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = $1", r.config["slot.name"]).Scan(&lsn); err != nil {
		r.t.Fatal(err)
	}
	n, err := parseLSN(lsn)
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// describe renders a record: topic, operation, key, before > after, marker, headers, last.
func describe(b *connectors.Batch, r *connectors.Record) string {
	s := b.Streams[r.Stream]
	out := strings.TrimPrefix(s.Topic, "p.") + " " + string(r.Op.Letter())
	if r.Value > 0 {
		body := b.Bodies[r.Value-1]
		if strings.HasSuffix(s.Topic, ".transaction") {
			return fmt.Sprintf("%s %v", out, body.Value.Value)
		}
		return fmt.Sprintf("%s %v", out, body.Key.Value)
	}
	out += " " + row(b, r.Key)
	if !r.Before.Absent() {
		out += " before " + row(b, r.Before)
	}
	if !r.After.Absent() {
		out += " after " + row(b, r.After)
	}
	if src := b.Cells(r.Source); len(src) > 0 && src[changes.SourceSnapshot].Kind == connectors.KindText {
		out += " " + string(b.Bytes(src[changes.SourceSnapshot]))
	}
	if src := b.Cells(r.Source); s.Source != nil && s.Source.Transaction < len(src) {
		out += " in " + cell(b, src[s.Source.Transaction])
	}
	for h := b.Cells(r.Headers); len(h) > 0; h = h[2:] {
		out += " " + string(b.Bytes(h[0])) + "=" + cell(b, h[1])
	}
	if r.Last {
		out += " last."
	}
	return out
}

func row(b *connectors.Batch, r connectors.Row) string {
	parts := make([]string, 0, r.Count)
	for _, c := range b.Cells(r) {
		parts = append(parts, cell(b, c))
	}
	return "(" + strings.Join(parts, ",") + ")"
}

func cell(b *connectors.Batch, c connectors.Cell) string {
	switch c.Kind {
	case connectors.KindAbsent:
		return "-"
	case connectors.KindNull:
		return "null"
	case connectors.KindUnavailable:
		return "?"
	case connectors.KindText, connectors.KindBytes, connectors.KindDecimal, connectors.KindBits:
		return string(b.Bytes(c))
	case connectors.KindList, connectors.KindMap, connectors.KindPoint:
		var parts []string
		for _, e := range b.List(c) {
			parts = append(parts, cell(b, e))
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
	return fmt.Sprint(c.Int())
}
