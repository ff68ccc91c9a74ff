package runtime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

// defaultSink is the name under which the catalog has the sink of a source connector that names none.
const defaultSink = "kafka"

// kafkaSource is the name under which the catalog has the source of sink connectors.
const kafkaSource = "kafka"

// pipeline is a resolved configuration: one source and where it writes to.
type pipeline struct {
	source      connectors.SourceFactory
	config      connectors.Config // of the source
	sinks       []sinkPlan
	maxTasks    int
	exactlyOnce bool
	limits      limits
	tolerance   tolerance
}

type sinkPlan struct {
	alias   string // "" for the only one
	class   string // as the configuration has it; "" for the default sink
	policy  policy
	factory connectors.SinkFactory
	config  connectors.Config
	tolerance
}

// resolve finds the parts of a configuration. The values are the framework's keys and everything that is wrong with the
// names; the pipeline is only usable when they hold no error.
func (w *Worker) resolve(c connectors.Config) (*pipeline, []connectors.ConfigValue) {
	def := w.Framework(c)
	values, _ := def.Validate(c)
	values = readPolicy(w.options.Config).check(c, values)
	p := &pipeline{maxTasks: 1, limits: readLimits(c, w.options.Config, w.options.CommitInterval), tolerance: readTolerance(c, nil)}
	if n, ok := number(c, "tasks.max"); ok && n > 0 {
		p.maxTasks = int(n)
	}
	class := strings.TrimSpace(c[keyClass])
	if class == "" {
		return p, values
	}
	e, err := w.options.Catalog.Choose("", class, c[keyVersion])
	if e == nil {
		return p, addError(values, keyClass, fmt.Errorf("find %s: %w", keyClass, err))
	}
	if err != nil {
		values = addError(addError(values, keyClass, err), keyVersion, err)
	}
	if e.Type == SinkPlugin {
		return p, w.checkQueues(c, p, p.resolveSink(w, e, c, values))
	}
	p.source, values = factoryOf[connectors.SourceFactory](w, e, values, "", c)
	values = p.findSinks(w, c, values)
	p.config = only(c, e.Config, def)
	if strings.TrimSpace(c["offsets.storage.topic"]) != "" && w.options.StoreFor == nil {
		values = addError(values, "offsets.storage.topic", errors.New("The 'offsets.storage.topic' value is invalid: not supported yet here: all offsets are kept in the worker's store"))
	}
	return p, w.checkQueues(c, p, p.checkExactlyOnce(w, c, values))
}

// factoryOf is the source or the sink of an entry, as the first of these configurations that says so wants it; prefix stands before
// the first one's names.
func factoryOf[F connectors.Factory](w *Worker, e *Entry, values []connectors.ConfigValue, prefix string, configs ...connectors.Config) (F, []connectors.ConfigValue) {
	f, err := w.factory(e, configs...)
	if err != nil {
		values = addError(values, prefix+keyIsolation, err)
	}
	return f.(F), values //nolint:errcheck,forcetypeassert // as the entry's
}

// resolveSink is resolve for a sink connector, which reads topics from Kafka.
func (p *pipeline) resolveSink(w *Worker, e *Entry, c connectors.Config, values []connectors.ConfigValue) []connectors.ConfigValue {
	class := strings.TrimSpace(c[keyClass])
	sink, values := factoryOf[connectors.SinkFactory](w, e, values, "", c)
	p.sinks = []sinkPlan{{class: class, factory: sink, config: w.sinkConfig(sink, c), tolerance: p.tolerance}}
	values = checkTopics(c, values)
	if topics := w.options.Catalog.builtIn(SourcePlugin, kafkaSource); topics != nil {
		p.source, values = factoryOf[connectors.SourceFactory](w, topics, values, "", c)
	} else {
		return addError(values, keyClass, fmt.Errorf("%s %s is a sink, and a sink connector that reads topics is not supported yet (Kafka as a source is missing); "+
			"name it as a direct sink of a source connector: sinks=a, sinks.a.connector.class=%s", keyClass, class, class))
	}
	if !sink.Describe().FromTopics {
		return addError(values, keyClass, fmt.Errorf("%s %s does not take records of topics yet; name it as a direct sink of a source connector: sinks=a, sinks.a.connector.class=%s", keyClass, class, class))
	}
	p.config = only(c, p.source.Describe().Config)
	return values
}

// checkTopics looks at topics, topics.regex and the dead letter queue together, as Connect's SinkConnectorConfig does.
func checkTopics(c connectors.Config, values []connectors.ConfigValue) []connectors.ConfigValue {
	topics, regex, dead := connectors.SplitList(c[keyTopics]), strings.TrimSpace(c[keyTopicsRegex]), strings.TrimSpace(c[keyDeadLetters])
	both := ""
	switch {
	case len(topics) > 0 && regex != "":
		both = "topics and topics.regex are mutually exclusive options, but both are set."
	case len(topics) == 0 && regex == "":
		both = "Must configure one of topics or topics.regex"
	}
	if both != "" {
		return addError(addError(values, keyTopics, errors.New(both)), keyTopicsRegex, errors.New(both))
	}
	if dead == "" {
		return values
	}
	if slices.Contains(topics, dead) {
		return addError(values, keyDeadLetters, fmt.Errorf("The DLQ topic '%s' may not be included in the list of topics ('topics=[%s]') consumed by the connector", dead, strings.Join(topics, ", "))) //nolint:staticcheck // the reference's text
	}
	if re, err := regexp.Compile("^(?:" + regex + ")$"); regex != "" && err == nil && re.MatchString(dead) {
		return addError(values, keyDeadLetters, fmt.Errorf("The DLQ topic '%s' may not be matched by the regex for the topics ('topics.regex=%s') consumed by the connector", dead, regex)) //nolint:staticcheck // the reference's text
	}
	return values
}

func (p *pipeline) findSinks(w *Worker, c connectors.Config, values []connectors.ConfigValue) []connectors.ConfigValue {
	aliases := connectors.SplitList(c[keySinks])
	if len(aliases) == 0 {
		e := w.options.Catalog.builtIn(SinkPlugin, defaultSink)
		if e == nil {
			return addError(values, keySinks, fmt.Errorf("the configuration names no sinks, and the default sink %q is not here; name direct sinks: sinks=a, sinks.a.connector.class=…", defaultSink))
		}
		f, values := factoryOf[connectors.SinkFactory](w, e, values, "", c)
		p.sinks = []sinkPlan{{factory: f, config: w.sinkConfig(f, c), tolerance: p.tolerance}}
		return values
	}
	seen := map[string]bool{}
	for _, alias := range aliases {
		if seen[alias] {
			values = addError(values, keySinks, fmt.Errorf("sinks names %q twice", alias))
			continue
		}
		seen[alias] = true
		own := connectors.Config{}
		for name, v := range c {
			if rest, ok := strings.CutPrefix(name, prefixSinks+alias+"."); ok {
				own[rest] = v
			}
		}
		key := prefixSinks + alias + "." + keyClass
		class := strings.TrimSpace(own[keyClass])
		if class == "" {
			values = addError(values, key, fmt.Errorf("The '%s' value is invalid: A value is required", key))
			continue
		}
		e, err := w.options.Catalog.Choose(SinkPlugin, class, own[keyVersion])
		if e == nil {
			values = addError(values, key, fmt.Errorf("find %s: %w", key, err))
			continue
		}
		if err != nil {
			values = addError(values, prefixSinks+alias+"."+keyVersion, err)
		}
		var f connectors.SinkFactory
		f, values = factoryOf[connectors.SinkFactory](w, e, values, prefixSinks+alias+".", own, c)
		plan := sinkPlan{alias: alias, class: class, factory: f, config: w.sinkConfig(f, own), tolerance: readTolerance(c, own)}
		var wrong map[string]error
		plan.policy, wrong = readSinkPolicy(own, len(aliases) > 1)
		maps.Copy(wrong, checkSinkProcess(own))
		for name, err := range wrong {
			values = addError(values, prefixSinks+alias+"."+name, err)
		}
		if len(aliases) == 1 {
			plan.alias = ""
		}
		p.sinks = append(p.sinks, plan)
	}
	return values
}

// sinkConfig is what a sink sees: the keys of its own definition and those of the framework that sinks read. The default
// sink also takes its own keys from the worker, as Connect's producers do (bootstrap.servers, security.protocol, …). What
// belongs to a family, such as a converter with its settings, is whole in one of the two: the sink chooses.
func (w *Worker) sinkConfig(f connectors.SinkFactory, c connectors.Config) connectors.Config {
	d := f.Describe()
	out := connectors.Config{}
	if answers(d, defaultSink) {
		for name, v := range w.options.Config {
			if k := d.Config.Find(name); k != nil && !k.Prefix && !passed(name) {
				out[name] = v
			}
		}
	}
	for name, v := range c {
		if d.Config.Find(name) != nil || passed(name) {
			out[name] = v
		}
	}
	return out
}

func (p *pipeline) checkExactlyOnce(w *Worker, c connectors.Config, values []connectors.ConfigValue) []connectors.ConfigValue {
	const key = "exactly.once.support"
	p.exactlyOnce = strings.EqualFold(strings.TrimSpace(w.options.Config["exactly.once.source.support"]), "enabled")
	if strings.EqualFold(strings.TrimSpace(c["transaction.boundary"]), "connector") {
		values = addError(values, "transaction.boundary", errors.New("The connector does not support connector-defined transaction boundaries with the given configuration. Please reconfigure it to use a different transaction boundary definition."))
	}
	if !strings.EqualFold(strings.TrimSpace(c[key]), "required") {
		return values
	}
	if !p.exactlyOnce { // the remedy: exactly.once.source.support=enabled in the worker's properties
		values = addError(values, key, errors.New("This worker does not have exactly-once source support enabled."))
	}
	if resumes := p.source.Describe().Resumes; resumes != nil && !resumes(c) {
		values = addError(values, key, errors.New("The connector does not support exactly-once semantics with the provided configuration."))
	}
	for _, s := range p.sinks {
		if d := s.factory.Describe(); !d.Keeper {
			values = addError(values, key, fmt.Errorf("exactly.once.support is required, but sink %s cannot store offsets with the data", d.Class))
		}
	}
	return values
}

// hasTopics tells that records come from Kafka or go there.
func (p *pipeline) hasTopics() bool {
	return p.source.Describe().OwnOffsets || slices.ContainsFunc(p.sinks, func(s sinkPlan) bool { return answers(s.factory.Describe(), defaultSink) })
}

// unknownKeys reports configured names that nobody reads, each with the nearest known one.
func (p *pipeline) unknownKeys(c connectors.Config, def *connectors.ConfigDef) []connectors.ConfigValue {
	defs := []*connectors.ConfigDef{def}
	if p.source != nil {
		defs = append(defs, p.source.Describe().Config)
	}
	known := map[string]*connectors.ConfigDef{}
	aliases := connectors.SplitList(c[keySinks])
	for i, s := range p.sinks {
		if len(aliases) == 0 {
			defs = append(defs, s.factory.Describe().Config)
			continue
		}
		alias := s.alias
		if alias == "" {
			alias = aliases[i]
		}
		known[alias] = s.factory.Describe().Config
	}
	var names []string
	for name := range c {
		names = append(names, name)
	}
	sort.Strings(names)
	var out []connectors.ConfigValue
	for _, name := range names {
		if problem := unknownKey(name, defs, known, aliases); problem != "" {
			out = append(out, connectors.ConfigValue{Name: name, Errors: []string{problem}, Visible: true})
		}
	}
	return out
}

func unknownKey(name string, defs []*connectors.ConfigDef, sinks map[string]*connectors.ConfigDef, aliases []string) string {
	prefix := ""
	if rest, ok := strings.CutPrefix(name, prefixSinks); ok {
		alias, key, _ := strings.Cut(rest, ".")
		def := sinks[alias]
		switch {
		case def != nil:
			switch key {
			case keyClass, keyVersion, keyOnFailure, keyHoldMs, keyHoldBytes, keyIsolation, keyPluginMemory:
				return ""
			}
			if passed(key) {
				return ""
			}
			if head, _, _ := strings.Cut(key, "."); head == "transforms" || head == "predicates" {
				return fmt.Sprintf("The '%s' value is invalid: not supported yet: %s", name, transformsLater)
			}
			prefix, name, defs = prefixSinks+alias+".", key, []*connectors.ConfigDef{def}
		case contains(aliases, alias):
			return "" // its class is already an error
		default:
			return fmt.Sprintf("unknown key %s; sinks does not name %q", name, alias)
		}
	}
	best, distance := "", len(name)/2+1
	for _, d := range defs {
		if d.Find(name) != nil {
			return ""
		}
		for i := range d.Keys {
			if n := editDistance(name, d.Keys[i].Name); n < distance {
				best, distance = d.Keys[i].Name, n
			}
		}
	}
	if best == "" {
		return "unknown key " + prefix + name
	}
	return fmt.Sprintf("unknown key %s%s; did you mean %s%s?", prefix, name, prefix, best)
}

// validate resolves and lets every factory check its own keys; live connection checks included, once the names are right.
// asConnect leaves alone what Kafka Connect does not look at before a task starts.
func (w *Worker) validate(ctx context.Context, c connectors.Config, asConnect bool) []connectors.ConfigValue {
	p, values := w.resolve(c)
	if p.source == nil && len(p.sinks) == 0 {
		return values
	}
	if !asConnect {
		values = append(values, p.unknownKeys(c, w.Framework(c))...)
	}
	live := len(connectors.Errors(values)) == 0
	kind := w.Chosen(c).Type
	if p.source != nil && (kind == SourcePlugin || !asConnect) {
		source, err := guarded("validate", func() ([]connectors.ConfigValue, error) {
			return check(ctx, p.source, only(p.config, p.source.Describe().Config), live), nil
		})
		if err != nil {
			values = addError(values, keyClass, err)
		}
		values = merge(values, source)
	}
	for _, s := range p.sinks {
		// The tasks of a sink connector run on other machines, perhaps: what they find there shows when they start.
		live := live && !(asConnect && (kind == SinkPlugin || len(connectors.SplitList(c[keySinks])) == 0))
		of, err := guarded("validate", func() ([]connectors.ConfigValue, error) {
			return check(ctx, s.factory, only(s.config, s.factory.Describe().Config), live), nil
		})
		if err != nil {
			values = addError(values, keySinks, err)
		}
		if name := strings.TrimSpace(c[keySinks]); name != "" {
			alias := s.alias
			if alias == "" {
				alias = connectors.SplitList(name)[0]
			}
			of = prefixed(prefixSinks+alias+".", of)
		}
		values = merge(values, of)
	}
	return values
}

// check lets a factory validate its keys, or while other names are wrong, only without a connection.
func check(ctx context.Context, f connectors.Factory, c connectors.Config, live bool) []connectors.ConfigValue {
	if live {
		return f.Validate(ctx, c)
	}
	return connectors.CheckKeys(f, c)
}

func prefixed(prefix string, values []connectors.ConfigValue) []connectors.ConfigValue {
	out := make([]connectors.ConfigValue, 0, len(values))
	for _, v := range values {
		name := v.Name
		v.Name = prefix + name
		texts := make([]string, 0, len(v.Errors))
		for _, e := range v.Problems() {
			if strings.Contains(e, "'"+name+"'") {
				e = strings.Replace(e, "'"+name+"'", "'"+v.Name+"'", 1)
			} else {
				e = strings.TrimSuffix(prefix, ".") + ": " + e
			}
			texts = append(texts, e)
		}
		v.Errors, v.Long = texts, nil
		out = append(out, v)
	}
	return out
}

// merge adds more to values; a key that both have keeps one entry with the errors of both.
func merge(values, more []connectors.ConfigValue) []connectors.ConfigValue {
	at := map[string]int{}
	for i := range values {
		at[values[i].Name] = i
	}
	for _, v := range more {
		i, ok := at[v.Name]
		if !ok {
			at[v.Name] = len(values)
			values = append(values, v)
			continue
		}
		if len(v.Errors) > 0 {
			values[i].Passing = v.Passing && (values[i].Passing || len(values[i].Errors) == 0)
		}
		if v.Long != nil || values[i].Long != nil {
			values[i].Long = slices.Concat(values[i].Problems(), v.Problems())
		}
		for _, e := range v.Errors {
			if !contains(values[i].Errors, e) {
				values[i].Errors = append(values[i].Errors, e)
			}
		}
	}
	return values
}

func addError(values []connectors.ConfigValue, name string, err error) []connectors.ConfigValue {
	return merge(values, []connectors.ConfigValue{{Name: name, Errors: []string{err.Error()}, Visible: true}})
}

// only keeps the entries that one of the definitions covers.
func only(c connectors.Config, defs ...*connectors.ConfigDef) connectors.Config {
	out := connectors.Config{}
	for name, v := range c {
		for _, d := range defs {
			if d.Find(name) != nil {
				out[name] = v
				break
			}
		}
	}
	return out
}

func contains(list []string, v string) bool {
	for _, s := range list {
		if s == v {
			return true
		}
	}
	return false
}

// editDistance is the number of inserted, removed and replaced bytes between two names.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := before
			if a[i-1] != b[j-1] {
				cost++
			}
			before = row[j]
			row[j] = min(row[j]+1, row[j-1]+1, cost)
		}
	}
	return row[len(b)]
}
