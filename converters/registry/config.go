// Package registry keeps the schemas of records in a Schema Registry: which id a schema has, which schema an id stands for. It is
// what the Avro, Protobuf and JSON Schema converters have in common: the keys of Confluent's clients, the names of subjects, the
// five bytes before a message, retries, and errors that say what to do.
package registry

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

const (
	keyURL         = "schema.registry.url"
	keyRegister    = "auto.register.schemas"
	keyLatest      = "use.latest.version"
	keyStrict      = "latest.compatibility.strict"
	keyNormalize   = "normalize.schemas"
	keyBasic       = "basic.auth.credentials.source"
	keyUserInfo    = "basic.auth.user.info"
	keyOldUserInfo = "schema.registry.basic.auth.user.info"
	keyBearer      = "bearer.auth.credentials.source"
	keyToken       = "bearer.auth.token"
	keyKeySubject  = "key.subject.name.strategy"
	keyValSubject  = "value.subject.name.strategy"
	keyPerSubject  = "max.schemas.per.subject"
	keyRandom      = "schema.registry.url.randomize"
	keyConnect     = "http.connect.timeout.ms"
	keyRead        = "http.read.timeout.ms"
	keyRetries     = "max.retries"
	keyWait        = "retries.wait.ms"
	keyMaxWait     = "retries.max.wait.ms"
	keyProxyHost   = "proxy.host"
	keyProxyPort   = "proxy.port"
	prefixHeader   = "request.header."
	prefixTLS      = "schema.registry."
)

const subjects = "io.confluent.kafka.serializers.subject."

// Definition is the ConfigDef of a converter: what all of them have, and its own keys.
func Definition(own ...connectors.Key) *connectors.ConfigDef {
	flag := func(name, def, importance, doc string) connectors.Key {
		return connectors.Key{Name: name, Type: connectors.TypeBoolean, Default: def, HasDefault: true, Importance: importance, Doc: doc}
	}
	number := func(name, def, doc string) connectors.Key {
		return connectors.Key{Name: name, Type: connectors.TypeInt, Default: def, HasDefault: true, Importance: "LOW", Doc: doc}
	}
	keys := []connectors.Key{
		{Name: keyURL, Type: connectors.TypeList, Required: true, Importance: "HIGH", Check: checkURLs, Show: showURLs, Doc: "The registry's addresses, http:// or https://, separated by commas; the next one is asked when one does not answer."},
		flag(keyRandom, "false", "LOW", "Begin with any of the addresses."),
		number(keyPerSubject, "1000", "How many schemas' ids are remembered."),
		flag(keyNormalize, "false", "MEDIUM", "Let the registry bring schemas into their normal form before it compares them."),
		flag(keyRegister, "true", "MEDIUM", "Register schemas. When false, they are only looked up."),
		flag(keyLatest, "false", "LOW", "Write with the newest version of the subject; only without auto.register.schemas."),
		flag(keyStrict, "true", "LOW", "With use.latest.version: the newest version must be able to read what the record's own schema writes."),
		{Name: keyBasic, Type: connectors.TypeString, Default: "URL", HasDefault: true, Importance: "MEDIUM", Check: connectors.OneOfFold("URL", "USER_INFO", "SASL_INHERIT"), Unsupported: "SASL_INHERIT: write the user into basic.auth.user.info", Harmless: []string{"URL", "USER_INFO"}, Doc: "Where user and password come from: URL, or USER_INFO for basic.auth.user.info."},
		{Name: keyBearer, Type: connectors.TypeString, Default: "STATIC_TOKEN", HasDefault: true, Importance: "MEDIUM", Unsupported: "only a static token is sent", Harmless: []string{"STATIC_TOKEN"}, Doc: "Where the bearer token comes from: STATIC_TOKEN, for bearer.auth.token."},
		{Name: keyOldUserInfo, Type: connectors.TypePassword, HasDefault: true, Importance: "MEDIUM", Doc: "The older name of basic.auth.user.info."},
		{Name: keyUserInfo, Type: connectors.TypePassword, HasDefault: true, Importance: "MEDIUM", Doc: "user:password."},
		{Name: keyToken, Type: connectors.TypePassword, HasDefault: true, Importance: "MEDIUM", Doc: "The bearer token."},
		strategy(keyKeySubject, "keys"),
		strategy(keyValSubject, "values"),
		number(keyConnect, "60000", "How long a connection may take, in ms."),
		number(keyRead, "60000", "How long an answer may take, in ms."),
		number(keyRetries, "3", "How often a request is repeated when the registry does not answer; then the task starts anew where it was."),
		number(keyWait, "1000", "The longest pause before the first repetition, in ms; it doubles."),
		number(keyMaxWait, "20000", "The longest pause, in ms."),
		{Name: keyProxyHost, Type: connectors.TypeString, HasDefault: true, Importance: "LOW", Doc: "The HTTP proxy's host."},
		number(keyProxyPort, "-1", "The HTTP proxy's port."),
		{Name: prefixHeader, Prefix: true, Importance: "LOW", Doc: "A header of every request.", Show: func(string) string { return connectors.Hidden }},
	}
	keys = append(keys, tlsKeys()...)
	keys = append(keys, unsupported()...)
	return &connectors.ConfigDef{Style: connectors.StyleConnect, Keys: append(keys, own...)}
}

func strategy(name, of string) connectors.Key {
	return connectors.Key{
		Name: name, Type: connectors.TypeClass, Default: subjects + "TopicNameStrategy", HasDefault: true, Importance: "MEDIUM",
		Doc: "How the subject of " + of + " is called: TopicNameStrategy (<topic>-key, <topic>-value), RecordNameStrategy (<record>) or TopicRecordNameStrategy (<topic>-<record>).",
		Check: func(v string) string {
			if _, ok := strategyOf(v); !ok {
				return "Class " + v + " could not be found."
			}
			return ""
		},
	}
}

func tlsKeys() []connectors.Key {
	var out []connectors.Key
	for _, name := range []string{
		"ssl.protocol", "ssl.enabled.protocols", "ssl.endpoint.identification.algorithm", "ssl.truststore.location", "ssl.truststore.type",
		"ssl.keystore.location", "ssl.keystore.type",
	} {
		out = append(out, connectors.Key{Name: prefixTLS + name, Type: connectors.TypeString, Importance: "MEDIUM", Doc: "As " + name + " of a Kafka client, for the registry; stores are PEM files."})
	}
	for _, name := range []string{
		"ssl.truststore.password", "ssl.keystore.password", "ssl.key.password", "ssl.keystore.key", "ssl.keystore.certificate.chain", "ssl.truststore.certificates",
	} {
		out = append(out, connectors.Key{Name: prefixTLS + name, Type: connectors.TypePassword, Importance: "MEDIUM", Doc: "As " + name + " of a Kafka client, for the registry."})
	}
	for _, name := range []string{"ssl.provider", "ssl.cipher.suites", "ssl.keymanager.algorithm", "ssl.trustmanager.algorithm", "ssl.secure.random.implementation", "ssl.engine.factory.class"} {
		out = append(out, connectors.Key{Name: prefixTLS + name, Type: connectors.TypeString, Importance: "LOW", Unsupported: "it belongs to Java's TLS", Doc: "As " + name + " of a Kafka client."})
	}
	return out
}

// unsupported are keys whose other values would change what is written or read.
func unsupported() []connectors.Key {
	var out []connectors.Key
	for _, k := range []struct {
		name, def, why string
		harmless       []string
	}{
		{"propagate.schema.tags", "false", "tags of schemas are not carried over", nil},
		{"use.schema.id", "-1", "the id follows from the schema", nil},
		{"use.schema.guid", "", "the id follows from the schema", nil},
		{"id.compatibility.strict", "true", "it belongs to use.schema.id", []string{"true", "false"}},
		{"use.latest.with.metadata", "", "metadata of schemas is not read", nil},
		{"latest.cache.size", "1000", "", []string{""}},
		{"latest.cache.ttl.sec", "-1", "the newest version is asked for once for each version of a table", nil},
		{"schema.format", "", "schemas are asked for as they are", nil},
		{"execution.environment", "", "rules are not run", nil},
		{"rule.executors", "", "rules are not run", nil},
		{"rule.actions", "", "rules are not run", nil},
		{"rule.service.loader.enable", "true", "rules are not run", []string{"true", "false"}},
		{"rule.metrics.enable", "true", "rules are not run", []string{"true", "false"}},
		{"validation.rules.execution", "DISABLED", "rules are not run", nil},
		{"validation.rules.fail.fast", "false", "rules are not run", []string{"true", "false"}},
		{"context.name.strategy", "io.confluent.kafka.serializers.context.NullContextNameStrategy", "write the context into the address: /contexts/<name>", nil},
		{"key.schema.id.serializer", "io.confluent.kafka.serializers.schema.id.PrefixSchemaIdSerializer", "the id goes before the message", nil},
		{"value.schema.id.serializer", "io.confluent.kafka.serializers.schema.id.PrefixSchemaIdSerializer", "the id goes before the message", nil},
		{"key.schema.id.deserializer", "io.confluent.kafka.serializers.schema.id.DualSchemaIdDeserializer", "the id is read before the message", []string{"io.confluent.kafka.serializers.schema.id.PrefixSchemaIdDeserializer"}},
		{"value.schema.id.deserializer", "io.confluent.kafka.serializers.schema.id.DualSchemaIdDeserializer", "the id is read before the message", []string{"io.confluent.kafka.serializers.schema.id.PrefixSchemaIdDeserializer"}},
		{"schema.reflection", "false", "there are no Java classes here", nil},
		{"bearer.auth.issuer.endpoint.url", "", "only a static token is sent", nil},
		{"bearer.auth.client.id", "", "only a static token is sent", nil},
		{"bearer.auth.scope", "", "only a static token is sent", nil},
		{"bearer.auth.logical.cluster", "", "send it as request.header.target-sr-cluster", nil},
		{"bearer.auth.identity.pool.id", "", "send it as request.header.Confluent-Identity-Pool-Id", nil},
		{"bearer.auth.custom.provider.class", "", "there are no Java classes here", nil},
		{"schema.backup.enabled", "false", "messages are read and written as they are", nil},
	} {
		key := connectors.Key{Name: k.name, Type: connectors.TypeString, Default: k.def, HasDefault: true, Importance: "LOW", Unsupported: k.why, Harmless: k.harmless, Doc: "Not supported: " + k.why + "."}
		if k.why == "" {
			key.Doc = "Accepted."
		}
		out = append(out, key)
	}
	return append(out, connectors.Key{Name: "bearer.auth.client.secret", Type: connectors.TypePassword, Importance: "MEDIUM", Unsupported: "only a static token is sent", Doc: "Not supported."})
}

// Read validates the keys of a converter. As in the reference, keys that are not known are left alone.
func Read(def *connectors.ConfigDef, c connectors.Config) (connectors.Values, error) {
	values, _ := def.Validate(c)
	if problems := connectors.Errors(values); len(problems) > 0 {
		return connectors.Values{}, fmt.Errorf("read configuration: %s", strings.Join(problems, "; "))
	}
	return def.Values(c), nil
}

func checkURLs(v string) string {
	for _, s := range connectors.SplitList(v) {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return "an address of a registry begins with http:// or https:// and a host"
		}
	}
	return ""
}

// showURLs leaves passwords out (I12).
func showURLs(v string) string {
	var out []string
	for _, s := range connectors.SplitList(v) {
		u, err := url.Parse(s)
		if err != nil {
			return connectors.Hidden
		}
		out = append(out, u.Redacted())
	}
	return strings.Join(out, ",")
}
