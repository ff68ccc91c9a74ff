package golden

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/freshet-io/freshet/testbed"
)

// write writes the recording: what is in Kafka, and the states that the steps noted.
func (r *play) write(ctx context.Context, out string) error {
	if err := os.MkdirAll(out, 0o750); err != nil {
		return fmt.Errorf("write recording: %w", err)
	}
	names, err := r.mine(ctx)
	if err != nil {
		return err
	}
	records, err := r.records(ctx, names)
	if err != nil {
		return err
	}
	offsets, err := r.offsets(ctx)
	if err != nil {
		return err
	}
	history, err := r.schemaHistory(ctx)
	if err != nil {
		return err
	}
	if history != nil {
		names = append(names, r.history())
	}
	topics, err := r.topicList(ctx, names)
	if err != nil {
		return err
	}
	states, err := encode(r.states)
	if err != nil {
		return err
	}
	files := map[string][]byte{"records.jsonl": records, "offsets.jsonl": offsets, "topics.json": topics, "states.json": states}
	if history != nil {
		files["schema_history.jsonl"] = history
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(out, name), content, 0o600); err != nil {
			return fmt.Errorf("write recording: %w", err)
		}
	}
	return nil
}

// encode is json.Marshal without its escapes for HTML.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode recording: %w", err)
	}
	return b.Bytes(), nil
}

func (r *play) records(ctx context.Context, names []string) ([]byte, error) {
	records, err := testbed.ReadCommitted(ctx, r.Bootstrap, names)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for _, m := range records {
		fmt.Fprintf(&b, `{"topic":%s,"partition":%d,"key":%s,"value":%s,"headers":`, dump(m.Topic), m.Partition, raw(m.Key), raw(m.Value))
		headers := new(array)
		for _, h := range m.Headers {
			pair := &array{items: []any{h.Key, nil}}
			if h.Value != nil {
				pair.items[1] = printable(h.Value)
			}
			headers.items = append(headers.items, pair)
		}
		b.WriteString(dump(headers) + "}\n")
	}
	return []byte(b.String()), nil
}

// offsets are the connector's records in the offset topic since the scenario began, but for those of a snapshot that goes on: the reference
// writes them only when its flush interval passes meanwhile, Freshet also before the first rows.
func (r *play) offsets(ctx context.Context) ([]byte, error) {
	records, err := testbed.ReadTopics(ctx, r.Bootstrap, []string{r.OffsetTopic})
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for _, m := range records {
		if m.Offset < r.first[testbed.TopicPartition{Topic: m.Topic, Partition: m.Partition}] {
			continue
		}
		key, err := parse(string(m.Key))
		list, ok := key.(*array)
		if err == nil && ok && len(list.items) > 0 && list.items[0] == r.connector && !unfinished.Match(m.Value) {
			fmt.Fprintf(&b, `{"key":%s,"value":%s}`+"\n", raw(m.Key), raw(m.Value))
		}
	}
	return []byte(b.String()), nil
}

// schemaHistory is the topic of the schema history, each record in one line; nil when there is none.
func (r *play) schemaHistory(ctx context.Context) ([]byte, error) {
	records, err := testbed.ReadTopics(ctx, r.Bootstrap, []string{r.history()})
	if err != nil || len(records) == 0 {
		return nil, err
	}
	var b bytes.Buffer
	for _, m := range records {
		fmt.Fprintf(&b, `{"key":%s,"value":`, raw(m.Key))
		if err := json.Compact(&b, m.Value); err != nil {
			return nil, fmt.Errorf("read record %d of the schema history: %w", m.Offset, err)
		}
		b.WriteString("}\n")
	}
	return b.Bytes(), nil
}

var unfinished = regexp.MustCompile(`"snapshot":"[^"]*"(,"snapshot_completed":false)?}$`)

func (r *play) topicList(ctx context.Context, names []string) ([]byte, error) {
	partitions, err := testbed.Partitions(ctx, r.kafka)
	if err != nil {
		return nil, err
	}
	configs, err := testbed.TopicConfigs(ctx, r.kafka, names)
	if err != nil {
		return nil, err
	}
	list := []any{}
	for _, name := range names {
		list = append(list, pairs{"topic", name, "partitions", partitions[name], "configs", configs[name]})
	}
	return encode(list)
}

// raw is a key or value as one JSON text: its own bytes where they are a JSON object or array in one line.
func raw(b []byte) string {
	if b == nil {
		return "null"
	}
	if !utf8.Valid(b) {
		return `{"$base64": "` + base64.StdEncoding.EncodeToString(b) + `"}`
	}
	text := string(b)
	if text != "" && (text[0] == '{' || text[0] == '[') && !strings.ContainsAny(text, "\r\n") {
		if _, err := parse(text); err == nil {
			return text
		}
	}
	return `{"$text": ` + dump(text) + "}"
}

// printable is a header's text, with \xNN for bytes that are none.
func printable(b []byte) string {
	var out strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&out, `\x%02x`, b[0])
		} else {
			out.Write(b[:n])
		}
		b = b[n:]
	}
	return out.String()
}
