// Package skeleton writes a new plugin: a connector that works, its tests, and what builds and installs it.
package skeleton

import (
	"embed"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
)

// Options say what to write.
type Options struct {
	Name     string // of the plugin: small letters, digits and hyphens
	Language string // go or python
	Source   bool
	Sink     bool
	Dir      string // to write to; it must not be there, or be empty
	Version  string // of Freshet, that the plugin is built with: a release
	Sources  string // folder of Freshet's sources, to build with in place of a release; "": none
}

//go:embed go python
var templates embed.FS

// goVersion is that of Freshet's own module.
const goVersion = "1.26.0"

var pluginName = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

// values are what templates show.
type values struct {
	Options
	Type                   string // of the connectors: acme-bets becomes AcmeBets
	Module                 string // of Python: acme_bets
	SourceClass, SinkClass string
	Go                     string
	Requires               []string // module and version of all that Freshet's sources need
}

// Write writes the files of a plugin and returns their names.
func Write(o Options) ([]string, error) {
	v, err := valuesOf(o)
	if err != nil {
		return nil, err
	}
	if err := empty(o.Dir); err != nil {
		return nil, err
	}
	var written []string
	err = fs.WalkDir(templates, o.Language, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		base := path.Base(name)
		if !o.Source && strings.Contains(base, "source") || !o.Sink && strings.Contains(base, "sink") {
			return nil
		}
		file := fileName(strings.TrimPrefix(name, o.Language+"/"), v)
		text, err := render(name, v)
		if err != nil {
			return fmt.Errorf("make %s: %w", file, err)
		}
		to := filepath.Join(o.Dir, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return fmt.Errorf("write plugin: %w", err)
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			return fmt.Errorf("write plugin: %w", err)
		}
		written = append(written, file)
		return nil
	})
	if err != nil || o.Language != "go" || o.Sources == "" {
		return written, err
	}
	return append(written, "go.sum"), copySums(o)
}

// Check tells what is wrong with the options by themselves.
func (o Options) Check() error {
	switch {
	case !pluginName.MatchString(o.Name):
		return fmt.Errorf("make plugin %q: a name of small letters, digits and hyphens is expected", o.Name)
	case o.Language != "go" && o.Language != "python":
		return fmt.Errorf("make plugin %s: language %q is not one of go, python", o.Name, o.Language)
	case o.Sources == "" && !strings.HasPrefix(o.Version, "v"):
		return fmt.Errorf("make plugin %s: this freshet (%s) is not a release that a plugin could be built with; name the folder of its sources with --sources", o.Name, o.Version)
	}
	return nil
}

func valuesOf(o Options) (values, error) {
	v := values{Options: o, Module: strings.ReplaceAll(o.Name, "-", "_"), Go: goVersion}
	if err := o.Check(); err != nil {
		return v, err
	}
	for _, part := range strings.Split(o.Name, "-") {
		v.Type += strings.ToUpper(part[:1]) + part[1:]
	}
	v.SourceClass, v.SinkClass = "com.example."+v.Type+"Source", "com.example."+v.Type+"Sink"
	if o.Sources == "" {
		return v, nil
	}
	var err error
	if v.Sources, err = filepath.Abs(o.Sources); err != nil {
		return v, fmt.Errorf("make plugin %s: %w", o.Name, err)
	}
	v.Version = "v0.0.0"
	text, err := os.ReadFile(filepath.Join(v.Sources, "go.mod"))
	if err != nil || !strings.HasPrefix(string(text), "module github.com/freshet-io/freshet\n") {
		return v, fmt.Errorf("make plugin %s: %s does not have Freshet's sources", o.Name, v.Sources)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if module, _, _ := strings.Cut(line, " //"); strings.HasPrefix(line, "\t") {
			v.Requires = append(v.Requires, strings.TrimSpace(module))
		}
	}
	return v, nil
}

// empty makes sure that nothing is overwritten.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write plugin: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("write plugin: folder %s is not empty; name another one with --dir", dir)
	}
	return nil
}

// fileName is the file that a template is for.
func fileName(name string, v values) string {
	name = strings.TrimSuffix(name, ".tmpl")
	name = strings.ReplaceAll(name, "gitignore", ".gitignore")
	return strings.ReplaceAll(name, "MODULE", v.Module)
}

func render(name string, v values) ([]byte, error) {
	t, err := template.ParseFS(templates, name)
	if err != nil {
		return nil, err
	}
	var out strings.Builder
	if err := t.Execute(&out, v); err != nil {
		return nil, err
	}
	if strings.HasSuffix(name, ".go.tmpl") {
		return format.Source([]byte(out.String()))
	}
	return []byte(out.String()), nil
}

// copySums gives a plugin the checksums of what Freshet's sources need.
func copySums(o Options) error {
	text, err := os.ReadFile(filepath.Join(o.Sources, "go.sum"))
	if err != nil {
		return fmt.Errorf("copy checksums: %w", err)
	}
	if err := os.WriteFile(filepath.Join(o.Dir, "go.sum"), text, 0o644); err != nil {
		return fmt.Errorf("copy checksums: %w", err)
	}
	return nil
}
