package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors/connectortest/conformance"
)

// trialFiles are the files of a source and of a sink of lines, in a folder.
func trialFiles(t *testing.T) (dir, source, sink string) {
	dir = t.TempDir()
	write(t, dir, "in.txt", strings.Repeat("a line\nanother\n", 20))
	source = write(t, dir, "source.json", `{"name":"s","config":{"connector.class":"FileStreamSource","tasks.max":"1","topic":"t","batch.size":"4","file":"`+dir+`/in.txt"}}`)
	sink = write(t, dir, "sink.json", `{"name":"k","config":{"connector.class":"FileStreamSink","file":"`+dir+`/out.jsonl"}}`)
	return dir, source, sink
}

func mustExit(t *testing.T, err error, code int, out string) {
	t.Helper()
	if got := (exitError{}); (err != nil || code != exitDone) && (!errors.As(err, &got) || got.code != code) {
		t.Errorf("error %v, want exit code %d\n%s", err, code, out)
	}
}

func TestPluginTest(t *testing.T) {
	dir, source, sink := trialFiles(t)
	out, err := freshet(t, "plugin", "test", "builtin", "-c", source, "--seed", "7", "--records", "30")
	mustExit(t, err, exitDone, out)
	for _, want := range []string{"ok    FirstRun", "32 records came", "ok    ResumesFromEveryOffset", "n/a   Poison", "FileStreamSourceConnector: 16 passed, 0 failed, 1 not applicable; seed 7"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	out, err = freshet(t, "plugin", "test", "builtin", "-c", sink, "--read", "cat '"+dir+"/out.jsonl'", "--json")
	mustExit(t, err, exitDone, out)
	var report conformance.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil || report.Kind != "sink" || report.Count(conformance.Passed) < 18 || report.Seed == 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// A check that fails, and what the commands show.
func TestPluginTestFinds(t *testing.T) {
	dir, source, sink := trialFiles(t)
	out, err := freshet(t, "plugin", "test", "builtin", "-c", sink, "--only", "FlushMakesDurable", "--read", "head -n -1 '"+dir+"/out.jsonl'")
	mustExit(t, err, exitFailed, out)
	if !strings.Contains(out, "FAIL  FlushMakesDurable") || !strings.Contains(out, "the target holds [1 2") {
		t.Error(out)
	}
	out, err = freshet(t, "plugin", "test", "builtin", "-c", source, "--only", "none", "--patience", "1s", "--write", "seq $(($1 + 1)) $2 >> '"+dir+"/in.txt'")
	mustExit(t, err, exitFailed, out)
	if !strings.Contains(out, "FAIL  FirstRun") || !strings.Contains(out, "no more than 139 records came") {
		t.Error(out)
	}
	out, err = freshet(t, "plugin", "test", "builtin", "-c", source, "--only", "none", "--write", "echo no >&2; exit 3")
	mustExit(t, err, exitFailed, out)
	if !strings.Contains(out, "exit status 3: no") {
		t.Error(out)
	}
}

func TestPluginTestOfProcess(t *testing.T) {
	dir, source, _ := trialFiles(t)
	plugin := install(t, dir, "lines", "1.0.0", linesClass, lines(t, linesClass, "1.0.0"), nil)
	args := []string{"plugin", "test", plugin, "-c", source, "--class", linesClass, "--only", "Re", "--seed", "3"}
	out, err := freshet(t, append(args, "--write", "seq $1 $2 >> '"+dir+"/in.txt'")...)
	mustExit(t, err, exitDone, out)
	if !strings.Contains(out, "ok    ResumesWithoutGap") || !strings.Contains(out, "ok    ResumesFromEveryOffset") || !strings.Contains(out, "140 records came") {
		t.Error(out)
	}
	out, err = freshet(t, "plugin", "test", filepath.Join(plugin, "run.sh"), "-c", source, "--class", linesClass, "--only", "Describes")
	mustExit(t, err, exitDone, out)
	if !strings.Contains(out, linesClass+": 2 passed") {
		t.Error(out)
	}
}

func TestPluginTestUsage(t *testing.T) {
	_, source, _ := trialFiles(t)
	for want, args := range map[string][]string{
		"--config: the connector file is missing": {"builtin"},
		"no such file":                      {"builtin", "-c", "none.json"},
		"open plugin: stat none":            {"none", "-c", source},
		"--class \"Nonsense\": builtin has": {"builtin", "-c", source, "--class", "Nonsense"},
		"plugin.json":                       {os.TempDir(), "-c", source},
		"--records and --patience":          {"builtin", "-c", source, "--records", "0"},
		"--poison needs --write":            {"builtin", "-c", source, "--poison", "true"},
	} {
		if _, err := freshet(t, append([]string{"plugin", "test"}, args...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %q", args, err, want)
		}
	}
}
