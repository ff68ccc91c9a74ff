package timescaledb

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// ledger is the table that holds positions, and who owns them. A row's epoch is raised by each new owner; a transaction of an
// earlier one then finds no row to update (I6). A row's flush is the number, from 1, of its owner's transaction that wrote it; a
// take-over sets it to 0, or an owner would take a transaction of its own for one that was committed before (I1). The row without
// partition owns partitions that have no row yet; it is not used where tasks share the connector, each of which owns the partitions that
// it was assigned.
type ledger struct {
	table     string // quoted
	shared    bool
	connector string
	sink      string
	epoch     int64
	epochs    map[offsets.Partition]int64
	claim     claim
}

// claim is what a sink holds of the table of offsets, for the next instance of the same task. Epochs are raised by random steps, so
// that one who was asked for is known again when the answer to its COMMIT was lost.
type claim struct {
	Epoch int64 // 0: none
	Asked int64 // by a take-over whose outcome is not known; 0: none
}

const maxEpochStep = 1 << 40

// position is what one transaction stores for a partition.
type position struct {
	partition offsets.Partition
	offset    offsets.Offset // "": as it was
	through   connectors.Order
	extra     bool // state of the source's own, which an empty offset deletes
}

// open makes the table when needed.
func (l *ledger) open(ctx context.Context, conn *pgx.Conn, name []string) error {
	find := func() error {
		var schema, table string
		err := conn.QueryRow(ctx, "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)", quote(name...)).Scan(&schema, &table)
		if err == nil {
			l.table = quote(schema, table)
		}
		return err
	}
	err := find()
	if !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	ddl := []string{"CREATE TABLE IF NOT EXISTS " + quote(name...) + ` (connector text, sink text, partition text, epoch bigint NOT NULL, flush bigint NOT NULL DEFAULT 0,
"offset" text, order_epoch bigint NOT NULL DEFAULT 0, order_major numeric(20) NOT NULL DEFAULT 0, order_minor bigint NOT NULL DEFAULT 0,
updated_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (connector, sink, partition))`}
	if len(name) == 2 && name[0] != "public" {
		ddl = append([]string{"CREATE SCHEMA IF NOT EXISTS " + quote(name[0])}, ddl...)
	}
	if err := runDDL(ctx, conn, ddl); err != nil {
		if find() == nil {
			return nil // another task made it at the same time
		}
		return fmt.Errorf("make offsets table %s: %w", strings.Join(name, "."), err)
	}
	return find()
}

func (l *ledger) where(p offsets.Partition) string {
	return " WHERE connector = " + literal(l.connector) + " AND sink = " + literal(l.sink) + " AND partition = " + literal(string(p))
}

// endOwner ends what an earlier owner's sessions have under way: a worker that was stopped or cut off in a transaction holds
// locks for as long as the server hears nothing of its end. Sessions are known by the name that
// application gives them ($1).
const endOwner = `SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE application_name = $1 AND current_setting('application_name') = $1 AND usename = current_user
AND datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL`

// application names the sessions of one task of a sink, with its offsets table; PostgreSQL keeps 63 bytes of it.
func application(s connectors.Settings, table []string) string {
	whole := fmt.Sprintf("%s/%s/%d %q", s.Connector, s.Sink, s.Task, table)
	h := fnv.New64a()
	_, _ = h.Write([]byte(whole)) // it never fails
	return fmt.Sprintf("freshet %.32s %x", strings.Map(printable, whole), h.Sum64())
}

// printable is what PostgreSQL leaves of a character in application_name.
func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return '?'
	}
	return r
}

// check finds out whether what an earlier instance of this task held is still its own, before anything is done to its sessions.
func (l *ledger) check(ctx context.Context, conn *pgx.Conn) error {
	if l.shared || l.claim.Epoch == 0 {
		return nil
	}
	var epoch int64
	err := conn.QueryRow(ctx, "SELECT epoch FROM "+l.table+l.where("")).Scan(&epoch)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("read the owner of positions in %s: %w", l.table, err)
	case epoch != l.claim.Epoch && epoch != l.claim.Asked:
		return l.displaced()
	}
	return nil
}

// takeOver raises the epoch and returns what is stored; of all partitions when none is given. It is fenced when somebody else has
// taken over what an earlier instance of this task held (I6).
func (l *ledger) takeOver(ctx context.Context, conn *pgx.Conn, partitions []offsets.Partition) ([]connectors.Progress, error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("take over positions: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	var epoch int64
	err = tx.QueryRow(ctx, "INSERT INTO "+l.table+` AS o (connector, sink, partition, epoch) VALUES ($1, $2, '', $3) ON CONFLICT (connector, sink, partition)
DO UPDATE SET epoch = o.epoch + EXCLUDED.epoch, updated_at = now() WHERE $4::bigint = 0 OR o.epoch IN ($4, $5) RETURNING epoch`,
		l.connector, l.sink, 1+rand.Int64N(maxEpochStep), l.claim.Epoch, l.claim.Asked).Scan(&epoch)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, l.displaced()
	}
	if err != nil {
		return nil, fmt.Errorf("take over positions in %s: %w", l.table, err)
	}
	names := make([]string, 0, len(partitions))
	for _, p := range partitions {
		names = append(names, string(p))
		_, err = tx.Exec(ctx, "INSERT INTO "+l.table+" AS o (connector, sink, partition, epoch) VALUES ($1, $2, $3, $4) ON CONFLICT (connector, sink, partition) DO UPDATE SET epoch = EXCLUDED.epoch, flush = 0, updated_at = now()", l.connector, l.sink, string(p), epoch)
		if err != nil {
			return nil, fmt.Errorf("take over position of %s in %s: %w", p, l.table, err)
		}
	}
	if len(partitions) == 0 {
		if _, err = tx.Exec(ctx, "UPDATE "+l.table+" SET epoch = $3, flush = 0, updated_at = now() WHERE connector = $1 AND sink = $2 AND partition <> ''", l.connector, l.sink, epoch); err != nil {
			return nil, fmt.Errorf("take over positions in %s: %w", l.table, err)
		}
	}
	out, owned, err := l.positions(ctx, tx, "SELECT "+positionColumns+" FROM "+l.table+
		" o WHERE connector = $1 AND sink = $2 AND partition <> '' AND (cardinality($3::text[]) = 0 OR partition = ANY ($3::text[])) ORDER BY partition", l.connector, l.sink, names)
	if err != nil {
		return nil, err
	}
	l.claim.Asked = epoch
	if err := tx.Commit(ctx); err != nil {
		return nil, fmt.Errorf("take over positions in %s: %w", l.table, err)
	}
	l.epoch, l.claim = epoch, claim{Epoch: epoch}
	if len(partitions) == 0 || l.epochs == nil {
		l.epochs = owned
		return out, nil
	}
	for p := range owned {
		l.epochs[p] = epoch
	}
	return out, nil
}

const positionColumns = `o.partition, o.epoch, coalesce(o."offset", ''), o.order_epoch, o.order_major::text, o.order_minor`

// positions runs a query for positionColumns. It returns what is stored, and the epoch of every row.
func (l *ledger) positions(ctx context.Context, tx querier, query string, args ...any) ([]connectors.Progress, map[offsets.Partition]int64, error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, nil, fmt.Errorf("read positions in %s: %w", l.table, err)
	}
	var out []connectors.Progress
	epochs := map[offsets.Partition]int64{}
	var partition, offset, major string
	var epoch, orderEpoch, minor int64
	_, err = pgx.ForEachRow(rows, []any{&partition, &epoch, &offset, &orderEpoch, &major, &minor}, func() error {
		epochs[offsets.Partition(partition)] = epoch
		if offset == "" {
			return nil
		}
		n, err := strconv.ParseUint(major, 10, 64)
		if err != nil {
			return fmt.Errorf("order_major of %s: %w", partition, err)
		}
		out = append(out, connectors.Progress{
			Partition: offsets.Partition(partition), Offset: offsets.Offset(offset),
			Through: connectors.Order{Epoch: uint32(orderEpoch), Major: n, Minor: uint32(minor)},
		})
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read positions in %s: %w", l.table, err)
	}
	return out, epochs, nil
}

// querier is a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// endHolders ends the sessions that have a position of $3 locked: those of tasks that had the partition before, which may be cut off in
// a transaction. xmax is the transaction that is about to change a row.
const endHolders = `SELECT count(*) FILTER (WHERE pg_terminate_backend(a.pid)) FROM %s o JOIN pg_stat_activity a ON a.backend_xid = o.xmax
WHERE o.connector = $1 AND o.sink = $2 AND o.partition = ANY ($3::text[]) AND a.usename = current_user AND a.pid <> pg_backend_pid()`

// assign takes over exactly these partitions, each with an epoch of its own: whoever had them before finds no row to update (I6).
func (l *ledger) assign(ctx context.Context, conn *pgx.Conn, partitions []offsets.Partition) ([]connectors.Progress, error) {
	names := make([]string, 0, len(partitions))
	for _, p := range partitions {
		names = append(names, string(p))
	}
	slices.Sort(names) // tasks that take over at the same time lock rows in one order
	var ended int
	if err := conn.QueryRow(ctx, fmt.Sprintf(endHolders, l.table), l.connector, l.sink, names).Scan(&ended); err != nil {
		return nil, fmt.Errorf("end the transactions of earlier owners: %w", err)
	}
	var out []connectors.Progress
	var owned map[offsets.Partition]int64
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		// A holder that came since is ended by the next attempt.
		if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '3s'"); err != nil {
			return fmt.Errorf("take over positions in %s: %w", l.table, err)
		}
		var err error
		out, owned, err = l.positions(ctx, tx, "INSERT INTO "+l.table+` AS o (connector, sink, partition, epoch) SELECT $1, $2, p, $4 FROM unnest($3::text[]) WITH ORDINALITY u(p, n) ORDER BY n
ON CONFLICT (connector, sink, partition) DO UPDATE SET epoch = o.epoch + EXCLUDED.epoch, flush = 0, updated_at = now() RETURNING `+positionColumns, l.connector, l.sink, names, 1+rand.Int64N(maxEpochStep))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("take over positions in %s: %w", l.table, err)
	}
	l.epochs = owned
	return out, nil
}

// stand reads every position and takes nothing over.
func (l *ledger) stand(ctx context.Context, conn *pgx.Conn) ([]connectors.Progress, error) {
	out, _, err := l.positions(ctx, conn, "SELECT "+positionColumns+" FROM "+l.table+" o WHERE connector = $1 AND sink = $2 AND partition <> '' ORDER BY partition", l.connector, l.sink)
	return out, err
}

// set overwrites positions; one that is empty is deleted.
func (l *ledger) set(ctx context.Context, conn *pgx.Conn, list []connectors.Progress) error {
	batch := &pgx.Batch{}
	for _, p := range list {
		if p.Offset == "" {
			batch.Queue("DELETE FROM "+l.table+" WHERE connector = $1 AND sink = $2 AND partition = $3", l.connector, l.sink, string(p.Partition))
			continue
		}
		batch.Queue("INSERT INTO "+l.table+` AS o (connector, sink, partition, epoch, "offset", order_epoch, order_major, order_minor) VALUES ($1, $2, $3, 1, $4, $5, $6::text::numeric, $7)
ON CONFLICT (connector, sink, partition) DO UPDATE SET epoch = o.epoch + 1, "offset" = EXCLUDED."offset", order_epoch = EXCLUDED.order_epoch, order_major = EXCLUDED.order_major, order_minor = EXCLUDED.order_minor, updated_at = now()`,
			l.connector, l.sink, string(p.Partition), string(p.Offset), int64(p.Through.Epoch), strconv.FormatUint(p.Through.Major, 10), int64(p.Through.Minor))
	}
	// Whoever still runs is fenced; this ledger may take over again.
	l.claim = claim{}
	batch.Queue("UPDATE "+l.table+" SET epoch = epoch + 1 WHERE connector = $1 AND sink = $2", l.connector, l.sink)
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return tx.SendBatch(ctx, batch).Close() })
}

// store is the statement that stores a position, and how many rows it must change; -1: any number.
func (l *ledger) store(p *position, flush int64) (sql string, rows int) {
	if p.extra && p.offset == "" {
		return "DELETE FROM " + l.table + l.where(p.partition), -1
	}
	offset := literal(string(p.offset))
	if p.offset == "" {
		offset = "NULL"
	}
	order := fmt.Sprintf("%d, %d, %d", p.through.Epoch, p.through.Major, p.through.Minor)
	if epoch, known := l.epochs[p.partition]; known {
		return fmt.Sprintf(`UPDATE %s SET "offset" = coalesce(%s, "offset"), (order_epoch, order_major, order_minor) = ROW(%s), flush = %d, updated_at = now()%s AND epoch = %d`,
			l.table, offset, order, flush, l.where(p.partition), epoch), 1
	}
	// FOR UPDATE: a new owner waits for this transaction, or this one sees the new owner.
	return fmt.Sprintf(`INSERT INTO %s AS o (connector, sink, partition, epoch, flush, "offset", order_epoch, order_major, order_minor)
SELECT connector, sink, %s, epoch, %d, %s, %s FROM %s%s AND epoch = %d FOR UPDATE
ON CONFLICT (connector, sink, partition) DO UPDATE SET epoch = EXCLUDED.epoch, flush = EXCLUDED.flush, "offset" = coalesce(EXCLUDED."offset", o."offset"),
order_epoch = EXCLUDED.order_epoch, order_major = EXCLUDED.order_major, order_minor = EXCLUDED.order_minor, updated_at = now() WHERE o.epoch <= EXCLUDED.epoch`,
		l.table, literal(string(p.partition)), flush, offset, order, l.table, l.where(""), l.epoch), 1
}

// stored tells that the partitions of a transaction have rows of this owner.
func (l *ledger) stored(list []position) {
	for i := range list {
		if list[i].extra && list[i].offset == "" {
			delete(l.epochs, list[i].partition)
		} else if _, known := l.epochs[list[i].partition]; !known {
			l.epochs[list[i].partition] = l.epoch
		}
	}
}

// committed finds out whether the transaction that stored p was committed. A COMMIT that has begun may still be under way, whose session is
// lost: FOR UPDATE waits for its end. The row without partition comes first, which that transaction has locked where p had no row; a
// statement of its own then sees that row. Each statement lets its lock go, so that nobody waits for two of them in another order.
func (l *ledger) committed(ctx context.Context, conn *pgx.Conn, p *position, flush int64) (bool, error) {
	if !l.shared {
		if _, err := conn.Exec(ctx, "SELECT FROM "+l.table+l.where("")+" FOR UPDATE"); err != nil {
			return false, fmt.Errorf("wait for an earlier transaction in %s: %w", l.table, err)
		}
	}
	var epoch, last int64
	err := conn.QueryRow(ctx, "SELECT epoch, flush FROM "+l.table+l.where(p.partition)+" FOR UPDATE").Scan(&epoch, &last)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read position in %s: %w", l.table, err)
	}
	mine, known := l.epochs[p.partition]
	if !known {
		mine = l.epoch
	}
	if epoch > mine || l.shared && epoch != mine {
		return false, l.fenced(p.partition)
	}
	return epoch == mine && last == flush, nil
}

func (l *ledger) displaced() error {
	return connectors.AsFenced(fmt.Errorf("go on at the positions in %s: another task of connector %s has taken over meanwhile; this one ends", l.table, l.connector))
}

// lostError says that another task owns a partition now. Where tasks share a connector the task joins its group again.
type lostError struct{ partition offsets.Partition }

func (e *lostError) Error() string {
	return fmt.Sprintf("write position of %s: the partition was given to another task; what was not durable is read again by its owner", e.partition)
}

func isLost(err error) bool { return errors.As(err, new(*lostError)) }

func (l *ledger) fenced(p offsets.Partition) error {
	if l.shared {
		return &lostError{p}
	}
	return connectors.AsFenced(fmt.Errorf("write position of %s: another task of connector %s has taken over %s; nothing more is written by this one", p, l.connector, l.table))
}
