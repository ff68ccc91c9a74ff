// Package file reads lines of a growing file into records, and writes records as lines into a file or to standard output.
//
// The sink is exactly once: it keeps positions and the length of the file in a side file (<file>.freshet), and cuts off what
// lies behind that length when it starts. Standard output, and a file that tasks fed by Kafka topics share, are at least once.
//
// Goroutines: "write" of a sink with a file (writes, syncs and acknowledges what has been put), from Start to Stop.
package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
)

// reference is the version of Kafka whose connectors these stand for.
const reference = "4.3.0"

// Sources makes sources that read a file.
type Sources struct{ Version string }

// Describe implements connectors.Factory.
func (f Sources) Describe() connectors.Description {
	return connectors.Description{
		Class: "org.apache.kafka.connect.file.FileStreamSourceConnector", Aliases: []string{"FileStreamSource", "file"}, Source: true,
		Version: f.Version, Reference: reference, Doc: "Reads the lines of a growing file.", Config: sourceConfig(),
		Resumes: func(c connectors.Config) bool { return strings.TrimSpace(c["file"]) != "" },
	}
}

// Validate implements connectors.Factory.
func (f Sources) Validate(_ context.Context, c connectors.Config) []connectors.ConfigValue {
	return sourceConfig().Check(c)
}

// Tasks implements connectors.Factory: one file, one task.
func (f Sources) Tasks(_ context.Context, c connectors.Config, _ int) ([]connectors.Config, error) {
	return []connectors.Config{c}, nil
}

// NewSource implements connectors.SourceFactory.
func (f Sources) NewSource(c connectors.Config, _ connectors.Settings) (connectors.SourceTask, error) {
	return newSource(sourceConfig().Values(c))
}

// Sinks makes sinks that write to a file or to standard output.
type Sinks struct {
	Version    string
	Converters converters.Set
	// NoStdout is for sinks in processes whose standard output is a log: they need a file.
	NoStdout bool
}

var errNoStdout = errors.New("a sink in a process of its own (plugin.isolation=process) has no standard output; name a file, or set plugin.isolation=none for it")

// Describe implements connectors.Factory.
func (f Sinks) Describe() connectors.Description {
	return connectors.Description{
		Class: "org.apache.kafka.connect.file.FileStreamSinkConnector", Aliases: []string{"FileStreamSink", "file"}, Sink: true,
		Version: f.Version, Reference: reference, Doc: "Writes one line per record into a file (exactly once) or to standard output (at least once).",
		Config: sinkConfig(), Keeper: true, FromTopics: true,
	}
}

// Validate implements connectors.Factory; the file must be writable.
func (f Sinks) Validate(_ context.Context, c connectors.Config) []connectors.ConfigValue {
	values := sinkConfig().Check(c)
	if len(connectors.Errors(values)) > 0 {
		return values
	}
	var err error
	path := strings.TrimSpace(c["file"])
	switch {
	case path != "":
		err = checkPlace(path)
	case f.NoStdout:
		err = errNoStdout
	}
	if err != nil {
		for i := range values {
			if values[i].Name == "file" {
				values[i].Errors = append(values[i].Errors, fmt.Sprintf("Invalid value %s for configuration file: %v", path, err))
			}
		}
	}
	return values
}

func checkPlace(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return fmt.Errorf("%s is a directory", path)
	} else if err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return fmt.Errorf("the directory %s does not exist", filepath.Dir(path))
	}
	return nil
}

// Tasks implements connectors.Factory.
func (f Sinks) Tasks(_ context.Context, c connectors.Config, _ int) ([]connectors.Config, error) {
	return []connectors.Config{c}, nil
}

// NewSink implements connectors.SinkFactory.
func (f Sinks) NewSink(c connectors.Config, s connectors.Settings) (connectors.SinkTask, error) {
	form := newLines
	if s.Shared {
		form = newTopicLines
	}
	lines, err := form(f.Converters, c, s.Worker)
	if err != nil {
		return nil, err
	}
	path := strings.TrimSpace(c["file"])
	if path == "" && f.NoStdout {
		return nil, connectors.AsPermanent(fmt.Errorf("write to standard output: %w", errNoStdout))
	}
	if path == "" {
		return &stdout{lines: lines, out: os.Stdout}, nil
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("find file %s: %w", path, err)
	}
	out := newSink(path, s.Connector, lines)
	if s.Shared {
		out.shared = true
		return out, nil
	}
	return keeper{out}, nil
}
