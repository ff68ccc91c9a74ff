package plugins

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

var hidden = &connectors.ConfigDef{Keys: []connectors.Key{
	{Name: "database.password", Type: connectors.TypePassword},
	{Name: "target", Type: connectors.TypeString, Show: func(string) string { return connectors.Hidden }},
	{Name: "name", Type: connectors.TypeString},
}}

func TestSecretsAreHidden(t *testing.T) {
	t.Parallel()
	s := newSecrets(hidden, connectors.Config{
		"database.password": `p"ass wörd`, "target": "host=db password=open-sesame", "name": "postgres://app:in%2Furl@db/x?password=inquery&x=1",
		"ssl.key.password": "abc", "ssl.keystore.key": "-----BEGIN KEY-----\nMIIEvQIBADANBg\nQEFAASCBKcwgg\n-----END KEY-----\n",
	}, connectors.Config{"producer.sasl.jaas.config": "of the worker", "group.id": "group"})
	for text, want := range map[string]string{
		`it is p"ass wörd.`:                       "it is [hidden].",
		`it is "p\"ass wörd"`:                     `it is "[hidden]"`,
		"at ?p=p%22ass+w%C3%B6rd":                 "at ?p=[hidden]",
		"connect to host=db password=open-sesame": "connect to [hidden]",
		"in%2Furl and in/url and inquery":         "[hidden] and [hidden] and [hidden]",
		"line MIIEvQIBADANBg":                     "line [hidden]",
		"-----BEGIN KEY-----":                     "-----BEGIN KEY-----",
		"of the worker of group":                  "[hidden] of group",
		"abc":                                     "abc",
	} {
		if got := s.hide(text); got != want {
			t.Errorf("%q is shown as %q, not %q", text, got, want)
		}
	}
	if got := s.hideCut(`it is p"ass wö`); got != "it is [hidden]" {
		t.Errorf("a cut secret is shown as %q", got)
	}
	if got := (*secrets)(nil).hideCut("x"); got != "x" {
		t.Errorf("got %q", got)
	}
}

// newTestLog returns lines whose reading is not slowed.
func newTestLog(hide *secrets) (*logLines, *bytes.Buffer) {
	var out bytes.Buffer
	l := newLogLines(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})), hide)
	l.bytes = newPace(1e15)
	return l, &out
}

func TestLines(t *testing.T) {
	t.Parallel()
	s := newSecrets(hidden, connectors.Config{"database.password": "open-sesame"}, nil)
	l, out := newTestLog(s)
	for _, text := range []string{
		"plain open-", "sesame\n", `{"level":"ERROR","msg":"open-sesame","connector":"x","deep":{"open-sesame":["open-sesame",1]}}` + "\n",
		`{"level":"debug+x","msg":1}` + "\n", "\r\n", "{broken\n", strings.Repeat("x", lineLimit-4) + "open-sesame\n", "no end",
	} {
		if n, err := l.Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	l.end()
	text := out.String()
	if strings.Contains(text, "sesame") || strings.Contains(text, "xopen") {
		t.Errorf("a secret is in %s", text)
	}
	for _, want := range []string{`msg="plain [hidden]"`, `level=ERROR msg=[hidden] deep="map[[hidden]:[[hidden] 1]]"`, "{broken", "x[hidden] cut=true", `msg="no end"`} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %s", want, text)
		}
	}
	if l.last() != "no end" {
		t.Errorf("its last words are %q", l.last())
	}
}

// TestLongLines: a line of 100 MB takes no more memory than one of 16 KiB.
func TestLongLines(t *testing.T) {
	t.Parallel()
	l, out := newTestLog(nil)
	part := bytes.Repeat([]byte("x"), 1<<20)
	for range 100 {
		_, _ = l.Write(part)
	}
	l.end()
	if cap(l.line) > 4*lineLimit || out.Len() > 2*lineLimit || !strings.Contains(out.String(), "cut=true") {
		t.Errorf("a buffer of %d bytes, %d bytes of log", cap(l.line), out.Len())
	}
}

// TestFlood: what is above the rate is counted, and a panic behind it is not lost.
func TestFlood(t *testing.T) {
	t.Parallel()
	l, out := newTestLog(nil)
	began := time.Now()
	for range 10_000 {
		_, _ = l.Write([]byte("again and again\n"))
	}
	_, _ = l.Write([]byte("panic: out of luck\ngoroutine 1:\n"))
	l.end()
	if n := strings.Count(out.String(), "again and again"); n < 1 || float64(n) > lineRate*(time.Since(began).Seconds()+1) {
		t.Errorf("%d lines", n)
	}
	if !strings.Contains(out.String(), "more than is logged") || l.last() != "panic: out of luck" {
		t.Errorf("last words %q", l.last())
	}
	l, _ = newTestLog(nil)
	l.bytes = newPace(byteRate)
	if wait := l.bytes.use(3 * byteRate); wait < time.Second || wait > 3*time.Second {
		t.Errorf("16 MiB more than may be read take %s", wait)
	}
}

func TestTheFirstLineIsBounded(t *testing.T) {
	t.Parallel()
	l, out := newTestLog(nil)
	f := newFirstLine(l)
	got := make(chan int)
	go func() {
		n, p := 0, make([]byte, 1<<10)
		for {
			k, err := f.reader.Read(p)
			if n += k; err != nil {
				got <- n
				return
			}
		}
	}()
	for range 100 {
		_, _ = f.Write(bytes.Repeat([]byte("y"), 1000))
	}
	f.end()
	if n := <-got; n != handshakeLimit || len(f.handed()) != n {
		t.Errorf("a first line of %d bytes", n)
	}
	l.end()
	if !strings.Contains(out.String(), "yyy") {
		t.Error("the rest is lost")
	}
}
