package runtime

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// offered is a connector that does nothing.
type offered struct {
	connectors.Factory
	d      connectors.Description
	memory int64 // of its processes; -1: it runs in the worker
}

func (f offered) Describe() connectors.Description { return f.d }

func (f offered) Validate(_ context.Context, c connectors.Config) []connectors.ConfigValue {
	values, _ := f.d.Config.Validate(c)
	return values
}

func (offered) NewSource(connectors.Config, connectors.Settings) (connectors.SourceTask, error) {
	return nil, errors.New("not needed")
}

func (offered) NewSink(connectors.Config, connectors.Settings) (connectors.SinkTask, error) {
	return nil, errors.New("not needed")
}

func offer(class, version string, aliases ...string) offered {
	return offered{memory: -1, d: connectors.Description{Class: class, Version: version, Aliases: aliases, Config: &connectors.ConfigDef{Keys: []connectors.Key{
		{Name: "of." + version, Type: connectors.TypeString},
	}}}}
}

func sources(list ...offered) (out []connectors.SourceFactory) {
	for _, f := range list {
		f.d.Source = true
		out = append(out, f)
	}
	return out
}

func sinks(list ...offered) (out []connectors.SinkFactory) {
	for _, f := range list {
		f.d.Sink = true
		out = append(out, f)
	}
	return out
}

func catalogOfVersions(t *testing.T) *Catalog {
	t.Helper()
	c := NewCatalog(sources(offer("a.b.FooConnector", "1.9", "foo"), offer("a.b.KafkaSource", "1", "kafka")), sinks(offer("a.b.BarSinkConnector", "1.0"), offer("a.b.Kafka", "1", "kafka")))
	for _, version := range []string{"1.10.0", "2.0-rc1"} {
		if err := c.Add(Offer{Plugin: "foo", Version: version, Dir: "/p/foo-" + version, Sources: sources(offer("a.b.FooConnector", version)), Sinks: sinks(offer("a.b.BarSinkConnector", ""))}); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestVersionsSideBySide(t *testing.T) {
	t.Parallel()
	c := catalogOfVersions(t)
	for _, x := range []struct{ class, asked, version, from string }{
		{"a.b.FooConnector", "", "2.0-rc1", "/p/foo-2.0-rc1"},
		{"foo", "latest", "2.0-rc1", "/p/foo-2.0-rc1"},
		{"Foo", "(,2.0-rc1)", "1.10.0", "/p/foo-1.10.0"},
		{"FooConnector", "1.9", "1.9", ""},
		{"foo", "[1.0,1.9.5]", "1.9", ""},
		{"BarSink", "1.10", "1.10.0", "/p/foo-1.10.0"},
	} {
		e, err := c.Choose("", x.class, x.asked)
		if err != nil || e.PluginVersion() != x.version || e.From != x.from {
			t.Errorf("%s %s: got %+v, %v", x.class, x.asked, e, err)
		}
	}
	e, err := c.Choose("", "foo", "[3,)")
	if e == nil || err == nil || err.Error() != "Plugin a.b.FooConnector not found that matches the version range [3,), available versions: [1.9, 1.10.0, 2.0-rc1]" {
		t.Errorf("got %v, %v", e, err)
	}
	if _, err := c.Choose("", "foo", "[3"); err == nil || !strings.Contains(err.Error(), "matches the version range [3, available versions") {
		t.Errorf("got %v", err)
	}
	var listed []string
	for _, e := range c.List() {
		listed = append(listed, string(e.Type)+" "+e.Class+" "+e.PluginVersion())
	}
	if want := []string{
		"sink a.b.BarSinkConnector 1.0", "sink a.b.BarSinkConnector 1.10.0", "sink a.b.BarSinkConnector 2.0-rc1", "sink a.b.Kafka 1",
		"source a.b.FooConnector 1.9", "source a.b.FooConnector 1.10.0", "source a.b.FooConnector 2.0-rc1", "source a.b.KafkaSource 1",
	}; !slices.Equal(listed, want) {
		t.Errorf("listed %q", listed)
	}
}

// A plugin does not take the short name of what is built in, nor one that another plugin has.
func TestNamesOfPlugins(t *testing.T) {
	t.Parallel()
	c := catalogOfVersions(t)
	for _, class := range []string{"x.Thief", "y.Thief"} {
		if err := c.Add(Offer{Version: "99", Dir: "/p/" + class, Sources: sources(offer(class, "99", "foo", "kafka"))}); err != nil {
			t.Fatal(err)
		}
	}
	if e, err := c.Choose("", "foo", ""); err != nil || e.Class != "a.b.FooConnector" {
		t.Errorf("foo is %v, %v", e, err)
	}
	if e := c.builtIn(SourcePlugin, kafkaSource); e.Class != "a.b.KafkaSource" {
		t.Errorf("kafka is %v", e)
	}
	if e, err := c.Choose("", "Thief", ""); e != nil || err == nil || !strings.HasSuffix(err.Error(), "Classes found: x.Thief, y.Thief") {
		t.Errorf("got %v, %v", e, err)
	}
}

func TestPluginsThatDoNotFit(t *testing.T) {
	t.Parallel()
	c := catalogOfVersions(t)
	for _, x := range []struct {
		o    Offer
		want string
	}{
		{Offer{Version: "1.10", Sources: sources(offer("a.b.FooConnector", "1.10"))}, "version 1.10 of a.b.FooConnector is in /p/foo-1.10.0 already"},
		{Offer{Version: "1.9", Sources: sources(offer("a.b.FooConnector", "1.9"))}, "is built in already"},
		{Offer{Version: "3", Sources: sources(offer("new.One", "3"), offer("new.Two", "4"))}, "new.Two says that it is version 4, the plugin's manifest says 3"},
	} {
		if err := c.Add(x.o); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("got %v, want %q", err, x.want)
		}
	}
	if e, _ := c.Choose("", "new.One", ""); e != nil {
		t.Error("half of a plugin is there")
	}
	if err := c.Add(Offer{Version: "1.10", Sinks: sinks(offer("a.b.FooConnector", "1.10"))}); err != nil {
		t.Errorf("a class may be a source and a sink: %v", err)
	}
}

func TestPluginsThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	c := catalogOfVersions(t)
	c.Refuse(Unusable{Plugin: "nats", Version: "1.4", Dir: "/p/nats", Classes: []string{"n.NatsSinkConnector"}, Err: errors.New("the checksum is wrong")})
	c.Refuse(Unusable{Plugin: "foo", Version: "3.1", Dir: "/p/foo-3.1", Classes: []string{"a.b.FooConnector"}, Err: errors.New("it is not executable")})
	c.Refuse(Unusable{Dir: "/p/broken", Err: errors.New("it is not JSON")})
	w := NewWorker(Options{Catalog: c, Store: offsets.NewMemory()})
	problems := func(config connectors.Config) string {
		return strings.Join(connectors.Errors(w.Validate(t.Context(), config)), "\n")
	}
	for _, x := range []struct {
		config connectors.Config
		want   string
	}{
		{connectors.Config{"connector.class": "NatsSink"}, "find connector.class: plugin nats 1.4 (/p/nats) cannot be used: the checksum is wrong"},
		{connectors.Config{"connector.class": "foo", "sinks": "a", "sinks.a.connector.class": "NatsSink"}, "find sinks.a.connector.class: plugin nats 1.4 (/p/nats) cannot be used: the checksum is wrong"},
		{connectors.Config{"connector.class": "foo", "connector.plugin.version": "[3,4)"}, "available versions: [1.9, 1.10.0, 2.0-rc1]; plugin foo 3.1 (/p/foo-3.1) cannot be used: it is not executable"},
		{connectors.Config{"connector.class": "Other"}, "what these plugins have cannot be told, see 'freshet plugins': /p/broken"},
		{connectors.Config{"connector.class": "foo", "sinks": "a", "sinks.a.connector.class": "BarSink", "sinks.a.connector.plugin.version": "7"}, "Plugin a.b.BarSinkConnector not found that matches the version range [7,7], available versions: [1.0, 1.10.0, 2.0-rc1]"},
	} {
		x.config["name"] = "n"
		if got := problems(x.config); !strings.Contains(got, x.want) {
			t.Errorf("%v: got\n%s\nwant %q", x.config, got, x.want)
		}
	}
	if got := problems(connectors.Config{"name": "n", "connector.class": "foo", "sinks": "a", "sinks.a.connector.class": "BarSink"}); got != "" {
		t.Errorf("what can be used has problems:\n%s", got)
	}
}

// The version that is asked for decides which keys there are; the process is chosen for the sink, else for the connector, else for the worker.
func TestWhereAConnectorRuns(t *testing.T) {
	t.Parallel()
	c := catalogOfVersions(t)
	worker := connectors.Config{"plugin.memory.limit": "1000"}
	w := NewWorker(Options{Catalog: c, Store: offsets.NewMemory(), Config: worker})
	base := connectors.Config{
		"name": "n", "connector.class": "foo", "connector.plugin.version": "1.9", "of.1.9": "x", "sinks": "a,b",
		"sinks.a.connector.class": "BarSink", "sinks.a.connector.plugin.version": "1.0", "sinks.a.of.1.0": "x", "sinks.b.connector.class": "BarSink",
	}
	where := func(more connectors.Config) []int64 {
		t.Helper()
		config := connectors.Config{}
		for _, m := range []connectors.Config{base, more} {
			for name, v := range m {
				config[name] = v
			}
		}
		if problems := connectors.Errors(w.Validate(t.Context(), config)); len(problems) > 0 {
			t.Errorf("%v: %q", more, problems)
			return nil
		}
		p, _ := w.resolve(config)
		return []int64{p.source.(offered).memory, p.sinks[0].factory.(offered).memory, p.sinks[1].factory.(offered).memory}
	}
	if values := w.Validate(t.Context(), connectors.Config{"name": "n", "connector.class": "foo", "connector.plugin.version": "1.9", "plugin.isolation": "process"}); !strings.Contains(strings.Join(connectors.Errors(values), "\n"), "plugin.isolation=process: this program cannot run a.b.FooConnector in a process of its own") {
		t.Errorf("got %q", connectors.Errors(values))
	}
	c.Isolate = func(f connectors.Factory, memory int64) connectors.Factory {
		o := f.(offered)
		o.memory = memory
		return o
	}
	for _, x := range []struct {
		worker string
		more   connectors.Config
		want   []int64
	}{
		{"", nil, []int64{-1, -1, 1000}}, // the second sink is a plugin's
		{"process", nil, []int64{1000, 1000, 1000}},
		{"process", connectors.Config{"plugin.isolation": "none", "plugin.memory.limit": "0"}, []int64{-1, -1, 0}},
		{"none", connectors.Config{"plugin.isolation": "PROCESS", "plugin.memory.limit": "7"}, []int64{7, 7, 7}},
		{"none", connectors.Config{"sinks.a.plugin.isolation": "process", "sinks.b.plugin.memory.limit": "8"}, []int64{-1, 1000, 8}},
		{"process", connectors.Config{"sinks.a.plugin.isolation": "none"}, []int64{1000, -1, 1000}},
	} {
		worker["plugin.isolation"] = x.worker
		if got := where(x.more); !slices.Equal(got, x.want) {
			t.Errorf("worker %q, %v: got %v, want %v", x.worker, x.more, got, x.want)
		}
	}
	for key, v := range map[string]string{"plugin.isolation": "thread", "sinks.a.plugin.isolation": "thread", "plugin.memory.limit": "1 GiB", "sinks.b.plugin.memory.limit": "-1"} {
		config := connectors.Config{key: v}
		for name, v := range base {
			config[name] = v
		}
		if problems := strings.Join(connectors.Errors(w.Validate(t.Context(), config)), "\n"); !strings.Contains(problems, "Invalid value "+v) {
			t.Errorf("%s=%s: %q", key, v, problems)
		}
	}
}
