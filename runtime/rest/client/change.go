package client

import (
	"maps"
	"slices"

	"github.com/freshet-io/freshet/connectors"
)

// Change is one key that differs between two configurations; Old or New is nil where the key is not there.
type Change struct {
	Key      string
	Old, New *string
}

// Changes compares configurations, by key. The name is the connector's and left out.
func Changes(old, next connectors.Config) []Change {
	names := map[string]bool{}
	for _, c := range []connectors.Config{old, next} {
		for name := range c {
			names[name] = name != "name"
		}
	}
	var out []Change
	for _, name := range slices.Sorted(maps.Keys(names)) {
		was, had := old[name]
		is, has := next[name]
		if !names[name] || had == has && was == is {
			continue
		}
		c := Change{Key: name}
		if had {
			c.Old = &was
		}
		if has {
			c.New = &is
		}
		out = append(out, c)
	}
	return out
}
