package elasticsearch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// keyless tells topics whose documents do not have the record's key as id.
func (cfg *config) keyless(topic string) bool {
	r := &cfg.reference
	return r.ignoreKey || slices.Contains(r.keyless, topic) || r.generated && !r.upsert
}

func (cfg *config) schemaless(topic string) bool {
	return cfg.reference.ignoreSchema || slices.Contains(cfg.reference.schemaless, topic)
}

// prepareReference makes the index of a topic, and its mapping when it has none yet: of the first value among the records of the batch.
func (s *sink) prepareReference(ctx context.Context, b *connectors.Batch, stream *connectors.Stream) (*plan, error) {
	p := s.plans[stream]
	if p == nil {
		name, err := s.cfg.target(stream)
		if err != nil {
			return nil, connectors.AsPermanent(err)
		}
		p = &plan{id: "topic " + stream.Topic, index: name, routing: -1, mapped: s.cfg.schemaless(stream.Topic), number: s.know(name, "")}
		p.begin()
		if err := s.retry(ctx, func(ctx context.Context) error {
			return s.ensureIndex(ctx, name, p.id, nil, changes.TargetNames(stream))
		}); err != nil {
			return nil, fmt.Errorf("prepare index %s for topic %s: %w", name, stream.Topic, err)
		}
		if len(s.plans) >= maxPlans {
			clear(s.plans)
		}
		s.plans[stream] = p
	}
	if p.mapped {
		return p, nil
	}
	for i := range b.Records {
		if b.Streams[b.Records[i].Stream] != stream {
			continue
		}
		body := changes.Materialize(b, &b.Records[i])
		if body.Value.Value == nil {
			continue
		}
		if err := s.retry(ctx, func(ctx context.Context) error { return s.putMapping(ctx, p.index, body.Value.Schema) }); err != nil {
			return nil, fmt.Errorf("map index %s for topic %s: %w", p.index, stream.Topic, err)
		}
		p.mapped = true
		break
	}
	return p, nil
}

// putMapping maps a schema, where the index has no mapping.
func (s *sink) putMapping(ctx context.Context, index string, sc *schemas.Schema) error {
	t, err := s.read(ctx, index)
	if err != nil || t != nil && len(t.fields) > 0 {
		return err
	}
	text, err := referenceMapping(nil, sc)
	if err != nil {
		return connectors.AsPermanent(err)
	}
	return s.client.call(ctx, http.MethodPut, "/"+url.PathEscape(index)+"/_mapping", text, nil)
}

// addReference writes a record's value as a document, as the reference does.
func (s *sink) addReference(h *held, p *plan, record int) error {
	b, r, cfg := h.batch, &h.batch.Records[record], &s.cfg.reference
	topic := b.Streams[r.Stream].Topic
	body := changes.Materialize(b, r)
	where := fmt.Sprintf("record from topic=%s partition=%d offset=%d", topic, max(0, r.KafkaPartition), r.Order.Major)
	w := action{op: opIndex, record: uint32(record)}
	if body.Value.Value == nil {
		switch {
		case cfg.nulls == "ignore", cfg.nulls == "delete" && body.Key.Value == nil:
			return nil
		case cfg.nulls == "fail":
			return fmt.Errorf("%s has a null value (to ignore future records like this change the configuration property '%s' from 'FAIL' to 'IGNORE')", where, keyNulls)
		}
		w.op = opDelete
	}
	keyless := s.cfg.keyless(topic)
	switch {
	case keyless && cfg.generated && !cfg.upsert && w.op != opDelete:
	case keyless:
		w.id, w.alone = fmt.Appendf(s.scratch[:0], "%s+%d+%d", topic, max(0, r.KafkaPartition), r.Order.Major), true
		s.scratch = w.id
	default:
		id, err := documentID(s.scratch[:0], body.Key)
		if err != nil {
			return s.malformed(err, where)
		}
		w.id, s.scratch = id, id
		if !s.cfg.streams() && !(cfg.upsert && w.op != opDelete) {
			if w.version, err = cfg.versionOf(b, r); err != nil {
				return fmt.Errorf("%w for %s", err, where)
			}
			w.versions, w.fold = versionedAfter, cfg.version == "" && !cfg.upsert
		}
	}
	if w.op == opDelete {
		return s.line(h, p, &w, nil, nil, nil)
	}
	switch {
	case cfg.upsert:
		w.op, w.more, w.before, w.after = opUpdate, `,"retry_on_conflict":5`, `{"doc":`, `,"doc_as_upsert":true}`
	case s.cfg.streams():
		w.op = opCreate
	}
	var failed error
	err := s.line(h, p, &w, nil, nil, func(dst []byte) ([]byte, error) {
		dst, failed = s.document(dst, &body, r)
		return dst, failed
	})
	if failed != nil {
		return s.malformed(failed, where)
	}
	return err
}

// malformed is a record that cannot be made a document.
func (s *sink) malformed(err error, where string) error {
	if s.cfg.reference.drop {
		s.log.Error("a record cannot be made a document and is left out ("+keyDrop+"=true)", "record", where, "error", err)
		return nil
	}
	return fmt.Errorf("make a document of %s: %w", where, err)
}

// document writes the members of a document.
func (s *sink) document(dst []byte, body *connectors.Body, r *connectors.Record) ([]byte, error) {
	at := len(dst)
	dst, err := values{s.cfg.reference.compact}.append(dst, body.Value.Schema, body.Value.Value)
	if err != nil {
		return dst, err
	}
	text := dst[at:]
	if len(text) < 2 || text[0] != '{' {
		return dst, errors.New("the value is not a struct or a map, and a document is a JSON object")
	}
	dst = dst[:at+copy(text, text[1:len(text)-1])]
	if !s.cfg.streams() {
		return dst, nil
	}
	return s.timestamp(dst, at, body, r)
}

// timestamp adds @timestamp to the members of a document of a data stream.
func (s *sink) timestamp(dst []byte, at int, body *connectors.Body, r *connectors.Record) ([]byte, error) {
	if len(dst) > at {
		dst = append(dst, ',')
	}
	times := s.cfg.stream.times
	if len(times) == 0 {
		return appendMicros(append(dst, `"@timestamp":"`...), r.Timestamp/1000), nil
	}
	for _, name := range times {
		sc, v, ok := member(body.Value, name)
		if !ok {
			continue
		}
		if name == fieldTime {
			return dst[:len(dst)-1], nil // the document has it
		}
		return values{}.append(append(dst, `"@timestamp":`...), sc, v)
	}
	return dst, fmt.Errorf("the value has none of the fields that %s names: %s", keyStreamTime, strings.Join(times, ", "))
}

func member(t schemas.Typed, name string) (*schemas.Schema, schemas.Value, bool) {
	switch v := t.Value.(type) {
	case schemas.StructValue:
		if i := t.Schema.Field(name); i >= 0 {
			return t.Schema.Fields[i].Schema, v[i], true
		}
	case schemas.MapValue:
		for _, e := range v {
			if e.Key == schemas.Value(name) {
				return nil, e.Value, true
			}
		}
	}
	return nil, nil, false
}

// documentID is the reference's id: a key of text or an integer.
func documentID(dst []byte, key schemas.Typed) ([]byte, error) {
	switch k := key.Value.(type) {
	case nil:
		return dst, errors.New("Key is used as document id and can not be null.") //nolint:staticcheck // the reference's text
	case string:
		if k == "" {
			return dst, errors.New("Key is used as document id and can not be empty.") //nolint:staticcheck // the reference's text
		}
		return append(dst, k...), nil
	case int8:
		return changes.AppendInt(dst, int64(k)), nil
	case int16:
		return changes.AppendInt(dst, int64(k)), nil
	case int32:
		return changes.AppendInt(dst, int64(k)), nil
	case int64:
		return changes.AppendInt(dst, k), nil
	}
	kind := "the key's type"
	if key.Schema != nil {
		kind = strings.ToUpper(key.Schema.Kind.String())
	}
	return dst, fmt.Errorf("%s is not supported as the document id.", kind) //nolint:staticcheck // the reference's text
}

// versionOf is the reference's version: the Kafka offset, or the number in a header. In a topic that was made again offsets begin anew, and
// versions go on above those of the one before.
func (r *reference) versionOf(b *connectors.Batch, rec *connectors.Record) (uint64, error) {
	if r.version == "" {
		order := rec.Order
		order.Epoch = max(order.Epoch, 1) - 1
		return versionOf(order)
	}
	headers := b.Cells(rec.Headers)
	for i := len(headers) - 2; i >= 0; i -= 2 {
		if string(b.Bytes(headers[i])) != r.version {
			continue
		}
		switch v := headers[i+1]; v.Kind {
		case connectors.KindInt:
			return uint64(v.Int()), nil
		case connectors.KindText:
			if n, err := strconv.ParseUint(strings.TrimSpace(string(b.Bytes(v))), 10, 63); err == nil {
				return n, nil
			}
		}
		return 0, fmt.Errorf("Error converting external version header '%s' to long", r.version) //nolint:staticcheck // the reference's text
	}
	return 0, fmt.Errorf("find external version header '%s': there is none", r.version)
}
