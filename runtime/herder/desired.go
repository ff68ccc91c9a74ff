package herder

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
)

// desired is the state that the records of the config log say, as Kafka Connect reads them.
type desired struct {
	connectors map[string]*entry
	targets    map[string]runtime.State             // also of connectors whose configuration comes later
	pending    map[string]map[int]connectors.Config // task configurations before their commit
	fenced     map[string]int                       // task counts of tasks-fencing records
	early      map[string]*entry                    // what history committed before the connector's record
	live       bool                                 // history has been read
	session    *sessionRecord
	offset     int64  // behind the last record
	sequence   uint64 // counts records
}

// entry is one connector.
type entry struct {
	config       connectors.Config
	target       runtime.State
	tasks        []connectors.Config
	inconsistent bool // a commit lacked task configurations: they have to be made anew
	unfenced     bool // tasks were committed after the last fencing
	inherited    bool // tasks were committed before the connector's record; others may know of none
	known        int  // most tasks that it ever had

	born   uint64         // sequence of its first record
	plan   uint64         // sequence of what asks last for new task configurations
	commit uint64         // sequence of the last commit
	runs   map[int]uint64 // sequence of what asked last to start a task again
}

// effect is what a record changed, for whoever acts on it.
type effect struct {
	connector string // "": none
	reshaped  bool   // other connectors or tasks are to be spread
	removed   bool
	restart   *restartRecord
	logger    string
	level     string
}

func newDesired() *desired {
	return &desired{connectors: map[string]*entry{}, targets: map[string]runtime.State{}, pending: map[string]map[int]connectors.Config{}, fenced: map[string]int{}, early: map[string]*entry{}}
}

// apply takes in one record. An error says why it was skipped.
func (d *desired) apply(offset int64, m Message) (effect, error) {
	d.offset = offset + 1
	d.sequence++
	// keys that begin alike: the longer first
	if name, ok := strings.CutPrefix(m.Key, keyTarget); ok {
		return d.applyTarget(name, m.Value)
	}
	if name, ok := strings.CutPrefix(m.Key, keyFencing); ok {
		return d.applyFencing(name, m.Value)
	}
	if name, ok := strings.CutPrefix(m.Key, keyConnector); ok {
		return d.applyConnector(name, m.Value)
	}
	if id, ok := strings.CutPrefix(m.Key, keyTask); ok {
		return d.applyTask(id, m.Value)
	}
	if name, ok := strings.CutPrefix(m.Key, keyCommit); ok {
		return d.applyCommit(name, m.Value)
	}
	if name, ok := strings.CutPrefix(m.Key, keyRestart); ok {
		var r struct {
			Tasks      *bool `json:"include-tasks"`
			OnlyFailed *bool `json:"only-failed"`
		}
		if err := parse(m.Value, &r); err != nil || r.Tasks == nil || r.OnlyFailed == nil {
			return effect{}, errors.Join(err, errors.New("include-tasks and only-failed are expected"))
		}
		return effect{connector: name, restart: &restartRecord{*r.Tasks, *r.OnlyFailed}}, nil
	}
	if name, ok := strings.CutPrefix(m.Key, keyLogger); ok {
		var r loggerRecord
		if err := parse(m.Value, &r); err != nil || r.Level == "" {
			return effect{}, errors.Join(err, errors.New("a level is expected"))
		}
		return effect{logger: name, level: r.Level}, nil
	}
	if m.Key == keySession {
		var r sessionRecord
		if err := parse(m.Value, &r); err != nil || len(r.Key) == 0 || r.Algorithm == "" {
			return effect{}, errors.New("a key and its algorithm are expected") // what is there may be a secret (I12)
		}
		d.session = &r
		return effect{}, nil
	}
	return effect{}, errors.New("no such kind of record is known")
}

func parse(value []byte, into any) error {
	if len(value) == 0 {
		return errors.New("it has no value")
	}
	return json.Unmarshal(value, into)
}

func parseProperties(value []byte) (connectors.Config, error) {
	var r struct {
		Properties map[string]*string `json:"properties"`
	}
	if err := parse(value, &r); err != nil {
		return nil, err
	}
	if r.Properties == nil {
		return nil, errors.New("it has no properties")
	}
	out := connectors.Config{}
	for k, v := range r.Properties {
		if v != nil {
			out[k] = *v
		}
	}
	return out, nil
}

func (d *desired) applyConnector(name string, value []byte) (effect, error) {
	e := d.connectors[name]
	if value == nil {
		delete(d.connectors, name)
		delete(d.pending, name)
		delete(d.early, name)
		return effect{connector: name, reshaped: e != nil, removed: e != nil}, nil
	}
	config, err := parseProperties(value)
	if err != nil {
		return effect{}, err
	}
	created := e == nil
	if created {
		target, ok := d.targets[name]
		if !ok {
			target = runtime.Running
		}
		e = d.inherit(name, target)
		e.target, e.born, e.runs = target, d.sequence, map[int]uint64{}
		d.connectors[name] = e
	}
	e.config, e.plan = config, d.sequence
	return effect{connector: name, reshaped: created}, nil
}

// inherit begins the entry of a connector. When compaction has removed the earlier records of the connector, its tasks come before the one
// that is left: they still run. They may also be those of a deleted connector of that name, before it was made anew: a stopped one has none.
func (d *desired) inherit(name string, target runtime.State) *entry {
	e := d.early[name]
	delete(d.early, name)
	if e == nil || target == runtime.Stopped {
		return &entry{}
	}
	e.inherited = true
	return e
}

// goLive tells that history has been read. What was committed in it for no connector is of deleted ones.
func (d *desired) goLive() {
	d.live = true
	clear(d.early)
}

func (d *desired) applyTarget(name string, value []byte) (effect, error) {
	e := d.connectors[name]
	if value == nil {
		delete(d.targets, name)
		return effect{}, nil
	}
	var r targetRecord
	if err := parse(value, &r); err != nil {
		return effect{}, err
	}
	target, err := r.target()
	if err != nil {
		return effect{}, err
	}
	d.targets[name] = target
	if e == nil {
		return effect{}, nil
	}
	if e.target != target && target == runtime.Running {
		e.plan = d.sequence
	}
	e.target = target
	return effect{connector: name}, nil
}

func (d *desired) applyTask(key string, value []byte) (effect, error) {
	id, err := parseTaskKey(key)
	if err != nil {
		return effect{}, err
	}
	if value == nil {
		return effect{}, nil // left by a clean-up of the topic
	}
	config, err := parseProperties(value)
	if err != nil {
		return effect{}, err
	}
	if d.pending[id.Connector] == nil {
		d.pending[id.Connector] = map[int]connectors.Config{}
	}
	d.pending[id.Connector][id.Task] = config
	return effect{}, nil
}

func (d *desired) applyCommit(name string, value []byte) (effect, error) {
	var r struct {
		Tasks *int `json:"tasks"`
	}
	if err := parse(value, &r); err != nil || r.Tasks == nil || *r.Tasks < 0 {
		return effect{}, errors.Join(err, errors.New("a number of tasks is expected"))
	}
	e, pending := d.connectors[name], d.pending[name]
	delete(d.pending, name)
	known := e != nil
	if !known {
		if d.live {
			return effect{}, nil // of a connector that was deleted
		}
		e = &entry{}
		d.early[name] = e
	}
	e.commit, e.unfenced, e.inherited = d.sequence, true, false
	before := len(e.tasks)
	tasks := make([]connectors.Config, 0, min(*r.Tasks, len(pending)))
	for i := range *r.Tasks {
		c, ok := pending[i]
		if !ok {
			e.inconsistent, e.tasks, e.plan = true, nil, d.sequence
			if !known {
				return effect{}, nil
			}
			return effect{connector: name, reshaped: before > 0}, fmt.Errorf("it names %d tasks, and the configuration of task %d is missing; they are made anew", *r.Tasks, i)
		}
		tasks = append(tasks, c)
	}
	e.inconsistent, e.tasks, e.known = false, tasks, max(e.known, len(tasks))
	if !known {
		return effect{}, nil
	}
	return effect{connector: name, reshaped: before != len(tasks)}, nil
}

func (d *desired) applyFencing(name string, value []byte) (effect, error) {
	if value == nil {
		delete(d.fenced, name)
		return effect{}, nil
	}
	var r struct {
		Tasks *int `json:"task-count"`
	}
	if err := parse(value, &r); err != nil || r.Tasks == nil {
		return effect{}, errors.Join(err, errors.New("a task-count is expected"))
	}
	d.fenced[name] = *r.Tasks
	if e := d.early[name]; e != nil {
		e.unfenced = false
	}
	e := d.connectors[name]
	if e == nil {
		return effect{}, nil
	}
	e.unfenced = false
	return effect{connector: name}, nil
}

// restart asks for new task configurations, or to start tasks again.
func (d *desired) restart(e *entry, connector bool, tasks ...int) {
	d.sequence++
	if connector {
		e.plan = d.sequence
	}
	for _, id := range tasks {
		e.runs[id] = d.sequence
	}
}
