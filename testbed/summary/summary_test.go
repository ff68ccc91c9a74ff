package main

import (
	"strings"
	"testing"
)

func TestSummarize(t *testing.T) {
	t.Parallel()
	const good = `{"Action":"run","Package":"p","Test":"A"}
{"Action":"run","Package":"p","Test":"A/x"}
{"Action":"pass","Package":"p","Test":"A/x"}
{"Action":"run","Package":"p","Test":"A/y"}
{"Action":"pass","Package":"p","Test":"A/y"}
{"Action":"pass","Package":"p","Test":"A"}
{"Action":"pass","Package":"p","Elapsed":1.5}
`
	cases := []struct {
		name, in string
		ok       bool
		want     []string
	}{
		{"subtests count, their parent does not", good, true, []string{"ok    p (1.5 s)", "2 passed, 0 failed, 0 skipped"}},
		{"nothing ran", "", false, []string{"0 passed, 0 failed, 0 skipped"}},
		{"a failure shows its output", good + `{"Action":"run","Package":"q","Test":"B"}
{"Action":"output","Package":"q","Test":"B","Output":"    b.go:1: wrong\n"}
{"Action":"fail","Package":"q","Test":"B"}
{"Action":"fail","Package":"q"}
`, false, []string{"FAIL  q B", "b.go:1: wrong", "2 passed, 1 failed, 0 skipped"}},
		{"a package that does not compile", good + `{"Action":"build-output","ImportPath":"q","Output":"q.go:1: undefined: x\n"}
{"Action":"fail","Package":"q"}
`, false, []string{"q.go:1: undefined: x", "2 passed, 1 failed, 0 skipped"}},
		{"a test that never ends", good + `{"Action":"run","Package":"q","Test":"B"}
{"Action":"output","Package":"q","Test":"B","Output":"panic: test timed out\n"}
{"Action":"fail","Package":"q"}
`, false, []string{"FAIL  q B (did not end)", "panic: test timed out", "2 passed, 1 failed, 0 skipped"}},
		{"a test that was not run", good + `{"Action":"run","Package":"q","Test":"B"}
{"Action":"output","Package":"q","Test":"B","Output":"NOT RUN: this test needs a container engine\n"}
{"Action":"skip","Package":"q","Test":"B"}
{"Action":"pass","Package":"q"}
`, true, []string{"# NOT RUN", "#   q B", "2 passed, 0 failed, 1 skipped"}},
		{"what go says itself", "go: no such module\n" + good, true, []string{"go: no such module"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			ok, err := summarize(strings.NewReader(c.in), &out)
			if err != nil || ok != c.ok {
				t.Errorf("ok %v, error %v", ok, err)
			}
			for _, want := range c.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no %q in:\n%s", want, out.String())
				}
			}
		})
	}
}
