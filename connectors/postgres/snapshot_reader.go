package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// snapshotReader reads one chunk after the other over a connection of its own, in the snapshot that was exported, in the goroutine
// "snapshot reader" of changes.Snapshot.
type snapshotReader struct {
	cfg      *config
	exported string // snapshot to import
	pos      position
	order    connectors.Order
	seq      string

	copy   wire
	stop   func() bool // no longer interrupt the connection
	rel    *relation   // of the chunk being read; not shared
	stream uint32
	source connectors.Row // of every row of a batch
}

// Close ends the connection.
func (r *snapshotReader) Close() {
	if r.copy.conn != nil {
		r.stop()
		_ = r.copy.conn.Close()
	}
}

// Read reads one chunk.
func (r *snapshotReader) Read(ctx context.Context, c *chunk, out *changes.SnapshotOutput[*tableRead]) error {
	if r.copy.conn == nil {
		if err := r.connect(ctx); err != nil {
			return err
		}
		r.stop = context.AfterFunc(ctx, r.copy.interrupt)
	}
	if err := r.chunk(ctx, c, out); err != nil {
		return fmt.Errorf("read table %s: %w", c.Table.ID, err)
	}
	return nil
}

// connect opens the connection inside the exported snapshot.
func (r *snapshotReader) connect(ctx context.Context) error {
	config, err := r.cfg.connConfig(false)
	if err != nil {
		return connectors.AsPermanent(err)
	}
	pc, err := r.copy.dial(ctx, &config.Config)
	if err != nil {
		return fmt.Errorf("connect for the snapshot: %w", err)
	}
	if err := importSnapshot(ctx, pc, r.exported); err != nil {
		_ = pc.Close(ctx)
		return err
	}
	return r.copy.takeOver(ctx, pc)
}

// importSnapshot begins a transaction in a snapshot that another connection exports. When that connection was lost, the snapshot has to
// be taken again, whatever the server calls it.
func importSnapshot(ctx context.Context, pc *pgconn.PgConn, name string) error {
	_, err := pc.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT "+quoteLiteral(name)).ReadAll()
	switch sqlState(err) {
	case "22023", "42704", "55000": // invalid_parameter_value before PostgreSQL 17, undefined_object, object_not_in_prerequisite_state
		return fmt.Errorf("open the snapshot %s: it ended with the connection that exported it: %s", name, err.Error())
	}
	if err != nil {
		return fmt.Errorf("open the snapshot: %w", err)
	}
	return nil
}

func (r *snapshotReader) chunk(ctx context.Context, c *chunk, out *changes.SnapshotOutput[*tableRead]) error {
	if rel := c.Table.Own.rel; r.rel == nil || r.rel.stream != rel.stream {
		r.rel = ownRelation(rel)
	}
	if err := r.copy.query(statement(c)); err != nil {
		return err
	}
	for {
		kind, body, err := r.copy.message(true)
		if err != nil {
			return err
		}
		switch kind {
		case 'd':
			w, fresh, err := out.Row(ctx)
			if err != nil {
				return err
			}
			if err := r.append(w, fresh, body); err != nil {
				return err
			}
		case 'D': // of alteredSQL, behind the rows
			return errAltered
		case 'E':
			if err := serverError(body); c.Table.Select != "" || !altered(err) {
				return err
			}
			return errAltered
		case 'Z':
			return nil
		}
	}
}

// append adds a row, a line of COPY.
func (r *snapshotReader) append(w *connectors.Builder, fresh bool, line []byte) error {
	fields, err := r.rel.splitCopy(line)
	if err != nil {
		return err
	}
	if fresh {
		r.stream = w.Stream(r.rel.stream)
	}
	rec := w.Begin(r.stream, connectors.OpRead)
	w.After()
	if err := r.rel.appendTextRow(w, fields); err != nil {
		return err
	}
	if !r.rel.keyless() {
		w.Key()
		if err := r.rel.appendTextKey(w, rec.After, fields); err != nil {
			return err
		}
	}
	if fresh {
		r.appendSource(w)
		r.source = rec.Source
	}
	rec.Source = r.source
	rec.Timestamp, rec.Order = r.copy.read.Load(), r.order
	w.Commit()
	return nil
}

// appendSource writes the source cells, which the rows of a batch share.
func (r *snapshotReader) appendSource(w *connectors.Builder) {
	w.Source()
	w.Int(r.pos.micros)
	w.String(changes.SnapshotTrue)
	w.String(r.seq)
	if r.pos.txID != 0 {
		w.Int(r.pos.txID)
	} else {
		w.Null()
	}
	w.Int(int64(r.pos.lsn))
	w.Null()
	w.Null()
	w.Null()
}

// ownRelation is rel for another goroutine: the stream is shared, what changes while rows are read is not.
func ownRelation(rel *relation) *relation {
	out := *rel
	out.fields, out.tuple = nil, slices.Clone(rel.tuple)
	for i := range out.tuple {
		out.tuple[i].mask = out.tuple[i].mask.Clone()
	}
	return &out
}

// statement is the COPY that reads the chunk. A range of keys is read by the index, which the planner takes for dearer than
// reading the whole table again and again. A row behind those of the COPY tells that they are not to be used.
func statement(c *chunk) string {
	from := c.Table.Own.rel.quotedName()
	if c.Table.Select != "" {
		from = "(" + c.Table.Select + ") AS snapshot_select"
	}
	planner := "RESET enable_seqscan; "
	if c.Where != "" {
		from += " WHERE " + c.Where
		planner = "SET enable_seqscan = off; "
	}
	id := c.Table.ID
	return planner + "COPY (SELECT " + c.Table.Own.rel.selectList() + " FROM " + from + ") TO STDOUT; " +
		fmt.Sprintf(alteredSQL, quoteLiteral(id.Schema), quoteLiteral(id.Name))
}

func quoteName(name string) string { return pgx.Identifier{name}.Sanitize() }
