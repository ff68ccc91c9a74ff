// Package jsonschema is Confluent's JsonSchemaConverter: keys and values as JSON, their JSON Schemas in a Schema Registry. The schemas
// are, byte for byte, those that io.confluent.connect.json.JsonSchemaData makes, so that both runtimes register the same one.
package jsonschema

import (
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
	"github.com/freshet-io/freshet/converters/json"
	"github.com/freshet-io/freshet/converters/registry"
)

// Class is the reference's name of the converter.
const Class = "io.confluent.connect.json.JsonSchemaConverter"

// Kind is the entry for converters.Set.
func Kind() converters.Kind {
	return converters.Kind{Class: Class, Aliases: []string{"JsonSchemaConverter", "jsonschema"}, Version: registry.PluginVersion, Config: config(), New: New, Decode: NewDecoder}
}

func config() *connectors.ConfigDef {
	flag := func(name, def, importance, doc string) connectors.Key {
		return connectors.Key{Name: name, Type: connectors.TypeBoolean, Default: def, HasDefault: true, Importance: importance, Doc: doc}
	}
	refused := func(name, def, why string) connectors.Key {
		return connectors.Key{Name: name, Type: connectors.TypeBoolean, Default: def, HasDefault: true, Importance: "LOW", Unsupported: why, Harmless: []string{def}, Doc: "Not supported: " + why + "."}
	}
	accepted := func(name, def, why string) connectors.Key {
		return connectors.Key{Name: name, Type: connectors.TypeString, Default: def, HasDefault: true, Importance: "LOW", Doc: "Accepted: " + why + "."}
	}
	const classes = "there are no Java classes here"
	return registry.Definition(
		flag("object.additional.properties", "true", "MEDIUM", "Let readers accept members that a schema does not name. When false, the schemas of objects say additionalProperties: false."),
		flag("use.optional.for.nonrequired", "false", "MEDIUM", "Read a property that its schema does not require as an optional field."),
		connectors.Key{Name: "decimal.format", Type: connectors.TypeString, Default: "BASE64", HasDefault: true, Importance: "LOW", Check: connectors.OneOfFold("BASE64", "NUMERIC"), Doc: "How Decimal values are written: BASE64 or NUMERIC."},
		flag("generalized.sum.type.support", "false", "MEDIUM", "Read and write enums and unions as the Avro and Protobuf converters do."),
		flag("ignore.default.for.nullables", "false", "MEDIUM", "Write null for a null value whose field has a default."),
		flag("flatten.singleton.unions", "true", "LOW", "Read a union of one type as that type."),
		flag("ignore.modern.dialects", "false", "LOW", "Accepted: all dialects are read by the same rules."),
		refused("preserve.additional.properties", "false", "members that a schema does not name have no field"),
		refused("json.fail.invalid.schema", "false", "patterns and ranges are not checked; a value of another type than its schema says is an error anyway"),
		refused("json.indent.output", "false", "messages have no spaces"),
		accepted("json.validate.before.domain.rules", "false", "rules are not run"),
		accepted("json.fail.unknown.properties", "true", classes),
		accepted("json.write.dates.iso8601", "false", classes),
		accepted("json.schema.spec.version", "draft_7", classes),
		accepted("json.schema.scan.packages", "", classes),
		accepted("json.envelope.detection", "true", classes),
		accepted("json.oneof.for.nullables", "true", classes),
		accepted("json.default.property.inclusion", "", classes),
		accepted("json.key.type", "java.lang.Object", classes),
		accepted("json.value.type", "java.lang.Object", classes),
		accepted("json.type.allowed.packages", "*", classes),
		accepted("type.property", "javaType", classes),
		connectors.Key{Name: "schemas.cache.config", Type: connectors.TypeInt, Default: "1000", HasDefault: true, Importance: "LOW", Doc: "How many converted schemas are kept."},
	)
}

// options are the settings that change what is written or read.
type options struct {
	open           bool // object.additional.properties
	nonrequired    bool
	numeric        bool
	general        bool
	ignoreDefaults bool
	flatten        bool
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
		open: v.Bool("object.additional.properties"), nonrequired: v.Bool("use.optional.for.nonrequired"), numeric: v.Enum("decimal.format") == "numeric",
		general: v.Bool("generalized.sum.type.support"), ignoreDefaults: v.Bool("ignore.default.for.nullables"), flatten: v.Bool("flatten.singleton.unions"),
		cache: max(1, int(v.Int("schemas.cache.config"))),
	}, r, err
}

// writing is how values are written.
func (o options) writing() json.Dialect {
	return json.Dialect{Numeric: o.numeric, NullDefault: !o.ignoreDefaults, Union: isUnion}
}

// reading is how they are read: a default stands for null, whatever is configured.
func reading() json.Dialect { return json.Dialect{NullDefault: true, Union: isUnion} }
