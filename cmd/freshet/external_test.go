package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/file"
	"github.com/freshet-io/freshet/plugins"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/standalone"
	"github.com/freshet-io/freshet/runtime/workerconfig"
	"github.com/freshet-io/freshet/testbed"
)

// TestMain makes the test binary a plugin, too: "plugin serve" as the program has it, "lines CLASS VERSION" a source of that name.
func TestMain(m *testing.M) {
	switch args := os.Args[1:]; {
	case !plugins.Serving():
		os.Exit(m.Run())
	case args[0] == "lines":
		plugins.Serve(linesSource{file.Sources{}, args[1], args[2]})
	default:
		servePlugin()
	}
}

// linesSource is the source of files under another name.
type linesSource struct {
	connectors.SourceFactory
	class, version string
}

// Describe implements connectors.Factory.
func (s linesSource) Describe() connectors.Description {
	d := s.SourceFactory.Describe()
	d.Class, d.Version, d.Reference, d.Aliases, d.Doc = s.class, s.version, "", nil, "Reads lines."
	return d
}

// install makes the folder of a plugin whose executable is a script; more are further keys of its manifest.
func install(t *testing.T, path, name, version, class, script string, more map[string]any) string {
	t.Helper()
	dir := filepath.Join(path, name+"-"+version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	m := map[string]any{"name": name, "version": version, "protocol": 1, "executable": "run.sh", "connectors": []any{map[string]any{"class": class, "type": "source"}}}
	for k, v := range more {
		m[k] = v
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "plugin.json", string(text))
	run := write(t, dir, "run.sh", "#!/bin/sh\n"+script+"\n")
	if err := os.Chmod(run, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// lines is a script that serves lines.
func lines(t *testing.T, class, version string) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("exec '%s' lines %s %s", path, class, version)
}

const linesClass = "com.example.LinesSourceConnector"

// installMany fills a plugin.path with two versions of one plugin, and with plugins that cannot be used; reasons has a part of what is
// told of each, by class.
func installMany(t *testing.T) (path string, reasons map[string]string) {
	t.Helper()
	path = t.TempDir()
	for _, version := range []string{"1.2.0", "1.10.0"} {
		install(t, path, "lines", version, linesClass, lines(t, linesClass, version), nil)
	}
	script := "#!/bin/sh\n" + lines(t, "com.example.Sum", "1.0") + "\n"
	sum := sha256.Sum256([]byte(script))
	wrong := strings.Repeat("0", 64)
	install(t, path, "crash", "1.0", "com.example.Crash", "echo no licence was found >&2; exit 3", nil)
	install(t, path, "sum", "1.0", "com.example.Sum", lines(t, "com.example.Sum", "1.0"), map[string]any{"sha256": wrong})
	install(t, path, "protocol", "1.0", "com.example.Protocol", "echo '1|7|unix|/tmp/nowhere|grpc|'; sleep 60", nil)
	install(t, path, "babble", "1.0", "com.example.Babble", "echo hello", nil)
	install(t, path, "future", "1.0", "com.example.Future", "exit 0", map[string]any{"protocol": 2})
	install(t, path, "other", "1.0", "com.example.Other", lines(t, linesClass, "1.0"), nil)
	install(t, path, "version", "2.0", "com.example.Version", lines(t, "com.example.Version", "1.0"), nil)
	install(t, path, "key", "1.0", "com.example.Key", "exit 0", map[string]any{"licence": "x"})
	if err := os.Chmod(filepath.Join(install(t, path, "mode", "1.0", "com.example.Mode", "exit 0", nil), "run.sh"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(install(t, path, "gone", "1.0", "com.example.Gone", "exit 0", nil), "run.sh")); err != nil {
		t.Fatal(err)
	}
	write(t, path, "debezium-connector-postgres.jar", "PK") // of another worker
	return path, map[string]string{
		"com.example.Crash": "ended: exit status 3; its last words: no licence was found", "com.example.Sum": "is sha256 " + hex.EncodeToString(sum[:]) + ", its manifest says " + wrong,
		"com.example.Protocol": "does not speak version 1 of the protocol", "com.example.Babble": "it printed no handshake",
		"com.example.Future": "speaks version 2 of the protocol, this worker 1", "com.example.Other": "missing: source com.example.Other; not in the manifest, or there twice: source " + linesClass,
		"com.example.Version": "says that it is version 1.0, the plugin's manifest says 2.0", "com.example.Key": `key "licence" is not known`,
		"com.example.Mode": "is not executable", "com.example.Gone": "is not there",
	}
}

func TestPluginsOfAFolder(t *testing.T) {
	path, reasons := installMany(t)
	out, err := freshet(t, "plugins", "--path", path)
	var code exitError
	if !errors.As(err, &code) || code.code != exitFailed {
		t.Errorf("error %v, want exit code 1", err)
	}
	good, broken, _ := strings.Cut(out, "CANNOT BE USED")
	for _, version := range []string{"1.2.0", "1.10.0"} {
		if !strings.Contains(good, filepath.Join(path, "lines-"+version)+" (a process for each task)") {
			t.Errorf("version %s is missing in\n%s", version, out)
		}
	}
	for class, reason := range reasons {
		if !strings.Contains(broken, reason) {
			t.Errorf("%s: %q is missing in\n%s", class, reason, broken)
		}
	}
	if n := strings.Count(strings.TrimSpace(broken), "\n"); n != len(reasons) {
		t.Errorf("%d lines of plugins that cannot be used, want %d:\n%s", n, len(reasons), broken)
	}
	if keys, err := freshet(t, "plugins", "--path", path, "--keys", "LinesSource"); err != nil || !strings.Contains(keys, "\nfile\n    string") {
		t.Errorf("keys of a plugin: %v\n%s", err, keys)
	}
	if _, err := freshet(t, "plugins", "--path", path, "--keys", "com.example.Crash"); err == nil || !strings.Contains(err.Error(), reasons["com.example.Crash"]) {
		t.Errorf("keys of a plugin that cannot be used: %v", err)
	}
	if out, err := freshet(t, "plugins", "--path", filepath.Join(path, "nowhere")); err == nil || !strings.Contains(out, "no such file") {
		t.Errorf("a path that is not there: %v\n%s", err, out)
	}
	dir := t.TempDir()
	worker := write(t, dir, "worker.properties", "plugin.path="+path+"\n")
	for class, want := range map[string]string{"com.example.Crash": reasons["com.example.Crash"], linesClass: ": good\n"} {
		connector := write(t, dir, "c.json", `{"name":"c","connector.class":"`+class+`","file":"/in","topic":"t","sinks":"out","sinks.out.connector.class":"FileStreamSink","sinks.out.file":"/out"}`)
		if out, _ := freshet(t, "validate", "--offline", connector, "-c", worker); !strings.Contains(out, want) {
			t.Errorf("validate %s: %s", class, out)
		}
	}
}

// A plugin that hangs does not keep a worker from starting for longer than it allows.
func TestPluginThatHangs(t *testing.T) {
	path := t.TempDir()
	install(t, path, "hang", "1.0", "com.example.Hang", "exec sleep 600", nil)
	worker := write(t, t.TempDir(), "w.properties", "plugin.path="+path+"\nplugin.start.timeout.ms=300\n")
	out, err := freshet(t, "plugins", "-c", worker)
	if err == nil || !strings.Contains(out, "it did not say within 300ms what it serves (plugin.start.timeout.ms)") {
		t.Errorf("got %v\n%s", err, out)
	}
}

func TestPluginsThroughREST(t *testing.T) {
	path, reasons := installMany(t)
	url := serveWith(t, newProgram(), connectors.Config{"plugin.path": path})
	call := func(method, path, body string) (int, string) {
		t.Helper()
		return testbed.Call(t, method, url+path, body)
	}
	_, list := call("GET", "/connector-plugins", "")
	for _, version := range []string{"1.2.0", "1.10.0"} {
		if !strings.Contains(list, `{"class":"`+linesClass+`","type":"source","version":"`+version+`"}`) {
			t.Errorf("version %s is missing in %s", version, list)
		}
	}
	for class := range reasons {
		if strings.Contains(list, class) {
			t.Errorf("%s is listed: %s", class, list)
		}
	}
	if code, text := call("GET", "/connector-plugins/LinesSource/config", ""); code != 200 || !strings.Contains(text, `"default_value":"1.10.0"`) || !strings.Contains(text, `"name":"batch.size"`) {
		t.Errorf("keys: %d %s", code, text)
	}
	if code, text := call("GET", "/connector-plugins/"+linesClass+"/config?version=1.2.0", ""); code != 200 {
		t.Errorf("keys of a version: %d %s", code, text)
	}
	none := "Plugin " + linesClass + " not found that matches the version range [2,), available versions: [1.2.0, 1.10.0]"
	if code, text := call("GET", "/connector-plugins/"+linesClass+"/config?version=%5B2,)", ""); code != 400 || !strings.Contains(text, none) {
		t.Errorf("keys of a version that is not here: %d %s", code, text)
	}
	valid := `"name":"c","file":"/in","topic":"t","sinks":"out","sinks.out.connector.class":"FileStreamSink","sinks.out.file":"/out"`
	for version, want := range map[string]string{"[1,1.5]": `"error_count":0`, "[2,)": none} {
		config := `{"connector.class":"` + linesClass + `","connector.plugin.version":"` + version + `",` + valid + `}`
		if code, text := call("PUT", "/connector-plugins/"+linesClass+"/config/validate", config); code != 200 || !strings.Contains(text, want) || !strings.Contains(text, `"recommended_values":["1.2.0","1.10.0"]`) {
			t.Errorf("validate version %s: %d %s", version, code, text)
		}
	}
	for class, reason := range reasons {
		quoted, err := json.Marshal(reason)
		if err != nil {
			t.Fatal(err)
		}
		reason = strings.Trim(string(quoted), `"`)
		config := `{"connector.class":"` + class + `",` + valid + `}`
		if code, text := call("POST", "/connectors", `{"name":"c","config":`+config+`}`); code != 400 || !strings.Contains(text, reason) {
			t.Errorf("create a connector of class %s: %d %s, want %s", class, code, text, reason)
		}
		if code, text := call("PUT", "/connector-plugins/"+class+"/config/validate", config); code < 400 || !strings.Contains(text, reason) {
			t.Errorf("validate class %s: %d %s, want %s", class, code, text, reason)
		}
		if code, text := call("GET", "/connector-plugins/"+class+"/config", ""); code != 400 || !strings.Contains(text, reason) {
			t.Errorf("keys of class %s: %d %s, want %s", class, code, text, reason)
		}
		sink := strings.Replace(valid, "FileStreamSink", class, 1)
		if code, text := call("POST", "/connectors", `{"name":"c","config":{"connector.class":"FileStreamSource",`+sink+`}}`); code != 400 || !strings.Contains(text, reason) {
			t.Errorf("create a direct sink of class %s: %d %s, want %s", class, code, text, reason)
		}
	}
}

// runOut runs a connector of a file, and stops when the second file has this text.
func runOut(t *testing.T, p *program, worker, config, out, want string) string {
	t.Helper()
	dir := t.TempDir()
	var log lockedBuffer
	o := standalone.Options{
		Connectors: []string{write(t, dir, "c.json", config)},
		Worker:     write(t, dir, "worker.properties", "offset.storage.file.filename="+dir+"/offsets.db\n"+worker),
	}
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&log, nil)))
	defer slog.SetDefault(before)
	p.complete(t.Context(), &o)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- standalone.Run(ctx, context.Background(), o) }()
	await(t, want+" in "+out, func() bool {
		text, err := os.ReadFile(out)
		return err == nil && strings.Contains(string(text), want) || log.find(want) != nil
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return log.String()
}

// counted has a program start its processes through a script that notes each of them.
func counted(t *testing.T) (p *program, started func() int) {
	t.Helper()
	dir := t.TempDir()
	p = newProgram()
	script := write(t, dir, "freshet.sh", "#!/bin/sh\necho started >> '"+dir+"/started'\nexec '"+p.executable+"' \"$@\"\n")
	if err := os.Chmod(script, 0o755); err != nil {
		t.Fatal(err)
	}
	p.executable = script
	return p, func() int {
		text, err := os.ReadFile(filepath.Join(dir, "started"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return strings.Count(string(text), "\n")
	}
}

// What is built in runs in processes of its own where that is said: of the worker, the connector, or one sink.
func TestBuiltInsInProcesses(t *testing.T) {
	dir := t.TempDir()
	in := write(t, dir, "in", "one\ntwo\n")
	for i, c := range []struct {
		worker, more string
		want         int // processes
	}{
		{"", "", 0},
		{"plugin.isolation=process\n", "", 2},
		{"plugin.isolation=process\n", `,"plugin.isolation":"none"`, 0},
		{"", `,"sinks.out.plugin.isolation":"process"`, 1},
	} {
		p, started := counted(t)
		out := filepath.Join(dir, fmt.Sprint("out", i))
		config := `{"name":"c","connector.class":"FileStreamSource","file":"` + in + `","topic":"t","sinks":"out","sinks.out.connector.class":"FileStreamSink","sinks.out.file":"` + out + `"` + c.more + `}`
		log := runOut(t, p, c.worker, config, out, `"two"}`)
		if text, err := os.ReadFile(out); err != nil || strings.Count(string(text), "\n") != 2 || !strings.Contains(string(text), `"one"}`) {
			t.Errorf("%d: %q, %v", i, text, err)
		}
		if n := started(); n != c.want {
			t.Errorf("%d: %d processes, want %d\n%s", i, n, c.want, log)
		}
	}
}

// A plugin that a worker has found runs, in the version that the connector names.
func TestPluginRuns(t *testing.T) {
	path, _ := installMany(t)
	dir := t.TempDir()
	in, out := write(t, dir, "in", "one\ntwo\n"), filepath.Join(dir, "out")
	config := `{"name":"c","connector.class":"LinesSource","connector.plugin.version":"(,1.5)","file":"` + in + `","topic":"t","sinks":"out","sinks.out.connector.class":"FileStreamSink","sinks.out.file":"` + out + `"}`
	log := runOut(t, newProgram(), "plugin.path="+path+"\n", config, out, `"two"}`)
	for _, want := range []string{"a plugin cannot be used", `"plugin":"crash"`, "plugin found"} {
		if !strings.Contains(log, want) {
			t.Errorf("%q is missing in the log:\n%s", want, log)
		}
	}
}

// plugin.memory.limit bounds the processes of a connector.
func TestMemoryOfAProcess(t *testing.T) {
	dir := t.TempDir()
	in, out := write(t, dir, "in", "one\n"), filepath.Join(dir, "out")
	config := `{"name":"c","connector.class":"FileStreamSource","plugin.isolation":"process","plugin.memory.limit":"1000","file":"` + in + `","topic":"t","sinks":"out","sinks.out.connector.class":"FileStreamSink","sinks.out.file":"` + out + `"}`
	if log := runOut(t, newProgram(), "", config, out, "the task failed and is started again from the durable offset"); !strings.Contains(log, "more than plugin.memory.limit allows") {
		t.Errorf("the log does not tell of the limit:\n%s", log)
	}
}

// A sink in a process has no standard output to write to: its own is the log.
func TestNoStandardOutputInAProcess(t *testing.T) {
	p := newProgram()
	config := connectors.Config{"name": "c", "connector.class": "FileStreamSource", "file": "/in", "topic": "t", "sinks": "out", "sinks.out.connector.class": "FileStreamSink"}
	properties, err := workerconfig.New(connectors.Config{}, workerconfig.Standalone)
	if err != nil {
		t.Fatal(err)
	}
	for isolation, want := range map[string]bool{"none": false, "process": true} {
		config["plugin.isolation"] = isolation
		worker := runtime.NewWorker(runtime.Options{Catalog: p.catalogFor(t.Context(), properties, slog.New(slog.DiscardHandler))})
		problems := strings.Join(connectors.Errors(worker.Validate(t.Context(), config)), "\n")
		if strings.Contains(problems, "has no standard output; name a file") != want {
			t.Errorf("%s: %s", isolation, problems)
		}
	}
}

func TestServeIsForWorkers(t *testing.T) {
	_, err := freshet(t, "plugin", "serve")
	var usage usageError
	if !errors.As(err, &usage) {
		t.Errorf("got %v, want a usage error", err)
	}
}
