package mysql

import (
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"
)

func TestStream(t *testing.T) {
	for name, make := range map[string]func(*testing.T) *rig{
		"mysql":   func(t *testing.T) *rig { return newRig(t, nil) },
		"mariadb": func(t *testing.T) *rig { return newMariaDBRig(t, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			r := make(t)
			r.exec("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))")
			r.start()
			r.streaming()
			r.exec("INSERT INTO t VALUES (1, 'a'), (2, 'b')", "UPDATE t SET v = 'c' WHERE id = 2", "UPDATE t SET id = 3 WHERE id = 1", "DELETE FROM t WHERE id = 2",
				"BEGIN", "INSERT INTO t VALUES (10, NULL)", "INSERT INTO t VALUES (11, 'x')", "COMMIT")
			r.until(10)
			want := `t c (1) after (1,a)
t c (2) after (2,b) last.
t u (2) before (2,b) after (2,c) last.
t d (1) before (1,a) __debezium.newkey=[3]
t 0 (1) __debezium.newkey=[3]
t c (3) after (3,a) __debezium.oldkey=[1] last.
t d (2) before (2,c)
t 0 (2) last.
t c (10) after (10,null)
t c (11) after (11,x) last.`
			if got := strings.Join(r.events, "\n"); got != want {
				t.Fatalf("%s", got)
			}
			for i := 1; i < len(r.orders); i++ {
				if r.orders[i].Compare(r.orders[i-1]) <= 0 {
					t.Errorf("order of %s is not behind the one before", r.events[i])
				}
			}
		})
	}
}

// A batch does not end inside of a transaction because the rest is received a moment later. The bound leaves room for a machine that
// stands still for longer than a batch waits.
func TestBatchesHoldWholeTransactions(t *testing.T) {
	r := newRig(t, nil)
	r.exec("CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, v int)")
	r.start()
	r.streaming()
	const transactions, rows = 10, 2000
	before, failed := r.batches, make(chan error, 1)
	go func() {
		sql := "BEGIN" + strings.Repeat("; INSERT INTO t (v) VALUES (1)", rows) + "; COMMIT"
		for range transactions {
			if _, err := r.sql.ExecuteMultiple(sql, func(*mysql.Result, error) {}); err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}()
	r.until(transactions * rows)
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	if n := r.batches - before; n > 5*transactions {
		t.Errorf("%d batches of %d transactions", n, transactions)
	}
}
