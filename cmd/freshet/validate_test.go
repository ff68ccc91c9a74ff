package main

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/file"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/herder"
	"github.com/freshet-io/freshet/runtime/rest"
	"github.com/freshet-io/freshet/runtime/workerconfig"
	player "github.com/freshet-io/freshet/testbed/rest"
)

const golden = "../../testdata/golden/rest"

// topics stands for Kafka as the source of sink connectors, none of which is started here.
type topics struct{ connectors.SourceFactory }

func (topics) Describe() connectors.Description {
	return connectors.Description{Class: "kafka", Source: true, Config: &connectors.ConfigDef{}}
}

// serveValidation is a worker of this binary with the REST API, which is alone and has no Kafka.
func serveValidation(t *testing.T) string {
	t.Helper()
	p := newProgram()
	json := "org.apache.kafka.connect.json.JsonConverter"
	worker := runtime.NewWorker(runtime.Options{
		Catalog: runtime.NewCatalog(append(p.sources(), topics{file.Sources{}}), p.sinks(), p.plugins()...), Store: offsets.NewMemory(), AsConnect: true,
		Config: connectors.Config{"key.converter": json, "value.converter": json},
	})
	configs, statuses := herder.LocalLogs()
	h := herder.New(herder.Options{Worker: worker, Config: configs, Status: statuses, Group: herder.LocalGroup()})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	properties, err := workerconfig.New(connectors.Config{
		"bootstrap.servers": "localhost:1", "group.id": "g", "config.storage.topic": "c", "offset.storage.topic": "o", "status.storage.topic": "s",
		"key.converter": json, "value.converter": json, "listeners": "http://127.0.0.1:0",
	}, workerconfig.Distributed)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := rest.Configure(properties, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(rest.NewAPI(h, settings, rest.Options{}).Handler(true, true))
	t.Cleanup(func() {
		s.Close()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s.URL
}

// TestRecordedValidations plays what was recorded of refused configurations, of plugins and of the Postgres connector without a
// database.
func TestRecordedValidations(t *testing.T) {
	player.Play(t, golden, serveValidation(t), "", nil, map[string]string{"PGPORT": "15999"}, "02", "09", "13")
}
