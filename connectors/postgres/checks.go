package postgres

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

var (
	prefixForm = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	slotForm   = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)
)

// The checks below are those of single keys.

func checkPort(v string) string {
	if n, err := strconv.Atoi(strings.TrimSpace(v)); err != nil || n < 1 || n > 65535 {
		return "A port between 1 and 65535 is expected"
	}
	return ""
}

func checkNotNegative(v string) string { return atLeast(v, 0, "An non-negative integer is expected") }

func checkNotNegativeLong(v string) string {
	return atLeast(v, 0, "A non-negative long value is expected")
}

func checkPositive(v string) string {
	return atLeast(v, 1, "A positive, non-zero integer value is expected")
}

func checkPositiveLong(v string) string {
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

func checkSlot(v string) string {
	if !slotForm.MatchString(strings.TrimSpace(v)) {
		return "Valid replication slot name must contain only digits, lowercase characters and underscores with length <= 63"
	}
	return ""
}

func checkPublication(v string) string {
	if v = strings.TrimSpace(v); v == "" || len(v) > 63 || strings.ContainsAny(v, "\x00\"") {
		return "a publication name has 1 to 63 bytes, and no double quotes"
	}
	return ""
}

func checkPlugin(v string) string {
	switch v = strings.ToLower(strings.TrimSpace(v)); v {
	case "", "pgoutput":
		return ""
	case "decoderbufs":
		return "decoderbufs is not supported, only pgoutput is; set plugin.name=pgoutput and use a new slot.name, since a slot belongs to the plugin that it was created with"
	}
	return fmt.Sprintf("%s is not supported, only pgoutput is", v)
}

func checkPatterns(v string) string {
	for _, item := range connectors.SplitList(v) {
		if _, err := regexp.Compile(item); err != nil {
			return "A comma-separated list of valid regular expressions is expected, but " + connectors.RegexProblem(item, err)
		}
	}
	return problemOf(changes.ParsePatterns("regular expression", v))
}

func checkNaming(v string) string {
	return problemOf(changes.NewNaming(connectors.Config{"topic.prefix": "p", "topic.naming.strategy": v}, defaultNaming))
}

func checkSkipped(v string) string {
	if _, err := changes.NewOperations(connectors.Config{"skipped.operations": v}); err != nil {
		return "Invalid operation"
	}
	return ""
}

func checkKeyColumns(v string) string { return problemOf(changes.ParseKeys(v)) }

func checkIdentities(v string) string {
	for _, item := range connectors.SplitList(v) {
		if _, err := parseIdentities(item); err != nil {
			return item + ` has an invalid format (expecting '(?i)^\s*(?<tablepredicate>[^\s:]+):(?<replicaidentity>DEFAULT|(INDEX) (?<indexname>.\w*)|FULL|NOTHING)\s*$')`
		}
	}
	return ""
}

func checkSlotParams(v string) string { return problemOf(parseSlotParams(v)) }

func checkPlaceholder(v string) string {
	if digits, ok := strings.CutPrefix(v, "hex:"); ok {
		return problemOf(decodeHex(digits))
	}
	return ""
}

func checkLocking(v string) string { return unsupportedValue(v, "custom") }

func checkSnapshotMode(v string) string {
	return unsupportedValue(v, "configuration_based", "custom")
}

// unsupportedValue names a value that the reference has and Freshet does not have yet.
func unsupportedValue(v string, missing ...string) string {
	for _, m := range missing {
		if strings.EqualFold(strings.TrimSpace(v), m) {
			return "not supported yet: " + m
		}
	}
	return ""
}

func problemOf[T any](_ T, err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

// checkKeys validates every key by itself and then against the others.
func checkKeys(c connectors.Config) []connectors.ConfigValue {
	values, _ := definition().Validate(c) // unknown keys are the runtime's to report: others may read them
	add := func(key, problem string) {
		for i := range values {
			if values[i].Name == key {
				values[i].Errors = append(values[i].Errors, fmt.Sprintf("The '%s' value is invalid: %s", key, problem))
			}
		}
	}
	given := func(key string) bool { return strings.TrimSpace(c[key]) != "" }
	for _, what := range []string{"table", "column", "schema", "database"} {
		include, exclude := what+".include.list", what+".exclude.list"
		if given(include) && given(exclude) {
			add(exclude, fmt.Sprintf("%q is already specified", include))
		}
	}
	if given("message.prefix.include.list") && given("message.prefix.exclude.list") {
		add("message.prefix.exclude.list", `"message.prefix.include.list" is already specified`)
	}
	batch, errBatch := strconv.Atoi(strings.TrimSpace(definition().Values(c).String("max.batch.size")))
	queue, errQueue := strconv.Atoi(strings.TrimSpace(definition().Values(c).String("max.queue.size")))
	if errBatch == nil && errQueue == nil && queue <= batch {
		add("max.queue.size", "Must be larger than the maximum batch size")
	}
	for name := range c {
		if strings.HasPrefix(name, "column.mask.") || strings.HasPrefix(name, "column.truncate.") {
			if _, err := changes.NewMasks(connectors.Config{name: c[name]}); err != nil {
				add(name, err.Error())
			}
		}
	}
	for _, table := range connectors.SplitList(c["snapshot.select.statement.overrides"]) {
		if !given("snapshot.select.statement.overrides." + table) {
			add("snapshot.select.statement.overrides", fmt.Sprintf("%s is listed, but snapshot.select.statement.overrides.%s is not given", table, table))
		}
	}
	if len(connectors.Errors(values)) == 0 {
		if _, err := parseConfig(c); err != nil {
			add("topic.prefix", err.Error())
		}
	}
	return values
}
