package registry

import "testing"

func TestRecent(t *testing.T) {
	t.Parallel()
	var r Recent[int, string]
	if v, ok := r.Find(0); ok {
		t.Errorf("found %q in nothing", v)
	}
	r.Add(0, "zero")
	r.Add(1, "one")
	for key, want := range []string{"zero", "one"} {
		if v, ok := r.Find(key); !ok || v != want {
			t.Errorf("%d: %q, %v", key, v, ok)
		}
	}
	for i := range 5 * maxRecent {
		r.Add(i, "")
		if len(r.all) > maxRecent {
			t.Fatalf("%d are remembered", len(r.all))
		}
	}
}
