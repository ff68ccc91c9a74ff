package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/herder"
	"github.com/freshet-io/freshet/runtime/loglevel"
)

// fake is a herder in memory: every connector has one task, which runs at once.
type fake struct {
	mu         sync.Mutex
	connectors map[string]*fakeConnector
	levels     *loglevel.Levels
	leader     error // what every change answers instead; nil: this one leads
	broken     error // what every call answers instead
	panics     bool  // Info does
	healthy    string
}

type fakeConnector struct {
	config  connectors.Config
	state   runtime.State
	tasks   bool
	offsets []herder.OffsetEntry
}

func newFake() *fake {
	return &fake{connectors: map[string]*fakeConnector{}, levels: loglevel.New(0), healthy: "healthy"}
}

func refused(k runtime.RequestKind, format string, args ...any) error {
	return &runtime.RequestError{Kind: k, Message: fmt.Sprintf(format, args...)}
}

func (f *fake) ClusterID() string { return "cluster" }

func (f *fake) Health(context.Context) (status, message string) {
	return f.healthy, "Worker has completed startup and is ready to handle requests."
}

// do calls g with the connector; text is of the 404.
func (f *fake) do(name, text string, change bool, g func(*fakeConnector) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return f.broken
	}
	if change && f.leader != nil {
		return f.leader
	}
	c := f.connectors[name]
	if c == nil {
		return refused(runtime.NotFound, text, name)
	}
	return g(c)
}

const notFound = "Connector %s not found"

func (f *fake) Names(context.Context) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.connectors)), f.broken
}

func (c *fakeConnector) info(name string) herder.Info {
	out := herder.Info{Name: name, Config: maps.Clone(c.config), Tasks: []herder.TaskRef{}, Type: kind(c.config["connector.class"])}
	if c.tasks {
		out.Tasks = append(out.Tasks, herder.TaskRef{Connector: name})
	}
	return out
}

func kind(class string) string {
	if strings.Contains(class, "Sink") {
		return "sink"
	}
	return "source"
}

func (f *fake) Info(_ context.Context, name string) (out herder.Info, err error) {
	if f.panics {
		panic("fake")
	}
	err = f.do(name, notFound, false, func(c *fakeConnector) error {
		out = c.info(name)
		return nil
	})
	return out, err
}

func (f *fake) Tasks(_ context.Context, name string) (out []herder.TaskInfo, err error) {
	err = f.do(name, notFound, false, func(c *fakeConnector) error {
		if c.tasks {
			config := maps.Clone(c.config)
			config["task.class"] = "org.apache.kafka.connect.file.FileStreamSourceTask"
			out = append(out, herder.TaskInfo{ID: herder.TaskRef{Connector: name}, Config: config})
		}
		return nil
	})
	return out, err
}

func (c *fakeConnector) status(name string) herder.Status {
	part := herder.PartStatus{State: c.state, WorkerID: "w:1", Version: "4.3.0"}
	out := herder.Status{Name: name, Connector: part, Tasks: []herder.TaskStatus{}, Type: kind(c.config["connector.class"])}
	if c.tasks {
		out.Tasks = append(out.Tasks, herder.TaskStatus{PartStatus: part})
	}
	return out
}

func (f *fake) Status(_ context.Context, name string) (out herder.Status, err error) {
	err = f.do(name, "No status found for connector %s", false, func(c *fakeConnector) error {
		out = c.status(name)
		return nil
	})
	return out, err
}

func (f *fake) TaskStatus(_ context.Context, name string, id int) (out herder.TaskStatus, err error) {
	none := fmt.Sprintf("No status found for task %s-%d", name, id)
	err = f.do(name, strings.ReplaceAll(none, "%", "%%")+"%.0s", false, func(c *fakeConnector) error {
		s := c.status(name)
		if id < 0 || id >= len(s.Tasks) {
			return refused(runtime.NotFound, "%s", none)
		}
		out = s.Tasks[id]
		return nil
	})
	return out, err
}

func (f *fake) Create(ctx context.Context, name string, config herder.Properties, initial runtime.State) (herder.Info, error) {
	if err := check(config); err != nil {
		return herder.Info{}, err
	}
	f.mu.Lock()
	there := f.connectors[name] != nil
	f.mu.Unlock()
	if there && f.leader == nil {
		return herder.Info{}, refused(runtime.Conflict, "Connector %s already exists", name)
	}
	out, _, err := f.set(name, texts(config), initial)
	out.Tasks = []herder.TaskRef{}
	return out, err
}

func texts(p herder.Properties) connectors.Config {
	out := connectors.Config{}
	for k, v := range p {
		if v != nil {
			out[k] = *v
		}
	}
	return out
}

func check(p herder.Properties) error {
	c := texts(p)
	if c["connector.class"] == "" {
		return refused(runtime.BadRequest, "Connector config {name=%s} contains no connector type", c["name"])
	}
	key := "topic"
	if kind(c["connector.class"]) == "sink" {
		key = "topics"
	}
	var bad []string
	if i := strings.IndexFunc(c["name"], func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }); i >= 0 {
		r := []rune(c["name"][i:])[0]
		bad = append(bad, fmt.Sprintf("Invalid value %s for configuration name: String may not contain control sequences but had the following ASCII chars: %d", c["name"], r))
	} else if _, there := p["name"]; there && c["name"] == "" {
		bad = append(bad, "Invalid value  for configuration name: String may not be empty")
	}
	if c[key] == "" {
		bad = append(bad, "Missing required configuration \""+key+"\" which has no default value.")
	}
	if len(bad) == 0 {
		return nil
	}
	return &runtime.ConfigError{Connector: c["name"], Values: []connectors.ConfigValue{{Name: "name", Errors: bad}}}
}

func (f *fake) set(name string, config connectors.Config, initial runtime.State) (out herder.Info, created bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := cmpErr(f.broken, f.leader); err != nil {
		return out, false, err
	}
	c := f.connectors[name]
	if created = c == nil; created {
		c = &fakeConnector{state: runtime.Running}
		f.connectors[name] = c
	}
	if initial != "" {
		c.state = initial
	}
	c.config, c.tasks = config, c.state == runtime.Running
	return c.info(name), created, nil
}

func cmpErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *fake) Put(_ context.Context, name string, config herder.Properties) (herder.Info, bool, error) {
	if err := check(config); err != nil {
		return herder.Info{}, false, err
	}
	out, created, err := f.set(name, texts(config), "")
	if created {
		out.Tasks = []herder.TaskRef{}
	}
	return out, created, err
}

func (f *fake) Patch(ctx context.Context, name string, change herder.Properties) (herder.Info, error) {
	now, err := f.Info(ctx, name)
	if err != nil {
		return now, err
	}
	for k, v := range change {
		if delete(now.Config, k); v != nil {
			now.Config[k] = *v
		}
	}
	out, _, err := f.set(name, now.Config, "")
	return out, err
}

func (f *fake) Delete(_ context.Context, name string) error {
	return f.do(name, notFound, true, func(*fakeConnector) error {
		delete(f.connectors, name)
		return nil
	})
}

func (f *fake) turn(name string, state runtime.State, tasks bool) error {
	return f.do(name, "Unknown connector %s", false, func(c *fakeConnector) error {
		c.state, c.tasks = state, tasks
		return nil
	})
}

func (f *fake) Pause(_ context.Context, name string) error { return f.turn(name, runtime.Paused, true) }

func (f *fake) Resume(_ context.Context, name string) error {
	return f.turn(name, runtime.Running, true)
}

func (f *fake) Stop(_ context.Context, name string) error {
	return f.turn(name, runtime.Stopped, false)
}

const unknown = "Unknown connector: %s"

func (f *fake) Restart(_ context.Context, name string) error {
	return f.do(name, unknown, true, func(*fakeConnector) error { return nil })
}

func (f *fake) RestartWith(_ context.Context, name string, includeTasks, onlyFailed bool) (out herder.Status, err error) {
	err = f.do(name, unknown, true, func(c *fakeConnector) error {
		out = c.status(name)
		if !onlyFailed {
			out.Connector.State = runtime.Restarting
		}
		if includeTasks && !onlyFailed && len(out.Tasks) > 0 {
			out.Tasks[0].State = runtime.Restarting
		}
		return nil
	})
	return out, err
}

func (f *fake) RestartTask(_ context.Context, name string, id int) error {
	return f.do(name, unknown, true, func(c *fakeConnector) error {
		if id != 0 {
			return refused(runtime.NotFound, "Unknown task: %s-%d", name, id)
		}
		return nil
	})
}

func (f *fake) Topics(context.Context, string) ([]string, error) { return nil, f.broken }
func (f *fake) ResetTopics(context.Context, string) error        { return f.broken }

func (f *fake) Offsets(_ context.Context, name string) (out []herder.OffsetEntry, err error) {
	err = f.do(name, notFound, false, func(c *fakeConnector) error {
		out = slices.Clone(c.offsets)
		return nil
	})
	return out, err
}

func (f *fake) AlterOffsets(_ context.Context, name string, entries []herder.OffsetEntry) (string, error) {
	return "altered", f.do(name, notFound, true, func(c *fakeConnector) error {
		c.offsets = slices.DeleteFunc(slices.Clone(entries), func(e herder.OffsetEntry) bool { return e.Partition == nil || e.Offset == nil })
		return nil
	})
}

func (f *fake) ResetOffsets(_ context.Context, name string) (string, error) {
	return "reset", f.do(name, notFound, true, func(c *fakeConnector) error {
		c.offsets = nil
		return nil
	})
}

func (f *fake) Plugins(connectorsOnly bool) []herder.Plugin {
	out := []herder.Plugin{{Class: "org.apache.kafka.connect.file.FileStreamSourceConnector", Type: "source", Version: "4.3.0"}}
	if !connectorsOnly {
		out = append(out, herder.Plugin{Class: "org.apache.kafka.connect.json.JsonConverter", Type: "converter"})
	}
	return out
}

func (f *fake) PluginConfig(plugin, version string) ([]herder.KeyInfo, error) {
	if plugin != "FileStreamSource" {
		return nil, refused(runtime.NotFound, "Unknown plugin %s.", plugin)
	}
	if version != "latest" {
		return nil, refused(runtime.BadRequest, "Invalid version specification: %s", version)
	}
	return []herder.KeyInfo{{Name: "file", Type: "STRING"}}, nil
}

func (f *fake) Validate(_ context.Context, plugin string, config herder.Properties) (herder.Validation, error) {
	if config["connector.class"] == nil {
		return herder.Validation{}, refused(runtime.BadRequest, "Connector config {} contains no connector type")
	}
	return herder.Validation{Name: *config["connector.class"], Groups: []string{}, Configs: []herder.ConfigInfo{}}, f.broken
}

func (f *fake) SetLogLevel(_ context.Context, logger, level string) error {
	l, _ := loglevel.Parse(level)
	_, err := f.levels.Set(logger, l)
	return err
}

func (f *fake) PutTasks(_ context.Context, name string, _ []connectors.Config) error {
	return f.do(name, notFound, true, func(*fakeConnector) error { return nil })
}

func (f *fake) Fence(_ context.Context, name string) error {
	return f.do(name, notFound, true, func(*fakeConnector) error { return nil })
}

func (f *fake) Sign(body []byte) (signature, algorithm string, err error) {
	return fmt.Sprint(len(body)), "Length", nil
}

func (f *fake) Verify(body []byte, signature, algorithm string) error {
	switch {
	case signature == "" || algorithm == "":
		return refused(runtime.BadRequest, "Internal request missing required signature")
	case algorithm != "Length" || signature != fmt.Sprint(len(body)):
		return refused(403, "Internal request contained invalid signature.")
	}
	return nil
}

// raw is JSON as it is.
func raw(s string) json.RawMessage { return json.RawMessage(s) }
