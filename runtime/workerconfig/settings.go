package workerconfig

import (
	"log/slog"
	"regexp"
	"sort"
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

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
			value = connectors.Hidden
		case k.HasDefault && value == k.Default:
			continue
		}
		out = append(out, Setting{name, Mask(name, value)})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Key < out[j].Key })
	return out
}

// Attrs are the settings for log/slog.
func (c *Config) Attrs() []any {
	var out []any
	for _, s := range c.Settings() {
		out = append(out, slog.String(s.Key, s.Value))
	}
	return out
}

// Mask returns the value of a key, a worker's or a connector's, fit to be shown: without a secret, and without the credentials in
// a URL. A secret that is only a reference to a config provider stays.
func Mask(name, value string) string {
	if connectors.SecretName(name) && (reference.FindString(value) != value || value == "") {
		return connectors.Hidden
	}
	value = credentials.ReplaceAllString(value, "://"+connectors.Hidden+"@")
	return parameters.ReplaceAllString(value, "${1}"+connectors.Hidden)
}

// What hides secrets in a URL: its user, and parameters.
var (
	credentials = regexp.MustCompile(`://[^/@\s]+@`)
	parameters  = regexp.MustCompile(`(?i)([?&;](?:password|passwd|pwd|secret|token)=)[^&;\s]+`)
)
