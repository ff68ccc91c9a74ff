package workerconfig

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

// The keys that code names.
const (
	KeyBootstrap   = "bootstrap.servers"
	KeyGroup       = "group.id"
	KeyListeners   = "listeners"
	KeyExactlyOnce = "exactly.once.source.support"
	KeyOffsetFile  = "offset.storage.file.filename"
	KeyOffsetTopic = "offset.storage.topic"
	KeyMemoryLimit = "freshet.memory.limit"
	KeyUsers       = "freshet.rest.basic.auth.file"  // users and passwords of the REST API
	KeyIssuer      = "freshet.rest.oidc.issuer"      // of bearer tokens; "": none are taken
	KeyAudience    = "freshet.rest.oidc.audience"    // that tokens must have; "": any
	KeyRoles       = "freshet.rest.oidc.roles.claim" // which claim has the roles
	KeyRoleAdmin   = "freshet.rest.oidc.role.admin"  // the role that may do everything
	KeyRoleRead    = "freshet.rest.oidc.role.read"   // the role that may look

	KeyPluginPath        = "plugin.path"
	KeyPluginEnvironment = "plugin.environment"      // names of variables that processes of plugins get
	KeyPluginMemory      = "plugin.memory.limit"     // bytes that a process of a plugin may have resident; 0: any number
	KeyPluginStart       = "plugin.start.timeout.ms" // for the start of such a process

	keyConfigTopic = "config.storage.topic"
	keyStatusTopic = "status.storage.topic"
	keyAdmin       = "admin.listeners"
	keyAdvertised  = "rest.advertised.listener"
	keyHost        = "rest.advertised.host.name"
	keyPort        = "rest.advertised.port"
	keyExtensions  = "rest.extension.classes"
	keyProviders   = "config.providers"
	basicAuth      = "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension"
	debeziumREST   = "io.debezium.kcrestextension.DebeziumConnectRestExtension"
	simpleHeader   = "org.apache.kafka.connect.storage.SimpleHeaderConverter"
)

// key is one worker key.
type key struct {
	connectors.Key
	only    Mode   // the mode that it belongs to; 0: both
	ignored string // why a value that is not the default has no effect; "" when it has
	rest    bool   // of the REST API, which a standalone worker has only where listeners says so
}

// Why keys have no effect.
const (
	noREST     = "freshet run serves the REST API where listeners is set"
	notInGroup = "freshet run is not part of a cluster"
	noFile     = "the offsets of a cluster are in offset.storage.topic"
	noMetrics  = "metrics are served as /metrics, of all there is"
	scanned    = "a folder in plugin.path with a plugin.json is a plugin"
	oneVersion = "there is one version of each converter"
	tcp        = "the operating system chooses"
	mechanisms = "the SASL mechanisms are PLAIN and SCRAM"
	javaOnly   = "it configures the security providers of a Java VM"
	fixed      = "the internal format is fixed, as in Kafka Connect since 3.0"
)

// keys is Kafka Connect's worker configuration (WorkerConfig, StandaloneConfig, DistributedConfig 4.3) and ours. Defaults are
// the reference's. What is not in it is not known.
func keys() []key {
	return append(workerKeys(), clientKeys()...)
}

func text(name, value string) connectors.Key {
	return connectors.Key{Name: name, Type: connectors.TypeString, Default: value, HasDefault: true}
}

func list(name, value string) connectors.Key {
	return connectors.Key{Name: name, Type: connectors.TypeList, Default: value, HasDefault: true}
}

func choice(name, value string, of ...string) connectors.Key {
	k := text(name, value)
	k.Closed, k.Recommended = true, of
	return k
}

func flag(name, value string) connectors.Key {
	return connectors.Key{Name: name, Type: connectors.TypeBoolean, Default: value, HasDefault: true}
}

func needed(t connectors.ValueType, name string) connectors.Key {
	return connectors.Key{Name: name, Type: t, Required: true}
}

func optional(t connectors.ValueType, name string) connectors.Key {
	return connectors.Key{Name: name, Type: t}
}

// millis is a number of milliseconds that is not negative; "" for one without a default.
func millis(t connectors.ValueType, name, value string) connectors.Key {
	return connectors.Key{Name: name, Type: t, Default: value, HasDefault: value != "", Check: atLeast(0)}
}

// copies is a number of partitions or replicas: positive, or -1 for the broker's default.
func copies(t connectors.ValueType, name, value string) connectors.Key {
	return connectors.Key{Name: name, Type: t, Default: value, HasDefault: true, Check: func(v string) string {
		if n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64); err != nil || n == 0 || n < -1 {
			return "Value must be a positive number, or -1 to use the broker's default"
		}
		return ""
	}}
}

func family(prefix string) connectors.Key {
	return connectors.Key{Name: prefix, Type: connectors.TypeString, Prefix: true}
}

func with(k connectors.Key, check func(string) string) connectors.Key {
	k.Check = check
	return k
}

// hmac names algorithms of the signatures between workers.
func hmac(k connectors.Key) connectors.Key {
	k.Check = func(v string) string {
		for _, name := range connectors.SplitList(v) {
			switch strings.ToLower(name) {
			case "hmacsha256", "hmacsha384", "hmacsha512":
			default:
				return fmt.Sprintf("%s is not one of the algorithms that workers sign with: HmacSHA256, HmacSHA384, HmacSHA512", name)
			}
		}
		return ""
	}
	return k
}

func atLeast(least int64) func(string) string {
	return func(v string) string {
		if n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64); err != nil || n < least {
			return fmt.Sprintf("Value must be at least %d", least)
		}
		return ""
	}
}

func workerKeys() []key {
	const cluster, alone = Distributed, Standalone
	const class, integer, long, short = connectors.TypeClass, connectors.TypeInt, connectors.TypeLong, connectors.TypeShort
	return []key{
		{Key: needed(connectors.TypeList, KeyBootstrap)},
		{Key: needed(connectors.TypeString, KeyGroup)},
		{Key: text("client.id", "")},
		{Key: needed(class, "key.converter")},
		{Key: family("key.converter.")},
		{Key: text("key.converter.plugin.version", ""), ignored: oneVersion},
		{Key: needed(class, "value.converter")},
		{Key: family("value.converter.")},
		{Key: text("value.converter.plugin.version", ""), ignored: oneVersion},
		{Key: connectors.Key{Name: "header.converter", Type: class, Default: simpleHeader, HasDefault: true}},
		{Key: family("header.converter.")},
		{Key: text("header.converter.plugin.version", ""), ignored: oneVersion},
		{Key: family("internal.key.converter"), ignored: fixed},
		{Key: family("internal.value.converter"), ignored: fixed},

		{Key: optional(connectors.TypeString, KeyOffsetFile), only: alone},
		{Key: needed(connectors.TypeString, KeyOffsetTopic)},
		{Key: copies(integer, "offset.storage.partitions", "25")},
		{Key: copies(short, "offset.storage.replication.factor", "3")},
		{Key: family("offset.storage.")},
		{Key: millis(long, "offset.flush.interval.ms", "60000")},
		{Key: millis(long, "offset.flush.timeout.ms", "5000"), ignored: "a write of offsets has no time limit of its own; it is repeated until it succeeds"},
		{Key: needed(connectors.TypeString, keyConfigTopic), only: cluster},
		{Key: copies(short, "config.storage.replication.factor", "3"), only: cluster},
		{Key: optional(integer, "config.storage.partitions"), only: cluster, ignored: "the topic has one partition"},
		{Key: family("config.storage."), only: cluster},
		{Key: needed(connectors.TypeString, keyStatusTopic), only: cluster},
		{Key: copies(integer, "status.storage.partitions", "5"), only: cluster},
		{Key: copies(short, "status.storage.replication.factor", "3"), only: cluster},
		{Key: family("status.storage."), only: cluster},

		{Key: choice(KeyExactlyOnce, "disabled", "disabled", "preparing", "enabled")},
		{Key: millis(long, "task.shutdown.graceful.timeout.ms", "5000")},
		{Key: flag("topic.creation.enable", "true")},
		{Key: flag("topic.tracking.enable", "true"), rest: true},
		{Key: flag("topic.tracking.allow.reset", "true"), rest: true},
		{Key: with(text("connector.client.config.override.policy", "All"), checkPolicy)},
		{Key: list("connector.client.config.override.allowlist", "")},
		{Key: list(keyProviders, "")},
		{Key: family("config.providers.")},
		{Key: list(KeyPluginPath, "")},
		{Key: choice("plugin.discovery", "hybrid_warn", "only_scan", "service_load", "hybrid_warn", "hybrid_fail"), ignored: scanned},
		{Key: choice("plugin.isolation", "none", "none", "process")},
		{Key: connectors.Key{Name: KeyPluginMemory, Type: long, Default: "0", HasDefault: true, Check: atLeast(0)}},
		{Key: with(list(KeyPluginEnvironment, ""), checkVariables)},
		{Key: with(millis(integer, KeyPluginStart, "30000"), atLeast(1))},
		{Key: connectors.Key{Name: KeyMemoryLimit, Type: long, Default: "1073741824", HasDefault: true, Check: atLeast(0)}},
		{Key: with(millis(long, "freshet.health.stall.ms", "60000"), atLeast(0)), rest: true},

		{Key: with(list(KeyListeners, "http://:8083"), checkListeners), rest: true},
		{Key: family("listeners.https."), rest: true},
		{Key: with(optional(connectors.TypeList, keyAdmin), checkListeners), rest: true},
		{Key: family("admin.listeners.https."), rest: true},
		{Key: optional(connectors.TypeString, keyHost), rest: true},
		{Key: with(optional(integer, keyPort), atLeast(1)), rest: true},
		{Key: with(optional(connectors.TypeString, keyAdvertised), checkProtocol), rest: true},
		{Key: optional(connectors.TypeString, "rest.host.name"), ignored: "it is gone since Kafka 3.0; use listeners"},
		{Key: optional(connectors.TypeString, "rest.port"), ignored: "it is gone since Kafka 3.0; use listeners"},
		{Key: text("access.control.allow.origin", ""), rest: true},
		{Key: text("access.control.allow.methods", ""), rest: true},
		{Key: text("response.http.headers.config", ""), rest: true},
		{Key: with(list(keyExtensions, ""), checkExtensions), rest: true},
		{Key: text(KeyUsers, ""), rest: true},
		{Key: text(KeyIssuer, ""), rest: true},
		{Key: text(KeyAudience, ""), rest: true},
		{Key: text(KeyRoles, "roles"), rest: true},
		{Key: text(KeyRoleAdmin, "admin"), rest: true},
		{Key: text(KeyRoleRead, "read"), rest: true},

		{Key: choice("connect.protocol", "sessioned", "eager", "compatible", "sessioned"), only: cluster, ignored: "workers of Freshet have a protocol of their own, with sessions"},
		{Key: millis(integer, "scheduled.rebalance.max.delay.ms", "300000"), only: cluster},
		{Key: with(millis(integer, "session.timeout.ms", "10000"), atLeast(1)), only: cluster},
		{Key: with(millis(integer, "heartbeat.interval.ms", "3000"), atLeast(1)), only: cluster},
		{Key: with(millis(integer, "rebalance.timeout.ms", "60000"), atLeast(1)), only: cluster},
		{Key: millis(integer, "worker.sync.timeout.ms", "3000"), only: cluster},
		{Key: millis(integer, "worker.unsync.backoff.ms", "300000"), only: cluster},
		{Key: hmac(text("inter.worker.key.generation.algorithm", "HmacSHA256")), only: cluster},
		{Key: optional(integer, "inter.worker.key.size"), only: cluster, ignored: "the key is as long as the algorithm's output"},
		{Key: millis(integer, "inter.worker.key.ttl.ms", "3600000"), only: cluster},
		{Key: hmac(text("inter.worker.signature.algorithm", "HmacSHA256")), only: cluster},
		{Key: hmac(list("inter.worker.verification.algorithms", "HmacSHA256")), only: cluster},

		{Key: list("metric.reporters", "org.apache.kafka.common.metrics.JmxReporter"), ignored: noMetrics},
		{Key: connectors.Key{Name: "metrics.num.samples", Type: integer, Default: "2", HasDefault: true}, ignored: noMetrics},
		{Key: millis(long, "metrics.sample.window.ms", "30000"), ignored: noMetrics},
		{Key: choice("metrics.recording.level", "INFO", "INFO", "DEBUG"), ignored: noMetrics},
		{Key: family("metrics."), ignored: noMetrics},
		{Key: optional(connectors.TypeBoolean, "auto.include.jmx.reporter"), ignored: noMetrics},
	}
}

// clientKeys are the client properties of the worker's own connections to Kafka. kafkaclient reads and checks the values.
func clientKeys() []key {
	const integer, long = connectors.TypeInt, connectors.TypeLong
	bytes := func(name, value string) connectors.Key {
		return connectors.Key{Name: name, Type: integer, Default: value, HasDefault: true, Check: atLeast(-1)}
	}
	return []key{
		{Key: family("producer.")},
		{Key: family("consumer.")},
		{Key: family("admin.")},
		{Key: millis(integer, "request.timeout.ms", "40000")},
		{Key: millis(long, "metadata.max.age.ms", "300000")},
		{Key: millis(long, "retry.backoff.ms", "100")},
		{Key: millis(long, "retry.backoff.max.ms", "1000")},
		{Key: millis(long, "socket.connection.setup.timeout.ms", "10000")},
		{Key: millis(long, "socket.connection.setup.timeout.max.ms", "30000"), ignored: "each attempt has socket.connection.setup.timeout.ms"},
		{Key: connectors.Key{Name: "connections.max.idle.ms", Type: long, Default: "540000", HasDefault: true}, ignored: "connections stay open while they are used by anyone"},
		{Key: millis(long, "reconnect.backoff.ms", "50"), ignored: "retry.backoff.ms is the pause"},
		{Key: millis(long, "reconnect.backoff.max.ms", "1000"), ignored: "retry.backoff.max.ms is the longest pause"},
		{Key: bytes("send.buffer.bytes", "131072"), ignored: tcp},
		{Key: bytes("receive.buffer.bytes", "32768"), ignored: tcp},
		{Key: choice("client.dns.lookup", "use_all_dns_ips", "use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"), ignored: "every address of a name is tried"},
		{Key: choice("metadata.recovery.strategy", "rebootstrap", "rebootstrap", "none"), ignored: "the client goes back to bootstrap.servers"},
		{Key: millis(long, "metadata.recovery.rebootstrap.trigger.ms", "300000"), ignored: "the client goes back to bootstrap.servers"},

		{Key: choice("security.protocol", "PLAINTEXT", "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")},
		{Key: text("security.providers", ""), ignored: javaOnly},
		{Key: text("sasl.mechanism", "GSSAPI")},
		{Key: optional(connectors.TypePassword, "sasl.jaas.config")},
		{Key: family("sasl.kerberos."), ignored: mechanisms},
		{Key: family("sasl.oauthbearer."), ignored: mechanisms},
		{Key: family("sasl.login."), ignored: mechanisms},
		{Key: family("sasl.client.callback.handler.class"), ignored: mechanisms},

		{Key: choice("ssl.client.auth", "none", "none", "requested", "required"), rest: true},
		{Key: text("ssl.protocol", "TLSv1.3")},
		{Key: list("ssl.enabled.protocols", "TLSv1.2,TLSv1.3")},
		{Key: text("ssl.endpoint.identification.algorithm", "https")},
		{Key: text("ssl.keystore.type", "JKS")},
		{Key: optional(connectors.TypeString, "ssl.keystore.location")},
		{Key: optional(connectors.TypePassword, "ssl.keystore.password")},
		{Key: optional(connectors.TypePassword, "ssl.keystore.key")},
		{Key: optional(connectors.TypePassword, "ssl.keystore.certificate.chain")},
		{Key: optional(connectors.TypePassword, "ssl.key.password")},
		{Key: text("ssl.truststore.type", "JKS")},
		{Key: optional(connectors.TypeString, "ssl.truststore.location")},
		{Key: optional(connectors.TypePassword, "ssl.truststore.password")},
		{Key: optional(connectors.TypePassword, "ssl.truststore.certificates")},
		{Key: list("ssl.cipher.suites", ""), ignored: "Go's selection is used"},
		{Key: text("ssl.keymanager.algorithm", "SunX509"), ignored: javaOnly},
		{Key: text("ssl.trustmanager.algorithm", "PKIX"), ignored: javaOnly},
		{Key: text("ssl.secure.random.implementation", ""), ignored: javaOnly},
		{Key: text("ssl.provider", ""), ignored: javaOnly},
		{Key: optional(connectors.TypeClass, "ssl.engine.factory.class"), ignored: javaOnly},
	}
}

// checkPolicy accepts the names and classes of the reference's override policies; runtime keeps to them.
func checkPolicy(v string) string {
	name := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(v), "org.apache.kafka.connect.connector.policy."), "ConnectorClientConfigOverridePolicy")
	switch strings.ToLower(name) {
	case "all", "none", "principal", "allowlist":
		return ""
	}
	return "Value must be one of All, None, Principal, Allowlist"
}

// checkVariables accepts names of environment variables.
func checkVariables(v string) string {
	for _, name := range connectors.SplitList(v) {
		if strings.ContainsAny(name, "= \t\x00") {
			return fmt.Sprintf("%q is not the name of an environment variable; name variables, not their values", name)
		}
	}
	return ""
}

func checkExtensions(v string) string {
	for _, class := range connectors.SplitList(v) {
		if class != basicAuth && class != debeziumREST {
			return fmt.Sprintf("not supported yet: class %s; %s is", class, basicAuth)
		}
	}
	return ""
}
