//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/twmb/franz-go/pkg/kgo"
)

const jsonConverter = "org.apache.kafka.connect.json.JsonConverter"

func jsonConverters(schemas bool) map[string]string {
	return map[string]string{
		"key.converter": jsonConverter, "key.converter.schemas.enable": fmt.Sprint(schemas),
		"value.converter": jsonConverter, "value.converter.schemas.enable": fmt.Sprint(schemas),
	}
}

// exactlyOnce are worker properties that keep offsets in the transactions of the records.
func (b *bench) exactlyOnce() map[string]string {
	name := b.name("group")
	return map[string]string{
		"exactly.once.source.support": "enabled", "group.id": name, "offset.storage.topic": name + "_offsets", "offset.storage.replication.factor": "1",
	}
}

func (b *bench) kafkaProperties(more ...map[string]string) map[string]string {
	p := map[string]string{"bootstrap.servers": b.brokers}
	for _, m := range more {
		maps.Copy(p, m)
	}
	return p
}

// measureDrain reads one range of the log with the reference tool and with Freshet into each target.
func measureDrain(ctx context.Context, b *bench) error {
	if err := b.source.createTables(ctx); err != nil {
		return err
	}
	b.say("drain: loading %s rows in transactions of %d", thousands(float64(b.rows)), b.transaction)
	r, err := b.source.load(ctx, b.name("keep"), b.rows, b.transaction)
	if err != nil {
		return err
	}
	defer func() { _ = b.source.forget(context.WithoutCancel(ctx), r) }() // the database goes at the end
	b.say("drain: %d MiB of log; counting allocations, which warms the broker up", r.size>>20)
	template, err := b.countAllocations(ctx, r)
	if err != nil {
		return err
	}
	blocks, err := b.blocks(ctx)
	if err != nil {
		return err
	}
	all, err := b.runRounds(ctx, "drain", append(b.drains(r, template, blocks), b.drainsRemote(r)...))
	if err != nil {
		return err
	}
	l := b.source.limits()
	l.stream.addTargets(all)
	b.report.addRates("Streaming: "+l.log, l.streamTool, all, l.stream)
	b.report.addComparison("Streaming: Freshet beside the Connect worker", all)
	return nil
}

// countAllocations runs this program as the worker. It returns the first record, for the broker's own limit.
func (b *bench) countAllocations(ctx context.Context, r logRange) (*kgo.Record, error) {
	t := table{title: "Allocations", header: []string{"what", "allocations a row", "bytes a row", "budget", ""}}
	add := func(name string, s childStats) {
		perRow := float64(s.Mallocs) / float64(s.Rows)
		budget, met := verdict([]check{{"≤ 2", perRow, 2, false}})
		t.rows = append(t.rows, []string{name, fmt.Sprintf("%.3f", perRow), fmt.Sprintf("%.0f", float64(s.Bytes)/float64(s.Rows)), budget, met})
	}
	_, stats, err := b.drainToNothing(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", toNothing, err)
	}
	add(toNothing, stats)
	name := b.name("allocations")
	source, err := b.source.stream(ctx, name, &r)
	if err != nil {
		return nil, err
	}
	defer b.release(ctx, name)
	p, err := b.startWorker(ctx, worker{child: true, source: source.with(jsonConverters(false)), properties: b.kafkaProperties()})
	if err != nil {
		return nil, err
	}
	defer p.stop()
	if err := until(ctx, endEvery, p.ended, b.arrived(name, r.rows)); err != nil {
		return nil, err
	}
	if stats, err = p.stopChild(ctx); err != nil {
		return nil, err
	}
	add(toKafka, stats)
	b.report.tables = append(b.report.tables, t)
	template, err := b.firstRecord(ctx, name+".bench.rows")
	if err != nil {
		return nil, err
	}
	return template, b.checkTopic(ctx, name, r.rows)
}

func (b *bench) drains(r logRange, template *kgo.Record, blocks [][]byte) []variant {
	kafka := func(name string, connector, properties map[string]string, first *kgo.Record) variant {
		return variant{name: name, run: func(ctx context.Context) (sample, error) {
			return b.drainToKafka(ctx, r, connector, properties, first)
		}}
	}
	var withSchemas kgo.Record
	lz4 := jsonConverters(false)
	lz4["producer.override.compression.type"] = "lz4"
	list := []variant{
		{name: b.source.limits().streamTool, run: func(ctx context.Context) (sample, error) { return b.drainReference(ctx, r) }},
		{name: toNothing, run: func(ctx context.Context) (sample, error) {
			s, _, err := b.drainToNothing(ctx, r)
			return s, err
		}},
		kafka(toKafka, jsonConverters(false), nil, nil),
		kafka(toKafkaSchemas, jsonConverters(true), nil, &withSchemas),
		kafka(toKafkaOnce, jsonConverters(false), b.exactlyOnce(), nil),
		kafka(toKafkaLZ4, lz4, nil, nil),
		{name: brokerAlone, run: func(ctx context.Context) (sample, error) { return b.produceEncoded(ctx, template, r.rows) }},
		{name: brokerSchemas, run: func(ctx context.Context) (sample, error) { return b.produceEncoded(ctx, &withSchemas, r.rows) }},
	}
	if b.target.dsn != nil {
		list = append(list,
			variant{toTables, func(ctx context.Context) (sample, error) { return b.intoTables(ctx, b.rangeFeed(r)) }},
			variant{tablesByHand, func(ctx context.Context) (sample, error) { return b.tablesByHandRun(ctx, blocks) }})
	}
	if b.ch != nil {
		list = append(list,
			variant{toClickHouse, func(ctx context.Context) (sample, error) { return b.intoClickHouse(ctx, b.rangeFeed(r)) }},
			variant{bareClickHouse, func(ctx context.Context) (sample, error) { return b.bareInserts(ctx, b.rows) }})
	}
	if b.es != nil {
		list = append(list, variant{toElastic, func(ctx context.Context) (sample, error) { return b.intoElastic(ctx, b.rangeFeed(r)) }})
	}
	return list
}

// The names of what is measured; budgets are found by them.
const (
	toNothing      = "Freshet → nothing"
	toKafka        = "Freshet → Kafka JSON"
	toKafkaSchemas = "Freshet → Kafka JSON, schemas"
	toKafkaOnce    = "Freshet → Kafka JSON, exactly once"
	toKafkaLZ4     = "Freshet → Kafka JSON, lz4"
	toTables       = "Freshet → TimescaleDB tables"
	toClickHouse   = "Freshet → ClickHouse"
	toElastic      = "Freshet → Elasticsearch"
	brokerAlone    = "encoded before → Kafka"
	brokerSchemas  = "encoded before, with schemas → Kafka"
	tablesByHand   = "encoded before → tables by hand"
	bareClickHouse = "encoded before → ClickHouse, bare inserts"
	bulkIndexer    = "encoded before → Elasticsearch, BulkIndexer"
	floorAlone     = "the log's reader, and made events → Kafka"
)

// release removes what a connector needed; what stays goes with the database at the end.
func (b *bench) release(ctx context.Context, name string) {
	_ = b.source.release(context.WithoutCancel(ctx), name)
}

// drainReference runs the tool that reads the log and does nothing with it, up to the marker.
func (b *bench) drainReference(ctx context.Context, r logRange) (sample, error) {
	name := b.name("tool")
	cmd, err := b.source.streamTool(ctx, name, &r)
	if err != nil {
		return sample{}, err
	}
	defer b.release(ctx, name)
	return b.timedTool(ctx, r.rows, cmd, b.source.sends(name))
}

// drainToNothing is the runtime with the source and a sink that forgets.
func (b *bench) drainToNothing(ctx context.Context, r logRange) (sample, childStats, error) {
	name := b.name("nothing")
	source, err := b.source.stream(ctx, name, &r)
	if err != nil {
		return sample{}, childStats{}, err
	}
	defer b.release(ctx, name)
	p, err := b.startWorker(ctx, worker{child: true, source: source.with(discarded())})
	if err != nil {
		return sample{}, childStats{}, err
	}
	defer p.stop()
	s, err := b.timed(ctx, r.rows, p.pid(), p.ended, b.source.sends(name), p.printed(endLine))
	if err != nil {
		return s, childStats{}, err
	}
	stats, err := p.stopChild(ctx)
	if err == nil && stats.Rows < int64(r.rows) {
		err = fmt.Errorf("%d rows were read, not %d", stats.Rows, r.rows)
	}
	return s, stats, err
}

func discarded() map[string]string {
	return map[string]string{"sinks": "out", "sinks.out.connector.class": discardClass}
}

// drainToKafka is the freshet program until the broker has every row and the marker, which
// a reader of committed records can see. first, unless it is nil, becomes the first of the rows' records.
func (b *bench) drainToKafka(ctx context.Context, r logRange, connector, properties map[string]string, first *kgo.Record) (sample, error) {
	name := b.name("kafka")
	source, err := b.source.stream(ctx, name, &r)
	if err != nil {
		return sample{}, err
	}
	defer b.release(ctx, name)
	p, err := b.startWorker(ctx, worker{source: source.with(connector), properties: b.kafkaProperties(properties)})
	if err != nil {
		return sample{}, err
	}
	defer p.stop()
	s, err := b.timed(ctx, r.rows, p.pid(), p.ended, b.source.sends(name), b.arrived(name, r.rows))
	if err != nil {
		return s, err
	}
	p.stop()
	if first != nil {
		record, err := b.firstRecord(ctx, name+".bench.rows")
		if err != nil {
			return s, err
		}
		*first = *record
	}
	return s, b.checkTopic(ctx, name, r.rows)
}

// arrived asks whether the topics of a connector have the rows and the marker. In transactions the marker decides: it is in the
// last one, and their own markers are counted with the rows.
func (b *bench) arrived(name string, rows int) question {
	marker, data := b.holds(name+".bench.marker", 1), b.holds(name+".bench.rows", rows)
	return func(ctx context.Context) (bool, error) {
		if ok, err := data(ctx); !ok || err != nil {
			return false, err
		}
		return marker(ctx)
	}
}

// checkTopic counts what arrived, and deletes the connector's topics.
func (b *bench) checkTopic(ctx context.Context, name string, rows int) error {
	n, _, err := b.count(ctx, name+".bench.rows")
	if err != nil {
		return err
	}
	if n != int64(rows) {
		return fmt.Errorf("the topic has %d rows, not %d", n, rows)
	}
	return b.deleteTopics(ctx, name)
}

// tablesConfig lets a source write into the target's tables.
func (b *bench) tablesConfig() map[string]string {
	password, _ := b.target.dsn.User.Password()
	return map[string]string{
		"sinks": "db", "sinks.db.connector.class": "TimescaleDbSinkConnector",
		"sinks.db.connection.url":      "jdbc:postgresql://" + b.target.dsn.Host + "/" + database,
		"sinks.db.connection.username": b.target.dsn.User.Username(), "sinks.db.connection.password": password,
	}
}

// clearTarget removes what an earlier run wrote.
func (b *bench) clearTarget(ctx context.Context) error {
	return b.target.exec(ctx, "DROP SCHEMA IF EXISTS bench CASCADE", "DROP TABLE IF EXISTS freshet_offsets", "CHECKPOINT")
}

// hasRow tells whether a table, which may not be there yet, has a row.
func hasRow(ctx context.Context, conn *pgx.Conn, table string) (bool, error) {
	var there bool
	err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+table+")", pgx.QueryExecModeSimpleProtocol).Scan(&there)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && (refused.Code == "42P01" || refused.Code == "3F000") { // undefined table, schema
		return false, nil
	}
	return there, err
}

func expectRows(ctx context.Context, conn *pgx.Conn, table string, rows int) error {
	var n int
	if err := conn.QueryRow(ctx, "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		return fmt.Errorf("count rows of %s: %w", table, err)
	}
	if n != rows {
		return fmt.Errorf("table %s has %d rows, not %d", table, n, rows)
	}
	return nil
}
