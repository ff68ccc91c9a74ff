package golden

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	recordings = "../../testdata/golden/postgres"
	ofMySQL    = "../../testdata/golden/mysql"
)

// folders are the folders of all scenarios.
func folders(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, of := range []string{recordings, ofMySQL} {
		dirs, err := filepath.Glob(filepath.Join(of, "*"))
		if err != nil || len(dirs) < 20 {
			t.Fatalf("%d scenarios in %s, %v", len(dirs), of, err)
		}
		all = append(all, dirs...)
	}
	return all
}

func lines(t *testing.T, name string) []string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

// compareLines compares the golden records with others.
func compareLines(t *testing.T, goldenFile string, candidate []string) []Difference {
	t.Helper()
	file := filepath.Join(t.TempDir(), "records.jsonl")
	if err := os.WriteFile(file, []byte(strings.Join(candidate, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := compareFiles(goldenFile, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// change is a way to spoil a record; it returns false where it does not apply.
type change struct {
	name  string
	apply func(r *object) bool
}

func envelope(r *object) *object {
	p := payload(r.get("value"))
	if p == nil || p.object("source") == nil || !p.object("source").has("connector") {
		return nil
	}
	return p
}

func inEnvelope(f func(p *object) bool) func(*object) bool {
	return func(r *object) bool { p := envelope(r); return p != nil && f(p) }
}

func inSource(f func(s *object) bool) func(*object) bool {
	return inEnvelope(func(p *object) bool { return f(p.object("source")) })
}

func inSchema(f func(s *object) bool) func(*object) bool {
	return func(r *object) bool {
		v, _ := r.get("value").(*object)
		return v != nil && v.object("schema") != nil && f(v.object("schema"))
	}
}

func add(o *object, name string, delta int64) bool {
	v, ok := whole(o.get(name))
	if ok {
		o.set(name, integer(strconv.FormatInt(v+delta, 10)))
	}
	return ok
}

func setAny(o *object, name string, v any) bool {
	if o == nil || !o.has(name) || equal(o.get(name), v) {
		return false
	}
	o.set(name, v)
	return true
}

// firstWhere changes the first member of the row image for which it is possible.
func firstWhere(f func(row *object, name string) bool) func(*object) bool {
	return inEnvelope(func(p *object) bool {
		row := p.object("after")
		return row != nil && slices.ContainsFunc(row.names, func(name string) bool { return f(row, name) })
	})
}

func header(f func(h *array) bool) func(*object) bool {
	return func(r *object) bool {
		h, ok := r.get("headers").(*array)
		return ok && len(h.items) > 0 && f(h)
	}
}

func changes() []change {
	return []change{
		{"op", inEnvelope(func(p *object) bool { return setAny(p, "op", "x") })},
		{"row value", firstWhere(func(row *object, n string) bool { return setAny(row, n, "perturbed") })},
		{"row null", firstWhere(func(row *object, n string) bool { return setAny(row, n, nil) })},
		{"integer to float", firstWhere(func(row *object, n string) bool {
			v, ok := row.get(n).(integer)
			return ok && setAny(row, n, float(v+".0"))
		})},
		{"float text", firstWhere(func(row *object, n string) bool {
			v, ok := row.get(n).(float)
			return ok && setAny(row, n, v+"0")
		})},
		{"optional flag", inSchema(func(s *object) bool {
			fields, _ := s.list("fields")
			return len(fields) > 0 && setAny(fields[0].(*object), "optional", fields[0].(*object).get("optional") != true)
		})},
		{"schema name", inSchema(func(s *object) bool { return setAny(s, "name", fmt.Sprint(s.get("name"), "x")) })},
		{"schema field order", inSchema(func(s *object) bool {
			fields, _ := s.list("fields")
			slices.Reverse(fields)
			return len(fields) > 1
		})},
		{"missing header", header(func(h *array) bool { h.items = h.items[1:]; return true })},
		{"header text", header(func(h *array) bool {
			pair := h.items[0].(*array)
			pair.items[1] = fmt.Sprint(pair.items[1], "x")
			return true
		})},
		{"snapshot marker", inSource(func(s *object) bool { return setAny(s, "snapshot", "true") || setAny(s, "snapshot", "last") })},
		{"tombstone", func(r *object) bool { return setAny(r, "value", nil) || setAny(r, "value", newObject()) }},
		{"null key", func(r *object) bool { return setAny(r, "key", nil) || setAny(r, "key", newObject()) }},
		{"time null", inEnvelope(func(p *object) bool { return setAny(p, "ts_ms", nil) })},
		{"time as text", inEnvelope(func(p *object) bool { return setAny(p, "ts_ms", "1") })},
		{"time not one instant", inEnvelope(func(p *object) bool { return add(p, "ts_us", 5_000_000) })},
		{"LSN order", inSource(func(s *object) bool { return add(s, "lsn", 1_000_000_000_000) })},
		{"binlog order", inSource(func(s *object) bool { return add(s, "pos", 1_000_000_000_000) })},
		{"binlog file", inSource(func(s *object) bool {
			return strings.HasPrefix(fmt.Sprint(s.get("file")), "binlog.") && setAny(s, "file", "binlog.000077")
		})},
		{"GTID", inSource(func(s *object) bool { return s.get("gtid") != nil && setAny(s, "gtid", fmt.Sprint(s.get("gtid"), "1")) })},
		{"member order", inEnvelope(func(p *object) bool { p.set("before", p.remove("before")); return true })},
	}
}

// spoiled applies the change to the first record where that is possible.
func spoiled(t *testing.T, rows []string, c change) []string {
	t.Helper()
	for i, row := range rows {
		if strings.HasPrefix(row, `{"topic":"`+heartbeats) {
			continue
		}
		v, err := parse(row)
		if err != nil {
			t.Fatal(err)
		}
		if c.apply(v.(*object)) {
			out := slices.Clone(rows)
			out[i] = dump(v)
			return out
		}
	}
	return nil
}

// swapped exchanges two neighbours with one key.
func swapped(t *testing.T, rows []string) []string {
	t.Helper()
	for i := 1; i < len(rows); i++ {
		a, err := parse(rows[i-1])
		if err != nil {
			t.Fatal(err)
		}
		b, err := parse(rows[i])
		if err != nil {
			t.Fatal(err)
		}
		x, y := a.(*object), b.(*object)
		if x.get("topic") == y.get("topic") && equal(x.get("key"), y.get("key")) && !equal(x.get("value"), y.get("value")) && !strings.HasPrefix(x.get("topic").(string), "__") {
			out := slices.Clone(rows)
			out[i-1], out[i] = out[i], out[i-1]
			return out
		}
	}
	return nil
}

// later is the same recording from another run: other times, positions and ids.
func later(text string) string {
	shift := func(pattern string, by int64) {
		re := regexp.MustCompile(pattern)
		text = re.ReplaceAllStringFunc(text, func(m string) string {
			at := re.FindStringSubmatchIndex(m)
			n, err := strconv.ParseInt(m[at[2]:at[3]], 10, 64)
			if err != nil {
				return m
			}
			return m[:at[2]] + strconv.FormatInt(n+by, 10) + m[at[3]:]
		})
	}
	shift(`"ts_ms":(\d{13})\b`, 1234567)
	shift(`"ts_us":(\d{16})\b`, 1234567000)
	shift(`"ts_ns":(\d{19})\b`, 1234567000000)
	shift(`"(?:lsn|origin_lsn)":(\d+)`, 7777)
	shift(`"file":"[^"]*","pos":(\d+)`, 31)
	shift(`"(?:txId|xmin)":(\d+)`, 55)
	shift(`\\"(\d{6,})\\"`, 7777)
	shift(`"id":"\d+:(\d+)"`, 7777)
	shift(`"id":"(\d+):\d+"`, 55)
	return text
}

func TestCompareOnPerturbedRecordings(t *testing.T) {
	t.Parallel()
	for _, dir := range folders(t) {
		scenario, file := filepath.Base(dir), filepath.Join(dir, "golden", "records.jsonl")
		t.Run(filepath.Base(filepath.Dir(dir))+"/"+scenario, func(t *testing.T) {
			t.Parallel()
			rows := lines(t, file)
			if rows[0] == "" {
				return // a scenario without records
			}
			if found := compareLines(t, file, rows); len(found) > 0 {
				t.Errorf("not equal to itself: %v", found[0])
			}
			if scenario != "naming-avro" && scenario != "conv-schemaless" {
				if found := compareLines(t, file, strings.Split(later(strings.Join(rows, "\n")), "\n")); len(found) > 0 {
					t.Errorf("another run differs: %v", found[0])
				}
			}
			bad := map[string][]string{"missing record": rows[:len(rows)-1], "one key out of order": swapped(t, rows)}
			if !strings.Contains(rows[len(rows)-1], heartbeats) {
				bad["extra record"] = append(slices.Clone(rows), rows[len(rows)-1])
			}
			for _, c := range changes() {
				bad[c.name] = spoiled(t, rows, c)
			}
			for name, candidate := range bad {
				if candidate != nil && len(compareLines(t, file, candidate)) == 0 {
					t.Errorf("%s: not found", name)
				}
			}
		})
	}
}

func TestCompareFolders(t *testing.T) {
	t.Parallel()
	goldenDir := filepath.Join(recordings, "restart", "golden")
	candidate := t.TempDir()
	if err := os.CopyFS(candidate, os.DirFS(goldenDir)); err != nil {
		t.Fatal(err)
	}
	found, err := Compare(goldenDir, candidate, "")
	if err != nil || len(found) > 0 {
		t.Fatalf("a copy differs: %v %v", found, err)
	}
	if err := os.Remove(filepath.Join(candidate, "record_offsets.jsonl")); err != nil {
		t.Fatal(err)
	}
	states := filepath.Join(candidate, "states.json")
	b, err := os.ReadFile(states)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(states, []byte(strings.Replace(string(b), "INITIAL", "ALWAYS", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if found, err = Compare(goldenDir, candidate, ""); err != nil || len(found) != 1 || found[0].File != "states.json" {
		t.Fatalf("one state differs: %v %v", found, err)
	}
	list := filepath.Join(t.TempDir(), "differences.json")
	for text, want := range map[string]int{
		`[]`: 1,
		`[{"scenario":"restart","file":"states.json","path":"snapshot$","why":"x"}]`:  0,
		`[{"scenario":"restart","file":"records.jsonl","path":"snapshot","why":"x"}]`: 1,
		`[{"scenario":"rest","path":"snapshot","why":"x"}]`:                           1,
	} {
		if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if found, err := Compare(goldenDir, candidate, list); err != nil || len(found) != want {
			t.Errorf("intended %s: %v %v", text, found, err)
		}
	}
	if err := os.WriteFile(list, []byte(`[{"scenario":"restart","path":"snapshot"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Compare(goldenDir, candidate, list); err == nil || !strings.Contains(err.Error(), "why") {
		t.Errorf("no reason: %v", err)
	}
	if err := os.Remove(states); err != nil {
		t.Fatal(err)
	}
	if _, err := Compare(goldenDir, candidate, ""); err == nil || !strings.Contains(err.Error(), "states.json") {
		t.Errorf("missing file: %v", err)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"a": 1.0E10, "b": [-1, NaN, "é\"\\\u0001\n"], "c": {}}`, `[]`, `null`, `-Infinity`} {
		v, err := parse(text)
		if err != nil || dump(v) != text {
			t.Errorf("%s: %s %v", text, dump(v), err)
		}
	}
	if v, err := parse(`"\ud83d\ude00\/"`); err != nil || v != "😀/" {
		t.Errorf("pair: %q %v", v, err)
	}
	for _, text := range []string{``, `{`, `[1`, `"a`, `{"a":1,"a":2}`, `01`, `1.`, `1e`, `{"a" 1}`, `[1 2]`, "\"\n\"", `"\x"`, `nul`, `1 2`, `{1:2}`, `"\u12"`} {
		if v, err := parse(text); err == nil {
			t.Errorf("%s: %s", text, dump(v))
		}
	}
}
