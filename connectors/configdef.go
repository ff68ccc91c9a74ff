package connectors

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// ValueType is the type of a configuration key, by Kafka Connect's names.
type ValueType string

// The types.
const (
	TypeBoolean  ValueType = "BOOLEAN"
	TypeString   ValueType = "STRING"
	TypeInt      ValueType = "INT"
	TypeShort    ValueType = "SHORT"
	TypeLong     ValueType = "LONG"
	TypeDouble   ValueType = "DOUBLE"
	TypeList     ValueType = "LIST"
	TypeClass    ValueType = "CLASS"
	TypePassword ValueType = "PASSWORD"
)

// Key is one configuration key. The zero value of a member means: not given.
type Key struct {
	Name        string
	Type        ValueType
	Default     string
	HasDefault  bool // an empty Default counts
	Required    bool
	Importance  string // HIGH, MEDIUM, LOW
	Doc         string
	Group       string
	Order       int
	Width       string // NONE, SHORT, MEDIUM, LONG
	Display     string
	Dependents  []string
	Recommended []string // the only values allowed (case-insensitive) when Closed
	Closed      bool
	// Check returns what is wrong with a value ("An integer is expected"), "" when it is right. Type and Closed are checked before.
	Check func(value string) string
	// Unsupported names why the key cannot be used yet; a value other than the default (and other than those in
	// Harmless) is then an error "not supported yet".
	Unsupported string
	Harmless    []string
	// Prefix: the key is a family, every configured name that starts with Name belongs to it.
	Prefix bool
}

// ConfigDef is the one reader of a connector's configuration: defaults, validation, documentation.
type ConfigDef struct{ Keys []Key }

// ConfigValue is the validation result of one key. Value is empty for passwords.
type ConfigValue struct {
	Name        string
	Value       string
	Recommended []string
	Errors      []string
	Visible     bool
	// Passing: the errors may go away without another configuration, for a server could not be reached.
	Passing bool
}

// Find returns the definition of a configured name, exact names before families (the longest); nil for an unknown one.
func (d *ConfigDef) Find(name string) *Key {
	var best *Key
	for i := range d.Keys {
		k := &d.Keys[i]
		if !k.Prefix && k.Name == name {
			return k
		}
		if k.Prefix && strings.HasPrefix(name, k.Name) && (best == nil || len(k.Name) > len(best.Name)) {
			best = k
		}
	}
	return best
}

// Validate checks every key of the definition; unknown lists configured names that no key covers, sorted.
func (d *ConfigDef) Validate(c Config) (values []ConfigValue, unknown []string) {
	for i := range d.Keys {
		k := &d.Keys[i]
		if k.Prefix {
			continue
		}
		given, ok := c[k.Name]
		values = append(values, k.validate(k.Name, given, ok))
	}
	for name, given := range c {
		k := d.Find(name)
		if k == nil {
			unknown = append(unknown, name)
		} else if k.Prefix {
			values = append(values, k.validate(name, given, true))
		}
	}
	sort.Strings(unknown)
	return values, unknown
}

func (k *Key) validate(name, given string, ok bool) ConfigValue {
	v := ConfigValue{Name: name, Value: given, Recommended: k.Recommended, Visible: true}
	if !ok {
		v.Value = k.Default
	}
	if k.Type == TypePassword {
		v.Value = "" // I12
	}
	if problem := k.problem(given, ok); problem != "" {
		v.Errors = []string{fmt.Sprintf("The '%s' value is invalid: %s", name, problem)}
	}
	return v
}

func (k *Key) problem(given string, ok bool) string {
	if !ok {
		if k.Required {
			return "A value is required"
		}
		return ""
	}
	if k.Required && strings.TrimSpace(given) == "" {
		return "A value is required"
	}
	if k.Unsupported != "" && !k.harmless(given) {
		return "not supported yet: " + k.Unsupported
	}
	if p := k.typeProblem(strings.TrimSpace(given)); p != "" {
		return p
	}
	if k.Closed && !containsFold(k.Recommended, strings.TrimSpace(given)) {
		return "Value must be one of " + strings.Join(k.Recommended, ", ")
	}
	if k.Check != nil {
		return k.Check(given)
	}
	return ""
}

func (k *Key) harmless(v string) bool {
	return strings.EqualFold(strings.TrimSpace(v), k.Default) || containsFold(k.Harmless, strings.TrimSpace(v))
}

func (k *Key) typeProblem(v string) string {
	if v == "" && !k.Required {
		return ""
	}
	switch k.Type {
	case TypeBoolean:
		if !strings.EqualFold(v, "true") && !strings.EqualFold(v, "false") {
			return "Either true or false is expected"
		}
	case TypeInt, TypeShort, TypeLong:
		bits := map[ValueType]int{TypeShort: 16, TypeInt: 32, TypeLong: 64}[k.Type]
		if _, err := strconv.ParseInt(v, 10, bits); err != nil {
			return "An integer is expected"
		}
	case TypeDouble:
		if _, err := strconv.ParseFloat(v, 64); err != nil {
			return "A number is expected"
		}
	}
	return ""
}

func containsFold(list []string, v string) bool {
	for _, s := range list {
		if strings.EqualFold(s, v) {
			return true
		}
	}
	return false
}

// Values reads a validated configuration with the defaults of its definition. A name without a definition panics: it is a
// mistake in the connector, found by its first test.
type Values struct {
	def *ConfigDef
	c   Config
}

// Values returns the reader of c.
func (d *ConfigDef) Values(c Config) Values { return Values{d, c} }

// Given tells whether the user wrote the key, with something in it.
func (v Values) Given(name string) bool { return strings.TrimSpace(v.c[name]) != "" }

// String returns the value, or the default.
func (v Values) String(name string) string {
	if s, ok := v.c[name]; ok {
		return s
	}
	k := v.def.Find(name)
	if k == nil {
		panic("connectors: key " + name + " is not in the ConfigDef")
	}
	return k.Default
}

// Enum returns the value in lower case without surrounding spaces.
func (v Values) Enum(name string) string { return strings.ToLower(strings.TrimSpace(v.String(name))) }

// Bool returns a BOOLEAN key.
func (v Values) Bool(name string) bool { return v.Enum(name) == "true" }

// Int returns an INT, SHORT or LONG key; 0 when empty.
func (v Values) Int(name string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSpace(v.String(name)), 10, 64) // validated before
	return n
}

// List returns a LIST key: split at commas, spaces trimmed, empty items dropped; `\,` is a comma.
func (v Values) List(name string) []string { return SplitList(v.String(name)) }

// Family returns the configured names that start with prefix, sorted.
func (v Values) Family(prefix string) []string {
	var out []string
	for name := range v.c {
		if strings.HasPrefix(name, prefix) {
			out = append(out, name)
		}
	}
	sort.Strings(out)
	return out
}

// SplitList splits at commas that no backslash escapes, trims spaces and drops empty items.
func SplitList(s string) []string {
	var out []string
	var item strings.Builder
	flush := func() {
		if t := strings.TrimSpace(item.String()); t != "" {
			out = append(out, t)
		}
		item.Reset()
	}
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && s[i+1] == ',':
			item.WriteByte(',')
			i++
		case s[i] == ',':
			flush()
		default:
			item.WriteByte(s[i])
		}
	}
	flush()
	return out
}

// Errors returns all error texts of a validation, in order.
func Errors(values []ConfigValue) []string {
	var out []string
	for _, v := range values {
		out = append(out, v.Errors...)
	}
	return out
}
