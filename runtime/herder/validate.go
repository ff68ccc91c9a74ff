package herder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
)

const nullValue = "Null value can not be supplied as the configuration value."

// ValidateOptions is what a validation needs beside the worker.
type ValidateOptions struct {
	// Resolve replaces the placeholders of config providers; nil: they stay as they are.
	Resolve func(c connectors.Config) (connectors.Config, error)
}

// Validate answers PUT /connector-plugins/{plugin}/config/validate.
func (h *Herder) Validate(ctx context.Context, plugin string, p Properties) (Validation, error) {
	return Validate(ctx, h.o.Worker, plugin, p, ValidateOptions{Resolve: h.o.Resolve})
}

// Validate answers PUT /connector-plugins/{plugin}/config/validate. Errors other than *runtime.RequestError are meant to be a
// 500, as they are in the reference: a configuration without a class or of an unknown class.
func Validate(ctx context.Context, w *runtime.Worker, plugin string, p Properties, o ValidateOptions) (Validation, error) {
	if p != nil && p[keyClass] != nil && !strings.HasSuffix(strings.TrimSuffix(*p[keyClass], "Connector"), strings.TrimSuffix(plugin, "Connector")) {
		return Validation{}, badRequest("Included connector type %s does not match request type %s", *p[keyClass], plugin)
	}
	v, err := Check(ctx, w, p, o)
	var request *runtime.RequestError
	var client *clientConfigError
	switch {
	case errors.As(err, &request):
		return v, fmt.Errorf("org.apache.kafka.connect.runtime.rest.errors.BadRequestException: %w", err)
	case errors.As(err, &client):
		return v, fmt.Errorf("org.apache.kafka.common.config.ConfigException: %w", err)
	}
	return v, err
}

// Check validates a configuration before it is stored: what Validate answers, with the errors of POST /connectors. Whether the
// configuration is right is told by Validation.Err.
func Check(ctx context.Context, w *runtime.Worker, p Properties, o ValidateOptions) (Validation, error) {
	if p == nil {
		return Validation{}, errors.New(`Cannot invoke "java.util.Map.get(Object)" because "connectorConfig" is null`) //nolint:staticcheck // the reference's text
	}
	if p[keyClass] == nil {
		return Validation{}, badRequest("Connector config %s contains no connector type", p.text())
	}
	class := *p[keyClass]
	if e := w.Chosen(connectors.Config{keyClass: class}); e == nil {
		if err := w.Catalog().Refusal(class); err != nil {
			return Validation{}, badRequest("Failed to find any class that implements Connector and which name matches %s: %s", class, err)
		}
		return Validation{}, badRequest("Failed to find any class that implements Connector and which name matches %s, available connectors are: %s", class, classes(w.Catalog()))
	}
	raw := connectors.Config{}
	for name, v := range p {
		if v != nil && name != "config.providers" && !strings.HasPrefix(name, "config.providers.") {
			raw[name] = *v
		}
	}
	c := raw
	if o.Resolve != nil {
		var err error
		if c, err = o.Resolve(raw); err != nil {
			return Validation{}, badRequest("resolve the placeholders of the configuration: %v", err)
		}
	}
	b := &answer{Validation: Validation{Name: class, Groups: []string{}, Configs: []ConfigInfo{}}, given: p, values: map[string]connectors.ConfigValue{}, placed: map[string]bool{}}
	values := w.ValidateAsConnect(ctx, c)
	for _, v := range values {
		b.values[v.Name] = v
	}
	e := w.Chosen(c)
	if e == nil { // a placeholder is a part of the class
		return Validation{}, badRequest("Failed to find any class that implements Connector and which name matches %s, available connectors are: %s", class, classes(w.Catalog()))
	}
	overrides, problem := b.overridden(c, e.Type)
	if problem != nil {
		problem.message = concealer(raw, c).replace(problem.message)
		return Validation{}, problem
	}
	b.nulls(w.Framework(c), e.Config)
	b.define(w.Framework(c))
	b.define(e.Config)
	b.entries(overrides)
	b.converters(w.Catalog(), c)
	b.rest(values, w.Catalog(), c)
	b.conceal(raw, c)
	for _, i := range b.Configs {
		if i.Value != nil {
			b.ErrorCount += len(i.Value.Errors)
		}
	}
	return b.Validation, nil
}

// Err is the answer to a request that would store the configuration: nil when it is right.
func (v Validation) Err() error {
	if v.ErrorCount == 0 {
		return nil
	}
	text := fmt.Sprintf("Connector configuration is invalid and contains the following %d error(s):", v.ErrorCount)
	for _, c := range v.Configs {
		if c.Value != nil && len(c.Value.Errors) > 0 {
			text += "\n" + strings.Join(c.Value.Errors, "\n")
		}
	}
	return badRequest("%s\nYou can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`", text)
}

func classes(c *runtime.Catalog) string {
	var out []string
	for _, d := range c.List() {
		out = append(out, d.Class)
	}
	return strings.Join(out, ", ")
}

// answer is a validation while it is put together.
type answer struct {
	Validation
	given  Properties
	values map[string]connectors.ConfigValue // by the worker
	placed map[string]bool
}

// nulls judges keys whose value is null: an error for those of the framework and for unknown ones; a connector's are as if absent,
// but not called missing (the reference loses its error on the way).
func (b *answer) nulls(framework, own *connectors.ConfigDef) {
	for _, name := range slices.Sorted(maps.Keys(b.given)) {
		if b.given[name] != nil {
			continue
		}
		v, k := b.values[name], framework.Find(name)
		v.Name, v.Visible = name, true
		switch {
		case own.Find(name) != nil && own.Style != connectors.StyleDebezium:
			v.Value, v.Errors = nil, nil
		case own.Find(name) != nil:
		case k != nil && !k.Prefix && !k.Suffix:
			v.Value, v.Errors = nil, nil
			if k.NotNull {
				v.Errors = append(v.Errors, fmt.Sprintf("Invalid value null for configuration %s: Value must be non-null", name))
			}
			v.Errors = append(v.Errors, nullValue)
		default:
			v.Errors = append(v.Errors, nullValue)
			b.add(nil, &v)
		}
		b.values[name] = v
	}
}

// define adds the keys of a definition with their values.
func (b *answer) define(def *connectors.ConfigDef) {
	for i := range def.Keys {
		k := &def.Keys[i]
		_, given := b.given[k.Name]
		if k.Prefix || k.Suffix || b.placed[k.Name] || k.Own && !given {
			continue
		}
		info := keyInfo(def, k, k.Name)
		if k.Alias {
			b.add(&info, nil)
			continue
		}
		v, ok := b.values[k.Name]
		if !ok {
			v = connectors.ConfigValue{Name: k.Name, Recommended: k.Recommended, Visible: !k.Invisible}
		}
		if def.Style == connectors.StyleDebezium {
			v.Value = nil
		}
		b.add(&info, &v)
	}
}

// rest adds what is configured and belongs to Freshet alone, such as direct sinks, and every error that has no key yet.
func (b *answer) rest(values []connectors.ConfigValue, catalog *runtime.Catalog, c connectors.Config) {
	for _, v := range values {
		_, given := b.given[v.Name]
		if b.placed[v.Name] || len(v.Errors) == 0 && !(given && strings.HasPrefix(v.Name, "sinks.")) {
			continue
		}
		var info *KeyInfo
		alias, key, _ := strings.Cut(strings.TrimPrefix(v.Name, "sinks."), ".")
		if e, _ := catalog.Choose(runtime.SinkPlugin, strings.TrimSpace(c["sinks."+alias+"."+keyClass]), c["sinks."+alias+"."+keyVersion]); e != nil {
			if k := e.Config.Find(key); k != nil {
				own := keyInfo(e.Config, k, v.Name)
				info = &own
			}
		}
		b.add(info, &v)
	}
}

// converters adds the keys of the converters that the connector itself names.
func (b *answer) converters(catalog *runtime.Catalog, c connectors.Config) {
	for _, name := range []string{"key.converter", "value.converter", "header.converter"} {
		kind, role := runtime.ConverterPlugin, strings.TrimSuffix(name, ".converter")
		if role == "header" {
			kind = runtime.HeaderConverterPlugin
		}
		p := catalog.Plugin(kind, strings.TrimSpace(c[name]))
		if p == nil || p.Config == nil {
			continue
		}
		own := connectors.Config{"converter.type": role}
		for key, v := range c {
			if rest, ok := strings.CutPrefix(key, name+"."); ok && rest != "plugin.version" {
				own[rest] = v
			}
		}
		values, _ := p.Config.Validate(own)
		names, groups := []string{}, []string{}
		for i := range p.Config.Keys {
			k := &p.Config.Keys[i]
			names = append(names, k.Name)
			if k.Group != "" && !slices.Contains(groups, k.Group) {
				groups = append(groups, k.Group)
			}
		}
		for _, g := range hashOrder(groups) {
			b.group(g)
		}
		for _, key := range hashOrder(names) {
			k := p.Config.Find(key)
			v := values[slices.IndexFunc(values, func(v connectors.ConfigValue) bool { return v.Name == key })]
			info := keyInfo(p.Config, k, name+"."+key)
			v.Name = info.Name
			b.add(&info, &v)
		}
	}
}

func (b *answer) entries(list []ConfigInfo) {
	for _, e := range list {
		b.placed[e.Value.Name] = true
		b.Configs = append(b.Configs, e)
	}
}

func (b *answer) add(info *KeyInfo, v *connectors.ConfigValue) {
	e := ConfigInfo{Definition: info}
	if info != nil {
		b.placed[info.Name] = true
		if info.Group != nil {
			b.group(*info.Group)
		}
	}
	if v != nil {
		b.placed[v.Name] = true
		e.Value = &ValueInfo{Name: v.Name, Value: v.Value, Recommended: notNil(v.Recommended), Errors: notNil(v.Errors), Visible: v.Visible}
	}
	b.Configs = append(b.Configs, e)
}

func (b *answer) group(name string) {
	if !slices.Contains(b.Groups, name) {
		b.Groups = append(b.Groups, name)
	}
}

// conceal shows the placeholder instead of what a config provider gave, in values and in all errors (I12).
func (b *answer) conceal(raw, resolved connectors.Config) {
	hide := concealer(raw, resolved)
	for _, c := range b.Configs {
		e := c.Value
		if e == nil {
			continue
		}
		given, ok := raw[e.Name]
		from := ok && given != resolved[e.Name]
		if from && e.Value != nil {
			e.Value = &given
		}
		for i := range e.Errors {
			if from {
				e.Errors[i] = fmt.Sprintf("Invalid value for configuration %s: what the config provider gave is not accepted", e.Name)
			}
			e.Errors[i] = hide.replace(e.Errors[i])
		}
	}
}

var placeholder = regexp.MustCompile(`\$\{[^}]*\}`)

// concealed are what config providers gave, and the placeholders.
type concealed [][2]string

func (c concealed) replace(text string) string {
	for _, pair := range c {
		text = strings.ReplaceAll(text, pair[0], pair[1]) // linear for every text, unlike a strings.Replacer
	}
	return text
}

// concealer finds what config providers gave, but for what is too short to be a secret; the longest first.
func concealer(raw, resolved connectors.Config) concealed {
	const short = 3
	var out concealed
	for name, given := range raw {
		if given == resolved[name] {
			continue
		}
		marks, parts := provided(given, resolved[name])
		for i, m := range marks {
			if len(parts[i]) > short {
				out = append(out, [2]string{parts[i], m})
			}
		}
	}
	slices.SortFunc(out, func(a, b [2]string) int { return cmp.Or(len(b[0])-len(a[0]), strings.Compare(a[0], b[0])) })
	return out
}

// provided returns the placeholders of a value and what they stood for; the whole value and what it became when that cannot be told.
func provided(given, became string) (marks, parts []string) {
	const most = 16 // the pattern below grows with each
	places := placeholder.FindAllStringIndex(given, most+1)
	if len(places) <= most {
		pattern, at := "(?s)^", 0
		for _, p := range places {
			pattern += regexp.QuoteMeta(given[at:p[0]]) + "(.*)"
			marks, at = append(marks, given[p[0]:p[1]]), p[1]
		}
		if whole, err := regexp.Compile(pattern + regexp.QuoteMeta(given[at:]) + "$"); err == nil {
			if parts = whole.FindStringSubmatch(became); parts != nil {
				return marks, parts[1:]
			}
		}
	}
	return []string{given}, []string{became}
}

func notNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
