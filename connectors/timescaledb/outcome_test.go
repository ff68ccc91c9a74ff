package timescaledb

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestOutcome(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  pgconn.PgError
		want outcome
	}{
		"a value of another width":   {pgconn.PgError{Severity: "ERROR", Code: "08P01", Where: "COPY bets, line 1, column stake"}, outcomeFail},
		"a pooler without a server":  {pgconn.PgError{Severity: "ERROR", Code: "08P01"}, outcomeLost},
		"a connection that is ended": {pgconn.PgError{Severity: "FATAL", Code: "08P01"}, outcomeLost},
		"a connection that fails":    {pgconn.PgError{Severity: "ERROR", Code: "08006"}, outcomeLost},
	} {
		if got := outcomeOf(&c.err); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
