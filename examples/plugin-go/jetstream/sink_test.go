package jetstream

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/plugins/plugintest"
)

const patience = 60 * time.Second

// broker is a NATS server in this process, and a way to it that can be cut.
type broker struct {
	*testing.T
	js    jetstream.JetStream
	proxy *proxy
}

func start(t *testing.T) *broker {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), MaxPayload: 4096, NoSigs: true, NoLog: true,
		Users: []*server.User{{Username: "all", Password: "secret1"}, {Username: "few", Password: "secret2", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Deny: []string{"changes.>"}},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server does not start")
	}
	conn, err := nats.Connect(s.ClientURL(), nats.UserInfo("all", "secret1"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return &broker{t, js, newProxy(t, s.Addr().String())}
}

func (b *broker) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	b.Cleanup(cancel)
	return ctx
}

// stream makes the stream, empty.
func (b *broker) stream(c jetstream.StreamConfig) {
	b.Helper()
	c.Name, c.Storage = "CHANGES", jetstream.MemoryStorage
	if c.Subjects == nil {
		c.Subjects = []string{"changes.>"}
	}
	_ = b.js.DeleteStream(b.ctx(), c.Name) // there may be none
	if _, err := b.js.CreateStream(b.ctx(), c); err != nil {
		b.Fatal(err)
	}
}

// messages are what the stream holds.
func (b *broker) messages() []*jetstream.RawStreamMsg {
	b.Helper()
	s, err := b.js.Stream(b.ctx(), "CHANGES")
	if err != nil {
		b.Fatal(err)
	}
	info, err := s.Info(b.ctx())
	if err != nil {
		b.Fatal(err)
	}
	var out []*jetstream.RawStreamMsg
	for n := info.State.FirstSeq; n <= info.State.LastSeq && n > 0; n++ {
		m, err := s.GetMsg(b.ctx(), n)
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

func (b *broker) numbers(t *testing.T) []int {
	t.Helper()
	out := []int{}
	for _, m := range b.messages() {
		var change struct{ Value *struct{ N int } }
		if err := json.Unmarshal(m.Data, &change); err != nil {
			t.Fatal(err)
		}
		if change.Value != nil {
			out = append(out, change.Value.N)
		}
	}
	return out
}

func (b *broker) config(more ...string) connectors.Config {
	c := connectors.Config{"nats.servers": "nats://" + b.proxy.address, "nats.user": "all", "nats.password": "secret1"}
	for i := 0; i < len(more); i += 2 {
		c[more[i]] = more[i+1]
	}
	return c
}

// TestMain is also the plugin's main, for the tests that run the sink in a process of its own.
func TestMain(m *testing.M) {
	if plugintest.Serve(Sinks{}) {
		return
	}
	os.Exit(m.Run())
}

func newTask(t *testing.T, c connectors.Config) connectors.SinkTask {
	t.Helper()
	return taskOf(t, Sinks{}, c)
}

func taskOf(t *testing.T, f connectors.SinkFactory, c connectors.Config) connectors.SinkTask {
	t.Helper()
	task, err := f.NewSink(c, connectors.Settings{Connector: "c"})
	if err != nil {
		t.Fatal(err)
	}
	return task
}

func TestSinkKeepsTheContract(t *testing.T) {
	for name, factory := range map[string]connectors.SinkFactory{"InProcess": Sinks{}, "OwnProcess": plugintest.Command(t).IsolateSink(Sinks{})} {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			connectortest.RunSink(t, connectortest.SinkHarness{
				New: func(t *testing.T) func() connectors.SinkTask {
					b.stream(jetstream.StreamConfig{})
					return func() connectors.SinkTask { return taskOf(t, factory, b.config()) }
				},
				Read:        b.numbers,
				ExactlyOnce: true,
				Patience:    patience,
				Target: []goleak.Option{
					goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*Server).startGoRoutine.func1"),
					goleak.IgnoreAnyFunction("github.com/freshet-io/freshet/examples/plugin-go/jetstream.(*proxy).serve.func1"),
				},
			})
		})
	}
}

func TestMessages(t *testing.T) {
	b := start(t)
	b.stream(jetstream.StreamConfig{Subjects: []string{"cdc.>"}})
	rig := connectortest.Rig{TB: t, Session: &connectortest.Session{Tolerant: true}}
	rig.Start(newTask(t, b.config("nats.subject", "cdc.{schema}.{table}.{topic}")))
	stream := connectortest.FeedStream()
	stream.Topic, stream.Table.Name = "t.public.best bets", "best bets"
	rig.Write(stream,
		connectortest.Change{Op: connectors.OpCreate, Row: []any{1, strings.Repeat("x", 5000)}}, // larger than the server takes
		connectortest.Change{Op: connectors.OpCreate, Row: []any{2, "x"}},
		connectortest.Change{Op: connectors.OpTombstone, Row: []any{2, nil}},
	)
	got := b.messages()
	if len(got) != 1 || got[0].Subject != "cdc.public.best_bets.t_public_best_bets" || !strings.HasSuffix(got[0].Header.Get(nats.MsgIdHdr), ":1:1:3") {
		t.Errorf("got %d messages: %v", len(got), got)
	}
	if want := `{"op":"c","key":{"n":2},"value":{"n":2,"text":"x"}}`; len(got) > 0 && string(got[0].Data) != want {
		t.Errorf("got %s, want %s", got[0].Data, want)
	}
	if r := rig.Session.Rejected(); len(r) != 1 || !strings.Contains(r[0], "raise its max_payload") {
		t.Errorf("rejected %q", r)
	}
}

// The connection is cut while messages are on their way, and cannot be opened again at once.
func TestConnectionLost(t *testing.T) {
	b := start(t)
	b.stream(jetstream.StreamConfig{})
	session := &hearing{heard: make(chan error, 100)}
	rig := connectortest.Rig{TB: t, Session: &session.Session}
	task := newTask(t, b.config())
	rig.Start(wrapped{task, session})
	stream := connectortest.FeedStream()
	put := func(from, to int) {
		if err := rig.Put(func(w *connectors.Builder) {
			for n := from; n <= to; n++ {
				connectortest.AppendFeedRecord(w, w.Stream(stream), n, 20)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	put(1, 500)
	b.proxy.allow(false)
	put(501, 3000)
	select {
	case err := <-session.heard:
		if connectors.ClassOf(err) != connectors.Retriable || !strings.Contains(err.Error(), "publish to changes.feed") {
			t.Errorf("retries because of %v", err)
		}
	case <-time.After(patience):
		t.Fatal("it does not say that it retries")
	}
	b.proxy.allow(true)
	if err := rig.Flush(); err != nil {
		t.Fatal(err)
	}
	for i, n := range b.numbers(t) {
		if n != i+1 {
			t.Fatalf("message %d has number %d", i+1, n)
		}
	}
	if got := len(b.numbers(t)); got != 3000 {
		t.Errorf("%d messages, want 3000", got)
	}
}

// A message that the stream refuses is not overtaken for good by those behind it.
func TestRefusedMessageKeepsOrder(t *testing.T) {
	b := start(t)
	b.stream(jetstream.StreamConfig{MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true})
	session := &hearing{heard: make(chan error, 100)}
	rig := connectortest.Rig{TB: t, Session: &session.Session}
	rig.Start(wrapped{newTask(t, b.config()), session})
	write := func(w *connectors.Builder) {
		for i, table := range []string{"full", "full", "free"} {
			connectortest.Change{Op: connectors.OpCreate, Row: []any{i, "x", i}}.Append(w, connectortest.Table(table, 1, connectortest.Bets().Table.Columns...), connectors.Order{Epoch: 1, Major: 1, Minor: uint32(i + 1)})
		}
	}
	if err := rig.Put(write); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-session.heard:
		rig.Refused(err, "publish to changes.full")
	case <-time.After(patience):
		t.Fatal("it does not say that it retries")
	}
	if _, err := b.js.UpdateStream(b.ctx(), jetstream.StreamConfig{Name: "CHANGES", Subjects: []string{"changes.>"}, Storage: jetstream.MemoryStorage}); err != nil {
		t.Fatal(err)
	}
	if err := rig.Flush(); err != nil {
		t.Fatal(err)
	}
	var subjects []string
	for _, m := range b.messages() {
		subjects = append(subjects, strings.TrimPrefix(m.Subject, "changes."))
	}
	if n := len(subjects); n < 3 || subjects[n-1] != "free" || subjects[n-2] != "full" || subjects[0] != "full" {
		t.Errorf("the stream holds %v", subjects)
	}
}

func TestErrors(t *testing.T) {
	b := start(t)
	for _, c := range []struct {
		name   string
		config connectors.Config
		want   string
	}{
		{"no stream", b.config(), "no stream takes this subject; create one (nats stream add CHANGES --subjects 'changes.feed')"},
		{"wrong password", b.config("nats.password", "secret9"), "check nats.user and nats.password"},
		{"may not publish", b.config("nats.user", "few", "nats.password", "secret2"), "allow the user to publish"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rig := connectortest.Rig{TB: t, Session: &connectortest.Session{}}
			task := newTask(t, c.config)
			err := task.Start(b.ctx(), rig.Session)
			t.Cleanup(func() { _ = task.Stop(context.Background()) })
			if rig.Task = task; err == nil {
				err = rig.TryWrite(connectortest.FeedStream(), connectortest.Change{Op: connectors.OpCreate, Row: []any{1, "x"}})
			}
			rig.Refused(err, c.want)
			if connectors.ClassOf(err) != connectors.Permanent || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s error %v", connectors.ClassOf(err), err)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	b := start(t)
	b.stream(jetstream.StreamConfig{})
	for _, c := range []struct{ key, value, want string }{
		{"nats.subject", "changes.{table}", ""},
		{"nats.subject", "events.{table}", "no stream takes this subject"},
		{"nats.subject", "changes.{tabel}", "in which {schema}, {table} and {topic} may stand"},
		{"nats.subject", "changes.*", "without wildcards"},
		{"nats.servers", "nats://user:pass@host", "use nats.user"},
		{"nats.servers", "nats://127.0.0.1:1", "connect to nats://127.0.0.1:1"},
		{"nats.password", "secret9", "check nats.user and nats.password"},
		{"nats.pending.bytes", "0", "positive"},
		{"nats.sbuject", "x", "unknown key nats.sbuject"},
	} {
		got := strings.Join(connectors.Errors(Sinks{}.Validate(b.ctx(), b.config(c.key, c.value))), "; ")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) || strings.Contains(got, "secret") {
			t.Errorf("%s=%s: got %q, want %q", c.key, c.value, got, c.want)
		}
	}
}

// hearing is a session that hears of retries.
type hearing struct {
	connectortest.Session
	heard chan error
}

func (h *hearing) Retrying(err error) { h.heard <- err }

// wrapped starts a task with another session.
type wrapped struct {
	connectors.SinkTask
	session connectors.SinkSession
}

func (w wrapped) Start(ctx context.Context, _ connectors.SinkSession) error {
	return w.SinkTask.Start(ctx, w.session)
}

// proxy is a way to the server.
type proxy struct {
	address string
	mu      sync.Mutex
	cut     bool
	open    []net.Conn
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: l.Addr().String()}
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); p.allow(false); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.serve(c, to)
		}
	}()
	return p
}

func (p *proxy) serve(c net.Conn, to string) {
	up, err := net.Dial("tcp", to)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil || p.cut {
		_ = c.Close()
		if err == nil {
			_ = up.Close()
		}
		return
	}
	p.open = append(p.open, c, up)
	pass := func(from, to net.Conn) {
		_, _ = io.Copy(to, from)
		_ = to.Close()
	}
	go pass(c, up)
	go pass(up, c)
}

// allow cuts what is open, and lets nothing through until it is called again.
func (p *proxy) allow(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = !on
	for _, c := range slices.Backward(p.open) {
		_ = c.Close()
	}
	p.open = nil
}
