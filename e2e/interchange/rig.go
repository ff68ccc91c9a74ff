package interchange

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/testbed"
)

// Rig is a database, its topics, and the connector between them.
type Rig struct {
	Name        string // of database, connector, slot and publication, and the topic prefix
	Bootstrap   string
	OffsetTopic string
	Config      map[string]string // of the connector
	Conn        *pgx.Conn         // to the database
	Tail        *Tail
	Load        *Load
	Setup       []Statement // tables and publication
	Statements  []Statement // since the last hand-over
	Ends        []map[string]int64
}

// NewRig prepares tables with rows, the publication, the audit slot and the topics. The server's database must be there.
func NewRig(ctx context.Context, dsn, bootstrap, name, offsetTopic string, seed uint64, rows int, more map[string]string) (*Rig, error) {
	r := &Rig{Name: name, Bootstrap: bootstrap, OffsetTopic: offsetTopic}
	at, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("parse the database's address: %w", err)
	}
	r.Config = map[string]string{
		"name": name, "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "tasks.max": "1",
		"plugin.name": "pgoutput", "database.hostname": at.Host, "database.port": strconv.Itoa(int(at.Port)),
		"database.user": at.User, "database.password": at.Password, "database.dbname": at.Database,
		"topic.prefix": name, "slot.name": name, "publication.name": name, "publication.autocreate.mode": "disabled",
		"table.include.list": "public.a,public.b", "poll.interval.ms": "20",
	}
	for k, v := range more {
		r.Config[k] = v
	}
	if r.Conn, err = pgx.ConnectConfig(ctx, at); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", net.JoinHostPort(at.Host, strconv.Itoa(int(at.Port))), err)
	}
	r.Load, r.Setup = NewLoad(seed, rows, name)
	return r, nil
}

// Prepare runs the setup, creates the audit slot and the topics, and follows them.
func (r *Rig) Prepare(ctx context.Context) error {
	if err := Exec(ctx, r.Conn, r.Setup...); err != nil {
		return err
	}
	if _, err := r.Conn.Exec(ctx, "SELECT pg_create_logical_replication_slot($1, 'pgoutput')", r.audit()); err != nil {
		return fmt.Errorf("create the audit slot: %w", err)
	}
	if err := r.createTopics(ctx); err != nil {
		return err
	}
	var err error
	r.Tail, err = NewTail(r.Bootstrap, r.Topics()...)
	return err
}

// Close drops both slots and closes what was opened.
func (r *Rig) Close(ctx context.Context) error {
	if r.Tail != nil {
		r.Tail.Close()
	}
	_, err := r.Conn.Exec(ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name IN ($1, $2) AND NOT active", r.Name, r.audit())
	return errors.Join(err, r.Conn.Close(ctx))
}

func (r *Rig) audit() string { return r.Name + "_audit" }

// Topics are the names of the tables' topics.
func (r *Rig) Topics() []string { return []string{r.Name + ".public.a", r.Name + ".public.b"} }

func (r *Rig) createTopics(ctx context.Context) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(r.Bootstrap))
	if err != nil {
		return fmt.Errorf("make a Kafka client: %w", err)
	}
	defer c.Close()
	req := kmsg.NewPtrCreateTopicsRequest()
	for _, name := range r.Topics() {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 1, 1
		req.Topics = append(req.Topics, topic)
	}
	if _, err := req.RequestWith(ctx, c); err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	return nil
}

// Run executes statements and remembers them.
func (r *Rig) Run(ctx context.Context, statements []Statement) error {
	r.Statements = append(r.Statements, statements...)
	return Exec(ctx, r.Conn, statements...)
}

// HandOver notes where the topics end, and reads up to there.
func (r *Rig) HandOver(ctx context.Context) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(r.Bootstrap))
	if err != nil {
		return fmt.Errorf("make a Kafka client: %w", err)
	}
	defer c.Close()
	found, err := testbed.CommittedEnds(ctx, c, r.Topics())
	if err != nil {
		return err
	}
	ends := map[string]int64{}
	for tp, end := range found {
		ends[tp.Topic] = end
	}
	r.Ends = append(r.Ends, ends)
	return r.Tail.Reach(ctx, ends)
}

// HandOvers are the events that were there at each hand-over.
func (r *Rig) HandOvers() [][]Event {
	var out [][]Event
	events := r.Tail.Events()
	for _, ends := range r.Ends {
		var there []Event
		for _, e := range events {
			if e.Record.Offset < ends[e.Record.Topic] {
				there = append(there, e)
			}
		}
		out = append(out, there)
	}
	return out
}

// History reads what the server decoded.
func (r *Rig) History(ctx context.Context) (*History, error) {
	return ReadHistory(ctx, r.Conn, r.audit(), r.Name)
}

// Rows reads the tables: id and seq.
func (r *Rig) Rows(ctx context.Context) (map[string]map[string]int, error) {
	out := map[string]map[string]int{}
	for _, table := range tables {
		rows, err := r.Conn.Query(ctx, "SELECT id::text, seq FROM "+table)
		if err != nil {
			return nil, fmt.Errorf("read table %s: %w", table, err)
		}
		out[table] = map[string]int{}
		var id string
		var seq int
		if _, err := pgx.ForEachRow(rows, []any{&id, &seq}, func() error { out[table][id] = seq; return nil }); err != nil {
			return nil, fmt.Errorf("read table %s: %w", table, err)
		}
	}
	return out, nil
}

// Offset is the connector's offset record as the worker reads it: the last one of its key. "" for none.
func (r *Rig) Offset(ctx context.Context) (key, value string, err error) {
	want, err := offsets.EncodeKey(r.Name, offsets.Partition(`{"server":"`+r.Name+`"}`))
	if err != nil {
		return "", "", err
	}
	records, err := testbed.ReadCommitted(ctx, r.Bootstrap, []string{r.OffsetTopic})
	if err != nil {
		return "", "", err
	}
	for _, record := range records {
		if string(record.Key) == string(want) {
			value = string(record.Value)
		}
	}
	return string(want), value, nil
}

// Confirmed is up to where the slot is confirmed, 0 when it is not there.
func (r *Rig) Confirmed(ctx context.Context) (uint64, error) {
	var lsn int64
	err := r.Conn.QueryRow(ctx, "SELECT coalesce(max(confirmed_flush_lsn - '0/0'), 0)::int8 FROM pg_replication_slots WHERE slot_name = $1", r.Name).Scan(&lsn)
	if err != nil {
		return 0, fmt.Errorf("read slot %s: %w", r.Name, err)
	}
	return uint64(lsn), nil
}
