package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// Subject is a connector of which only a configuration is known, beside its factory.
type Subject struct {
	Config connectors.Config
	// Framework has the keys that the runtime reads; Validate does not get those of them that the connector does not define. nil: none.
	Framework *connectors.ConfigDef
	Settings  connectors.Settings // Connector, Logger and Worker; the rest is made
	// Records is how many records of a source are read; 0: 100.
	Records int
	// Idle is how long a source that says nothing is waited for at its first reading; 0: 3 s. It decides only how much is tested.
	Idle time.Duration
	// Seed makes the schedule of faults.
	Seed uint64
	// First is above every number that an earlier run of these checks has used in the source or target.
	First int
	// Write makes the source have records with the numbers from … to; nil: this is not known how.
	Write func(ctx context.Context, from, to int) error
	// Poison adds to the source, as a number behind those of Write, something that cannot be turned into a record; nil: likewise.
	Poison func(ctx context.Context, n int) error
	// Read returns what the target holds; nil: this is not known.
	Read func(ctx context.Context) ([]Item, error)
	// Mirror: the target has a number once, however often and from wherever it was sent again, and not once it was deleted.
	Mirror bool
	// Patience bounds each wait; 0: 20 s.
	Patience time.Duration
	// Processes: the tasks start processes, which end with them.
	Processes bool

	runs int // tasks that were made
}

// Item is what a target holds of a number.
type Item struct {
	Number int
	Text   string
	Texted bool // Text is known

	keyless bool // the number is null
}

// ParseItems reads lines: each a number, or a JSON object with a member n, and perhaps text, at any depth. A line whose n is null is left
// out: it is a record of the suite that has no key, in a target that takes it.
func ParseItems(r io.Reader) ([]Item, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read what the target holds: %w", err)
	}
	var out []Item
	for i, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			return nil, fmt.Errorf("line %d of what the target holds, %.80q, is neither a number nor a JSON object: %w", i+1, line, err)
		}
		item, ok := find(v)
		switch {
		case !ok:
			return nil, fmt.Errorf("line %d of what the target holds, %.80q, is neither a number nor a JSON object with a member n", i+1, line)
		case !item.keyless:
			out = append(out, item)
		}
	}
	return out, nil
}

// find looks for a number, then in the members, those of the new row first.
func find(v any) (Item, bool) {
	switch v := v.(type) {
	case json.Number:
		n, err := v.Int64()
		return Item{Number: int(n)}, err == nil
	case map[string]any:
		if n, there := v["n"]; there {
			if n == nil {
				return Item{keyless: true}, true
			}
			item, ok := find(n)
			item.Text, item.Texted = v["text"].(string)
			return item, ok
		}
		names := slices.Sorted(maps.Keys(v))
		for _, name := range append([]string{"after", "value"}, names...) {
			if inner, ok := v[name].(map[string]any); ok {
				if item, ok := find(inner); ok {
					return item, true
				}
			}
		}
	}
	return Item{}, false
}

// prepare fills in what was left out.
func (s *Subject) prepare() {
	if s.Records == 0 {
		s.Records = 100
	}
	if s.Idle == 0 {
		s.Idle = 3 * time.Second
	}
	if s.Patience == 0 {
		s.Patience = defaultPatience
	}
	if s.Settings.Connector == "" {
		s.Settings.Connector = "conformance"
	}
}

// settings are those of the next task.
func (s *Subject) settings() connectors.Settings {
	s.runs++
	out := s.Settings
	out.RunID = fmt.Sprintf("conformance-%d-%d", s.First, s.runs)
	return out
}

// task is the configuration of the only task.
func (s *Subject) task(t T, f connectors.Factory) connectors.Config {
	t.Helper()
	scope := &scope{t, s.Patience}
	var list []connectors.Config
	err := scope.call(scope.ctx(), "Tasks", func(ctx context.Context) (err error) {
		list, err = f.Tasks(ctx, s.Config, 1)
		return err
	})
	if err != nil {
		t.Fatalf("Tasks: %v", err)
	}
	if len(list) != 1 {
		t.Fatalf("Tasks returned %d configurations for at most one task", len(list))
	}
	return list[0]
}

// factoryChecks are those of the factory itself. try makes and starts a task of a configuration and stops it again.
func (s *Subject) factoryChecks(f connectors.Factory, source bool, try func(sc *scope, c connectors.Config) error) []Check {
	with := func(run func(sc *scope)) func(T) {
		return func(t T) {
			sc := &scope{t, s.Patience}
			compare := sc.leftBehind(s.Processes, nil)
			run(sc)
			compare()
		}
	}
	return []Check{
		{"Describes", "the connector describes itself", with(func(sc *scope) { s.describes(sc, f, source) })},
		{"Validates", "the configuration is in order, and no password is shown", with(func(sc *scope) { s.validates(sc, f) })},
		{"RefusesBadConfig", "what is missing or has no form of its type is an error of its key, and permanent", with(func(sc *scope) { s.refuses(sc, f, try) })},
		{"SplitsWork", "there is at least one task, and no more than asked for", with(func(sc *scope) { s.splits(sc, f) })},
	}
}

func (s *Subject) describes(t *scope, f connectors.Factory, source bool) {
	d := f.Describe()
	if d.Class == "" {
		t.Errorf("Description.Class is empty")
	}
	if d.Version == "" {
		t.Errorf("Description.Version is empty")
	}
	if d.Source != source || d.Sink == source {
		t.Errorf("Description.Source is %v and Sink is %v", d.Source, d.Sink)
	}
	if d.Doc == "" {
		t.Logf("Description.Doc is empty: users see no sentence about the connector")
	}
	if d.Config == nil {
		t.Fatalf("Description.Config is missing")
	}
	seen := map[string]bool{}
	for _, k := range d.Config.Keys {
		if k.Name == "" || seen[k.Name] {
			t.Errorf("key %q of the configuration is there twice, or has no name", k.Name)
		}
		seen[k.Name] = true
		if k.Required && k.HasDefault {
			t.Errorf("key %s is required and has a default", k.Name)
		}
	}
}

func (t *scope) validate(f connectors.Factory, c connectors.Config) []connectors.ConfigValue {
	t.Helper()
	var values []connectors.ConfigValue
	if err := t.call(t.ctx(), "Validate", func(ctx context.Context) error {
		values = f.Validate(ctx, c)
		return nil
	}); err != nil {
		t.Fatalf("Validate: %v", err)
	}
	return values
}

// own is the configuration without what only the runtime reads.
func (s *Subject) own(d *connectors.ConfigDef) connectors.Config {
	own := maps.Clone(s.Config)
	if s.Framework != nil {
		maps.DeleteFunc(own, func(name, _ string) bool { return d.Find(name) == nil && s.Framework.Find(name) != nil })
	}
	return own
}

func (s *Subject) validates(t *scope, f connectors.Factory) {
	values := t.validate(f, s.own(f.Describe().Config))
	for _, e := range connectors.Errors(values) {
		t.Errorf("the configuration is not in order: %s", e)
	}
	named := map[string]bool{}
	for _, v := range values {
		named[v.Name] = true
	}
	d := f.Describe().Config
	for _, k := range d.Keys {
		if !named[k.Name] && !k.Prefix && !k.Suffix {
			t.Errorf("Validate says nothing of the key %s", k.Name)
		}
		secret := s.Config[k.Name]
		if k.Type != connectors.TypePassword || len(secret) < 4 {
			continue
		}
		for _, v := range values {
			if strings.Contains(v.Text()+strings.Join(v.Errors, " ")+strings.Join(v.Problems(), " "), secret) {
				t.Errorf("Validate shows the password %s at the key %s (I12)", k.Name, v.Name)
			}
		}
	}
}

// nonsense is a value that has no form of the type; "": every text has.
func nonsense(k *connectors.Key) string {
	switch k.Type {
	case connectors.TypeInt, connectors.TypeShort, connectors.TypeLong, connectors.TypeDouble, connectors.TypeBoolean:
		return "nonsense"
	}
	if k.Closed && len(k.Recommended) > 0 {
		return "nonsense"
	}
	return ""
}

func (s *Subject) refuses(t *scope, f connectors.Factory, try func(*scope, connectors.Config) error) {
	tried, d := 0, f.Describe().Config
	for _, k := range d.Keys {
		if k.Prefix || k.Suffix || k.Alias || k.Unsupported != "" {
			continue
		}
		for _, broken := range []struct {
			what, value string
			there       bool
		}{{"without " + k.Name, "", !k.Required}, {"with " + k.Name + "=nonsense", nonsense(&k), nonsense(&k) == ""}} {
			if broken.there {
				continue
			}
			tried++
			c := maps.Clone(s.Config)
			own := s.own(d)
			for _, c := range []connectors.Config{c, own} {
				delete(c, k.Name)
				if broken.value != "" {
					c[k.Name] = broken.value
				}
			}
			told := slices.ContainsFunc(t.validate(f, own), func(v connectors.ConfigValue) bool { return v.Name == k.Name && len(v.Errors) > 0 })
			if !told {
				t.Errorf("Validate of the configuration %s has no error at that key", broken.what)
			}
			if err := try(t, c); err != nil && connectors.ClassOf(err) != connectors.Permanent {
				t.Errorf("a task of the configuration %s fails with a %s error, which is tried for ever: %v", broken.what, connectors.ClassOf(err), err)
			}
		}
	}
	if tried == 0 {
		t.NotApplicable("no key is required, or has values that could be wrong")
	}
}

func (s *Subject) splits(t *scope, f connectors.Factory) {
	for _, most := range []int{1, 4} {
		var list []connectors.Config
		if err := t.call(t.ctx(), "Tasks", func(ctx context.Context) (err error) {
			list, err = f.Tasks(ctx, s.Config, most)
			return err
		}); err != nil {
			t.Fatalf("Tasks: %v", err)
		}
		if len(list) < 1 || len(list) > most {
			t.Errorf("Tasks returned %d configurations for at most %d tasks", len(list), most)
		}
	}
}

// attempt makes a task, starts it for a moment and stops it.
func attempt[Task interface {
	Stop(context.Context) error
}](t *scope, task Task, err error, start func(ctx context.Context) error,
) error {
	t.Helper()
	if err != nil {
		return err
	}
	err = t.call(t.ctx(), "Start", start)
	if stop := t.call(t.ctx(), "Stop", task.Stop); stop != nil {
		t.Errorf("Stop: %v", stop)
	}
	return err
}
