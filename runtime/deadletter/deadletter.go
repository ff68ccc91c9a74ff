// Package deadletter keeps the records that a task could not process: in a Kafka topic, as Kafka Connect's dead-letter queue
// does, or in a file of JSON lines. It starts no goroutine but those of the Kafka producer.
package deadletter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/runtime"
)

const (
	prefix      = "errors.deadletterqueue."
	keyTopic    = prefix + "topic.name"
	keyFactor   = prefix + "topic.replication.factor"
	keyHeaders  = prefix + "context.headers.enable"
	keyFile     = prefix + "file"
	keyFileSize = prefix + "file.max.bytes"
	keyServers  = "bootstrap.servers"
)

// Record is a record in a queue, as it lies there.
type Record struct {
	Key, Value []byte // nil is null
	Headers    []connectors.RawHeader
	Timestamp  int64 // ms since 1970, -1: none
}

// Queues opens the queues that configurations name. It implements runtime.DeadLetters.
type Queues struct {
	Converters converters.Set // with JsonConverter, for records that do not come from Kafka
	Pool       *kafkaclient.Pool
}

// Check implements runtime.DeadLetters.
func (q *Queues) Check(c, worker connectors.Config) map[string]error {
	topic, file := strings.TrimSpace(c[keyTopic]), strings.TrimSpace(c[keyFile])
	switch {
	case topic != "" && file != "":
		return map[string]error{keyFile: fmt.Errorf("%s and %s are both set: a queue is one of the two", keyTopic, keyFile)}
	case topic != "":
		if _, err := kafkaclient.Parse(producerProperties(c, connectors.Settings{Worker: worker})); err != nil {
			if strings.HasPrefix(err.Error(), keyServers) {
				err = errors.New("no Kafka brokers are named for the dead-letter queue: set bootstrap.servers in the worker's properties, " +
					"or producer.override.bootstrap.servers here; without Kafka use " + keyFile)
			}
			return map[string]error{keyTopic: err}
		}
	}
	return nil
}

// Open implements runtime.DeadLetters.
func (q *Queues) Open(ctx context.Context, c connectors.Config, s connectors.Settings) (runtime.DeadLetterQueue, error) {
	for _, err := range q.Check(c, s.Worker) {
		return nil, connectors.AsPermanent(err)
	}
	out := &queue{connector: s.Connector, task: s.Task}
	var err error
	if out.letters, err = newLetters(q.Converters); err != nil {
		return nil, err
	}
	if path := strings.TrimSpace(c[keyFile]); path != "" {
		out.headers = true
		out.to, err = openFile(path, limitOf(c))
		return out, err
	}
	out.headers = headersWanted(c, s.KeepRaw && s.Shared)
	out.to, err = openTopic(ctx, q.Pool, c, s)
	return out, err
}

// headersWanted: a record of a sink connector is in its topic, too, and the reference adds the headers only when asked; of what came
// from a database the queue is all that is left.
func headersWanted(c connectors.Config, fromTopics bool) bool {
	given := strings.TrimSpace(c[keyHeaders])
	if given == "" {
		return !fromTopics
	}
	return strings.EqualFold(given, "true")
}

// target is where a queue writes to. Used by one goroutine at a time but for flush.
type target interface {
	add(ctx context.Context, r *Record) error
	// flush returns when all that was added is durable.
	flush(ctx context.Context) error
	close(ctx context.Context) error
}

// queue implements runtime.DeadLetterQueue.
type queue struct {
	connector string
	task      int
	headers   bool // say where and why a record failed
	to        target

	mu      sync.Mutex
	letters *letters
}

// Add implements runtime.DeadLetterQueue.
func (q *queue) Add(ctx context.Context, l *runtime.DeadLetter) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	r, err := q.letters.record(l)
	if err != nil {
		return connectors.AsPermanent(err)
	}
	if q.headers {
		r.Headers = append(r.Headers, contextHeaders(l, q.connector, q.task)...)
	}
	return q.to.add(ctx, r)
}

// Flush implements runtime.DeadLetterQueue.
func (q *queue) Flush(ctx context.Context) error { return q.to.flush(ctx) }

// Close implements runtime.DeadLetterQueue.
func (q *queue) Close(ctx context.Context) error { return q.to.close(ctx) }

// producerProperties are those of Connect's dead-letter producer (Worker.sinkTaskReporters): the worker's, its producer.*, and the
// connector's producer.override.*.
func producerProperties(c connectors.Config, s connectors.Settings) map[string]string {
	p := kafkaclient.Common(s.Worker)
	p["client.id"] = "connector-dlq-producer-" + s.Connector + "-" + strconv.Itoa(s.Task)
	kafkaclient.Override(p, s.Worker, "producer.")
	kafkaclient.Override(p, c, "producer.override.")
	delete(p, "transactional.id")
	return p
}

// adminProperties are those of the client that makes the topic; nil: the producer's will do.
func adminProperties(c connectors.Config, s connectors.Settings) map[string]string {
	own := map[string]string{}
	kafkaclient.Override(own, s.Worker, "admin.")
	kafkaclient.Override(own, c, "admin.override.")
	if len(own) == 0 {
		return nil
	}
	p := kafkaclient.Common(s.Worker)
	if servers := strings.TrimSpace(c["producer.override."+keyServers]); servers != "" {
		p[keyServers] = servers
	}
	p["client.id"] = "connector-dlq-adminclient-" + s.Connector
	maps.Copy(p, own)
	return p
}
