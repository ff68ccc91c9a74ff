package demo

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestStatements(t *testing.T) {
	tables := tables("public")
	postgres := func(s statement) string {
		n := 0
		return s.sql(func(c *column, _ *string) string {
			n++
			return fmt.Sprintf("$%d::%s", n, postgresType(c.kind))
		})
	}
	at := time.Date(2026, 2, 3, 4, 5, 6, 7000, time.FixedZone("", 3600))
	work := tx{tables: tables}
	work.insert(ledger, 7, nil, `O'Punter \ "x"`, "-1.50", at)
	work.update(races, texts("Ascot", 3), to("status", "over"), plus("purse", "2.00"))
	work.move(horses, texts("IRL-1"), texts("FRA-2"))
	work.remove(bets, texts("b"))
	for i, want := range [][2]string{
		{
			`INSERT INTO transactions VALUES ($1::bigint, $2::bigint, $3::text, $4::numeric(14,2), $5::timestamptz, $6::bigint)`,
			`INSERT INTO transactions VALUES (7, NULL, 'O\'Punter \\ \"x\"', -1.50, '2026-02-03 03:05:06.000007', 4)`,
		},
		{
			`UPDATE races SET status = $1::text, purse = purse + $2::numeric(14,2), version = $3::bigint WHERE track = $4::text AND number = $5::integer`,
			`UPDATE races SET status = 'over', purse = purse + 2.00, version = 8 WHERE track = 'Ascot' AND number = 3`,
		},
		{
			`UPDATE horses SET passport = $1::text, version = $2::bigint WHERE passport = $3::text`,
			`UPDATE horses SET passport = 'FRA-2', version = 16 WHERE passport = 'IRL-1'`,
		},
		{`DELETE FROM bets WHERE id = $1::uuid`, `DELETE FROM bets WHERE id = 'b'`},
	} {
		if got := postgres(work.statements[i]); got != want[0] {
			t.Errorf("Postgres: %s, want %s", got, want[0])
		}
		if got := work.statements[i].sql(mariadbLiteral); got != want[1] {
			t.Errorf("MariaDB: %s, want %s", got, want[1])
		}
	}
	var got []string
	for _, c := range work.changes {
		got = append(got, fmt.Sprintf("%s %s %c%d", tables[c.table].name, c.key, c.op, c.version))
	}
	want := "transactions 7 c4, races Ascot/3 u8, horses IRL-1 d12, horses FRA-2 c16, bets b d20"
	if strings.Join(got, ", ") != want {
		t.Errorf("changes %s, want %s", strings.Join(got, ", "), want)
	}
}

func TestAvailable(t *testing.T) {
	if err := Available(Postgres); err != nil {
		t.Error(err)
	}
	if err := Available("oracle"); err == nil || !strings.Contains(err.Error(), "neither postgres nor mysql") {
		t.Errorf("an unknown source: %v", err)
	}
	if err := mariadbRunsOn("linux", "amd64"); err != nil {
		t.Error(err)
	}
	for _, machine := range [][2]string{{"linux", "arm64"}, {"darwin", "amd64"}} {
		if err := mariadbRunsOn(machine[0], machine[1]); err == nil || !strings.Contains(err.Error(), "--source postgres") {
			t.Errorf("%v: %v", machine, err)
		}
	}
}
