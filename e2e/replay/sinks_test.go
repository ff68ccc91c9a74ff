package replay

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/testbed"
)

// rowText is a row of Postgres.
const rowText = "concat_ws(' ', id, seq, coalesce(stake::text, '-'), coalesce(note, '-'), (extract(epoch FROM at) * 1000000)::bigint)"

func clickHouse(t testing.TB, ch *testbed.ClickHouse, name, mode, current string) *sink {
	database := ch.NewDatabase(t)
	return &sink{
		name: name,
		config: map[string]string{
			"connector.class": "clickhouse", "freshet.mode": mode, "hostname": ch.Host(), "port": strconv.Itoa(ch.Port()), "database": database,
			"username": testbed.ClickHouseUser, "password": testbed.ClickHousePassword,
		},
		newest: true,
		rows: func(t testing.TB) []string {
			return strings.Split(ch.Query(t, database, "SELECT concat(toString(id), ' ', toString(seq), ' ', ifNull(toDecimalString(stake, 2), '-'), ' ', ifNull(note, '-'), ' ', "+
				"ifNull(toString(toUnixTimestamp64Micro(at)), '-')) FROM "+current+" ORDER BY id FORMAT TSVRaw"), "\n")
		},
		size: func(t testing.TB) int {
			n, err := strconv.Atoi(ch.Query(t, database, "SELECT count() FROM bets FINAL"))
			if err != nil {
				t.Fatal(err)
			}
			return n
		},
	}
}

func mirror(t testing.TB, ch *testbed.ClickHouse) *sink {
	s := clickHouse(t, ch, "mirror", "mirror", "bets_current")
	s.size = nil
	return s
}

// everything keeps every change; the newest one of each key is its row.
func everything(t testing.TB, ch *testbed.ClickHouse) *sink {
	return clickHouse(t, ch, "everything", "append", "(SELECT id, last.1 AS seq, last.2 AS stake, last.3 AS note, last.4 AS at "+
		"FROM (SELECT id, argMax((seq, stake, note, at, _op), _order) AS last FROM bets FINAL GROUP BY id) WHERE last.5 != 'd')")
}

func tables(t testing.TB, ts *testbed.Postgres) *sink {
	database := ts.NewDatabase(t)
	return &sink{
		name: "tables",
		config: map[string]string{
			"connector.class": "TimescaleDbSinkConnector", "connection.url": "jdbc:postgresql://" + ts.Address() + "/" + database,
			"connection.username": testbed.PostgresUser, "connection.password": testbed.PostgresPassword,
		},
		rows: func(t testing.TB) []string {
			return lines(t, ts.Connect(t, database), "SELECT "+rowText+" FROM public.bets ORDER BY id")
		},
	}
}

// documents forgets the versions of deleted documents after a quarter of an hour, which a long run takes: then a row may come back until its
// delete does.
func documents(t testing.TB, es *testbed.Search) *sink {
	index := es.NewPrefix(t)
	return &sink{
		name: "documents", config: map[string]string{"connector.class": "elasticsearch", "connection.url": es.URL(), "index.name.format": index},
		newest: os.Getenv(changesKey) == "",
		rows:   func(t testing.TB) []string { return search(t, es, index) },
	}
}

// search pages through an index.
func search(t testing.TB, es *testbed.Search, index string) (out []string) {
	t.Helper()
	es.Do(t, http.MethodPost, "/"+index+"/_refresh", "")
	for after := int64(-1); ; {
		_, answer := es.Do(t, http.MethodPost, "/"+index+"/_search", fmt.Sprintf(`{"size":10000,"sort":[{"id":"asc"}],"search_after":[%d]}`, after))
		var found struct {
			Hits struct {
				Hits []struct {
					Source struct {
						ID, Seq     int64
						Stake, Note *string
						At          time.Time
					} `json:"_source"`
				}
			}
		}
		if err := json.Unmarshal([]byte(answer), &found); err != nil {
			t.Fatalf("read the documents of %s: %v", index, err)
		}
		for _, h := range found.Hits.Hits {
			d := h.Source
			after = d.ID
			out = append(out, fmt.Sprintf("%d %d %s %s %d", d.ID, d.Seq, orDash(d.Stake), orDash(d.Note), d.At.UnixMicro()))
		}
		if len(found.Hits.Hits) == 0 {
			return out
		}
	}
}

func orDash(s *string) string {
	if s == nil {
		return "-"
	}
	return *s
}
