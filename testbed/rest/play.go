package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Play plays the scenarios of dir whose needs are met, each in a subtest, and fails for every difference that
// differences.json in dir does not give a reason for: {"scenario/step": "why"}, or {"scenario/step/body/place": "why"} for one
// place of an answer. only keeps the steps whose scenario/step begins with one of these; none: all. What is recommended for converters,
// transformations and predicates depends on what the target has: of the recorded lists that is kept which the target has, once; Confluent's
// converters, which the recorded worker had not installed, are put before it.
func Play(t *testing.T, dir, base, follower string, have []string, vars map[string]string, only ...string) {
	t.Helper()
	scenarios, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	reasons, err := readReasons(filepath.Join(dir, "differences.json"))
	if err != nil {
		t.Fatal(err)
	}
	with := map[string]string{"DIR": t.TempDir()}
	for k, v := range vars {
		with[k] = v
	}
	p, err := NewPlayer(base, follower, have, with)
	if err != nil {
		t.Fatal(err)
	}
	plugins, err := p.plugins()
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, s := range scenarios {
		s.Steps = slices.DeleteFunc(s.Steps, func(step Step) bool { return !wanted(s.Name+"/"+step.Step, only) })
		if len(s.Steps) == 0 {
			continue
		}
		if lacks := p.Lacks(s); len(lacks) > 0 {
			t.Logf("%s needs %s", s.Name, strings.Join(lacks, ", "))
			continue
		}
		for _, r := range s.Recorded {
			narrow(r.Body, plugins)
		}
		for i, step := range s.Steps {
			if reasons[s.Name+"/"+step.Step] != "" && step.Until != nil {
				s.Steps[i].Timeout = 1 // what it waits for does not come
			}
		}
		t.Run(s.Name, func(t *testing.T) {
			n, differences, err := p.Play(s)
			compared += n
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range differences {
				if why := intended(d, reasons); why != "" {
					t.Logf("%s/%s differs as intended: %s", d.Scenario, d.Step, why)
				} else {
					t.Error(d)
				}
			}
		})
	}
	if err := p.Leave(); err != nil {
		t.Error(err)
	}
	if compared == 0 {
		t.Error("nothing was compared")
	}
	t.Logf("%d steps compared", compared)
}

func wanted(name string, only []string) bool {
	for _, o := range only {
		if strings.HasPrefix(name, o) {
			return true
		}
	}
	return len(only) == 0
}

// intended is the reason for a difference; "" when a place of it has none.
func intended(d Difference, reasons map[string]string) string {
	step := d.Scenario + "/" + d.Step
	if why := reasons[step]; why != "" {
		return why
	}
	var all []string
	for _, x := range d.Details {
		why := reasons[step+x.Path]
		if why == "" {
			return ""
		}
		if !slices.Contains(all, why) {
			all = append(all, why)
		}
	}
	return strings.Join(all, "; ")
}

// plugins lists the classes that the target has, by type; nil when it does not say.
func (p *Player) plugins() (map[string][]string, error) {
	got, err := p.send(p.base, "GET", "/connector-plugins?connectorsOnly=false", nil, nil)
	if err != nil || got.status != 200 {
		return nil, err
	}
	var list []struct{ Class, Type string }
	if err := json.Unmarshal(got.body, &list); err != nil {
		return nil, fmt.Errorf("list plugins: %w", err)
	}
	out := map[string][]string{}
	for _, x := range list {
		out[x.Type] = append(out[x.Type], x.Class)
	}
	return out, nil
}

// uninstalled begins the classes that come in packages which the recorded worker did not have; they sort before its own.
const uninstalled = "io.confluent."

// narrow leaves in the recommended values of keys that name a plugin those that the target has, each once, after those that the
// recorded worker lacked.
func narrow(v any, plugins map[string][]string) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			narrow(x, plugins)
		}
	case map[string]any:
		name, _ := v["name"].(string)
		if list, ok := v["recommended_values"].([]any); ok && plugins != nil && pluginType(name) != "" {
			kept := []any{}
			for _, class := range slices.Sorted(slices.Values(plugins[pluginType(name)])) {
				if strings.HasPrefix(class, uninstalled) {
					kept = append(kept, class)
				}
			}
			for _, x := range list {
				if class, _ := x.(string); slices.Contains(plugins[pluginType(name)], class) && !slices.Contains(kept, x) {
					kept = append(kept, x)
				}
			}
			v["recommended_values"] = kept
		}
		for _, x := range v {
			narrow(x, plugins)
		}
	}
}

// pluginType is the type of the plugins that a key names, "" for another key.
func pluginType(key string) string {
	list, rest, _ := strings.Cut(key, ".")
	switch {
	case key == "key.converter" || key == "value.converter":
		return "converter"
	case key == "header.converter":
		return "header_converter"
	case list == "transforms" && strings.HasSuffix(rest, ".type"):
		return "transformation"
	case list == "predicates" && strings.HasSuffix(rest, ".type"):
		return "predicate"
	}
	return ""
}

func readReasons(path string) (map[string]string, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read intended differences: %w", err)
	}
	var out map[string]string
	if err := json.Unmarshal(b, &out); err != nil {
		return nil, fmt.Errorf("read intended differences %s: %w", path, err)
	}
	return out, nil
}
