package timescaledb

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]address{
		"jdbc:postgresql://db.example:5433/racing?user=u&password=p%26w": {host: "db.example", port: 5433, database: "racing", user: "u", password: "p&w"},
		"postgresql://u:p@h/d": {host: "h", port: 5432, database: "d", user: "u", password: "p"},
		"jdbc:postgresql:d":    {host: "localhost", port: 5432, database: "d"},
		"jdbc:postgresql:/d":   {host: "localhost", port: 5432, database: "d"},
	} {
		got, err := parseURL(text)
		got.parameters = nil
		if err != nil || got.host != want.host || got.port != want.port || got.database != want.database || got.user != want.user || got.password != want.password {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"jdbc:mysql://h/d":    "only PostgreSQL",
		"h/d":                 "jdbc:postgresql://",
		"jdbc:postgresql://h": "names no database",
		"jdbc:postgresql://h/d?password=secret&x=1": "parameter x is not known",
		"jdbc:postgresql://h:99999/d":               "port",
	} {
		_, err := parseURL(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	base := connectors.Config{keyURL: "jdbc:postgresql://h/d", keyUser: "u"}
	cfg, err := parseConfig(base)
	if err != nil || cfg.mode != "upsert" || !cfg.deletes || cfg.keys != "record_key" || !cfg.evolve || !cfg.create || cfg.lower {
		t.Errorf("mirror: %+v, %v", cfg, err)
	}
	base[keyMode] = "reference"
	cfg, err = parseConfig(base)
	if err != nil || cfg.mode != "insert" || cfg.deletes || cfg.keys != "none" || cfg.evolve || cfg.create || !cfg.lower {
		t.Errorf("reference: %+v, %v", cfg, err)
	}
	s := &connectors.Stream{Topic: "racing.public.Bets", Table: &schemas.Table{Catalog: "d", Schema: "public", Name: "Bets"}}
	if schema, table, err := cfg.targetName(s); schema != "" || table != "racing_public_bets" || err != nil {
		t.Errorf("reference name %s.%s, %v", schema, table, err)
	}
	cfg.lower, cfg.format = false, "copy.${source.db}_${source.table}"
	if schema, table, err := cfg.targetName(s); schema != "copy" || table != "d_Bets" || err != nil {
		t.Errorf("name %s.%s, %v", schema, table, err)
	}
}

// What takes connections and is no PostgreSQL is told of within the time for a connection, once.
func TestSomethingElseAnswers(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mute.Close() })
	for address, want := range map[string]string{web.Listener.Addr().String(): "an HTTP server answers there, not PostgreSQL; check host and port in connection.url", mute.Addr().String(): "no PostgreSQL answers in time"} {
		for _, mode := range []string{"prefer", "disable"} {
			c := connectors.Config{keyURL: "jdbc:postgresql://" + address + "/d?connectTimeout=1&sslmode=" + mode, keyUser: "u", keyPassword: "secret"}
			text := strings.Join(connectors.Errors(Factory{}.Validate(t.Context(), c)), " ")
			if !strings.Contains(text, want) || !strings.Contains(text, address) || strings.Contains(text, "secret") {
				t.Errorf("%s, %s: %s", address, mode, text)
			}
		}
	}
}

// Every key works or says that it does not; no message holds the password.
func TestValidate(t *testing.T) {
	t.Parallel()
	server := bed.Postgres(t)
	database := server.NewDatabase(t)
	server.Exec(t, database, "CREATE ROLE poor_"+database+" LOGIN PASSWORD 'secret-poor'; REVOKE TEMPORARY ON DATABASE "+database+" FROM PUBLIC; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
	conn := server.Connect(t, database)
	t.Cleanup(func() {
		if _, err := conn.Exec(context.Background(), "DROP ROLE poor_"+database); err != nil {
			t.Error(err)
		}
	})
	for name, c := range map[string]struct {
		change []string
		want   string
	}{
		"good":        {nil, ""},
		"host":        {[]string{keyURL, "jdbc:postgresql://no-such-host.invalid/d?password=secret-url"}, "cannot be resolved"},
		"port":        {[]string{keyURL, "jdbc:postgresql://127.0.0.1:1/d"}, "connection refused"},
		"password":    {[]string{keyPassword, "secret-wrong"}, "check connection.username and connection.password"},
		"database":    {[]string{keyURL, "jdbc:postgresql://" + server.Address() + "/nowhere"}, "check the database in connection.url"},
		"temporary":   {[]string{keyUser, "poor_" + database, keyPassword, "secret-poor"}, "GRANT TEMPORARY ON DATABASE"},
		"append":      {[]string{keyMode, modeAppend}, ""},
		"append keys": {[]string{keyMode, modeAppend, keyInsert, "upsert"}, "keeps every change as a row of its own"},
		"key mode":    {[]string{keyKeyMode, "kafka"}, "delete.enabled=true needs primary.key.mode=record_key"},
		"naming":      {[]string{"column.naming.strategy", "com.example.X"}, "not supported yet"},
		"zone":        {[]string{"use.time.zone", "Europe/Paris"}, "not supported yet"},
		"hibernate":   {[]string{"hibernate.c3p0.timeout", "1"}, "not supported yet"},
		"pairs":       {[]string{keyKeyMode, "none"}, "insert.mode=upsert needs a key"},
		"deletes":     {[]string{keyInsert, "insert", keyKeyMode, "none"}, "delete.enabled=true needs primary.key.mode=record_key"},
		"format":      {[]string{keyFormat, "${source.schema"}, "without }"},
		"format name": {[]string{keyFormat, "${nothing}"}, "is not known"},
	} {
		values := Factory{}.Validate(t.Context(), settings(server, database, c.change...))
		errors := connectors.Errors(values)
		switch {
		case c.want == "" && len(errors) > 0:
			t.Errorf("%s: %q", name, errors)
		case c.want != "" && (len(errors) != 1 || !strings.Contains(errors[0], c.want)):
			t.Errorf("%s: %q, want one with %q", name, errors, c.want)
		}
		for _, v := range values {
			if strings.Contains(v.Text()+strings.Join(v.Errors, " "), "secret") || v.Name == keyPassword && v.Text() != "" {
				t.Errorf("%s: %s shows a secret: %q %q", name, v.Name, v.Text(), v.Errors)
			}
		}
	}
}
