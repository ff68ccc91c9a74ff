package plugins_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/plugins/plugintest"
)

// TestResumesIsAskedOnce: whether a source has positions to resume at is asked of one process for each configuration, and an answer that was
// none is not remembered.
func TestResumesIsAskedOnce(t *testing.T) {
	dir := t.TempDir()
	starts, script, away := filepath.Join(dir, "starts"), filepath.Join(dir, "run"), filepath.Join(dir, "away")
	c := plugintest.Command(t)
	text := fmt.Sprintf("#!/bin/sh\necho >> '%s'\nexec '%s'\n", starts, c.Path)
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	c.Path = script
	sources, _, err := c.Open(t.Context(), slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	resumes, began := sources[0].Describe().Resumes, countLines(starts)
	ask := func(file string, want bool, processes int) {
		t.Helper()
		if got := resumes(connectors.Config{"file": file, "topic": "t"}); got != want || countLines(starts) != began+processes {
			t.Errorf("file %q resumes: %t; %d processes, want %d", file, got, countLines(starts)-began, processes)
		}
	}
	ask("in.txt", true, 1)
	ask("in.txt", true, 1)
	if err := os.Rename(script, away); err != nil {
		t.Fatal(err)
	}
	ask("", true, 1) // nobody knows
	if err := os.Rename(away, script); err != nil {
		t.Fatal(err)
	}
	ask("", false, 2)
	ask("", false, 2)
	ask("in.txt", true, 2)
}
