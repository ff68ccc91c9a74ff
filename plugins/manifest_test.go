package plugins

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// good is a manifest with every key.
func good() map[string]any {
	return map[string]any{
		"name": "nats", "version": "1.4.0", "protocol": 1, "executable": "bin/nats", "args": []string{"-v"},
		"sha256": strings.Repeat("Ab", 32), "transport": "socket", "environment": []string{"NATS_TOKEN"},
		"connectors": []any{map[string]any{"class": "com.example.NatsSink", "type": "sink"}, map[string]any{"class": "com.example.NatsSource", "type": "source"}},
	}
}

// folder makes the folder of a plugin whose executable is a script.
func folder(t *testing.T, dir, manifest string) string {
	t.Helper()
	write(t, filepath.Join(dir, "bin", "nats"), "#!/bin/sh\n", 0o755)
	write(t, filepath.Join(dir, ManifestFile), manifest, 0o644)
	return dir
}

func write(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil { // whatever the umask is
		t.Fatal(err)
	}
}

func text(t *testing.T, m map[string]any) string {
	t.Helper()
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func with(key string, value any) map[string]any {
	m := maps.Clone(good())
	if value == nil {
		delete(m, key)
	} else {
		m[key] = value
	}
	return m
}

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := folder(t, t.TempDir(), text(t, good()))
	p, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "nats" || p.Manifest.Version != "1.4.0" || p.Transport != TransportSocket || !slices.Equal(p.Args, []string{"-v"}) ||
		!slices.Equal(p.Environment, []string{"NATS_TOKEN"}) || p.SHA256 != strings.Repeat("ab", 32) ||
		!slices.Equal(p.Connectors, []ManifestConnector{{"com.example.NatsSink", "sink"}, {"com.example.NatsSource", "source"}}) {
		t.Errorf("got %+v", p)
	}
	if p.Path() != filepath.Join(dir, "bin", "nats") || p.Dir != dir {
		t.Errorf("path %s in %s", p.Path(), p.Dir)
	}
	for _, key := range []string{"args", "sha256", "transport", "environment"} {
		if p, err := Load(folder(t, t.TempDir(), text(t, with(key, nil)))); err != nil || key == "transport" && p.Transport != TransportTLS {
			t.Errorf("without %s: %+v, %v", key, p, err)
		}
	}
	for _, version := range []string{"1", "1.2.3", "2.0.0-rc1", "3.6.1.Final", "1.0.0+build.7", "20240131"} {
		if _, err := Load(folder(t, t.TempDir(), text(t, with("version", version)))); err != nil {
			t.Errorf("version %s: %v", version, err)
		}
	}
}

func TestBrokenManifests(t *testing.T) {
	t.Parallel()
	whole := text(t, good())
	connector := func(m map[string]any) string { return text(t, with("connectors", []any{m})) }
	for _, c := range []struct{ name, manifest, want string }{
		{"empty", "", "ends before"},
		{"cut", whole[:40], "ends before"},
		{"no JSON", "{\n\"name\": nats}", "line 2: it is not JSON"},
		{"a list", "[]", "an object is expected"},
		{"two", whole + "\n{}", "line 2: something follows"},
		{"unknown key", text(t, with("licence", "x")), `key "licence" is not known`},
		{"unknown key of a connector", connector(map[string]any{"class": "A", "type": "sink", "kind": "x"}), `key "kind" is not known`},
		{"in capitals", strings.Replace(whole, `"name"`, `"Name"`, 1), `key "Name" is not known; did you mean "name"?`},
		{"twice", strings.Replace(whole, `"name"`, `"name":"a","name"`, 1), `key "name" is there twice`},
		{"a number for a name", text(t, with("name", 7)), `key "name" is a JSON number; a string is expected`},
		{"a string for the protocol", text(t, with("protocol", "1")), `key "protocol" is a JSON string; an integer is expected`},
		{"a fraction", text(t, with("protocol", 1.5)), `key "protocol"`},
		{"a string for a list", text(t, with("args", "-v")), `key "args" is a JSON string; a list of strings is expected`},
		{"numbers in a list", text(t, with("args", []int{1})), `a string is expected`},
		{"no list of connectors", text(t, with("connectors", map[string]any{})), "a list of objects is expected"},
		{"without name", text(t, with("name", nil)), `key "name" is missing`},
		{"without version", text(t, with("version", nil)), `key "version" is missing`},
		{"without executable", text(t, with("executable", nil)), `key "executable" is missing`},
		{"without protocol", text(t, with("protocol", nil)), `key "protocol" is missing; this worker speaks 1`},
		{"without connectors", text(t, with("connectors", nil)), `key "connectors" is missing`},
		{"null", text(t, with("version", nil))[:1] + `"version":null,` + text(t, with("version", nil))[1:], `key "version" is missing`},
		{"name with a slash", text(t, with("name", "a/b")), `name "a/b"`},
		{"version in words", text(t, with("version", "newest")), `version "newest": numbers with dots`},
		{"version with a blank", text(t, with("version", "1.0 beta")), `version "1.0 beta"`},
		{"version range", text(t, with("version", "[1.0,2.0)")), `version "[1.0,2.0)"`},
		{"another protocol", text(t, with("protocol", 9)), "version 9 of the protocol, this worker 1"},
		{"checksum", text(t, with("sha256", "abc")), `sha256 "abc": 64 hexadecimal digits`},
		{"transport", text(t, with("transport", "http")), `transport "http": tls or socket`},
		{"no class", connector(map[string]any{"type": "sink"}), `connectors[0]: key "class" is missing`},
		{"class with a blank", connector(map[string]any{"class": "a b", "type": "sink"}), `class "a b"`},
		{"type", connector(map[string]any{"class": "A", "type": "both"}), `connectors[0] (A): type "both": source or sink`},
		{"no type", connector(map[string]any{"class": "A"}), `source or sink is expected`},
		{"a class twice", text(t, with("connectors", []any{map[string]any{"class": "A", "type": "sink"}, map[string]any{"class": "A", "type": "sink"}})), "connectors[1]: sink A is there twice"},
		{"variable", text(t, with("environment", []string{"A=b"})), `environment[0] "A=b"`},
		{"argument", text(t, with("args", []string{"a\x00b"})), "args[0] has a NUL"},
		{"path out", text(t, with("executable", "../nats")), "within the plugin's folder"},
		{"path out and in", text(t, with("executable", "bin/../../x/nats")), "within the plugin's folder"},
		{"absolute path", text(t, with("executable", "/bin/sh")), "within the plugin's folder"},
		{"the folder itself", text(t, with("executable", ".")), "within the plugin's folder"},
		{"too long", `{"name":"` + strings.Repeat("x", maxManifest) + `"}`, "more than 1048576 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t, t.TempDir(), c.manifest)
			_, err := Load(dir)
			var u *Unusable
			if !errors.As(err, &u) || u.Dir != dir {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), filepath.Join(dir, ManifestFile)) {
				t.Errorf("got %q, want %q and the file", err, c.want)
			}
		})
	}
}

// What can be read of a broken manifest tells which connectors it is about.
func TestClassesOfABrokenManifest(t *testing.T) {
	t.Parallel()
	for _, m := range []map[string]any{with("licence", "x"), with("version", 7), with("protocol", 2), with("executable", "/bin/sh")} {
		_, err := Load(folder(t, t.TempDir(), text(t, m)))
		var u *Unusable
		if !errors.As(err, &u) || u.Name != "nats" || !slices.Equal(u.Classes, []string{"com.example.NatsSink", "com.example.NatsSource"}) {
			t.Errorf("got %+v", u)
		}
	}
}

func TestLinksOutOfTheFolder(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	write(t, filepath.Join(other, "real"), "#!/bin/sh\n", 0o755)
	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, name); err != nil {
			t.Fatal(err)
		}
	}
	link(filepath.Join(other, "real"), filepath.Join(dir, "file"))
	link(other, filepath.Join(dir, "folder"))
	link("inner", filepath.Join(dir, "good"))
	write(t, filepath.Join(dir, "inner"), "#!/bin/sh\n", 0o755)
	for name, fails := range map[string]bool{"file": true, "folder/real": true, "good": false, "gone": false} {
		folder(t, dir, text(t, with("executable", name)))
		if _, err := Load(dir); (err != nil) != fails || fails && !strings.Contains(err.Error(), "symbolic link") {
			t.Errorf("%s: %v", name, err)
		}
	}
	folder(t, dir, text(t, with("executable", "good")))
	whole := filepath.Join(t.TempDir(), "linked") // an operator may put a link to a plugin's folder into the path
	link(dir, whole)
	if _, err := Load(whole); err != nil {
		t.Error(err)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	dir := folder(t, t.TempDir(), text(t, with("sha256", nil)))
	p, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Verify(); err != nil {
		t.Errorf("no checksum: %v", err)
	}
	sum := sha256.Sum256([]byte("#!/bin/sh\n"))
	p.SHA256 = hex.EncodeToString(sum[:])
	if err := p.Verify(); err != nil {
		t.Errorf("the right checksum: %v", err)
	}
	fails := func(what string, parts ...string) {
		t.Helper()
		err := p.Verify()
		for _, part := range parts {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: got %v, want %q", what, err, part)
			}
		}
	}
	right := p.SHA256
	p.SHA256 = strings.Repeat("0", 64)
	fails("another checksum", right, strings.Repeat("0", 64))
	p.SHA256 = ""
	write(t, p.Path(), "#!/bin/sh\n", 0o644)
	fails("not executable", "chmod +x")
	if os.Geteuid() == 0 {
		write(t, p.Path(), "#!/bin/sh\n", 0o757)
		fails("everybody may write", "chmod o-w", p.Path())
		write(t, p.Path(), "#!/bin/sh\n", 0o755)
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		fails("everybody may write the folder", dir+" (mode")
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(p.Path()); err != nil {
		t.Fatal(err)
	}
	fails("not there", "is not there")
	if err := os.Mkdir(p.Path(), 0o755); err != nil {
		t.Fatal(err)
	}
	fails("a folder", "not a regular file")
}

func TestExecutable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "mine"), "#!/bin/sh\n", 0o755)
	p := Executable(filepath.Join(dir, "mine"), "serve")
	if p.Path() != filepath.Join(dir, "mine") || !slices.Equal(p.Args, []string{"serve"}) || p.Name != "mine" || len(p.Connectors) > 0 {
		t.Errorf("got %+v", p)
	}
	if err := p.Verify(); err != nil {
		t.Error(err)
	}
}
