package golden

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Scenario is a scenario.json.
type Scenario struct {
	Name string // the folder's name
	Dir  string

	database  string
	connector string             // name
	settings  map[string]*string // null: leave the setting out
	topics    []*regexp.Regexp
	steps     []step
}

// step is one step: an operation with its argument, and options.
type step struct {
	op      string
	text    string             // sql: file, also one of another scenario; exec: statement
	number  float64            // sleep, quiet: seconds; offsets_restore: which
	changes map[string]*string // start, config: settings to change

	noWait      bool
	paced       time.Duration // between lines
	quiet       time.Duration // how long nothing may grow; 0: the default
	expect      string        // "failed", "any"
	noSettle    bool
	noStreaming bool
}

var operations = []string{
	"sql", "exec", "start", "config", "stop", "resume", "pause", "restart", "delete", "sleep", "quiet", "offsets_restore", "offsets_reset", "wait_failed",
}

// ReadScenario reads <dir>/scenario.json.
func ReadScenario(dir string) (*Scenario, error) {
	b, err := os.ReadFile(filepath.Join(dir, "scenario.json"))
	if err != nil {
		return nil, fmt.Errorf("read scenario: %w", err)
	}
	var in struct {
		Database  string                       `json:"database"`
		Name      string                       `json:"name"`
		Connector map[string]*string           `json:"connector"`
		Topics    []string                     `json:"topics"`
		Steps     []map[string]json.RawMessage `json:"steps"`
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("read scenario %s: %w", dir, err)
	}
	prefix := in.Connector["topic.prefix"]
	if prefix == nil || *prefix == "" || in.Database == "" {
		return nil, fmt.Errorf("read scenario %s: a database and a topic.prefix are needed", dir)
	}
	s := &Scenario{Name: filepath.Base(dir), Dir: dir, database: in.Database, connector: in.Name, settings: in.Connector}
	if s.connector == "" {
		s.connector = *prefix
	}
	quoted := regexp.QuoteMeta(*prefix)
	for _, pattern := range append(in.Topics, "^"+quoted+`(\..*)?$`, `^__debezium-heartbeat\.`+quoted+"$") {
		re, err := regexp.Compile(pattern)
		if err != nil {
			return nil, fmt.Errorf("read scenario %s: %w", dir, err)
		}
		s.topics = append(s.topics, re)
	}
	for i, fields := range in.Steps {
		st, err := readStep(fields)
		if err != nil {
			return nil, fmt.Errorf("read scenario %s, step %d: %w", dir, i, err)
		}
		s.steps = append(s.steps, st)
	}
	return s, nil
}

func readStep(fields map[string]json.RawMessage) (step, error) {
	var st step
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		value := fields[name]
		// "quiet" is an operation when it is alone, and an option beside another.
		if slices.Contains(operations, name) && (name != "quiet" || len(fields) == 1) {
			if st.op != "" {
				return st, fmt.Errorf("both %s and %s", st.op, name)
			}
			st.op = name
			if err := st.argument(value); err != nil {
				return st, fmt.Errorf("%s: %w", name, err)
			}
			continue
		}
		if err := st.option(name, value); err != nil {
			return st, fmt.Errorf("%s: %w", name, err)
		}
	}
	if st.op == "" {
		return st, fmt.Errorf("no operation; one of %s is needed", strings.Join(operations, ", "))
	}
	return st, nil
}

func (st *step) argument(value json.RawMessage) error {
	switch st.op {
	case "sql", "exec":
		return json.Unmarshal(value, &st.text)
	case "sleep", "quiet", "offsets_restore":
		return json.Unmarshal(value, &st.number)
	case "start", "config":
		if strings.HasPrefix(string(value), "{") {
			return json.Unmarshal(value, &st.changes)
		}
	}
	return nil
}

func (st *step) option(name string, value json.RawMessage) error {
	var seconds float64
	var yes bool
	switch name {
	case "wait", "settle", "streaming":
		if err := json.Unmarshal(value, &yes); err != nil {
			return err
		}
		switch name {
		case "wait":
			st.noWait = !yes
		case "settle":
			st.noSettle = !yes
		case "streaming":
			st.noStreaming = !yes
		}
	case "paced", "quiet", "quiet_secs":
		if err := json.Unmarshal(value, &seconds); err != nil {
			return err
		}
		if name == "paced" {
			st.paced = duration(seconds)
		} else {
			st.quiet = duration(seconds)
		}
	case "expect":
		return json.Unmarshal(value, &st.expect)
	default:
		return fmt.Errorf("no such option")
	}
	return nil
}

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
