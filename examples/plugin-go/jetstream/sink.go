package jetstream

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/json"
)

const (
	window     = 1000 // messages on their way at once; a server drops what is too much for it
	ackTimeout = 10 * time.Second
	maxPause   = 5 * time.Second // between two attempts
	maxTargets = 1000            // a change of a table makes another stream
)

// sink makes messages of batches in Put, while the writer of the double buffer sends those of the batches before.
type sink struct {
	config    connectors.Values
	connector string
	keys      converters.Converter
	values    converters.Converter
	targets   map[*connectors.Stream]*target
	used      []*target // by stream of the batch at hand
	session   connectors.SinkSession
	conn      *nats.Conn
	js        jetstream.JetStream
	buffer    *changes.DoubleBuffer[*block]
	denied    chan error // the server refused a subject: it says so beside the acknowledgements
}

// target is where the records of a stream go, and how.
type target struct {
	subject    string
	key, value converters.Encoder
}

// block is what is sent together.
type block struct {
	messages []*nats.Msg
	bytes    int
}

// Size, Rows and Reset implement changes.Block.
func (b *block) Size() int { return b.bytes }
func (b *block) Rows() int { return len(b.messages) }
func (b *block) Reset(int) { b.messages, b.bytes = nil, 0 }

func newSink(config connectors.Values, s connectors.Settings) (*sink, error) {
	out := &sink{config: config, connector: s.Connector, targets: map[*connectors.Stream]*target{}, denied: make(chan error, 1)}
	var err error
	if out.keys, err = json.New(connectors.Config{"schemas.enable": "false"}, true); err != nil {
		return nil, fmt.Errorf("make JSON converter: %w", err)
	}
	if out.values, err = json.New(connectors.Config{"schemas.enable": "false"}, false); err != nil {
		return nil, fmt.Errorf("make JSON converter: %w", err)
	}
	return out, nil
}

// Start implements connectors.SinkTask.
func (s *sink) Start(ctx context.Context, session connectors.SinkSession) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.session = session
	s.conn, s.js, err = connect(s.config, func(err error) {
		if errors.Is(err, nats.ErrPermissionViolation) {
			select {
			case s.denied <- err:
			default: // one is enough
			}
		}
	})
	if err != nil {
		return err
	}
	s.buffer = changes.NewDoubleBuffer(changes.DoubleBufferOptions[*block]{
		Connector: s.connector, Session: session, Write: s.write, Bytes: int(s.config.Int("nats.pending.bytes")),
	}, [2]*block{{}, {}})
	return nil
}

// Put implements connectors.SinkTask.
func (s *sink) Put(ctx context.Context, b *connectors.Batch) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.used, err = changes.ByStream(s.used, b, s.target); err != nil {
		return err
	}
	return s.buffer.Take(ctx, b, func(to *block) error { return s.encode(ctx, to, b) })
}

func (s *sink) target(stream *connectors.Stream) (*target, error) {
	if t := s.targets[stream]; t != nil {
		return t, nil
	}
	key, err := s.keys.Encoder(stream)
	if err != nil {
		return nil, fmt.Errorf("encode keys of %s: %w", stream.Topic, err)
	}
	value, err := s.values.Encoder(stream)
	if err != nil {
		return nil, fmt.Errorf("encode values of %s: %w", stream.Topic, err)
	}
	schema, table := "", stream.Topic
	if stream.Table != nil {
		schema, table = stream.Table.Schema, stream.Table.Name
	}
	token := strings.NewReplacer(".", "_", "*", "_", ">", "_", " ", "_", "\t", "_", "\r", "_", "\n", "_").Replace
	if len(s.targets) >= maxTargets {
		clear(s.targets)
	}
	t := &target{fillSubject(s.config.String("nats.subject"), token(schema), token(table), token(stream.Topic)), key, value}
	s.targets[stream] = t
	return t, nil
}

// encode makes messages of the records of a batch.
func (s *sink) encode(ctx context.Context, to *block, b *connectors.Batch) error {
	source := sha256.Sum256([]byte(s.connector + "\n" + string(b.Source)))
	for i := range b.Records {
		r := &b.Records[i]
		if r.Op == connectors.OpTombstone {
			continue // the delete before it said so
		}
		t := s.used[r.Stream]
		m := &nats.Msg{Subject: t.subject}
		var err error
		m.Data, err = t.append(nil, b, r)
		if most := s.conn.MaxPayload(); err == nil && int64(len(m.Data)) > most {
			err = fmt.Errorf("it has %d bytes as JSON, and the server takes %d; raise its max_payload", len(m.Data), most)
		}
		if err != nil {
			err = connectors.AsPermanent(fmt.Errorf("publish a record to %s: %w", m.Subject, err))
			if err := s.session.Reject(ctx, b, i, err); err != nil {
				return err
			}
			continue
		}
		if r.Order.Minor > 0 { // rows of a snapshot have one order
			m.Header = nats.Header{nats.MsgIdHdr: {fmt.Sprintf("%x:%s", source[:8], r.Order.Text())}}
		}
		to.messages = append(to.messages, m)
		to.bytes += m.Size()
	}
	return nil
}

// append writes a change: {"op":"c","key":{…},"value":{…}}.
func (t *target) append(dst []byte, b *connectors.Batch, r *connectors.Record) (out []byte, err error) {
	dst = append(dst, `{"op":"`...)
	dst = append(dst, r.Op.Letter())
	if dst, err = appendOr(append(dst, `","key":`...), t.key, b, r); err != nil {
		return nil, err
	}
	if dst, err = appendOr(append(dst, `,"value":`...), t.value, b, r); err != nil {
		return nil, err
	}
	return append(dst, '}'), nil
}

// appendOr writes a part of a change, or null.
func appendOr(dst []byte, e converters.Encoder, b *connectors.Batch, r *connectors.Record) ([]byte, error) {
	out, null, err := e.Append(dst, b, r)
	if null {
		out = append(dst, "null"...)
	}
	return out, err
}

// Flush implements connectors.SinkTask.
func (s *sink) Flush(ctx context.Context) error { return s.buffer.Drain(ctx) }

// Stop implements connectors.SinkTask.
func (s *sink) Stop(ctx context.Context) error {
	if s.buffer == nil {
		return nil // not started
	}
	defer s.conn.Close()
	return s.buffer.Stop(ctx)
}

// write returns when the stream has all messages of a block. What another attempt may mend is tried again here: only the sink knows what
// is there already.
func (s *sink) write(ctx context.Context, b *block) error {
	pause := time.Duration(0)
	for messages := b.messages; len(messages) > 0; {
		n, err := s.send(ctx, messages[:min(window, len(messages))])
		messages = messages[n:]
		if err == nil {
			pause = 0
			continue
		}
		if connectors.ClassOf(err) == connectors.Permanent || ctx.Err() != nil {
			return err
		}
		s.session.Retrying(err)
		pause = min(2*pause+100*time.Millisecond, maxPause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// send publishes messages without waiting between them, and returns how many are in the stream, from the first one on.
func (s *sink) send(ctx context.Context, messages []*nats.Msg) (stored int, err error) {
	var acks []jetstream.PubAckFuture
	var unsent error
	for _, m := range messages {
		ack, err := s.js.PublishMsgAsync(m)
		if unsent = err; err != nil {
			break
		}
		acks = append(acks, ack)
	}
	for i, ack := range acks {
		select {
		case <-ack.Ok():
			if err == nil {
				stored++
			} else if id := messages[i].Header.Get(nats.MsgIdHdr); id != "" { // one before it was lost: the stream must take it again, behind that one
				messages[i].Header.Set(nats.MsgIdHdr, id+"+")
			}
		case cause := <-ack.Err():
			if err == nil {
				err = s.explain(ctx, messages[i].Subject, cause)
			}
		case cause := <-s.denied:
			return stored, explain(cause)
		case <-ctx.Done():
			return stored, ctx.Err()
		}
	}
	if err == nil && unsent != nil {
		err = s.explain(ctx, messages[stored].Subject, unsent)
	}
	return stored, err
}

// explain says why a message is not in the stream.
func (s *sink) explain(ctx context.Context, subject string, err error) error {
	if errors.Is(err, jetstream.ErrNoStreamResponse) { // there is none, or it has no leader for a moment
		ctx, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		if missing := findStream(ctx, s.js, subject); missing != nil {
			return missing
		}
	}
	if cause := s.conn.LastError(); s.conn.IsClosed() && cause != nil {
		err = cause // authentication failed at a reconnect
	}
	return explain(fmt.Errorf("publish to %s: %w", subject, err))
}
