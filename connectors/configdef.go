package connectors

import (
	"errors"
	"fmt"
	"regexp/syntax"
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
	// Suffix: the same for names that end with Name, behind a name without dots.
	Suffix bool
	// NotNull: Check also refuses a value that has no form of its type (Kafka's ranges do), so that it has two errors.
	NotNull bool
	// Own: the reference has no such key. It is shown only where it is configured.
	Own bool
	// Alias: an older name of another key, which has a definition and no value of its own.
	Alias bool
	// Show returns what may be shown of a value (I12); nil: all of it.
	Show func(value string) string
	// Invisible: user interfaces are told not to show the key.
	Invisible bool
}

// Style is how a definition answers a validation.
type Style uint8

// The styles.
const (
	StyleFreshet  Style = iota // values are shown; "The 'x' value is invalid: …"
	StyleDebezium              // the same texts, but no value is shown and no key is called required
	StyleConnect               // Kafka's ConfigDef: values as they were read; "Invalid value … for configuration x: …"
)

// ConfigDef is the one reader of a connector's configuration: defaults, validation, documentation.
type ConfigDef struct {
	Keys  []Key
	Style Style
}

// Hidden stands for a password that was given.
const Hidden = "[hidden]"

// ConfigValue is the validation result of one key. Value is nil for passwords, and where there is none.
type ConfigValue struct {
	Name        string
	Value       *string
	Recommended []string
	Errors      []string
	// Long are the errors for somebody who does not see a form: with the place, and what to do. nil: Errors will do.
	Long    []string
	Visible bool
	// Passing: the errors may go away without another configuration, for a server could not be reached.
	Passing bool
}

// Text is Value, "" when there is none.
func (v ConfigValue) Text() string {
	if v.Value == nil {
		return ""
	}
	return *v.Value
}

// Problems are the errors at length.
func (v ConfigValue) Problems() []string {
	if v.Long != nil {
		return v.Long
	}
	return v.Errors
}

// Find returns the definition of a configured name, exact names before families (the longest); nil for an unknown one.
func (d *ConfigDef) Find(name string) *Key {
	var best *Key
	for i := range d.Keys {
		k := &d.Keys[i]
		if !k.family() && k.Name == name {
			return k
		}
		if k.covers(name) && (best == nil || len(k.Name) > len(best.Name)) {
			best = k
		}
	}
	return best
}

// family tells a key that stands for many names.
func (k *Key) family() bool { return k.Prefix || k.Suffix }

// covers tells that a family has this name.
func (k *Key) covers(name string) bool {
	if k.Suffix {
		own, ok := strings.CutSuffix(name, k.Name)
		return ok && own != "" && !strings.Contains(own, ".")
	}
	return k.Prefix && strings.HasPrefix(name, k.Name)
}

// Validate checks every key of the definition; unknown lists configured names that no key covers, sorted.
func (d *ConfigDef) Validate(c Config) (values []ConfigValue, unknown []string) {
	for i := range d.Keys {
		k := &d.Keys[i]
		if k.family() {
			continue
		}
		given, ok := c[k.Name]
		values = append(values, d.validate(k, k.Name, given, ok))
	}
	for name, given := range c {
		k := d.Find(name)
		if k == nil {
			unknown = append(unknown, name)
		} else if k.family() {
			values = append(values, d.validate(k, name, given, true))
		}
	}
	sort.Strings(unknown)
	return values, unknown
}

// Check is Validate, with an error for each configured name that no key covers: a typing mistake must not pass.
func (d *ConfigDef) Check(c Config) []ConfigValue {
	values, unknown := d.Validate(c)
	for _, name := range unknown {
		values = append(values, ConfigValue{Name: name, Errors: []string{"unknown key " + name}, Visible: true})
	}
	return values
}

func (d *ConfigDef) validate(k *Key, name, given string, ok bool) ConfigValue {
	v := ConfigValue{Name: name, Recommended: k.Recommended, Visible: !k.Invisible}
	if d.Style == StyleConnect {
		v.Value, v.Errors = k.read(name, given, ok)
		return v
	}
	switch {
	case k.Type == TypePassword: // I12
	case ok:
		shown := k.shown(given)
		v.Value = &shown
	case k.HasDefault:
		v.Value = &k.Default
	}
	problems := []string{k.problem(given, ok)}
	if d.Style == StyleDebezium && ok {
		problems = k.problems(given)
	}
	for _, problem := range problems {
		if problem != "" {
			v.Errors = append(v.Errors, fmt.Sprintf("The '%s' value is invalid: %s", name, problem))
		}
	}
	if k.NotNull && ok && len(v.Errors) == 1 && k.typeProblem(strings.TrimSpace(given)) != "" {
		v.Errors = append(v.Errors, v.Errors[0])
	}
	return v
}

// problems are those of a given value as the reference's validators tell them: what the type or the closed set says does not keep
// Check from looking.
func (k *Key) problems(given string) []string {
	v := strings.TrimSpace(given)
	problem := k.problem(given, true)
	if k.Check == nil || k.NotNull || v == "" && k.Required || k.Unsupported != "" && !k.harmless(given) {
		return []string{k.inReference(problem)}
	}
	switch {
	case k.typeProblem(v) != "":
		return []string{k.inReference(problem), k.Check(given)}
	case k.Closed && !containsFold(k.Recommended, v):
		return []string{k.Check(given), problem}
	}
	return []string{problem}
}

// inReference is the problem of a type in the reference's words.
func (k *Key) inReference(problem string) string {
	switch {
	case problem == "" || problem != k.typeProblem("x"):
		return problem
	case k.Type == TypeBoolean:
		return "Either 'true' or 'false' is expected"
	case k.Type == TypeLong:
		return "A long value is expected"
	}
	return problem
}

// read does what Kafka's ConfigDef does: it returns the value in the form that its type has, and the errors in its words.
func (k *Key) read(name, given string, ok bool) (value *string, problems []string) {
	fail := func(value, problem string) {
		shown := k.shown(value)
		problems = append(problems, fmt.Sprintf("Invalid value %s for configuration %s: %s", shown, name, problem))
	}
	if !ok {
		switch {
		case k.HasDefault:
			value = &k.Default
		case k.Required:
			problems = append(problems, fmt.Sprintf("Missing required configuration %q which has no default value.", name))
		}
		return value, problems
	}
	form, problem := k.form(given)
	if problem != "" {
		fail(given, problem)
		if k.NotNull {
			fail("null", "Value must be non-null")
		}
		return nil, problems
	}
	shown := form
	if k.Type == TypeList {
		shown = "[" + strings.Join(SplitList(form), ", ") + "]"
	}
	if k.Check != nil {
		if problem := k.Check(form); problem != "" {
			fail(shown, problem)
			if k.Type == TypeClass {
				return nil, problems // a class that cannot be loaded
			}
		}
	}
	if k.Unsupported != "" && !k.harmless(given) && len(problems) == 0 {
		fail(shown, "not supported yet: "+k.Unsupported)
	}
	form = k.shown(form)
	return &form, problems
}

func (k *Key) shown(value string) string {
	switch {
	case k.Type == TypePassword:
		return Hidden // I12
	case k.Show != nil:
		return k.Show(value)
	}
	return value
}

// form reads a value as Kafka's ConfigDef does: numbers and booleans are trimmed, lists joined again.
func (k *Key) form(given string) (form, problem string) {
	v := strings.TrimSpace(given)
	switch k.Type {
	case TypeBoolean:
		if v = strings.ToLower(v); v != "true" && v != "false" {
			return "", "Expected value to be either true or false"
		}
	case TypeInt, TypeShort, TypeLong, TypeDouble:
		if k.typeProblem(v) != "" || v == "" {
			return "", "Not a number of type " + string(k.Type)
		}
	case TypeList:
		return strings.Join(SplitList(given), ","), ""
	case TypeString, TypePassword:
		return given, ""
	}
	return v, ""
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

// Read is Values of a configuration that nobody may have validated: what is wrong with its keys is a permanent error.
func (d *ConfigDef) Read(c Config) (Values, error) {
	values, _ := d.Validate(c)
	if problems := Errors(values); len(problems) > 0 {
		return Values{}, AsPermanent(errors.New(strings.Join(problems, "; ")))
	}
	return d.Values(c), nil
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

// Errors returns all error texts of a validation, in order and at length.
func Errors(values []ConfigValue) []string {
	var out []string
	for _, v := range values {
		out = append(out, v.Problems()...)
	}
	return out
}

// Blame adds an error to the key that its text names first, behind "check" where it says what to check; otherwise is the key to blame
// when it names none.
func Blame(values []ConfigValue, err error, otherwise string) []ConfigValue {
	_, text, says := strings.Cut(err.Error(), "; check ")
	if !says {
		text = err.Error()
	}
	best, at := -1, len(text)+1
	for i := range values {
		if n := strings.Index(text, values[i].Name); n >= 0 && n < at {
			best, at = i, n
		}
		if values[i].Name == otherwise && best < 0 {
			best = i
		}
	}
	values[best].Errors = append(values[best].Errors, err.Error())
	return values
}

// BlameServer is Blame for what a live check found: it may pass when the error is retriable.
func BlameServer(values []ConfigValue, err error, otherwise string) []ConfigValue {
	values = Blame(values, err, otherwise)
	for i := range values {
		values[i].Passing = len(values[i].Errors) > 0 && ClassOf(err) == Retriable
	}
	return values
}

// OneOf is the Check of a key with a closed set of values, in the words of Kafka's ConfigDef.
func OneOf(values ...string) func(string) string {
	return func(v string) string {
		for _, want := range values {
			if v == want {
				return ""
			}
		}
		return "String must be one of: " + strings.Join(values, ", ")
	}
}

// OneOfFold is OneOf without regard to case.
func OneOfFold(values ...string) func(string) string {
	return func(v string) string {
		if containsFold(values, v) {
			return ""
		}
		return "String must be one of (case insensitive): " + strings.Join(values, ", ")
	}
}

// NotEmpty is the Check of a key that may not be empty.
func NotEmpty(v string) string {
	if v == "" {
		return "String must be non-empty"
	}
	return ""
}

// RegexProblem says what is wrong with a regular expression, as java.util.regex does for the common mistakes.
func RegexProblem(expression string, err error) string {
	var e *syntax.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	at := len(expression)
	switch e.Code {
	case syntax.ErrMissingParen:
		return fmt.Sprintf("Unclosed group near index %d\n%s", at, expression)
	case syntax.ErrMissingBracket:
		return fmt.Sprintf("Unclosed character class near index %d\n%s\n%s^", at-1, expression, strings.Repeat(" ", max(at-1, 0)))
	case syntax.ErrMissingRepeatArgument:
		at = max(strings.Index(expression, e.Expr), 0)
		return fmt.Sprintf("Dangling meta character '%.1s' near index %d\n%s\n%s^", e.Expr, at, expression, strings.Repeat(" ", at))
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Expr)
}
