package workerconfig

import (
	"regexp"
	"sort"
	"strings"
)

const hidden = "[hidden]" // the reference's word

// Setting is one key and its value, fit to be shown.
type Setting struct{ Key, Value string }

// Settings lists what differs from the defaults, sorted by key. Values are as they are written, so that what a config provider
// fills in is not in them; passwords and unknown keys are left out of sight (I12).
func (c *Config) Settings() []Setting {
	var out []Setting
	for name, value := range c.written {
		k := find(name)
		value = strings.TrimSpace(value)
		switch {
		case k == nil || Secret(name):
			value = hidden
		case k.HasDefault && value == k.Default:
			continue
		default:
			value = credentials.ReplaceAllString(value, "://"+hidden+"@")
		}
		out = append(out, Setting{name, value})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Key < out[j].Key })
	return out
}

// credentials are those of a URL.
var credentials = regexp.MustCompile(`://[^/@\s]+@`)

// secretName finds names whose values are secrets: the reference's PASSWORD keys and what converters, connectors and plugins
// usually call theirs.
var secretName = regexp.MustCompile(`(?i)passw|passphrase|secret|credentials?$|jaas|token$|api\.?key|user\.?info|keystore\.key|private\.?key$|certificate\.chain|truststore\.certificates|signing\.?key`)

// Secret tells that the value of a key, a worker's or a connector's, should not be shown.
func Secret(name string) bool { return secretName.MatchString(name) }
