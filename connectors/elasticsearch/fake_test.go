package elasticsearch

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/schemas"
)

// fake is a server whose answers a test chooses. It checks that each line is JSON.
type fake struct {
	*httptest.Server
	// answer returns status and error of an action; nil: 200.
	answer func(n int, op, id string, doc json.RawMessage) (int, *failureCause)
	// whole returns a status and a body for a whole request; 0: as answer says.
	whole func(request, actions, size int) (int, string)

	mu       sync.Mutex
	t        testing.TB
	requests int
	actions  int
	log      []string                   // op id, in the order in which they were done
	docs     map[string]json.RawMessage // by id
	versions map[string]uint64
}

func newFake(t testing.TB) *fake {
	f := &fake{t: t, docs: map[string]json.RawMessage{}, versions: map[string]uint64{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

type fakeAction struct {
	Index   string `json:"_index"`
	ID      string `json:"_id"`
	Version uint64 `json:"version"`
}

// ServeHTTP implements http.Handler.
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/":
		_, _ = io.WriteString(w, `{"name":"fake","version":{"number":"9.0.0"}}`)
	case r.URL.Path == "/_bulk":
		f.bulk(w, r)
	case strings.HasSuffix(r.URL.Path, "/_mapping") && r.Method == http.MethodGet:
		_, _ = io.WriteString(w, `{"x":{"mappings":{}}}`)
	default:
		_, _ = io.WriteString(w, `{}`)
	}
}

func (f *fake) bulk(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			f.t.Error(err)
			return
		}
		body = z
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return // the client has gone
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	lines := bytes.Count(text, []byte(`"_id":`))
	if f.whole != nil {
		if status, answer := f.whole(f.requests, lines, len(text)); status != 0 {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, answer)
			return
		}
	}
	var items []string
	bad := false
	scan := bufio.NewScanner(bytes.NewReader(text))
	scan.Buffer(nil, 128<<20)
	for scan.Scan() {
		var line map[string]fakeAction
		if err := json.Unmarshal(scan.Bytes(), &line); err != nil || len(line) != 1 {
			f.t.Errorf("not an action: %s", scan.Bytes())
			return
		}
		for op, a := range line {
			var doc json.RawMessage
			if op != "delete" {
				if !scan.Scan() || !json.Valid(scan.Bytes()) {
					f.t.Errorf("not a document: %s", scan.Bytes())
					return
				}
				doc = bytes.Clone(scan.Bytes())
			}
			status, cause := f.do(op, a, doc)
			item := fmt.Sprintf(`{"%s":{"status":%d}}`, op, status)
			if cause != nil {
				bad = true
				why, _ := json.Marshal(cause)
				item = fmt.Sprintf(`{"%s":{"status":%d,"error":%s}}`, op, status, why)
			}
			items = append(items, item)
		}
	}
	_, _ = fmt.Fprintf(w, `{"errors":%t,"items":[%s]}`, bad, strings.Join(items, ","))
}

// do is what the server does with external_gte versions.
func (f *fake) do(op string, a fakeAction, doc json.RawMessage) (int, *failureCause) {
	f.actions++
	if f.answer != nil {
		if status, cause := f.answer(f.actions, op, a.ID, doc); status >= 300 {
			return status, cause
		}
	}
	if v := f.versions[a.ID]; a.Version < v {
		return 409, &failureCause{Type: "version_conflict_engine_exception", Reason: fmt.Sprintf("[%s]: version conflict, current version [%d] is higher than the one provided [%d]", a.ID, v, a.Version)}
	}
	f.versions[a.ID] = a.Version
	f.log = append(f.log, op+" "+a.ID)
	if op == "delete" {
		delete(f.docs, a.ID)
	} else {
		f.docs[a.ID] = doc
	}
	return 200, nil
}

// rig is a started sink with a fake server.
type rig struct {
	testing.TB
	*connectortest.Session
	server *fake
	sink   *sink
	stream *connectors.Stream
}

func newRig(t testing.TB, server *fake, more ...string) *rig {
	t.Helper()
	r := rigOn(t, settings(server.URL, append([]string{keyBackoff, "1"}, more...)...))
	r.server = server
	return r
}

func rigOn(t testing.TB, c connectors.Config) *rig {
	t.Helper()
	task, ok := newTask(t, c).(*sink)
	if !ok {
		t.Fatal("not this package's sink")
	}
	r := &rig{TB: t, Session: &connectortest.Session{}, sink: task, stream: betsStream()}
	if err := task.Start(context.Background(), r.Session); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := task.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if n := r.Charged(); n != 0 {
			t.Errorf("%d charged bytes were not given back", n)
		}
	})
	return r
}

func betsStream() *connectors.Stream {
	return &connectors.Stream{
		Topic: "shop.public.bets", Row: &schemas.Schema{Kind: schemas.Struct}, KeyFields: []connectors.Field{{Name: "id"}},
		Table: &schemas.Table{Catalog: "shop", Schema: "public", Name: "bets", Key: []int{0}, Columns: []schemas.Column{
			{Name: "id", Type: schemas.TypeInt64, TypeName: "bigint", Length: -1, Scale: -1},
			{Name: "text", Type: schemas.TypeText, TypeName: "text", Length: -1, Scale: -1, Optional: true},
		}},
	}
}

// change is a row of betsStream.
type change struct {
	op    connectors.Op
	id    int
	text  string
	order connectors.Order
}

func at(epoch uint32, major uint64) connectors.Order {
	return connectors.Order{Epoch: epoch, Major: major, Minor: 1}
}

func (r *rig) batch(list ...change) *connectors.Batch {
	w := connectors.NewBuilder(`{"server":"shop"}`, nil, nil)
	s := w.Stream(r.stream)
	for _, c := range list {
		w.Begin(s, c.op).Order = c.order
		if c.op != connectors.OpTruncate {
			w.Key()
			w.Int(int64(c.id))
		}
		switch c.op {
		case connectors.OpCreate, connectors.OpUpdate, connectors.OpRead:
			w.After()
			w.Int(int64(c.id))
			w.String(c.text)
		}
		w.Commit()
	}
	b := w.Finish("{}", connectors.Order{})
	b.ID = r.Next()
	return b
}

func (r *rig) put(list ...change) {
	r.Helper()
	if err := r.sink.Put(r.ctx(), r.batch(list...)); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	r.Cleanup(cancel)
	return ctx
}

// flush returns the error that ended the sink.
func (r *rig) flush() error { return r.sink.Flush(r.ctx()) }

// holds compares the documents of the server, id: text.
func (r *rig) holds(want map[string]string) {
	r.Helper()
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	got := map[string]string{}
	for id, text := range r.server.docs {
		var doc struct{ Text string }
		if err := json.Unmarshal(text, &doc); err != nil {
			r.Error(err)
		}
		got[id] = doc.Text
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		r.Errorf("the documents are %v, not %v", got, want)
	}
}
