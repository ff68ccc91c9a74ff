package jsonschema

import (
	"context"
	"fmt"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/registry"
	"github.com/freshet-io/freshet/schemas"
)

// decoder reads messages, each by the schema that it was written with.
type decoder struct {
	options
	registry *registry.Registry
	known    *registry.Cache[*schemas.Schema]
}

// NewDecoder makes the decoder from the converter's keys.
func NewDecoder(c connectors.Config) (converters.Decoder, error) {
	o, r, err := read(c)
	if err != nil {
		return nil, err
	}
	return &decoder{o, r, registry.NewCache[*schemas.Schema](o.cache)}, nil
}

// Within implements converters.Waiter.
func (d *decoder) Within(ctx context.Context) { d.registry.Within(ctx) }

// Decode implements converters.Decoder.
func (d *decoder) Decode(data []byte) (schemas.Typed, error) {
	if data == nil {
		return schemas.Typed{}, nil
	}
	id, payload, err := registry.Split(data)
	if err != nil {
		return schemas.Typed{}, err
	}
	s, ok := d.known.Get(id)
	if !ok {
		if s, err = d.load(id); err != nil {
			return schemas.Typed{}, err
		}
	}
	v, err := reading().Read(s, payload)
	if err != nil {
		return schemas.Typed{}, fmt.Errorf("read message with schema %d: %w", id, err)
	}
	return schemas.Typed{Schema: s, Value: v}, nil
}

func (d *decoder) load(id int) (*schemas.Schema, error) {
	found, err := d.registry.Get(id)
	if err != nil {
		return nil, err
	}
	if found.Type != registry.JSON {
		return nil, fmt.Errorf("read schema %d: it is of type %s, and this converter reads JSON Schema", id, string(found.Type))
	}
	used, err := d.registry.Referred(found)
	if err != nil {
		return nil, err
	}
	n, err := parse(found.Text, used)
	if err != nil {
		return nil, fmt.Errorf("read schema %d: %w", id, err)
	}
	s, err := d.toConnect(n, found.Version)
	if err != nil {
		return nil, fmt.Errorf("read schema %d: %w", id, err)
	}
	size := len(found.Text)
	for _, u := range used {
		size += len(u.Text)
	}
	d.known.Put(id, size, s)
	return s, nil
}
