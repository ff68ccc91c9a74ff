package golden

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestSplit(t *testing.T) {
	t.Parallel()
	cases := []struct {
		in   string
		want []statement
	}{
		{"SELECT 1; SELECT 2", []statement{{text: "SELECT 1"}, {text: "SELECT 2"}}},
		{"SELECT ';', \"a;b\", 'it''s; ', E'a\\';' ;", []statement{{text: `SELECT ';', "a;b", 'it''s; ', E'a\';'`}}},
		{"DO $$ BEGIN; END $$; SELECT $1;", []statement{{text: "DO $$ BEGIN; END $$"}, {text: "SELECT $1"}}},
		{"DO $a$ ; $$ ; $a$;", []statement{{text: "DO $a$ ; $$ ; $a$"}}},
		{"CREATE RULE r AS ON INSERT TO a DO (SELECT 1; SELECT 2);", []statement{{text: "CREATE RULE r AS ON INSERT TO a DO (SELECT 1; SELECT 2)"}}},
		{"-- a; b\nSELECT 1 /* ; /* ; */ ; */;\n-- end\n", []statement{{text: "-- a; b\nSELECT 1 /* ; /* ; */ ; */"}}},
		{"COPY a FROM STDIN;\n1\tx;\n2\t'\n\\.\nSELECT 1;", []statement{{text: "COPY a FROM STDIN", copy: "1\tx;\n2\t'\n"}, {text: "SELECT 1"}}},
		{";;\n", nil},
	}
	for _, c := range cases {
		got, err := split(c.in, postgresToken)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q: %q %v", c.in, got, err)
		}
	}
	for _, in := range []string{"SELECT 'a", "SELECT \"a", "DO $$ a", "/* a", "COPY a FROM STDIN;\n1\n"} {
		if got, err := split(in, postgresToken); err == nil {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestSplitMySQL(t *testing.T) {
	t.Parallel()
	cases := []struct {
		in   string
		want []statement
	}{
		{"SELECT ';', \"a;b\", 'it''s; ', 'a\\';', `a;``b` ; SELECT 2", []statement{{text: "SELECT ';', \"a;b\", 'it''s; ', 'a\\';', `a;``b`"}, {text: "SELECT 2"}}},
		{"-- a; b\nSELECT 1--1 /* ; /* ; */ ; # x;\nSELECT 2;", []statement{{text: "-- a; b\nSELECT 1--1 /* ; /* ; */"}, {text: "# x;\nSELECT 2"}}},
		{"SELECT '$$'; /*!40101 SELECT ';' */;", []statement{{text: "SELECT '$$'"}, {text: "/*!40101 SELECT ';' */"}}},
	}
	for _, c := range cases {
		got, err := split(c.in, mysqlToken)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q: %q %v", c.in, got, err)
		}
	}
	for _, in := range []string{"SELECT 'a\\'", "SELECT `a", "/* a"} {
		if got, err := split(in, mysqlToken); err == nil {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestEveryScenarioReads(t *testing.T) {
	t.Parallel()
	ofMariaDB, err := filepath.Glob("../../testdata/golden/mariadb/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range append(folders(t), ofMariaDB...) {
		s, err := ReadScenario(dir)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, st := range s.steps {
			if st.op != "sql" {
				continue
			}
			b, err := os.ReadFile(filepath.Join(dir, st.text))
			if err != nil {
				t.Error(err)
				continue
			}
			token := mysqlToken
			if filepath.Base(filepath.Dir(dir)) == "postgres" {
				token = postgresToken
			}
			if list, err := split(string(b), token); err != nil || len(list) == 0 {
				t.Errorf("%s/%s: %d statements, %v", dir, st.text, len(list), err)
			}
		}
	}
}

func TestReadScenarioRefuses(t *testing.T) {
	t.Parallel()
	const head = `{"db":"postgres","database":"d","connector":{"topic.prefix":"p"},"steps":[`
	for _, text := range []string{
		`{}`, `{`, head + `{}]}`, head + `{"sql":"a","exec":"b"}]}`, head + `{"sql":1}]}`, head + `{"sql":"a","surprise":1}]}`,
		`{"db":"postgres","database":"d","connector":{"topic.prefix":"p"},"topics":["("],"steps":[]}`,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "scenario.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadScenario(dir); err == nil {
			t.Errorf("%s: no error", text)
		}
	}
}
