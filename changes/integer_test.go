package changes

import (
	"math"
	"strconv"
	"testing"
)

func TestAppendInt(t *testing.T) {
	check := func(v int64) {
		if got, want := string(AppendInt([]byte("x"), v)), "x"+strconv.FormatInt(v, 10); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
		if got, want := string(AppendUint(nil, uint64(v))), strconv.FormatUint(uint64(v), 10); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	for v := int64(-20000); v < 200000; v++ {
		check(v)
	}
	for p := int64(1); p > 0 && p < math.MaxInt64/10; p *= 10 {
		for d := int64(-2); d <= 2; d++ {
			check(p*9 + d)
			check(-p + d)
			check(p/7*10 + d)
		}
	}
	check(math.MaxInt64)
	check(math.MinInt64)
}

func FuzzAppendNumbers(f *testing.F) {
	f.Add(int64(1234567890123), 17.5)
	f.Add(int64(-1), 0.001)
	f.Add(int64(99999999), 9999999.999)
	f.Fuzz(func(t *testing.T, v int64, d float64) {
		if got, want := string(AppendInt(nil, v)), strconv.FormatInt(v, 10); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if back, err := strconv.ParseFloat(string(AppendJavaDouble(nil, d, 64)), 64); err != nil || back != d && d == d {
			t.Errorf("%g came back as %g: %v", d, back, err)
		}
		if math.Abs(d) < 1e7 && math.Abs(d) >= 1e-3 {
			want := strconv.FormatFloat(d, 'f', -1, 64)
			if got := string(AppendJavaDouble(nil, d, 64)); got != want && got != want+".0" {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	})
}
