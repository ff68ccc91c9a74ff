package httppoll

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/plugins/plugintest"
	"github.com/freshet-io/freshet/schemas"
)

const patience = 60 * time.Second

// endpoint answers with objects {"id":1,"at":"…"}: all of those with an id of at least since, a page at a time.
type endpoint struct {
	*httptest.Server
	page   int    // objects of a page
	lines  bool   // one per line
	status int    // in place of an answer; 0: none
	later  string // Retry-After of that; it is said once

	mu       sync.Mutex
	objects  []string // sorted
	ids      []int
	asked    []string // queries
	modified int      // answers that were not 304
}

func newEndpoint(t *testing.T) *endpoint {
	t.Helper()
	e := &endpoint{page: 1000}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) add(id int, object string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ids, e.objects = append(e.ids, id), append(e.objects, object)
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = append(e.asked, r.URL.RawQuery)
	if r.Header.Get("Authorization") != "Bearer secret" {
		http.Error(w, "secret", http.StatusUnauthorized)
		return
	}
	if e.status != 0 {
		status := e.status
		if e.later != "" {
			w.Header().Set("Retry-After", e.later)
			e.status = 0
		}
		http.Error(w, "", status)
		return
	}
	since, _ := strconv.Atoi(r.URL.Query().Get("since")) // 0 without it
	from, _ := strconv.Atoi(r.URL.Query().Get("from"))
	for from < len(e.ids) && e.ids[from] < since {
		from++
	}
	to := min(from+e.page, len(e.ids))
	etag := fmt.Sprintf(`"%d"`, len(e.ids))
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	e.modified++
	w.Header().Set("ETag", etag)
	if to < len(e.ids) {
		w.Header().Set("Link", fmt.Sprintf(`</?from=%d>; rel="next", </>; rel="first"`, to))
	}
	if e.lines {
		fmt.Fprint(w, strings.Join(e.objects[from:to], "\n"))
		return
	}
	fmt.Fprint(w, "["+strings.Join(e.objects[from:to], ",")+"]")
}

func (e *endpoint) config(more ...string) connectors.Config {
	c := connectors.Config{
		"http.url": e.URL, "http.authorization": "Bearer secret", "http.interval.ms": "1", "http.cursor.field": "id", "http.cursor.parameter": "since", "topic": "things",
	}
	for i := 0; i < len(more); i += 2 {
		c[more[i]] = more[i+1]
	}
	return c
}

// TestMain is also the plugin's main, for the tests that run the source in a process of its own.
func TestMain(m *testing.M) {
	if plugintest.Serve(Sources{}) {
		return
	}
	os.Exit(m.Run())
}

func newTask(t *testing.T, c connectors.Config) connectors.SourceTask {
	t.Helper()
	return taskOf(t, Sources{}, c)
}

func taskOf(t *testing.T, f connectors.SourceFactory, c connectors.Config) connectors.SourceTask {
	t.Helper()
	task, err := f.NewSource(c, connectors.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	return task
}

func TestSourceKeepsTheContract(t *testing.T) {
	for name, c := range map[string]struct {
		factory connectors.SourceFactory
		config  []string
		page    int
		lines   bool
		number  func(b *connectors.Batch, r *connectors.Record) int
	}{
		"Rows": {Sources{}, []string{"columns", "id:int64,name:text", "key.field", "id"}, 1000, false, func(b *connectors.Batch, r *connectors.Record) int { return int(b.Cells(r.Key)[0].Int()) }},
		"BodiesInPages": {Sources{}, []string{"key.field", "id"}, 3, true, func(b *connectors.Batch, r *connectors.Record) int {
			return int(b.Bodies[r.Value-1].Key.Value.(int64))
		}},
		"WithoutParameterInOwnProcess": {plugintest.Command(t).IsolateSource(Sources{}), []string{"http.cursor.parameter", "", "key.field", "id"}, 1000, false, func(b *connectors.Batch, r *connectors.Record) int {
			return int(b.Bodies[r.Value-1].Key.Value.(int64))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var e *endpoint
			h := connectortest.SourceHarness{
				New: func(t *testing.T) func() connectors.SourceTask {
					e = newEndpoint(t)
					e.page, e.lines = c.page, c.lines
					e.Config.SetKeepAlivesEnabled(false) // no goroutine of a connection outlives the source
					return func() connectors.SourceTask { return taskOf(t, c.factory, e.config(c.config...)) }
				},
				Write: func(_ *testing.T, from, to int) {
					for n := from; n <= to; n++ {
						e.add(n, fmt.Sprintf(`{"id":%d,"name":"n%d"}`, n, n))
					}
				},
				Number:   c.number,
				Patience: patience,
			}
			if name == "Rows" { // what has no columns takes every object
				h.Poison = func(_ *testing.T, n int) { e.add(n, fmt.Sprintf(`{"id":%d,"name":["no text"]}`, n)) }
			}
			connectortest.RunSource(t, h)
		})
	}
}

// session lends batches, and keeps what was not readable.
type session struct {
	connectors.SourceSession
	stored   []offsets.Entry
	tolerant bool
	refused  []string
}

func (s *session) Offsets(context.Context, ...offsets.Partition) ([]offsets.Entry, error) {
	return s.stored, nil
}

func (s *session) NewBatch(_ context.Context, p offsets.Partition) (*connectors.Builder, error) {
	return connectors.NewBuilder(p, nil, nil), nil
}

func (s *session) Tolerate(_ context.Context, r *connectors.Raw, _ connectors.Stage, cause error) error {
	s.refused = append(s.refused, string(r.Value))
	if s.tolerant {
		return nil
	}
	return cause
}

// poll starts a task and returns its first batch.
func poll(t *testing.T, c connectors.Config, s *session) (*connectors.Batch, connectors.SourceTask, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	task := newTask(t, c)
	t.Cleanup(func() { _ = task.Stop(ctx) })
	if err := task.Start(ctx, s); err != nil {
		return nil, task, err
	}
	b, err := task.Poll(ctx)
	return b, task, err
}

func TestColumns(t *testing.T) {
	e := newEndpoint(t)
	e.add(1, `{"id":1,"ok":true,"n":-2,"f":1.5,"d":"12.50","t":"Comet","at":"2026-01-01T00:00:00.000001Z","j":{"a":[1]},"more":0}`)
	e.add(2, `{"id":2,"n":"two"}`)
	e.add(3, `{"id":3}`)
	s := &session{}
	first, task, err := poll(t, e.config("columns", "id:int64,ok:bool,n:int64,f:float64,d:decimal,t:text,at:timestamp,j:json", "key.field", "id"), s)
	if err != nil || len(first.Records) != 1 || s.refused != nil {
		t.Fatalf("%d records, refused %q: %v", len(first.Records), s.refused, err)
	}
	if b, err := task.Poll(t.Context()); err == nil || len(s.refused) != 1 || !strings.Contains(s.refused[0], `"two"`) {
		t.Fatalf("%v, refused %q: %v", b, s.refused, err)
	}
	s.tolerant = true
	second, err := task.Poll(t.Context())
	if err != nil || len(second.Records) != 1 {
		t.Fatalf("%d records: %v", len(second.Records), err)
	}
	want := []schemas.StructValue{
		{int64(1), true, int64(-2), 1.5, schemas.StructValue{int32(1), []byte{125}}, "Comet", "2026-01-01T00:00:00.000001Z", `{"a":[1]}`},
		{int64(3), nil, nil, nil, nil, nil, nil, nil},
	}
	for i, b := range []*connectors.Batch{first, second} {
		body := changes.Materialize(b, &b.Records[0])
		if got := fmt.Sprintf("%v %v", body.Key.Value, body.Value.Value); got != fmt.Sprintf("%v %v", want[i][:1], want[i]) {
			t.Errorf("record %d is %s, want %v", i, got, want[i])
		}
		if n := uint64(2*i + 1); !strings.HasPrefix(string(b.Offset), fmt.Sprintf(`{"cursor":"%d","seen":"`, n)) || b.Through.Major != n {
			t.Errorf("offset %s, through %v", b.Offset, b.Through)
		}
	}
}

// Objects with one value of the cursor are told apart, also after a restart between them.
func TestEqualCursors(t *testing.T) {
	e := newEndpoint(t)
	e.add(7, `{"id":7,"at":"2026-01-01T00:00:00Z","n":1}`)
	e.add(7, `{"id":7,"at":"2026-01-01T00:00:00Z","n":2}`)
	b, task, err := poll(t, e.config(), &session{})
	if err != nil || len(b.Records) != 2 {
		t.Fatalf("%v, %v", b, err)
	}
	e.add(7, `{"id":7,"at":"2026-01-01T00:00:00Z","n":3}`)
	more, err := task.Poll(t.Context())
	if err != nil || len(more.Records) != 1 || more.Through.Compare(b.Through) <= 0 {
		t.Fatalf("%v, %v", more, err)
	}
	again, _, err := poll(t, e.config(), &session{stored: []offsets.Entry{{Partition: b.Source, Offset: b.Offset}}})
	if err != nil || len(again.Records) != 1 || again.Records[0].Order != more.Records[0].Order || again.Offset != more.Offset {
		t.Fatalf("%v, %v", again, err)
	}
}

func TestNotModified(t *testing.T) {
	e := newEndpoint(t)
	e.add(1, `{"id":1}`)
	b, task, err := poll(t, e.config(), &session{})
	if err != nil || len(b.Records) != 1 {
		t.Fatalf("%v, %v", b, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := task.Poll(ctx)
		ended <- err
	}()
	asked := func() (requests, answers int) {
		e.mu.Lock()
		defer e.mu.Unlock()
		return len(e.asked), e.modified
	}
	deadline := time.Now().Add(patience)
	for n, _ := asked(); n < 6 && time.Now().Before(deadline); n, _ = asked() {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-ended; err != context.Canceled { //nolint:errorlint // as the contract has it
		t.Errorf("Poll: %v", err)
	}
	if n, answers := asked(); n < 6 || answers != 2 || e.asked[1] != "since=1" {
		t.Errorf("%d requests, %d answers with content: %v", n, answers, e.asked)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		more   []string
		object string
		status int
		class  connectors.Class
		want   string
	}{
		{"authorization", []string{"http.authorization", "Bearer secret9"}, "", 0, connectors.Permanent, "401 Unauthorized; check http.authorization"},
		{"not found", nil, "", 404, connectors.Permanent, "404 Not Found; check http.url"},
		{"too many requests", nil, "", 429, connectors.Retriable, "429 Too Many Requests"},
		{"broken", nil, "", 503, connectors.Retriable, "503 Service Unavailable"},
		{"no answer", []string{"http.url", "http://127.0.0.1:1/x?key=secret"}, "", 0, connectors.Retriable, "ask http://127.0.0.1:1/x: dial tcp"},
		{"no JSON", nil, "<html>", 0, connectors.Permanent, "it is no JSON array"},
		{"no cursor", nil, `{"no":1}`, 0, connectors.Permanent, "field id is missing; name another one with http.cursor.field"},
		{"bad cursor", nil, `{"id":-1}`, 0, connectors.Permanent, `field id is "-1"`},
		{"not sorted", nil, `{"id":2},{"id":1}`, 0, connectors.Permanent, "let the endpoint sort by id"},
		{"too large", []string{"http.page.bytes", "4"}, `{"id":1}`, 0, connectors.Permanent, "raise http.page.bytes"},
		{"not of its type", []string{"columns", "id:int64,t:text"}, `{"id":1,"t":2}`, 0, connectors.Permanent, "with the cursor 1: column t"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEndpoint(t)
			e.status = c.status
			e.add(1, c.object)
			_, _, err := poll(t, e.config(c.more...), &session{})
			if err == nil || connectors.ClassOf(err) != c.class || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s error %v, want %q", connectors.ClassOf(err), err, c.want)
			}
		})
	}
}

// An endpoint that says when to ask again is asked then, by the same task, and not before.
func TestRetryAfter(t *testing.T) {
	for _, c := range []struct {
		status int
		later  string
	}{{429, "1"}, {503, "0"}, {503, time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)}} {
		e := newEndpoint(t)
		e.status, e.later = c.status, c.later
		e.add(1, `{"id":1}`)
		begin := time.Now()
		b, _, err := poll(t, e.config(), &session{})
		if err != nil || len(b.Records) != 1 || len(e.asked) != 2 {
			t.Errorf("%d, %s: %v, %v; asked %d times", c.status, c.later, b, err, len(e.asked))
		}
		if least, _ := retryAfter(c.later); time.Since(begin) < least {
			t.Errorf("%d, %s: asked again after %s", c.status, c.later, time.Since(begin))
		}
	}
	for text, want := range map[string]bool{"": false, "-1": false, "soon": false, "1.5": false, "4294967296": false, "120": true, "Wed, 21 Oct 2015 07:28:00 GMT": true} {
		if after, ok := retryAfter(text); ok != want || text == "120" && after != 2*time.Minute {
			t.Errorf("%q: %s, %t", text, after, ok)
		}
	}
	for asked, want := range map[time.Duration]time.Duration{-time.Hour: time.Second, time.Minute: time.Minute, 1000 * time.Hour: maxPause} {
		if got := pauseOf(asked, time.Second); got != want {
			t.Errorf("%s was asked for: %s", asked, got)
		}
	}
}

// http.authorization is for one server.
func TestNextPageElsewhere(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", `<http://elsewhere.example/>; rel="next"`)
		_ = json.NewEncoder(w).Encode([]any{})
	}))
	t.Cleanup(s.Close)
	_, _, err := poll(t, connectors.Config{"http.url": s.URL, "http.cursor.field": "id", "topic": "t"}, &session{})
	if err == nil || connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(err.Error(), "leads elsewhere") {
		t.Errorf("got %v", err)
	}
}

func TestValidate(t *testing.T) {
	e := newEndpoint(t)
	e.add(1, `{"id":1}`)
	for _, c := range []struct{ key, value, want string }{
		{"topic", "things", ""},
		{"topic", "", "A value is required"},
		{"http.url", "ftp://x", "A URL that begins with http:// or https:// is expected"},
		{"http.url", "http://me:secret@host", "use http.authorization"},
		{"http.authorization", "Bearer secret9", "check http.authorization"},
		{"http.cursor.field", "name", "field name is missing"},
		{"columns", "id:int", `"id:int" is not name:type`},
		{"key.field", "id", ""},
		{"htpp.url", "x", "unknown key htpp.url"},
	} {
		got := strings.Join(connectors.Errors(Sources{}.Validate(t.Context(), e.config(c.key, c.value))), "; ")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) || strings.Contains(got, "secret") {
			t.Errorf("%s=%s: got %q, want %q", c.key, c.value, got, c.want)
		}
	}
	got := strings.Join(connectors.Errors(Sources{}.Validate(t.Context(), e.config("columns", "id:int64", "key.field", "no"))), "; ")
	if !strings.Contains(got, "key.field no is not one of columns") {
		t.Errorf("got %q", got)
	}
}
