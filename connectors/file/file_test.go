package file

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/converters"
	jsonconverter "github.com/freshet-io/freshet/converters/json"
	text "github.com/freshet-io/freshet/converters/string"
	"github.com/freshet-io/freshet/offsets"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func sinks() Sinks { return Sinks{Converters: converters.Set{jsonconverter.Kind(), text.Kind()}} }

func newTask(t *testing.T, c connectors.Config) connectors.SinkTask {
	t.Helper()
	task, err := sinks().NewSink(c, connectors.Settings{Connector: "c"})
	if err != nil {
		t.Fatal(err)
	}
	return task
}

func TestSinkKeepsTheContract(t *testing.T) {
	for _, format := range []string{formatRecord, formatValue} {
		t.Run(format, func(t *testing.T) {
			path := ""
			connectortest.RunSink(t, connectortest.SinkHarness{
				New: func(t *testing.T) func() connectors.SinkTask {
					path = filepath.Join(t.TempDir(), "out.jsonl")
					return func() connectors.SinkTask {
						return newTask(t, connectors.Config{"file": path, "format": format})
					}
				},
				Read:        func(t *testing.T) []int { return numbersIn(t, path) },
				ExactlyOnce: true,
			})
		})
	}
}

// numbersIn reads the numbers of all lines, each of which must be whole.
func numbersIn(t *testing.T, path string) []int {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, line := range strings.Split(strings.TrimSuffix(string(content), "\n"), "\n") {
		if line == "" {
			continue
		}
		var r struct {
			Topic string
			Key   struct{ N int }
			Value struct{ After struct{ N int } }
			After struct{ N int }
			N     int
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		out = append(out, max(r.Key.N, r.After.N, r.N))
	}
	return out
}

func TestSourceKeepsTheContract(t *testing.T) {
	path := ""
	connectortest.RunSource(t, connectortest.SourceHarness{
		New: func(t *testing.T) func() connectors.SourceTask {
			path = filepath.Join(t.TempDir(), "in.txt")
			return func() connectors.SourceTask {
				task, err := Sources{}.NewSource(connectors.Config{"file": path, "topic": "lines", "batch.size": "4"}, connectors.Settings{})
				if err != nil {
					t.Fatal(err)
				}
				return task
			}
		},
		Write: func(t *testing.T, from, to int) {
			for n := from; n <= to; n++ {
				appendTo(t, path, fmt.Sprintf("%d\n", n))
			}
		},
		Number: func(b *connectors.Batch, r *connectors.Record) int {
			n, err := strconv.Atoi(b.Bodies[r.Value-1].Value.Value.(string))
			if err != nil {
				t.Error(err)
			}
			return n
		},
	})
}

func appendTo(t *testing.T, path, s string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(s); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// session is both sessions for tests of single calls.
type session struct {
	acked []connectors.BatchID
}

func (s *session) Ack(id connectors.BatchID)  { s.acked = append(s.acked, id) }
func (*session) Retrying(error)               {}
func (*session) Settle(context.Context) error { return nil }

func (s *session) Reject(_ context.Context, _ *connectors.Batch, _ int, cause error) error {
	return cause
}
func (s *session) Fail(error) {}
func (s *session) Charge(int) {}

func oneRecord(n int) *connectors.Batch {
	w := connectors.NewBuilder(connectortest.Partition(1), nil, nil)
	connectortest.AppendFeedRecord(w, w.Stream(connectortest.FeedStream()), n, 3)
	b := w.Finish(connectortest.FeedOffset(n), connectors.Order{Epoch: 1, Major: uint64(n), Minor: 1})
	b.ID = connectors.BatchID(n)
	return b
}

func TestTailIsCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	appendTo(t, path, "kept\n")
	ctx := context.Background()
	put := func(n int) {
		t.Helper()
		task := newTask(t, connectors.Config{"file": path, "format": "value", "value.converter": "org.apache.kafka.connect.storage.StringConverter"})
		s := &session{}
		if err := task.Start(ctx, s); err != nil {
			t.Fatal(err)
		}
		if err := task.Put(ctx, oneRecord(n)); err != nil {
			t.Fatal(err)
		}
		if err := task.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		if err := task.Stop(ctx); err != nil {
			t.Fatal(err)
		}
	}
	put(1)
	before, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(before), "kept\n") {
		t.Fatalf("got %q, %v", before, err)
	}
	appendTo(t, path, "whole line without a position\nhalf a li")
	put(2)
	after, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(after), string(before)) || strings.Contains(string(after), "li") && strings.Contains(string(after), "whole") {
		t.Fatalf("got %q, %v", after, err)
	}
	if err := os.Truncate(path, 3); err != nil {
		t.Fatal(err)
	}
	task := newTask(t, connectors.Config{"file": path})
	err = task.Start(ctx, &session{})
	if err == nil || connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "somebody cut or replaced it") {
		t.Errorf("got %v", err)
	}
	if err := task.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func TestLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	ctx := context.Background()
	first, second := newTask(t, connectors.Config{"file": path}), newTask(t, connectors.Config{"file": path})
	if err := first.Start(ctx, &session{}); err != nil {
		t.Fatal(err)
	}
	err := second.Start(ctx, &session{})
	if err == nil || connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(err.Error(), "another task or process writes to it") {
		t.Errorf("got %v", err)
	}
	for _, task := range []connectors.SinkTask{first, second} {
		if err := task.Stop(ctx); err != nil {
			t.Error(err)
		}
	}
}

func TestLines(t *testing.T) {
	stream := connectortest.FeedStream()
	stream.Headers = []connectors.Header{{Name: "constant", Value: "x\"y"}}
	w := connectors.NewBuilder(connectortest.Partition(1), nil, nil)
	at := w.Stream(stream)
	w.Begin(at, connectors.OpTombstone)
	w.Key()
	w.Int(7)
	w.Headers()
	w.Text(connectors.KindText, []byte("own"))
	w.Text(connectors.KindText, []byte("a\nb"))
	w.Commit()
	b := w.Finish("{}", connectors.Order{})
	l, err := newLines(sinks().Converters, connectors.Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := l.append(context.Background(), nil, b, &session{})
	want := `{"topic":"feed","key":{"n":7},"value":null,"headers":{"own":"a\nb","constant":"x\"y"}}` + "\n"
	if err != nil || string(got) != want {
		t.Errorf("got %s, want %s (%v)", got, want, err)
	}
}

func TestSourceNoticesCutAndReplacedFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "in")
	for name, spoil := range map[string]func(){
		"cut or replaced":         func() { _ = os.Truncate(path, 2) },
		"replaced by another one": func() { _ = os.Rename(path, path+".1"); appendTo(t, path, "new\n") },
	} {
		_ = os.Remove(path)
		appendTo(t, path, "one\ntwo\n")
		task, err := newSource(sourceConfig().Values(connectors.Config{"file": path, "topic": "t"}))
		if err != nil {
			t.Fatal(err)
		}
		task.session = sourceSession{}
		b, err := task.Poll(context.Background())
		if err != nil || len(b.Records) != 2 {
			t.Fatalf("got %v, %v", b, err)
		}
		spoil()
		_, err = task.Poll(context.Background())
		if err == nil || connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %q", err, name)
		}
		if err := task.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

func TestValidate(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		config connectors.Config
		want   string
	}{
		{connectors.Config{"file": filepath.Join(dir, "x")}, ""},
		{connectors.Config{}, ""},
		{connectors.Config{"file": dir}, "is a directory"},
		{connectors.Config{"file": filepath.Join(dir, "no", "x")}, "does not exist"},
		{connectors.Config{"format": "csv"}, "String must be one of (case insensitive): record, value"},
		{connectors.Config{"fil": "x"}, "unknown key fil"},
	} {
		got := strings.Join(connectors.Errors(sinks().Validate(context.Background(), c.config)), "; ")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%v: got %q, want %q", c.config, got, c.want)
		}
	}
	detached := Sinks{NoStdout: true}
	if got := strings.Join(connectors.Errors(detached.Validate(t.Context(), connectors.Config{})), "; "); !strings.Contains(got, "has no standard output; name a file") {
		t.Errorf("without a standard output: got %q", got)
	}
	if _, err := detached.NewSink(connectors.Config{}, connectors.Settings{}); connectors.ClassOf(err) != connectors.Permanent {
		t.Errorf("a sink without a standard output: got %v", err)
	}
	got := strings.Join(connectors.Errors(Sources{}.Validate(context.Background(), connectors.Config{"batch.size": "0"})), "; ")
	if want := `Missing required configuration "topic" which has no default value.`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := (Sources{}).NewSource(connectors.Config{"topic": "t"}, connectors.Settings{}); connectors.ClassOf(err) != connectors.Permanent {
		t.Errorf("a source without a file: got %v", err)
	}
}

func TestExplain(t *testing.T) {
	err := explain("write", "/x/y", &os.PathError{Op: "write", Path: "/x/y", Err: syscall.ENOSPC})
	if connectors.ClassOf(err) != connectors.Retriable || !strings.Contains(err.Error(), "/x/y: the disk is full; nothing is lost") {
		t.Errorf("got %v", err)
	}
}

// sourceSession lends batches without a bound.
type sourceSession struct{ connectors.SourceSession }

func (sourceSession) NewBatch(_ context.Context, p offsets.Partition) (*connectors.Builder, error) {
	return connectors.NewBuilder(p, nil, nil), nil
}

// BenchmarkLines is the cost of a row of two columns as a JSON line, without the write.
func BenchmarkLines(b *testing.B) {
	l, err := newLines(sinks().Converters, connectors.Config{}, nil)
	if err != nil {
		b.Fatal(err)
	}
	w := connectors.NewBuilder(connectortest.Partition(1), nil, nil)
	at := w.Stream(connectortest.FeedStream())
	for n := range 1000 {
		connectortest.AppendFeedRecord(w, at, n, 50)
	}
	batch := w.Finish("{}", connectors.Order{})
	var text []byte
	b.ReportAllocs()
	for b.Loop() {
		if text, err = l.append(context.Background(), text[:0], batch, &session{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*1000), "ns/row")
}
