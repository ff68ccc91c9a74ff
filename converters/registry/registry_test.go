package registry

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/registry/registrytest"
)

func open(t *testing.T, c connectors.Config) *Registry {
	t.Helper()
	v, err := Read(Definition(), c)
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(v, c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func refuseAll(status int, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // the client reads it
		return true
	}
}

var quick = connectors.Config{"retries.wait.ms": "1", "retries.max.wait.ms": "2"}

func with(url string, more ...connectors.Config) connectors.Config {
	out := connectors.Config{keyURL: url}
	for _, c := range more {
		for k, v := range c {
			out[k] = v
		}
	}
	return out
}

var schema = Schema{Type: Avro, Text: `"string"`}

func TestIDIsAskedForOnce(t *testing.T) {
	t.Parallel()
	server := registrytest.New(t)
	r := open(t, with(server.URL))
	first, err := r.ID("a-value", schema, nil)
	if err != nil {
		t.Fatal(err)
	}
	asked := server.Requests()
	for range 10 {
		if again, err := r.ID("a-value", schema, nil); err != nil || again.ID != first.ID {
			t.Fatal(again, err)
		}
	}
	if server.Requests() != asked {
		t.Errorf("%d requests for what was known", server.Requests()-asked)
	}
	if got, err := r.Get(first.ID); err != nil || got.Text != schema.Text || got.Type != Avro {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestNotAnswering(t *testing.T) {
	t.Parallel()
	server := registrytest.New(t)
	r := open(t, with(server.URL, quick))
	for name, f := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"500": refuseAll(500, `{"error_code":50001,"message":"Error in the backend datastore"}`), "503": refuseAll(503, "<html>"), "429": refuseAll(429, ""),
		"cut": func(w http.ResponseWriter, _ *http.Request) bool {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_ = conn.Close()
			}
			return true
		},
	} {
		server.Before(f)
		before := server.Requests()
		_, err := r.ID("a-value", schema, nil)
		if connectors.ClassOf(converters.Classify(err)) != connectors.Retriable || !errors.As(err, new(*converters.Unavailable)) {
			t.Errorf("%s: %v", name, err)
		}
		if n := server.Requests() - before; n < 4 {
			t.Errorf("%s: %d attempts", name, n)
		}
	}
	server.Before(nil)
	if _, err := r.ID("a-value", schema, nil); err != nil {
		t.Errorf("after it came back: %v", err)
	}
}

// TestWaitEnds ends a wait by its context.
func TestWaitEnds(t *testing.T) {
	t.Parallel()
	server := registrytest.New(t)
	ctx, cancel := context.WithCancel(context.Background())
	server.Before(func(w http.ResponseWriter, _ *http.Request) bool {
		cancel()
		w.WriteHeader(503)
		return true
	})
	r := open(t, with(server.URL, connectors.Config{"retries.wait.ms": "600000", "retries.max.wait.ms": "600000"}))
	r.Within(ctx)
	start := time.Now()
	if _, err := r.ID("a-value", schema, nil); !errors.As(err, new(*converters.Unavailable)) || time.Since(start) > time.Minute {
		t.Error(err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status int
		body   string
		want   []string
	}{
		{409, `{"error_code":409,"message":"Schema being registered is incompatible: READER_FIELD_MISSING_DEFAULT_VALUE"}`, []string{"a-value", "READER_FIELD_MISSING_DEFAULT_VALUE", "not compatible", "PUT /config/a-value"}},
		{422, `{"error_code":42201,"message":"Invalid schema"}`, []string{"does not take this schema for valid", "Invalid schema"}},
		{401, `<html>`, []string{"basic.auth.user.info", "Unauthorized"}},
		{403, `{"error_code":40301,"message":"no"}`, []string{"basic.auth.user.info"}},
	} {
		server := registrytest.New(t)
		server.Before(refuseAll(test.status, test.body))
		r := open(t, with(server.URL, quick))
		_, err := r.ID("a-value", schema, nil)
		if connectors.ClassOf(converters.Classify(err)) != connectors.Permanent {
			t.Fatalf("%d: %v", test.status, err)
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%d: %q lacks %q", test.status, err, want)
			}
		}
		asked := server.Requests()
		if _, err := r.ID("a-value", schema, nil); err == nil || server.Requests() != asked {
			t.Errorf("%d: asked again at once (%v)", test.status, err)
		}
		server.Before(nil)
		r.now = func() time.Time { return time.Now().Add(2 * failedFor) }
		if _, err := r.ID("a-value", schema, nil); err != nil {
			t.Errorf("%d: later: %v", test.status, err)
		}
	}
}

func TestNextAddress(t *testing.T) {
	t.Parallel()
	down, up := registrytest.New(t), registrytest.New(t)
	down.Before(refuseAll(500, ""))
	r := open(t, with(down.URL+"/,"+up.URL, quick))
	if _, err := r.ID("a b/c-value", schema, nil); err != nil {
		t.Fatal(err)
	}
	if n := len(up.Subjects()); n != 1 {
		t.Errorf("%d subjects", n)
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	server := registrytest.New(t)
	var got http.Header
	var query string
	server.Before(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			got, query = r.Header.Clone(), r.URL.RawQuery
		}
		return false
	})
	host := strings.TrimPrefix(server.URL, "http://")
	for _, test := range []struct {
		c    connectors.Config
		want string
	}{
		{connectors.Config{keyURL: "http://u:p@" + host}, "Basic dTpw"},
		{connectors.Config{keyBasic: "USER_INFO", keyUserInfo: "u:p"}, "Basic dTpw"},
		{connectors.Config{keyBasic: "USER_INFO", keyOldUserInfo: "u:p"}, "Basic dTpw"},
		{connectors.Config{keyToken: "abc"}, "Bearer abc"},
		{connectors.Config{}, ""},
	} {
		r := open(t, with(server.URL, connectors.Config{"request.header.X-Own": "1", keyNormalize: "true"}, test.c))
		if _, err := r.ID("a-value", schema, nil); err != nil {
			t.Fatal(err)
		}
		if got.Get("Authorization") != test.want || got.Get("X-Own") != "1" || query != "normalize=true" {
			t.Errorf("%v: %v %s", test.c, got, query)
		}
	}
	secret := with("http://u:hidden@localhost:1", quick, connectors.Config{keyRetries: "0", keyToken: "hidden"})
	if _, err := open(t, secret).Get(1); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("a secret is shown, or nothing failed: %v", err) // I12
	}
	values, _ := Definition().Validate(secret)
	for _, v := range values {
		if strings.Contains(v.Text(), "hidden") && v.Text() != connectors.Hidden {
			t.Errorf("%s shows %s", v.Name, v.Text())
		}
	}
}

func TestLookupAndNewest(t *testing.T) {
	t.Parallel()
	server := registrytest.New(t)
	r := open(t, with(server.URL, connectors.Config{keyRegister: "false"}))
	if _, err := r.ID("a-value", schema, nil); err == nil || !strings.Contains(err.Error(), "auto.register.schemas=true") {
		t.Errorf("%v", err)
	}
	id := server.Add("a-value", registrytest.Schema{Text: `"string"`})
	other := server.Add("a-value", registrytest.Schema{Text: `"bytes"`})
	r = open(t, with(server.URL, connectors.Config{keyRegister: "false"}))
	if s, err := r.ID("a-value", schema, nil); err != nil || s.ID != id {
		t.Errorf("%+v, %v", s, err)
	}
	r = open(t, with(server.URL, connectors.Config{keyRegister: "false", keyLatest: "true"}))
	unlike := errors.New("unlike")
	if _, err := r.ID("a-value", schema, func(Schema) error { return unlike }); !errors.Is(err, unlike) {
		t.Errorf("%v", err)
	}
	r = open(t, with(server.URL, connectors.Config{keyRegister: "false", keyLatest: "true", keyStrict: "false"}))
	if s, err := r.ID("a-value", schema, nil); err != nil || s.ID != other || s.Text != `"bytes"` {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestSubjects(t *testing.T) {
	t.Parallel()
	for strategy, want := range map[string]string{"TopicNameStrategy": "t-value", "RecordNameStrategy": "a.R", "TopicRecordNameStrategy": "t-a.R"} {
		n, ok := strategyOf(subjects + strategy)
		if got, err := n.subject("t", "a.R", false); !ok || err != nil || got != want {
			t.Errorf("%s: %s, %v", strategy, got, err)
		}
		if _, err := n.subject("t", "", true); (err != nil) != (strategy != "TopicNameStrategy") {
			t.Errorf("%s without a record: %v", strategy, err)
		}
	}
	if _, ok := strategyOf("my.Strategy"); ok {
		t.Error("my.Strategy")
	}
}

func FuzzSplit(f *testing.F) {
	f.Add(AppendPrefix(nil, 70000))
	f.Fuzz(func(t *testing.T, data []byte) {
		id, payload, err := Split(data)
		if err == nil && string(append(AppendPrefix(nil, id), payload...)) != string(data) {
			t.Errorf("%x", data)
		}
	})
}
