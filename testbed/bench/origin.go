//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/offsets/boltstore"
)

// markerTable is the table whose row ends a range of the log.
const markerTable = "marker"

// origin is the database that a run reads: Postgres or MySQL. The benchmark's tables are bench.rows and bench.marker, whose row
// ends a range of the log; a connector named name has the topics name.bench.rows and name.bench.marker.
type origin interface {
	// title is the server's name and version.
	title(ctx context.Context) string
	// pid is the server's process; 0: not to be seen.
	pid() int
	close(ctx context.Context) error
	limits() limits

	// createTables makes the tables anew.
	createTables(ctx context.Context) error
	// fill writes rows for a snapshot.
	fill(ctx context.Context, rows int) error
	// load writes rows in transactions of size rows each, then the marker, and then a row behind the marker, for a reader that waits
	// for the end to see something beyond it. keep is a name for what holds the beginning, until forget.
	load(ctx context.Context, keep string, rows, size int) (logRange, error)
	forget(ctx context.Context, r logRange) error
	// writer opens a session of a paced load.
	writer(ctx context.Context) (writer, error)

	// stream prepares a connector that streams, from the beginning of a range; nil: from now on. Every kind of worker understands it.
	stream(ctx context.Context, name string, r *logRange) (reading, error)
	// snapshot is a connector that reads bench.rows and no changes.
	snapshot(name string) reading
	// release removes what a connector needed or made in the database.
	release(ctx context.Context, name string) error
	// sends asks whether the log is being sent to a connector, or to the tool that reads in its place.
	sends(name string) question
	// reads asks whether a snapshot, or the tool in its place, reads bench.rows.
	reads() question
	// streamTool reads what a connector of this name would, up to the marker, and does nothing with it; without a range it never ends.
	streamTool(ctx context.Context, name string, r *logRange) (*exec.Cmd, error)
	// snapshotTool does so with bench.rows.
	snapshotTool(ctx context.Context) (*exec.Cmd, error)
}

// limits are the names of the reference readers and what Freshet must reach beside them.
type limits struct {
	log, streamTool        string // "one range of WAL"; the tool by its name
	snapshotTool, snapshot string // the tool; in the head of a column
	rates                  []int  // of freshness, transactions a second
	stream                 budgets
}

// logRange is a stretch of the log that ends with the marker.
type logRange struct {
	rows int
	size int64 // bytes of log

	slot  string // Postgres: it begins here, and every reader gets a copy
	end   string // Postgres: the LSN behind the marker's commit
	place place  // MySQL: it begins here
}

// reading is a connector that reads the origin.
type reading struct {
	name   string
	config map[string]string
	offset offsets.Entry // where it goes on, stored before it starts; zero: it needs none
}

// with adds keys.
func (r reading) with(more ...map[string]string) reading {
	r.config = maps.Clone(r.config)
	for _, m := range more {
		maps.Copy(r.config, m)
	}
	return r
}

// tableKeys are the same for every origin.
func tableKeys(name string) map[string]string {
	return map[string]string{
		"name": name, "tasks.max": "1", "topic.prefix": name,
		"table.include.list":                        "bench.rows,bench.marker",
		"topic.creation.default.partitions":         "1",
		"topic.creation.default.replication.factor": "1",
	}
}

// snapshotKeys take a snapshot of the rows alone.
func snapshotKeys() map[string]string {
	return map[string]string{"snapshot.mode": "initial_only", "table.include.list": "bench.rows"}
}

// offsetFile is where a worker keeps offsets that it does not keep in a topic.
func (b *bench) offsetFile(worker string) string { return filepath.Join(b.work, worker+".db") }

// seed stores the offset at which a connector goes on, where its worker will look for it.
func (b *bench) seed(ctx context.Context, file, topic string, r reading) (err error) {
	if r.offset == (offsets.Entry{}) {
		return nil
	}
	if topic != "" {
		key, err := offsets.EncodeKey(r.name, r.offset.Partition)
		if err != nil {
			return err
		}
		if err := b.createTopic(ctx, topic, "compact"); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) { // by the round before
			return err
		}
		record := &kgo.Record{Topic: topic, Key: key, Value: []byte(r.offset.Offset)}
		if err := b.servers.kafka.ProduceSync(ctx, record).FirstErr(); err != nil {
			return fmt.Errorf("store the offset to begin at: %w", err)
		}
		return nil
	}
	store, err := boltstore.Open(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return store.Save(ctx, r.name, []offsets.Entry{r.offset})
}
