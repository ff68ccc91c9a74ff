package interchange

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Event is a record of a topic, taken apart.
type Event struct {
	Table, Key, Op string // as in Change; r: a row of a snapshot
	LSN            uint64 // 0 for a tombstone
	Seq            int    // of the row after, or before a delete
	Record         *kgo.Record
}

// ParseEvent reads a record, with or without schemas.
func ParseEvent(r *kgo.Record) (Event, error) {
	e := Event{Table: r.Topic[strings.LastIndexByte(r.Topic, '.')+1:], Op: "t", Record: r}
	var key struct {
		ID      json.Number
		Payload struct{ ID json.Number }
	}
	if err := json.Unmarshal(r.Key, &key); err != nil {
		return e, fmt.Errorf("parse key %.200q of %s: %w", r.Key, r.Topic, err)
	}
	e.Key = string(key.ID + key.Payload.ID)
	if r.Value == nil {
		return e, nil
	}
	type envelope struct {
		Op            string
		Before, After *struct{ Seq int }
		Source        struct{ LSN uint64 }
	}
	var v struct {
		envelope
		Payload envelope
	}
	if err := json.Unmarshal(r.Value, &v); err != nil {
		return e, fmt.Errorf("parse value %.200q of %s: %w", r.Value, r.Topic, err)
	}
	from := v.envelope
	if from.Op == "" {
		from = v.Payload
	}
	e.Op, e.LSN = from.Op, from.Source.LSN
	row := from.After
	if row == nil {
		row = from.Before
	}
	if row == nil {
		return e, fmt.Errorf("parse value %.200q of %s: it has no row", r.Value, r.Topic)
	}
	e.Seq = row.Seq
	return e, nil
}

// Tail keeps the committed records of topics of one partition each, as they come.
type Tail struct {
	client *kgo.Client
	done   chan struct{}

	mu       sync.Mutex
	events   []Event
	ends     map[string]int64 // topic: offset behind what was read
	seen     int              // the last number in row 0 of table a
	streamed int              // of those, that came as changes
	err      error
	stream   bool          // a change came that is not of a snapshot
	grown    chan struct{} // closed when something came
}

// NewTail follows the topics until Close.
func NewTail(bootstrap string, topics ...string) (*Tail, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return nil, fmt.Errorf("make a Kafka consumer: %w", err)
	}
	t := &Tail{client: c, done: make(chan struct{}), ends: map[string]int64{}, grown: make(chan struct{})}
	go t.follow()
	return t, nil
}

func (t *Tail) follow() {
	defer close(t.done)
	for {
		fetches := t.client.PollFetches(context.Background())
		if fetches.IsClientClosed() {
			return
		}
		t.mu.Lock()
		fetches.EachRecord(func(r *kgo.Record) {
			t.ends[r.Topic] = r.Offset + 1
			if r.Attrs.IsControl() {
				return
			}
			e, err := ParseEvent(r)
			t.err = errors.Join(t.err, err)
			t.events = append(t.events, e)
			t.stream = t.stream || e.Op != "r"
			if e.Table == "a" && e.Key == "0" {
				t.seen = max(t.seen, e.Seq)
				if e.Op != "r" {
					t.streamed = max(t.streamed, e.Seq)
				}
			}
		})
		close(t.grown)
		t.grown = make(chan struct{})
		t.mu.Unlock()
	}
}

// Close ends the goroutine.
func (t *Tail) Close() {
	t.client.Close()
	<-t.done
}

// Wait waits until the condition holds for what was read: how many events, and the last transaction's number.
func (t *Tail) Wait(ctx context.Context, what string, ok func(events, number int) bool) error {
	for {
		t.mu.Lock()
		events, number, err, grown := len(t.events), t.seen, t.err, t.grown
		t.mu.Unlock()
		if err != nil || ok(events, number) {
			return err
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %d events, transaction %d: %w", what, events, number, context.Cause(ctx))
		}
	}
}

// Reach waits until everything up to these offsets was read.
func (t *Tail) Reach(ctx context.Context, ends map[string]int64) error {
	return t.Wait(ctx, "the end of the topics", func(int, int) bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		for topic, end := range ends {
			if t.ends[topic] < end {
				return false
			}
		}
		return true
	})
}

// Streamed is the number of the last transaction that came as a change; a snapshot may show it before.
func (t *Tail) Streamed() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.streamed
}

// Streams tells that a change came that is not of a snapshot.
func (t *Tail) Streams() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stream
}

// Events returns what was read so far; within one topic it is in order.
func (t *Tail) Events() []Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.events[:len(t.events):len(t.events)]
}
