package demo

import (
	"strings"
	"testing"
)

// The demo as a user starts it, only shorter: by the program, also as root, with the servers that it downloads itself.
func TestDemo(t *testing.T) {
	for _, source := range []string{Postgres, MySQL} {
		t.Run(source, func(t *testing.T) {
			if err := Available(source); err != nil {
				t.Skip(err)
			}
			p := bed.Freshet(t, t.TempDir(), "demo", "--source", source, "--duration", "3s", "--rate", "500")
			if code := p.Ends(); code != 0 {
				t.Fatalf("exit code %d; it said:\n%s", code, p.Output())
			}
			for _, line := range []string{"killed the worker (SIGKILL) under load", "compared row by row", "\nlost 0, duplicated 0\n"} {
				if !strings.Contains(p.Output(), line) {
					t.Errorf("%q is not in what it said:\n%s", line, p.Output())
				}
			}
		})
	}
}
