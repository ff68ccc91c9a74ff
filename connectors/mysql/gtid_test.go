package mysql

import (
	"math/rand/v2"
	"testing"

	library "github.com/go-mysql-org/go-mysql/mysql"
)

const (
	uuidA = "4095c772-e51e-11f1-bfe8-02fc00000001"
	uuidB = "00000000-e51e-11f1-bfe8-02fc00000002"
)

func set(t *testing.T, text string) *gtidSet {
	t.Helper()
	s, err := parseGTIDSet(text, false)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestGTIDSetText(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "",
		uuidA + ":1-15":                    uuidA + ":1-15",
		uuidA + ":5":                       uuidA + ":5-5",
		uuidA + ":7-9:1-3:4-6":             uuidA + ":1-9",
		uuidA + ":1-3:5,\n" + uuidB + ":2": uuidA + ":1-3:5-5," + uuidB + ":2-2",
		uuidA + ":1-3:tag_b:1-2:tag_a:4":   uuidA + ":1-3:tag_a:4-4:tag_b:1-2",
		uuidA + ":1," + uuidB + ":1," + uuidA + ":x:1": uuidA + ":1-1:x:1-1," + uuidB + ":1-1",
	} {
		if got := set(t, text).String(); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{"x", "x:1", uuidA + ":3-1", uuidA + ":0", uuidA + ":1-x"} {
		if s, err := parseGTIDSet(text, false); err == nil {
			t.Errorf("%q: %s", text, s)
		}
	}
}

func TestGTIDSetArithmetic(t *testing.T) {
	a := set(t, uuidA+":1-10:20-30,"+uuidB+":1-5")
	if !set(t, uuidA+":2-9,"+uuidB+":5").within(a) || set(t, uuidA+":9-12").within(a) || set(t, uuidA+":x:1").within(a) || !set(t, "").within(a) {
		t.Error("within")
	}
	if got := a.without(set(t, uuidA+":5-22")).String(); got != uuidA+":1-4:23-30,"+uuidB+":1-5" {
		t.Error(got)
	}
	if got := a.without(a); !got.empty() {
		t.Error(got)
	}
	if !a.meets(set(t, uuidA+":10-19")) || a.meets(set(t, uuidA+":11-19")) || a.meets(set(t, "")) {
		t.Error("meets")
	}
	if got := set(t, uuidA+":1-3").merge(set(t, uuidA+":1-9,"+uuidB+":1-2")).String(); got != uuidB+":1-2,"+uuidA+":1-3" {
		t.Error(got)
	}
	if got := a.retain(func(origin string) bool { return origin == uuidB }).String(); got != uuidB+":1-5" {
		t.Error(got)
	}
}

// TestGTIDSetAgainstLibrary adds random transactions and compares with go-mysql's sets.
func TestGTIDSetAgainstLibrary(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		ours := &gtidSet{}
		theirs, err := library.ParseMysqlGTIDSet("")
		if err != nil {
			t.Fatal(err)
		}
		for range r.IntN(60) {
			g := gtid{origin: []string{uuidA, uuidB}[r.IntN(2)], tag: []string{"", "t"}[r.IntN(2)], number: 1 + r.Int64N(20)}
			ours.add(&g)
			if !ours.has(&g) {
				t.Fatalf("%s lacks %s", ours, g.append(nil, false))
			}
			if err := theirs.Update(string(g.append(nil, false))); err != nil {
				t.Fatal(err)
			}
		}
		back, err := library.ParseMysqlGTIDSet(ours.String())
		if err != nil || !back.Equal(theirs) {
			t.Fatalf("%s, want %s: %v", ours, theirs, err)
		}
		if !set(t, theirs.String()).within(ours) || !ours.within(set(t, theirs.String())) {
			t.Fatalf("%s is not %s", ours, theirs)
		}
	}
}

func TestMariaDBPosition(t *testing.T) {
	s, err := parseGTIDSet("0-1-100,0-2-101,3-1-7", true)
	if err != nil || s.String() != "0-2-101,3-1-7" {
		t.Fatalf("%s, %v", s, err)
	}
	s.add(&gtid{origin: "0", server: 1, number: 102})
	if s.String() != "0-1-102,3-1-7" || !s.has(&gtid{origin: "0", server: 2, number: 50}) {
		t.Fatal(s)
	}
	if older, _ := parseGTIDSet("0-9-99", true); !older.within(s) || s.within(older) {
		t.Fatal("within")
	}
}

func BenchmarkGTIDSetAdd(b *testing.B) {
	s, err := parseGTIDSet(uuidA+":1-10", false)
	if err != nil {
		b.Fatal(err)
	}
	g := gtid{origin: uuidA, number: 11}
	b.ReportAllocs()
	for b.Loop() {
		s.add(&g)
		g.number++
	}
}
