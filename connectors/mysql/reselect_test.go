package mysql

import (
	"strings"
	"testing"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// Events of partial row images get their values by a SELECT; keys of all sorts are found again.
func TestReselect(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ image, updated string }{
		"NOBLOB":  {"NOBLOB", "after (1,k'é,\\x00ff,2026-01-02 03:04:05.000006,y,big,7)"},
		"MINIMAL": {"MINIMAL", "after (1,k'é,\\x00ff,2026-01-02 03:04:05.000006,y,big,7)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			big := strings.Repeat("0123456789", 100)
			r := newRig(t, connectors.Config{
				"post.processors": "again", "again.type": changes.ReselectClass, "again.reselect.error.handling.mode": "fail",
				"database.initial.statements": "SET time_zone = '+00:00'",
			})
			r.exec("CREATE TABLE d (id int, k varchar(20), b varbinary(9), t timestamp(6), v varchar(9), big text, n int, PRIMARY KEY (t, k, b, id)) CHARACTER SET latin1",
				"INSERT INTO d VALUES (1, 'k''é', x'00ff', '2026-01-02 03:04:05.000006', 'x', '"+big+"', 7)")
			r.start()
			r.streaming()
			seen := len(r.events)
			r.exec("SET SESSION binlog_row_image = "+c.image, "UPDATE d SET v = 'y'")
			r.until(seen + 1)
			got := strings.ReplaceAll(r.events[len(r.events)-1], big, "big")
			if !strings.Contains(got, "y,big,7)") || strings.Contains(got[strings.Index(got, "after"):], "?") {
				t.Errorf("got %s, want %s", got, c.updated)
			}
		})
	}
}
