package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

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
// query ("postgres heartbeat") and the readers of the snapshot ("postgres snapshot reader").
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
	heartbeat        *heartbeat

	pauseBeforeStream time.Duration // streaming.delay.ms, once after the snapshot

	mu        sync.Mutex
	wal       *walStream // for confirm
	confirmed uint64
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
	log := s.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
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
		t.snapshot = newSnapshot(t, true)
		t.snapshot.again = fresh
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

// connectMeta opens the ordinary connection, over which the catalog is read.
func (t *source) connectMeta(ctx context.Context) error {
	conn, err := t.cfg.connect(ctx)
	if err != nil {
		return err
	}
	t.closeMeta()
	t.meta = conn
	if t.catalog == nil {
		headers := changes.ContextHeaders(t.cfg.raw, "postgresql", strconv.Itoa(t.settings.Task), t.settings.RunID)
		t.catalog = newCatalog(t.cfg, conn, t.settings.Version, headers, t.log)
	}
	t.catalog.use(conn)
	return nil
}

func (t *source) closeMeta() {
	if t.meta == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = t.meta.Close(ctx)
	t.meta = nil
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
	if err := ensurePublication(ctx, t.meta, t.cfg, tables, t.log); err != nil {
		return err
	}
	return ensureIdentities(ctx, t.meta, t.cfg, tables, t.log)
}

func (t *source) connectReplication(ctx context.Context) (*pgconn.PgConn, error) {
	config, err := t.cfg.connConfig(true)
	if err != nil {
		return nil, connectors.AsPermanent(err)
	}
	pc, err := pgconn.ConnectConfig(ctx, &config.Config)
	if err != nil {
		return nil, t.cfg.connectError(err)
	}
	return pc, nil
}

func (t *source) createSlot(ctx context.Context, pc *pgconn.PgConn, name string, temporary, export bool) (createdSlot, error) {
	if t.cfg.slotCreation > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t.cfg.slotCreation)
		defer cancel()
	}
	failover := t.cfg.slotFailover && !temporary
	if failover && t.version < 170000 {
		t.log.Warn("slot.failover has no effect before PostgreSQL 17", "slot", name)
	}
	t.log.Info("creating replication slot", "slot", name, "temporary", temporary)
	return createSlot(ctx, pc, name, t.version, temporary, export, failover)
}

// beginStream makes the stream, which connects at the next Poll.
func (t *source) beginStream(p position, r resume) {
	s := &stream{
		cfg: t.cfg, log: t.log, session: t.session, catalog: t.catalog, partition: t.partition, state: t.state, records: maxRecords,
	}
	if t.cfg.heartbeat > 0 {
		s.beat = changes.NewHeartbeat(t.cfg.naming)
	}
	if t.version >= 140000 {
		s.logical = newMessageStream(t.catalog)
	}
	s.begin(p, r)
	t.stream = s
}

// Poll implements connectors.SourceTask.
func (t *source) Poll(ctx context.Context) (*connectors.Batch, error) {
	b, err := t.poll(ctx)
	if err != nil && !errors.Is(err, io.EOF) {
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

// connectStream starts replication, again and again until it succeeds, ctx ends, or it can never succeed.
func (t *source) connectStream(ctx context.Context) error {
	pause, taken := firstPause, time.Duration(0)
	for {
		err := t.openStream(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		limit := longPause
		if sqlState(err) == "55006" { // the slot is in use
			if taken >= time.Duration(t.cfg.slotRetries)*t.cfg.slotRetryDelay {
				return connectors.AsPermanent(t.slotInUse(ctx, err))
			}
			limit = max(t.cfg.slotRetryDelay, firstPause)
			taken += pause
		} else if t.classifyClass(err) == connectors.Permanent {
			return err
		}
		t.log.Warn("cannot stream yet, trying again", "error", err, "pause", pause)
		if err := wait(ctx, pause+rand.N(pause/4+1)); err != nil {
			return err
		}
		pause = min(pause*2, limit)
	}
}

// freeSlot reads the slot, nil for none, when nobody else reads it: it waits no longer than slot.max.retries times
// slot.retry.delay.ms.
func (t *source) freeSlot(ctx context.Context) (*slotInfo, error) {
	pause, taken := firstPause, time.Duration(0)
	for {
		slot, err := readSlot(ctx, t.meta, t.cfg.slot)
		if err != nil || slot == nil || !slot.active {
			return slot, err
		}
		if taken >= time.Duration(t.cfg.slotRetries)*t.cfg.slotRetryDelay {
			return nil, connectors.AsPermanent(t.slotInUse(ctx, errors.New("no snapshot is taken before it is free")))
		}
		t.log.Warn("the replication slot is in use, trying again", "slot", t.cfg.slot, "pid", slot.pid, "pause", pause)
		if err := wait(ctx, pause); err != nil {
			return nil, err
		}
		taken += pause
		pause = min(pause*2, max(t.cfg.slotRetryDelay, firstPause))
	}
}

func (t *source) slotInUse(ctx context.Context, cause error) error {
	who := "another session"
	if slot, err := readSlot(ctx, t.meta, t.cfg.slot); err == nil && slot != nil && slot.active {
		who = fmt.Sprintf("the session with pid %d", slot.pid)
		if slot.application != "" {
			who += fmt.Sprintf(" (application_name %q)", slot.application)
		}
	}
	return fmt.Errorf("replication slot %s is in use by %s; stop that reader, end it (pg_terminate_backend), or give this connector a slot.name of its own: %w",
		t.cfg.slot, who, cause)
}

func (t *source) openStream(ctx context.Context) error {
	if t.cfg.validation > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t.cfg.validation)
		defer cancel()
	}
	if t.meta == nil || t.meta.IsClosed() || t.meta.Ping(ctx) != nil {
		if err := t.connectMeta(ctx); err != nil {
			return err
		}
	}
	slot, err := readSlot(ctx, t.meta, t.cfg.slot)
	t.mu.Lock()
	confirmed := t.confirmed
	t.mu.Unlock()
	switch {
	case err != nil:
		return err
	case slot == nil:
		return connectors.AsPermanent(fmt.Errorf("replication slot %s was dropped while this connector was using it: the changes since %s are gone from the server's log; "+
			"take a new snapshot (snapshot.mode=when_needed, or reset the connector's offsets)", t.cfg.slot, pglogrepl.LSN(t.stream.startLSN())))
	case slot.lost() != "":
		return t.lostSlot(slot.lost())
	case t.stream.server.system != "" && confirmed > 0 && slot.confirmed > max(confirmed, t.stream.startLSN()):
		return connectors.AsPermanent(fmt.Errorf("replication slot %s was created anew or moved while this connector was using it: the changes between %s and %s are gone from the server's log; "+
			"take a new snapshot (snapshot.mode=when_needed, or reset the connector's offsets)", t.cfg.slot, pglogrepl.LSN(t.stream.startLSN()), pglogrepl.LSN(slot.confirmed)))
	}
	config, err := t.cfg.connConfig(true)
	if err != nil {
		return connectors.AsPermanent(err)
	}
	interval := t.cfg.statusInterval
	if t.cfg.heartbeat > 0 {
		interval = min(interval, t.cfg.heartbeat)
	}
	s := t.stream
	w, err := openStream(ctx, &config.Config, t.cfg.slot, s.startLSN(), t.options(), interval, func(found server) error {
		if s.server.system != "" {
			if problem := found.continues(identity{System: s.server.system, Timeline: s.server.timeline}, s.pos.lsn); problem != "" {
				return connectors.AsPermanent(errors.New(problem))
			}
		}
		s.server = found
		return nil
	})
	if err != nil {
		return err
	}
	s.attach(w)
	t.mu.Lock()
	t.wal = w
	t.confirmed = max(t.confirmed, slot.confirmed) // some servers let a slot be moved back
	w.confirm(t.confirmed)
	t.mu.Unlock()
	t.log.Info("streaming", "slot", t.cfg.slot, "publication", t.cfg.publication, "from", pglogrepl.LSN(s.startLSN()).String(), "pid", w.pid)
	return nil
}

// options are those of START_REPLICATION.
func (t *source) options() []string {
	out := []string{"proto_version '1'", "publication_names " + quoteLiteral(pgx.Identifier{t.cfg.publication}.Sanitize())}
	if t.stream.logical != nil {
		out = append(out, "messages 'true'")
	}
	for _, p := range t.cfg.slotParams {
		out = append(out, fmt.Sprintf("%s %s", pgx.Identifier{p[0]}.Sanitize(), quoteLiteral(p[1])))
	}
	return out
}

func (t *source) disconnect(patience time.Duration) {
	t.mu.Lock()
	w := t.wal
	t.wal = nil
	t.mu.Unlock()
	if t.stream != nil {
		t.stream.wal = nil
	}
	if w != nil {
		w.close(patience)
	}
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
		t.confirm(p.confirmable())
	}
	return nil
}

func (t *source) confirm(lsn uint64) {
	if t.cfg.flushMode == "manual" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.confirmed = max(t.confirmed, lsn)
	if t.wal != nil {
		t.wal.confirm(t.confirmed)
	}
}

// Stop implements connectors.SourceTask.
func (t *source) Stop(ctx context.Context) error {
	if t.stopped {
		return nil
	}
	t.stopped = true
	t.heartbeat.stop()
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
