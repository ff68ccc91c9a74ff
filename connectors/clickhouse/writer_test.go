package clickhouse

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/testbed"
)

// stub answers like a server that has the table bets; inserts are answered by answer, with their number from 1 on.
type stub struct {
	*httptest.Server
	mu     sync.Mutex
	tokens []string
	bodies [][]byte
	header []http.Header
}

func newStub(t *testing.T, answer func(n int, w http.ResponseWriter)) *stub {
	t.Helper()
	s := &stub{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sql := string(body)
		rows := "[]"
		switch {
		case strings.HasPrefix(r.URL.Query().Get("query"), "INSERT"):
			s.mu.Lock()
			s.tokens, s.bodies, s.header = append(s.tokens, r.URL.Query().Get("insert_deduplication_token")), append(s.bodies, body), append(s.header, r.Header)
			n := len(s.tokens)
			s.mu.Unlock()
			answer(n, w)
			return
		case strings.Contains(sql, "version()"):
			rows = `[["26.7.2.1","UTC","d"]]`
		case strings.Contains(sql, "system.databases"):
			rows = `[["d"]]`
		case strings.Contains(sql, "_current"): // no view
		case strings.Contains(sql, "system.tables"):
			rows = `[["ReplacingMergeTree","ReplacingMergeTree(_version, _is_deleted) ORDER BY id","id"]]`
		case strings.Contains(sql, "system.columns"):
			rows = `[["id","Int32","","1",""],["horse","Nullable(String)","","0",""],["stake","Nullable(Int32)","","0",""],["_version","UInt128","","0",""],["_is_deleted","UInt8","","0",""]]`
		}
		_, _ = io.WriteString(w, `{"data":`+rows+`}`)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *stub) sink(t *testing.T, more ...string) *rig {
	t.Helper()
	host, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "http://"), ":")
	c := connectors.Config{keyHost: host, keyPort: port, keyDatabase: "d", keyPassword: "geheim"}
	for i := 0; i+1 < len(more); i += 2 {
		c[more[i]] = more[i+1]
	}
	r := &rig{Rig: connectortest.Rig{TB: t, Session: &connectortest.Session{}}}
	r.Start(newTask(t, c))
	return r
}

func refuse(w http.ResponseWriter, status int, code, text string) {
	if code != "" {
		w.Header().Set("X-ClickHouse-Exception-Code", code)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// TestSentAgain: a block that is refused for a while, or whose answer is lost, is sent again as it was, with its token.
func TestSentAgain(t *testing.T) {
	t.Parallel()
	s := newStub(t, func(n int, w http.ResponseWriter) {
		switch n {
		case 1:
			refuse(w, 500, "252", "Code: 252. DB::Exception: Too many parts (300). (TOO_MANY_PARTS)")
		case 2:
			refuse(w, 503, "", "upstream is away")
		case 3:
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		case 4:
			refuse(w, 500, "241", "Code: 241. DB::Exception: Memory limit exceeded. (MEMORY_LIMIT_EXCEEDED)")
		}
	})
	r := s.sink(t)
	r.Write(connectortest.Bets(), insert(1, "a", 1))
	r.Write(connectortest.Bets(), insert(1, "a", 1))
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tokens) != 6 || s.tokens[0] == "" {
		t.Fatalf("tokens %q", s.tokens)
	}
	for i, token := range s.tokens[:5] {
		if token != s.tokens[0] || string(s.bodies[i]) != string(s.bodies[0]) {
			t.Errorf("attempt %d has another token or body", i)
		}
	}
	if s.tokens[5] == s.tokens[0] {
		t.Error("two blocks have one token")
	}
	if len(r.Session.Acked()) != 2 || r.Session.Charged() != 0 {
		t.Errorf("acknowledged %v, charged %d", r.Session.Acked(), r.Session.Charged())
	}
}

// TestRefused: what the server will always refuse fails the task, nothing is acknowledged, and no secret is said.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status     int
		code, text string
		want       []string
	}{
		{401, "516", "Code: 516. DB::Exception: default: Authentication failed", []string{"Authentication failed", keyUser, keyPassword}},
		{403, "", "forbidden", []string{"403", keyPassword}},
		{404, "60", "Code: 60. DB::Exception: Table d.bets does not exist. (UNKNOWN_TABLE)", []string{"d.bets does not exist"}},
		{404, "", "no such page", []string{keyPort}},
		{500, "497", "Code: 497. DB::Exception: Not enough privileges", []string{"grant"}},
		{400, "", "Code: 62. DB::Exception: Syntax error", []string{"Syntax error"}},
	} {
		s := newStub(t, func(_ int, w http.ResponseWriter) { refuse(w, c.status, c.code, c.text) })
		r := s.sink(t)
		err := r.TryWrite(connectortest.Bets(), insert(1, "a", 1))
		r.Refused(err, append(c.want, "write to table d.bets")...)
		if connectors.ClassOf(err) != connectors.Permanent || connectors.ClassOf(r.Session.Failure()) != connectors.Permanent || len(r.Session.Acked()) > 0 {
			t.Errorf("%d %s: %v, failed with %v, acknowledged %v", c.status, c.code, err, r.Session.Failure(), r.Session.Acked())
		}
		if strings.Contains(err.Error(), "geheim") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

// TestStopWhileRefused: Stop ends a sink whose server refuses, and gives its memory back.
func TestStopWhileRefused(t *testing.T) {
	t.Parallel()
	refused := make(chan struct{}, 100)
	s := newStub(t, func(_ int, w http.ResponseWriter) {
		refuse(w, 500, "252", "Code: 252. DB::Exception: Too many parts")
		refused <- struct{}{}
	})
	r := s.sink(t)
	if err := r.Put(func(w *connectors.Builder) {
		insert(1, "a", 1).Append(w, connectortest.Bets(), connectors.Order{Major: 1})
	}); err != nil {
		t.Fatal(err)
	}
	<-refused
	if err := r.Task.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.Session.Charged() != 0 || len(r.Session.Acked()) != 0 || r.Session.Failure() != nil {
		t.Errorf("charged %d, acknowledged %v, failed %v", r.Session.Charged(), r.Session.Acked(), r.Session.Failure())
	}
}

// TestSlowAnswer: an insert without answer is given up after its time and sent again.
func TestSlowAnswer(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := newStub(t, func(n int, w http.ResponseWriter) {
		if n == 1 {
			<-release
		}
	})
	r := s.sink(t, keyInsertLimit, "100")
	r.Write(connectortest.Bets(), insert(1, "a", 1))
	close(release)
	if len(s.tokens) != 2 || s.tokens[0] != s.tokens[1] {
		t.Errorf("tokens %q", s.tokens)
	}
}

// TestCompression: what is sent compressed is the block.
func TestCompression(t *testing.T) {
	t.Parallel()
	plain := newStub(t, func(int, http.ResponseWriter) {})
	plain.sink(t).Write(connectortest.Bets(), insert(1, strings.Repeat("a", 100000), 1))
	for kind, open := range map[string]func(io.Reader) io.Reader{
		"lz4": func(r io.Reader) io.Reader { return lz4.NewReader(r) },
		"zstd": func(r io.Reader) io.Reader {
			z, err := zstd.NewReader(r)
			if err != nil {
				t.Fatal(err)
			}
			return z
		},
	} {
		s := newStub(t, func(int, http.ResponseWriter) {})
		s.sink(t, keyCompression, kind).Write(connectortest.Bets(), insert(1, strings.Repeat("a", 100000), 1))
		got, err := io.ReadAll(open(strings.NewReader(string(s.bodies[0]))))
		if err != nil || string(got) != string(plain.bodies[0]) || s.header[0].Get("Content-Encoding") != kind || len(s.bodies[0]) > 10000 {
			t.Errorf("%s: %d bytes as %q became %d, %v", kind, len(s.bodies[0]), s.header[0].Get("Content-Encoding"), len(got), err)
		}
	}
}

// TestGathers: the first change goes at once, those that come during its insert and within the interval go together.
func TestGathers(t *testing.T) {
	t.Parallel()
	first, hold := make(chan struct{}), make(chan struct{})
	s := newStub(t, func(n int, _ http.ResponseWriter) {
		if n == 1 {
			close(first)
			<-hold
		}
	})
	r := s.sink(t, keyInterval, "60000")
	stream := connectortest.Bets()
	put := func(n int) {
		t.Helper()
		if err := r.Put(func(w *connectors.Builder) { insert(n, "a", 1).Append(w, stream, connectors.Order{Major: uint64(n)}) }); err != nil {
			t.Fatal(err)
		}
	}
	put(1)
	<-first
	close(hold)
	testbed.Eventually(t, func() string { return "the first change is not acknowledged" }, func() bool {
		return len(r.Session.Acked()) == 1
	})
	put(2)
	put(3)
	if err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	if len(s.bodies) != 2 || s.bodies[0][1] != 1 || s.bodies[1][1] != 2 { // the second byte is the number of rows
		t.Errorf("%d inserts, of %d and %d rows", len(s.bodies), s.bodies[0][1], s.bodies[len(s.bodies)-1][1])
	}
}

// TestFirstErrorOfABlock: where one table of a block refuses for good, that is the error of the task, and not what becomes of the others,
// which are given up.
func TestFirstErrorOfABlock(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	s := newStub(t, func(n int, w http.ResponseWriter) {
		if n == 1 {
			<-release
			return
		}
		refuse(w, 404, "60", "Code: 60. DB::Exception: Table does not exist. (UNKNOWN_TABLE)")
	})
	r := s.sink(t)
	first, second := connectortest.Bets(), connectortest.Bets()
	second.Table.Name = "other"
	if err := r.Put(func(w *connectors.Builder) {
		insert(1, "a", 1).Append(w, first, connectors.Order{Major: 1})
		insert(1, "a", 1).Append(w, second, connectors.Order{Major: 2})
	}); err != nil {
		t.Fatal(err)
	}
	err := r.Flush()
	r.Refused(err, "Table does not exist")
	if connectors.ClassOf(err) != connectors.Permanent {
		t.Errorf("class %v, want permanent", connectors.ClassOf(err))
	}
}
