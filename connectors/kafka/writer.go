package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/kafkaclient"
)

// writer turns batches into records of a producer; it is what both sinks have in common. It belongs to the goroutine that puts.
type writer struct {
	pool     *kafkaclient.Pool
	settings connectors.Settings
	config   *kafkaclient.Config
	creation *creation
	keys     converters.Converter
	values   converters.Converter
	log      *slog.Logger

	task     connectors.SinkSession
	session  *kafkaclient.Session
	producer *kafkaclient.Producer

	topics   map[string]*kafkaclient.Topic
	outputs  map[*connectors.Stream]*output
	resolved []*output // by stream of the batch being written

	scratch []byte // key and headers of one record
	value   []byte // of one record
	headers []kafkaclient.Header
	record  kafkaclient.Record

	begun atomic.Bool // records were written
	mu    sync.Mutex
	kept  map[uint32]*connectors.Batch // with Settings.Tolerant: what is not acknowledged, as a broker may refuse a record of it
}

// output is where the records of one stream go.
type output struct {
	stream     *connectors.Stream
	topic      *kafkaclient.Topic
	key, value converters.Encoder
	headers    *kafkaclient.Headers
}

const maxOutputs = 10_000 // streams remembered; a schema change makes a new one

// connect opens the session and the producer; a transactional producer fences every earlier holder of its id here (I11).
func (w *writer) connect(ctx context.Context, task connectors.SinkSession, o kafkaclient.ProducerOptions) error {
	w.task = task
	w.topics = map[string]*kafkaclient.Topic{}
	w.outputs = map[*connectors.Stream]*output{}
	w.kept = map[uint32]*connectors.Batch{}
	var err error
	if w.session, err = w.pool.Open(ctx, w.config); err != nil {
		return classify(err)
	}
	o.Logger = w.log
	if w.settings.Tolerant {
		o.Refused = w.refused
	}
	o.Retrying = func(err error) {
		if w.begun.Load() { // before that no acknowledgement would tell that it is over
			task.Retrying(err)
		}
	}
	if w.producer, err = kafkaclient.NewProducer(ctx, w.session, w.config.Producer, o); err != nil {
		return classify(err)
	}
	return nil
}

// disconnect ends the producer and gives the session back. It waits for the producer's goroutines no longer than ctx.
func (w *writer) disconnect(ctx context.Context) error {
	producer, session := w.producer, w.session
	w.producer, w.session = nil, nil
	done := make(chan struct{})
	go func() {
		defer close(done)
		if producer != nil {
			producer.Close()
		}
		if session != nil {
			session.Close()
		}
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = fmt.Errorf("stop the Kafka producer: %w", ctx.Err())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range w.kept {
		b.Release()
	}
	clear(w.kept)
	return err
}

// keep holds a batch until it is acknowledged.
func (w *writer) keep(b *connectors.Batch) {
	b.Retain(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept[uint32(b.ID)] = b
}

// forget gives the memory of an acknowledged batch back.
func (w *writer) forget(id connectors.BatchID) {
	w.mu.Lock()
	b := w.kept[uint32(id)]
	delete(w.kept, uint32(id))
	w.mu.Unlock()
	if b != nil {
		b.Release()
	}
}

// reference is what the producer knows a record by: its batch, and its index there plus 1.
func reference(b *connectors.Batch, record int) uint64 {
	return uint64(uint32(b.ID))<<32 | uint64(record+1)
}

// refused hands out a record that a broker refuses (kafkaclient.ProducerOptions.Refused). It runs on the producer's steward.
func (w *writer) refused(ctx context.Context, ref uint64, refusal *kafkaclient.RecordError) error {
	w.mu.Lock()
	b := w.kept[uint32(ref>>32)]
	if b != nil {
		b.Retain(1)
	}
	w.mu.Unlock()
	if b == nil { // the sink is being stopped
		return refusal
	}
	defer b.Release()
	cause := connectors.AsPermanent(connectors.AtStage(connectors.StageProduce, refusal))
	if err := w.task.Reject(ctx, b, int(uint32(ref))-1, cause); err != nil {
		return err
	}
	if w.settings.ExactlyOnce {
		return w.task.Settle(ctx) // I1: the transaction has the position
	}
	return nil
}

// write appends every record of the batch and returns the bytes that they took. After an error some of them may be appended.
func (w *writer) write(ctx context.Context, b *connectors.Batch) (int, error) {
	w.resolved = append(w.resolved[:0], make([]*output, len(b.Streams))...)
	converters.Within(ctx, w.keys, w.values)
	w.begun.Store(true)
	if w.settings.Tolerant {
		w.keep(b)
	}
	total := 0
	now := time.Now().UnixMilli()
	for i := range b.Records {
		r := &b.Records[i]
		o := w.resolved[r.Stream]
		if o == nil {
			var err error
			if o, err = w.output(ctx, b.Streams[r.Stream]); err != nil {
				return total, err
			}
			w.resolved[r.Stream] = o
		}
		err := w.encode(ctx, o, b, r, now)
		if err == nil {
			w.record.Ref = reference(b, i)
			err = connectors.AtStage(connectors.StageProduce, w.producer.Append(ctx, o.topic, r.KafkaPartition, &w.record))
		}
		if err == nil {
			total += len(w.scratch) + len(w.record.Value)
			continue
		}
		var refused *kafkaclient.RecordError
		if connectors.ClassOf(err) != connectors.Permanent && (!errors.As(err, &refused) || w.producer.Err() != nil) {
			return total, classify(err)
		}
		if err := w.task.Reject(ctx, b, i, connectors.AsPermanent(err)); err != nil {
			return total, err
		}
	}
	return total, nil
}

// encode fills w.record. Its key and headers lie in w.scratch, its value in w.value: Append copies them.
func (w *writer) encode(ctx context.Context, o *output, b *connectors.Batch, r *connectors.Record, now int64) error {
	w.record = kafkaclient.Record{Common: o.headers, Timestamp: now} // as Connect's producer does for records without one
	out, null, err := o.key.Append(w.scratch[:0], b, r)
	if err != nil {
		return w.failed(connectors.StageKeyConverter, "key", o, err)
	}
	if !null {
		w.record.Key = out[:len(out):len(out)]
	}
	w.scratch = out
	w.record.Headers = w.appendHeaders(o, b, r)
	value, null, err := o.value.Append(w.value[:0], b, r)
	if err != nil {
		return w.failed(connectors.StageValueConverter, "value", o, err)
	}
	w.value = value
	if !null {
		w.record.Value = value[:len(value):len(value)]
	}
	return nil
}

func (w *writer) failed(at connectors.Stage, part string, o *output, err error) error {
	return connectors.AtStage(at, converters.Classify(fmt.Errorf("convert the %s of a record for topic %s: %w", part, o.stream.Topic, err)))
}

func (w *writer) output(ctx context.Context, s *connectors.Stream) (*output, error) {
	if o := w.outputs[s]; o != nil {
		return o, nil
	}
	topic, err := w.topic(ctx, s.Topic)
	if err != nil {
		return nil, classify(err)
	}
	o := &output{stream: s, topic: topic}
	if o.key, err = w.keys.Encoder(s); err != nil {
		return nil, converters.Classify(fmt.Errorf("make the key encoder of topic %s: %w", s.Topic, err))
	}
	if o.value, err = w.values.Encoder(s); err != nil {
		return nil, converters.Classify(fmt.Errorf("make the value encoder of topic %s: %w", s.Topic, err))
	}
	var headers []kafkaclient.Header
	for _, h := range s.Headers {
		headers = append(headers, kafkaclient.Header{Key: []byte(h.Name), Value: []byte(h.Value)})
	}
	o.headers = kafkaclient.RenderHeaders(headers)
	if len(w.outputs) >= maxOutputs {
		clear(w.outputs)
	}
	w.outputs[s] = o
	return o, nil
}

// topic finds a topic, and makes it when topic.creation.* is configured; else that is left to the broker.
func (w *writer) topic(ctx context.Context, name string) (*kafkaclient.Topic, error) {
	if t := w.topics[name]; t != nil {
		return t, nil
	}
	if w.creation != nil {
		_, err := w.session.Describe(ctx, name)
		if errors.Is(err, kafkaclient.ErrTopicMissing) {
			err = w.session.Create(ctx, w.creation.topic(name))
		}
		if err != nil {
			return nil, err
		}
	}
	t, err := w.producer.Topic(ctx, name)
	if err != nil {
		return nil, err
	}
	w.topics[name] = t
	return t, nil
}

// classify gives an error of the client its class.
func classify(err error) error {
	switch {
	case errors.Is(err, kafkaclient.ErrFenced):
		return connectors.AsFenced(err)
	case kafkaclient.Permanent(err):
		return connectors.AsPermanent(err)
	}
	return err
}
