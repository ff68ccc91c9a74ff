package main

import (
	"runtime/debug"
	"testing"
)

func TestVersion(t *testing.T) {
	module := func(version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: version}, Settings: settings}
	}
	commit, changed := debug.BuildSetting{Key: "vcs.revision", Value: "abc9224"}, debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	for _, c := range []struct {
		linked string
		info   *debug.BuildInfo
		want   string
	}{
		{"v1.2.3-4-gabc9224", module("(devel)"), "v1.2.3-4-gabc9224"},
		{"", module("v1.2.3"), "v1.2.3"},
		{"", module("(devel)"), "devel"},
		{"", module("(devel)", commit), "devel-abc9224"},
		{"", module("(devel)", commit, changed), "devel-abc9224-dirty"},
		{"", nil, "unknown"},
	} {
		if got := versionOf(c.linked, c.info); got != c.want {
			t.Errorf("linked %q: got %s, want %s", c.linked, got, c.want)
		}
	}
}
