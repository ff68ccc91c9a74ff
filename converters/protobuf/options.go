// Package protobuf is Confluent's ProtobufConverter: keys and values as Protobuf, their schemas in a Schema Registry. The schemas are,
// byte for byte, those that io.confluent.connect.protobuf.ProtobufData makes, so that both runtimes register the same one.
package protobuf

import (
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/registry"
)

// Class is the reference's name of the converter.
const Class = "io.confluent.connect.protobuf.ProtobufConverter"

// Kind is the entry for converters.Set.
func Kind() converters.Kind {
	return converters.Kind{Class: Class, Aliases: []string{"ProtobufConverter", "protobuf"}, Version: registry.PluginVersion, Config: config(), New: New, Decode: NewDecoder}
}

func config() *connectors.ConfigDef {
	flag := func(name, def, importance, doc string) connectors.Key {
		return connectors.Key{Name: name, Type: connectors.TypeBoolean, Default: def, HasDefault: true, Importance: importance, Doc: doc}
	}
	unsupported := func(name, def, why string) connectors.Key {
		return connectors.Key{Name: name, Type: connectors.TypeString, Default: def, HasDefault: true, Importance: "LOW", Unsupported: why, Doc: "Not supported: " + why + "."}
	}
	return registry.Definition(
		flag("enhanced.protobuf.schema.support", "false", "MEDIUM", "Keep packages in the names of Connect schemas."),
		flag("scrub.invalid.names", "false", "MEDIUM", "Replace the characters in names that Protobuf does not allow."),
		flag("int.for.enums", "false", "MEDIUM", "Read enums as numbers."),
		flag("optional.for.nullables", "false", "MEDIUM", "Write fields that may be null with the label optional, which keeps null and zero apart."),
		flag("optional.for.proto2", "true", "MEDIUM", "Read optional fields of proto2 that are absent as null, not as their default."),
		flag("wrapper.for.nullables", "false", "MEDIUM", "Write fields that may be null as wrapper messages (google.protobuf.StringValue), which keeps null and zero apart."),
		flag("wrapper.for.raw.primitives", "true", "MEDIUM", "Read a message that is a wrapper as the value in it."),
		flag("generate.struct.for.nulls", "false", "MEDIUM", "Read messages that are absent as structs of defaults."),
		flag("generate.index.for.unions", "true", "LOW", "End the names of unions with their number."),
		flag("flatten.unions", "false", "LOW", "Read the members of a oneof as fields of the message."),
		flag("generalized.sum.type.support", "false", "MEDIUM", "Read and write enums and unions as the Avro and JSON Schema converters do."),
		flag("ignore.default.for.nullables", "false", "MEDIUM", "Write null for a null value whose field has a default."),
		connectors.Key{Name: "schemas.cache.config", Type: connectors.TypeInt, Default: "1000", HasDefault: true, Importance: "LOW", Doc: "How many converted schemas are kept."},
		flag("reference.lookup.only", "false", "MEDIUM", "Accepted: schemas made here refer to none."),
		unsupported("skip.known.types", "true", "the types of google.protobuf, google.type and confluent.type are not registered as schemas of their own"),
		unsupported("reference.subject.name.strategy", "io.confluent.kafka.serializers.subject.DefaultReferenceSubjectNameStrategy", "schemas made here refer to none"),
		unsupported("specific.protobuf.key.type", "java.lang.Object", "there are no Java classes here"),
		unsupported("specific.protobuf.value.type", "java.lang.Object", "there are no Java classes here"),
		unsupported("derive.type", "false", "there are no Java classes here"),
	)
}

// options are the settings that change what is written or read.
type options struct {
	enhanced       bool
	scrub          bool
	intEnums       bool
	optional       bool
	proto2         bool
	wrap           bool
	unwrap         bool // of wrappers that are the whole message
	structs        bool // for absent messages
	numbered       bool // names of unions
	flatten        bool
	general        bool
	ignoreDefaults bool
	cache          int
}

func read(c connectors.Config) (options, *registry.Registry, error) {
	def := config()
	v, err := registry.Read(def, c)
	if err != nil {
		return options{}, nil, err
	}
	r, err := registry.New(v, c)
	return options{
		enhanced: v.Bool("enhanced.protobuf.schema.support"), scrub: v.Bool("scrub.invalid.names"), intEnums: v.Bool("int.for.enums"),
		optional: v.Bool("optional.for.nullables"), proto2: v.Bool("optional.for.proto2"), wrap: v.Bool("wrapper.for.nullables"),
		unwrap: v.Bool("wrapper.for.raw.primitives"), structs: v.Bool("generate.struct.for.nulls"), numbered: v.Bool("generate.index.for.unions"),
		flatten: v.Bool("flatten.unions"), general: v.Bool("generalized.sum.type.support"), ignoreDefaults: v.Bool("ignore.default.for.nullables"),
		cache: max(1, int(v.Int("schemas.cache.config"))),
	}, r, err
}
