package changes

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

var prefixForm = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

// The checks below return what is wrong with the value of a key, "" when it is right.

// CheckPort is the check of a TCP port.
func CheckPort(v string) string {
	if n, err := strconv.Atoi(strings.TrimSpace(v)); err != nil || n < 1 || n > 65535 {
		return "A port between 1 and 65535 is expected"
	}
	return ""
}

// CheckNotNegative is the check of an INT that may be 0.
func CheckNotNegative(v string) string { return atLeast(v, 0, "An non-negative integer is expected") }

// CheckNotNegativeLong is the check of a LONG that may be 0.
func CheckNotNegativeLong(v string) string {
	return atLeast(v, 0, "A non-negative long value is expected")
}

// CheckPositive is the check of an INT of at least 1.
func CheckPositive(v string) string {
	return atLeast(v, 1, "A positive, non-zero integer value is expected")
}

// CheckPositiveLong is the check of a LONG of at least 1.
func CheckPositiveLong(v string) string {
	return atLeast(v, 1, "A positive, non-zero long value is expected")
}

func checkQueueSize(v string) string { return atLeast(v, 1, "A positive queue size is required") }

func atLeast(v string, least int64, problem string) string {
	v = strings.TrimSpace(v)
	if n, err := strconv.ParseInt(v, 10, 64); (v != "" || least > 0) && (err != nil || n < least) {
		return problem
	}
	return ""
}

func checkPrefix(v string) string {
	if v = strings.TrimSpace(v); !prefixForm.MatchString(v) {
		return v + " has invalid format (only the underscore, hyphen, dot and alphanumeric characters are allowed)"
	}
	return ""
}

// CheckPatterns is the check of a list of regular expressions.
func CheckPatterns(v string) string {
	for _, item := range connectors.SplitList(v) {
		if _, err := regexp.Compile(item); err != nil {
			return "A comma-separated list of valid regular expressions is expected, but " + connectors.RegexProblem(item, err)
		}
	}
	return ProblemOf(ParsePatterns("regular expression", v))
}

func checkNaming(v string) string {
	return ProblemOf(NewNaming(connectors.Config{"topic.prefix": "p", "topic.naming.strategy": v}, "io.debezium.schema.SchemaTopicNamingStrategy"))
}

func checkSkipped(v string) string {
	if _, err := NewOperations(connectors.Config{"skipped.operations": v}); err != nil {
		return "Invalid operation"
	}
	return ""
}

func checkKeyColumns(v string) string {
	for _, item := range strings.Split(v, ";") {
		if _, err := ParseKeys(item); err != nil {
			return strings.TrimSpace(item) + ` has an invalid format (expecting '^\s*([^:]+):([^:,]+(,[^:,]+)*)\s*$')`
		}
	}
	return ""
}

// CheckBoolean is the check of a BOOLEAN that the reference looks at twice.
func CheckBoolean(v string) string {
	if v = strings.TrimSpace(v); v != "" && !strings.EqualFold(v, "true") && !strings.EqualFold(v, "false") {
		return "Either 'true' or 'false' is expected"
	}
	return ""
}

var className = regexp.MustCompile(`^[\pL_$][\pL\pN_$]*(\.[\pL_$][\pL\pN_$]*)*$`)

// CheckClass is the check of the name of a Java class.
func CheckClass(v string) string {
	if !className.MatchString(strings.TrimSpace(v)) {
		return "A Java class name is expected"
	}
	return ""
}

// UnsupportedValue names a value that the reference has and Freshet does not have yet.
func UnsupportedValue(v string, missing ...string) string {
	for _, m := range missing {
		if strings.EqualFold(strings.TrimSpace(v), m) {
			return "not supported yet: " + m
		}
	}
	return ""
}

// ProblemOf is the text of an error, as checks return it.
func ProblemOf[T any](_ T, err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

// CheckKeys validates every key by itself and then against the others. When all are in order, more looks at what only the connector
// knows; add adds a problem to a key, and an error is a problem of the configuration as a whole.
func CheckKeys(def *connectors.ConfigDef, c connectors.Config, more func(add func(key, problem string)) error) []connectors.ConfigValue {
	values, _ := def.Validate(c) // unknown keys are the runtime's to report: others may read them
	add := func(key, problem string) {
		for i := range values {
			if values[i].Name == key {
				values[i].Errors = append(values[i].Errors, fmt.Sprintf("The '%s' value is invalid: %s", key, problem))
			}
		}
	}
	given := func(key string) bool { return strings.TrimSpace(c[key]) != "" }
	for _, what := range []string{"table", "column", "schema", "database", "message.prefix"} {
		include, exclude := what+".include.list", what+".exclude.list"
		if given(include) && given(exclude) {
			add(exclude, fmt.Sprintf("%q is already specified", include))
		}
	}
	batch, errBatch := strconv.Atoi(strings.TrimSpace(def.Values(c).String("max.batch.size")))
	queue, errQueue := strconv.Atoi(strings.TrimSpace(def.Values(c).String("max.queue.size")))
	if errBatch == nil && errQueue == nil && queue <= batch {
		add("max.queue.size", "Must be larger than the maximum batch size")
	}
	for name := range c {
		if strings.HasPrefix(name, "column.mask.") || strings.HasPrefix(name, "column.truncate.") {
			if _, err := NewMasks(connectors.Config{name: c[name]}); err != nil {
				add(name, err.Error())
			}
		}
	}
	for _, table := range connectors.SplitList(c[overridesKey]) {
		if !given(overridesKey + "." + table) {
			add(overridesKey, fmt.Sprintf("%s is listed, but %s.%s is not given", table, overridesKey, table))
		}
	}
	if len(connectors.Errors(values)) == 0 {
		if err := more(add); err != nil {
			add("topic.prefix", err.Error())
		}
	}
	return values
}

const overridesKey = "snapshot.select.statement.overrides"

// SnapshotOverrides reads snapshot.select.statement.overrides: the statements by the names of their tables.
func SnapshotOverrides(c connectors.Config) (map[string]string, error) {
	out := map[string]string{}
	for _, table := range connectors.SplitList(c[overridesKey]) {
		key := overridesKey + "." + table
		statement := strings.TrimSpace(c[key])
		if statement == "" {
			return nil, fmt.Errorf("read %s: %s is listed, but %s is not given", overridesKey, table, key)
		}
		out[table] = strings.TrimRight(statement, "; \t\n")
	}
	return out, nil
}

// SplitStatements splits at semicolons; two of them stand for one in a statement.
func SplitStatements(text string) []string {
	var out []string
	for _, s := range strings.Split(strings.ReplaceAll(text, ";;", "\x00"), ";") {
		if s = strings.TrimSpace(strings.ReplaceAll(s, "\x00", ";")); s != "" {
			out = append(out, s)
		}
	}
	return out
}
