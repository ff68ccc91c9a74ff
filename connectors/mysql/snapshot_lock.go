package mysql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/freshet-io/freshet/connectors"
)

// tableLock is what keeps others from writing while the position, the schema and the readers' transactions are fixed.
type tableLock uint8

const (
	lockNone   tableLock = iota
	lockBackup           // LOCK TABLES FOR BACKUP: no DDL, and no writes into tables without transactions
	lockTables           // read locks on the captured tables
	lockGlobal           // FLUSH TABLES WITH READ LOCK
)

// exact tells that nothing is committed to captured tables while the lock is held.
func (l tableLock) exact() bool { return l >= lockTables }

// takeLock locks as snapshot.locking.mode says, over a connection of its own: one that has locked tables may look at no others. Where the user may not lock everything, the captured
// tables are locked instead, as in the reference.
func (s *snapshot) takeLock(ctx context.Context) error {
	mode := s.t.cfg.snapshot.locking
	if mode == "none" || s.recovering() {
		return nil
	}
	var err error
	if s.locker, err = s.connect(ctx); err != nil {
		return fmt.Errorf("connect for the lock of the snapshot: %w", err)
	}
	statement, kind := "FLUSH TABLES WITH READ LOCK", lockGlobal
	if strings.HasPrefix(mode, "minimal_percona") {
		statement, kind = "LOCK TABLES FOR BACKUP", lockBackup
	}
	err = s.lockerExec(ctx, statement)
	switch {
	case err == nil:
		s.lock, s.locked = kind, time.Now()
		return nil
	case !refused(err):
		return s.lockError(statement, err)
	case mode == "minimal_percona_no_table_locks":
		return connectors.AsPermanent(fmt.Errorf("lock for the snapshot (%s): %w; snapshot.locking.mode=minimal_percona_no_table_locks needs Percona Server "+
			"and the privileges RELOAD and LOCK TABLES", statement, err))
	}
	s.t.log.Info("cannot take the lock for all tables, locking the captured ones", "statement", statement, "error", err)
	return s.lockCaptured(ctx)
}

// lockCaptured locks the captured tables. FLUSH needs a privilege that LOCK TABLES does not.
func (s *snapshot) lockCaptured(ctx context.Context) error {
	if len(s.captured) == 0 {
		return nil
	}
	var flush, lock []string
	for _, id := range s.captured {
		name := quoteTable(id)
		flush, lock = append(flush, name), append(lock, name+" READ")
	}
	statement := "FLUSH TABLES " + strings.Join(flush, ", ") + " WITH READ LOCK"
	err := s.lockerExec(ctx, statement)
	if refused(err) {
		statement = "LOCK TABLES " + strings.Join(lock, ", ")
		err = s.lockerExec(ctx, statement)
	}
	switch {
	case refused(err):
		return connectors.AsPermanent(fmt.Errorf("lock the captured tables for the snapshot: %w; GRANT RELOAD, LOCK TABLES ON *.* TO %s, or set "+
			"snapshot.locking.mode=none when nobody alters tables meanwhile", err, s.t.cfg.user))
	case err != nil:
		return s.lockError(statement, err)
	}
	s.lock, s.locked = lockTables, time.Now()
	return nil
}

// connect opens a session that waits for locks no longer than snapshot.lock.timeout.ms. All sessions of a snapshot are such: who waits
// for the snapshot's own lock (a FLUSH TABLES, an ALTER TABLE) lets nobody pass, the snapshot's other sessions no more than anybody else.
func (s *snapshot) connect(ctx context.Context) (*client.Conn, error) {
	cfg := s.t.cfg
	conn, err := cfg.connect(ctx)
	if err != nil {
		return nil, err
	}
	seconds := max(1, int64(cfg.snapshot.lockTimeout/time.Second))
	for _, name := range []string{"lock_wait_timeout", "innodb_lock_wait_timeout"} {
		result, err := cfg.execute(ctx, conn, fmt.Sprintf("SET SESSION %s = %d", name, seconds))
		switch {
		case err == nil:
			result.Close()
		case name == "lock_wait_timeout" || !serverAnswered(err):
			_ = conn.Close()
			return nil, fmt.Errorf("set %s: %w", name, err)
		}
	}
	return conn, nil
}

// blocked says what a session of the snapshot has waited for in vain; the snapshot is begun again, and its locks are given back before.
func (s *snapshot) blocked(ctx context.Context, err error) error {
	var server *mysql.MyError
	if !errors.As(err, &server) || server.Code != mysql.ER_LOCK_WAIT_TIMEOUT || errors.Is(err, errNotGranted) {
		return err
	}
	who := "SHOW PROCESSLIST shows it"
	if waiting := s.waiting(ctx); waiting != "" {
		who = "waiting now: " + waiting
	}
	cause, advice := "a statement such as ALTER TABLE, FLUSH TABLES or LOCK TABLES holds a table, or waits for one and lets nobody pass", "run such statements when no snapshot is taken"
	if s.lock != lockNone {
		cause += ", perhaps for the lock of this snapshot, which is given back now"
	}
	if s.lock == lockTables {
		advice += ", or GRANT RELOAD ON *.* TO " + s.t.cfg.user + " for a lock that they do not get in the way of"
	}
	return fmt.Errorf("no table within %s (snapshot.lock.timeout.ms): %s (%s); the snapshot is begun again; %s: %w", s.t.cfg.snapshot.lockTimeout, cause, who, advice, err)
}

// waiting lists the other sessions that wait for tables, as far as the user may see them: what kind of statement it is, no more of it (I12).
// It connects anew, as the other connections may be in use.
func (s *snapshot) waiting(ctx context.Context) string {
	conn, err := s.t.cfg.connect(ctx)
	if err != nil {
		return "" // the error is the other one
	}
	defer func() { _ = conn.Close() }()
	rows, err := s.t.cfg.texts(ctx, conn, "SHOW FULL PROCESSLIST")
	if err != nil {
		return ""
	}
	own := map[string]bool{}
	if s.meta != nil {
		own[strconv.FormatUint(uint64(s.meta.GetConnectionID()), 10)] = true
	}
	for _, r := range s.readers {
		own[strconv.FormatUint(uint64(r.id), 10)] = true
	}
	var out []string
	for _, r := range rows { // id, user, host, database, command, seconds, state, statement
		if len(r) < 8 || own[r[0]] || !strings.HasPrefix(r[6], "Waiting for ") || len(out) == 5 {
			continue
		}
		kind, rest, _ := strings.Cut(r[7], " ")
		if second, _, _ := strings.Cut(rest, " "); strings.EqualFold(second, "TABLE") || strings.EqualFold(second, "TABLES") {
			kind += " " + second
		}
		out = append(out, fmt.Sprintf("%.40s of user %s, connection %s, for %s s", strings.ToUpper(kind), r[1], r[0], r[5]))
	}
	return strings.Join(out, "; ")
}

// errNotGranted is a lock of the snapshot that somebody else's keeps it from.
var errNotGranted = errors.New("the lock was not granted")

func (s *snapshot) lockError(statement string, err error) error {
	var server *mysql.MyError
	if errors.As(err, &server) && server.Code == mysql.ER_LOCK_WAIT_TIMEOUT {
		return fmt.Errorf("lock for the snapshot (%.60s): %w within %s (snapshot.lock.timeout.ms): a statement or a transaction that runs long holds a table; "+
			"SHOW PROCESSLIST shows it: %w", statement, errNotGranted, s.t.cfg.snapshot.lockTimeout, err)
	}
	return fmt.Errorf("lock for the snapshot (%.60s): %w", statement, err)
}

// unlock lets others write again. The readers have transactions of their own, which it does not touch.
func (s *snapshot) unlock(ctx context.Context) error {
	if s.lock == lockNone {
		return nil
	}
	if err := s.lockerExec(ctx, "UNLOCK TABLES"); err != nil {
		return fmt.Errorf("release the lock of the snapshot: %w", err)
	}
	s.t.log.Info("released the lock of the snapshot", "held", time.Since(s.locked).Round(time.Millisecond))
	s.lock = lockNone
	_ = s.locker.Close() // nothing is left to lose
	s.locker = nil
	return nil
}

func (s *snapshot) lockerExec(ctx context.Context, statement string) error {
	result, err := s.t.cfg.execute(ctx, s.locker, statement)
	if err == nil {
		result.Close()
	}
	return err
}

// refused tells that the server will not do it at all: for want of a privilege, or because it does not know the statement.
func refused(err error) bool {
	var server *mysql.MyError
	if !errors.As(err, &server) {
		return false
	}
	switch server.Code {
	case mysql.ER_SPECIFIC_ACCESS_DENIED_ERROR, mysql.ER_ACCESS_DENIED_ERROR, mysql.ER_DBACCESS_DENIED_ERROR, mysql.ER_TABLEACCESS_DENIED_ERROR,
		mysql.ER_PARSE_ERROR, mysql.ER_NOT_SUPPORTED_YET:
		return true
	}
	return false
}

// serverAnswered tells that the statement failed and the connection did not.
func serverAnswered(err error) bool {
	var server *mysql.MyError
	return errors.As(err, &server)
}

// quoteLiteral quotes a text; the sessions have no sql_mode that changes how it is read.
func quoteLiteral(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(text) + "'"
}
