package plugins

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/connectors/connectortest"
	"github.com/freshet-io/freshet/connectors/file"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/json"
	plain "github.com/freshet-io/freshet/converters/string"
	"github.com/freshet-io/freshet/plugins/pluginpb"
)

// A process gets the variables that it needs and those that are named, nothing else of the worker's.
func TestVariables(t *testing.T) {
	t.Setenv("PATH", "/bin")
	t.Setenv("TZ", "UTC")
	t.Setenv("NATS_TOKEN", "secret")
	t.Setenv("HTTPS_PROXY", "http://proxy")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	for _, name := range []string{"HOME", "TMPDIR", "LANG"} {
		t.Setenv(name, "x") // put back at the end
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	p := &Plugin{Dir: "/p", Manifest: Manifest{Name: "nats", Executable: "bin/nats", Args: []string{"-v"}, Transport: TransportSocket, Environment: []string{"NATS_TOKEN", "NATS_URL", "PATH"}}}
	c := p.Command(Options{Environment: []string{"HTTPS_PROXY"}, Memory: 7, Patience: time.Minute})
	if want := []string{"PATH=/bin", "TZ=UTC", "NATS_TOKEN=secret", "HTTPS_PROXY=http://proxy"}; !slices.Equal(c.Environment, want) {
		t.Errorf("environment %q, want %q", c.Environment, want)
	}
	if c.Path != "/p/bin/nats" || !slices.Equal(c.Args, p.Args) || c.Dir != "/p" || !c.Socket || c.Memory != 7 || c.Patience != time.Minute || c.Verify == nil {
		t.Errorf("got %+v", c)
	}
}

func TestWhatIsServedIsInTheManifest(t *testing.T) {
	t.Parallel()
	a, b := ManifestConnector{"A", "source"}, ManifestConnector{"B", "sink"}
	p := &Plugin{Manifest: Manifest{Name: "p", Connectors: []ManifestConnector{a, b}}}
	for _, c := range []struct {
		serves []ManifestConnector
		want   string
	}{
		{[]ManifestConnector{b, a}, ""},
		{[]ManifestConnector{a}, "missing: sink B; correct"},
		{[]ManifestConnector{a, b, {"A", "sink"}}, "there twice: sink A; correct"},
		{[]ManifestConnector{a, b, b}, "there twice: sink B; correct"},
	} {
		err := p.compare(c.serves)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, want %q", c.serves, err, c.want)
		}
	}
	if err := Executable("/bin/sh").compare([]ManifestConnector{a}); err != nil {
		t.Errorf("without a manifest: %v", err)
	}
}

// A plugin is not told the worker's own secrets; the worker keeps them.
func TestSecretsOfTheWorker(t *testing.T) {
	t.Parallel()
	worker := connectors.Config{"group.id": "g", "sasl.jaas.config": "x", "producer.ssl.key.password": "x", "value.converter": "json"}
	f := &factory{command: &Command{}, description: connectors.Description{Config: &connectors.ConfigDef{}}}
	of, err := (&sourceFactory{f}).NewSource(nil, connectors.Settings{Worker: worker})
	if err != nil {
		t.Fatal(err)
	}
	to, err := (&sinkFactory{f}).NewSink(nil, connectors.Settings{Worker: worker})
	if err != nil {
		t.Fatal(err)
	}
	want := connectors.Config{"group.id": "g", "value.converter": "json"}
	for _, got := range []connectors.Config{of.(*source).settings.Worker, to.(*sink).settings.Worker, withoutSecrets(connectors.Settings{Worker: worker}).Worker} {
		if !maps.Equal(got, want) {
			t.Errorf("a plugin is told %v", got)
		}
	}
	if len(worker) != 4 {
		t.Errorf("the worker has lost properties: %v", worker)
	}
}

// A connector whose description says that it keeps offsets, and whose sink does not, is told so.
func TestAKeeperThatKeepsNothing(t *testing.T) {
	t.Parallel()
	factory := file.Sinks{Converters: converters.Set{json.Kind(), plain.Kind()}} // its sinks of a sink connector keep none
	s := newServer([]connectors.Factory{factory}, slog.New(slog.DiscardHandler), &slog.LevelVar{})
	refused := func(want string) {
		t.Helper()
		_, asked := s.Progress(t.Context(), &pluginpb.ProgressRequest{})
		_, set := s.SetProgress(t.Context(), &pluginpb.SetProgressRequest{})
		for _, err := range []error{asked, set} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		}
	}
	refused("Open comes first")
	r, err := s.Open(t.Context(), &pluginpb.OpenRequest{
		Class: factory.Describe().Class, Sink: true, Config: connectors.Config{"file": t.TempDir() + "/out"}, Settings: toSettings(connectors.Settings{Connector: "c", Shared: true}),
	})
	if err != nil || r.GetError() != nil {
		t.Fatal(err, r.GetError())
	}
	refused("does not keep offsets")
}

// rejections is a session that looks for the raw form of what is rejected.
type rejections struct {
	connectortest.Session
	raw *connectors.Raw
}

func (s *rejections) Reject(_ context.Context, b *connectors.Batch, record int, _ error) error {
	s.raw, _ = b.Raw(record)
	return nil
}

// The raw form of a record stays in the worker, which has it when the plugin rejects the record.
func TestRawRecordsStay(t *testing.T) {
	t.Parallel()
	session := &rejections{}
	sink := newSink(&Command{}, &connectors.Description{Config: hidden}, nil, connectors.Settings{}).(*sink) //nolint:errcheck,forcetypeassert // it is one
	sink.session, sink.process, sink.stream = session, sound(), struct{ pluginpb.Connector_PutClient }{}
	w := connectors.NewBuilder(connectortest.Partition(1), nil, nil)
	connectortest.AppendTen(w, connectortest.Ten(), 0, 1)
	w.Raw(connectors.Raw{Topic: "bets", Value: []byte("as it lies in the topic")})
	b := w.Finish("{}", connectors.Order{})
	b.ID = 1
	defer b.Release()
	if err := sink.Put(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if text := sink.outbox[0].batch; bytes.Contains(text, []byte("as it lies")) {
		t.Errorf("it is sent: %q", text)
	}
	err := sink.reject(t.Context(), &pluginpb.Reject{Batch: 1, Cause: &pluginpb.Error{Text: "odd"}})
	if err != nil || session.raw == nil || session.raw.Topic != "bets" {
		t.Errorf("rejected: %v, %v", session.raw, err)
	}
}

// What a task is told in the worker it is told in a process.
func TestSettingsCross(t *testing.T) {
	t.Parallel()
	want := connectors.Settings{}
	v := reflect.ValueOf(&want).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString(v.Type().Field(i).Name)
		case reflect.Int:
			f.SetInt(int64(i))
		case reflect.Bool:
			f.SetBool(true)
		}
	}
	want.Worker = connectors.Config{"a": "b"} // the logger is the process's own
	if got := fromSettings(toSettings(want)); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// Connectors may write to the maps that they get: an empty one arrives as none.
func TestEmptyMaps(t *testing.T) {
	t.Parallel()
	fromConfig(nil)["a"] = "b"
	fromSettings(toSettings(connectors.Settings{Worker: connectors.Config{}})).Worker["a"] = "b"
}
