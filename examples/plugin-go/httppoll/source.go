package httppoll

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	jsonconverter "github.com/freshet-io/freshet/converters/json"
	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/schemas"
)

const (
	timeout    = time.Minute     // of a request
	maxPause   = 5 * time.Minute // that an endpoint may ask for
	batchItems = 1000
	batchBytes = 1 << 20
)

// source asks for a page, hands its items out as batches, and asks for the next one. It needs no goroutine: Poll does the work.
type source struct {
	config    connectors.Values
	log       *slog.Logger
	base      *url.URL
	name      string // of the endpoint, for people: without parameters
	client    *http.Client
	partition offsets.Partition
	stream    *connectors.Stream
	decoder   converters.Decoder // of objects without columns
	session   connectors.SourceSession

	at    position
	items []item    // read and not handed out
	next  *url.URL  // the next page; nil: begin anew
	due   time.Time // when to ask; zero: at once
	// What the endpoint said of the last complete answer, and to which request.
	asked, etag, modified string
}

func newSource(v connectors.Values, log *slog.Logger) (*source, error) {
	base, err := url.Parse(strings.TrimSpace(v.String("http.url")))
	if err != nil {
		return nil, connectors.AsPermanent(errors.New("read http.url: it is no URL"))
	}
	table, err := tableOf(v.String("topic"), v.String("key.field"), v.List("columns"))
	if err != nil {
		return nil, connectors.AsPermanent(err)
	}
	decoder, err := jsonconverter.NewDecoder(connectors.Config{"schemas.enable": "false"})
	if err != nil {
		return nil, fmt.Errorf("make JSON decoder: %w", err)
	}
	s := &source{
		config: v, log: log, base: base, name: base.Scheme + "://" + base.Host + base.Path, decoder: decoder,
		client: &http.Client{Timeout: timeout, Transport: http.DefaultTransport.(*http.Transport).Clone()},
		stream: &connectors.Stream{Topic: v.String("topic")},
	}
	if table != nil {
		s.stream = changes.TableStream(v.String("topic"), table, nil)
	}
	text, _ := json.Marshal(map[string]string{"url": s.name}) // texts always encode
	if s.partition, err = offsets.Canonical(text); err != nil {
		return nil, fmt.Errorf("name %s: %w", s.name, err)
	}
	return s, nil
}

// Start implements connectors.SourceTask: it goes on behind what is durable.
func (s *source) Start(ctx context.Context, session connectors.SourceSession) error {
	s.session = session
	stored, err := session.Offsets(ctx, s.partition)
	if err != nil {
		return fmt.Errorf("read offset of %s: %w", s.name, err)
	}
	for _, e := range stored {
		if s.at, err = parsePosition(e.Offset); err != nil {
			return connectors.AsPermanent(fmt.Errorf("%w; reset the offsets of the connector", err))
		}
	}
	return nil
}

// Poll implements connectors.SourceTask.
func (s *source) Poll(ctx context.Context) (*connectors.Batch, error) {
	for len(s.items) == 0 {
		select {
		case <-time.After(time.Until(s.due)):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		err := s.fetch(ctx)
		if busy := (*busyError)(nil); errors.As(err, &busy) {
			pause := pauseOf(busy.after, s.interval())
			s.log.Warn("the endpoint wants to be asked later", "error", err, "pause", pause)
			s.due = time.Now().Add(pause)
			continue
		}
		if err != nil {
			return nil, err
		}
	}
	return s.batch(ctx)
}

func (s *source) interval() time.Duration {
	return time.Duration(s.config.Int("http.interval.ms")) * time.Millisecond
}

// batch makes records of items. One that cannot be read ends the batch, so that what came before it is delivered, and is handed out when it
// comes first.
func (s *source) batch(ctx context.Context) (*connectors.Batch, error) {
	w, err := s.session.NewBatch(ctx, s.partition)
	if err != nil {
		return nil, err
	}
	at := w.Stream(s.stream)
	for len(s.items) > 0 && w.Len() < batchItems && w.Size() < batchBytes {
		i, before := &s.items[0], s.at
		if err := s.at.pass(i); err != nil {
			w.Abandon()
			return nil, err
		}
		if err := s.record(w, at, i); err != nil {
			w.Discard()
			if w.Len() > 0 {
				s.at = before
				break
			}
			err = connectors.AsPermanent(fmt.Errorf("read an object of %s with the cursor %s: %w", s.name, i.cursor, err))
			if err = s.session.Tolerate(ctx, &connectors.Raw{Topic: s.stream.Topic, Value: i.text}, connectors.StageValueConverter, err); err != nil {
				w.Abandon()
				return nil, err
			}
		}
		s.items = s.items[1:]
	}
	return w.Finish(s.at.offset(), s.at.order()), nil
}

// record adds the record of an item.
func (s *source) record(w *connectors.Builder, stream uint32, i *item) error {
	if s.stream.Table != nil {
		return s.row(w, stream, i)
	}
	value, err := s.decoder.Decode(i.text)
	if err != nil {
		return err
	}
	body := connectors.Body{Value: value}
	for _, e := range value.Value.(schemas.MapValue) { // newItem has seen that it is an object
		if e.Key == s.config.String("key.field") {
			body.Key.Value = e.Value
		}
	}
	r := w.Body(stream, connectors.OpNone, body)
	r.Order, r.Timestamp, r.Last = s.at.order(), time.Now().UnixNano(), true
	w.Weigh(len(i.text))
	return nil
}

// row adds the record of an item as cells.
func (s *source) row(w *connectors.Builder, stream uint32, i *item) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(i.text, &fields); err != nil {
		return err
	}
	r := w.Begin(stream, connectors.OpCreate)
	r.Order, r.Timestamp, r.Last = s.at.order(), time.Now().UnixNano(), true
	columns := s.stream.Table.Columns
	w.After()
	for n := range columns {
		if err := appendCell(w, &columns[n], fields[columns[n].Name]); err != nil {
			return fmt.Errorf("column %s: %w", columns[n].Name, err)
		}
	}
	if key := s.stream.Table.Key; len(key) > 0 {
		cell := w.Row(r.After)[key[0]]
		w.Key()
		w.Cell(cell)
	}
	w.Commit()
	return nil
}

var decimal = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)

func appendCell(w *connectors.Builder, c *schemas.Column, text json.RawMessage) error {
	if len(text) == 0 || string(text) == "null" {
		if !c.Optional {
			return errors.New("the key has no value")
		}
		w.Null()
		return nil
	}
	var err error
	switch c.Type {
	case schemas.TypeBool:
		var v bool
		err = json.Unmarshal(text, &v)
		w.Bool(v)
	case schemas.TypeInt64:
		var v int64
		err = json.Unmarshal(text, &v)
		w.Int(v)
	case schemas.TypeFloat64:
		var v float64
		err = json.Unmarshal(text, &v)
		w.Float64(v)
	case schemas.TypeDecimal:
		v := bytes.Trim(text, `"`)
		if !decimal.Match(v) {
			return fmt.Errorf("%s is not a decimal number", text)
		}
		w.Text(connectors.KindDecimal, v)
	case schemas.TypeTimestampTZ:
		var v time.Time
		err = json.Unmarshal(text, &v)
		w.Temporal(connectors.KindTimestampTZ, v.UnixMicro())
	case schemas.TypeJSON:
		w.Text(connectors.KindText, text)
	default:
		var v string
		err = json.Unmarshal(text, &v)
		w.String(v)
	}
	return err
}

// Commit implements connectors.SourceTask; the endpoint forgets nothing.
func (s *source) Commit(context.Context, []offsets.Entry) error { return nil }

// Stop implements connectors.SourceTask.
func (s *source) Stop(context.Context) error {
	s.client.CloseIdleConnections()
	return nil
}
