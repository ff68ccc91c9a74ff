package plugins

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Protocol is the version of the calls and of the batches, which both sides must have.
const Protocol = 1

// ManifestFile is the file that makes a folder a plugin.
const ManifestFile = "plugin.json"

// maxManifest bounds what is read of a manifest, in bytes.
const maxManifest = 1 << 20

// The transports between a worker and a plugin.
const (
	TransportTLS    = "tls"    // TLS with certificates that both sides make for each other
	TransportSocket = "socket" // a Unix socket in a folder that nobody else may enter
)

// Manifest is a plugin's plugin.json.
type Manifest struct {
	Name        string              `json:"name"`
	Version     string              `json:"version"`               // of all its connectors: numbers with dots, perhaps a qualifier
	Protocol    int                 `json:"protocol"`              // that the plugin speaks
	Executable  string              `json:"executable"`            // path within the folder
	Args        []string            `json:"args,omitempty"`        // of the executable
	SHA256      string              `json:"sha256,omitempty"`      // of the executable, 64 hexadecimal digits; "": not checked
	Transport   string              `json:"transport,omitempty"`   // TransportTLS when not given
	Connectors  []ManifestConnector `json:"connectors"`            // what it serves
	Environment []string            `json:"environment,omitempty"` // names of the worker's variables that it wants
}

// ManifestConnector is one connector of a plugin.
type ManifestConnector struct {
	Class string `json:"class"`
	Type  string `json:"type"` // source or sink
}

// Plugin is an executable that serves connectors.
type Plugin struct {
	Dir string // absolute
	Manifest
}

// Unusable is the error about a folder that cannot be used as a plugin.
type Unusable struct {
	Dir     string
	Name    string   // of the plugin and of what it serves, as far as its manifest can be read
	Version string   //
	Classes []string //
	Err     error    // says which file, what is wrong and what to do
}

// Error implements error.
func (u *Unusable) Error() string { return u.Err.Error() }

// Unwrap returns the cause.
func (u *Unusable) Unwrap() error { return u.Err }

// Executable is a plugin without a manifest: what it serves is what it says.
func Executable(path string, args ...string) *Plugin {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	name := filepath.Base(path)
	return &Plugin{Dir: filepath.Dir(path), Manifest: Manifest{Name: name, Protocol: Protocol, Executable: name, Args: args, Transport: TransportTLS}}
}

// Path is the executable.
func (p *Plugin) Path() string {
	return filepath.Join(p.Dir, filepath.FromSlash(p.Manifest.Executable))
}

// Load reads the manifest of a plugin's folder. It starts nothing and leaves the executable alone (Verify). Errors are of type
// *Unusable.
func Load(dir string) (*Plugin, error) {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	file := filepath.Join(dir, ManifestFile)
	text, err := readManifest(file)
	if err != nil {
		return nil, &Unusable{Dir: dir, Err: err}
	}
	var m Manifest
	if err = decodeManifest(text, &m); err == nil {
		err = m.check()
	}
	p := &Plugin{Dir: dir, Manifest: m}
	if err == nil {
		err = p.inside()
	}
	if err != nil {
		return nil, p.Unusable(fmt.Errorf("plugin manifest %s: %w", file, err))
	}
	if p.Transport == "" {
		p.Transport = TransportTLS
	}
	p.SHA256 = strings.ToLower(p.SHA256)
	return p, nil
}

// Unusable is the error that tells of a plugin what err says.
func (p *Plugin) Unusable(err error) *Unusable {
	u := &Unusable{Dir: p.Dir, Name: p.Name, Version: p.Manifest.Version, Err: err}
	for _, c := range p.Connectors {
		if c.Class != "" {
			u.Classes = append(u.Classes, c.Class)
		}
	}
	return u
}

func readManifest(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("read plugin manifest: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("plugin manifest %s is not a regular file", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read plugin manifest: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read plugin manifest: %w", err)
	case len(text) > maxManifest:
		return nil, fmt.Errorf("plugin manifest %s has more than %d bytes", file, maxManifest)
	}
	return text, nil
}

// decodeManifest fills m as far as it can be read; names count as they are written, and each once.
func decodeManifest(text []byte, m *Manifest) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(m)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("line %d: it is not JSON: %w", lineOf(text, syntax.Offset), err)
	case errors.As(err, &kind) && kind.Field == "":
		return fmt.Errorf("it is a JSON %s; an object is expected", kind.Value)
	case errors.As(err, &kind):
		return fmt.Errorf("line %d: key %q is a JSON %s; %s is expected", lineOf(text, kind.Offset), kind.Field, kind.Value, typeNames[kind.Type.String()])
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it ends before its JSON object is complete")
	case err != nil && strings.HasPrefix(err.Error(), "json: unknown field "):
		name := strings.TrimPrefix(err.Error(), "json: unknown field ")
		return fmt.Errorf("key %s is not known; remove it, or use a version of Freshet that knows it", name)
	case err != nil:
		return err
	}
	if _, err = d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("line %d: something follows the JSON object", lineOf(text, d.InputOffset()))
	}
	return checkNames(json.NewDecoder(bytes.NewReader(text)), "")
}

var typeNames = map[string]string{
	"string": "a string", "int": "an integer", "[]string": "a list of strings",
	"[]plugins.ManifestConnector": "a list of objects", "plugins.ManifestConnector": "an object",
}

func lineOf(text []byte, offset int64) int {
	return 1 + bytes.Count(text[:min(max(offset, 0), int64(len(text)))], []byte{'\n'})
}

// checkNames walks one JSON value: encoding/json takes names in any case, and the last of several.
func checkNames(d *json.Decoder, in string) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	delim, nested := t.(json.Delim)
	if !nested {
		return nil
	}
	seen := map[string]bool{}
	for d.More() {
		name := in
		if delim == '{' {
			key, err := d.Token()
			if err != nil {
				return err
			}
			name, _ = key.(string)
			switch {
			case seen[name]:
				return fmt.Errorf("key %q is there twice", name)
			case name != strings.ToLower(name):
				return fmt.Errorf("key %q is not known; did you mean %q?", name, strings.ToLower(name))
			}
			seen[name] = true
		}
		if err := checkNames(d, name); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

var (
	pluginName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)
	pluginVersion = regexp.MustCompile(`^[0-9]+(\.[0-9]+)*([.+_-]?[0-9A-Za-z]+)*$`)
	className     = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$.-]{0,249}$`)
	variableName  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	checksum      = regexp.MustCompile(`^[0-9A-Fa-f]{64}$`)
)

// check looks at the values.
func (m *Manifest) check() error {
	for _, k := range []struct{ name, value string }{{"name", m.Name}, {"version", m.Version}, {"executable", m.Executable}} {
		if strings.TrimSpace(k.value) == "" {
			return fmt.Errorf("key %q is missing", k.name)
		}
	}
	switch {
	case !pluginName.MatchString(m.Name):
		return fmt.Errorf("name %q: letters, digits, dots, - and _ are expected", m.Name)
	case !pluginVersion.MatchString(m.Version) || len(m.Version) > 100:
		return fmt.Errorf("version %q: numbers with dots are expected, perhaps with a qualifier, as in 1.4.0 or 2.0.0-rc1", m.Version)
	case m.Protocol == 0:
		return fmt.Errorf("key %q is missing; this worker speaks %d", "protocol", Protocol)
	case m.Protocol != Protocol:
		return fmt.Errorf("the plugin speaks version %d of the protocol, this worker %d; use a build of the plugin for this one", m.Protocol, Protocol)
	case m.SHA256 != "" && !checksum.MatchString(m.SHA256):
		return fmt.Errorf("sha256 %q: 64 hexadecimal digits are expected, as sha256sum prints them", m.SHA256)
	case m.Transport != "" && m.Transport != TransportTLS && m.Transport != TransportSocket:
		return fmt.Errorf("transport %q: %s or %s is expected", m.Transport, TransportTLS, TransportSocket)
	case len(m.Connectors) == 0:
		return fmt.Errorf("key %q is missing: it lists what the plugin serves, as in [{\"class\": \"com.example.MySink\", \"type\": \"sink\"}]", "connectors")
	}
	for i, arg := range m.Args {
		if strings.ContainsRune(arg, 0) {
			return fmt.Errorf("args[%d] has a NUL character", i)
		}
	}
	for i, name := range m.Environment {
		if !variableName.MatchString(name) {
			return fmt.Errorf("environment[%d] %q: the name of an environment variable is expected", i, name)
		}
	}
	return m.checkConnectors()
}

func (m *Manifest) checkConnectors() error {
	for i, c := range m.Connectors {
		switch {
		case c.Class == "":
			return fmt.Errorf("connectors[%d]: key %q is missing", i, "class")
		case !className.MatchString(c.Class):
			return fmt.Errorf("connectors[%d]: class %q: a class name is expected, as in com.example.MySink", i, c.Class)
		case c.Type != "source" && c.Type != "sink":
			return fmt.Errorf("connectors[%d] (%s): type %q: source or sink is expected", i, c.Class, c.Type)
		case slices.Index(m.Connectors, c) < i:
			return fmt.Errorf("connectors[%d]: %s %s is there twice", i, c.Type, c.Class)
		}
	}
	return nil
}

// inside tells that the executable lies in the plugin's folder, symbolic links followed. One that is not there is left to Verify.
func (p *Plugin) inside() error {
	name := filepath.FromSlash(p.Manifest.Executable)
	if !filepath.IsLocal(name) || filepath.Clean(name) == "." {
		return fmt.Errorf("executable %q: a path within the plugin's folder is expected, without ..", p.Manifest.Executable)
	}
	dir, err := filepath.EvalSymlinks(p.Dir)
	if err != nil {
		return err
	}
	path, err := filepath.EvalSymlinks(filepath.Join(dir, name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("executable %q: %w", p.Manifest.Executable, err)
	}
	if rel, err := filepath.Rel(dir, path); err != nil || !filepath.IsLocal(rel) {
		return fmt.Errorf("executable %q is a symbolic link to %s, outside of the plugin's folder; put the file itself there", p.Manifest.Executable, path)
	}
	return nil
}

// Verify tells whether the executable may be started: that it is a regular executable file, the one that the manifest means, and,
// for a worker that runs as root, one that not everybody may change.
func (p *Plugin) Verify() error {
	file := p.Path()
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("its executable %s is not there", file)
	case err != nil:
		return fmt.Errorf("look at its executable: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("its executable %s is not a regular file", file)
	case info.Mode()&0o111 == 0:
		return fmt.Errorf("%s is not executable (mode %v); chmod +x it", file, info.Mode().Perm())
	}
	if os.Geteuid() == 0 {
		if err := verifyOwn(file, filepath.Dir(file), p.Dir); err != nil {
			return err
		}
	}
	if p.SHA256 == "" {
		return nil
	}
	sum, err := sumOf(file)
	if err != nil {
		return err
	}
	if !strings.EqualFold(sum, p.SHA256) {
		return fmt.Errorf("the checksum of %s is sha256 %s, its manifest says %s; install the plugin again, or correct the manifest if you have changed the file", file, sum, p.SHA256)
	}
	return nil
}

// verifyOwn refuses what everybody may change, for root would run it.
func verifyOwn(paths ...string) error {
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("look at its files: %w", err)
		}
		if info.Mode().Perm()&0o002 != 0 {
			return fmt.Errorf("everybody may write %s (mode %v), and this worker runs as root; chmod o-w it", path, info.Mode().Perm())
		}
	}
	return nil
}

func sumOf(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("read executable: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read executable %s: %w", file, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
