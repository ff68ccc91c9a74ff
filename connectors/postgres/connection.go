package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

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
	standby, err := t.standby(ctx)
	switch {
	case err != nil:
		return createdSlot{}, err
	case standby && t.version < 160000:
		return createdSlot{}, t.awaiting("cannot be made before PostgreSQL 16")
	case standby:
		t.log.Info("the server is a standby: it makes the slot when it hears from the primary which transactions run there; SELECT pg_log_standby_snapshot() on the primary tells it at once", "slot", name)
	}
	failover := t.cfg.slotFailover && !temporary
	if failover && t.version < 170000 {
		t.log.Warn("slot.failover has no effect before PostgreSQL 17", "slot", name)
	}
	t.log.Info("creating replication slot", "slot", name, "temporary", temporary)
	return createSlot(ctx, pc, name, t.version, temporary, export, failover)
}

// errMoved tells that the server is not the one, or not on the timeline, to which the stream's positions belong, or lost its last commits.
var errMoved = errors.New("the server is another one, was promoted, or was restored from an earlier state")

// errSlotTaken is what the server says by SQLSTATE 55006 (object_in_use) when it is asked for the slot.
var errSlotTaken = errors.New("no snapshot is taken before it is free")

func slotTaken(err error) bool { return errors.Is(err, errSlotTaken) || sqlState(err) == "55006" }

// persist calls attempt until it succeeds, ctx ends, or trying again cannot help, with growing pauses. A slot that is in use
// is waited for no longer than slot.max.retries times slot.retry.delay.ms.
func (t *source) persist(ctx context.Context, attempt func() error) error {
	pause, taken := firstPause, time.Duration(0)
	for {
		err := attempt()
		if err == nil || ctx.Err() != nil {
			return err
		}
		limit := longPause
		switch {
		case slotTaken(err):
			if taken >= time.Duration(t.cfg.slotRetries)*t.cfg.slotRetryDelay {
				return connectors.AsPermanent(t.slotInUse(ctx, err))
			}
			limit = max(t.cfg.slotRetryDelay, firstPause)
			taken += pause
		case errors.As(err, new(*sessionError)), t.classifyClass(err) != connectors.Retriable:
			return err
		}
		t.log.Warn("cannot stream yet, trying again", "slot", t.cfg.slot, "error", err, "pause", pause)
		if err := wait(ctx, pause+rand.N(pause/4+1)); err != nil {
			return err
		}
		pause = min(pause*2, limit)
	}
}

// connectStream starts replication; or leaves a snapshot to be taken, when the server has changed.
func (t *source) connectStream(ctx context.Context) error {
	return t.persist(ctx, func() error {
		err := t.openStream(ctx)
		if !errors.Is(err, errMoved) {
			return err
		}
		if err = t.follow(ctx); err != nil || t.snapshot != nil {
			return err
		}
		return t.openStream(ctx)
	})
}

// follow goes on at a server that is not the one, or not on the timeline, on which the stream was: by the same rules as at the
// start, from the position handed out last. What was handed out is made durable first, so that its positions do not come
// back when they mean something else.
func (t *source) follow(ctx context.Context) error {
	if err := t.session.Drain(ctx, t.partition); err != nil {
		return &sessionError{err}
	}
	p, id := t.stream.at, t.stream.id
	id.System, id.Timeline, id.Offset = t.stream.server.system, t.stream.server.timeline, string(p.text())
	if err := t.connectMeta(ctx); err != nil { // the former one may lead to the former server
		return err
	}
	t.leave(p)
	if err := t.startFrom(ctx, p, id); err != nil || t.snapshot == nil {
		return err
	}
	return t.prepareServer(ctx)
}

// freeSlot reads the slot, nil for none, when nobody else reads it. A server that does not answer is not waited for.
func (t *source) freeSlot(ctx context.Context, read func(context.Context) (*slotInfo, error)) (*slotInfo, error) {
	var slot *slotInfo
	var failed error
	err := t.persist(ctx, func() error {
		if slot, failed = read(ctx); slot != nil && slot.active {
			return errSlotTaken
		}
		return nil
	})
	if failed != nil {
		return nil, failed
	}
	return slot, err
}

func (t *source) slotInUse(ctx context.Context, cause error) error {
	who := "another session"
	if slot, err := readSlot(ctx, t.meta, t.cfg.slot); err == nil && slot != nil && slot.active {
		who = slot.reader()
	}
	return fmt.Errorf("replication slot %s is in use by %s; stop that reader, end it (pg_terminate_backend), or give this connector a slot.name of its own: %w",
		t.cfg.slot, who, cause)
}

// openStream connects and starts replication at the stream's position, unless the server or the slot is not what it was.
func (t *source) openStream(ctx context.Context) error {
	whole := ctx
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
	config, err := t.cfg.connConfig(true)
	if err != nil {
		return connectors.AsPermanent(err)
	}
	interval := t.cfg.statusInterval
	if t.cfg.heartbeat > 0 {
		interval = min(interval, t.cfg.heartbeat)
	}
	s := t.stream
	var slot *slotInfo
	open := func(start uint64, interval time.Duration) (*walStream, error) {
		return openStream(ctx, &config.Config, t.cfg.slot, start, t.options(), interval, func(found server) error {
			if s.server.system == "" {
				s.server = found
			} else if found.system != s.server.system || found.timeline != s.server.timeline {
				return errMoved
			}
			behind, err := t.behind(ctx, &found, max(s.startLSN(), s.delivered+1))
			if behind {
				return errMoved
			}
			if err == nil {
				s.server.end = found.end
				slot, err = t.keptSlot(ctx)
			}
			return err
		})
	}
	name := config.RuntimeParams["application_name"]
	config.RuntimeParams["application_name"] = applicationChecking
	if err := t.agree(whole, open); err != nil {
		return err
	}
	config.RuntimeParams["application_name"] = name
	w, err := open(s.startLSN(), interval)
	if err != nil {
		return err
	}
	s.attach(w)
	t.mu.Lock()
	t.wal = w
	t.confirmed = max(t.confirmed, slot.confirmed) // some servers let a slot be moved back
	w.confirm(t.confirmed)
	t.mu.Unlock()
	t.log.Info("streaming", "slot", t.cfg.slot, "publication", t.cfg.publication, "from", pglogrepl.LSN(s.startLSN()).String(), "timeline", s.server.timeline, "pid", w.pid)
	return nil
}

// keptSlot reads the slot and checks that it still holds what comes behind the stream's position (I8).
func (t *source) keptSlot(ctx context.Context) (*slotInfo, error) {
	slot, err := t.formerSlot(ctx)
	t.mu.Lock()
	confirmed := t.confirmed
	t.mu.Unlock()
	start := t.stream.startLSN()
	switch {
	case err != nil:
		return nil, err
	case slot == nil:
		return nil, connectors.AsPermanent(fmt.Errorf("replication slot %s was dropped while this connector was using it: the changes since %s are gone from the server's log; "+
			"take a new snapshot (start once with snapshot.mode=when_needed)", t.cfg.slot, pglogrepl.LSN(start)))
	case slot.lost() != "":
		return nil, t.lostSlot(slot.lost())
	case confirmed > 0 && slot.confirmed > max(confirmed, start) && slot.active: // by somebody else, for this one does not stream yet
		return nil, connectors.AsFenced(fmt.Errorf("replication slot %s was moved to %s while this connector did not stream, and is read by %s: another task has taken over, and this one ends; "+
			"if that reader is no connector of yours, end it and take a new snapshot (start once with snapshot.mode=when_needed)", t.cfg.slot, pglogrepl.LSN(slot.confirmed), slot.reader()))
	case confirmed > 0 && slot.confirmed > max(confirmed, start):
		return nil, connectors.AsPermanent(fmt.Errorf("replication slot %s was created anew or moved while this connector was using it: the changes between %s and %s are gone from the server's log; "+
			"take a new snapshot (start once with snapshot.mode=when_needed)", t.cfg.slot, pglogrepl.LSN(start), pglogrepl.LSN(slot.confirmed)))
	}
	return slot, nil
}

// agree checks that the server's log, which is long enough, has the last commit that was delivered (I8): one that was restored from an earlier state
// on the same timeline, and has grown since, does not. A slot that is confirmed behind the commit was there then; from an earlier one the
// server sends the commit first, when it is asked for what begins there. That takes a connection, which is gone before another one streams.
func (t *source) agree(ctx context.Context, open func(start uint64, interval time.Duration) (*walStream, error)) error {
	s := t.stream
	commit := s.delivered
	if s.agreed || !s.id.own || s.id.Asked != s.asked || commit == 0 || commit%recordAlignment != 0 {
		return nil
	}
	slot, err := t.formerSlot(ctx)
	if err != nil || slot == nil || slot.confirmed > commit {
		return err
	}
	t.log.Info("asking the server for the last commit that was delivered", "slot", t.cfg.slot, "commit", pglogrepl.LSN(commit).String(), "confirmed", pglogrepl.LSN(slot.confirmed).String())
	w, err := open(commit, time.Second)
	if err != nil {
		return err
	}
	first, err := w.firstCommit(ctx, commit)
	w.close(stopPatience)
	if t.rewound = err == nil && first != commit; t.rewound {
		return errMoved
	}
	s.agreed = err == nil
	return err
}

// firstCommit is where the first transaction that the server sends was committed; 0 when there is none up to lsn.
func (s *walStream) firstCommit(ctx context.Context, lsn uint64) (uint64, error) {
	defer context.AfterFunc(ctx, s.interrupt)()
	for {
		f, err := s.next(true)
		switch {
		case err != nil:
			return 0, err
		case f.kind == 'k' && f.end > lsn:
			return 0, nil
		case f.kind == 'w' && len(f.data) > 0 && f.data[0] == msgBegin:
			var m pgMessage
			err := m.parse(f.data)
			return m.lsn, err
		}
	}
}

// recordAlignment is that of every record of the server's log (MAXALIGN). A position that is not aligned names no commit record: it
// lies before a point at which a stream went on.
const recordAlignment = 8

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
