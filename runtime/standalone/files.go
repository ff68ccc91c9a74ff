package standalone

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/workerconfig"
)

// Connector is one connector file.
type Connector struct {
	File   string
	Name   string
	Config connectors.Config
	Target runtime.State // from initial_state; "" for none

	written connectors.Config // before references were replaced
}

// named returns a configuration of the connector with its name in it.
func (c *Connector) named(config connectors.Config) connectors.Config {
	out := maps.Clone(config)
	out["name"] = c.Name
	return out
}

// ReadConnector reads a connector file in one of Kafka Connect's forms: a flat JSON map with "name", a JSON object with
// "name", "config" and optionally "initial_state", or Java properties. Errors name file, line and column.
func ReadConnector(path string) (Connector, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Connector{}, fmt.Errorf("read connector file: %w", err)
	}
	c := Connector{File: path}
	if trimmed := bytes.TrimLeft(bytes.TrimPrefix(text, []byte("\ufeff")), " \t\r\n"); len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') {
		err = c.readJSON(text)
	} else {
		c.Config, err = readProperties(path, text)
	}
	if err != nil {
		return c, err
	}
	if name := strings.TrimSpace(c.Config["name"]); c.Name == "" {
		c.Name = name
	} else if name != "" && name != c.Name {
		return c, fmt.Errorf("read connector file %s: name is %q, but config.name is %q", path, c.Name, name)
	}
	if c.Name == "" {
		return c, fmt.Errorf("read connector file %s: it has no name; add the key name", path)
	}
	return c, nil
}

func readProperties(path string, text []byte) (connectors.Config, error) {
	m, err := workerconfig.ParseProperties(text)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return m, nil
}

func (c *Connector) readJSON(text []byte) error {
	members := map[string]json.RawMessage{}
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&members); err != nil {
		return fmt.Errorf("read connector file %s: %w", c.File, place(text, d, err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		line, column := position(text, d.InputOffset())
		return fmt.Errorf("read connector file %s: line %d, column %d: text after the JSON object", c.File, line, column)
	}
	nested, ok := members["config"]
	if !ok || len(nested) == 0 || nested[0] != '{' {
		return c.flat(members)
	}
	inner := map[string]json.RawMessage{}
	if err := json.Unmarshal(nested, &inner); err != nil {
		return fmt.Errorf("read connector file %s: config: %w", c.File, err)
	}
	for name, v := range members {
		if name == "config" {
			continue
		}
		s, err := scalar(v)
		if err != nil {
			return fmt.Errorf("read connector file %s: key %s: %w", c.File, name, err)
		}
		switch name {
		case "name":
			c.Name = strings.TrimSpace(s)
		case "initial_state":
			if c.Target, err = target(s); err != nil {
				return fmt.Errorf("read connector file %s: %w", c.File, err)
			}
		default:
			return fmt.Errorf("read connector file %s: unknown key %s beside config; name and initial_state are known", c.File, name)
		}
	}
	return c.flat(inner)
}

func target(s string) (runtime.State, error) {
	switch t := runtime.State(strings.ToUpper(strings.TrimSpace(s))); t {
	case runtime.Running, runtime.Paused, runtime.Stopped:
		return t, nil
	}
	return "", fmt.Errorf("initial_state %q is not one of RUNNING, PAUSED, STOPPED", s)
}

func (c *Connector) flat(members map[string]json.RawMessage) error {
	c.Config = connectors.Config{}
	for name, v := range members {
		s, err := scalar(v)
		if err != nil {
			return fmt.Errorf("read connector file %s: key %s: %w", c.File, name, err)
		}
		c.Config[name] = s
	}
	return nil
}

// scalar is a string, or a number or boolean as it is written.
func scalar(v json.RawMessage) (string, error) {
	switch {
	case len(v) > 0 && v[0] == '"':
		var s string
		err := json.Unmarshal(v, &s)
		return s, err
	case len(v) > 0 && (v[0] == '{' || v[0] == '['):
		return "", errors.New("the value must be a string, not an object or a list")
	case string(v) == "null":
		return "", errors.New("Null value can not be supplied as the configuration value.")
	}
	return string(v), nil
}

// place adds line and column to an error of the JSON decoder.
func place(text []byte, d *json.Decoder, err error) error {
	at := d.InputOffset()
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		at = syntax.Offset - 1
	case errors.As(err, &kind):
		line, column := position(text, kind.Offset-1)
		return fmt.Errorf("line %d, column %d: a JSON object is expected, not %s", line, column, kind.Value)
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		at = int64(len(text))
		err = errors.New("the text ends too early; a bracket or quote is missing")
	}
	line, column := position(text, at)
	return fmt.Errorf("line %d, column %d: broken JSON: %w", line, column, err)
}

func position(text []byte, at int64) (line, column int) {
	at = max(0, min(at, int64(len(text))))
	before := text[:at]
	return bytes.Count(before, []byte("\n")) + 1, int(at) - bytes.LastIndexByte(before, '\n')
}
