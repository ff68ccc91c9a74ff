package interchange

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Recording is what Debezium did in an exchange, so that the exchange can be played on other servers.
type Recording struct {
	Name    string // of the rig
	Config  map[string]string
	Setup   []Statement
	Turns   []Turn
	History *History
	Schemas []string   // texts that values begin with
	Records []Recorded `json:"-"` // in a file of their own
}

// Recorded is a record. A value is the text of a schema, if any, and the rest.
type Recorded struct {
	Topic   string // without prefix
	Schema  int    `json:",omitempty"` // 0: none; otherwise one more than the index in Schemas
	Key     string
	Value   *string     // nil: a tombstone
	Headers [][2]string `json:",omitempty"`
}

// Record makes a recording of an exchange that Debezium did alone.
func (x *Exchange) Record(ctx context.Context, config map[string]string) (*Recording, error) {
	h, err := x.History(ctx)
	if err != nil {
		return nil, err
	}
	r := &Recording{Name: x.Name, Config: config, Setup: x.Setup, Turns: x.Turns, History: h}
	events := slices.Clone(x.Tail.Events())
	slices.SortStableFunc(events, func(a, b Event) int { return cmp.Compare(a.Table, b.Table) })
	for _, e := range events {
		out := Recorded{Topic: strings.TrimPrefix(e.Record.Topic, x.Name+"."), Key: string(e.Record.Key)}
		if e.Record.Value != nil {
			text := string(e.Record.Value)
			if at := strings.Index(text, `,"payload":`); at >= 0 {
				if out.Schema = slices.Index(r.Schemas, text[:at]) + 1; out.Schema == 0 {
					r.Schemas = append(r.Schemas, text[:at])
					out.Schema = len(r.Schemas)
				}
				text = text[at:]
			}
			out.Value = &text
		}
		for _, h := range e.Record.Headers {
			out.Headers = append(out.Headers, [2]string{h.Key, string(h.Value)})
		}
		r.Records = append(r.Records, out)
	}
	return r, nil
}

// Save writes the recording into a folder.
func (r *Recording) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return fmt.Errorf("encode recording: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "exchange.json"), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write recording: %w", err)
	}
	var lines bytes.Buffer
	e := json.NewEncoder(&lines)
	e.SetEscapeHTML(false)
	for _, record := range r.Records {
		if err := e.Encode(record); err != nil {
			return fmt.Errorf("encode record: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "records.jsonl"), lines.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write recording: %w", err)
	}
	return nil
}

// ReadRecording reads what Save wrote.
func ReadRecording(dir string) (*Recording, error) {
	text, err := os.ReadFile(filepath.Join(dir, "exchange.json"))
	if err != nil {
		return nil, fmt.Errorf("read recording: %w", err)
	}
	r := &Recording{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("parse recording %s: %w", dir, err)
	}
	if text, err = os.ReadFile(filepath.Join(dir, "records.jsonl")); err != nil {
		return nil, fmt.Errorf("read recording: %w", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var record Recorded
		if err := json.Unmarshal(lines.Bytes(), &record); err != nil {
			return nil, fmt.Errorf("parse recording %s: %w", dir, err)
		}
		r.Records = append(r.Records, record)
	}
	return r, lines.Err()
}

// Events are the recorded events of one topic (without prefix), as Debezium wrote them.
func (r *Recording) Events(topic string) ([]Event, error) {
	var out []Event
	for _, record := range r.Records {
		if record.Topic != topic {
			continue
		}
		e, err := ParseEvent(r.record(record, r.Name, func(text string) string { return text }))
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

func (r *Recording) record(from Recorded, name string, rewrite func(string) string) *kgo.Record {
	rename := func(text string) []byte { return []byte(strings.ReplaceAll(text, r.Name, name)) }
	out := &kgo.Record{Topic: name + "." + from.Topic, Key: rename(from.Key)}
	if from.Value != nil {
		text := *from.Value
		if from.Schema > 0 {
			text = r.Schemas[from.Schema-1] + text
		}
		out.Value = rename(rewrite(text))
	}
	for _, h := range from.Headers {
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: h[0], Value: rename(h[1])})
	}
	return out
}

// Play does on the rig what Debezium did in a turn, with the LSNs and transaction ids of the rig's server: records, offset, slot. What the
// turn decoded must have been written. start is where the slot was created.
func (r *Recording) Play(ctx context.Context, x *Rig, turn int, start uint64) error {
	h, err := x.History(ctx)
	if err != nil {
		return err
	}
	var failed error
	move := func(text string) string {
		moved, err := r.History.moved(text, h, start)
		if err != nil {
			failed = err
		}
		return moved
	}
	var records []*kgo.Record
	for _, topic := range []string{"public.a", "public.b"} {
		from, at := int64(0), int64(-1)
		if turn > 0 {
			from = r.Turns[turn-1].Records[topic]
		}
		for _, record := range r.Records {
			if record.Topic == topic {
				if at++; at >= from && at < r.Turns[turn].Records[topic] {
					records = append(records, r.record(record, x.Name, move))
				}
			}
		}
	}
	key, _, err := x.Offset(ctx)
	if err != nil {
		return err
	}
	if r.Turns[turn].Offset != "" {
		records = append(records, &kgo.Record{Topic: x.OffsetTopic, Key: []byte(key), Value: []byte(move(r.Turns[turn].Offset))})
	}
	if failed != nil {
		return fmt.Errorf("translate turn %d: %w", turn, failed)
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(x.Bootstrap), kgo.UnknownTopicRetries(-1)) // the topics were just created
	if err != nil {
		return fmt.Errorf("make a Kafka client: %w", err)
	}
	defer c.Close()
	if err := c.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("write the records of turn %d: %w", turn, err)
	}
	confirmed, err := h.at(r.History.mark(r.Turns[turn].Confirmed), start)
	if err != nil || confirmed <= start {
		return err
	}
	if _, err := x.Conn.Exec(ctx, "SELECT pg_replication_slot_advance($1, '0/0'::pg_lsn + $2::numeric)", x.Name, confirmed); err != nil {
		return fmt.Errorf("advance the slot: %w", err)
	}
	return nil
}
