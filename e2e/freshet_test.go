package e2e

import (
	"strings"
	"testing"

	"github.com/freshet-io/freshet/testbed"
)

// start runs freshet in the directory until the test ends.
func start(t testing.TB, dir string, args ...string) *testbed.Program {
	t.Helper()
	return bed.Freshet(t, dir, args...)
}

// once runs freshet to its end and returns what it printed and its exit code.
func once(t testing.TB, dir string, args ...string) (string, int) {
	t.Helper()
	p := start(t, dir, args...)
	code := p.Ends()
	return p.Output(), code
}

func missing(text string, wanted []string) []string {
	var out []string
	for _, w := range wanted {
		if !strings.Contains(text, w) {
			out = append(out, w)
		}
	}
	return out
}
