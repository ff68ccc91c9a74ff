package timescaledb

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/freshet-io/freshet/connectors"
)

// writer owns the connection, on the goroutine of the sink's buffer: it writes one block after the other, each in one transaction, and does
// what others ask of the database in between.
type writer struct {
	sink   *sink
	conn   *pgx.Conn     // nil: lost
	staged map[*plan]int // bytes in the staging tables that the session has
	flush  int64         // number of the newest transaction
}

const (
	chunkSize  = 64 << 10 // of a CopyData message
	maxStaging = 200      // temporary tables of a session
	maxStaged  = 1 << 20  // bytes that are left in one of them
)

// write makes a block durable, however often it takes (I1); an error means that it cannot be.
func (w *writer) write(ctx context.Context, blk *block) error {
	if len(blk.positions) == 0 {
		return nil // all of it was written before
	}
	blk.seal()
	w.flush++
	unknown := false // whether the transaction was committed
	for attempt := 0; ; attempt++ {
		err := w.connect(ctx)
		if err == nil && unknown {
			var done bool
			if done, err = w.sink.ledger.committed(ctx, w.conn, &blk.positions[0], w.flush); err == nil && done {
				break
			}
		}
		if err == nil {
			unknown = false
			err = w.transact(ctx, blk, &unknown)
		}
		if err == nil {
			break
		}
		if connectors.ClassOf(err) != connectors.Retriable || isLost(err) {
			return err
		}
		if err = w.again(ctx, err, attempt); err != nil {
			return err
		}
	}
	w.sink.ledger.stored(blk.positions)
	return nil
}

// again waits before the next attempt; it returns the error when there is none.
func (w *writer) again(ctx context.Context, err error, attempt int) error {
	why := explain(err)
	switch outcomeOf(err) {
	case outcomeFail:
		return connectors.AsPermanent(why)
	case outcomeLost:
		if w.conn != nil { // else it is connect's error, which tells where
			a := &w.sink.cfg.address
			why = fmt.Errorf("write to PostgreSQL at %s, database %s: %w", a.hostPort(), a.database, why)
		}
		w.disconnect()
	}
	if ctx.Err() != nil {
		return connectors.ErrStopped
	}
	wait := min(20*time.Millisecond<<min(attempt, 10), w.sink.cfg.pause)
	wait = time.Duration(rand.Int64N(int64(wait)) + 1)
	if attempt > 0 {
		w.sink.task.Retrying(why)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return connectors.ErrStopped
	}
}

// connect opens the connection when it was lost.
func (w *writer) connect(ctx context.Context) error {
	if w.conn != nil {
		return nil
	}
	conn, err := w.sink.cfg.connect(ctx)
	if err == nil {
		if err = w.sink.endEarlier(ctx, conn); err != nil { // the lost session may hold locks for as long as the server takes it for alive
			_ = conn.Close(context.WithoutCancel(ctx))
		}
	}
	if err != nil {
		return err
	}
	w.conn = conn
	return nil
}

func (w *writer) disconnect() {
	if w.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = w.conn.Close(ctx)
	w.conn = nil
	clear(w.staged)
}

// step is a statement of a transaction and what must come of it.
type step struct {
	rows    int // that it must change; -1: any number
	about   *position
	section *section // of an update of rows that must be there
}

// transact writes a block in one transaction. unknown is set when the outcome of COMMIT is not known.
func (w *writer) transact(ctx context.Context, blk *block, unknown *bool) error {
	conn := w.conn.PgConn()
	undo := context.AfterFunc(ctx, func() { _ = conn.Conn().SetDeadline(time.Unix(1, 0)) })
	defer undo()
	if err := w.stageTables(ctx, blk); err != nil {
		return err
	}
	sql, steps := w.statements(blk)
	front := conn.Frontend()
	front.SendQuery(&pgproto3.Query{String: sql})
	if err := front.Flush(); err != nil {
		return err
	}
	for _, s := range blk.sections {
		if s.live == 0 {
			continue
		}
		if err := sendCopy(conn, s.data); err != nil {
			return err
		}
	}
	tags, err := receive(front)
	if err == nil {
		err = w.verify(steps, tags)
	}
	if err != nil {
		if outcomeOf(err) == outcomeLost && connectors.ClassOf(err) == connectors.Retriable && !isLost(err) {
			return err
		}
		front.SendQuery(&pgproto3.Query{String: "ROLLBACK"})
		if ferr := front.Flush(); ferr == nil {
			if _, rerr := receive(front); rerr == nil {
				return err
			}
		}
		w.disconnect()
		return err
	}
	*unknown = true
	front.SendQuery(&pgproto3.Query{String: "COMMIT"})
	if err := front.Flush(); err != nil {
		return err
	}
	if tags, err = receive(front); err != nil {
		*unknown = outcomeOf(err) == outcomeLost
		return err
	}
	if len(tags) != 1 || tags[0] != "COMMIT" {
		*unknown = false
		return fmt.Errorf("commit to the target: the server rolled back")
	}
	return nil
}

// stageTables makes the temporary tables that the session does not have yet.
func (w *writer) stageTables(ctx context.Context, blk *block) error {
	var ddl []string
	for _, s := range blk.sections {
		if _, there := w.staged[s.plan]; s.stages() && !there && !slices.Contains(ddl, s.plan.create) {
			ddl = append(ddl, s.plan.create)
		}
	}
	if len(ddl) == 0 {
		return nil
	}
	if len(w.staged)+len(ddl) > maxStaging {
		clear(w.staged)
		ddl = []string{"DISCARD TEMP"}
		for _, s := range blk.sections {
			if s.stages() && !slices.Contains(ddl, s.plan.create) {
				ddl = append(ddl, s.plan.create)
			}
		}
	}
	for _, text := range ddl {
		if _, err := w.conn.PgConn().Exec(ctx, text).ReadAll(); err != nil {
			return fmt.Errorf("make a staging table: %w", err)
		}
	}
	for _, s := range blk.sections {
		if s.stages() {
			w.staged[s.plan] += 0
		}
	}
	return nil
}

// statements is the text of a transaction up to COMMIT. Positions come first: they lock out, or are refused by, another owner
// before anything is written (I6).
func (w *writer) statements(blk *block) (string, []step) {
	var sql strings.Builder
	var steps []step
	add := func(text string, s step) {
		sql.WriteString(text)
		sql.WriteByte(';')
		steps = append(steps, s)
	}
	free := step{rows: -1}
	add("BEGIN", free)
	for i := range blk.positions {
		text, rows := w.sink.ledger.store(&blk.positions[i], w.flush)
		add(text, step{rows: rows, about: &blk.positions[i]})
	}
	for _, s := range blk.sections {
		if s.truncate {
			add(s.plan.truncate, free)
		}
		if s.live == 0 {
			continue
		}
		if s.plan.straight {
			add(s.plan.copy, free)
			continue
		}
		if w.staged[s.plan] > maxStaged || s.again { // the rows of an earlier section are of this transaction, too
			add(s.plan.empty, free)
			w.staged[s.plan] = 0
		}
		w.staged[s.plan] += len(s.data)
		add(s.plan.copy, step{rows: s.live, section: s})
		if s.counts[opDelete]+s.counts[opRewrite] > 0 {
			add(s.plan.remove, free)
		}
		for i := range s.patterns {
			if n := s.patterns[i].rows; n > 0 {
				must := n
				if s.plan.mode == "update" {
					must = -1
				}
				add(s.plan.update(opPatterns+i, s.patterns[i].missing), step{rows: must, section: s})
			}
		}
		if s.counts[opWrite]+s.counts[opRewrite] > 0 {
			add(s.plan.insert, free)
		}
	}
	return sql.String(), steps
}

// verify compares what the statements did with what they had to do.
func (w *writer) verify(steps []step, tags []string) error {
	if len(tags) != len(steps) {
		return connectors.AsPermanent(fmt.Errorf("write to the target: %d statements were sent and %d answered", len(steps), len(tags)))
	}
	for i, s := range steps {
		if s.rows < 0 {
			continue
		}
		n, _ := strconv.Atoi(tags[i][strings.LastIndexByte(tags[i], ' ')+1:])
		switch {
		case n == s.rows:
		case s.about != nil:
			return w.sink.ledger.fenced(s.about.partition)
		default:
			return connectors.AsPermanent(fmt.Errorf("write to table %s: %d of %d updated rows, whose unchanged values the source did not send, are not there exactly once; give the target all rows with a new snapshot, or %s",
				s.section.plan.target, s.rows-n, s.rows, s.section.plan.remedy()))
		}
	}
	return nil
}

// sendCopy sends COPY data whose first bytes are room for a message header. Each further header takes the place of bytes that
// are already sent, which are put back: the block may have to be sent again.
func sendCopy(conn *pgconn.PgConn, data []byte) error {
	front := conn.Frontend()
	var kept [messageHeader]byte
	for at := messageHeader; at < len(data); {
		end := min(at+chunkSize, len(data))
		header := data[at-messageHeader : at]
		copy(kept[:], header)
		header[0] = 'd'
		binary.BigEndian.PutUint32(header[1:], uint32(end-at+4))
		err := front.SendUnbufferedEncodedCopyData(data[at-messageHeader : end])
		copy(header, kept[:])
		if err != nil {
			return err
		}
		at = end
	}
	front.Send(&pgproto3.CopyDone{})
	return front.Flush()
}

// receive reads the answers to a query: the tags of its statements, or its error.
func receive(front *pgproto3.Frontend) (tags []string, err error) {
	for {
		msg, rerr := front.Receive()
		if rerr != nil {
			if errors.Is(rerr, io.EOF) {
				rerr = io.ErrUnexpectedEOF
			}
			return nil, rerr
		}
		switch m := msg.(type) {
		case *pgproto3.CommandComplete:
			tags = append(tags, string(m.CommandTag))
		case *pgproto3.ErrorResponse:
			if err == nil {
				err = pgconn.ErrorResponseToPgError(m)
			}
			if m.Severity == "FATAL" || m.Severity == "PANIC" {
				return nil, err
			}
		case *pgproto3.ReadyForQuery:
			return tags, err
		}
	}
}

// perform calls do with the connection until it succeeds or cannot.
func (w *writer) perform(ctx context.Context, do func(context.Context, *pgx.Conn) error) error {
	for attempt := 0; ; attempt++ {
		err := w.connect(ctx)
		if err == nil {
			err = do(ctx, w.conn)
		}
		if w.conn != nil && w.conn.IsClosed() {
			w.disconnect()
		}
		if err == nil || connectors.ClassOf(err) != connectors.Retriable || isLost(err) {
			return err
		}
		if err = w.again(ctx, err, attempt); err != nil {
			return err
		}
	}
}

// call runs do on the writer's goroutine, between two blocks.
func (s *sink) call(ctx context.Context, do func(context.Context, *pgx.Conn) error) error {
	if s.buffer == nil {
		return errors.New("the sink was not started")
	}
	err := s.buffer.Call(ctx, func(ctx context.Context) error { return s.writer.perform(ctx, do) })
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
