package postgres

import (
	"regexp"
	"strings"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

var slotForm = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)

// The checks below are those of single keys.

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
	if strings.EqualFold(strings.TrimSpace(v), "decoderbufs") {
		return "decoderbufs is not supported, only pgoutput is; set plugin.name=pgoutput and use a new slot.name, since a slot belongs to the plugin that it was created with"
	}
	return ""
}

func checkIdentities(v string) string {
	for _, item := range connectors.SplitList(v) {
		if _, err := parseIdentities(item); err != nil {
			return item + ` has an invalid format (expecting '(?i)^\s*(?<tablepredicate>[^\s:]+):(?<replicaidentity>DEFAULT|(INDEX) (?<indexname>.\w*)|FULL|NOTHING)\s*$')`
		}
	}
	return ""
}

func checkSlotParams(v string) string { return changes.ProblemOf(parseSlotParams(v)) }

func checkPlaceholder(v string) string {
	if digits, ok := strings.CutPrefix(v, "hex:"); ok {
		return changes.ProblemOf(decodeHex(digits))
	}
	return ""
}

func checkLocking(v string) string { return changes.UnsupportedValue(v, "custom") }

func checkSnapshotMode(v string) string {
	return changes.UnsupportedValue(v, "configuration_based", "custom")
}

// checkKeys validates every key by itself and then against the others.
func checkKeys(c connectors.Config) []connectors.ConfigValue {
	return changes.CheckKeys(definition(), c, func(func(key, problem string)) error {
		_, err := parseConfig(c)
		return err
	})
}
