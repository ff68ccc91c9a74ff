package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/herder"
)

// decoder reads a request's body. It is as strict and as lenient as the reference's: scalars are taken for text, unknown
// members and anything behind the value are errors, and errors tell line and column.
type decoder struct {
	body []byte
	json *json.Decoder
	path []string // members that led here
}

// decode reads the whole body with read, which is not called for an absent or null body: then there is no value.
func decode[T any](body []byte, read func(*decoder) (T, error)) (value T, ok bool, err error) {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if len(bytes.TrimSpace(body)) == 0 {
		return value, false, nil
	}
	d := &decoder{body: body, json: json.NewDecoder(bytes.NewReader(body))}
	d.json.UseNumber()
	if at := invalidUTF8(body); at >= 0 {
		return value, false, d.errorAt(int64(at), "Invalid UTF-8 byte 0x%02x", body[at])
	}
	switch tok, err := d.peek(); {
	case err != nil:
		return value, false, err
	case tok == 'n':
		if err := d.skip(); err != nil {
			return value, false, err
		}
	default:
		if value, err = read(d); err != nil {
			return value, false, err
		}
		ok = true
	}
	if _, err := d.json.Token(); !errors.Is(err, io.EOF) {
		if err != nil {
			return value, false, d.syntax(err)
		}
		return value, false, d.errorAt(d.json.InputOffset(), "Trailing token found after value")
	}
	return value, ok, nil
}

func invalidUTF8(b []byte) int {
	if utf8.Valid(b) {
		return -1
	}
	for i := 0; ; {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
}

// next is where the next token begins.
func (d *decoder) next() int64 {
	at := d.json.InputOffset()
	for at < int64(len(d.body)) && strings.IndexByte(" \t\r\n,:", d.body[at]) >= 0 {
		at++
	}
	return at
}

// peek returns the first byte of the next value.
func (d *decoder) peek() (byte, error) {
	at := d.next()
	if at == int64(len(d.body)) {
		return 0, d.syntax(io.ErrUnexpectedEOF)
	}
	return d.body[at], nil
}

func (d *decoder) skip() error {
	var v json.RawMessage
	if err := d.json.Decode(&v); err != nil {
		return d.syntax(err)
	}
	return nil
}

// object reads an object; member reads the value of each member.
func (d *decoder) object(what string, member func(key string) error) error {
	at := d.next()
	if err := d.expect('{', at, what); err != nil {
		return err
	}
	for d.json.More() {
		tok, err := d.json.Token()
		if err != nil {
			return d.syntax(err)
		}
		key, ok := tok.(string)
		if !ok {
			return d.errorAt(d.next(), "Unexpected token: was expecting double-quote to start field name")
		}
		d.path = append(d.path, fmt.Sprintf("[%q]", key))
		if err := member(key); err != nil {
			return err
		}
		d.path = d.path[:len(d.path)-1]
	}
	return d.end()
}

// array reads an array; element reads each element.
func (d *decoder) array(what string, element func() error) error {
	if err := d.expect('[', d.next(), what); err != nil {
		return err
	}
	for i := 0; d.json.More(); i++ {
		d.path = append(d.path, fmt.Sprintf("[%d]", i))
		if err := element(); err != nil {
			return err
		}
		d.path = d.path[:len(d.path)-1]
	}
	return d.end()
}

func (d *decoder) expect(delim json.Delim, at int64, what string) error {
	tok, err := d.json.Token()
	if err != nil {
		return d.syntax(err)
	}
	if tok != delim {
		return d.errorAt(at, "Cannot deserialize value of type `%s` from %s", what, kindOf(tok))
	}
	return nil
}

func (d *decoder) end() error {
	if _, err := d.json.Token(); err != nil {
		return d.syntax(err)
	}
	return nil
}

func kindOf(tok json.Token) string {
	switch tok := tok.(type) {
	case json.Delim:
		if tok == '[' {
			return "Array value"
		}
		return "Object value"
	case string:
		return "String value"
	case json.Number:
		return "Number value"
	case bool:
		return "Boolean value"
	}
	return "null"
}

// text reads a scalar as text; nil for null.
func (d *decoder) text() (*string, error) {
	at := d.next()
	tok, err := d.json.Token()
	if err != nil {
		return nil, d.syntax(err)
	}
	var s string
	switch tok := tok.(type) {
	case nil:
		return nil, nil
	case string:
		s = tok
	case json.Number:
		s = tok.String()
	case bool:
		s = fmt.Sprint(tok)
	default:
		return nil, d.errorAt(at, "Cannot deserialize value of type `String` from %s", kindOf(tok))
	}
	return &s, nil
}

// properties reads an object of texts.
func (d *decoder) properties() (herder.Properties, error) {
	out := herder.Properties{}
	err := d.object("Map<String, String>", func(key string) error {
		v, err := d.text()
		out[key] = v
		return err
	})
	return out, err
}

// optional reads a value that may be null with read.
func optional[T any](d *decoder, read func() (T, error)) (value T, err error) {
	tok, err := d.peek()
	if err != nil || tok != 'n' {
		if err == nil {
			value, err = read()
		}
		return value, err
	}
	return value, d.skip()
}

func (d *decoder) unknown(key string) error {
	return d.errorAt(d.next(), "Unrecognized field %q", key)
}

// createRequest is the body of POST /connectors.
type createRequest struct {
	name    *string
	config  herder.Properties // nil: absent
	initial runtime.State
}

func (d *decoder) createRequest() (r createRequest, err error) {
	err = d.object("CreateConnectorRequest", func(key string) (err error) {
		switch key {
		case "name":
			r.name, err = d.text()
		case "config":
			r.config, err = optional(d, d.properties)
		case "initial_state":
			r.initial, err = d.initialState()
		default:
			err = d.unknown(key)
		}
		return err
	})
	return r, err
}

func (d *decoder) initialState() (runtime.State, error) {
	at := d.next()
	s, err := d.text()
	if err != nil || s == nil {
		return "", err
	}
	switch state := runtime.State(strings.ToUpper(*s)); state {
	case runtime.Running, runtime.Paused, runtime.Stopped:
		return state, nil
	}
	return "", d.errorAt(at, "Cannot construct instance of `InitialState`, problem: %q is not one of RUNNING, PAUSED, STOPPED", *s)
}

// offsets reads the body of PATCH /connectors/{name}/offsets.
func (d *decoder) offsets() (entries []herder.OffsetEntry, err error) {
	err = d.object("ConnectorOffsets", func(key string) error {
		if key != "offsets" {
			return d.unknown(key)
		}
		entries, err = optional(d, func() (list []herder.OffsetEntry, err error) {
			err = d.array("List<ConnectorOffset>", func() error {
				e, err := d.offset()
				list = append(list, e)
				return err
			})
			return list, err
		})
		return err
	})
	return entries, err
}

func (d *decoder) offset() (e herder.OffsetEntry, err error) {
	err = d.object("ConnectorOffset", func(key string) (err error) {
		switch key {
		case "partition":
			e.Partition, err = d.rawObject()
		case "offset":
			e.Offset, err = d.rawObject()
		default:
			err = d.unknown(key)
		}
		return err
	})
	return e, err
}

// rawObject reads an object or null as it is; nil for null.
func (d *decoder) rawObject() (json.RawMessage, error) {
	at := d.next()
	tok, err := d.peek()
	if err != nil {
		return nil, err
	}
	var v json.RawMessage
	if err := d.json.Decode(&v); err != nil {
		return nil, d.syntax(err)
	}
	switch tok {
	case 'n':
		return nil, nil
	case '{':
		return v, nil
	}
	return nil, d.errorAt(at, "Cannot deserialize value of type `Map<String, ?>` from %.20s", v)
}

// taskConfigs reads the body of POST /connectors/{name}/tasks.
func (d *decoder) taskConfigs() (list []connectors.Config, err error) {
	err = d.array("List<Map<String, String>>", func() error {
		p, err := d.properties()
		c := connectors.Config{}
		for k, v := range p {
			if v != nil {
				c[k] = *v
			}
		}
		list = append(list, c)
		return err
	})
	return list, err
}

// syntax words an error of the JSON parser; it lies at or behind the value that comes next.
func (d *decoder) syntax(err error) error {
	at := d.next()
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) || at == int64(len(d.body)) || strings.HasPrefix(syntax.Error(), "unexpected end") {
		return d.errorAt(int64(len(d.body)), "Unexpected end-of-input")
	}
	word := d.body[at:]
	if end := bytes.IndexFunc(word, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }); end >= 0 {
		word = word[:end]
	}
	if len(word) > 0 {
		return d.errorAt(at, "Unrecognized token '%.40s': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')", word)
	}
	r, _ := utf8.DecodeRune(d.body[at:])
	return d.errorAt(at, "Unexpected character ('%c' (code %d)): %w", r, r, syntax)
}

// errorAt is the answer to a body that cannot be read: 500, as the reference has it, with the place.
func (d *decoder) errorAt(at int64, format string, args ...any) error {
	line := 1 + bytes.Count(d.body[:at], []byte("\n"))
	column := at - int64(bytes.LastIndexByte(d.body[:at], '\n'))
	text := fmt.Errorf(format, args...).Error() +
		fmt.Sprintf("\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: %d, column: %d]", line, column)
	if len(d.path) > 0 {
		text += " (through reference chain: " + strings.Join(d.path, "->") + ")"
	}
	return &httpError{status: http.StatusInternalServerError, message: text}
}
