package mysql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// Pauses between attempts to connect again.
const (
	firstPause = 100 * time.Millisecond
	longPause  = 10 * time.Second
	// stopPatience is how long a server may take to end the session that sends the binlog before the connection is cut.
	stopPatience = 2 * time.Second
)

// source is the task: first a snapshot when snapshot.mode asks for one, then the binlog. It connects again in place when a
// connection is lost. Its goroutines are those of the binlog connection, the heartbeat's query ("mysql heartbeat") and the
// readers of the snapshot.
type source struct {
	cfg      *config
	settings connectors.Settings
	log      *slog.Logger
	session  connectors.SourceSession

	partition, state offsets.Partition
	plain            offsets.Offset // stored when the stream began
	headers          []connectors.Header
	meta             *client.Conn // nil: not connected
	tls              bool         // meta is encrypted, and so is the binlog's connection
	schema           *schema
	snapshot         *snapshot // until it is done
	stream           *stream   // nil: nothing to stream
	heartbeat        *changes.HeartbeatQuery
	reselect         reselect
	watch            watch

	pauseBeforeStream time.Duration // streaming.delay.ms, once after the snapshot

	mu      sync.Mutex
	binlog  *binlog // of stream, for Observe
	stopped bool
}

// NewSource makes the task.
func (f Factory) NewSource(c connectors.Config, s connectors.Settings) (connectors.SourceTask, error) {
	if problems := connectors.Errors(checkKeys(c, f.flavor())); len(problems) > 0 {
		return nil, connectors.AsPermanent(fmt.Errorf("configure the %s source: %s", f.flavor().product(), strings.Join(problems, "; ")))
	}
	cfg, err := parseConfig(c, f.flavor())
	if err != nil {
		return nil, connectors.AsPermanent(err)
	}
	return newSource(cfg, s), nil
}

func newSource(cfg *config, s connectors.Settings) *source {
	log := slog.New(slog.DiscardHandler)
	if s.Logger != nil {
		log = s.Logger.With("logger", "freshet."+cfg.flavor.String())
	}
	return &source{
		cfg: cfg, settings: s, log: log,
		headers: changes.ContextHeaders(cfg.raw, cfg.flavor.String(), strconv.Itoa(s.Task), s.RunID),
	}
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
	warnings, err := checkStart(ctx, t.cfg, t.meta)
	for _, w := range warnings {
		t.log.Warn(w)
	}
	if err != nil {
		return err
	}
	lower, err := t.lowerCase(ctx)
	if err != nil {
		return err
	}
	if t.schema, err = newSchema(t.cfg, lower, t.cfg.sourceBlock(t.settings.Version, "", nil), t.headers, t.log); err != nil {
		return err
	}
	if t.schema.timestamps, err = t.readTimestamps(ctx); err != nil {
		return err
	}
	mode, fresh := t.cfg.snapshot.mode, stored == nil || stored.unfinished()
	switch {
	case mode == "initial_only" && !fresh:
		return nil
	case mode == "recovery" && stored == nil:
		return connectors.AsPermanent(errors.New("Could not find existing redo log information while attempting schema only recovery snapshot: " + //nolint:staticcheck // the reference's text
			"snapshot.mode=recovery goes on from a stored offset, and there is none; use snapshot.mode=initial or no_data"))
	case mode == "recovery" && fresh:
		return connectors.AsPermanent(errors.New("snapshot.mode=recovery goes on from a stored offset, and the stored one is in the middle of a snapshot: " +
			"tables that it has not read yet would be left out; use snapshot.mode=initial, which takes it again"))
	case mode == "always", mode == "recovery", fresh:
		if err := t.beginSnapshot(ctx, stored, id, fresh); err != nil {
			return err
		}
	default:
		if err := t.startFrom(ctx, *stored, id); err != nil {
			return err
		}
	}
	return nil
}

// beginSnapshot takes a snapshot; fresh: no one was ever completed.
func (t *source) beginSnapshot(ctx context.Context, stored *position, id identity, fresh bool) error {
	kind := snapshotRows
	switch t.cfg.snapshot.mode {
	case "no_data":
		kind = snapshotSchema
	case "recovery":
		kind = snapshotRecovery
	}
	if !fresh && kind == snapshotRows {
		t.session.Anew(t.partition) // the server may be another one
	}
	t.snapshot = newSnapshot(t, kind)
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
			p, plain = &parsed, e.Offset
			t.plain = plain
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

// connectMeta opens the ordinary connection.
func (t *source) connectMeta(ctx context.Context) error {
	conn, err := t.cfg.connect(ctx)
	if err != nil {
		return err
	}
	t.closeMeta()
	t.meta, t.tls = conn, encrypted(conn)
	return nil
}

func (t *source) closeMeta() {
	if t.meta != nil {
		_ = t.meta.Close()
		t.meta = nil
	}
}

// beginStream makes the stream, which connects at the next Poll. p is where the reference would go on, and id what is known of
// the server.
func (t *source) beginStream(ctx context.Context, p position, id identity) error {
	if t.stream != nil {
		t.stream.abandon()
	}
	s := &stream{
		cfg: t.cfg, log: t.log, session: t.session, schema: t.schema, watch: &t.watch, version: t.settings.Version, headers: t.headers,
		partition: t.partition, state: t.state, records: maxRecords, mariadb: t.cfg.flavor == flavorMariaDB, reselect: t.reselect,
		known: map[changes.TableID]*tracked{}, patience: time.NewTimer(0),
	}
	if t.cfg.heartbeat > 0 {
		s.beat = changes.NewHeartbeat(t.cfg.naming)
	}
	if err := s.begin(p, id); err != nil {
		return err
	}
	s.txns = changes.NewTransactions(t.cfg.raw, t.cfg.naming)
	s.txns.Restore(t.plain, true)
	t.stream = s
	t.startHeartbeat(ctx)
	return nil
}

// Poll implements connectors.SourceTask.
func (t *source) Poll(ctx context.Context) (*connectors.Batch, error) {
	b, err := t.poll(ctx)
	if err != nil && err != io.EOF { //nolint:errorlint // one in the chain is a connection's, and no end of the source
		if ended := over(ctx); ended != nil {
			return nil, ended
		}
		return nil, t.classify(err)
	}
	return b, err
}

// over is ctx.Err; a connection's deadline, which was taken from ctx, may come a moment before that.
func over(ctx context.Context) error {
	if d, ok := ctx.Deadline(); ok && ctx.Err() == nil && !time.Now().Before(d) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
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
		if t.stream.binlog == nil {
			if err := t.connectStream(ctx); err != nil {
				return nil, err
			}
			if t.snapshot != nil { // the server is not the one it was
				return t.snapshot.next(ctx)
			}
		}
		b, err := t.stream.nextBatch(ctx)
		if err == nil {
			return b, nil
		}
		if errors.Is(err, errQuiet) {
			if err := t.look(ctx); err != nil {
				return nil, err
			}
			continue
		}
		var reset *resetError
		if errors.As(err, &reset) || t.cfg.snapshot.mode == "when_needed" && unavailable(err) {
			t.disconnect(0)
			if err := t.problem(t.stream.handed.pos.offset(nil), t.stream.id, err.Error()); err != nil {
				return nil, err
			}
			return t.snapshot.next(ctx)
		}
		if ctx.Err() != nil || errors.As(err, new(*sessionError)) || t.class(err) != connectors.Retriable {
			return nil, err
		}
		t.log.Warn("the stream was interrupted, connecting again", "error", err.Error())
		t.disconnect(0)
		if err := wait(ctx, pause); err != nil {
			return nil, err
		}
		pause = min(pause*2, longPause)
	}
}

// Commit implements connectors.SourceTask. MySQL keeps its binlog for as long as it is told to, whoever reads it.
func (t *source) Commit(context.Context, []offsets.Entry) error { return nil }

// Stop implements connectors.SourceTask.
func (t *source) Stop(context.Context) error {
	if t.stopped {
		return nil
	}
	t.stopped = true
	t.heartbeat.Stop()
	t.reselect.by.close()
	if t.snapshot != nil {
		t.snapshot.close()
	}
	t.disconnect(stopPatience)
	if t.stream != nil {
		t.stream.abandon()
	}
	t.closeMeta()
	if t.schema != nil {
		t.schema.close()
	}
	return nil
}

func (t *source) disconnect(patience time.Duration) {
	t.mu.Lock()
	l := t.binlog
	t.binlog = nil
	t.mu.Unlock()
	if t.stream != nil {
		t.stream.binlog = nil
	}
	if l != nil {
		l.close(patience)
	}
}

// startHeartbeat starts the heartbeat's query, when there is one.
func (t *source) startHeartbeat(ctx context.Context) {
	if t.cfg.heartbeat > 0 && t.cfg.heartbeatQuery != "" && t.heartbeat == nil {
		t.heartbeat = startHeartbeat(context.WithoutCancel(ctx), t.cfg, t.log)
	}
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
