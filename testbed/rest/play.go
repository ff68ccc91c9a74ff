package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Play plays the scenarios of dir whose needs are met, each in a subtest, and fails for every difference that
// differences.json in dir does not give a reason for: {"scenario/step": "why"}. only keeps the scenarios that begin with one of
// these; none: all.
func Play(t *testing.T, dir, base, follower string, have []string, vars map[string]string, only ...string) {
	t.Helper()
	scenarios, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	reasons, err := readReasons(filepath.Join(dir, "differences.json"))
	if err != nil {
		t.Fatal(err)
	}
	with := map[string]string{"DIR": t.TempDir()}
	for k, v := range vars {
		with[k] = v
	}
	p, err := NewPlayer(base, follower, have, with)
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, s := range scenarios {
		if !wanted(s.Name, only) {
			continue
		}
		if lacks := p.Lacks(s); len(lacks) > 0 {
			t.Logf("%s needs %s", s.Name, strings.Join(lacks, ", "))
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			n, differences, err := p.Play(s)
			compared += n
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range differences {
				if why := reasons[d.Scenario+"/"+d.Step]; why != "" {
					t.Logf("%s/%s differs as intended: %s", d.Scenario, d.Step, why)
				} else {
					t.Error(d)
				}
			}
		})
	}
	if err := p.Leave(); err != nil {
		t.Error(err)
	}
	if compared == 0 {
		t.Error("nothing was compared")
	}
	t.Logf("%d steps compared", compared)
}

func wanted(name string, only []string) bool {
	for _, o := range only {
		if strings.HasPrefix(name, o) {
			return true
		}
	}
	return len(only) == 0
}

func readReasons(path string) (map[string]string, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read intended differences: %w", err)
	}
	var out map[string]string
	if err := json.Unmarshal(b, &out); err != nil {
		return nil, fmt.Errorf("read intended differences %s: %w", path, err)
	}
	return out, nil
}
