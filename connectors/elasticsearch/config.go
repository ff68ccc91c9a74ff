package elasticsearch

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// The modes.
const (
	modeMirror    = "mirror"
	modeAppend    = "append"
	modeReference = "reference"
)

// config is a parsed configuration.
type config struct {
	nodes    []*url.URL
	user     string
	password string
	tls      map[string]string // ssl.*; nil: the system's certificates
	proxy    *url.URL          // nil: none
	gzip     bool
	idle     time.Duration // 0: connections stay open
	dial     time.Duration // 0: no limit
	answer   time.Duration // 0: no limit

	mode      string
	format    string
	create    bool
	evolve    bool
	settings  map[string]string
	aliases   []string
	routes    []string
	truncates bool
	resources map[string]string // by topic; nil: names follow from the topic
	usage     string            // what resources names
	stream    dataStream

	items  int // of a request
	bytes  int // of a request
	lanes  int
	linger time.Duration
	pause  time.Duration

	refused   string // fail, warn, ignore
	reference reference
}

// dataStream names data streams; kind "": indices.
type dataStream struct {
	kind, dataset, namespace string
	times                    []string
}

// reference are the settings of mode reference.
type reference struct {
	ignoreKey, ignoreSchema bool
	keyless, schemaless     []string // topics
	compact, drop, upsert   bool
	generated               bool
	nulls                   string // fail, delete, ignore
	version                 string // header
}

// parseConfig reads a configuration whose keys are in order.
func parseConfig(c connectors.Config) (*config, error) {
	v := definition().Values(c)
	cfg := &config{
		user: strings.TrimSpace(v.String(keyUser)), password: v.String(keyPassword), gzip: v.Bool(keyCompression),
		idle: max(0, millis(v, keyIdle)), dial: millis(v, keyConnect), answer: time.Minute,
		mode: v.Enum(keyMode), format: strings.TrimSpace(v.String(keyFormat)), create: v.Bool(keyCreate), evolve: v.Enum(keyEvolution) == "basic",
		settings: map[string]string{}, aliases: v.List(keyAliases), routes: v.List(keyRouting), truncates: v.Bool(keyTruncate), usage: v.Enum(keyUsage),
		items: 10000, bytes: int(v.Int(keyBulk)), lanes: int(v.Int(keyInFlight)), linger: millis(v, keyLinger), pause: max(time.Millisecond, millis(v, keyBackoff)),
		refused: v.Enum(keyMalformed),
		reference: reference{
			ignoreKey: v.Bool(keyIgnoreKey), ignoreSchema: v.Bool(keyNoSchema), keyless: v.List(keyIgnoreKeys), schemaless: v.List(keyNoSchemas),
			compact: v.Bool(keyCompact), drop: v.Bool(keyDrop), upsert: v.Enum(keyMethod) == "upsert", generated: v.Bool(keyGenerated),
			nulls: v.Enum(keyNulls), version: strings.TrimSpace(v.String(keyVersion)),
		},
	}
	if cfg.mode == modeReference {
		cfg.items, cfg.answer = 2000, 3*time.Second
	}
	if v.Given(keyBatch) {
		cfg.items = int(v.Int(keyBatch))
	}
	if v.Given(keyRead) {
		cfg.answer = millis(v, keyRead)
	}
	if cfg.bytes <= 0 || cfg.bytes > maxRequest {
		cfg.bytes = maxRequest
	}
	for _, name := range v.Family(keySettings) {
		cfg.settings[strings.TrimPrefix(name, keySettings)] = strings.TrimSpace(c[name])
	}
	if kind := v.Enum(keyStreamType); kind != "none" && v.Given(keyStreamSet) {
		cfg.stream = dataStream{kind: kind, dataset: strings.TrimSpace(v.String(keyStreamSet)), namespace: strings.TrimSpace(v.String(keyStreamSpace)), times: v.List(keyStreamTime)}
	}
	var err error
	if cfg.nodes, err = parseURLs(v.List(keyURL)); err != nil {
		return nil, fmt.Errorf("read %s: %w", keyURL, err)
	}
	if u := cfg.nodes[0].User; u != nil && cfg.user == "" {
		cfg.user = u.Username()
		cfg.password, _ = u.Password()
	}
	if cfg.usage != "disabled" {
		if cfg.resources, err = parseResources(v.List(keyResources)); err != nil {
			return nil, fmt.Errorf("read %s: %w", keyResources, err)
		}
	}
	if v.Enum(keySecurity) == "ssl" {
		cfg.tls = map[string]string{}
		for _, name := range v.Family(keyTLS) {
			cfg.tls[strings.TrimPrefix(name, keyTLS)] = c[name]
		}
	}
	if host := strings.TrimSpace(v.String(keyProxyHost)); host != "" {
		cfg.proxy = &url.URL{Scheme: "http", Host: fmt.Sprintf("%s:%d", host, v.Int(keyProxyPort))}
		if user := strings.TrimSpace(v.String(keyProxyUser)); user != "" {
			cfg.proxy.User = url.UserPassword(user, v.String(keyProxySecret))
		}
	}
	return cfg, cfg.check()
}

const maxRequest = 64 << 20

func millis(v connectors.Values, name string) time.Duration {
	return time.Duration(v.Int(name)) * time.Millisecond
}

// check looks at keys that depend on each other.
func (cfg *config) check() error {
	switch {
	case cfg.usage != "disabled" && len(cfg.resources) == 0:
		return fmt.Errorf("%s=%s needs %s", keyUsage, strings.ToUpper(cfg.usage), keyResources)
	case cfg.streams() && cfg.mode == modeMirror:
		return fmt.Errorf("%s: a data stream takes no updates and no deletes, so that it cannot be a mirror; set %s=%s", keyStreamType, keyMode, modeAppend)
	case cfg.streams() && cfg.mode == modeReference && cfg.reference.upsert:
		return fmt.Errorf("%s=UPSERT changes documents, and a data stream takes no changes", keyMethod)
	case (cfg.user == "") != (cfg.password == ""):
		return fmt.Errorf("%s and %s must both be given, or none of them", keyUser, keyPassword)
	}
	return nil
}

// streams tells whether the targets are data streams.
func (cfg *config) streams() bool {
	if cfg.usage != "disabled" {
		return strings.HasSuffix(cfg.usage, "datastream")
	}
	return cfg.stream.kind != ""
}

// parseURLs reads the addresses of nodes.
func parseURLs(list []string) ([]*url.URL, error) {
	var out []*url.URL
	secure := false
	for _, item := range list {
		u, err := url.Parse(item)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return nil, errors.New("each address must be http://host:port or https://host:port, the scheme included") // the text may hold a password
		}
		if u.RawQuery != "" || u.Fragment != "" {
			return nil, errors.New("an address has no parameters")
		}
		u.Path = strings.TrimRight(u.Path, "/")
		secure = secure || u.Scheme == "https"
		out = append(out, u)
	}
	if len(out) == 0 {
		return nil, errors.New("at least one address is needed")
	}
	for _, u := range out {
		if secure {
			u.Scheme = "https"
		}
		if u.Port() == "" {
			u.Host += ":" + map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
	}
	return out, nil
}

// parseResources reads topic:resource pairs.
func parseResources(list []string) (map[string]string, error) {
	out, taken := map[string]string{}, map[string]bool{}
	for _, item := range list {
		topic, resource, ok := strings.Cut(item, ":")
		topic, resource = strings.TrimSpace(topic), strings.TrimSpace(resource)
		switch {
		case !ok || topic == "" || resource == "" || strings.Contains(resource, ":"):
			return nil, errors.New("Invalid topic-to-resource mapping format. The expected format: topic:resource") //nolint:staticcheck // the reference's text
		case out[topic] != "":
			return nil, fmt.Errorf("Topic '%s' is mapped to multiple resources. Each topic must be mapped to exactly one resource.", topic) //nolint:staticcheck // the reference's text
		case taken[resource]:
			return nil, fmt.Errorf("Resource '%s' is mapped from multiple topics. Each resource must be mapped to exactly one topic.", resource) //nolint:staticcheck // the reference's text
		}
		out[topic], taken[resource] = resource, true
	}
	return out, nil
}

// target is the index, data stream or alias that a stream is written to.
func (cfg *config) target(s *connectors.Stream) (string, error) {
	if cfg.usage != "disabled" {
		name := cfg.resources[s.Topic]
		if name == "" {
			return "", fmt.Errorf("find the target of topic %s: %s does not name it", s.Topic, keyResources)
		}
		return name, nil
	}
	if cfg.stream.kind != "" {
		space := strings.ReplaceAll(cfg.stream.namespace, "${topic}", strings.ToLower(s.Topic))
		return fmt.Sprintf("%s-%s-%s", cfg.stream.kind, cfg.stream.dataset, space[:min(len(space), 100)]), nil
	}
	name, err := changes.Expand(cfg.format, changes.TargetNames(s))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", keyFormat, err)
	}
	return indexName(name)
}

// indexName makes a name that the server takes, as the reference does: lower case, at most 255 bytes, not beginning with - or _.
func indexName(name string) (string, error) {
	given := name
	name = strings.ToLower(name)
	name = name[:min(len(name), 255)]
	if strings.HasPrefix(name, "-") || strings.HasPrefix(name, "_") {
		name = name[1:]
	}
	if name == "." || name == ".." {
		name = strings.ReplaceAll(name, ".", "dot")
	}
	if name == "" || strings.ContainsAny(name, "\\/*?\"<>| ,#:") || strings.HasPrefix(name, "+") {
		return "", fmt.Errorf("name an index %q: names must not contain spaces or any of \\/*?\"<>|,#: and must not begin with +; set %s, or map the topic with %s and %s", given, keyFormat, keyUsage, keyResources)
	}
	return name, nil
}

// routingField returns the column that a table's documents are routed by, "" for none.
func (cfg *config) routingField(t *schemas.Table) string {
	for _, item := range cfg.routes {
		table, column, ok := strings.Cut(item, ":")
		if !ok {
			return item
		}
		if strings.TrimSpace(table) == t.ID() {
			return strings.TrimSpace(column)
		}
	}
	return ""
}

// checkField tells why a name cannot be a field's.
func checkField(name string) error {
	switch {
	case slices.Contains(words("_id _index _source _routing _type _version _seq_no _ignored _field_names _nested_path _size _doc_count _tier"), name):
		return errors.New("the name is one of the server's own fields; leave the column out with column.exclude.list of the source")
	case name == "" || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") || strings.Contains(name, ".."):
		return errors.New("a field's name cannot begin or end with a point, or have two in a row; leave the column out with column.exclude.list of the source")
	case strings.TrimSpace(name) == "":
		return errors.New("a field's name cannot be blank; leave the column out with column.exclude.list of the source")
	}
	return nil
}
