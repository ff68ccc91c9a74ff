package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// event is a line of `go test -json`; see `go doc test2json`.
type event struct {
	Action  string
	Package string
	Test    string
	Elapsed float64 // seconds
	Output  string
}

// notRun marks the output of a test that was skipped because its surroundings are missing.
const notRun = "NOT RUN"

type testKey struct{ pkg, name string }

type counter struct {
	out                     io.Writer
	output                  map[testKey][]string // of tests that run; name "": the package
	parents                 map[testKey]bool     // tests with subtests: their subtests count, not they
	failedIn                map[string]int       // failed tests of the package that runs
	passed, failed, skipped int
	missing                 []string // tests that were not run
}

// summarize returns whether tests ran and none failed.
func summarize(in io.Reader, out io.Writer) (bool, error) {
	c := counter{out: out, output: map[testKey][]string{}, parents: map[testKey]bool{}, failedIn: map[string]int{}}
	r := bufio.NewReader(in)
	for {
		line, err := r.ReadString('\n')
		var e event
		if json.Unmarshal([]byte(line), &e) == nil {
			c.add(e)
		} else {
			fmt.Fprint(out, line) // what go itself says
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return false, fmt.Errorf("read test events: %w", err)
		}
	}
	c.finish()
	return c.failed == 0 && c.passed > 0, nil
}

func (c *counter) add(e event) {
	key := testKey{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(c.out, e.Output)
	case "run":
		c.output[key] = nil
		if i := strings.LastIndexByte(e.Test, '/'); i > 0 {
			c.parents[testKey{e.Package, e.Test[:i]}] = true
		}
	case "output":
		c.output[key] = append(c.output[key], e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			c.endPackage(e)
		} else {
			c.endTest(e, key)
		}
		delete(c.output, key)
	}
}

func (c *counter) endTest(e event, key testKey) {
	text := strings.Join(c.output[key], "")
	switch {
	case e.Action == "fail":
		fmt.Fprintf(c.out, "FAIL  %s %s (%.1f s)\n%s", e.Package, e.Test, e.Elapsed, indent(text))
		if !c.parents[key] {
			c.failed++
			c.failedIn[e.Package]++
		} else if c.failedIn[e.Package] == 0 { // failed by itself, after its subtests passed
			c.failed++
			c.failedIn[e.Package]++
		}
	case c.parents[key]:
	case e.Action == "pass":
		c.passed++
	default:
		c.skipped++
		if strings.Contains(text, notRun) {
			c.missing = append(c.missing, e.Package+" "+e.Test)
		} else {
			fmt.Fprintf(c.out, "skip  %s %s\n%s", e.Package, e.Test, indent(text))
		}
	}
}

func (c *counter) endPackage(e event) {
	if e.Action == "fail" {
		// Tests that were running when the process ended (panic, timeout) have no end of their own.
		for _, key := range c.running(e.Package) {
			fmt.Fprintf(c.out, "FAIL  %s %s (did not end)\n%s", key.pkg, key.name, indent(strings.Join(c.output[key], "")))
			c.failed++
			c.failedIn[e.Package]++
			delete(c.output, key)
		}
		if c.failedIn[e.Package] == 0 {
			c.failed++
		}
		fmt.Fprintf(c.out, "FAIL  %s (%.1f s)\n%s", e.Package, e.Elapsed, indent(strings.Join(c.output[testKey{e.Package, ""}], "")))
	} else if e.Action == "pass" {
		fmt.Fprintf(c.out, "ok    %s (%.1f s)\n", e.Package, e.Elapsed)
	}
	delete(c.failedIn, e.Package)
}

func (c *counter) running(pkg string) []testKey {
	var keys []testKey
	for key := range c.output {
		if key.pkg == pkg && key.name != "" && !c.parents[key] {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b testKey) int { return strings.Compare(a.name, b.name) })
	return keys
}

func (c *counter) finish() {
	if len(c.missing) > 0 {
		rule := strings.Repeat("#", 80)
		fmt.Fprintf(c.out, "\n%s\n# NOT RUN, as no container engine was found (see testdata/images/engine):\n", rule)
		for _, name := range c.missing {
			fmt.Fprintf(c.out, "#   %s\n", name)
		}
		fmt.Fprintln(c.out, rule)
	}
	fmt.Fprintf(c.out, "%d passed, %d failed, %d skipped\n", c.passed, c.failed, c.skipped)
}

func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		b.WriteString("      " + line)
	}
	return b.String()
}
