package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// freshet runs a command in this process and returns what it prints to standard output.
func freshet(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	root := rootCommand()
	root.SetOut(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func TestExamplesAreValid(t *testing.T) {
	files, err := filepath.Glob("../../examples/*.json")
	if err != nil || len(files) < 3 {
		t.Fatalf("examples %v, error %v", files, err)
	}
	for _, file := range files {
		out, err := freshet(t, "validate", "--offline", file, "-c", "../../examples/worker.properties")
		if err != nil || !strings.HasSuffix(out, ": good\n") {
			t.Errorf("validate %s: %v\n%s", file, err, out)
		}
	}
}

// Every example of a help text and of the readme must be accepted as it is written: commands, flags and files.
func TestExamplesRunAsWritten(t *testing.T) {
	var examples []string
	commands := []*cobra.Command{rootCommand()}
	for i := 0; i < len(commands); i++ {
		examples = append(examples, strings.Split(commands[i].Example, "\n")...)
		commands = append(commands, commands[i].Commands()...)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(readme)) {
		if strings.HasPrefix(line, "freshet ") {
			examples = append(examples, line)
			n++
		}
	}
	if n < 3 {
		t.Errorf("%d commands in the readme", n)
	}
	for _, line := range examples {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "   ")
		if words := strings.Fields(line); len(words) > 0 {
			checkExample(t, line, words)
		}
	}
}

func checkExample(t *testing.T, line string, words []string) {
	t.Helper()
	root := rootCommand()
	sub, rest, err := root.Find(words[1:])
	if words[0] != "freshet" || err != nil || sub == root {
		t.Errorf("example %q: no such command: %v", line, err)
		return
	}
	if err := sub.ParseFlags(rest); err != nil {
		t.Errorf("example %q: %v", line, err)
	}
	if err := sub.Args(sub, sub.Flags().Args()); err != nil {
		t.Errorf("example %q: %v", line, err)
	}
	checkFiles(t, sub)
}

func checkFiles(t *testing.T, c *cobra.Command) {
	t.Helper()
	var names []string
	if strings.Contains(c.Use, "CONNECTOR") { // files
		names = c.Flags().Args()
	}
	if files, err := c.Flags().GetStringArray("file"); err == nil {
		names = append(names, files...)
	}
	if f := c.Flags().Lookup("config"); f != nil && f.Changed {
		names = append(names, f.Value.String())
	}
	for _, name := range names {
		if found, err := filepath.Glob(filepath.Join("../..", name)); err != nil || len(found) == 0 {
			t.Errorf("example of %q: file %s is not there", c.Name(), name)
		}
	}
}

func TestPluginsListsEveryConnector(t *testing.T) {
	out, err := freshet(t, "plugins")
	if err != nil {
		t.Fatal(err)
	}
	for _, class := range []string{"io.debezium.connector.postgresql.PostgresConnector", "MySqlConnector", "io.debezium.connector.mariadb.MariaDbConnector", "org.apache.kafka.connect.file.FileStreamSinkConnector", "kafka"} {
		if !strings.Contains(out, class) {
			t.Errorf("%s is missing in\n%s", class, out)
		}
		keys, err := freshet(t, "plugins", "--keys", class)
		if err != nil || !strings.Contains(keys, "required") && !strings.Contains(keys, "default") {
			t.Errorf("plugins --keys %s: %v\n%s", class, err, keys)
		}
	}
	if keys, err := freshet(t, "plugins", "--keys", "framework"); err != nil || !strings.Contains(keys, "connector.class") {
		t.Errorf("plugins --keys framework: %v\n%s", err, keys)
	}
	if keys, err := freshet(t, "plugins", "--keys", "worker"); err != nil || !strings.Contains(keys, "plugin.path\n    list, default \"\"\n") {
		t.Errorf("plugins --keys worker: %v\n%s", err, keys)
	}
	if _, err := freshet(t, "plugins", "--keys", "Nonsense"); err == nil {
		t.Error("plugins --keys Nonsense is accepted")
	}
}

// No default of a password is printed, and none is a value that somebody could use.
func TestKeysShowNoPassword(t *testing.T) {
	for _, d := range newProgram().catalog().List() {
		for _, k := range d.Config.Keys {
			if k.Type == "PASSWORD" && k.Default != "" {
				t.Errorf("%s: key %s has a password for a default", d.Class, k.Name)
			}
		}
	}
}

func TestWrongUsageIsTold(t *testing.T) {
	for _, args := range [][]string{
		{"nonsense"},
		{"run"},
		{"validate"},
		{"plugins", "x"},
		{"run", "--nonsense"},
		{"plugins", "--log-format", "xml"},
		{"plugin", "new", "Wrong Name", "--dir", t.TempDir()},
		{"plugin", "new", "right", "--lang", "cobol", "--dir", t.TempDir()},
	} {
		_, err := freshet(t, args...)
		var usage usageError
		if !errors.As(err, &usage) {
			t.Errorf("freshet %s: %v, want a usage error", strings.Join(args, " "), err)
		}
	}
}

func TestValidateReportsEveryFile(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.json")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := freshet(t, "validate", "--offline", broken, "../../examples/postgres-to-stdout.json")
	var code exitError
	if !errors.As(err, &code) || code.code != exitFailed {
		t.Errorf("error %v, want exit code 1", err)
	}
	for _, want := range []string{"broken.json", "postgres-to-stdout.json: connector bets-to-stdout: good"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}
