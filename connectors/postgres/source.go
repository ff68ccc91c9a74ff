package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// Pauses between attempts to connect again.
const (
	firstPause = 100 * time.Millisecond
	longPause  = 10 * time.Second
	// stopPatience is how long a server may take to end replication before the connection is cut.
	stopPatience = 2 * time.Second
)

// source is the task: first a snapshot when snapshot.mode asks for one, then the stream. It connects again in place when
// a connection is lost. Its goroutines are the standby status of the stream ("postgres status"), the heartbeat's
// query ("postgres heartbeat") and the readers of the snapshot ("snapshot reader").
type source struct {
	cfg      *config
	settings connectors.Settings
	log      *slog.Logger
	session  connectors.SourceSession

	partition, state offsets.Partition
	version          int // server_version_num
	meta             *pgx.Conn
	catalog          *catalog
	snapshot         *snapshot // until it is done
	stream           *stream   // nil: nothing to stream
	heartbeat        *changes.HeartbeatQuery
	reselect         reselect
	watch            watch
	rewound          bool // the server's log has other commits where the last ones that were delivered were

	pauseBeforeStream time.Duration // streaming.delay.ms, once after the snapshot

	mu        sync.Mutex
	wal       *walStream // for confirm
	confirmed uint64
	left      offsets.Offset // lies on another timeline than the server's: never confirmed
	stopped   bool
}

// NewSource makes the task.
func (f Factory) NewSource(c connectors.Config, s connectors.Settings) (connectors.SourceTask, error) {
	if problems := connectors.Errors(checkKeys(c)); len(problems) > 0 {
		return nil, connectors.AsPermanent(fmt.Errorf("configure the Postgres source: %s", strings.Join(problems, "; ")))
	}
	cfg, err := parseConfig(c)
	if err != nil {
		return nil, connectors.AsPermanent(err)
	}
	return newSource(cfg, s), nil
}

func newSource(cfg *config, s connectors.Settings) *source {
	log := slog.New(slog.DiscardHandler)
	if s.Logger != nil {
		log = s.Logger.With("logger", "freshet.postgres")
	}
	return &source{cfg: cfg, settings: s, log: log}
}

// Start implements connectors.SourceTask.
func (t *source) Start(ctx context.Context, session connectors.SourceSession) error {
	t.session = session
	if err := t.start(ctx); err != nil {
		return t.classify(err)
	}
	return nil
}

func (t *source) start(ctx context.Context) error {
	var err error
	if t.partition, err = partitionOf(t.cfg.naming.Prefix); err != nil {
		return err
	}
	if t.state, err = identityPartition(t.partition); err != nil {
		return err
	}
	if t.reselect, err = newReselect(t); err != nil {
		return connectors.AsPermanent(err)
	}
	stored, id, err := t.stored(ctx)
	if err != nil {
		return err
	}
	if err := t.connectMeta(ctx); err != nil {
		return err
	}
	if t.version, err = t.catalog.serverVersion(ctx); err != nil {
		return err
	}
	mode := t.cfg.snapshot.mode
	if mode != "initial_only" {
		if err := t.prepareServer(ctx); err != nil {
			return err
		}
	}
	fresh := stored == nil || stored.unfinished()
	switch {
	case mode == "initial_only":
		if fresh {
			t.snapshot = newSnapshot(t, false)
		}
		return nil
	case mode == "always", fresh && mode != "no_data":
		if err := t.beginSnapshot(ctx, stored, id, fresh); err != nil {
			return err
		}
		return t.startHeartbeat(ctx)
	case stored == nil:
		err = t.startWithoutOffset(ctx)
	default:
		err = t.startFrom(ctx, *stored, id)
	}
	if err != nil {
		return err
	}
	return t.startHeartbeat(ctx)
}

// beginSnapshot takes a snapshot; fresh: no one was ever completed. Rows of one that was interrupted are in the targets, where only the
// stream from its position corrects them.
func (t *source) beginSnapshot(ctx context.Context, stored *position, id identity, fresh bool) error {
	_, direct := t.cfg.raw["sinks"]
	var err error
	switch {
	case !fresh:
		t.session.Anew(t.partition) // the server may be another one
	case stored == nil:
		err = t.aheadOfSnapshot(ctx, id)
	case direct:
		_, err = t.compare(ctx, position{lsn: stored.lsn, txID: stored.txID, micros: stored.micros}, id)
	}
	if err != nil || t.snapshot != nil {
		return err
	}
	t.snapshot = newSnapshot(t, true)
	if !fresh {
		return nil
	}
	return t.snapshot.resumes(ctx, stored, id)
}

// stored returns the stored offset, nil for none, and the identity beside it.
func (t *source) stored(ctx context.Context) (*position, identity, error) {
	entries, err := t.session.Offsets(ctx, t.partition, t.state)
	if err != nil {
		return nil, identity{}, fmt.Errorf("read the stored offset: %w", err)
	}
	var p *position
	var id identity
	var plain offsets.Offset
	for _, e := range entries {
		switch {
		case e.Offset == "":
		case e.Partition == t.partition:
			parsed, err := parsePosition(e.Offset)
			if err != nil {
				return nil, identity{}, connectors.AsPermanent(err)
			}
			parsed.stored = e.Offset
			p, plain = &parsed, e.Offset
			if strings.Contains(string(e.Offset), `"incremental_snapshot_collections"`) {
				t.log.Warn("the stored offset tells of an incremental snapshot that was under way; it is not continued", "offset", string(e.Offset))
			}
		case e.Partition == t.state:
			if id, err = parseIdentity(e.Offset); err != nil {
				return nil, identity{}, connectors.AsPermanent(err)
			}
		}
	}
	id.own = p != nil && id.Offset == string(plain)
	return p, id, nil
}

// prepareServer checks what streaming needs and creates the publication, which has to be there before the slot.
func (t *source) prepareServer(ctx context.Context) error {
	var level string
	if err := t.catalog.row(ctx, "SHOW wal_level", nil, &level); err != nil {
		return fmt.Errorf("read wal_level: %w", err)
	}
	if level != "logical" {
		return connectors.AsPermanent(fmt.Errorf("the server's wal_level is %s, but capturing changes needs logical: "+
			"ALTER SYSTEM SET wal_level = logical, then restart PostgreSQL", level))
	}
	tables, err := t.catalog.tables(ctx)
	if err != nil {
		return err
	}
	const hint = "; check schema.include.list and table.include.list (names have the form schema.table)"
	if len(tables) == 0 {
		t.log.Warn("the connector captures no table of database " + t.cfg.database + hint)
	} else {
		for _, item := range t.cfg.selection.Unmatched(tables) {
			t.log.Warn("table.include.list: " + item + " matches no table of database " + t.cfg.database + hint)
		}
	}
	if err := ensurePublication(ctx, t.meta, t.cfg, tables, t.log); err != nil {
		return err
	}
	return ensureIdentities(ctx, t.meta, t.cfg, tables, t.log)
}

// beginStream makes the stream, which connects at the next Poll.
func (t *source) beginStream(p position, r resume, found server, id identity) {
	if t.stream != nil && t.stream.b != nil {
		t.stream.b.Abandon()
	}
	s := &stream{
		cfg: t.cfg, log: t.log, session: t.session, catalog: t.catalog, watch: &t.watch, partition: t.partition, state: t.state,
		server: found, records: maxRecords, reselect: t.reselect,
	}
	s.txns = changes.NewTransactions(t.cfg.raw, t.cfg.naming)
	if t.cfg.heartbeat > 0 {
		s.beat = changes.NewHeartbeat(t.cfg.naming)
	}
	if t.version >= 140000 {
		s.logical = newMessageStream(t.catalog)
	}
	s.begin(p, r, id)
	t.stream = s
	s.asked = strings.Join(t.options(), ", ")
}

// Poll implements connectors.SourceTask.
func (t *source) Poll(ctx context.Context) (*connectors.Batch, error) {
	b, err := t.poll(ctx)
	if err != nil && err != io.EOF { //nolint:errorlint // one in the chain is a connection's, and no end of the source
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, t.classify(err)
	}
	return b, err
}

func (t *source) poll(ctx context.Context) (*connectors.Batch, error) {
	if t.snapshot != nil {
		return t.snapshot.next(ctx)
	}
	if t.stream == nil {
		return nil, io.EOF
	}
	if err := wait(ctx, t.pauseBeforeStream); err != nil {
		return nil, err
	}
	t.pauseBeforeStream = 0
	pause := firstPause
	for {
		if t.stream.wal == nil {
			if err := t.connectStream(ctx); err != nil {
				return nil, err
			}
			if t.snapshot != nil { // the server is not the one it was
				return t.snapshot.next(ctx)
			}
		}
		b, err := t.nextBatch(ctx)
		if err == nil {
			return b, nil
		}
		var lent *sessionError
		if ctx.Err() != nil || errors.As(err, &lent) || t.classifyClass(err) == connectors.Permanent {
			return nil, err
		}
		t.log.Warn("lost the connection to the server, connecting again", "error", err)
		t.disconnect(0)
		if err := wait(ctx, pause); err != nil {
			return nil, err
		}
		pause = min(pause*2, longPause)
	}
}

// nextBatch reads until there is a batch, ctx ends, or the connection fails.
func (t *source) nextBatch(ctx context.Context) (*connectors.Batch, error) {
	w, interrupted := t.stream.wal, make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		w.interrupt()
		close(interrupted)
	})
	b, err := t.stream.next(ctx)
	if !stop() {
		<-interrupted
		w.proceed()
	}
	return b, err
}

// Commit implements connectors.SourceTask: the slot is confirmed up to the last commit below the durable offset (I7).
func (t *source) Commit(_ context.Context, upTo []offsets.Entry) error {
	for _, e := range upTo {
		if e.Partition != t.partition || e.Offset == "" {
			continue
		}
		p, err := parsePosition(e.Offset)
		if err != nil {
			return err
		}
		t.mu.Lock()
		left := e.Offset == t.left
		t.mu.Unlock()
		if !left {
			t.confirm(p.confirmable())
		}
	}
	return nil
}

// Stop implements connectors.SourceTask.
func (t *source) Stop(ctx context.Context) error {
	if t.stopped {
		return nil
	}
	t.stopped = true
	t.heartbeat.Stop()
	t.reselect.by.close(ctx)
	if t.snapshot != nil {
		t.snapshot.close()
	}
	t.disconnect(stopPatience)
	if t.stream != nil && t.stream.b != nil {
		t.stream.b.Abandon()
	}
	var err error
	if t.cfg.slotDrop && t.meta != nil {
		err = t.dropSlot(ctx)
	}
	t.closeMeta()
	return err
}

// dropSlot is slot.drop.on.stop. The connection may have been lost with the call that the stop interrupted.
func (t *source) dropSlot(ctx context.Context) error {
	if t.meta.IsClosed() {
		if err := t.connectMeta(ctx); err != nil {
			return fmt.Errorf("drop replication slot %s: %w", t.cfg.slot, err)
		}
	}
	return dropSlot(ctx, t.meta, t.cfg.slot)
}

// startHeartbeat starts the heartbeat's query, when there is one.
func (t *source) startHeartbeat(ctx context.Context) error {
	if t.cfg.heartbeat <= 0 || t.cfg.heartbeatQuery == "" {
		return nil
	}
	config, err := t.cfg.connConfig(false)
	if err != nil {
		return connectors.AsPermanent(err)
	}
	t.heartbeat = startHeartbeat(context.WithoutCancel(ctx), config, t.cfg.heartbeat, t.cfg.heartbeatQuery, t.log)
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
