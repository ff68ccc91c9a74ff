package golden_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/kafka"
	"github.com/freshet-io/freshet/connectors/mysql"
	"github.com/freshet-io/freshet/connectors/postgres"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/bytes"
	jsonconverter "github.com/freshet-io/freshet/converters/json"
	text "github.com/freshet-io/freshet/converters/string"
	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/offsets/kafkastore"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/testbed/golden"
)

const offsetTopic = "golden-offsets"

// inProcess is a worker in this process, with its offsets in Kafka, under the properties of the reference's worker.
type inProcess struct{ *runtime.Worker }

func newWorker(t *testing.T, bootstrap string) inProcess {
	t.Helper()
	properties := connectors.Config{
		"bootstrap.servers": bootstrap, "group.id": "golden",
		"key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "true",
		"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "true",
		"offset.storage.topic": offsetTopic, "offset.storage.partitions": "5", "offset.storage.replication.factor": "1",
		"offset.flush.interval.ms": "3600000", "producer.max.request.size": "20000000",
	}
	config, err := kafkaclient.Parse(properties)
	if err != nil {
		t.Fatal(err)
	}
	options, err := kafkastore.WorkerOptions(properties)
	if err != nil {
		t.Fatal(err)
	}
	pool := new(kafkaclient.Pool)
	if options.Session, err = pool.Open(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(options.Session.Close)
	options.Config = config
	store, err := kafkastore.Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	w := runtime.NewWorker(runtime.Options{
		Catalog: runtime.NewCatalog(
			[]connectors.SourceFactory{
				postgres.Factory{Version: "3.6.1.Final"},
				mysql.Factory{Version: "3.6.1.Final"},
				mysql.Factory{Version: "3.6.1.Final", MariaDB: true},
			},
			[]connectors.SinkFactory{&kafka.Factory{Converters: converters.Set{jsonconverter.Kind(), text.Kind(), bytes.Kind()}, Pool: pool}},
		),
		Store: store, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Config: properties, CommitInterval: time.Second,
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
		defer cancel()
		if err := errors.Join(w.Close(ctx), store.Close()); err != nil {
			t.Errorf("close the worker: %v", err)
		}
	})
	return inProcess{w}
}

func (w inProcess) PutConfig(ctx context.Context, name string, config map[string]string) error {
	return w.Put(ctx, name, config, runtime.Running)
}

func (w inProcess) Restart(ctx context.Context, name string) error {
	return w.Worker.Restart(ctx, name, true, false)
}

func (w inProcess) State(_ context.Context, name string) (string, []golden.TaskState, error) {
	status, err := w.Status(name)
	if request := new(runtime.RequestError); errors.As(err, &request) && request.Kind == runtime.NotFound {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	var tasks []golden.TaskState
	for _, t := range status.Tasks {
		tasks = append(tasks, golden.TaskState{State: string(t.State), Trace: t.Trace})
	}
	return string(status.State), tasks, nil
}

// position is an entry of an offsets body.
type position struct {
	Partition json.RawMessage `json:"partition"`
	Offset    json.RawMessage `json:"offset"`
}

type positions struct {
	Offsets []position `json:"offsets"`
}

func (w inProcess) Offsets(ctx context.Context, name string) (json.RawMessage, error) {
	entries, err := w.Worker.Offsets(ctx, name)
	if err != nil {
		return nil, err
	}
	body := positions{Offsets: []position{}}
	for _, e := range entries {
		body.Offsets = append(body.Offsets, position{json.RawMessage(e.Partition), json.RawMessage(e.Offset)})
	}
	return json.Marshal(body)
}

func (w inProcess) AlterOffsets(ctx context.Context, name string, text json.RawMessage) (int, string, error) {
	var body positions
	if err := json.Unmarshal(text, &body); err != nil {
		return 0, "", fmt.Errorf("read offsets: %w", err)
	}
	var entries []offsets.Entry
	for _, p := range body.Offsets {
		partition, err := offsets.Canonical(p.Partition)
		if err != nil {
			return 0, "", err
		}
		offset, err := offsets.ParseOffset(p.Offset)
		if err != nil {
			return 0, "", err
		}
		entries = append(entries, offsets.Entry{Partition: partition, Offset: offset})
	}
	message, err := w.Worker.AlterOffsets(ctx, name, entries)
	return answer(message, err)
}

func (w inProcess) ResetOffsets(ctx context.Context, name string) (int, string, error) {
	message, err := w.Worker.ResetOffsets(ctx, name)
	return answer(message, err)
}

// answer is what the REST API answers.
func answer(message string, err error) (int, string, error) {
	var body any = map[string]string{"message": message}
	status := 200
	if request := new(runtime.RequestError); errors.As(err, &request) {
		status = int(request.Kind)
		body = struct {
			Code    int    `json:"error_code"`
			Message string `json:"message"`
		}{status, request.Message}
	} else if err != nil {
		return 0, "", err
	}
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		return 0, "", fmt.Errorf("encode answer: %w", err)
	}
	return status, strings.TrimSpace(out.String()), nil
}
