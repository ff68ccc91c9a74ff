package jsonschema

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/freshet-io/freshet/converters/registry"
)

// reads tells what keeps a registered schema from reading what another one, made here, writes.
func (e *encoder) reads(registered, own registry.Schema) error {
	used, err := e.registry.Referred(registered)
	if err != nil {
		return err
	}
	reader, err := parse(registered.Text, used)
	if err != nil {
		return err
	}
	writer, err := parse(own.Text, nil)
	if err != nil {
		return err
	}
	return accepts(reader, writer, 0)
}

// accepts tells why values of writer, a schema that fromConnect has made, may not be values of reader.
func accepts(reader, writer *node, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("it is nested deeper than %d", maxDepth)
	}
	if reader.kind == kRef {
		return accepts(reader.to, writer, depth+1)
	}
	if writer.kind == kOne {
		for _, part := range writer.parts {
			if err := accepts(reader, part, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	switch reader.kind {
	case kAny:
		return nil
	case kOne:
		err := errors.New("it is a choice of nothing")
		for _, part := range reader.parts {
			if err = accepts(part, writer, depth+1); err == nil {
				return nil
			}
		}
		return err
	case kAll:
		for _, part := range reader.parts {
			if err := accepts(part, writer, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	if reader.kind != writer.kind && (reader.kind != kNumber || writer.kind != kInteger) {
		return fmt.Errorf("it says %s, where records have %s", kindNames[reader.kind], kindNames[writer.kind])
	}
	switch reader.kind {
	case kEnum:
		for _, symbol := range writer.symbols {
			if !contains(reader.symbols, symbol) {
				return errors.New("its enum lacks a symbol that records may have")
			}
		}
	case kArray:
		if reader.items != nil && writer.items != nil {
			return accepts(reader.items, writer.items, depth+1)
		}
	case kObject:
		return acceptsObject(reader, writer, depth)
	}
	return nil
}

func contains(symbols []any, symbol any) bool {
	for _, s := range symbols {
		if reflect.DeepEqual(s, symbol) {
			return true
		}
	}
	return false
}

func acceptsObject(reader, writer *node, depth int) error {
	known, written := map[string]*node{}, map[string]bool{}
	for _, f := range reader.fields {
		known[f.name] = f.node
	}
	for _, f := range writer.fields {
		written[f.name] = true
		to := known[f.name]
		switch {
		case to != nil:
		case reader.closed:
			return fmt.Errorf("it does not allow property %s", f.name)
		case reader.extra != nil:
			to = reader.extra
		default:
			continue
		}
		if err := accepts(to, f.node, depth+1); err != nil {
			return fmt.Errorf("property %s: %w", f.name, err)
		}
	}
	for name := range reader.required {
		if !written[name] {
			return fmt.Errorf("it requires property %s, which records do not have", name)
		}
	}
	if writer.extra != nil && reader.extra != nil {
		return accepts(reader.extra, writer.extra, depth+1)
	}
	if writer.extra != nil && reader.closed {
		return errors.New("it does not allow the entries of a map")
	}
	return nil
}
