package file

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/schemas"
)

func newShared(t *testing.T, c connectors.Config) connectors.SinkTask {
	t.Helper()
	task, err := sinks().NewSink(c, connectors.Settings{Connector: "c", Shared: true})
	if err != nil {
		t.Fatal(err)
	}
	return task
}

func TestSharedSinkKeepsTheContract(t *testing.T) {
	path := ""
	connectortest.RunSink(t, connectortest.SinkHarness{
		New: func(t *testing.T) func() connectors.SinkTask {
			path = filepath.Join(t.TempDir(), "out.jsonl")
			return func() connectors.SinkTask {
				return newShared(t, connectors.Config{"file": path, "format": formatRecord})
			}
		},
		Read:   func(t *testing.T) []int { return numbersIn(t, path) },
		Topics: true,
	})
}

// Two tasks append to one file, whose unfinished last line was ended; values are what Java's toString makes of them.
func TestSharedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	appendTo(t, path, "unfinished")
	var tasks []connectors.SinkTask
	for range 2 {
		task := newShared(t, connectors.Config{"file": path, "value.converter": "org.apache.kafka.connect.json.JsonConverter"})
		if err := task.Start(context.Background(), &session{}); err != nil {
			t.Fatal(err)
		}
		tasks = append(tasks, task)
	}
	stream := &connectors.Stream{Topic: "t"}
	row := &schemas.Schema{Kind: schemas.Struct, Fields: []schemas.Field{{Name: "a", Schema: &schemas.Schema{Kind: schemas.Int32}}}}
	for i, v := range []schemas.Typed{
		{Value: "plain"}, {}, {Schema: row, Value: schemas.StructValue{int32(7)}}, {Value: schemas.MapValue{{Key: "b", Value: 1.5}}},
	} {
		w := connectors.NewBuilder(connectortest.Partition(i), nil, nil)
		w.Body(w.Stream(stream), connectors.OpNone, connectors.Body{Value: v})
		b := w.Finish("{}", connectors.Order{})
		b.ID = connectors.BatchID(i + 1)
		task := tasks[i%2]
		if err := task.Put(context.Background(), b); err != nil {
			t.Fatal(err)
		}
		if err := task.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	for _, task := range tasks {
		if err := task.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}
	text, err := os.ReadFile(path)
	if want := "unfinished\nplain\nnull\nStruct{a=7}\n{b=1.5}\n"; err != nil || string(text) != want {
		t.Errorf("got %q, want %q (%v)", text, want, err)
	}
	if _, err := os.Stat(sidePath(path)); !os.IsNotExist(err) {
		t.Errorf("there is a side file: %v", err)
	}
}

func TestSharedFileWithoutDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "no", "out")
	err := newShared(t, connectors.Config{"file": path}).Start(context.Background(), &session{})
	if connectors.ClassOf(err) != connectors.Permanent || !strings.HasPrefix(err.Error(), "Couldn't find or create file '"+path+"' for FileStreamSinkTask") {
		t.Errorf("error %v", err)
	}
}
