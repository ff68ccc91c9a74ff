package cluster

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet-io/freshet/runtime/herder"
)

func drawTasks(t *rapid.T, label string) []herder.TaskID {
	var ids []herder.TaskID
	for _, name := range rapid.SliceOfDistinct(rapid.String(), rapid.ID[string]).Draw(t, label) {
		for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(-1, 1<<20), 1, 8, rapid.ID[int]).Draw(t, "numbers") {
			ids = append(ids, herder.TaskID{Connector: name, Task: n})
		}
	}
	return ids
}

func TestWireKeepsWhatIsSaid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := metadata{
			url: rapid.String().Draw(t, "url"), version: rapid.String().Draw(t, "version"), offset: rapid.Int64().Draw(t, "offset"),
			running: drawTasks(t, "running"),
		}
		gotM, err := decodeMetadata(m.encode())
		sortTasks(m.running)
		if err != nil || !reflect.DeepEqual(gotM, m) {
			t.Fatalf("%+v became %+v, %v", m, gotM, err)
		}
		a := assignment{
			err: rapid.IntRange(0, 3).Draw(t, "error"), again: rapid.Bool().Draw(t, "again"), leader: rapid.String().Draw(t, "leader"),
			leaderURL: rapid.String().Draw(t, "leader url"), offset: rapid.Int64().Draw(t, "offset"),
			delay: time.Duration(rapid.IntRange(0, 1<<31).Draw(t, "delay")) * time.Millisecond,
			tasks: drawTasks(t, "tasks"), revoked: drawTasks(t, "revoked"),
		}
		gotA, err := decodeAssignment(append(a.encode()[:2:2], a.encode()[2:]...))
		sortTasks(a.tasks)
		sortTasks(a.revoked)
		if err != nil || !reflect.DeepEqual(gotA, a) {
			t.Fatalf("%+v became %+v, %v", a, gotA, err)
		}
	})
}

// What a group of three with 1,000 connectors keeps in the broker is far below the size of a message.
func TestWireIsCompact(t *testing.T) {
	m := metadata{url: "http://worker-1.example.com:8083"}
	for i := range 334 {
		for n := -1; n < 1; n++ {
			m.running = append(m.running, herder.TaskID{Connector: fmt.Sprintf("inventory-orders-connector-%d", i*3), Task: n})
		}
	}
	if n := len(m.encode()); n > 6000 {
		t.Errorf("a third of 1,000 connectors takes %d bytes", n)
	}
}

func TestWireOfAnotherVersion(t *testing.T) {
	b := (&metadata{}).encode()
	b[0]++
	if _, err := decodeMetadata(b); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("got %v", err)
	}
}

// FuzzWire: bytes of another member are read or refused, and what was read is written alike.
func FuzzWire(f *testing.F) {
	f.Add((&metadata{url: "http://a:8083", version: "1", offset: 7, running: []herder.TaskID{{Connector: "c", Task: -1}}}).encode())
	f.Add((&assignment{leader: "m", tasks: []herder.TaskID{{Connector: strings.Repeat("c", 600), Task: 3}}, delay: time.Second}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := decodeMetadata(b); err == nil {
			again, err := decodeMetadata(m.encode())
			sortTasks(m.running)
			if err != nil || !reflect.DeepEqual(again, m) {
				t.Fatalf("%+v became %+v, %v", m, again, err)
			}
		}
		if a, err := decodeAssignment(b); err == nil && a.delay >= 0 {
			again, err := decodeAssignment(a.encode())
			sortTasks(a.tasks)
			sortTasks(a.revoked)
			if err != nil || !reflect.DeepEqual(again, a) {
				t.Fatalf("%+v became %+v, %v", a, again, err)
			}
		}
	})
}
