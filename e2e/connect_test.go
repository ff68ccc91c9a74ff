package e2e

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/testbed"
)

// TestCommandsSteerKafkaConnect uses the commands with a worker of the reference.
func TestCommandsSteerKafkaConnect(t *testing.T) {
	t.Parallel()
	kafka, pg := bed.Kafka(t), bed.Postgres(t)
	connect := testbed.StartConnect(t, kafka, kafka.NewTopic(t, 1, nil)+"-jvm", nil)
	url, dir := connect.URL(), t.TempDir()
	database := pg.NewDatabase(t)
	pg.Exec(t, database, betsTable)
	c := pg.Connector(database, "bets", map[string]string{"plugin.name": "pgoutput"})
	file := testbed.WriteConnector(t, dir, c)
	name, topic := c["name"], c["topic.prefix"]+".public.bets"
	for _, step := range []struct {
		args []string
		want []string
	}{
		{[]string{"connectors", "list"}, []string{"NAME", "CLASS"}},
		{[]string{"connectors", "validate", "-f", file}, []string{file + ": connector " + name + ": good"}},
		{[]string{"connectors", "apply", "-f", file, "--dry-run"}, []string{"connector " + name + ": would be created", "  + database.password = [hidden]"}},
		{[]string{"connectors", "apply", "-f", file, "--wait"}, []string{"connector " + name + ": created"}},
		{[]string{"connectors", "apply", "-f", file}, []string{"connector " + name + ": unchanged"}},
		{[]string{"connectors", "describe", name}, []string{"RUNNING", "database.password = [hidden]"}},
		{[]string{"connectors", "tasks", name}, []string{"0     RUNNING"}},
		{[]string{"connectors", "list"}, []string{name, "1 RUNNING", c["connector.class"]}},
		{[]string{"connectors", "restart", name, "--tasks", "--wait"}, []string{"connector " + name + ": restarted"}},
		{[]string{"connectors", "pause", name, "--wait"}, []string{"connector " + name + ": PAUSED"}},
		{[]string{"connectors", "resume", name, "--wait"}, []string{"connector " + name + ": RUNNING"}},
	} {
		out := ask(t, url, step.args...)
		if lacking := missing(out, step.want); len(lacking) > 0 || strings.Contains(out, "database.password = "+c["database.password"]) {
			t.Errorf("%v lacks %q:\n%s", step.args, lacking, out)
		}
	}
	kafka.WaitRecords(t, 2, deadline, topic)
	for until := time.Now().Add(deadline); ; time.Sleep(100 * time.Millisecond) { // Kafka Connect tells of a topic some time after it was written to
		out := ask(t, url, "connectors", "topics", name)
		if strings.Contains(out, topic) {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("topics %s", out)
		}
	}
	ask(t, url, "connectors", "stop", name, "--wait")
	text := ask(t, url, "offsets", "get", name, "-o", "json")
	if !strings.Contains(text, `"lsn"`) {
		t.Errorf("offsets %s", text)
	}
	offsets := testbed.WriteFile(t, dir, "offsets.json", text)
	if out := ask(t, url, "offsets", "set", name, "-f", offsets); !strings.Contains(out, "altered successfully") {
		t.Errorf("set said %s", out)
	}
	if out := ask(t, url, "offsets", "reset", name); !strings.Contains(out, "reset successfully") {
		t.Errorf("reset said %s", out)
	}
	ask(t, url, "connectors", "delete", name)
	if out, code := once(t, dir, "connectors", "describe", name, "--url", url); code != 1 || !strings.Contains(out, "freshet: Connector "+name+" not found") {
		t.Errorf("exit code %d: %s", code, out)
	}
	broken := testbed.WriteFile(t, dir, "broken.json", `{"name":"b","connector.class":"`+c["connector.class"]+`","topic.prefix":"b"}`)
	if out, code := once(t, dir, "connectors", "validate", "-f", filepath.Base(broken), "--url", url); code != 1 || !strings.Contains(out, "broken.json: connector b: database.hostname: The 'database.hostname' value is invalid: A value is required") {
		t.Errorf("exit code %d: %s", code, out)
	}
}
