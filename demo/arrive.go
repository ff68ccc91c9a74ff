package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// arrivalLimit is how long the demo waits for a change before it gives up.
	arrivalLimit = 2 * time.Minute
	// current is how old a change may be when the copies count as up to date.
	current = 300 * time.Millisecond
)

// catchUp returns when a change that was committed after the call has arrived in both copies without delay.
func (d *demo) catchUp(ctx context.Context) error {
	before := d.load.newest()
	for {
		var fresh []int64
		err := poll(ctx, func() (bool, error) {
			for i, id := range d.load.newest() {
				if id != before[i] {
					fresh = append(fresh, id)
				}
			}
			return len(fresh) > 0, nil
		})
		if err != nil {
			return fmt.Errorf("wait for the workload: %w", err)
		}
		committed := time.Now()
		if err := d.await(ctx, fresh); err != nil {
			return err
		}
		if time.Since(committed) < current {
			return nil
		}
		before = d.load.newest()
	}
}

// settle ends the history of every writer and returns when the copies hold all of it: the last row of each writer is in
// the sink table (changes arrive there in the order of commits), and every topic has been read to its end.
func (d *demo) settle(ctx context.Context) error {
	var last []int64
	for _, w := range d.load.writers {
		id, err := w.finish(ctx)
		if err != nil {
			return fmt.Errorf("end the workload: %w", err)
		}
		last = append(last, id)
	}
	if err := d.await(ctx, last); err != nil {
		return err
	}
	return poll(ctx, func() (bool, error) { return d.events.atEnd(ctx) })
}

// await returns when the ledger rows of these ids can be read from the sink table and from the topic.
func (d *demo) await(ctx context.Context, ids []int64) error {
	conn, err := pgx.Connect(ctx, d.sink.dsn)
	if err != nil {
		return fmt.Errorf("connect to the sink: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // only reads
	if err := poll(ctx, func() (bool, error) { return inTable(ctx, conn, ids) }); err != nil {
		return fmt.Errorf("wait for changes to arrive in the sink's tables: %w", err)
	}
	if err := poll(ctx, func() (bool, error) { return d.events.has(ids), nil }); err != nil {
		return fmt.Errorf("wait for changes to arrive in the topics: %w", err)
	}
	return nil
}

func inTable(ctx context.Context, conn *pgx.Conn, ids []int64) (bool, error) {
	var n int
	err := conn.QueryRow(ctx, "SELECT count(*) FROM public.transactions WHERE id = ANY($1)", ids).Scan(&n)
	var server *pgconn.PgError
	if errors.As(err, &server) && server.Code == "42P01" { // the worker has not created the table yet
		return false, nil
	}
	return n == len(ids), err
}

// poll asks every few milliseconds until the answer is yes.
func poll(ctx context.Context, ready func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, arrivalLimit, fmt.Errorf("nothing after %s", arrivalLimit))
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := ready()
		if ok || (err != nil && ctx.Err() == nil) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
