package protobuf

import (
	"context"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/freshet-io/freshet/converters/registry"
	"github.com/freshet-io/freshet/schemas"
)

//go:embed known
var knownFiles embed.FS

const (
	ownFile  = "registered schema"
	metaFile = "confluent/meta.proto"
	fieldExt = 1088 // confluent.field_meta
)

// parsed is a registered schema.
type parsed struct {
	file   linker.File
	space  string // the package as it is written
	synth  bool   // entries of maps have no place among the messages of its text
	memory map[protoreflect.FullName]*message
	enums  map[protoreflect.FullName]*enum
}

// parse reads a schema; used are those that it refers to.
func parse(text string, used []registry.Named) (*parsed, error) {
	sources := map[string]string{}
	for _, u := range used {
		sources[u.Name] = u.Text
	}
	sources[ownFile] = text
	p := &parsed{memory: map[protoreflect.FullName]*message{}, enums: map[protoreflect.FullName]*enum{}}
	find := func(path string) (protocompile.SearchResult, error) {
		if text, ok := sources[path]; ok {
			if d := binaryForm(path, text); d != nil {
				p.synth = p.synth || path == ownFile
				return protocompile.SearchResult{Proto: d}, nil
			}
			text, space := source(text)
			if path == ownFile {
				p.space = space
			}
			return protocompile.SearchResult{Source: strings.NewReader(text)}, nil
		}
		file, err := knownFiles.Open("known/" + path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
			return protocompile.SearchResult{}, fmt.Errorf("%s is neither a reference of the schema nor a file that is known: %w", path, fs.ErrNotExist)
		}
		return protocompile.SearchResult{Source: file.(io.Reader)}, err
	}
	c := protocompile.Compiler{Resolver: protocompile.WithStandardImports(protocompile.ResolverFunc(find)), MaxParallelism: 1}
	files, err := c.Compile(context.Background(), ownFile)
	if err != nil {
		return nil, fmt.Errorf("parse Protobuf schema: %w", err)
	}
	p.file = files[0]
	if imports := p.file.Imports(); p.file.Messages().Len() == 0 && imports.Len() > 0 && imports.Get(0).IsPublic {
		if inner := p.file.FindImportByPath(imports.Get(0).Path()); inner != nil { // a file that only stands for another
			p.file = inner
		}
	}
	return p, nil
}

// binaryForm is the descriptor of a schema that is registered as one; nil for a text.
func binaryForm(path, text string) *descriptorpb.FileDescriptorProto {
	if strings.ContainsAny(text, "{;") {
		return nil
	}
	data, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	d := &descriptorpb.FileDescriptorProto{}
	if err != nil || proto.Unmarshal(data, d) != nil {
		return nil
	}
	d.Name = &path
	return d
}

var packageLine = regexp.MustCompile(`(?m)^[ \t]*package[ \t]+([^\s;]+)[ \t]*;`)

// source makes a text one that protoc takes: the reference writes options without their import, and packages with other characters.
func source(text string) (out, space string) {
	if strings.Contains(text, "confluent.") && strings.Contains(text, "_meta") && !strings.Contains(text, metaFile) {
		text += "\nimport \"" + metaFile + "\";\n"
	}
	at := packageLine.FindStringSubmatchIndex(text)
	if at == nil {
		return text, ""
	}
	space = text[at[2]:at[3]]
	parts := strings.Split(space, ".")
	for i, part := range parts {
		if !isName(part) {
			parts[i] = options{scrub: true}.scrubbed(part)
		}
	}
	return text[:at[2]] + strings.Join(parts, ".") + text[at[3]:], space
}

// at finds a message by its place among the messages of the file.
func (p *parsed) at(indexes []int64) (*message, error) {
	list := p.file.Messages()
	var found protoreflect.MessageDescriptor
	for _, index := range indexes {
		found = nil
		for i := range list.Len() {
			if list.Get(i).IsMapEntry() && !p.synth {
				continue
			}
			if index == 0 {
				found = list.Get(i)
			}
			index--
		}
		if found == nil {
			return nil, fmt.Errorf("the schema has no message with the index %v", indexes)
		}
		list = found.Messages()
	}
	return p.message(found)
}

// indexes is the place of a message, as the reference finds it: part by part of its full name, whatever the parts stand for.
func (p *parsed) indexes(full string) []int64 {
	list := p.file.Messages()
	var out []int64
	for _, part := range strings.Split(full, ".") {
		index := int64(0)
		for i := range list.Len() {
			m := list.Get(i)
			if m.IsMapEntry() && !p.synth {
				continue
			}
			if string(m.Name()) == part {
				out, list = append(out, index), m.Messages()
				break
			}
			index++
		}
	}
	return out
}

// message makes that of a descriptor.
func (p *parsed) message(d protoreflect.MessageDescriptor) (*message, error) {
	if m := p.memory[d.FullName()]; m != nil {
		return m, nil
	}
	m := &message{name: string(d.Name()), full: p.full(d), entry: d.IsMapEntry(), leaf: leaves[string(d.FullName())]}
	p.memory[d.FullName()] = m
	place := map[protoreflect.Name]int{}
	for i := range d.Oneofs().Len() {
		if o := d.Oneofs().Get(i); !o.IsSynthetic() {
			place[o.Name()] = len(m.oneofs)
			m.oneofs = append(m.oneofs, string(o.Name()))
		}
	}
	for i := range d.Fields().Len() {
		f, err := p.field(d.Fields().Get(i))
		if err != nil {
			return nil, fmt.Errorf("field %s of message %s: %w", d.Fields().Get(i).Name(), d.FullName(), err)
		}
		if o := d.Fields().Get(i).ContainingOneof(); o != nil && !o.IsSynthetic() {
			f.oneof, f.optional = place[o.Name()], false
		}
		m.fields = append(m.fields, f)
	}
	m.sorted()
	return m, nil
}

// full is the name of a message of the reference, which takes packages as they are.
func (p *parsed) full(d protoreflect.Descriptor) string {
	name := string(d.FullName())
	if own := string(p.file.Package()); d.ParentFile() == p.file && own != "" && p.space != "" {
		return p.space + strings.TrimPrefix(name, own)
	}
	return name
}

func (p *parsed) field(d protoreflect.FieldDescriptor) (*field, error) {
	f := &field{
		name: string(d.Name()), number: d.Number(), kind: d.Kind(), repeated: d.Cardinality() == protoreflect.Repeated, oneof: -1,
		required: d.Cardinality() == protoreflect.Required, optional: d.HasOptionalKeyword() && d.Kind() != protoreflect.MessageKind && d.Kind() != protoreflect.GroupKind,
	}
	if d.ParentFile().Syntax() == protoreflect.Editions {
		f.optional = d.HasPresence() && d.Kind() != protoreflect.MessageKind && !f.required
	}
	f.proto2 = d.ParentFile().Syntax() == protoreflect.Proto2
	var err error
	switch d.Kind() {
	case protoreflect.MessageKind:
		if f.message, err = p.message(d.Message()); err != nil {
			return nil, err
		}
	case protoreflect.EnumKind:
		f.enum = p.enum(d.Enum())
	}
	if d.HasDefault() {
		f.def = defaultOf(d)
	}
	f.params, err = metaOf(d.Options())
	return f, err
}

func (p *parsed) enum(d protoreflect.EnumDescriptor) *enum {
	if e := p.enums[d.FullName()]; e != nil {
		return e
	}
	e := &enum{name: string(d.Name()), full: p.full(d), closed: d.IsClosed()}
	for i := range d.Values().Len() {
		v := d.Values().Get(i)
		e.values = append(e.values, enumValue{string(v.Name()), int32(v.Number())})
	}
	p.enums[d.FullName()] = e
	return e
}

func defaultOf(d protoreflect.FieldDescriptor) schemas.Value {
	if d.Kind() == protoreflect.EnumKind {
		return string(d.DefaultEnumValue().Name())
	}
	switch v := d.Default().Interface().(type) {
	case uint32:
		return int64(v)
	case uint64:
		return int64(v)
	default:
		return v // bool, int32, int64, float32, float64, string and []byte are as they are
	}
}

// metaOf reads the parameters of an option confluent.field_meta.
func metaOf(o protoreflect.ProtoMessage) ([]schemas.Parameter, error) {
	data, err := proto.Marshal(o)
	if err != nil {
		return nil, err
	}
	var out []schemas.Parameter
	err = each(data, func(n protowire.Number, meta []byte) error {
		if n != fieldExt {
			return nil
		}
		return each(meta, func(n protowire.Number, pair []byte) error {
			if n != 2 {
				return nil
			}
			var p schemas.Parameter
			err := each(pair, func(n protowire.Number, text []byte) error {
				if n == 1 {
					p.Name = string(text)
				} else {
					p.Value = string(text)
				}
				return nil
			})
			out = append(out, p)
			return err
		})
	})
	return out, err
}

// each calls do for the fields of a message that have a length.
func each(data []byte, do func(n protowire.Number, content []byte) error) error {
	for len(data) > 0 {
		n, t, size := protowire.ConsumeTag(data)
		if size < 0 {
			return protowire.ParseError(size)
		}
		data = data[size:]
		if size = protowire.ConsumeFieldValue(n, t, data); size < 0 {
			return protowire.ParseError(size)
		}
		if t == protowire.BytesType {
			content, _ := protowire.ConsumeBytes(data)
			if err := do(n, content); err != nil {
				return err
			}
		}
		data = data[size:]
	}
	return nil
}
