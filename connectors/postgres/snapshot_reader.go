package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// snapshotReader reads one chunk after the other over a connection of its own, in the snapshot that was exported. It is the
// goroutine "postgres snapshot reader": snapshot starts it, cancels its context and waits for it.
type snapshotReader struct {
	cfg       *config
	session   connectors.SourceSession
	partition offsets.Partition
	plan      *plan
	exported  string // snapshot to import
	pos       position
	order     connectors.Order
	seq       string
	pieces    chan<- piece

	copy   wire
	rel    *relation // of the chunk being read; not shared
	b      *connectors.Builder
	stream uint32
	source connectors.Row // of every row of b
}

// run reads until there is nothing left, ctx ends or something fails.
func (r *snapshotReader) run(ctx context.Context) {
	err := r.chunks(ctx)
	if r.copy.conn != nil {
		_ = r.copy.conn.Close()
	}
	if r.b != nil {
		r.b.Discard()
		r.b.Abandon()
	}
	if err != nil {
		_ = r.send(ctx, piece{err: err}) // it fails only when nobody listens any more
	}
}

func (r *snapshotReader) chunks(ctx context.Context) error {
	for {
		c, err := r.plan.next(ctx)
		if c == nil || err != nil {
			return err
		}
		if r.copy.conn == nil {
			if err := r.connect(ctx); err != nil {
				return err
			}
			stop := context.AfterFunc(ctx, r.copy.interrupt)
			defer stop()
		}
		if err := r.chunk(ctx, c); err != nil {
			return fmt.Errorf("read table %s: %w", c.table.id, err)
		}
	}
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

// chunk reads one chunk. Memory is asked for only when a row is there, and rows are handed over only when the next one is
// there, so that whoever gets them knows whether they are the last ones (I5: the row lies in the read buffer).
func (r *snapshotReader) chunk(ctx context.Context, c *chunk) error {
	if r.rel == nil || r.rel.stream != c.table.rel.stream {
		r.rel = ownRelation(c.table.rel)
	}
	if err := r.copy.query(c.statement()); err != nil {
		return err
	}
	began := false
	for {
		kind, body, err := r.copy.message(true)
		if err != nil {
			return err
		}
		switch kind {
		case 'd':
			full := r.b != nil && r.b.Len() > 0 && (r.b.Len() >= maxRecords || r.b.Size() >= batchBytes)
			if full || !began {
				if err := r.send(ctx, piece{chunk: c, b: r.b, more: true}); err != nil {
					return err
				}
				began = true
			}
			if err := r.append(ctx, body); err != nil {
				return err
			}
		case 'D': // of alteredSQL, behind the rows
			return errAltered
		case 'E':
			if err := serverError(body); c.table.override != "" || !altered(err) {
				return err
			}
			return errAltered
		case 'Z':
			return r.send(ctx, piece{chunk: c, b: r.b})
		}
	}
}

// send hands a piece over, with the builder in it.
func (r *snapshotReader) send(ctx context.Context, p piece) error {
	select {
	case r.pieces <- p:
		r.b = nil
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// append adds a row, a line of COPY.
func (r *snapshotReader) append(ctx context.Context, line []byte) error {
	fields, err := r.rel.splitCopy(line)
	if err != nil {
		return err
	}
	if r.b == nil {
		if r.b, err = r.session.NewBatch(ctx, r.partition); err != nil {
			return err
		}
		r.stream = r.b.Stream(r.rel.stream)
	}
	w := r.b
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
	if w.Len() == 0 {
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
func (c *chunk) statement() string {
	from := c.table.rel.quotedName()
	if c.table.override != "" {
		from = "(" + c.table.override + ") AS snapshot_select"
	}
	planner := "RESET enable_seqscan; "
	if c.where != "" {
		from += " WHERE " + c.where
		planner = "SET enable_seqscan = off; "
	}
	id := c.table.id
	return planner + "COPY (SELECT " + c.table.rel.selectList() + " FROM " + from + ") TO STDOUT; " +
		fmt.Sprintf(alteredSQL, quoteLiteral(id.Schema), quoteLiteral(id.Name))
}

func quoteName(name string) string { return pgx.Identifier{name}.Sanitize() }
