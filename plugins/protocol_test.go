package plugins_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/freshet-io/freshet/plugins"
	"github.com/freshet-io/freshet/plugins/pluginpb"
)

// TestProtocolIsThatOfItsVersion compares the calls and their messages with those that plugins of this version of the protocol were
// built for.
func TestProtocolIsThatOfItsVersion(t *testing.T) {
	name := fmt.Sprintf("testdata/protocol-%d.txt", plugins.Protocol)
	got := describeProtocol(pluginpb.File_plugin_proto)
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatalf("%v\nA new version of the protocol records what it is:\n%s", err, got)
	}
	if got != string(want) {
		t.Errorf("the protocol has changed and its version has not: plugins that are out there would misread it. Undo it, or raise plugins.Protocol and keep serving the old one.\ngot:\n%s\nwant (%s):\n%s", got, name, want)
	}
}

// describeProtocol lists what is on the wire: names of calls, numbers and types of fields, numbers of enums.
func describeProtocol(f protoreflect.FileDescriptor) string {
	var b strings.Builder
	for i := range f.Services().Len() {
		s := f.Services().Get(i)
		for j := range s.Methods().Len() {
			m := s.Methods().Get(j)
			fmt.Fprintf(&b, "call %s: %s -> %s\n", m.FullName(), streamed(m.IsStreamingClient(), m.Input()), streamed(m.IsStreamingServer(), m.Output()))
		}
	}
	for i := range f.Messages().Len() {
		m := f.Messages().Get(i)
		for j := range m.Fields().Len() {
			d := m.Fields().Get(j)
			fmt.Fprintf(&b, "field %s.%d: %s %s %s%s\n", m.Name(), d.Number(), d.Cardinality(), d.Kind(), d.Name(), typeOf(d))
		}
	}
	for i := range f.Enums().Len() {
		e := f.Enums().Get(i)
		for j := range e.Values().Len() {
			fmt.Fprintf(&b, "enum %s.%d: %s\n", e.Name(), e.Values().Get(j).Number(), e.Values().Get(j).Name())
		}
	}
	return b.String()
}

func streamed(many bool, m protoreflect.MessageDescriptor) string {
	if many {
		return "stream " + string(m.Name())
	}
	return string(m.Name())
}

func typeOf(d protoreflect.FieldDescriptor) string {
	switch {
	case d.IsMap():
		return fmt.Sprintf(" map of %s to %s", d.MapKey().Kind(), d.MapValue().Kind())
	case d.Message() != nil:
		return " " + string(d.Message().Name())
	case d.Enum() != nil:
		return " " + string(d.Enum().Name())
	case d.HasPresence():
		return " present or not"
	}
	return ""
}
