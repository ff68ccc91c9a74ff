package history

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/freshet-io/freshet/testbed"
)

type onMySQL struct {
	server   func() *testbed.MySQL
	database string
}

// OnMySQL is a database of the MySQL or MariaDB that is the primary when asked; its places are Transactions, without GTIDs positions.
func OnMySQL(primary func() *testbed.MySQL, database string) Database {
	return onMySQL{primary, database}
}

func (m onMySQL) create(t testing.TB, n int, first map[string]int) {
	t.Helper()
	for table, from := range first {
		var sql strings.Builder
		fmt.Fprintf(&sql, "CREATE TABLE %s (id INT PRIMARY KEY, seq INT NOT NULL, pad VARCHAR(100)); INSERT INTO %s VALUES ", table, table)
		for id := range n {
			if id > 0 {
				sql.WriteByte(',')
			}
			fmt.Fprintf(&sql, "(%d,%d,REPEAT('x',50))", id, id+from)
		}
		m.server().Exec(t, m.database, sql.String())
	}
}

func (m onMySQL) wholeBefore(string) bool { return true }

func (m onMySQL) connect(ctx context.Context) (session, error) {
	server := m.server()
	conn, err := server.Open(ctx, m.database)
	if err != nil {
		return nil, err
	}
	return mySession{conn, server.IsMariaDB()}, nil
}

type mySession struct {
	*client.Conn
	mariadb bool
}

func (s mySession) commit(_ context.Context, sql string) (uint64, error) {
	var failed error
	result, err := s.ExecuteMultiple(sql, func(_ *mysql.Result, err error) { failed = errors.Join(failed, err) })
	if err := errors.Join(err, failed); err != nil {
		return 0, err
	}
	result.Close()
	return s.place()
}

func (s mySession) place() (uint64, error) {
	query := "SELECT @@gtid_executed"
	if s.mariadb {
		query = "SELECT @@gtid_binlog_pos"
	}
	gtids, err := s.text(query)
	if err != nil {
		return 0, err
	}
	if gtids == "" {
		return s.position()
	}
	return Transactions(gtids)
}

// position is the place in the binlog of a server without GTIDs: the file's number and, in the lower half, the position in it.
func (s mySession) position() (uint64, error) {
	result, err := s.Execute("SHOW BINARY LOG STATUS")
	if err != nil {
		return 0, err
	}
	defer result.Close()
	file, err := result.GetString(0, 0)
	if err != nil {
		return 0, err
	}
	at, err := result.GetUint(0, 1)
	if err != nil {
		return 0, err
	}
	_, number, _ := strings.Cut(file, ".")
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("read the number of binlog file %q: %w", file, err)
	}
	return n<<32 | at, nil
}

func (s mySession) text(query string) (string, error) {
	result, err := s.Execute(query)
	if err != nil {
		return "", err
	}
	defer result.Close()
	return result.GetString(0, 0)
}

func (s mySession) last(context.Context) (seq int, end uint64, err error) {
	text, err := s.text("SELECT seq FROM a WHERE id = 0")
	if err != nil {
		return 0, 0, err
	}
	if seq, err = strconv.Atoi(text); err != nil {
		return 0, 0, err
	}
	end, err = s.place()
	return seq, end, err
}

// lost: an error that the server sent is about the statement, but for a server that is going down.
func (s mySession) lost(err error) bool {
	var sent *mysql.MyError
	if !errors.As(err, &sent) {
		return true
	}
	switch sent.Code {
	case mysql.ER_SERVER_SHUTDOWN, mysql.ER_QUERY_INTERRUPTED:
		return true
	}
	return false
}

func (s mySession) close(context.Context) { _ = s.Conn.Close() }

// Transactions is how many transactions a set of MySQL's GTIDs has, or the number in MariaDB's position of one domain.
func Transactions(gtids string) (uint64, error) {
	var sum uint64
	if parts := strings.Split(gtids, "-"); len(parts) == 3 && !strings.Contains(gtids, ":") {
		return strconv.ParseUint(parts[2], 10, 64)
	}
	for _, set := range strings.Split(strings.ReplaceAll(gtids, "\n", ""), ",") {
		_, ranges, _ := strings.Cut(set, ":")
		for _, one := range strings.Split(ranges, ":") {
			if one == "" {
				continue
			}
			low, high, several := strings.Cut(one, "-")
			if !several {
				high = low
			}
			from, err := strconv.ParseUint(low, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read GTIDs %q: %w", gtids, err)
			}
			to, err := strconv.ParseUint(high, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read GTIDs %q: %w", gtids, err)
			}
			sum += to - from + 1
		}
	}
	return sum, nil
}
