package connectors

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

// The recorded messages, which every implementation of the format reads (docs/plugin-protocol.md). FRESHET_WIRE_RECORD=1 go test -run
// 'TestWireGolden|TestWireRefused' ./connectors writes them anew: for a new version only.
const goldenFile = "testdata/wire/v1.json"

type goldenWire struct {
	Version     int                `json:"version"`
	Connections []goldenConnection `json:"connections"`
	Refused     []goldenRefusal    `json:"refused"`
}

// goldenConnection is what one writer makes and one reader reads, in order.
type goldenConnection struct {
	Name     string          `json:"name"`
	Messages []goldenMessage `json:"messages"`
}

type goldenMessage struct {
	Name  string          `json:"name"`
	Hex   string          `json:"hex"`
	Batch json.RawMessage `json:"batch"` // a shownBatch
}

// goldenRefusal is a message that a reader must refuse after it has read the others.
type goldenRefusal struct {
	Name   string   `json:"name"`
	Before []string `json:"before,omitempty"`
	Hex    string   `json:"hex"`
	Reason string   `json:"reason"`
}

func readGolden(t *testing.T) goldenWire {
	t.Helper()
	text, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	var g goldenWire
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	if g.Version != wireVersion {
		t.Fatalf("%s is of version %d, not %d: record the messages of the new version in a file of its own", goldenFile, g.Version, wireVersion)
	}
	return g
}

// record replaces a part of the file.
func recordGolden(t *testing.T, change func(*goldenWire)) {
	t.Helper()
	var g goldenWire
	if text, err := os.ReadFile(goldenFile); err == nil {
		if err := json.Unmarshal(text, &g); err != nil {
			t.Fatal(err)
		}
	}
	g.Version = wireVersion
	change(&g)
	text, err := marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(goldenFile, append(layOut(nil, text, ""), '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestWireGolden: the bytes of every batch are those that were recorded, and what was recorded is read as the batch that it was.
func TestWireGolden(t *testing.T) {
	made := goldenBatches()
	if os.Getenv("FRESHET_WIRE_RECORD") != "" {
		recordGolden(t, func(g *goldenWire) { g.Connections = encodeGolden(t, made) })
	}
	recorded := readGolden(t)
	if len(recorded.Connections) != len(made) {
		t.Fatalf("%d connections were recorded, the test has %d", len(recorded.Connections), len(made))
	}
	for i, now := range encodeGolden(t, made) {
		was := recorded.Connections[i]
		if len(was.Messages) != len(now.Messages) || was.Name != now.Name {
			t.Fatalf("connection %s: %d messages were recorded as %s, the test has %d", now.Name, len(was.Messages), was.Name, len(now.Messages))
		}
		r := NewWireReader()
		for j, m := range now.Messages {
			old := was.Messages[j]
			if m.Hex != old.Hex {
				t.Errorf("the wire format has changed without a new version (%s, %s): byte %d differs. A worker and a plugin of other releases "+
					"would misread each other: change it back, or give it a new version and record that in a file of its own",
					now.Name, m.Name, differs(m.Hex, old.Hex))
			}
			text, err := hex.DecodeString(old.Hex)
			if err != nil {
				t.Fatal(err)
			}
			got, shown := decodeShown(t, r, text)
			same(t, got, made[i].messages[j].batch)
			var a, b any
			if err := json.Unmarshal(shown, &a); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(old.Batch, &b); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(a, b) {
				t.Errorf("what a message means has changed without a new version (%s, %s):\n%s\nwas\n%s", now.Name, m.Name, shown, old.Batch)
			}
		}
	}
}

// differs is the first byte in which two texts in hex differ.
func differs(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n / 2
}

func encodeGolden(t *testing.T, list []madeConnection) []goldenConnection {
	t.Helper()
	var out []goldenConnection
	for _, c := range list {
		g := goldenConnection{Name: c.name}
		w, r := NewWireWriter(), NewWireReader()
		for _, m := range c.messages {
			if m.anew {
				w.forget()
			}
			text, err := w.Append(nil, m.batch)
			if err != nil {
				t.Fatalf("%s, %s: %v", c.name, m.name, err)
			}
			_, shown := decodeShown(t, r, text)
			g.Messages = append(g.Messages, goldenMessage{m.name, hex.EncodeToString(text), shown})
		}
		out = append(out, g)
	}
	return out
}

func decodeShown(t *testing.T, r *WireReader, text []byte) (*Batch, json.RawMessage) {
	t.Helper()
	schemasBefore, streamsBefore := len(r.schemas), len(r.streams)
	b, err := r.Decode(text, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	anew := text[1] == 1
	if anew {
		schemasBefore, streamsBefore = 0, 0
	}
	out, err := marshal(showBatch(r, b, anew, schemasBefore, streamsBefore))
	if err != nil {
		t.Fatal(err)
	}
	return b, out
}

// TestWireRefused: what is not the form of a batch is refused, and the reason says where.
func TestWireRefused(t *testing.T) {
	made := goldenRefusals(t)
	if os.Getenv("FRESHET_WIRE_RECORD") != "" {
		for i := range made {
			made[i].Reason = refusal(t, made[i])
		}
		recordGolden(t, func(g *goldenWire) { g.Refused = made })
	}
	recorded := readGolden(t).Refused
	if len(recorded) != len(made) {
		t.Fatalf("%d messages were recorded, the test has %d", len(recorded), len(made))
	}
	for i, x := range recorded {
		if x.Hex != made[i].Hex || x.Name != made[i].Name {
			t.Errorf("%s: the message has changed: %s", x.Name, made[i].Hex)
		}
		if got := refusal(t, x); got != x.Reason {
			t.Errorf("%s: refused with %q, not %q", x.Name, got, x.Reason)
		}
	}
}

// refusal is why a reader refuses a message.
func refusal(t *testing.T, x goldenRefusal) string {
	t.Helper()
	r := NewWireReader()
	for _, before := range x.Before {
		if _, err := r.Decode(unhex(t, before), nil, nil); err != nil {
			t.Fatalf("%s: before it: %v", x.Name, err)
		}
	}
	text := unhex(t, x.Hex)
	_, err := r.Decode(text, nil, nil)
	if err == nil {
		t.Errorf("%s: accepted", x.Name)
		return ""
	}
	if _, again := r.Decode(text, nil, nil); again == nil {
		t.Errorf("%s: the reader goes on after it", x.Name)
	}
	return strings.TrimPrefix(err.Error(), "decode batch: ")
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	out, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func marshal(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("show %T: %w", v, err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// layOut appends compact JSON so that what is short has one line.
func layOut(dst, text []byte, indent string) []byte {
	if len(text) <= 150 || text[0] != '{' && text[0] != '[' {
		return append(dst, text...)
	}
	inner := indent + " "
	dst = append(append(append(dst, text[0]), '\n'), inner...)
	from, depth, quoted := 1, 0, false
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == ',' && depth == 0 || i == len(text)-1:
			dst = layOutMember(dst, text[from:i], inner)
			dst = append(dst, text[i:i+1]...)
			if c == ',' {
				dst = append(append(dst, '\n'), inner...)
			} else {
				dst = append(append(dst[:len(dst)-1], "\n"+indent...), c)
			}
			from = i + 1
		case c == '}' || c == ']':
			depth--
		}
	}
	return dst
}

// layOutMember appends an element, or the name of a member and its value.
func layOutMember(dst, text []byte, indent string) []byte {
	if text[0] == '"' {
		end := 1
		for ; text[end] != '"'; end++ {
			if text[end] == '\\' {
				end++
			}
		}
		if end+1 < len(text) && text[end+1] == ':' {
			dst = append(append(dst, text[:end+2]...), ' ')
			text = text[end+2:]
		}
	}
	return layOut(dst, text, indent)
}
