package offsets

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
)

func TestTracker(t *testing.T) {
	tr := NewTracker()
	e := func(p, o string) Entry { return Entry{Partition(p), Offset(o)} }
	tr.Add(1, e("p", "1"), 1)
	tr.Add(2, e("p", "2"), 2)
	tr.Add(3, e("p", ""), 1, e("x", "of 3"), e("y", ""))
	tr.Add(4, e("q", "1"), 1)
	steps := []struct {
		ack  uint64
		grew bool
		want string
	}{
		{3, false, "[]"},
		{2, false, "[]"},
		{99, false, "[]"},
		{1, true, "[{p 1}]"},
		{1, false, "[]"},
		{4, true, "[{q 1}]"},
		{2, true, "[{p 2} {x of 3} {y }]"},
	}
	for _, s := range steps {
		if grew := tr.Ack(s.ack); grew != s.grew {
			t.Errorf("ack %d: grew %v", s.ack, grew)
		}
		if got := fmt.Sprint(tr.Take()); got != s.want {
			t.Errorf("ack %d: got %s, want %s", s.ack, got, s.want)
		}
	}
	if n := tr.InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

func TestTrackerPutbackAndDrop(t *testing.T) {
	tr := NewTracker()
	tr.Add(1, Entry{"p", "1"}, 0)
	tr.Add(2, Entry{"q", "1"}, 0)
	taken := tr.Take()
	tr.Add(3, Entry{"p", "2"}, 0)
	tr.Drop("q")
	tr.Putback(taken)
	if got := fmt.Sprint(tr.Take()); got != "[{p 2}]" {
		t.Errorf("got %s: newer entries stay, those of a lost partition do not come back", got)
	}
	tr.Add(4, Entry{"p", "3"}, 1)
	tr.Drop("p")
	if tr.Ack(4) || tr.InFlight() != 0 || tr.Take() != nil {
		t.Error("a lost partition was committed")
	}
}

func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		`{"server":"a"}`: `{"server":"a"}`,
		` { "b" : 1.50 , "a" : "x y" , "c": null, "d":true } `: `{"a":"x y","b":1.50,"c":null,"d":true}`,
		`{}`:                         `{}`,
		`{"n":12345678901234567890}`: `{"n":12345678901234567890}`,
		`{"a":"é\"\\"}`:              `{"a":"é\"\\"}`,
		`{"b":1,"a":0,"b":"x"}`:      `{"a":0,"b":"x"}`,
	} {
		got, err := Canonical([]byte(in))
		if err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v", in, got, err)
		}
	}
	for _, in := range []string{``, `[]`, `1`, `"a"`, `null`, `{"a":{}}`, `{"a":[1]}`, `{"a":1`, `{"a":1}}`, `{"a":1} {"b":2}`, `{a:1}`} {
		if got, err := Canonical([]byte(in)); err == nil {
			t.Errorf("%s: got %s, no error", in, got)
		}
	}
	o, err := ParseOffset([]byte(` {"z": 1, "a": 2}`))
	if err != nil || o != `{"z":1,"a":2}` {
		t.Errorf("the order of an offset's members was lost: %s, %v", o, err)
	}
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{`{"server":"a"}`, `{"b":1,"a":"\u00e9"}`, `{"a":{}}`, `{`, `{"a":1}x`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Canonical(text)
		if err != nil {
			return
		}
		var m map[string]any
		if err := json.Unmarshal([]byte(p), &m); err != nil {
			t.Fatalf("%q: canonical form %q: %v", text, p, err)
		}
		again, err := Canonical([]byte(p))
		if err != nil || again != p {
			t.Fatalf("%q: %q becomes %q, %v", text, p, again, err)
		}
	})
}

func TestMemory(t *testing.T) {
	ctx := context.Background()
	m := NewMemory()
	if err := m.Save(ctx, "c", []Entry{{"b", "1"}, {"a", "2"}}); err != nil {
		t.Fatal(err)
	}
	if err := m.Save(ctx, "c", []Entry{{"b", ""}, {"d", "3"}}); err != nil {
		t.Fatal(err)
	}
	got, err := m.Load(ctx, "c")
	if err != nil || fmt.Sprint(got) != "[{a 2} {d 3}]" {
		t.Errorf("got %v, %v", got, err)
	}
	got, err = m.Load(ctx, "c", "d", "b")
	if err != nil || fmt.Sprint(got) != "[{d 3}]" {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := m.Load(ctx, "other"); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := m.Save(cancelled, "c", nil); err == nil {
		t.Error("Save ignores its context")
	}
}
