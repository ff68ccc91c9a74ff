package python_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/offsets/boltstore"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/testbed"
)

// TestOffsetsThatASourceOwns: a worker shows, sets and resets the offsets that a source's system keeps; the sink, which keeps some itself,
// follows, and the source goes on from there.
func TestOffsetsThatASourceOwns(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	in := testbed.WriteFile(t, dir, "in.txt", "1\n2\n3\n4\n5\n6\n")
	database := filepath.Join(dir, "copy.db")
	sources, sinks, err := command(t).Open(ctx, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	store, err := boltstore.Open(filepath.Join(dir, "offsets.db"))
	if err != nil {
		t.Fatal(err)
	}
	w := runtime.NewWorker(runtime.Options{Catalog: runtime.NewCatalog(sources, sinks), Store: store})
	c := connectors.Config{
		"connector.class": "test.Consumed", "file": in, "sinks": "copy", "sinks.copy.connector.class": "SqliteSink", "sinks.copy.path": database,
	}
	if err := w.Put(ctx, "c", c, runtime.Running); err != nil {
		t.Fatal(err)
	}
	partition := offsets.Partition(`{"file":"` + in + `"}`)
	entry := func(line, at string) offsets.Entry {
		return offsets.Entry{Partition: partition, Offset: offsets.Offset(`{"line":` + line + `,"at":` + at + `}`)}
	}
	// shows waits until the connector has read to a line, and stops it.
	shows := func(want string) {
		t.Helper()
		testbed.Eventually(t, func() string { return "it has not read to line " + want }, func() bool {
			text, err := os.ReadFile(in + ".offset")
			return err == nil && strings.Contains(string(text), `"line": `+want)
		})
		if err := w.Stop(ctx, "c"); err != nil {
			t.Fatal(err)
		}
	}
	rows := func() string { return strings.Join(strings.Fields(run(t, takeRows, database)), " ") }

	shows("6")
	if got := rows(); got != "1 2 3 4 5 6" {
		t.Errorf("rows %s", got)
	}
	list, err := w.Offsets(ctx, "c")
	if err != nil || len(list) != 1 || list[0] != entry("6", "12") {
		t.Errorf("offsets %v, %v", list, err)
	}
	_, err = w.AlterOffsets(ctx, "c", []offsets.Entry{{Partition: `{"file":"other"}`, Offset: entry("1", "2").Offset}})
	if request := (*runtime.RequestError)(nil); !errors.As(err, &request) || request.Kind != runtime.BadRequest || !strings.Contains(err.Error(), "does not read") {
		t.Errorf("got %v", err)
	}
	for _, step := range []struct {
		alter []offsets.Entry
		want  string
	}{{[]offsets.Entry{entry("4", "8")}, "5 6"}, {nil, "1 2 3 4 5 6"}} {
		change := func() (string, error) { return w.AlterOffsets(ctx, "c", step.alter) }
		if step.alter == nil {
			change = func() (string, error) { return w.ResetOffsets(ctx, "c") }
		}
		if message, err := change(); err != nil || !strings.HasPrefix(message, "The offsets for this connector have been") {
			t.Errorf("altered to %v: %q, %v", step.alter, message, err)
		}
		if list, err = w.Offsets(ctx, "c"); err != nil || len(list) != len(step.alter) {
			t.Errorf("offsets %v, %v, want %v", list, err, step.alter)
		}
		if err := w.Resume(ctx, "c"); err != nil {
			t.Fatal(err)
		}
		shows("6")
		if got := rows(); got != step.want {
			t.Errorf("altered to %v: rows %s, want %s", step.alter, got, step.want)
		}
	}
	if err := errors.Join(w.Close(ctx), store.Close()); err != nil {
		t.Error(err)
	}
}

// takeRows prints the rows of the table and empties it.
const takeRows = `import sqlite3, sys
c = sqlite3.connect(sys.argv[1])
for n, in c.execute("SELECT n FROM numbers ORDER BY n").fetchall(): print(n)
c.execute("DELETE FROM numbers")
c.commit()`
