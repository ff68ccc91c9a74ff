package deadletter

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/freshet-io/freshet/connectors"
)

// line is a record in a file: one JSON object. Of the three forms of a key and a value at most one is there, none is null: JSON as it
// is, other text, other bytes in base64.
type line struct {
	Timestamp   *int64          `json:"timestamp,omitempty"` // ms since 1970
	Headers     []header        `json:"headers"`
	Key         json.RawMessage `json:"key,omitempty"`
	KeyText     *string         `json:"key_text,omitempty"`
	KeyBase64   *string         `json:"key_base64,omitempty"`
	Value       json.RawMessage `json:"value,omitempty"`
	ValueText   *string         `json:"value_text,omitempty"`
	ValueBase64 *string         `json:"value_base64,omitempty"`
}

type header struct {
	Name        string  `json:"name"`
	Value       *string `json:"value,omitempty"`
	ValueBase64 *string `json:"value_base64,omitempty"`
}

// AppendLine appends a record as one line, without its end.
func AppendLine(dst []byte, r *Record) ([]byte, error) {
	l := line{Headers: make([]header, 0, len(r.Headers))}
	if r.Timestamp >= 0 {
		l.Timestamp = &r.Timestamp
	}
	for _, h := range r.Headers {
		out := header{Name: strings.ToValidUTF8(string(h.Key), "\uFFFD")}
		out.Value, out.ValueBase64 = textOf(h.Value)
		l.Headers = append(l.Headers, out)
	}
	if embeds(r.Key) {
		l.Key = r.Key
	} else {
		l.KeyText, l.KeyBase64 = textOf(r.Key)
	}
	if embeds(r.Value) {
		l.Value = r.Value
	} else {
		l.ValueText, l.ValueBase64 = textOf(r.Value)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(l); err != nil {
		return dst, err
	}
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte{'\n'})...), nil
}

// textOf returns bytes as text or else as base64; neither for nil.
func textOf(data []byte) (text, coded *string) {
	switch {
	case data == nil:
		return nil, nil
	case utf8.Valid(data):
		s := string(data)
		return &s, nil
	}
	s := base64.StdEncoding.EncodeToString(data)
	return nil, &s
}

// embeds tells JSON that is read back with the same bytes when it is part of a line.
func embeds(data []byte) bool {
	if len(data) == 0 || !utf8.Valid(data) || string(data) == "null" || !json.Valid(data) {
		return false
	}
	var same bytes.Buffer
	return json.Compact(&same, data) == nil && bytes.Equal(same.Bytes(), data) && !bytes.ContainsAny(data, "\u2028\u2029")
}

// ParseLine reads what AppendLine wrote.
func ParseLine(text []byte) (*Record, error) {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return nil, fmt.Errorf("read a dead letter: %w", err)
	}
	r := &Record{Timestamp: -1}
	if l.Timestamp != nil {
		r.Timestamp = *l.Timestamp
	}
	var err error
	if r.Key, err = part(l.Key, l.KeyText, l.KeyBase64); err != nil {
		return nil, fmt.Errorf("read the key of a dead letter: %w", err)
	}
	if r.Value, err = part(l.Value, l.ValueText, l.ValueBase64); err != nil {
		return nil, fmt.Errorf("read the value of a dead letter: %w", err)
	}
	for _, h := range l.Headers {
		value, err := part(nil, h.Value, h.ValueBase64)
		if err != nil {
			return nil, fmt.Errorf("read header %s of a dead letter: %w", h.Name, err)
		}
		r.Headers = append(r.Headers, connectors.RawHeader{Key: []byte(h.Name), Value: value})
	}
	return r, nil
}

func part(embedded json.RawMessage, text, coded *string) ([]byte, error) {
	switch {
	case text != nil && coded != nil || len(embedded) > 0 && (text != nil || coded != nil):
		return nil, errors.New("it is there in more than one form")
	case text != nil:
		return []byte(*text), nil
	case coded != nil:
		out, err := base64.StdEncoding.DecodeString(*coded)
		if out == nil && err == nil {
			out = []byte{}
		}
		return out, err
	case len(embedded) > 0 && string(embedded) != "null":
		return embedded, nil
	}
	return nil, nil
}
