package testbed

import (
	"net/http"
	"testing"
)

func TestClickHouse(t *testing.T) {
	t.Parallel()
	c := StartClickHouse(t)
	db := c.NewDatabase(t)
	c.Query(t, db, "CREATE TABLE a (id UInt32, v String, n UInt128, gone UInt8) ENGINE = ReplacingMergeTree(n, gone) ORDER BY id")
	c.Query(t, db, "INSERT INTO a VALUES (1, 'x', 1, 0), (1, 'y', 2, 0), (2, 'z', 1, 0), (2, '', 2, 1)")
	c.Kill(t)
	c.Restart(t)
	if got := c.Query(t, db, "SELECT id, v FROM a FINAL ORDER BY id"); got != "1\ty" {
		t.Errorf("rows %q", got)
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...string) *Search{"Elasticsearch": StartElasticsearch, "OpenSearch": StartOpenSearch} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			index := s.NewPrefix(t) + "-a"
			if s.Documents(t, index) != nil {
				t.Error("documents of an index that is not there")
			}
			s.Do(t, http.MethodPut, "/"+index+"/_doc/1?version=7&version_type=external_gte", `{"v":1}`)
			s.Kill(t)
			s.Restart(t)
			if got := s.Documents(t, index); len(got) != 1 || string(got["1"]) != `{"v":1}` {
				t.Errorf("documents %s", got)
			}
		})
	}
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	r := StartRegistry(t)
	register := func() string {
		status, body := Call(t, http.MethodPost, r.URL()+"/subjects/a-value/versions", `{"schema":"\"string\""}`)
		if status != http.StatusOK {
			t.Fatalf("status %d: %s", status, body)
		}
		return body
	}
	before := register()
	r.Kill(t)
	r.Restart(t)
	if after := register(); after != before {
		t.Errorf("id %s, and %s after a restart", before, after)
	}
}
