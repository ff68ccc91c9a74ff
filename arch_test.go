// Package freshet checks the shape of the module: who may import whom, and the house rules that a compiler does not know.
package freshet

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/freshet-io/freshet/"

const (
	maxFileLines     = 600
	maxFunctionLines = 80
)

// mayImport says what a package may import besides the standard library: packages of this module by their path in it, others
// by a prefix of their import path; "*" is everything. A package takes the first rule that matches it (path.Match).
var mayImport = []struct {
	pkg     string
	imports []string
}{
	{"schemas", nil},
	{"offsets", nil},
	{"offsets/kafkastore", []string{"offsets", "kafkaclient"}},
	{"offsets/boltstore", []string{"offsets", "go.etcd.io/bbolt"}},
	{"tlsconfig", nil},
	{"kafkaclient", []string{"tlsconfig", "github.com/IBM/sarama", "github.com/rcrowley/go-metrics", "github.com/klauspost/compress", "github.com/pierrec/lz4"}},
	{"connectors", []string{"schemas", "offsets"}},
	{"connectors/connectortest", []string{"connectors", "connectors/connectortest/conformance", "changes", "schemas", "offsets", "go.uber.org/goleak"}},
	{"connectors/connectortest/conformance", []string{"connectors", "schemas", "offsets", "go.uber.org/goleak"}},
	{"changes", []string{"connectors", "schemas", "offsets"}},
	{"converters", []string{"connectors", "changes", "schemas"}},
	{"converters/registry", []string{"connectors", "changes", "schemas", "converters", "tlsconfig", "github.com/riferrei/srclient"}},
	{"converters/registry/registrytest", nil},
	{"converters/convertertest", []string{"connectors", "changes", "schemas", "converters/json"}},
	{"converters/jsonschema", []string{"connectors", "changes", "schemas", "converters", "converters/json", "converters/registry"}},
	{"converters/*", []string{
		"connectors", "changes", "schemas", "converters", "converters/registry", "github.com/twmb/avro", "google.golang.org/protobuf", "github.com/bufbuild/protocompile",
	}},
	{"connectors/postgres", []string{"connectors", "changes", "schemas", "offsets", "github.com/jackc/"}},
	{"connectors/mysql", []string{"connectors", "changes", "schemas", "offsets", "kafkaclient", "tlsconfig", "connectors/mysql/ddl", "github.com/go-mysql-org/go-mysql", "github.com/klauspost/compress", "golang.org/x/text/"}},
	{"connectors/mysql/ddl", nil},
	{"connectors/timescaledb", []string{"connectors", "changes", "schemas", "offsets", "github.com/jackc/"}},
	{"connectors/clickhouse", []string{"connectors", "changes", "schemas", "offsets", "tlsconfig", "github.com/ClickHouse/ch-go", "github.com/klauspost/compress", "github.com/pierrec/lz4"}},
	{"connectors/elasticsearch", []string{"connectors", "changes", "schemas", "offsets", "tlsconfig"}},
	{"connectors/kafka", []string{"connectors", "changes", "schemas", "offsets", "offsets/kafkastore", "converters", "converters/*", "kafkaclient", "github.com/IBM/sarama"}},
	{"connectors/file", []string{"connectors", "changes", "schemas", "offsets", "converters", "converters/*"}},
	{"plugins", []string{"connectors", "schemas", "offsets", "plugins/*", "github.com/hashicorp/", "google.golang.org/", "golang.org/x/sys"}},
	{"plugins/*", []string{"connectors", "schemas", "offsets", "plugins", "plugins/*", "github.com/hashicorp/", "google.golang.org/"}},
	{"runtime", []string{"connectors", "schemas", "offsets"}},
	{"runtime/herder", []string{"runtime", "connectors", "offsets"}},
	{"runtime/loglevel", nil},
	{"runtime/rest", []string{"runtime", "runtime/herder", "runtime/loglevel", "runtime/workerconfig", "tlsconfig", "connectors", "offsets", "github.com/coreos/go-oidc", "golang.org/x/crypto/"}},
	{"runtime/rest/client", []string{"runtime", "runtime/herder", "connectors"}},
	{"runtime/transforms", []string{"runtime", "connectors", "changes", "schemas", "offsets", "github.com/expr-lang/expr"}},
	{"runtime/cluster", []string{"runtime", "runtime/herder", "connectors", "offsets", "kafkaclient", "github.com/IBM/sarama", "golang.org/x/sys"}},
	{"runtime/workerconfig", []string{"connectors"}},
	{"runtime/standalone", []string{"runtime", "runtime/herder", "runtime/loglevel", "runtime/rest", "runtime/workerconfig", "connectors", "offsets", "offsets/*", "kafkaclient", "go.etcd.io/bbolt"}},
	{"runtime/deadletter", []string{"runtime", "connectors", "converters", "schemas", "offsets", "kafkaclient"}},
	{"runtime/tracing", []string{"runtime", "go.opentelemetry.io/otel"}},
	{"runtime/metrics", []string{"runtime", "runtime/herder", "connectors", "offsets", "github.com/prometheus/client_golang"}},
	{"cmd/*", []string{"*"}},
	{"demo", []string{"*"}},
	{"testbed", []string{"*"}},
	{"testbed/*", []string{"*"}},
	{"e2e", []string{"*"}},
	{"e2e/*", []string{"*"}},
	{"e2e/*/*", []string{"*"}},
	{"examples/*", []string{"*"}},
	{"examples/*/*", []string{"*"}},
}

var forbiddenNames = []string{"util", "utils", "common", "shared", "helper", "helpers", "types", "base"}

// endsProcess are calls that only package main may make.
var endsProcess = []string{"os.Exit", "log.Fatal", "log.Fatalf", "log.Fatalln", "signal.Notify", "signal.NotifyContext", "signal.Ignore", "signal.Reset"}

func TestArchitecture(t *testing.T) {
	t.Parallel()
	sources := map[string]string{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(d.Name(), ".") && name != "."
		if d.IsDir() && (hidden || d.Name() == "testdata" || d.Name() == "sdk" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		b, err := os.ReadFile(name)
		sources[filepath.ToSlash(name)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range check(sources) {
		t.Error(problem)
	}
}

type file struct {
	name string // path in the module
	*ast.File
	fset  *token.FileSet
	lines int
	test  bool
}

// check returns what is wrong with these sources (path in the module: text).
func check(sources map[string]string) []string {
	var problems []string
	packages := map[string][]file{}
	fset := token.NewFileSet()
	for _, name := range sortedKeys(sources) {
		text := sources[name]
		parsed, err := parser.ParseFile(fset, name, text, parser.ParseComments)
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		if ast.IsGenerated(parsed) {
			continue
		}
		f := file{name: name, File: parsed, fset: fset, lines: strings.Count(text, "\n"), test: strings.HasSuffix(name, "_test.go")}
		packages[path.Dir(name)] = append(packages[path.Dir(name)], f)
		problems = append(problems, checkLength(f)...)
		problems = append(problems, checkCalls(f)...)
		if !f.test {
			problems = append(problems, checkImports(f)...)
		}
	}
	for _, dir := range sortedKeys(packages) {
		problems = append(problems, checkPackage(dir, packages[dir])...)
		problems = append(problems, checkState(packages[dir])...)
	}
	return problems
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (f file) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", f.name, f.fset.Position(n.Pos()).Line)
}

func (f file) span(n ast.Node) int {
	return f.fset.Position(n.End()).Line - f.fset.Position(n.Pos()).Line + 1
}

func checkImports(f file) []string {
	dir := path.Dir(f.name)
	i := slices.IndexFunc(mayImport, func(r struct {
		pkg     string
		imports []string
	},
	) bool {
		ok, _ := path.Match(r.pkg, dir)
		return ok
	})
	if i < 0 {
		return []string{fmt.Sprintf("%s: package %s is not in the table of arch_test.go: say there what it may import", f.name, dir)}
	}
	var problems []string
	for _, spec := range f.Imports {
		imported := strings.Trim(spec.Path.Value, `"`)
		if !strings.Contains(strings.Split(imported, "/")[0], ".") {
			continue // standard library
		}
		if !allowed(dir, imported, mayImport[i].imports) {
			problems = append(problems, fmt.Sprintf("%s: %s may not import %s", f.at(spec), dir, imported))
		}
	}
	return problems
}

func allowed(dir, imported string, rules []string) bool {
	local, ours := strings.CutPrefix(imported, module)
	if ours && (local == "testbed" || local == "e2e" || strings.HasPrefix(local, "testbed/")) {
		return strings.HasPrefix(dir, "testbed") || strings.HasPrefix(dir, "e2e")
	}
	for _, rule := range rules {
		if rule == "*" {
			return true
		}
		if ours {
			if ok, _ := path.Match(rule, local); ok {
				return true
			}
		} else if imported == rule || strings.HasPrefix(imported, strings.TrimSuffix(rule, "/")+"/") {
			return true
		}
	}
	return false
}

// checkLength leaves out tables: literals of slices, arrays and maps.
func checkLength(f file) []string {
	var problems []string
	if n := f.lines - f.tableLines(f.File); n > maxFileLines {
		problems = append(problems, fmt.Sprintf("%s: %d lines; at most %d", f.name, n, maxFileLines))
	}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := f.span(fn) - f.tableLines(fn); n > maxFunctionLines {
			problems = append(problems, fmt.Sprintf("%s: function %s has %d lines; at most %d", f.at(fn), fn.Name.Name, n, maxFunctionLines))
		}
	}
	return problems
}

func (f file) tableLines(in ast.Node) int {
	lines := 0
	ast.Inspect(in, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		switch lit.Type.(type) {
		case *ast.ArrayType, *ast.MapType:
			lines += f.span(lit) - 1
			return false
		}
		return true
	})
	return lines
}

func checkCalls(f file) []string {
	if f.Name.Name == "main" || f.test {
		return nil
	}
	var problems []string
	ast.Inspect(f.File, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if name := selector(sel); slices.Contains(endsProcess, name) {
				problems = append(problems, fmt.Sprintf("%s: %s outside cmd: return an error", f.at(sel), name))
			}
		}
		return true
	})
	return problems
}

// selector is "pkg.Name" for a selector on a plain identifier.
func selector(e ast.Expr) string {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	x, ok := sel.X.(*ast.Ident)
	if !ok {
		return ""
	}
	return x.Name + "." + sel.Sel.Name
}

func checkPackage(dir string, files []file) []string {
	var problems []string
	comments, source := 0, false
	for _, f := range files {
		if slices.Contains(forbiddenNames, strings.TrimSuffix(f.Name.Name, "_test")) {
			problems = append(problems, fmt.Sprintf("%s: package name %s says nothing", f.name, f.Name.Name))
		}
		if f.test {
			continue
		}
		source = true
		if f.Doc != nil {
			comments++
		}
		if f.Name.Name == "main" && !strings.HasPrefix(dir, "cmd/") && !strings.HasPrefix(dir, "testbed/") && !strings.HasPrefix(dir, "e2e/") && !strings.HasPrefix(dir, "examples/") {
			problems = append(problems, fmt.Sprintf("%s: package main outside cmd", f.name))
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				problems = append(problems, fmt.Sprintf("%s: func init: call it where it is needed", f.at(fn)))
			}
		}
	}
	if source && comments != 1 {
		problems = append(problems, fmt.Sprintf("%s: %d package comments; exactly one", dir, comments))
	}
	return problems
}

// checkState finds package variables that are, or may be, changed. Allowed are values that nothing assigns to after their
// declaration: sentinel errors, compiled patterns, embedded files, tables.
func checkState(files []file) []string {
	var problems []string
	for _, f := range files {
		if f.test {
			continue
		}
		for _, d := range f.Decls {
			decl, ok := d.(*ast.GenDecl)
			if !ok || decl.Tok != token.VAR {
				continue
			}
			for _, s := range decl.Specs {
				spec := s.(*ast.ValueSpec)
				for i, name := range spec.Names {
					if name.Name == "_" || embedded(decl, spec) {
						continue
					}
					if why := mutable(spec, i); why != "" {
						problems = append(problems, fmt.Sprintf("%s: package variable %s: %s", f.at(name), name.Name, why))
					} else if where := changed(files, spec, name.Name); where != "" {
						problems = append(problems, fmt.Sprintf("%s: package variable %s is changed at %s", f.at(name), name.Name, where))
					}
				}
			}
		}
	}
	return problems
}

func embedded(decl *ast.GenDecl, spec *ast.ValueSpec) bool {
	for _, group := range []*ast.CommentGroup{decl.Doc, spec.Doc} {
		if group == nil {
			continue
		}
		for _, c := range group.List {
			if strings.HasPrefix(c.Text, "//go:embed ") {
				return true
			}
		}
	}
	return false
}

// mutable says why a variable is of use only when it changes.
func mutable(spec *ast.ValueSpec, i int) string {
	if len(spec.Values) == 0 {
		switch t := spec.Type.(type) {
		case *ast.ArrayType:
			return "" // zeros
		case *ast.Ident:
			if t.Name == "string" {
				return "" // for the linker to set
			}
		}
		return "it has no value, so it is state"
	}
	value := spec.Values[min(i, len(spec.Values)-1)]
	if unary, ok := value.(*ast.UnaryExpr); ok {
		value = unary.X
	}
	switch v := value.(type) {
	case *ast.CompositeLit:
		if pkg, _, _ := strings.Cut(selector(v.Type), "."); pkg == "sync" || pkg == "atomic" {
			return "it is state"
		}
	case *ast.CallExpr:
		fun := v.Fun
		if index, ok := fun.(*ast.IndexExpr); ok {
			fun = index.X
		}
		if id, ok := fun.(*ast.Ident); ok && (id.Name == "make" || id.Name == "new") {
			return "it is state"
		}
		if pkg, _, _ := strings.Cut(selector(fun), "."); pkg == "sync" || pkg == "atomic" {
			return "it is state"
		}
	}
	return ""
}

// changed is the place that assigns to the variable or takes its address; "" when there is none.
func changed(files []file, spec *ast.ValueSpec, name string) string {
	where := ""
	for _, f := range files {
		if f.test {
			continue
		}
		hit := func(n ast.Node, target ast.Expr) {
			// An identifier that is not resolved in its own file belongs to the package.
			if id := root(target); where == "" && id != nil && id.Name == name && (id.Obj == nil || id.Obj.Decl == spec) {
				where = f.at(n)
			}
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok == token.DEFINE {
					return true
				}
				for _, l := range n.Lhs {
					hit(n, l)
				}
			case *ast.IncDecStmt:
				hit(n, n.X)
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					hit(n, n.X)
				}
			case *ast.CallExpr:
				if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "delete" || id.Name == "clear") && len(n.Args) > 0 {
					hit(n, n.Args[0])
				}
			}
			return true
		})
	}
	return where
}

// root is the variable that an expression such as a[i].b is part of.
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		default:
			return nil
		}
	}
}

func TestCheckFindsWhatItIsFor(t *testing.T) {
	t.Parallel()
	const doc = "// Package x is x.\npackage x\n"
	long := "func f() {\n" + strings.Repeat("\tg()\n", maxFunctionLines) + "}\n"
	cases := []struct {
		name, file, text string
		want             string // part of the only problem; "": none
	}{
		{"good", "schemas/a.go", doc + "import \"errors\"\nvar errA = errors.New(\"a\")\nvar table = map[string]int{\"a\": 1}\nvar _ = table\n", ""},
		{"driver in runtime", "runtime/a.go", doc + "import _ \"github.com/jackc/pgx/v5\"\n", "runtime may not import github.com/jackc/pgx/v5"},
		{"child of runtime", "runtime/a.go", doc + "import _ \"" + module + "runtime/rest\"\n", "may not import"},
		{"connector in connector", "connectors/file/a.go", doc + "import _ \"" + module + "connectors/kafka\"\n", "may not import"},
		{"sarama beside kafkaclient", "offsets/kafkastore/a.go", doc + "import _ \"github.com/IBM/sarama\"\n", "may not import"},
		{"prefix of another module", "kafkaclient/a.go", doc + "import _ \"github.com/IBM/sarama2\"\n", "may not import"},
		{"testbed in the product", "cmd/freshet/a.go", doc + "import _ \"" + module + "testbed\"\n", "may not import"},
		{"testbed in a test", "runtime/a_test.go", "package x\nimport _ \"" + module + "testbed\"\n", ""},
		{"unknown package", "surprise/a.go", doc, "is not in the table"},
		{"no comment", "schemas/a.go", "package x\n", "0 package comments"},
		{"bad name", "connectors/a.go", "// Package util is x.\npackage util\n", "says nothing"},
		{"init", "schemas/a.go", doc + "func init() {}\n", "func init"},
		{"method named init", "schemas/a.go", doc + "type a int\nfunc (a) init() {}\n", ""},
		{"exit", "runtime/a.go", doc + "import \"os\"\nfunc f() { os.Exit(1) }\n", "os.Exit outside cmd"},
		{"signal", "runtime/a.go", doc + "import \"os/signal\"\nfunc f() { signal.Notify(nil) }\n", "signal.Notify outside cmd"},
		{"exit in cmd", "cmd/freshet/a.go", "// Command x.\npackage main\nimport \"os\"\nfunc main() { os.Exit(1) }\n", ""},
		{"main elsewhere", "runtime/a.go", "// Command x.\npackage main\n", "package main outside cmd"},
		{"assigned", "schemas/a.go", doc + "var a = 1\nfunc f() { a = 2 }\n", "a is changed"},
		{"element assigned", "schemas/a.go", doc + "var a = []int{1}\nfunc f() { a[0]++ }\n", "a is changed"},
		{"address taken", "schemas/a.go", doc + "type s struct{ b int }\nvar a = s{}\nfunc f() *int { return &a.b }\n", "a is changed"},
		{"deleted", "schemas/a.go", doc + "var a = map[int]int{}\nfunc f() { delete(a, 1) }\n", "a is changed"},
		{"shadowed", "schemas/a.go", doc + "var a = 1\nfunc f() { a := a; a = 2; _ = a }\n", ""},
		{"no value", "schemas/a.go", doc + "var a map[int]int\n", "it is state"},
		{"lock", "schemas/a.go", doc + "import \"sync\"\nvar a = sync.Mutex{}\n", "it is state"},
		{"once", "schemas/a.go", doc + "import \"sync\"\nvar a = sync.OnceValue(f)\nfunc f() int { return 1 }\n", "it is state"},
		{"make", "schemas/a.go", doc + "var a = make(map[int]int)\n", "it is state"},
		{"pattern", "schemas/a.go", doc + "import \"regexp\"\nvar a = regexp.MustCompile(`a`)\n", ""},
		{"embedded", "schemas/a.go", doc + "import _ \"embed\"\n//go:embed a\nvar a string\n", ""},
		{"long function", "schemas/a.go", doc + "func g() {}\n" + long, "function f has 82 lines"},
		{"long table", "schemas/a.go", doc + "func f() []int {\n\treturn []int{\n" + strings.Repeat("\t\t1,\n", 100) + "\t}\n}\n", ""},
		{"long file", "schemas/a.go", doc + strings.Repeat("// x\n", maxFileLines), "at most 600"},
		{"generated", "schemas/a.go", "// Code generated by x. DO NOT EDIT.\n\npackage x\nfunc init() {}\n" + strings.Repeat("// x\n", maxFileLines), ""},
		{"does not parse", "schemas/a.go", "package", "expected"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := check(map[string]string{c.file: c.text})
			if c.want == "" && len(got) == 0 {
				return
			}
			if len(got) != 1 || c.want == "" || !strings.Contains(got[0], c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	two := check(map[string]string{"schemas/a.go": doc + "var a = 1\n", "schemas/b.go": "package x\nfunc f() { a++ }\n"})
	if len(two) != 1 || !strings.Contains(two[0], "schemas/b.go:2") {
		t.Errorf("a change in another file: %q", two)
	}
}
