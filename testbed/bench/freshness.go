//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
)

// warmUp is how long a paced load runs before what is measured.
const warmUp = 2 * time.Second

// arrival is when one change was committed in the source and when a reader of the target had it.
type arrival struct{ committed, seen time.Time }

// reader collects arrivals until it has so many rows.
type reader interface {
	// read adds what has arrived; it returns after at most a short while with nothing.
	read(ctx context.Context) error
	// arrivals are of all rows, or of some.
	arrivals() []arrival
	// rows is how many have arrived.
	rows() int
}

// measureFreshness runs one-row transactions at two rates and measures from commit to readable. One machine has one clock.
func measureFreshness(ctx context.Context, b *bench) error {
	t := table{title: "Freshness: commit → readable, one-row transactions", header: []string{
		"what", "transactions/s", "reached", "p50", "p99", "max", "worker CPU, µs each", "budget", "",
	}}
	for _, f := range b.freshnesses() {
		found, err := b.freshness(ctx, f.rate, f.start)
		if err != nil {
			return fmt.Errorf("%s at %d/s: %w", f.name, f.rate, err)
		}
		b.say("freshness: %-34s %6d/s  %s", f.name, f.rate, found)
		var checks []check
		if f.limit > 0 {
			checks = []check{{fmt.Sprintf("p99 ≤ %g ms", f.limit), found.p99, f.limit, false}}
		}
		budget, met := verdict(checks)
		t.rows = append(t.rows, append([]string{f.name}, append(found.cells(f.rate), budget, met)...))
	}
	b.report.tables = append(b.report.tables, t)
	return nil
}

// paceVariant is one freshness measurement: transactions a second, and the budget of p99 in ms (0: none).
type paceVariant struct {
	name  string
	rate  int
	limit float64
	start func(context.Context) (*fresh, error)
}

func (b *bench) freshnesses() []paceVariant {
	plain := func(ctx context.Context) (*fresh, error) { return b.freshKafka(ctx, nil) }
	once := func(ctx context.Context) (*fresh, error) { return b.freshKafka(ctx, b.exactlyOnce()) }
	rates := b.source.limits().rates
	var list []paceVariant
	for _, rate := range rates {
		limit := 30.0
		if rate <= 1000 {
			limit = 15
		}
		list = append(list, paceVariant{toKafka, rate, limit, plain}, paceVariant{toKafkaOnce, rate, 50, once})
		if b.target.dsn != nil {
			list = append(list, paceVariant{toTables, rate, 50, b.freshTables})
		}
		if b.ch != nil {
			list = append(list, paceVariant{toClickHouse, rate, 1000, b.freshClickHouse})
		}
		if b.es != nil {
			list = append(list,
				paceVariant{toElastic + ", by id", rate, 1000, b.freshDocuments},
				paceVariant{toElastic + ", by search", rate, 0, b.freshSearch})
		}
	}
	list = append(list, paceVariant{floorAlone, rates[len(rates)-1], 0, b.freshFloor})
	if b.compareURL != "" {
		fast := map[string]string{"poll.interval.ms": "10"}
		list = append(list,
			paceVariant{workerDefault, 1000, 0, func(ctx context.Context) (*fresh, error) { return b.freshRemote(ctx, nil) }},
			paceVariant{workerDefault + ", poll.interval.ms=10", 1000, 0, func(ctx context.Context) (*fresh, error) { return b.freshRemote(ctx, fast) }})
	}
	return list
}

// fresh is a worker under a paced load, and a reader of its target.
type fresh struct {
	process func() error // an error when the worker has ended
	pid     int
	reader  reader
	// committed is told of the load's transactions by its writers; nil: nobody.
	committed func(writer, n int)
	close     func() error
}

// latencies are in ms.
type latencies struct {
	reached       float64 // transactions a second
	p50, p99, max float64
	cpu           float64 // µs of the worker per transaction
}

func (l latencies) String() string {
	return fmt.Sprintf("reached %6s/s  p50 %5.1f  p99 %5.1f  max %5.1f ms", thousands(l.reached), l.p50, l.p99, l.max)
}

func (l latencies) cells(rate int) []string {
	return []string{
		thousands(float64(rate)), thousands(l.reached), fmt.Sprintf("%.1f ms", l.p50), fmt.Sprintf("%.1f ms", l.p99), fmt.Sprintf("%.1f ms", l.max),
		fmt.Sprintf("%.1f", l.cpu),
	}
}

// freshness starts a worker on empty tables, loads, and counts at the end that every row arrived.
func (b *bench) freshness(ctx context.Context, rate int, start func(context.Context) (*fresh, error)) (found latencies, err error) {
	if err := b.source.createTables(ctx); err != nil {
		return found, err
	}
	f, err := start(ctx)
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	load, err := b.newPaced(ctx)
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, load.close()) }()
	load.committed = f.committed
	// A few rows show that the worker streams.
	for len(f.reader.arrivals()) == 0 {
		if _, err := load.run(ctx, pacedWriters*10, 200*time.Millisecond); err != nil {
			return found, err
		}
		if err := errors.Join(f.reader.read(ctx), f.process()); err != nil {
			return found, err
		}
	}
	var window [2]time.Time
	var cpu [2]time.Duration
	written, done := 0, make(chan error, 1)
	go func() { // the load; it ends before the loop below does
		done <- func() error {
			if _, err := load.run(ctx, rate, warmUp); err != nil {
				return err
			}
			window[0], cpu[0], err = time.Now(), 0, nil
			before, err := processCPU(f.pid)
			if err != nil {
				return err
			}
			written, err = load.run(ctx, rate, time.Duration(b.seconds)*time.Second)
			if err != nil {
				return err
			}
			window[1] = time.Now()
			after, err := processCPU(f.pid)
			cpu[1] = after - before
			return err
		}()
	}()
	if err := f.follow(ctx, load, done); err != nil {
		return found, err
	}
	return summarize(f.reader.arrivals(), window[0], window[1], written, cpu[1]), nil
}

// follow reads until the load has ended and every one of its rows has arrived.
func (f *fresh) follow(ctx context.Context, load *paced, done <-chan error) error {
	var failed error
	ended, late := false, time.Time{}
	for !ended || f.reader.rows() < load.total() {
		if err := errors.Join(failed, f.reader.read(ctx), f.process()); err != nil {
			if !ended { // the load ends with the context or within its time
				err = errors.Join(err, <-done)
			}
			return err
		}
		select {
		case failed = <-done:
			ended, late = true, time.Now().Add(time.Minute)
		default:
		}
		if ended && time.Now().After(late) {
			return fmt.Errorf("%d of %d rows arrived within a minute after the load", f.reader.rows(), load.total())
		}
	}
	if n := f.reader.rows(); n != load.total() {
		return fmt.Errorf("%d rows arrived, %d were written", n, load.total())
	}
	return failed
}

// summarize looks at what was committed within the window.
func summarize(all []arrival, from, to time.Time, written int, cpu time.Duration) latencies {
	var ms []float64
	for _, a := range all {
		if !a.committed.Before(from) && a.committed.Before(to) {
			ms = append(ms, a.seen.Sub(a.committed).Seconds()*1000)
		}
	}
	slices.Sort(ms)
	l := latencies{reached: float64(written) / to.Sub(from).Seconds(), p50: percentile(ms, 0.5), p99: percentile(ms, 0.99), max: percentile(ms, 1)}
	if written > 0 {
		l.cpu = float64(cpu.Microseconds()) / float64(written)
	}
	return l
}

// percentile of sorted values: the smallest that the share of them does not exceed; 0 of none.
func percentile(sorted []float64, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := int(share*float64(len(sorted))+0.999999) - 1
	return sorted[max(0, min(at, len(sorted)-1))]
}

// freshTopic makes the topic of a connector named name, and a consumer of its committed records.
func (b *bench) freshTopic(ctx context.Context, name string) (*topicReader, error) {
	topic := name + ".bench.rows"
	if err := b.createTopic(ctx, topic, "delete"); err != nil {
		return nil, err
	}
	return b.newTopicReader(topic)
}

// freshKafka starts the freshet program into Kafka and a consumer of committed records.
func (b *bench) freshKafka(ctx context.Context, properties map[string]string) (*fresh, error) {
	name := b.name("fresh")
	source, err := b.source.stream(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	consumer, err := b.freshTopic(ctx, name)
	if err != nil {
		return nil, err
	}
	p, err := b.startWorker(ctx, worker{source: source.with(jsonConverters(false)), properties: b.kafkaProperties(properties)})
	if err != nil {
		consumer.client.Close()
		return nil, err
	}
	return &fresh{process: p.ended, pid: p.pid(), reader: consumer, close: func() error {
		consumer.client.Close()
		p.stop()
		clean := context.WithoutCancel(ctx)
		return errors.Join(b.source.release(clean, name), b.deleteTopics(clean, name))
	}}, nil
}

// topicReader reads the source's time of commit from the events of a topic.
type topicReader struct {
	client *kgo.Client
	found  []arrival
}

func (b *bench) newTopicReader(topic string) (*topicReader, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(b.brokers), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return nil, fmt.Errorf("make a Kafka consumer: %w", err)
	}
	return &topicReader{client: c}, nil
}

func (r *topicReader) arrivals() []arrival { return r.found }

func (r *topicReader) rows() int { return len(r.found) }

func (r *topicReader) read(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	fetches := r.client.PollFetches(short)
	now := time.Now()
	if err := fetches.Err0(); err != nil && short.Err() == nil {
		return fmt.Errorf("consume: %w", err)
	}
	var failed error
	fetches.EachRecord(func(record *kgo.Record) {
		at, err := commitTime(record.Value)
		if err != nil {
			failed = err
			return
		}
		r.found = append(r.found, arrival{at, now})
	})
	return errors.Join(failed, ctx.Err())
}

// commitTime finds source.ts_us, which is when the transaction was committed, in an event in JSON.
func commitTime(event []byte) (time.Time, error) {
	_, source, ok := bytes.Cut(event, []byte(`"source":{`))
	_, digits, found := bytes.Cut(source, []byte(`"ts_us":`))
	end := bytes.IndexAny(digits, ",}")
	if !ok || !found || end < 0 {
		return time.Time{}, fmt.Errorf("find the time of commit in event %.300q: there is no source.ts_us", event)
	}
	us, err := strconv.ParseInt(string(digits[:end]), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the time of commit: %w", err)
	}
	return time.UnixMicro(us), nil
}

// freshTables starts the freshet program into the target's tables and a session that looks for new rows.
func (b *bench) freshTables(ctx context.Context) (*fresh, error) {
	if err := b.clearTarget(ctx); err != nil {
		return nil, err
	}
	name := b.name("fresh")
	source, err := b.source.stream(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	p, err := b.startWorker(ctx, worker{source: source.with(b.tablesConfig())})
	if err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, b.target.dsn.String())
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("connect to the target: %w", err)
	}
	return &fresh{process: p.ended, pid: p.pid(), reader: &tableReader{conn: conn, last: make(seenIDs, pacedWriters)}, close: func() error {
		p.stop()
		clean := context.WithoutCancel(ctx)
		return errors.Join(conn.Close(clean), b.source.release(clean, name))
	}}, nil
}

// seenIDs is behind the last row of each writer that was seen, relative to its first.
type seenIDs []int64

// query finds the rows behind those.
func (s seenIDs) query(columns, table string) string {
	var queries []string
	for i, last := range s {
		first := int64(i+1) * idsOfWriter
		queries = append(queries, fmt.Sprintf("SELECT %s FROM %s WHERE id >= %d AND id < %d", columns, table, first+last, first+idsOfWriter))
	}
	return strings.Join(queries, " UNION ALL ")
}

func (s seenIDs) saw(id int64) {
	writer := id/idsOfWriter - 1
	s[writer] = max(s[writer], id%idsOfWriter+1)
}

// tableReader asks the target's table for rows that it has not seen. The ids of each writer grow.
type tableReader struct {
	conn  *pgx.Conn
	last  seenIDs
	found []arrival
	there bool
}

func (r *tableReader) arrivals() []arrival { return r.found }

func (r *tableReader) rows() int { return len(r.found) }

func (r *tableReader) read(ctx context.Context) error {
	if !r.there {
		var err error
		if r.there, err = hasRow(ctx, r.conn, "bench.rows"); err != nil || !r.there {
			return err
		}
	}
	rows, err := r.conn.Query(ctx, r.last.query("id, sent", "bench.rows"), pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return fmt.Errorf("look for new rows: %w", err)
	}
	begin := len(r.found)
	var id int64
	var sent time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &sent}, func() error {
		r.found = append(r.found, arrival{committed: sent})
		r.last.saw(id)
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for new rows: %w", err)
	}
	now := time.Now()
	for i := begin; i < len(r.found); i++ {
		r.found[i].seen = now
	}
	return pause(ctx, tick)
}
