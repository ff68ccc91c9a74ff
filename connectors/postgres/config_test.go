package postgres

import (
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/testbed"
)

// newConfig reads the keys given as pairs over a database of the shared server.
func newConfig(t testing.TB, server *testbed.Postgres, database string, pairs ...string) *config {
	t.Helper()
	cfg, err := parseConfig(properties(server, database, pairs...))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func properties(server *testbed.Postgres, database string, pairs ...string) connectors.Config {
	c := connectors.Config{
		"topic.prefix": "p", "database.hostname": server.Host(), "database.port": portOf(server), "database.user": testbed.PostgresUser,
		"database.password": testbed.PostgresPassword, "database.dbname": database,
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		c[pairs[i]] = pairs[i+1]
	}
	return c
}
