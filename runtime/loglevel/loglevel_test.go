package loglevel

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestSetReachesWhatIsBelow(t *testing.T) {
	t.Parallel()
	l := New(slog.LevelInfo)
	set := func(name string, level slog.Level, want ...string) {
		t.Helper()
		got, err := l.Set(name, level)
		if err != nil || !reflect.DeepEqual(got, append([]string{}, want...)) {
			t.Errorf("set %s to %v: %v, %v; want %v", name, level, got, err, want)
		}
	}
	set("a.b", slog.LevelDebug, "a.b")
	set("ab", slog.LevelDebug, "ab")
	set("a", slog.LevelWarn, "a", "a.b")
	set("a", slog.LevelWarn)
	if got, _ := l.Get("a.b"); got.Level != "WARN" || got.Changed == nil {
		t.Errorf("a.b: %+v", got)
	}
	set("a.b.c", slog.LevelWarn) // has it from a.b
	if got, _ := l.Get("a.b.c"); got.Level != "WARN" || got.Changed != nil {
		t.Errorf("a.b.c: %+v", got)
	}
	set("", Off, "a", "a.b", "a.b.c", "ab", "root")
	if _, ok := l.Get("c"); ok {
		t.Error("c is there")
	}
	if n := len(l.All()); n != 5 {
		t.Errorf("%d loggers", n)
	}
}

func TestNamesAreBounded(t *testing.T) {
	t.Parallel()
	l := New(slog.LevelInfo)
	for range 1000 {
		if _, err := l.Set(strings.Repeat("x", 1000)+"."+strings.Repeat("y", len(l.All())), slog.LevelDebug); err != nil {
			if !errors.Is(err, ErrTooMany) {
				t.Error(err)
			}
			return
		}
	}
	t.Error("no bound")
}

func TestHandlerFollowsItsLogger(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := New(slog.LevelInfo)
	log := slog.New(l.Handler(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.Level(math.MinInt32)})))
	rest := log.With("logger", "freshet.rest").WithGroup("g").With("k", "v")
	rest.Debug("one")
	if _, err := l.Set("freshet", slog.LevelDebug); err != nil {
		t.Fatal(err)
	}
	rest.Debug("two")
	log.Debug("three")
	log.Info("four")
	if _, err := l.Set(Root, Off); err != nil {
		t.Fatal(err)
	}
	rest.Error("five")
	for word, want := range map[string]bool{"one": false, "two": true, "three": false, "four": true, "five": false} {
		if got := strings.Contains(out.String(), word); got != want {
			t.Errorf("%s is there: %v\n%s", word, got, out.String())
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ALL", "trace", "Debug", "INFO", "WARN", "ERROR", "FATAL", "OFF"} {
		level, ok := Parse(name)
		if !ok || Name(level) != strings.ToUpper(name) {
			t.Errorf("%s: %v %v", name, level, ok)
		}
	}
	if _, ok := Parse("LOUD"); ok {
		t.Error("LOUD is a level")
	}
}
