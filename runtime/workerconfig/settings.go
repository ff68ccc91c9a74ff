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
		case k == nil:
			value = hidden
		case k.HasDefault && value == k.Default:
			continue
		}
		out = append(out, Setting{name, Mask(name, value)})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Key < out[j].Key })
	return out
}

// Mask returns the value of a key, a worker's or a connector's, fit to be shown: without a secret, and without the credentials in
// a URL. A secret that is only a reference to a config provider stays.
func Mask(name, value string) string {
	if Secret(name) && (reference.FindString(value) != value || value == "") {
		return hidden
	}
	value = credentials.ReplaceAllString(value, "://"+hidden+"@")
	return parameters.ReplaceAllString(value, "${1}"+hidden)
}

// What hides secrets in a URL: its user, and parameters.
var (
	credentials = regexp.MustCompile(`://[^/@\s]+@`)
	parameters  = regexp.MustCompile(`(?i)([?&;](?:password|passwd|pwd|secret|token)=)[^&;\s]+`)
)

// secretName finds names whose values are secrets: the reference's PASSWORD keys and what converters, connectors and plugins
// usually call theirs.
var secretName = regexp.MustCompile(`(?i)passw|passphrase|secret|credentials?$|jaas|token$|api\.?key|user\.?info|keystore\.key|private\.?key$|certificate\.chain|truststore\.certificates|signing\.?key`)

// Secret tells that the value of a key, a worker's or a connector's, should not be shown.
func Secret(name string) bool { return secretName.MatchString(name) }
