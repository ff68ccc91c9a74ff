package cluster

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/testbed/history"
)

// confirmed waits until the databases know that all that is written to them by now is durable downstream.
func (r *round) confirmed() {
	r.Helper()
	var end, complaint string
	if err := r.admin.QueryRow(r.Context(), "SELECT pg_current_wal_lsn()::text").Scan(&end); err != nil {
		r.Fatal(err)
	}
	until(r, func() string { return "slots that are not confirmed up to " + end + ": " + complaint }, func() bool {
		err := r.admin.QueryRow(r.Context(), `SELECT coalesce(string_agg(format('%s at %s', slot_name, confirmed_flush_lsn), ', '), '')
FROM pg_replication_slots WHERE slot_name = ANY($1) AND confirmed_flush_lsn < $2::text::pg_lsn`, r.names, end).Scan(&complaint)
		if err != nil {
			r.Fatal(err)
		}
		return complaint == ""
	})
}

// delivered waits until all that is written by now is durable downstream.
func (r *round) delivered() {
	r.Helper()
	r.confirmed()
	for i := range r.paths {
		topic := r.fileConnector(i)
		var records []*kgo.Record
		until(r, func() string { return fmt.Sprintf("topic %s has %d of %d lines", topic, len(records), r.lines) }, func() bool {
			records = r.kafka.Read(r, topic)
			return len(records) >= r.lines
		})
	}
}

// compare compares what committed readers see with what was written.
func (r *round) compare() {
	r.Helper()
	for i, db := range r.names {
		records := r.kafka.Read(r, r.tables(db)...)
		var got []history.Seen
		for _, record := range records {
			seen, err := history.Understand(record.Topic, record.Key, record.Value)
			if err != nil {
				r.Fatal(err)
			}
			got = append(got, seen)
		}
		r.events += len(got)
		r.histories[i].Check(got, r.plan.early, false).Report(r)
		r.oneWriter(records, byPartition)
	}
	for i := range r.paths {
		records := r.kafka.Read(r, r.fileConnector(i))
		r.events += len(records)
		r.oneWriter(records, byPartition)
		if len(records) != r.lines {
			r.Errorf("topic %s has %d lines, want %d", r.fileConnector(i), len(records), r.lines)
		}
		for n, record := range records {
			if string(record.Value) != strconv.Itoa(n) {
				r.Errorf("topic %s, line %d: %s", r.fileConnector(i), n, record.Value)
				break
			}
		}
	}
	offsets := r.kafka.Read(r, r.name+"-offsets")
	r.oneWriter(offsets, func(record *kgo.Record) string { return string(record.Key) })
	r.forward(offsets)
}

func byPartition(record *kgo.Record) string {
	return fmt.Sprintf("%s[%d]", record.Topic, record.Partition)
}

// oneWriter checks that what belongs together was written by one producer after the other: when another one has begun, nothing comes
// of the one before any more (I6).
func (r *round) oneWriter(records []*kgo.Record, of func(*kgo.Record) string) {
	r.Helper()
	type writer struct {
		id    int64
		epoch int16
	}
	now, over := map[string]writer{}, map[string]map[writer]bool{}
	for _, record := range records {
		what, w := of(record), writer{record.ProducerID, record.ProducerEpoch}
		if w.id < 0 {
			r.Errorf("%s, offset %d: written without a producer id", what, record.Offset)
			return
		}
		if over[what] == nil {
			over[what], now[what] = map[writer]bool{}, w
		}
		if now[what] != w {
			over[what][now[what]], now[what] = true, w
		}
		if over[what][w] {
			r.Errorf("%s, offset %d of partition %d: producer %+v wrote after another one had taken over", what, record.Offset, record.Partition, w)
			return
		}
	}
}

// forward checks that the stored offset of no connector of Postgres went back.
func (r *round) forward(records []*kgo.Record) {
	r.Helper()
	last := map[string]int64{}
	for _, record := range records {
		key := string(record.Key)
		if !strings.Contains(key, `"server"`) || record.Value == nil {
			continue
		}
		var o struct {
			LSN    int64 `json:"lsn"`
			Commit int64 `json:"lsn_commit"`
		}
		if err := json.Unmarshal(record.Value, &o); err != nil {
			r.Fatalf("read offset %s: %v", record.Value, err)
		}
		at := max(o.LSN, o.Commit)
		if at < last[key] && !r.plan.early { // a snapshot that begins again does so at an LSN of its own
			r.Errorf("the stored offset of %s went back from %d to %d", key, last[key], at)
		}
		last[key] = at
	}
	for _, db := range r.names {
		found := false
		for key := range last {
			found = found || strings.Contains(key, `"`+r.connector(db)+`"`)
		}
		if !found {
			r.Errorf("connector %s has no stored offset", r.connector(db))
		}
	}
}
