package postgres

import (
	"strings"
	"testing"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

// reselecting is the configuration of a post-processor.
func reselecting(more ...string) connectors.Config {
	c := connectors.Config{"post.processors": "again", "again.type": changes.ReselectClass}
	for i := 0; i+1 < len(more); i += 2 {
		c["again."+more[i]] = more[i+1]
	}
	return c
}

func TestReselect(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("0123456789", 1000)
	run := func(t *testing.T, c connectors.Config, events int, wanted string) *rig {
		t.Helper()
		r := newRig(t, c)
		r.exec("CREATE TABLE d (id int, k text, v text, big text, other text, PRIMARY KEY (k, id))", "ALTER TABLE d ALTER big SET STORAGE EXTERNAL")
		r.start()
		if err := r.poll(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		r.exec("INSERT INTO d VALUES (1,'it''s','x','"+big+"','o'), (2,'b','x',NULL,'o')", "UPDATE d SET v = 'y'", "UPDATE d SET v = 'z', other = 'p' WHERE id = 1", "DELETE FROM d WHERE id = 2")
		r.until(events)
		for i := range r.events {
			r.events[i] = strings.TrimPrefix(strings.TrimSuffix(strings.ReplaceAll(r.events[i], big, "big"), " last."), "public.")
		}
		want(t, r.events, wanted)
		return r
	}
	// All of it is one batch or several: the rows are as they are when they are read, and one is gone by then.
	t.Run("all", func(t *testing.T) {
		t.Parallel()
		run(t, reselecting(), 7, `
			d c (it's,1) after (1,it's,x,big,o)
			d c (b,2) after (2,b,x,null,o)
			d u (it's,1) after (1,it's,y,big,o)
			d u (b,2) after (2,b,y,null,o)
			d u (it's,1) after (1,it's,z,big,p)
			d d (b,2) before (2,b,-,-,-)
			d 0 (b,2)`)
	})
	t.Run("other columns", func(t *testing.T) {
		t.Parallel()
		run(t, reselecting("reselect.columns.include.list", "public.d:v", "reselect.error.handling.mode", "fail"), 7, `
			d c (it's,1) after (1,it's,x,big,o)
			d c (b,2) after (2,b,x,null,o)
			d u (it's,1) after (1,it's,y,?,o)
			d u (b,2) after (2,b,y,null,o)
			d u (it's,1) after (1,it's,z,?,p)
			d d (b,2) before (2,b,-,-,-)
			d 0 (b,2)`)
	})
	t.Run("gone", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, reselecting("reselect.error.handling.mode", "fail"))
		r.exec("CREATE TABLE d (id int PRIMARY KEY, v text)")
		r.start()
		if err := r.poll(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		r.exec("BEGIN; INSERT INTO d VALUES (1, NULL); DELETE FROM d; COMMIT")
		if err := r.pollError(); connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(err.Error(), "table public.d") || !strings.Contains(err.Error(), "not there any more") {
			t.Errorf("%v", err)
		}
	})
}

// A lost connection is opened again, and more rows lack something than one SELECT asks for.
func TestReselectManyAndAgain(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("0123456789", 400)
	r := newRig(t, reselecting("reselect.use.event.key", "true", "reselect.null.values", "false"))
	r.exec("CREATE TABLE d (id bigint PRIMARY KEY, v text, big text)", "ALTER TABLE d ALTER big SET STORAGE EXTERNAL")
	r.start()
	if err := r.poll(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	r.exec("INSERT INTO d SELECT g, NULL, '" + big + "' FROM generate_series(1, 300) g")
	for round := range 2 {
		r.exec("UPDATE d SET v = coalesce(v, '') || 'y'")
		r.until(600 + 300*round)
		if round == 0 {
			r.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%FROM \"public\".\"d\"%'")
		}
	}
	for _, e := range r.events {
		if strings.Contains(e, "?") || !strings.Contains(e, big) {
			t.Fatalf("%.200s", e)
		}
	}
}
