package elasticsearch

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
)

const (
	create = connectors.OpCreate
	update = connectors.OpUpdate
	gone   = connectors.OpDelete
)

// Only what the server was too busy for is sent again.
func TestRepeatsWhatFailed(t *testing.T) {
	server := newFake(t)
	refused := map[string]int{}
	server.answer = func(_ int, _, id string, _ json.RawMessage) (int, *failureCause) {
		if refused[id]++; id > "5" && refused[id] < 3 {
			return map[bool]int{true: 429, false: 503}[id > "7"], &failureCause{Type: "es_rejected_execution_exception", Reason: "queue is full"}
		}
		return 200, nil
	}
	r := newRig(t, server, keyInFlight, "1")
	want := map[string]string{}
	var list []change
	for id := range 10 {
		list = append(list, change{create, id, "a", at(1, 5)})
		want[fmt.Sprint(id)] = "a"
	}
	r.put(list...)
	if err := r.flush(); err != nil {
		t.Fatal(err)
	}
	r.holds(want)
	if server.actions != 10+2*4 {
		t.Errorf("%d actions were sent, not 18", server.actions)
	}
	if len(r.Acked()) != 1 || r.sink.gate.limit != 1 {
		t.Errorf("acknowledged %v, limit %v", r.Acked(), r.sink.gate.limit)
	}
}

// Changes of one key are done in their order, also when some are repeated, and an older one comes again.
func TestOrderPerKey(t *testing.T) {
	server := newFake(t)
	server.answer = func(n int, _, _ string, _ json.RawMessage) (int, *failureCause) {
		if n%3 == 0 {
			return 429, &failureCause{Type: "es_rejected_execution_exception"}
		}
		return 200, nil
	}
	r := newRig(t, server)
	want := map[string]string{}
	for n := range 200 {
		id := n * 7 % 10
		c := change{update, id, fmt.Sprint(n), at(1, uint64(n+1))}
		if n%20 == 3 {
			c.op = gone
			delete(want, fmt.Sprint(id))
		} else {
			want[fmt.Sprint(id)] = c.text
		}
		r.put(c)
	}
	for n := range 20 { // a replay
		r.put(change{update, n * 7 % 10, "old", at(1, uint64(n+1))})
	}
	if err := r.flush(); err != nil {
		t.Fatal(err)
	}
	r.holds(want)
}

func TestConflictWithALaterHistory(t *testing.T) {
	r := newRig(t, newFake(t))
	r.put(change{create, 1, "new", at(2, 5)})
	if err := r.flush(); err != nil {
		t.Fatal(err)
	}
	r.put(change{update, 1, "old", at(1, 900)})
	err := r.flush()
	if connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(fmt.Sprint(err), "later history") {
		t.Errorf("error %v", err)
	}
	r.holds(map[string]string{"1": "new"})
}

// A request that is too large is split, and one document that is too large is rejected.
func TestTooLarge(t *testing.T) {
	server := newFake(t)
	server.whole = func(_, actions, size int) (int, string) {
		if size > 1000 {
			return 413, ""
		}
		return 0, ""
	}
	r := newRig(t, server, keyInFlight, "1")
	r.Tolerant = true
	want := map[string]string{}
	var list []change
	for id := range 50 {
		text := strings.Repeat("x", 50)
		if id == 20 {
			text = strings.Repeat("y", 2000)
		} else {
			want[fmt.Sprint(id)] = text
		}
		list = append(list, change{create, id, text, at(1, 5)})
	}
	r.put(list...)
	if err := r.flush(); err != nil {
		t.Fatal(err)
	}
	r.holds(want)
	if len(r.Rejected()) != 1 || !strings.HasPrefix(r.Rejected()[0], "1/20:") {
		t.Errorf("rejected: %v", r.Rejected())
	}
}

// A refused document is rejected with its table and the server's reason; what it superseded in the same request is written.
func TestRefusedDocument(t *testing.T) {
	server := newFake(t)
	server.answer = func(_ int, _, _ string, doc json.RawMessage) (int, *failureCause) {
		if strings.Contains(string(doc), "bad") {
			return 400, &failureCause{Type: "document_parsing_exception", Reason: "failed to parse field [text]\n at [Source: secret]", CausedBy: &failureCause{Reason: "for this reason"}}
		}
		return 200, nil
	}
	r := newRig(t, server)
	r.Tolerant = true
	r.put(change{create, 1, "good", at(1, 5)}, change{update, 1, "bad", at(1, 6)}, change{create, 2, "fine", at(1, 7)})
	if err := r.flush(); err != nil {
		t.Fatal(err)
	}
	r.holds(map[string]string{"1": "good", "2": "fine"})
	if len(r.Rejected()) != 1 {
		t.Fatalf("rejected: %v", r.Rejected())
	}
	for _, part := range []string{"1/1:", "table public.bets", "failed to parse field [text]", "document_parsing_exception"} {
		if !strings.Contains(r.Rejected()[0], part) {
			t.Errorf("%q is not in: %s", part, r.Rejected()[0])
		}
	}
	if strings.Contains(r.Rejected()[0], "secret") {
		t.Errorf("the document is in the error: %s", r.Rejected()[0])
	}
}

// One action that the server does not like can fail the request: the others are written.
func TestRefusedRequest(t *testing.T) {
	server := newFake(t)
	bad := 0
	server.whole = func(_, actions, size int) (int, string) {
		if size > 4000 {
			bad++
			return 400, `{"error":{"type":"action_request_validation_exception","reason":"Validation Failed: 1: id is too long"},"status":400}`
		}
		return 0, ""
	}
	r := newRig(t, server)
	r.Tolerant = true
	r.put(change{create, 1, "a", at(1, 5)}, change{create, 2, strings.Repeat("x", 4000), at(1, 6)}, change{create, 3, "c", at(1, 7)})
	if err := r.flush(); err != nil {
		t.Fatal(err)
	}
	r.holds(map[string]string{"1": "a", "3": "c"})
	if len(r.Rejected()) != 1 || !strings.Contains(r.Rejected()[0], "id is too long") {
		t.Errorf("rejected: %v", r.Rejected())
	}
}

func TestPermanentAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		cause  *failureCause
		text   string
	}{
		"401":       {401, nil, "check connection.username"},
		"403":       {403, nil, "privileges"},
		"item403":   {200, &failureCause{Type: "security_exception", Reason: "unauthorized"}, "privileges"},
		"elsewhere": {404, nil, "404"},
	} {
		t.Run(name, func(t *testing.T) {
			server := newFake(t)
			server.whole = func(int, int, int) (int, string) { return c.status % 200, "" }
			server.answer = func(int, string, string, json.RawMessage) (int, *failureCause) { return 403, c.cause }
			if c.status != 200 {
				server.whole = func(int, int, int) (int, string) { return c.status, "" }
			}
			r := newRig(t, server, keyUser, "u", keyPassword, "secret")
			r.put(change{create, 1, "a", at(1, 5)})
			err := r.flush()
			if connectors.ClassOf(err) != connectors.Permanent || !strings.Contains(fmt.Sprint(err), c.text) || strings.Contains(fmt.Sprint(err), "secret") {
				t.Errorf("error %v", err)
			}
			if len(r.Acked()) > 0 {
				t.Error("acknowledged")
			}
		})
	}
}

// A read-only index is waited for.
func TestReadOnlyIndex(t *testing.T) {
	server := newFake(t)
	blocked := 3
	server.answer = func(int, string, string, json.RawMessage) (int, *failureCause) {
		if blocked--; blocked >= 0 {
			return map[bool]int{true: 403, false: 429}[blocked == 1], &failureCause{Type: blockException, Reason: "index [x] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark]"}
		}
		return 200, nil
	}
	r := newRig(t, server)
	r.put(change{create, 1, "a", at(1, 5)})
	if err := r.flush(); err != nil {
		t.Fatal(err)
	}
	r.holds(map[string]string{"1": "a"})
}

// A node that is down is left for another one.
func TestNodeDown(t *testing.T) {
	dead, server := newFake(t), newFake(t)
	r := newRig(t, server)
	dead.Close()
	down := &node{url: dead.URL, name: "dead"}
	r.sink.client.nodes = []*node{down, r.sink.client.nodes[0]}
	for n := range 20 {
		r.put(change{create, n, "a", at(1, 5)})
		if err := r.flush(); err != nil {
			t.Fatal(err)
		}
	}
	if len(server.docs) != 20 || down.until.Load() == 0 {
		t.Errorf("%d documents; the dead node is avoided until %d", len(server.docs), down.until.Load())
	}
}

func TestVersion(t *testing.T) {
	for _, c := range []struct {
		order connectors.Order
		want  uint64
		fails bool
	}{
		{at(0, 0), 0, false},
		{at(1, 7), 1<<55 | 7, false},
		{at(255, 1<<55-1), 1<<63 - 1, false},
		{at(256, 1), 0, true},
		{at(1, 1<<55), 0, true},
		{at(3, 8388607<<32|4294967295), 3<<55 | (1<<55 - 1), false},
		{at(1, 8388608<<32), 0, true},
	} {
		got, err := versionOf(c.order)
		if got != c.want || (err != nil) != c.fails {
			t.Errorf("%+v: %d, %v", c.order, got, err)
		}
	}
}
