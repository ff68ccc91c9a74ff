package deadletter

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/runtime"
)

// Names of the headers that say where and why a record failed (org.apache.kafka.connect.runtime.errors.DeadLetterQueueReporter).
const (
	HeaderTopic      = "__connect.errors.topic"
	HeaderPartition  = "__connect.errors.partition"
	HeaderOffset     = "__connect.errors.offset"
	HeaderConnector  = "__connect.errors.connector.name"
	HeaderTask       = "__connect.errors.task.id"
	HeaderStage      = "__connect.errors.stage"
	HeaderClass      = "__connect.errors.class.name"
	HeaderException  = "__connect.errors.exception.class.name"
	HeaderMessage    = "__connect.errors.exception.message"
	HeaderStacktrace = "__connect.errors.exception.stacktrace"

	// Of a record that does not come from Kafka: the source partition, its place there, and the sink's alias.
	HeaderSourcePartition = "__freshet.errors.source.partition"
	HeaderSourceOrder     = "__freshet.errors.source.order"
	HeaderSink            = "__freshet.errors.sink"

	connectPrefix = "__connect.errors."
	ownPrefix     = "__freshet.errors."
)

// Context tells a header that says where and why a record failed from those of the record itself.
func Context(name string) bool {
	return strings.HasPrefix(name, connectPrefix) || strings.HasPrefix(name, ownPrefix)
}

// contextHeaders are those headers, in the reference's order.
func contextHeaders(l *runtime.DeadLetter, connector string, task int) []connectors.RawHeader {
	var out []connectors.RawHeader
	add := func(name, value string) {
		out = append(out, connectors.RawHeader{Key: []byte(name), Value: []byte(value)})
	}
	if l.Raw != nil {
		add(HeaderTopic, l.Raw.Topic)
		add(HeaderPartition, strconv.Itoa(int(l.Raw.Partition)))
		add(HeaderOffset, strconv.FormatInt(l.Raw.Offset, 10))
	} else {
		add(HeaderTopic, streamOf(l).Topic)
	}
	add(HeaderConnector, connector)
	add(HeaderTask, strconv.Itoa(task))
	add(HeaderStage, string(l.Stage))
	add(HeaderClass, l.Class)
	if l.Cause != nil {
		class := exceptionClass(l.Stage)
		add(HeaderException, class)
		add(HeaderMessage, l.Cause.Error())
		add(HeaderStacktrace, trace(class, l.Cause))
	}
	if l.Raw == nil {
		add(HeaderSourcePartition, string(l.Batch.Source))
		add(HeaderSourceOrder, l.Batch.Records[l.Index].Order.Text())
	}
	if l.Sink != "" {
		add(HeaderSink, l.Sink)
	}
	return out
}

// exceptionClass is what the reference's classes throw in a stage.
func exceptionClass(s connectors.Stage) string {
	switch s {
	case connectors.StageKeyConverter, connectors.StageValueConverter, connectors.StageHeaderConverter, connectors.StageTransformation:
		return "org.apache.kafka.connect.errors.DataException"
	case connectors.StageProduce:
		return "org.apache.kafka.common.KafkaException"
	}
	return "org.apache.kafka.connect.errors.ConnectException"
}

// trace writes the chain of causes as Java prints it; there are no frames.
func trace(class string, err error) string {
	var b strings.Builder
	text := err.Error()
	fmt.Fprintf(&b, "%s: %s\n", class, text)
	for err = errors.Unwrap(err); err != nil; err = errors.Unwrap(err) {
		if next := err.Error(); next != text {
			text = next
			fmt.Fprintf(&b, "Caused by: %s\n", text)
		}
	}
	return b.String()
}

func streamOf(l *runtime.DeadLetter) *connectors.Stream {
	return l.Batch.Streams[l.Batch.Records[l.Index].Stream]
}

// letters makes the records of a queue. It belongs to one goroutine at a time.
type letters struct {
	keys, values converters.Converter
	encoders     map[*connectors.Stream][2]converters.Encoder
}

const maxEncoders = 100 // of streams; a schema change makes a new one

func newLetters(set converters.Set) (*letters, error) {
	out := &letters{encoders: map[*connectors.Stream][2]converters.Encoder{}}
	var err error
	if out.keys, err = set.New("key.converter", nil, nil); err != nil { // JsonConverter with schemas
		return nil, err
	}
	out.values, err = set.New("value.converter", nil, nil)
	return out, err
}

// record is what the queue keeps of a letter: the original record from Kafka, or else the change as JsonConverter writes it with its
// schema.
func (t *letters) record(l *runtime.DeadLetter) (*Record, error) {
	if r := l.Raw; r != nil {
		return &Record{Key: r.Key, Value: r.Value, Headers: append([]connectors.RawHeader(nil), r.Headers...), Timestamp: r.Timestamp}, nil
	}
	if l.Batch == nil || l.Index < 0 || l.Index >= len(l.Batch.Records) {
		return nil, fmt.Errorf("write a rejected record to the dead-letter queue: record %d is not in the batch", l.Index)
	}
	b, rec, stream := l.Batch, &l.Batch.Records[l.Index], streamOf(l)
	e, err := t.encodersOf(stream)
	if err != nil {
		return nil, err
	}
	out := &Record{Timestamp: rec.Timestamp / 1e6}
	if rec.Timestamp == 0 {
		out.Timestamp = -1
	}
	for i, to := range []*[]byte{&out.Key, &out.Value} {
		text, null, err := e[i].Append(nil, b, rec)
		if err != nil {
			return nil, fmt.Errorf("write a rejected record of %s to the dead-letter queue as JSON: %w", stream.Topic, err)
		}
		if !null {
			*to = text
		}
	}
	cells := b.Cells(rec.Headers)
	for i := 0; i+1 < len(cells); i += 2 {
		h := connectors.RawHeader{Key: append([]byte(nil), b.Bytes(cells[i])...)}
		if text, null := converters.AppendHeader([]byte{}, b, stream, cells[i+1]); !null {
			h.Value = text
		}
		out.Headers = append(out.Headers, h)
	}
	for _, h := range stream.Headers {
		out.Headers = append(out.Headers, connectors.RawHeader{Key: []byte(h.Name), Value: []byte(h.Value)})
	}
	return out, nil
}

func (t *letters) encodersOf(s *connectors.Stream) ([2]converters.Encoder, error) {
	if e, ok := t.encoders[s]; ok {
		return e, nil
	}
	var e [2]converters.Encoder
	for i, c := range []converters.Converter{t.keys, t.values} {
		var err error
		if e[i], err = c.Encoder(s); err != nil {
			return e, fmt.Errorf("write rejected records of %s to the dead-letter queue as JSON: %w", s.Topic, err)
		}
	}
	if len(t.encoders) >= maxEncoders {
		clear(t.encoders)
	}
	t.encoders[s] = e
	return e, nil
}
