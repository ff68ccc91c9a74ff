package history

import (
	"maps"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/testbed"
)

var bed testbed.Bed

func TestMain(m *testing.M) { os.Exit(bed.Main(m)) }

func TestTransactions(t *testing.T) {
	t.Parallel()
	const a, b = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "4e11fa47-71ca-11e1-9e33-c80aa9429562"
	for text, want := range map[string]uint64{
		"": 0, a + ":1": 1, a + ":1-5": 5, a + ":2-5:9:11-12": 7, a + ":1-5,\n" + b + ":1-3": 8, "0-1-38": 38,
	} {
		if got, err := Transactions(text); err != nil || got != want {
			t.Errorf("%q: %d %v, want %d", text, got, err, want)
		}
	}
	if got, err := Transactions(a + ":x-5"); err == nil {
		t.Errorf("no error but %d", got)
	}
}

// What the server holds at the end is what the history says, although the server was killed and a replica took over meanwhile.
func TestMySQLThroughKillAndFailover(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...string) *testbed.MySQL{"mysql": testbed.StartMySQL, "mariadb": testbed.StartMariaDB} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			primary := start(t)
			db := primary.NewDatabase(t)
			replica := primary.StartReplica(t, "group-concat-max-len=1000000")
			servers := make(chan *testbed.MySQL, 1)
			servers <- primary
			now := func() *testbed.MySQL {
				s := <-servers
				servers <- s
				return s
			}
			h := New(t, OnMySQL(now, db), 1, 20)
			const n = 400
			written := make(chan error, 1)
			go func() { written <- h.Write(t.Context(), n) }()
			reach := func(done int) {
				testbed.Eventually(t, func() string { return "transaction " + strconv.Itoa(done) + ", " + strconv.Itoa(h.Done()) }, func() bool { return h.Done() >= done })
			}
			h.Allow(n / 2)
			reach(n / 4)
			primary.Kill(t)
			primary.Restart(t)
			h.Allow(n)
			reach(n * 3 / 4)
			replica.TakeOver(t, primary)
			primary.Kill(t)
			<-servers
			servers <- replica
			select {
			case err := <-written:
				if err != nil {
					t.Fatal(err)
				}
			case <-time.After(time.Minute):
				t.Fatalf("%d transactions of %d", h.Done(), n)
			}
			for _, table := range []string{"a", "b"} {
				got := map[int]int{}
				for row := range strings.SplitSeq(replica.Query(t, db, "SELECT GROUP_CONCAT(id, ':', seq) FROM "+table), ",") {
					id, seq, _ := strings.Cut(row, ":")
					i, err := strconv.Atoi(id)
					if err != nil {
						t.Fatal(err)
					}
					if got[i], err = strconv.Atoi(seq); err != nil {
						t.Fatal(err)
					}
				}
				if !maps.Equal(got, h.Rows(table)) {
					t.Errorf("table %s has %d rows %v, want %d %v", table, len(got), got, len(h.Rows(table)), h.Rows(table))
				}
			}
			if through := h.Through(places(t, replica)); through != n {
				t.Errorf("the replica has all of the first %d transactions, want %d", through, n)
			}
			primary.Restart(t)
		})
	}
}

func places(t *testing.T, m *testbed.MySQL) uint64 {
	t.Helper()
	n, err := Transactions(m.GTIDs(t))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
