package rest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const golden = "../../testdata/golden/rest"

// parrot answers the requests of a scenario with what was recorded, in order, with the values of the player's variables.
type parrot struct {
	mu      sync.Mutex
	player  *Player
	answers []Record
}

func (p *parrot) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.answers[0]
	if len(p.answers) > 1 {
		p.answers = p.answers[1:]
	}
	fill := strings.NewReplacer("{{BASE}}", p.player.base.String(), "{{HOSTPORT}}", p.player.base.Host, "{{PLUGINS}}", "/plugins")
	for k, v := range a.Headers {
		w.Header().Set(k, p.player.fill(fill.Replace(v)))
	}
	body := ""
	if a.hasBody {
		b, err := json.Marshal(a.Body)
		if err != nil {
			panic(err)
		}
		body = string(b)
	} else if a.Text != nil {
		body = *a.Text
	}
	if _, ok := a.Headers["content-type"]; !ok {
		w.Header()["Content-Type"] = nil
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write([]byte(p.player.fill(fill.Replace(body)))) // HEAD and 204 have none
}

// TestRecordedAgainstItself plays every scenario against a server that repeats what was recorded.
func TestRecordedAgainstItself(t *testing.T) {
	t.Parallel()
	scenarios, err := Load(golden)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, s := range scenarios {
		server := &parrot{}
		h := httptest.NewServer(server)
		have := []string{"two-workers", "postgres", "basic-auth", "disposable"}
		p, err := NewPlayer(h.URL, "", have, map[string]string{"DIR": t.TempDir(), "PLUGINS": "/plugins", "PGPORT": "15999"})
		if err != nil {
			t.Fatal(err)
		}
		server.player = p
		for i := range s.Steps {
			s.Steps[i].Delay, s.Steps[i].Reduce = 0, "" // what was recorded is reduced
			if s.Steps[i].Path == "/connectors/%zz" {
				s.Steps[i].Path = "/" // the parrot's own server refuses it
			}
			server.answers = append(server.answers, s.Recorded[s.Steps[i].Step])
		}
		n, differences, err := p.Play(s)
		if err != nil {
			t.Fatal(err)
		}
		total += n
		for _, d := range differences {
			t.Error(d)
		}
		h.Close()
	}
	if total < 800 {
		t.Errorf("%d steps compared", total)
	}
}

// TestCompareSees changes one thing in every recorded answer, and Compare must say so.
func TestCompareSees(t *testing.T) {
	t.Parallel()
	scenarios, err := Load(golden)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, s := range scenarios {
		for _, step := range s.Steps {
			want := s.Recorded[step.Step]
			for name, changed := range changes(want) {
				seen++
				if d := Compare(step, want, changed); len(d) == 0 {
					t.Errorf("%s/%s: %s is not noticed", s.Name, step.Step, name)
				}
			}
		}
	}
	if seen < 3000 {
		t.Errorf("%d changes tried", seen)
	}
}

func changes(r Record) map[string]Record {
	out := map[string]Record{}
	with := func(name string, f func(*Record)) {
		c := r
		c.Headers = map[string]string{}
		for k, v := range r.Headers {
			c.Headers[k] = v
		}
		f(&c)
		out[name] = c
	}
	with("another status", func(c *Record) { c.Status++ })
	with("a header too many", func(c *Record) { c.Headers["vary"] = "x" })
	if r.hasBody {
		with("another kind of body", func(c *Record) { c.Body = json.Number("3") })
		with("no body", func(c *Record) { c.hasBody = false })
	}
	for k := range r.Headers {
		with("no "+k, func(c *Record) { delete(c.Headers, k) })
	}
	return out
}

func TestCompareRules(t *testing.T) {
	t.Parallel()
	record := func(body string) Record {
		var r Record
		if err := json.Unmarshal([]byte(`{"step":"s","status":200,"headers":{},"body":`+body+`}`), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	get := Step{Step: "s", Method: "GET", Path: "/x"}
	cases := []struct {
		name      string
		step      Step
		want, got string
		same      bool
	}{
		{"number and its text", get, `{"a":1}`, `{"a":"1"}`, false},
		{"whole number and fraction", get, `{"a":1}`, `{"a":1.0}`, false},
		{"order of keys", get, `{"a":1,"b":2}`, `{"b":2,"a":1}`, true},
		{"order of a list", get, `{"a":[1,2]}`, `{"a":[2,1]}`, false},
		{"order of names", get, `["a","b"]`, `["b","a"]`, true},
		{"order of topics", get, `{"topics":["a","b"]}`, `{"topics":["b","a"]}`, true},
		{"null and absent", get, `{"a":null}`, `{}`, false},
		{"worker", get, `{"worker_id":"a:1"}`, `{"worker_id":"b:2"}`, true},
		{"first line of a trace", get, `{"trace":"a\nb"}`, `{"trace":"a\nc"}`, true},
		{"other trace", get, `{"trace":"a\nb"}`, `{"trace":"b\nb"}`, false},
		{"version", get, `{"version":"1"}`, `{"version":null}`, true},
		{"version in a configuration", get, `{"config":{"version":"1"}}`, `{"config":{"version":"2"}}`, false},
		{"last modified", get, `{"last_modified":1}`, `{"last_modified":null}`, false},
		{"loose", Step{Step: "s", Loose: map[string]string{"/m": "^a"}}, `{"m":"ab"}`, `{"m":"ac"}`, true},
		{"too loose", Step{Step: "s", Loose: map[string]string{"/m": "^a"}}, `{"m":"ab"}`, `{"m":"b"}`, false},
		{"superset", Step{Step: "s", Superset: []string{""}}, `[{"a":1},{"a":3}]`, `[{"a":1},{"a":2},{"a":3}]`, true},
		{"superset out of order", Step{Step: "s", Superset: []string{""}}, `[{"a":3},{"a":1}]`, `[{"a":1},{"a":2},{"a":3}]`, false},
		{"superset of an object", Step{Step: "s", Superset: []string{"/o"}}, `{"o":{"a":1}}`, `{"o":{"a":1,"b":1}}`, true},
		{"object beside a superset", Step{Step: "s", Superset: []string{"/o"}}, `{"o":{"a":1}}`, `{"o":{"a":1},"b":1}`, false},
		{"drop", Step{Step: "s", Drop: []string{"v"}}, `{"v":1}`, `{}`, true},
		{"drop in a configuration", Step{Step: "s", Drop: []string{"v"}}, `{"config":{"v":1}}`, `{"config":{}}`, false},
		{"alternate", Step{Step: "s", Alternates: []Alternate{{200, "^good"}}}, `{"message":"a"}`, `{"message":"good b"}`, true},
		{"no alternate", Step{Step: "s", Alternates: []Alternate{{200, "^good"}}}, `{"message":"a"}`, `{"message":"b"}`, false},
		{"others' connectors", Step{Step: "s", Method: "GET", Path: "/connectors"}, `["{{RUN}}a","x"]`, `["y","{{RUN}}a"]`, true},
		{"own connectors", Step{Step: "s", Method: "GET", Path: "/connectors"}, `["{{RUN}}a"]`, `[]`, false},
	}
	for _, c := range cases {
		if d := Compare(c.step, record(c.want), record(c.got)); (len(d) == 0) != c.same {
			t.Errorf("%s: %v", c.name, d)
		}
	}
}

func TestUntil(t *testing.T) {
	t.Parallel()
	p := &Player{vars: map[string]string{"RUN": "q1"}}
	doc, _ := parse([]byte(`{"a":{"b":[1,"x"]},"topics":["q1-ü"],"n":null}`))
	for text, want := range map[string]bool{
		`{"status":200}`:                                   true,
		`{"status":[404,200]}`:                             true,
		`{"status":[404]}`:                                 false,
		`{"equals":{"/a/b/0":1}}`:                          true,
		`{"equals":{"/a/b/1":"{{RUN}}"}}`:                  false,
		`{"len":{"/a/b":2,"/a":1}}`:                        true,
		`{"len":{"/none":0}}`:                              false,
		`{"contains":{"":"topics\": [\"{{RUN}}-\\u00fc"}}`: true,
		`{"contains":{"/topics":"{{RUN}}-ü"}}`:             true,
		`{"not_contains":{"":"topics\": [\"{{RUN}}"}}`:     false,
	} {
		var u Until
		if err := json.Unmarshal([]byte(text), &u); err != nil {
			t.Fatal(err)
		}
		if got := p.holds(&u, 200, doc); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestEveryScriptIsPlayable(t *testing.T) {
	t.Parallel()
	scenarios, err := Load(golden)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scenarios {
		var names []string
		for i, step := range s.Steps {
			if step.Step == "" || step.Method == "" || step.Path == "" || slices.Contains(names, step.Step) {
				t.Errorf("%s: step %s of line %s has no name, method or path, or another's name", s.Name, step.Step, strconv.Itoa(i+2))
			}
			names = append(names, step.Step)
			if _, ok := s.Recorded[step.Step]; !ok {
				t.Errorf("%s/%s is not recorded", s.Name, step.Step)
			}
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	operations, err := description("../../docs/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(operations, func(o operation) bool { return o.Path == "/connectors/{connector}/config" && o.Method == "PUT" })
	if i < 0 || operations[i].body == nil || operations[i].body.More == nil || len(operations[i].Parameters) != 2 {
		t.Fatalf("%d: %+v", i, operations)
	}
	q := query{operation: operations[i], method: "PUT", described: true}
	good := http.Header{"Content-Type": {"application/json"}}
	for _, c := range []struct {
		status int
		body   string
		want   bool
	}{
		{200, `{}`, true},
		{202, `{}`, false},
		{404, `{"error_code":404,"message":"m"}`, true},
		{404, `{"error_code":400,"message":"m"}`, false},
		{404, `{"error_code":404,"message":""}`, false},
		{404, `404`, false},
		{500, `{"error_code":500,"message":"m"}`, false},
		{500, `{"error_code":500,"message":"known"}`, true},
		{503, `{"error_code":503,"message":"m"}`, false},
		{400, ``, true},
	} {
		wrong := q.judge(c.status, good, []byte(c.body), func(_, _, message string) bool { return message == "known" })
		if (wrong == "") != c.want {
			t.Errorf("%d %s: %q", c.status, c.body, wrong)
		}
	}
	q.described = false
	if wrong := q.judge(500, good, []byte(`{"error_code":500,"message":"m"}`), nil); wrong != "" {
		t.Errorf("500 for a bad request: %s", wrong)
	}
	if wrong := q.judge(500, good, []byte(`{"error_code":500,"message":"internal error: x"}`), nil); wrong == "" {
		t.Error("a panic is taken for good")
	}
}
