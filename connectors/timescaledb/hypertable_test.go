package timescaledb

import (
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/schemas"
)

// The statements for compressed chunks and retention, which only a server with the Timescale licence takes.
func TestPolicies(t *testing.T) {
	t.Parallel()
	ticks := connectortest.Table("ticks", 2, connectortest.Column("id", schemas.TypeInt32, "integer", false), connectortest.Column("at", schemas.TypeTimestampTZ, "timestamp with time zone", false))
	for _, c := range []struct {
		keys []string
		want string
	}{
		{[]string{keyCompress, "7 days", keyRetention, "1 year"}, `ALTER TABLE "public"."ticks" SET (timescaledb.compress, timescaledb.compress_orderby = '"at" DESC', timescaledb.compress_segmentby = '"id"'); ` +
			`SELECT add_compression_policy('"public"."ticks"', INTERVAL '7 days', if_not_exists => true); SELECT add_retention_policy('"public"."ticks"', INTERVAL '1 year', if_not_exists => true)`},
		{[]string{keyCompress, "100", keySegment, "horse,at"}, `ALTER TABLE "public"."ticks" SET (timescaledb.compress, timescaledb.compress_orderby = '"at" DESC', timescaledb.compress_segmentby = '"horse", "at"'); ` +
			`SELECT add_compression_policy('"public"."ticks"', 100::bigint, if_not_exists => true)`},
	} {
		config := connectors.Config{keyURL: "jdbc:postgresql://h/db", keyUser: "u", keyTime: "at"}
		for i := 0; i < len(c.keys); i += 2 {
			config[c.keys[i]] = c.keys[i+1]
		}
		cfg, err := parseConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		w, err := cfg.want(ticks, false)
		if err != nil {
			t.Fatal(err)
		}
		ddl, err := cfg.creation(w)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(ddl, "; "); !strings.HasSuffix(got, "if_not_exists => true); "+c.want) {
			t.Errorf("got %s\nwant %s at the end", got, c.want)
		}
	}
}

// What the server's licence does not have is an error before anything is made.
func TestLicence(t *testing.T) {
	t.Parallel()
	server := bed.Timescale(t)
	database := server.NewDatabase(t)
	var licence string
	if err := server.Connect(t, database).QueryRow(t.Context(), "SHOW timescaledb.license").Scan(&licence); err != nil {
		t.Fatal(err)
	}
	errors := connectors.Errors(Factory{}.Validate(t.Context(), settings(server, database, keyTime, "at", keyRetention, "1 year")))
	if refused := len(errors) == 1 && strings.Contains(errors[0], "Apache licence") && strings.Contains(errors[0], keyRetention); refused != (licence == "apache") {
		t.Errorf("licence %s: %q", licence, errors)
	}
	if errors := connectors.Errors(Factory{}.Validate(t.Context(), settings(server, database, keyRetention, "1 year"))); len(errors) != 1 || !strings.Contains(errors[0], keyTime) {
		t.Errorf("without hypertables: %q", errors)
	}
}
