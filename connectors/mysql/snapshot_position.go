package mysql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/freshet-io/freshet/connectors"
)

// errNoBinlog is a server that keeps no binlog.
var errNoBinlog = errors.New("the server keeps no binlog: start it with --log-bin")

// logEnd reads the end of the binlog and the transactions in it.
func (cfg *config) logEnd(ctx context.Context, conn *client.Conn) (file string, pos uint64, gtids string, err error) {
	statement := "SHOW BINARY LOG STATUS"
	if cfg.flavor == flavorMariaDB {
		statement = "SHOW MASTER STATUS"
	}
	rows, err := cfg.texts(ctx, conn, statement)
	var server *mysql.MyError
	if errors.As(err, &server) && server.Code == mysql.ER_PARSE_ERROR { // MySQL before 8.2
		rows, err = cfg.texts(ctx, conn, "SHOW MASTER STATUS")
	}
	switch {
	case refused(err):
		return "", 0, "", connectors.AsPermanent(fmt.Errorf("read the end of the binlog: %w; GRANT REPLICATION CLIENT, REPLICATION SLAVE ON *.* TO %s", err, cfg.user))
	case err != nil:
		return "", 0, "", fmt.Errorf("read the end of the binlog: %w", err)
	case len(rows) == 0:
		return "", 0, "", errNoBinlog
	}
	file = rows[0][0]
	if pos, err = strconv.ParseUint(rows[0][1], 10, 64); err != nil {
		return "", 0, "", fmt.Errorf("read the end of the binlog: %w", err)
	}
	switch {
	case cfg.flavor == flavorMariaDB:
		gtids, err = cfg.value(ctx, conn, "SELECT @@GLOBAL.gtid_binlog_pos")
	case len(rows[0]) > 4:
		gtids, err = cfg.gtidsInUse(ctx, conn, strings.NewReplacer("\n", "", "\r", "").Replace(rows[0][4]))
	}
	return file, pos, gtids, err
}

// gtidsInUse is the set of a server that gives transactions GTIDs; "" of one that has ceased to, whose set does not grow any more.
func (cfg *config) gtidsInUse(ctx context.Context, conn *client.Conn, executed string) (string, error) {
	mode, err := cfg.value(ctx, conn, "SELECT @@GLOBAL.gtid_mode")
	if err != nil || !strings.EqualFold(mode, "ON") {
		return "", err
	}
	return executed, nil
}

// settle moves the position to the beginning of a new binlog file where neither a lock nor GTIDs tell which commits the rows show: the
// end of a file may be behind commits that nobody can see yet, while the server begins a file only when all before it can be seen.
func (s *snapshot) settle(ctx context.Context) error {
	cfg := s.t.cfg
	if cfg.flavor == flavorMariaDB || s.lock.exact() || s.resumed || s.kind != snapshotRows || !s.streaming || len(s.captured) == 0 || s.pos.gtids != "" && !cfg.gtids.ignore {
		return nil
	}
	if tells, err := cfg.texts(ctx, s.meta, "SHOW STATUS LIKE 'binlog_snapshot_file'"); err != nil || len(tells) > 0 { // Percona Server
		return err
	}
	const rotate = "FLUSH NO_WRITE_TO_BINLOG BINARY LOGS"
	_, err := cfg.execute(ctx, s.meta, rotate)
	if refused(err) {
		return connectors.AsPermanent(fmt.Errorf("fix the position of the snapshot (%s): %w; %s", rotate, err, cfg.unsettled(account(ctx, cfg, s.meta))))
	}
	if err != nil {
		return fmt.Errorf("fix the position of the snapshot (%s): %w", rotate, err)
	}
	if s.pos.file, _, _, err = cfg.logEnd(ctx, s.meta); err != nil {
		return err
	}
	s.pos.pos = binlogStart
	return nil
}

// unsettled says what to do when a user may not begin a binlog file.
func (cfg *config) unsettled(user string) string {
	return fmt.Sprintf("without a lock and without GTIDs the server has to begin a new binlog file, or a commit of that moment could be missing: GRANT RELOAD ON *.* TO %s, "+
		"or switch GTIDs on (gtid_mode=ON), or set snapshot.locking.mode=minimal", user)
}

// binlogStart is where the first event of a binlog file is.
const binlogStart = 4

// value is the first column of the first row; "" for NULL and for no row.
func (cfg *config) value(ctx context.Context, conn *client.Conn, statement string) (string, error) {
	rows, err := cfg.texts(ctx, conn, statement)
	if err != nil {
		return "", fmt.Errorf("run %s: %w", statement, err)
	}
	if len(rows) == 0 {
		return "", nil
	}
	return rows[0][0], nil
}

// snapshotPosition is the place in the binlog that belongs to the transaction which the connection has opened WITH CONSISTENT SNAPSHOT;
// false: the server does not tell (it is neither MariaDB nor Percona Server).
func (cfg *config) snapshotPosition(ctx context.Context, conn *client.Conn) (file string, pos uint64, ok bool, err error) {
	rows, err := cfg.texts(ctx, conn, "SHOW STATUS LIKE 'binlog_snapshot_%'")
	if err != nil {
		return "", 0, false, fmt.Errorf("read the position of the snapshot: %w", err)
	}
	for _, r := range rows {
		switch strings.ToLower(r[0]) {
		case "binlog_snapshot_file":
			file = r[1]
		case "binlog_snapshot_position":
			pos, _ = strconv.ParseUint(r[1], 10, 64) // 0 where there is none
		}
	}
	return file, pos, file != "" && pos > 0, nil
}
