package herder

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/runtime"
)

// Keys of the status log (reference §2.4).
const (
	keyStatusConnector = "status-connector-"
	keyStatusTask      = "status-task-"
	keyStatusTopic     = "status-topic-"
	ofConnector        = ":connector-"
)

type statusRecord struct {
	State      runtime.State `json:"state"`
	Trace      *string       `json:"trace"`
	WorkerID   string        `json:"worker_id"`
	Generation int32         `json:"generation"`
	Version    *string       `json:"version"`
}

type topicRecord struct {
	Topic topicStatus `json:"topic"`
}

type topicStatus struct {
	Name       string `json:"name"`
	Connector  string `json:"connector"`
	Task       int    `json:"task"`
	Discovered int64  `json:"discoverTimestamp"` // ms
}

// statuses is the newest record of each key; a connector's own status is that of its task -1.
type statuses struct {
	parts  map[string]map[int]statusRecord
	topics map[string]map[string]topicStatus
}

func newStatuses() *statuses {
	return &statuses{parts: map[string]map[int]statusRecord{}, topics: map[string]map[string]topicStatus{}}
}

func statusKey(id TaskID) string {
	if id.Task < 0 {
		return keyStatusConnector + id.Connector
	}
	return keyStatusTask + id.Connector + "-" + strconv.Itoa(id.Task)
}

func topicKey(connector, topic string) string {
	return keyStatusTopic + topic + ofConnector + connector
}

// apply takes in one record and returns the connector that it is about. An error says why it was skipped.
func (s *statuses) apply(m Message) (string, error) {
	if name, ok := strings.CutPrefix(m.Key, keyStatusConnector); ok {
		return name, s.applyPart(TaskID{name, -1}, m.Value)
	}
	if rest, ok := strings.CutPrefix(m.Key, keyStatusTask); ok {
		id, err := parseTaskKey(rest)
		if err != nil {
			return "", err
		}
		return id.Connector, s.applyPart(id, m.Value)
	}
	if rest, ok := strings.CutPrefix(m.Key, keyStatusTopic); ok {
		topic, name, ok := strings.Cut(rest, ofConnector) // a topic has no colon
		if !ok {
			return "", errors.New("no connector is named")
		}
		return name, s.applyTopic(name, topic, m.Value)
	}
	return "", errors.New("no such kind of record is known")
}

func (s *statuses) applyPart(id TaskID, value []byte) error {
	parts := s.parts[id.Connector]
	if len(value) == 0 {
		delete(parts, id.Task)
		if len(parts) == 0 {
			delete(s.parts, id.Connector)
		}
		return nil
	}
	var r statusRecord
	if err := json.Unmarshal(value, &r); err != nil {
		return err
	}
	if r.State == "" || r.WorkerID == "" {
		return errors.New("a state and a worker_id are expected")
	}
	if parts == nil {
		parts = map[int]statusRecord{}
		s.parts[id.Connector] = parts
	}
	before, ok := parts[id.Task]
	if ok && r.State == runtime.Unassigned && before.WorkerID != r.WorkerID && before.Generation > r.Generation {
		return nil // late: another worker has it since
	}
	parts[id.Task] = r
	return nil
}

func (s *statuses) applyTopic(connector, topic string, value []byte) error {
	topics := s.topics[connector]
	if len(value) == 0 {
		delete(topics, topic)
		if len(topics) == 0 {
			delete(s.topics, connector)
		}
		return nil
	}
	var r topicRecord
	if err := json.Unmarshal(value, &r); err != nil {
		return err
	}
	if topics == nil {
		topics = map[string]topicStatus{}
		s.topics[connector] = topics
	}
	topics[topic] = r.Topic
	return nil
}

// deletions are the records that remove everything that is known of a connector.
func (s *statuses) deletions(connector string) []Message {
	var out []Message
	for _, id := range slices.Sorted(maps.Keys(s.parts[connector])) {
		out = append(out, Message{Key: statusKey(TaskID{connector, id})})
	}
	return append(out, s.topicDeletions(connector)...)
}

func (s *statuses) topicDeletions(connector string) []Message {
	var out []Message
	for _, topic := range slices.Sorted(maps.Keys(s.topics[connector])) {
		out = append(out, Message{Key: topicKey(connector, topic)})
	}
	return out
}

// applyStatus takes in a record of the status log.
func (h *Herder) applyStatus(m Message) {
	h.mu.Lock()
	name, err := h.statuses.apply(m)
	if s := h.shares[name]; err == nil && s != nil {
		h.contest(name, s)
	}
	if len(m.Value) > 0 && h.desired.connectors[name] == nil {
		h.membership.cleaned = false // another worker did not know of the deletion yet
	}
	h.settle()
	h.mu.Unlock()
	if err != nil {
		h.log.Warn("a record of the status log is skipped", "key", m.Key, "error", err)
	}
}

// contest has mu. It has the statuses written again that another worker has written over: one that lost its place and does not know it yet.
func (h *Herder) contest(name string, s *share) {
	for id, r := range h.statuses.parts[name] {
		here := s.held[id] || id < 0 && s.connector
		if !here || r.WorkerID == h.o.WorkerID || r.Generation > s.given || s.contested[id] {
			continue
		}
		if s.contested == nil {
			s.contested = map[int]bool{}
		}
		s.contested[id] = true
		h.queue.add(name)
		h.stir()
	}
}

// report writes a status of a generation: the one in which this worker was given the task, so that what comes late does not hide what
// another worker was given since. A careful one is only written over one of this worker, or of no later generation.
func (h *Herder) report(id TaskID, generation int32, state runtime.State, trace, version string, careful bool) {
	h.mu.RLock()
	before, known := h.statuses.parts[id.Connector][id.Task]
	h.mu.RUnlock()
	if careful && known && before.WorkerID != h.o.WorkerID && before.Generation > generation {
		return
	}
	r := statusRecord{State: state, WorkerID: h.o.WorkerID, Generation: generation}
	if trace != "" {
		r.Trace = &trace
	}
	if version != "" {
		r.Version = &version
	}
	h.o.Status.Put(Message{statusKey(id), encode(r)})
}

func (r statusRecord) part() PartStatus {
	out := PartStatus{State: r.State, WorkerID: r.WorkerID}
	if r.Trace != nil {
		out.Trace = *r.Trace
	}
	if r.Version != nil {
		out.Version = *r.Version
	}
	return out
}
