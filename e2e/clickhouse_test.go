package e2e

import (
	"maps"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/testbed"
)

// toClickHouse are the keys of a direct sink into a database. More keys come on top.
func toClickHouse(ch *testbed.ClickHouse, database string, more map[string]string) map[string]string {
	host, port, _ := strings.Cut(ch.Address(), ":")
	c := map[string]string{
		"sinks": "ch", "sinks.ch.connector.class": "ClickHouseSinkConnector", "sinks.ch.hostname": host, "sinks.ch.port": port, "sinks.ch.database": database,
		"sinks.ch.username": testbed.ClickHouseUser, "sinks.ch.password": testbed.ClickHousePassword,
	}
	maps.Copy(c, more)
	return c
}

// A table of Postgres is in ClickHouse as it is, after the snapshot, changes, and a restart in their midst.
func TestPostgresIntoClickHouse(t *testing.T) {
	t.Parallel()
	pg, ch := bed.Postgres(t), bed.ClickHouse(t)
	from, to := pg.NewDatabase(t), ch.NewDatabase(t)
	pg.Exec(t, from, "CREATE TABLE bets (id int PRIMARY KEY, horse text NOT NULL, stake numeric(10,2), at timestamptz)",
		"INSERT INTO bets SELECT g, 'horse ' || g, g / 4.0, '2026-01-01'::timestamptz + g * interval '1 second' FROM generate_series(1, 1000) g")
	dir := t.TempDir()
	file := testbed.WriteConnector(t, dir, pg.Connector(from, "bets", toClickHouse(ch, to, nil)))
	p := start(t, dir, "run", file)
	equal := func() {
		t.Helper()
		conn := pg.Connect(t, from)
		var want, got string
		testbed.Eventually(t, func() string { return "source " + want + "\ntarget " + got + "\nfreshet said:\n" + p.Output() }, func() bool {
			row := conn.QueryRow(t.Context(), "SELECT count(*) || ' ' || coalesce(sum(id), 0) || ' ' || coalesce(sum(stake)::numeric(20,2), 0) || ' ' || coalesce(sum(length(horse)), 0) || ' ' || coalesce(floor(max(extract(epoch FROM at)))::bigint, 0) FROM bets")
			if err := row.Scan(&want); err != nil {
				t.Fatal(err)
			}
			got = ""
			if ch.Query(t, to, "EXISTS TABLE bets_current") == "1" {
				got = ch.Query(t, to, "SELECT concat(toString(count()), ' ', toString(sum(id)), ' ', toDecimalString(sum(stake), 2), ' ', toString(sum(length(horse))), ' ', toString(max(toUnixTimestamp(at)))) FROM bets_current")
			}
			return got == want
		})
	}
	equal()
	pg.Exec(t, from, "UPDATE bets SET stake = stake * 2 WHERE id % 3 = 0", "DELETE FROM bets WHERE id % 5 = 0", "UPDATE bets SET id = id + 10000 WHERE id % 7 = 0")
	equal()
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0; freshet said:\n%s", code, p.Output())
	}
	pg.Exec(t, from, "INSERT INTO bets VALUES (5, 'again', 1.25, now()), (0, '', NULL, NULL)", "DELETE FROM bets WHERE id = 1")
	p = start(t, dir, "run", file)
	equal()
}
