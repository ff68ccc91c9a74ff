package mysql

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/freshet-io/freshet/testbed"
)

// servers runs a test on both kinds of server.
func servers(t *testing.T, test func(t *testing.T, m *testbed.MySQL)) {
	for name, server := range map[string]func(testing.TB, ...string) *testbed.MySQL{"MySQL": bed.MySQL, "MariaDB": bed.MariaDB} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, server(t))
		})
	}
}

func openResults(t testing.TB, m *testbed.MySQL, database string) *resultReader {
	t.Helper()
	conn, err := m.Open(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	r := &resultReader{}
	r.takeOver(conn)
	t.Cleanup(func() { _ = r.conn.Close() })
	return r
}

// TestResults compares rows of all lengths with what the server was asked for.
func TestResults(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, m *testbed.MySQL) {
		lengths := []int{0, 1, 250, 251, 252, 65535, 65536, 300000, 1<<24 - 30, 1<<24 - 1, 1 << 24, 1<<24 + 20, 20 << 20, 3}
		m.Exec(t, "", "SET GLOBAL max_allowed_packet = 67108864")
		r := openResults(t, m, "")
		if err := r.exec("SET SESSION sql_mode = ''"); err != nil {
			t.Fatal(err)
		}
		var sql []string
		for i, n := range lengths {
			sql = append(sql, fmt.Sprintf("SELECT repeat('x', %d), NULL, '%d'", n, i))
		}
		for range 2 {
			if err := r.query(strings.Join(sql, " UNION ALL "), 3); err != nil {
				t.Fatal(err)
			}
			for i, n := range lengths {
				fields, err := r.row()
				if err != nil || fields == nil {
					t.Fatalf("row %d: %v", i, err)
				}
				if !bytes.Equal(fields[0], bytes.Repeat([]byte("x"), n)) || fields[1] != nil || string(fields[2]) != fmt.Sprint(i) {
					t.Errorf("row %d of length %d: %d bytes, %v, %q", i, n, len(fields[0]), fields[1], fields[2])
				}
			}
			if fields, err := r.row(); fields != nil || err != nil {
				t.Errorf("at the end: %v, %v", fields, err)
			}
		}
	})
}

// TestResultErrors shows that a statement that fails leaves the connection usable, before the first row and behind it.
func TestResultErrors(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, m *testbed.MySQL) {
		r := openResults(t, m, "")
		err := r.query("SELECT * FROM mysql.nowhere", 1)
		var answer *mysql.MyError
		if !altered(err) || !errors.As(err, &answer) || answer.State != "42S02" {
			t.Errorf("a table that is not there: %v", err)
		}
		if err := r.exec("SELECT"); !refused(err) {
			t.Errorf("a statement that is none: %v", err)
		}
		if err := r.query("SELECT 1, 2", 2); err != nil {
			t.Fatal(err)
		}
		for {
			fields, err := r.row()
			if err != nil {
				t.Fatal(err)
			}
			if fields == nil {
				break
			}
		}
		if err := r.query("SELECT 1", 2); err == nil || r.err == nil {
			t.Errorf("columns that were not expected: %v", err)
		}
	})
}
