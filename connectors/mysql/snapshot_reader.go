package mysql

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// errAltered is a table of the snapshot that is not what it was when the snapshot began.
var errAltered = errors.New("the table was altered, truncated, renamed or dropped after the snapshot began, so that the snapshot does not show its rows: " +
	"the snapshot is taken again; snapshot.locking.mode=extended keeps tables from being altered while it lasts")

// altered tells that the server cannot show a table as it was.
func altered(err error) bool {
	var server *mysql.MyError
	if !errors.As(err, &server) {
		return false
	}
	switch server.Code {
	case mysql.ER_TABLE_DEF_CHANGED, mysql.ER_NO_SUCH_TABLE, mysql.ER_BAD_FIELD_ERROR, mysql.ER_BAD_DB_ERROR, mysql.ER_KEY_DOES_NOT_EXITS:
		return true
	}
	return false
}

// snapshotReader reads one chunk after the other over a connection of its own, in a transaction that was opened while the lock of the snapshot
// was held, in the goroutine "snapshot reader" of changes.Snapshot.
type snapshotReader struct {
	result resultReader
	id     uint32 // of the connection
	source sourceValues
	order  connectors.Order

	stop   func() bool // no longer interrupt the connection
	own    *tableRead  // of the chunk before
	table  *table      // a clone
	stream uint32
	cells  connectors.Row // source of every row of a batch
}

// readerStart opens the transaction of a reader. The savepoint lets it give up the metadata lock of a table that was read, which would
// keep others from altering it, and then from using it, as long as the snapshot lasts.
var readerStart = []string{
	"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", "SAVEPOINT freshet",
}

// newReader connects and opens the transaction.
func (s *snapshot) newReader(ctx context.Context) (*snapshotReader, error) {
	cfg := s.t.cfg
	conn, err := s.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect for the snapshot: %w", err)
	}
	for _, statement := range readerStart {
		if _, err := cfg.execute(ctx, conn, statement); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("open the transaction of the snapshot (%s): %w", statement, err)
		}
	}
	r := &snapshotReader{id: conn.GetConnectionID()}
	if len(s.readers) == 0 && !s.lock.exact() {
		if err := s.correctPosition(ctx, conn); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	r.result.takeOver(conn)
	return r, nil
}

// Close ends the connection.
func (r *snapshotReader) Close() {
	if r.stop != nil {
		r.stop()
	}
	_ = r.result.conn.Close()
}

// Read reads one chunk.
func (r *snapshotReader) Read(ctx context.Context, c *chunk, out *changes.SnapshotOutput[*tableRead]) error {
	if r.stop == nil {
		r.stop = context.AfterFunc(ctx, r.result.interrupt)
	}
	err := r.chunk(ctx, c, out)
	if c.Table.Select == "" && altered(err) {
		err = errAltered
	}
	if err != nil {
		return fmt.Errorf("read table %s: %w", c.Table.ID, err)
	}
	return nil
}

func (r *snapshotReader) chunk(ctx context.Context, c *chunk, out *changes.SnapshotOutput[*tableRead]) error {
	if r.own != c.Table.Own {
		if r.own != nil {
			if err := r.result.exec("ROLLBACK TO SAVEPOINT freshet"); err != nil {
				return err
			}
		}
		r.own, r.table = c.Table.Own, c.Table.Own.clone()
	}
	if err := r.result.query(selectStatement(c), len(r.table.selected)); err != nil {
		return err
	}
	for {
		fields, err := r.result.row()
		if err != nil || fields == nil {
			return err
		}
		w, fresh, err := out.Row(ctx)
		if err != nil {
			return err
		}
		if err := r.append(w, fresh, fields); err != nil {
			return err
		}
	}
}

// append adds a row.
func (r *snapshotReader) append(w *connectors.Builder, fresh bool, fields [][]byte) error {
	t := r.table
	if fresh {
		r.stream = w.Stream(t.stream)
	}
	rec := w.Begin(r.stream, connectors.OpRead)
	w.After()
	if err := t.appendTextRow(w, fields); err != nil {
		return err
	}
	if len(t.keys) > 0 {
		w.Key()
		if err := t.appendTextKey(w, rec.After, fields); err != nil {
			return err
		}
	}
	if fresh {
		r.source.append(w)
		r.cells = rec.Source
	}
	rec.Source = r.cells
	rec.Timestamp, rec.Order = r.result.read.Load(), r.order
	w.Commit()
	return nil
}
