// Package avro is Confluent's AvroConverter: keys and values as Avro, their schemas in a Schema Registry. The schemas are, byte for
// byte, those that io.confluent.connect.avro.AvroData makes, so that both runtimes register the same one.
package avro

import (
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/registry"
)

// Class is the reference's name of the converter.
const Class = "io.confluent.connect.avro.AvroConverter"

// Kind is the entry for converters.Set.
func Kind() converters.Kind {
	return converters.Kind{Class: Class, Aliases: []string{"AvroConverter", "avro"}, Version: registry.PluginVersion, Config: config(), New: New, Decode: NewDecoder}
}

func config() *connectors.ConfigDef {
	flag := func(name, def, importance, doc string) connectors.Key {
		return connectors.Key{Name: name, Type: connectors.TypeBoolean, Default: def, HasDefault: true, Importance: importance, Doc: doc}
	}
	return registry.Definition(
		flag("enhanced.avro.schema.support", "false", "MEDIUM", "Keep enums, and the namespaces of the members of unions."),
		flag("scrub.invalid.names", "false", "MEDIUM", "Replace the characters in names that Avro does not allow."),
		flag("connect.meta.data", "true", "LOW", "Write names, versions, docs, parameters and defaults of Connect schemas into the Avro schema."),
		flag("discard.type.doc.default", "false", "LOW", "Keep the docs and defaults of fields only."),
		flag("allow.optional.map.keys", "false", "LOW", "Write maps with optional text keys as Avro maps."),
		flag("flatten.singleton.unions", "true", "LOW", "Read a union of one type as that type."),
		flag("generalized.sum.type.support", "false", "MEDIUM", "Read and write enums and unions as the Protobuf and JSON Schema converters do."),
		flag("ignore.default.for.nullables", "false", "MEDIUM", "Write null for a null value whose field has a default."),
		flag("avro.use.logical.type.converters", "false", "LOW", "Accepted: values are the same either way."),
		flag("avro.reflection.allow.null", "false", "LOW", "Accepted: there are no Java classes here."),
		flag("avro.remove.java.properties", "false", "LOW", "Accepted: schemas made here have none."),
		connectors.Key{Name: "specific.avro.reader", Type: connectors.TypeBoolean, Default: "false", HasDefault: true, Importance: "LOW", Unsupported: "there are no Java classes here", Doc: "Not supported."},
		connectors.Key{Name: "schemas.cache.config", Type: connectors.TypeInt, Default: "1000", HasDefault: true, Importance: "LOW", Doc: "How many converted schemas are kept."},
	)
}

// options are the settings that change what is written or read.
type options struct {
	enhanced       bool
	scrub          bool
	meta           bool
	discard        bool
	optionalKeys   bool
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
		enhanced: v.Bool("enhanced.avro.schema.support"), scrub: v.Bool("scrub.invalid.names"), meta: v.Bool("connect.meta.data"),
		discard: v.Bool("discard.type.doc.default"), optionalKeys: v.Bool("allow.optional.map.keys"), flatten: v.Bool("flatten.singleton.unions"),
		general: v.Bool("generalized.sum.type.support"), ignoreDefaults: v.Bool("ignore.default.for.nullables"), cache: max(1, int(v.Int("schemas.cache.config"))),
	}, r, err
}
