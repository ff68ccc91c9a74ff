package interchange

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Exchange is one connector that goes from writer to writer.
type Exchange struct {
	*Rig
	Random *rand.Rand
	Kinds  []string // how each turn ended: "Debezium stop", …
	Turns  []Turn
	now    Writer
}

// Turn is what happened between two hand-overs, as a recording keeps it.
type Turn struct {
	Writer    string
	SQL       []Statement
	Number    int              // of the last transaction
	Records   map[string]int64 // topic without prefix: how many there are
	Offset    string           // the connector's offset record
	Confirmed uint64           // of the slot
}

// HandOver ends a turn.
func (x *Exchange) HandOver(ctx context.Context, w Writer, how string) error {
	x.Kinds = append(x.Kinds, w.Name()+" "+how)
	if err := x.Rig.HandOver(ctx); err != nil {
		return err
	}
	t := Turn{Writer: w.Name(), SQL: x.Statements, Number: x.Load.Number, Records: map[string]int64{}}
	x.Statements = nil
	ends := x.Ends[len(x.Ends)-1]
	for _, e := range x.Tail.Events() {
		if topic := e.Record.Topic; e.Record.Offset < ends[topic] {
			t.Records[topic[len(x.Name)+1:]]++
		}
	}
	var err error
	if _, t.Offset, err = x.Offset(ctx); err != nil {
		return err
	}
	t.Confirmed, err = x.Confirmed(ctx)
	x.Turns = append(x.Turns, t)
	return err
}

// end stops or kills the writer and ends the turn.
func (x *Exchange) end(ctx context.Context, w Writer, how string) error {
	var err error
	if how == "kill -9" {
		err = w.Kill()
	} else {
		err = w.Stop(ctx)
	}
	if err == nil {
		err = x.slotFree(ctx)
	}
	if err != nil {
		return err
	}
	return x.HandOver(ctx, w, how)
}

// slotFree waits until the server has noticed the end of the reader.
func (x *Exchange) slotFree(ctx context.Context) error {
	return poll(ctx, "the slot to be free", func() (bool, error) {
		var active bool
		err := x.Conn.QueryRow(ctx, "SELECT coalesce(bool_or(active), false) FROM pg_replication_slots WHERE slot_name = $1", x.Name).Scan(&active)
		return !active, err
	})
}

// begin starts a turn.
func (x *Exchange) begin(ctx context.Context, w Writer) error {
	x.now = w
	return w.Start(ctx)
}

// wait waits for events, or the writer's failure.
func (x *Exchange) wait(ctx context.Context, what string, ok func(events, number int) bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if err := x.now.Failed(ctx); err != nil {
					cancel(err)
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	err := x.Tail.Wait(ctx, what, ok)
	cancel(nil)
	<-watched
	return err
}

// caughtUp waits until the last transaction is in the topic.
func (x *Exchange) caughtUp(ctx context.Context) error {
	want := x.Load.Number
	return x.wait(ctx, fmt.Sprintf("transaction %d", want), func(_, number int) bool { return number >= want })
}

// Quiet hands over after everything was delivered; what is written while nobody reads comes in the next turn.
func (x *Exchange) Quiet(ctx context.Context, writers []Writer, turns int) error {
	for turn := range turns {
		w := writers[turn%len(writers)]
		if err := x.begin(ctx, w); err != nil {
			return err
		}
		if err := x.snapshotDone(ctx); err != nil {
			return err
		}
		for range 3 {
			if err := x.Run(ctx, x.Load.Transaction()); err != nil {
				return err
			}
		}
		if err := x.caughtUp(ctx); err != nil {
			return err
		}
		if err := x.end(ctx, w, "stop"); err != nil {
			return err
		}
		if turn < turns-1 {
			for range 2 {
				if err := x.Run(ctx, x.Load.Transaction()); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (x *Exchange) snapshotDone(ctx context.Context) error {
	if len(x.Ends) > 0 {
		return nil
	}
	var n int
	if err := x.Conn.QueryRow(ctx, "SELECT (SELECT count(*) FROM a) + (SELECT count(*) FROM b)").Scan(&n); err != nil {
		return fmt.Errorf("count rows: %w", err)
	}
	return x.wait(ctx, "the snapshot", func(events, _ int) bool { return events >= n })
}

// Moving hands over at random moments of a load that does not stop.
func (x *Exchange) Moving(ctx context.Context, writers []Writer, turns, transactions int) error {
	for turn := range turns {
		w := writers[turn%len(writers)]
		if err := x.begin(ctx, w); err != nil {
			return err
		}
		if err := x.snapshotDone(ctx); err != nil {
			return err
		}
		loaded := make(chan error, 1)
		go func() { loaded <- x.write(ctx, transactions) }()
		from := len(x.Tail.Events())
		to := from + 1 + x.Random.IntN(transactions*2)
		err := x.wait(ctx, "a random moment", func(events, _ int) bool { return events >= to })
		if err == nil && turn == turns-1 {
			if err = <-loaded; err == nil {
				err = x.caughtUp(ctx)
			}
			loaded <- err
		}
		if err == nil {
			err = w.Stop(ctx)
		}
		if failed := <-loaded; failed != nil || err != nil {
			return fmt.Errorf("turn %d: %w", turn, firstOf(err, failed))
		}
		if err := x.slotFree(ctx); err != nil {
			return err
		}
		if err := x.HandOver(ctx, w, "stop under load"); err != nil {
			return err
		}
	}
	return nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (x *Exchange) write(ctx context.Context, transactions int) error {
	for range transactions {
		if err := x.Run(ctx, x.Load.Transaction()); err != nil {
			return err
		}
	}
	return nil
}

// freshetRows is how many times longer a transaction must be for Freshet to be met in its middle.
const freshetRows = 4

// End is a writer and how its turn ends.
type End struct {
	Writer
	How string // "stop", "kill -9"
}

// Inside ends every turn but the last in the middle of a transaction of that many rows for Debezium, more for Freshet.
func (x *Exchange) Inside(ctx context.Context, ends []End, rows int) error {
	for turn, e := range ends {
		if err := x.begin(ctx, e.Writer); err != nil {
			return err
		}
		if err := x.snapshotDone(ctx); err != nil {
			return err
		}
		if err := x.caughtUp(ctx); err != nil {
			return fmt.Errorf("turn %d (%s): %w", turn, e.Name(), err)
		}
		if turn == len(ends)-1 {
			return x.end(ctx, e, e.How)
		}
		n := rows
		if e.Name() == freshetName {
			n *= freshetRows
		}
		from := len(x.Tail.Events())
		to := from + 1 + x.Random.IntN(n/2)
		if err := x.Run(ctx, x.Load.Long(n)); err != nil {
			return err
		}
		if err := x.wait(ctx, "the middle of a transaction", func(events, _ int) bool { return events >= to }); err != nil {
			return fmt.Errorf("turn %d (%s): %w", turn, e.Name(), err)
		}
		if err := x.end(ctx, e, e.How); err != nil {
			return err
		}
		if len(x.Tail.Events())-from >= n {
			x.Kinds[turn] += " (too late)"
		}
	}
	return nil
}

// Snapshot ends every turn but the last inside the snapshot, while rows change; the last one finishes it and streams. A writer that was
// too fast for that leaves nothing to be met in its middle: the others then end a stream.
func (x *Exchange) Snapshot(ctx context.Context, ends []End, rows int) error {
	for turn, e := range ends {
		if err := x.begin(ctx, e.Writer); err != nil {
			return err
		}
		last, completed := turn == len(ends)-1, turn > 0 && !snapshotOpen(x.Turns[turn-1].Offset)
		if last || completed {
			if err := x.finish(ctx, e); err != nil {
				return fmt.Errorf("turn %d (%s): %w", turn, e.Name(), err)
			}
			if completed && !last {
				x.Kinds[turn] += " (after the snapshot)"
			}
			continue
		}
		from := len(x.Tail.Events())
		to := from + 1 + x.Random.IntN(rows)
		if err := x.wait(ctx, "the middle of the snapshot", func(events, _ int) bool { return events >= to }); err != nil {
			return fmt.Errorf("turn %d (%s): %w", turn, e.Name(), err)
		}
		if err := x.write(ctx, 20); err != nil {
			return err
		}
		if err := x.end(ctx, e, e.How); err != nil {
			return err
		}
		if !snapshotOpen(x.Turns[turn].Offset) {
			if turn > 0 && e.Name() != freshetName {
				// It streams from where its own snapshot is: what was deleted since the one before stays in the topic.
				return fmt.Errorf("turn %d: %s completed a snapshot that another writer had begun, after which rows were deleted; take more rows", turn, e.Name())
			}
			x.Kinds[turn] += " (too late)"
		}
		if err := x.write(ctx, 20); err != nil {
			return err
		}
	}
	return nil
}

// snapshotOpen tells by a stored offset that whoever goes on takes the snapshot again.
func snapshotOpen(offset string) bool {
	return offset == "" || strings.Contains(offset, `"snapshot_completed":false`)
}

// finish completes the snapshot, streams, and ends the turn.
func (x *Exchange) finish(ctx context.Context, e End) error {
	if err := x.streams(ctx); err != nil {
		return err
	}
	if err := x.write(ctx, 20); err != nil {
		return err
	}
	if err := x.caughtUp(ctx); err != nil {
		return err
	}
	return x.end(ctx, e, e.How)
}

// streams writes until a change comes through the stream: the snapshot is complete.
func (x *Exchange) streams(ctx context.Context) error {
	for {
		if err := x.write(ctx, 1); err != nil {
			return err
		}
		soon, cancel := context.WithTimeout(ctx, time.Second)
		err := x.wait(soon, "a change", func(int, int) bool { return x.Tail.Streams() })
		cancel()
		if err == nil || !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return err
		}
	}
}

// Deadline bounds one exchange.
const Deadline = 15 * time.Minute
