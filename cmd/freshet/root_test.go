package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
)

type stackError struct{}

func (stackError) Error() string { return "no connection" }

func (stackError) Format(s fmt.State, verb rune) {
	text := "no connection"
	if s.Flag('+') {
		text += "\nmain.go:1"
	}
	_, _ = io.WriteString(s, text)
}

func TestErrorsAreLoggedWithoutStacks(t *testing.T) {
	before := slog.Default()
	defer slog.SetDefault(before)
	for _, format := range []string{"text", "json"} {
		var out bytes.Buffer
		if err := (&logging{}).open(&out, format, "info"); err != nil {
			t.Fatal(err)
		}
		slog.Warn("interrupted", "error", fmt.Errorf("read: %w", stackError{}), "again", stackError{})
		if text := out.String(); !strings.Contains(text, "read: no connection") || strings.Contains(text, "main.go") {
			t.Errorf("%s: %s", format, text)
		}
	}
}
