package mysql

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/freshet-io/freshet/connectors"
)

// history stores the records of a schema history in order. One caller at a time.
type history interface {
	// open connects; it makes nothing.
	open(ctx context.Context) error
	// exists tells whether there is a record.
	exists(ctx context.Context) (bool, error)
	// read hands out every record there is now, from the first one on; at says where it stands. record is valid until each returns.
	read(ctx context.Context, each func(at string, record []byte) error) error
	// append makes the storage when there is none, writes records, and returns when they are durable. After an error some of them may be written.
	append(ctx context.Context, records []historyRecord) error
	close()
}

// newHistory returns the history of schema.history.internal.
func newHistory(cfg *config, log *slog.Logger) (history, error) {
	switch cfg.history.class {
	case "KafkaSchemaHistory":
		return newKafkaHistory(cfg, log)
	case "FileSchemaHistory":
		return &fileHistory{path: cfg.history.file, log: log}, nil
	case "MemorySchemaHistory":
		log.Warn("MemorySchemaHistory keeps the schema history in memory: it is lost when the task ends, and the connector cannot go on then. " +
			"Use KafkaSchemaHistory or FileSchemaHistory for anything but a test")
		return &memoryHistory{}, nil
	}
	return nil, connectors.AsPermanent(fmt.Errorf("open the schema history: schema.history.internal=%s is not known", cfg.history.class))
}

// maxMemoryHistory bounds a history in memory, in bytes.
const maxMemoryHistory = 64 << 20

// memoryHistory is lost with its task (reference, io.debezium.relational.history.MemorySchemaHistory).
type memoryHistory struct {
	records [][]byte
	bytes   int
}

func (m *memoryHistory) open(context.Context) error           { return nil }
func (m *memoryHistory) exists(context.Context) (bool, error) { return len(m.records) > 0, nil }
func (m *memoryHistory) close()                               {}

func (m *memoryHistory) read(_ context.Context, each func(at string, record []byte) error) error {
	for i, r := range m.records {
		if err := each(fmt.Sprintf("memory, record %d", i), r); err != nil {
			return err
		}
	}
	return nil
}

func (m *memoryHistory) append(_ context.Context, records []historyRecord) error {
	for i := range records {
		r := records[i].encode(false)
		if m.bytes += len(r); m.bytes > maxMemoryHistory {
			return fmt.Errorf("write the schema history: MemorySchemaHistory holds at most %d bytes: use KafkaSchemaHistory or FileSchemaHistory", maxMemoryHistory)
		}
		m.records = append(m.records, r)
	}
	return nil
}
