//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/kafkaclient"
)

// What the targets can do by themselves: the broker with records that are already encoded, the target's tables with blocks that
// are already encoded.

// ownCPU is what this program has used so far.
func ownCPU() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("read CPU time: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// within measures work that this program does itself.
func (b *bench) within(rows int, work func() error) (sample, error) {
	before, err := ownCPU()
	if err != nil {
		return sample{}, err
	}
	m := b.meter()
	if err := work(); err != nil {
		return sample{}, err
	}
	s := m.stop(rows)
	after, err := ownCPU()
	s.worker = after - before
	return s, err
}

// firstRecord reads the first record of a topic.
func (s *servers) firstRecord(ctx context.Context, topic string) (*kgo.Record, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(s.brokers), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		return nil, fmt.Errorf("make a Kafka consumer: %w", err)
	}
	defer c.Close()
	fetches := c.PollRecords(ctx, 1)
	if err := errors.Join(fetches.Err(), ctx.Err()); err != nil {
		return nil, fmt.Errorf("read the first record of %s: %w", topic, err)
	}
	return fetches.Records()[0], nil
}

// produceEncoded writes one record again and again, with Freshet's producer and its default settings.
func (b *bench) produceEncoded(ctx context.Context, template *kgo.Record, rows int) (sample, error) {
	config, err := kafkaclient.Parse(map[string]string{"bootstrap.servers": b.brokers})
	if err != nil {
		return sample{}, err
	}
	session, err := new(kafkaclient.Pool).Open(ctx, config)
	if err != nil {
		return sample{}, err
	}
	defer session.Close()
	name := b.name("encoded")
	if err := b.createTopic(ctx, name, "delete"); err != nil {
		return sample{}, err
	}
	s, err := b.within(rows, func() error {
		p, err := kafkaclient.NewProducer(ctx, session, config.Producer, kafkaclient.ProducerOptions{})
		if err != nil {
			return err
		}
		defer p.Close()
		topic, err := p.Topic(ctx, name)
		if err != nil {
			return err
		}
		record := kafkaclient.Record{Key: template.Key, Value: template.Value, Timestamp: time.Now().UnixMilli()}
		for i := range rows {
			if err := p.Append(ctx, topic, 0, &record); err != nil {
				return err
			}
			if i%1000 == 999 {
				p.Mark(0)
			}
		}
		return p.Flush(ctx)
	})
	if err != nil {
		return s, err
	}
	ends, err := b.ends(ctx, name)
	if err == nil && ends[name] != int64(rows) {
		err = fmt.Errorf("the topic has %d records, not %d", ends[name], rows)
	}
	return s, errors.Join(err, b.deleteTopics(ctx, name))
}

// blockRows is how many rows a transaction by hand has.
const blockRows = 10_000

// blocks makes the load's rows as COPY sends them in binary form, cut into complete COPY inputs of blockRows rows; none without
// tables to write into.
func (b *bench) blocks(ctx context.Context) ([][]byte, error) {
	if b.target.dsn == nil {
		return nil, nil
	}
	var all bytes.Buffer
	err := b.target.session(ctx, func(conn *pgx.Conn) error {
		_, err := conn.PgConn().CopyTo(ctx, &all, "COPY ("+made(1, b.rows)+") TO STDOUT (FORMAT binary)")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make the rows: %w", err)
	}
	return cutCopy(all.Bytes(), blockRows)
}

// cutCopy cuts a binary COPY (PostgreSQL documentation, COPY, "Binary Format") into several of so many rows.
func cutCopy(all []byte, rows int) ([][]byte, error) {
	const fixed = 19
	if len(all) < fixed {
		return nil, errors.New("cut a binary COPY: it is too short")
	}
	start := fixed + int(binary.BigEndian.Uint32(all[15:]))
	if start > len(all) {
		return nil, errors.New("cut a binary COPY: it ends early")
	}
	head, trailer := all[:start], []byte{0xff, 0xff}
	var out [][]byte
	from, n := start, 0
	for at := start; ; {
		if at+2 > len(all) {
			return nil, errors.New("cut a binary COPY: it ends early")
		}
		columns := int(int16(binary.BigEndian.Uint16(all[at:])))
		if n == rows || columns < 0 {
			if n > 0 {
				out = append(out, slices.Concat(head, all[from:at], trailer))
			}
			if columns < 0 {
				return out, nil
			}
			from, n = at, 0
		}
		at, n = at+2, n+1
		for range columns {
			if at+4 > len(all) {
				return nil, errors.New("cut a binary COPY: it ends early")
			}
			at += 4 + max(0, int(int32(binary.BigEndian.Uint32(all[at:]))))
		}
	}
}

// tablesByHandRun does what a table sink has to do, with blocks that are encoded already: COPY into a staging table, INSERT … ON
// CONFLICT, a position, COMMIT.
func (b *bench) tablesByHandRun(ctx context.Context, blocks [][]byte) (sample, error) {
	if err := b.clearTarget(ctx); err != nil {
		return sample{}, err
	}
	var defined, names, updates []string
	for _, c := range columns() {
		defined, names, updates = append(defined, c[0]+" "+c[1]), append(names, c[0]), append(updates, c[0]+" = excluded."+c[0])
	}
	list := strings.Join(names, ", ")
	var s sample
	err := b.target.session(ctx, func(conn *pgx.Conn) error {
		run := func(sql string) error {
			_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
			return err
		}
		err := run("CREATE SCHEMA bench; CREATE TABLE bench.rows (" + strings.Join(defined, ", ") + "); " +
			"CREATE TABLE bench.position (id int PRIMARY KEY, at bigint); INSERT INTO bench.position VALUES (1, 0); " +
			"CREATE TEMPORARY TABLE stage (LIKE bench.rows) ON COMMIT DELETE ROWS")
		if err != nil {
			return err
		}
		s, err = b.within(b.rows, func() error {
			for i, block := range blocks {
				if err := run("BEGIN"); err != nil {
					return err
				}
				if _, err := conn.PgConn().CopyFrom(ctx, bytes.NewReader(block), "COPY stage FROM STDIN (FORMAT binary)"); err != nil {
					return err
				}
				if err := run(fmt.Sprintf("INSERT INTO bench.rows (%s) SELECT %s FROM stage ON CONFLICT (id) DO UPDATE SET %s; "+
					"UPDATE bench.position SET at = %d; COMMIT", list, list, strings.Join(updates[1:], ", "), i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		return expectRows(ctx, conn, "bench.rows", b.rows)
	})
	return s, err
}
