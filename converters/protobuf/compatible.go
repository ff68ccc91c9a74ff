package protobuf

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// compatible tells what keeps message reader from reading what writer writes: fields of one number need types that have one form.
func compatible(reader, writer *message, met map[[2]*message]bool) error {
	if pair := [2]*message{reader, writer}; met[pair] {
		return nil
	} else {
		met[pair] = true
	}
	byNumber := map[int32]*field{}
	for _, f := range reader.fields {
		byNumber[int32(f.number)] = f
	}
	for _, f := range writer.fields {
		at := byNumber[int32(f.number)]
		if at == nil {
			continue // it is passed over
		}
		delete(byNumber, int32(f.number))
		if form(at.kind) != form(f.kind) || at.repeated != f.repeated && form(f.kind) != formText && f.kind != protoreflect.MessageKind {
			return fmt.Errorf("field %s of %s has the number %d and type %s, and field %s of the registered schema type %s", f.name, writer.full, f.number, f.kind, at.name, at.kind)
		}
		if f.kind != protoreflect.MessageKind || f.message.leaf != leafNone && f.message.full == at.message.full {
			continue
		}
		if f.message.leaf != at.message.leaf && !(f.message.leaf == leafWrapper && at.message.full == f.message.full) {
			return fmt.Errorf("field %s of %s is a %s, and in the registered schema a %s", f.name, writer.full, f.message.full, at.message.full)
		}
		if err := compatible(at.message, f.message, met); err != nil {
			return err
		}
	}
	for _, f := range byNumber {
		if f.required {
			return fmt.Errorf("its field %s is required, and message %s lacks it", f.name, writer.full)
		}
	}
	return nil
}

type wireForm uint8

const (
	formVarint wireForm = iota + 1
	formZigZag
	formFixed32
	formFixed64
	formFloat
	formDouble
	formText
	formMessage
)

// form groups the types that read each other's values.
func form(k protoreflect.Kind) wireForm {
	switch k {
	case protoreflect.Sint32Kind, protoreflect.Sint64Kind:
		return formZigZag
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		return formFixed32
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return formFixed64
	case protoreflect.FloatKind:
		return formFloat
	case protoreflect.DoubleKind:
		return formDouble
	case protoreflect.StringKind, protoreflect.BytesKind:
		return formText
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return formMessage
	}
	return formVarint
}
