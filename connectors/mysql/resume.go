package mysql

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	library "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// server is what a server says of itself that a position needs.
type server struct {
	id          string // server_uuid; of MariaDB, which has none, its server_id
	gtids       bool   // transactions have GTIDs
	commitTimes bool   // GTIDs come with the time of the commit
	executed    *gtidSet
	purged      *gtidSet
	files       []string // of its binlog, oldest first
	sizes       []uint64
}

// identify asks the server who it is and what its binlog holds.
func (t *source) identify(ctx context.Context) (*server, error) {
	if t.cfg.flavor == flavorMariaDB {
		return t.identifyMariaDB(ctx)
	}
	rows, err := t.cfg.texts(ctx, t.meta, "SELECT @@global.server_uuid, @@global.gtid_mode, @@global.gtid_executed, @@global.gtid_purged")
	if err != nil || len(rows) == 0 {
		return nil, fmt.Errorf("read server_uuid and GTIDs of the server: %w", err)
	}
	s := &server{id: rows[0][0], gtids: strings.EqualFold(rows[0][1], "ON")}
	s.commitTimes = s.gtids
	if s.executed, err = parseGTIDSet(rows[0][2], false); err != nil {
		return nil, err
	}
	if s.purged, err = parseGTIDSet(rows[0][3], false); err != nil {
		return nil, err
	}
	return s, t.readFiles(ctx, s)
}

func (t *source) identifyMariaDB(ctx context.Context) (*server, error) {
	rows, err := t.cfg.texts(ctx, t.meta, "SELECT @@global.server_id, @@global.gtid_binlog_pos")
	if err != nil || len(rows) == 0 {
		return nil, fmt.Errorf("read server_id and GTIDs of the server: %w", err)
	}
	s := &server{id: "server_id=" + rows[0][0], gtids: true, purged: &gtidSet{mariadb: true}}
	if s.executed, err = parseGTIDSet(rows[0][1], true); err != nil {
		return nil, err
	}
	return s, t.readFiles(ctx, s)
}

// ask is identify over a connection that works, a new one if need be.
func (t *source) ask(ctx context.Context) (*server, error) {
	if t.meta != nil {
		if s, err := t.identify(ctx); err == nil || t.class(err) != connectors.Retriable {
			return s, err
		}
	}
	if err := t.connectMeta(ctx); err != nil {
		return nil, err
	}
	return t.identify(ctx)
}

// lowerCase tells that the server compares names of tables in lower case.
func (t *source) lowerCase(ctx context.Context) (bool, error) {
	rows, err := t.cfg.texts(ctx, t.meta, "SELECT @@global.lower_case_table_names")
	if err != nil || len(rows) == 0 {
		return false, fmt.Errorf("read lower_case_table_names: %w", err)
	}
	return rows[0][0] != "0", nil
}

func (t *source) readFiles(ctx context.Context, s *server) error {
	rows, err := t.cfg.texts(ctx, t.meta, "SHOW BINARY LOGS")
	if err != nil {
		return fmt.Errorf("list the binlog files of the server: %w", err)
	}
	for _, r := range rows {
		size, err := strconv.ParseUint(r[1], 10, 64)
		if err != nil {
			return fmt.Errorf("list the binlog files of the server: size of %s: %w", r[0], err)
		}
		s.files, s.sizes = append(s.files, r[0]), append(s.sizes, size)
	}
	if len(s.files) == 0 {
		return connectors.AsPermanent(errors.New("the server has no binlog: set log_bin in its configuration and restart it"))
	}
	return nil
}

// lacks tells why the server cannot go on behind a position of its own; "" when it can.
func (s *server) lacks(p *position) string {
	last := len(s.files) - 1
	for i, file := range s.files {
		if file != p.file {
			continue
		}
		if p.pos > s.sizes[i] {
			return fmt.Sprintf("binlog file %s ends at %d on the server, before the position %d: the server has lost the end of its binlog, or its binlog was reset", file, s.sizes[i], p.pos)
		}
		return ""
	}
	if fileNumber(p.file) > fileNumber(s.files[last]) {
		return fmt.Sprintf("the newest binlog file of the server is %s, but the offset names %s: the server's binlog was reset, or it was restored from an earlier state", s.files[last], p.file)
	}
	return fmt.Sprintf("Connector requires binlog file '%s', but server only has %s: it was purged (see binlog_expire_logs_seconds)", p.file, strings.Join(s.files, ", "))
}

// behindEnd is a position that cannot be asked for since it lies beyond 4 GiB, moved to the next file where nothing but the event that names it
// follows; any other is left.
func (s *server) behindEnd(file string, pos uint64) (string, uint64) {
	const header, start, checksum = 19, 8, 4
	i := slices.Index(s.files, file)
	if pos <= math.MaxUint32 || i < 0 || i+1 >= len(s.files) || s.sizes[i] > pos+header+start+checksum+uint64(len(s.files[i+1])) {
		return file, pos
	}
	return s.files[i+1], binlogStart
}

// lacksGTIDs tells why the server cannot go on behind a set of transactions; "" when it can.
func (s *server) lacksGTIDs(set *gtidSet, accepts func(string) bool) string {
	if s.executed.empty() {
		return "Connector used GTIDs previously, but server does not know of any GTIDs or they are not enabled"
	}
	if !set.within(s.executed) {
		return fmt.Sprintf("Connector last known GTIDs are '%s', but server has '%s': it lacks '%s', which were delivered; it was restored from an earlier state, reset, or promoted without them",
			set, s.executed, set.without(s.executed))
	}
	if need := s.executed.retain(accepts).without(set); need.meets(s.purged) {
		return fmt.Sprintf("Some of the GTIDs needed to replicate have been already purged: '%s' are needed, and the server has purged '%s' (see binlog_expire_logs_seconds)", need, s.purged)
	}
	return ""
}

// identityAt is what to remember beside a position that was read from the server now; from is what was known of the server before.
func (t *source) identityAt(ctx context.Context, conn *client.Conn, p *position, from identity) (identity, error) {
	name := "@@global.server_uuid"
	if t.cfg.flavor == flavorMariaDB {
		name = "CONCAT('server_id=', @@global.server_id)"
	}
	rows, err := t.cfg.texts(ctx, conn, "SELECT "+name)
	if err != nil || len(rows) == 0 {
		return identity{}, fmt.Errorf("read the identity of the server: %w", err)
	}
	id := identity{Server: rows[0][0], Epoch: max(from.Epoch, 1)}
	before, err := parsePosition(offsets.Offset(from.Offset))
	fell := err == nil && p.compare(&before) < 0
	if from.Server != "" && (from.Server != id.Server || fell) {
		id.Epoch++
	}
	return id, nil
}

// missing tells why the server cannot go on behind a position that was reached on the server that id names; "" when it can.
func (t *source) missing(ctx context.Context, p *position, id identity) (string, error) {
	found, err := t.ask(ctx)
	switch {
	case err != nil:
		return "", err
	case found.id != id.Server:
		return fmt.Sprintf("the server is %s, and was %s", found.id, id.Server), nil
	case !found.gtids || t.cfg.gtids.ignore || p.gtids == "":
		return found.lacks(p), nil
	}
	set, err := parseGTIDSet(p.gtids, t.cfg.flavor == flavorMariaDB)
	if err != nil {
		return "", connectors.AsPermanent(err)
	}
	return found.lacksGTIDs(set.retain(t.cfg.gtids.accepts), t.cfg.gtids.accepts), nil
}

// comparison is where a stream can go on.
type comparison struct {
	p, exact position
	id       identity
	found    *server
}

// startFrom streams from p, which was reached on the server that id names.
func (t *source) startFrom(ctx context.Context, p position, id identity) error {
	at, err := t.compare(ctx, p, id)
	if err != nil || t.snapshot != nil {
		return err
	}
	if err := t.schema.recover(ctx, at.exact); err != nil {
		if !errors.Is(err, errNoHistory) {
			return err
		}
		if t.cfg.snapshot.mode != "when_needed" {
			return connectors.AsPermanent(fmt.Errorf("start at the offset %s: %w", p.offset(nil), err))
		}
		return t.problem(p.offset(nil), id, err.Error())
	}
	at.id.Server, at.id.own, at.id.Restart = at.found.id, true, string(at.exact.offset(nil))
	return t.beginStream(ctx, at.p, at.id)
}

// compare looks whether the server is the one on which p was reached, and holds every change behind it. When it does not, it
// finds a problem.
func (t *source) compare(ctx context.Context, p position, id identity) (comparison, error) {
	found, err := t.ask(ctx)
	if err != nil {
		return comparison{}, err
	}
	c := comparison{p: p, exact: p, id: id, found: found}
	if id.own && id.Restart != "" {
		if c.exact, err = parsePosition(offsets.Offset(id.Restart)); err != nil {
			return comparison{}, connectors.AsPermanent(err)
		}
	}
	if !id.own { // what it says is of another position
		c.id = identity{Server: id.Server, Epoch: id.Epoch}
	}
	other := id.Server != "" && id.Server != found.id
	byGTID := found.gtids && !t.cfg.gtids.ignore && p.gtids != ""
	fell := !other && fileNumber(p.file) > fileNumber(found.files[len(found.files)-1])
	if other || fell { // positions and counts of events mean nothing here: a transaction that was delivered in part comes whole
		c.id.Epoch = max(id.Epoch, 1) + 1
		c.id.Created = 0
	}
	if !byGTID {
		c.p.gtids, c.exact.gtids = "", ""
		switch why := found.lacks(&c.exact); {
		case other:
			return comparison{}, t.problem(p.offset(nil), id, fmt.Sprintf("the offset belongs to the server with server_uuid %s, but this server is %s: its binlog files and positions mean something else. "+
				"Connect to the former server, or switch GTIDs on (gtid_mode=ON) before a failover", id.Server, found.id))
		case why != "":
			return comparison{}, t.problem(p.offset(nil), id, why)
		}
		return c, nil
	}
	if err := t.compareGTIDs(&c, id, other || fell); err != nil {
		return comparison{}, err
	}
	if other && t.snapshot == nil {
		t.log.Info("going on at another server by GTIDs", "server", found.id, "former", id.Server, "gtids", c.exact.gtids)
	}
	return c, nil
}

func (t *source) compareGTIDs(c *comparison, id identity, other bool) error {
	mariadb := t.cfg.flavor == flavorMariaDB
	set, err := parseGTIDSet(c.exact.gtids, mariadb)
	if err != nil {
		return connectors.AsPermanent(err)
	}
	if other || !c.id.own { // this server would send the others again
		set = set.retain(t.cfg.gtids.accepts)
	}
	if why := c.found.lacksGTIDs(set, t.cfg.gtids.accepts); why != "" {
		return t.problem(c.p.offset(nil), id, why)
	}
	if c.id.own && c.id.GTID != "" {
		last, err := parseGTIDSet(c.id.GTID, mariadb)
		if err != nil {
			return connectors.AsPermanent(err)
		}
		if !last.within(c.found.executed) {
			return t.problem(c.p.offset(nil), id, fmt.Sprintf("the server lacks transaction %s, of which changes were delivered: it was restored from an earlier state, or promoted without it", c.id.GTID))
		}
	}
	plain, err := parseGTIDSet(c.p.gtids, mariadb)
	if err != nil {
		return connectors.AsPermanent(err)
	}
	c.p.gtids = plain.retain(t.cfg.gtids.accepts).merge(c.found.purged).String()
	c.exact.gtids = set.merge(c.found.purged).String()
	if other {
		c.p.file, c.p.pos, c.p.event, c.p.row = "", 0, 0, 0
		c.exact.file, c.exact.pos, c.exact.event, c.exact.row = "", 0, 0, 0
	}
	return nil
}

// problem is a reason not to go on from the offset, beside which id is known: a new snapshot with snapshot.mode=when_needed, an error
// otherwise. The orders of the snapshot are above those of all that was delivered up to the offset.
func (t *source) problem(o offsets.Offset, id identity, why string) error {
	if t.cfg.snapshot.mode != "when_needed" {
		return connectors.AsPermanent(fmt.Errorf("The connector is trying to read change stream starting at %s, but this is no longer available on the server. "+ //nolint:staticcheck // the reference's text
			"Reconfigure the connector to use a snapshot mode when needed. %s. Take a new snapshot: start once with snapshot.mode=when_needed", o, why))
	}
	t.log.Warn("taking a new snapshot (snapshot.mode=when_needed): "+why, "offset", string(o))
	t.session.Anew(t.partition)
	t.snapshot = newSnapshot(t, snapshotRows)
	t.snapshot.from = id
	t.snapshot.from.Offset = string(o)
	return nil
}

// unavailable tells that the server refuses to send its binlog from where it was asked for, and will (error 1236).
func unavailable(err error) bool {
	var answer *library.MyError
	if !errors.As(err, &answer) || answer.Code != library.ER_MASTER_FATAL_ERROR_READING_BINLOG {
		return false
	}
	for _, text := range []string{"purged", "Could not find first log file name", "not in the master's binlog"} {
		if strings.Contains(answer.Message, text) {
			return true
		}
	}
	return false
}

// resetError tells that the binlog is another one than that of the position.
type resetError struct{ text string }

func (e *resetError) Error() string { return e.text }

func stamp(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.DateTime) }

// connectStream opens the binlog; or leaves a snapshot to be taken, when the server is not the one it was. It tries until it
// succeeds, ctx ends, or trying again cannot help, with growing pauses.
func (t *source) connectStream(ctx context.Context) error {
	pause := firstPause
	for {
		err := t.openStream(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if errors.As(err, new(*sessionError)) || t.class(err) != connectors.Retriable {
			return err
		}
		t.log.Warn("cannot stream yet, trying again", "error", err.Error(), "pause", pause)
		if err := wait(ctx, pause+rand.N(pause/4+1)); err != nil {
			return err
		}
		pause = min(pause*2, longPause)
	}
}

// openStream connects and asks for the binlog behind the stream's position, unless the server is not what it was.
func (t *source) openStream(ctx context.Context) error {
	found, err := t.ask(ctx)
	if err != nil {
		return err
	}
	s := t.stream
	if s.moved(found) {
		if err := t.follow(ctx); err != nil || t.snapshot != nil {
			return err
		}
		s = t.stream
	}
	encryption, err := t.cfg.tlsConfig()
	if err != nil {
		return err
	}
	if !t.tls {
		encryption = nil
	}
	o := binlogOptions{dialer: *t.cfg.dialer(), session: t.cfg.binlogSession(), config: replication.BinlogSyncerConfig{
		ServerID: t.cfg.serverID, Flavor: t.cfg.flavor.String(), Host: t.cfg.host, Port: t.cfg.port, User: t.cfg.user, Password: t.cfg.password,
		TLSConfig: encryption, HeartbeatPeriod: serverHeartbeat, ReadTimeout: serverSilence,
	}}
	if o.gtids, o.file, o.pos = s.start(); o.gtids == nil && o.file == "" {
		o.file, o.pos = found.files[0], binlogStart
	}
	if o.gtids == nil {
		o.file, o.pos = found.behindEnd(o.file, o.pos)
	}
	if t.schema.timestamps, err = t.readTimestamps(ctx); err != nil {
		return err
	}
	l, err := openBinlog(ctx, o)
	if err != nil {
		return err
	}
	s.gtidOn, s.adopts = found.commitTimes, found.gtids && !t.cfg.gtids.ignore
	s.heard, s.looked = 0, time.Now()
	if s.adoptNothing(found) {
		s.done = &gtidSet{mariadb: s.mariadb}
	}
	s.attach(l)
	t.mu.Lock()
	t.binlog = l
	t.mu.Unlock()
	from := o.file + ":" + strconv.FormatUint(o.pos, 10)
	if o.gtids != nil {
		from = o.gtids.String()
	}
	t.log.Info("streaming", "server", found.id, "from", from)
	return nil
}

// The server says that it is there when it has nothing to send; a server that is silent for longer is gone.
const (
	serverHeartbeat = 10 * time.Second
	serverSilence   = 45 * time.Second
)

// binlogSession are the statements of the binlog's connection.
func (cfg *config) binlogSession() []string {
	var out []string
	for _, limit := range []struct {
		name string
		d    time.Duration
	}{{"net_read_timeout", cfg.netRead}, {"net_write_timeout", cfg.netWrite}} {
		if limit.d > 0 {
			out = append(out, fmt.Sprintf("SET SESSION %s = %d", limit.name, int64(limit.d/time.Second)))
		}
	}
	return out
}

// follow goes on at a server that is not the one on which the stream was, or whose binlog is another one: by the same rules as at
// the start, from the position handed out last. What was handed out is made durable first, so that its positions do not
// come back when they mean something else.
func (t *source) follow(ctx context.Context) error {
	if err := t.session.Drain(ctx, t.partition); err != nil {
		return &sessionError{err}
	}
	h := t.stream.handed
	if h.plain != "" {
		t.plain = h.plain
	}
	h.id.own, h.id.Server, h.id.Epoch = true, t.stream.id.Server, t.stream.id.Epoch
	h.id.Restart = string(h.exact.offset(nil))
	return t.startFrom(ctx, h.pos, h.id)
}

// start is where to ask for the binlog: behind what was handled and is complete. Nil: by file and position; no file: from the oldest on.
func (s *stream) start() (gtids *gtidSet, file string, pos uint64) {
	if s.done == nil || s.done.empty() && (s.current.none() || s.announced) {
		p := s.behind()
		return nil, p.file, p.pos
	}
	set := s.done.merge(&gtidSet{mariadb: s.mariadb})
	for i := range s.later {
		set.add(&s.later[i])
	}
	if !s.counted && !s.tx.group && !s.announced && !s.current.none() {
		set.add(&s.current)
	}
	return set, s.file, s.at
}

// behind is the place behind what was handled: where the open transaction begins, or behind the last event.
func (s *stream) behind() position {
	p := s.pos
	switch {
	case s.tx.group:
		p.file, p.pos = s.tx.file, s.tx.start
	case s.announced:
		p.file, p.pos = s.file, s.announcedAt
	case s.at+s.size > 0:
		p.file, p.pos = s.file, s.at+s.size
	}
	p.event, p.row = 0, 0
	return p
}

// moved tells that the server is another one, or that its binlog ends before what was handled: it is not the binlog that it was.
func (s *stream) moved(found *server) bool {
	if found.id != s.id.Server {
		return true
	}
	if gtids, _, _ := s.start(); gtids == nil {
		p := s.behind()
		return p.file != "" && found.lacks(&p) != ""
	}
	set, _, _ := s.start()
	return !set.within(found.executed)
}
