package e2e

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/testbed"
)

const (
	secret   = "s3cret-Passw0rd"
	deadline = time.Minute
)

const betsTable = "CREATE TABLE bets (id int PRIMARY KEY, horse text, stake numeric(10,2)); INSERT INTO bets VALUES (1, 'Comet', 5), (2, 'Moonlight', 12.5)"

// refused runs a configuration that cannot work: validate lists the problem, run ends with it, and no secret is shown.
func refused(t *testing.T, dir, file string, texts ...string) {
	t.Helper()
	for _, command := range []string{"validate", "run"} {
		out, code := once(t, dir, command, file)
		if code != 1 {
			t.Errorf("freshet %s: exit code %d, want 1", command, code)
		}
		for _, text := range missing(out, texts) {
			t.Errorf("freshet %s does not say %q:\n%s", command, text, out)
		}
		if strings.Contains(out, secret) {
			t.Errorf("freshet %s shows a password:\n%s", command, out)
		}
	}
}

// waits runs a configuration whose server cannot be reached: validate lists the problem, run says it and waits for the server.
func waits(t *testing.T, dir string, args []string, texts ...string) {
	t.Helper()
	out, code := once(t, dir, append([]string{"validate"}, args...)...)
	if code != 1 || len(missing(out, texts)) > 0 {
		t.Errorf("freshet validate: exit code %d, message:\n%s", code, out)
	}
	p := start(t, dir, append([]string{"run"}, args...)...)
	p.Says(append(texts, "level=WARN", "connector waits for a server")...)
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
}

func TestServerNotThere(t *testing.T) {
	t.Parallel()
	pg := bed.Postgres(t)
	for name, c := range map[string]struct {
		keys  map[string]string
		texts []string
	}{
		"host": {map[string]string{"database.hostname": "no-such-host.invalid"}, []string{"no-such-host.invalid", "check database.hostname"}},
		"port": {map[string]string{"database.port": "1"}, []string{":1 ", "connection refused", "database.port"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			keys := testbed.ToFile(filepath.Join(dir, "out"))
			maps.Copy(keys, c.keys)
			waits(t, dir, []string{testbed.WriteConnector(t, dir, pg.Connector("postgres", "away", keys))}, c.texts...)
		})
	}
}

func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	pg := bed.Postgres(t)
	database := pg.NewDatabase(t)
	pg.Exec(t, database, betsTable)
	_, port, err := net.SplitHostPort(pg.Address())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		keys  map[string]string
		texts []string
	}{
		{"wrong password", map[string]string{"database.password": secret}, []string{":" + port, "password authentication failed", "check database.user and database.password"}},
		{"wrong database", map[string]string{"database.dbname": "nowhere"}, []string{`database "nowhere" does not exist`, "check database.dbname"}},
		{"no such table", map[string]string{"table.include.list": "public.horses"}, []string{"no table of database", "check table.include.list"}},
		{"unknown key", map[string]string{"slot.nam": "x"}, []string{"unknown key slot.nam", "did you mean slot.name?"}},
		{"unknown class", map[string]string{"connector.class": "OracleConnector"}, []string{`"OracleConnector" is not here`, "PostgresConnector"}},
		{"not supported yet", map[string]string{"signal.data.collection": "public.signals"}, []string{"'signal.data.collection'", "not supported yet"}},
		{"not a number", map[string]string{"database.port": "many"}, []string{"'database.port'", "An integer is expected"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			keys := testbed.ToFile(filepath.Join(dir, "out"))
			maps.Copy(keys, c.keys)
			refused(t, dir, testbed.WriteConnector(t, dir, pg.Connector(database, "bad", keys)), c.texts...)
		})
	}
}

func TestEveryProblemIsListed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := testbed.WriteFile(t, dir, "bad.json", `{"name": "bad", "connector.class": "PostgresConnector", "database.port": "many", "slot.nam": "x",
		"publication.autocreate.mode": "sometimes", "sinks": "out", "sinks.out.connector.class": "FileStreamSinkConnector", "sinks.out.fil": "x"}`)
	out, code := once(t, dir, "validate", "--offline", file)
	if code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	for _, text := range missing(out, []string{"database.port", "slot.nam", "publication.autocreate.mode", "sinks.out.fil", "database.hostname", "topic.prefix"}) {
		t.Errorf("%s is not mentioned in\n%s", text, out)
	}
}

func TestBrokenFiles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, file, text string
		wanted           []string
	}{
		{"broken JSON", "a.json", "{\n  \"name\": \"a\",\n  \"x\": \"1\"\n  \"y\": \"2\"\n}", []string{"a.json", "line 4, column 3", "broken JSON"}},
		{"cut JSON", "a.json", `{"name": "a", "x": `, []string{"a.json", "ends too early"}},
		{"list as value", "a.json", `{"name": "a", "topics": ["x"]}`, []string{"a.json", "key topics", "must be a string"}},
		{"no name", "a.json", `{"connector.class": "PostgresConnector"}`, []string{"a.json", "no name"}},
		{"properties without class", "a.properties", "name=a\n", []string{"connector"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			refused(t, dir, testbed.WriteFile(t, dir, c.file, c.text), c.wanted...)
		})
	}
	t.Run("no file", func(t *testing.T) {
		t.Parallel()
		refused(t, t.TempDir(), "missing.json", "missing.json", "no such file")
	})
}

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"rnu"}, {"run"}, {"validate"}, {"run", "--nonsense", "x"}, {"version", "x"}, {"demo", "--rate", "0"}, {"plugins", "--log-level", "loud"}} {
		if out, code := once(t, t.TempDir(), args...); code != 2 {
			t.Errorf("freshet %s: exit code %d, want 2:\n%s", strings.Join(args, " "), code, out)
		}
	}
}

func TestServerThatCannotReplicate(t *testing.T) {
	t.Parallel()
	pg := testbed.StartPostgres(t, "wal_level=replica")
	database := pg.NewDatabase(t)
	pg.Exec(t, database, betsTable)
	dir := t.TempDir()
	refused(t, dir, testbed.WriteConnector(t, dir, pg.Connector(database, "bad", testbed.ToFile(filepath.Join(dir, "out")))), "wal_level", "replica", "logical")
}

func TestMissingRights(t *testing.T) {
	t.Parallel()
	pg := bed.Postgres(t)
	database := pg.NewDatabase(t)
	pg.Exec(t, database, betsTable)
	for name, role := range map[string]string{"publication": "LOGIN REPLICATION", "replication": "LOGIN"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			user := name + "_" + database
			pg.Exec(t, database, fmt.Sprintf("CREATE ROLE %s %s PASSWORD '%s'; GRANT SELECT ON bets TO %s", user, role, secret, user))
			dir := t.TempDir()
			keys := testbed.ToFile(filepath.Join(dir, "out"))
			keys["database.user"], keys["database.password"] = user, secret
			file := testbed.WriteConnector(t, dir, pg.Connector(database, "bad-"+name, keys))
			out, code := once(t, dir, "run", file)
			if code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			for _, text := range missing(out, []string{name, user}) {
				t.Errorf("the message does not name %q:\n%s", text, out)
			}
			if strings.Contains(out, secret) {
				t.Errorf("a password is shown:\n%s", out)
			}
		})
	}
}

// lines counts the lines of a file; a file that is not there yet has none.
func lines(path string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	return strings.Count(string(text), "\n")
}

func TestSlotInUse(t *testing.T) {
	t.Parallel()
	pg := bed.Postgres(t)
	database := pg.NewDatabase(t)
	pg.Exec(t, database, betsTable)
	dir, other := t.TempDir(), t.TempDir()
	first := filepath.Join(dir, "out")
	c := pg.Connector(database, "bets", testbed.ToFile(first))
	owner := start(t, dir, "run", testbed.WriteConnector(t, dir, c))
	owner.Until("no rows", func() bool { return lines(first) == 2 })
	owner.Says("streaming")

	second := filepath.Join(other, "out")
	c["sinks.out.file"] = second
	c["slot.max.retries"], c["slot.retry.delay.ms"] = "1", "300"
	text, code := once(t, other, "run", testbed.WriteConnector(t, other, c))
	if code != 1 || len(missing(text, []string{"replication slot " + c["slot.name"] + " is in use by", "pid", "slot.name of its own"})) > 0 {
		t.Errorf("exit code %d, message:\n%s", code, text)
	}
	if n := lines(second); n != 0 {
		t.Errorf("the second reader wrote %d rows of a snapshot that it cannot follow", n)
	}
	pg.Exec(t, database, "INSERT INTO bets VALUES (3, 'Late', 1)")
	owner.Until("the change of the owner", func() bool { return lines(first) == 3 })
	if code := owner.Stop(); code != 0 {
		t.Errorf("the owner's exit code is %d", code)
	}
}

func TestSlotDroppedWhileAway(t *testing.T) {
	t.Parallel()
	pg := bed.Postgres(t)
	database := pg.NewDatabase(t)
	pg.Exec(t, database, betsTable)
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	c := pg.Connector(database, "bets", testbed.ToFile(out))
	file := testbed.WriteConnector(t, dir, c)
	p := start(t, dir, "run", file)
	p.Until("no rows", func() bool { return lines(out) == 2 })
	p.Says("streaming")
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
	pg.Exec(t, database, "SELECT pg_drop_replication_slot('"+c["slot.name"]+"')", "INSERT INTO bets VALUES (3, 'Late', 1)")
	text, code := once(t, dir, "run", file)
	if code != 1 {
		t.Errorf("exit code %d, want 1: changes were missed", code)
	}
	for _, want := range missing(text, []string{c["slot.name"], "snapshot"}) {
		t.Errorf("the message does not name %q:\n%s", want, text)
	}
	if n := lines(out); n != 2 {
		t.Errorf("%d lines after a slot was lost, want 2", n)
	}
}

func TestOffsetFile(t *testing.T) {
	t.Parallel()
	pg := bed.Postgres(t)
	database := pg.NewDatabase(t)
	pg.Exec(t, database, betsTable)
	t.Run("not writable", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		testbed.WriteFile(t, dir, "plain", "a file, not a directory")
		worker := testbed.WriteFile(t, dir, "w.properties", "offset.storage.file.filename="+filepath.Join(dir, "plain", "offsets.db")+"\n")
		text, code := once(t, dir, "run", testbed.WriteConnector(t, dir, pg.Connector(database, "a", testbed.ToFile(filepath.Join(dir, "out")))), "-c", worker)
		if code != 1 || len(missing(text, []string{filepath.Join("plain", "offsets.db")})) > 0 {
			t.Errorf("exit code %d, message:\n%s", code, text)
		}
		if lines(filepath.Join(dir, "out")) != 0 {
			t.Error("rows were written although no offset can be kept")
		}
	})
	t.Run("not an offset file", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		worker := testbed.WriteFile(t, dir, "w.properties", "offset.storage.file.filename="+testbed.WriteFile(t, dir, "text", strings.Repeat("no offsets in here\n", 1000))+"\n")
		text, code := once(t, dir, "run", testbed.WriteConnector(t, dir, pg.Connector(database, "b", testbed.ToFile(filepath.Join(dir, "out")))), "-c", worker)
		if code != 1 || len(missing(text, []string{"text", "offset"})) > 0 {
			t.Errorf("exit code %d, message:\n%s", code, text)
		}
	})
	t.Run("used by another process", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		out := filepath.Join(dir, "out")
		owner := start(t, dir, "run", testbed.WriteConnector(t, dir, pg.Connector(database, "c", testbed.ToFile(out))))
		owner.Until("no rows", func() bool { return lines(out) == 2 })
		text, code := once(t, dir, "run", testbed.WriteConnector(t, dir, pg.Connector(database, "d", testbed.ToFile(filepath.Join(dir, "out2")))))
		if code != 1 || len(missing(text, []string{"freshet-offsets.db", "another"})) > 0 {
			t.Errorf("exit code %d, message:\n%s", code, text)
		}
		if code := owner.Stop(); code != 0 {
			t.Errorf("the owner's exit code is %d", code)
		}
	})
}

func TestTableWithoutKeyIntoUpsert(t *testing.T) {
	t.Parallel()
	pg := bed.Postgres(t)
	database, target := pg.NewDatabase(t), pg.NewDatabase(t)
	pg.Exec(t, database, "CREATE TABLE bets (horse text); INSERT INTO bets VALUES ('Comet')")
	dir := t.TempDir()
	c := pg.Connector(database, "bets", pg.ToTable(target, nil))
	text, code := once(t, dir, "run", testbed.WriteConnector(t, dir, c))
	if code != 1 || len(missing(text, []string{"public.bets", "key"})) > 0 {
		t.Errorf("exit code %d, message:\n%s", code, text)
	}
}

func TestValueThatDoesNotFit(t *testing.T) {
	t.Parallel()
	pg := bed.Postgres(t)
	database, target := pg.NewDatabase(t), pg.NewDatabase(t)
	pg.Exec(t, database, betsTable)
	pg.Exec(t, target, "CREATE TABLE bets (id int PRIMARY KEY, horse varchar(5), stake numeric(10,2))")
	dir := t.TempDir()
	file := testbed.WriteConnector(t, dir, pg.Connector(database, "bets", pg.ToTable(target, map[string]string{"sinks.db.schema.evolution": "none"})))
	text, code := once(t, dir, "run", file)
	if code != 1 || len(missing(text, []string{"bets", "horse"})) > 0 {
		t.Errorf("exit code %d, message:\n%s", code, text)
	}
	if strings.Contains(text, "Moonlight") {
		t.Errorf("the message shows the value:\n%s", text)
	}
	pg.Exec(t, target, "ALTER TABLE bets ALTER horse TYPE text")
	p := start(t, dir, "run", file)
	p.Until("not all rows", func() bool { return count(t, pg, target, "bets") == 2 })
}

func count(t testing.TB, pg *testbed.Postgres, database, table string) int {
	t.Helper()
	conn := pg.Connect(t, database)
	defer func() { _ = conn.Close(t.Context()) }() // it is asked again and again
	var n int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestBrokerDown(t *testing.T) {
	t.Parallel()
	pg := bed.Postgres(t)
	database := pg.NewDatabase(t)
	pg.Exec(t, database, betsTable)
	t.Run("at start", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		worker := testbed.WriteFile(t, dir, "w.properties", "bootstrap.servers=127.0.0.1:1\n")
		file := testbed.WriteConnector(t, dir, pg.Connector(database, "a", nil))
		waits(t, dir, []string{file, "-c", worker}, "127.0.0.1:1", "connection refused", "check bootstrap.servers")
	})
	for _, exactly := range []bool{false, true} {
		t.Run("later, exactly once "+strconv.FormatBool(exactly), func(t *testing.T) {
			t.Parallel()
			brokerDies(t, pg, exactly)
		})
	}
}

// brokerDies kills the broker between two changes: the second one arrives when the broker is back.
func brokerDies(t *testing.T, pg *testbed.Postgres, exactly bool) {
	database := pg.NewDatabase(t)
	pg.Exec(t, database, betsTable)
	kafka := testbed.StartKafka(t)
	dir := t.TempDir()
	settings := "bootstrap.servers=" + kafka.Bootstrap() + "\noffset.storage.replication.factor=1\noffset.storage.partitions=1\n"
	if exactly {
		settings += "exactly.once.source.support=enabled\n"
	}
	c := pg.Connector(database, "bets", nil)
	p := start(t, dir, "run", testbed.WriteConnector(t, dir, c), "-c", testbed.WriteFile(t, dir, "w.properties", settings))
	topic := c["topic.prefix"] + ".public.bets"
	kafka.WaitRecords(t, 2, deadline, topic)
	kafka.Kill(t)
	pg.Exec(t, database, "INSERT INTO bets VALUES (3, 'Late', 1)")
	p.Says("level=WARN", kafka.Bootstrap())
	kafka.Restart(t)
	records := kafka.WaitRecords(t, 3, deadline, topic)
	ids := map[string]int{}
	for _, r := range records {
		ids[string(r.Key)]++
	}
	if len(ids) != 3 {
		t.Errorf("keys %v, want three", ids)
	}
	if exactly && len(records) != 3 {
		t.Errorf("%d records for 3 changes", len(records))
	}
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
}
