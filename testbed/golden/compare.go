package golden

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Difference is a place where two recordings differ. Golden or Candidate is "<missing>" when only the other side has it.
type Difference struct {
	File, Path, Golden, Candidate string
}

func (d Difference) String() string {
	return fmt.Sprintf("%s: %s\n    golden    %s\n    candidate %s", d.File, d.Path, short(d.Golden), short(d.Candidate))
}

func short(s string) string {
	if r := []rune(s); len(r) > 300 {
		return string(r[:300]) + "…"
	}
	return s
}

const missing = "<missing>"

// Intended is a difference from the reference that is wanted, and why. Scenario must match the scenario's whole name, File (when
// given) the whole file name, Path a part of the difference's path; all are regular expressions.
type Intended struct {
	Scenario, File, Path, Why string
}

// ReadIntended reads a list of intended differences.
func ReadIntended(name string) ([]Intended, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read intended differences: %w", err)
	}
	var list []Intended
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("read intended differences %s: %w", name, err)
	}
	for i, d := range list {
		if d.Why == "" || d.Scenario == "" || d.Path == "" {
			return nil, fmt.Errorf("intended difference %d in %s: scenario, path and why are needed", i, name)
		}
		for _, pattern := range []string{d.Scenario, d.File, d.Path} {
			if _, err := regexp.Compile(pattern); err != nil {
				return nil, fmt.Errorf("intended difference %d in %s: %w", i, name, err)
			}
		}
	}
	return list, nil
}

func (i Intended) covers(scenario string, d Difference) bool {
	whole := func(pattern, s string) bool { return regexp.MustCompile(`^(?:` + pattern + `)$`).MatchString(s) }
	return whole(i.Scenario, scenario) && (i.File == "" || whole(i.File, d.File)) && regexp.MustCompile(i.Path).MatchString(d.Path)
}

// Compare compares a recording with the golden one, both folders; goldenDir is <scenario>/golden. Differences listed in
// differencesFile ("": none) are left out. The error says that a file is missing or cannot be read.
//
// Compared strictly are the number and order of records in each partition, keys, values, schemas and headers with the text of
// numbers and the order of members, tombstones, offsets, states and topics. Not compared: times, positions and ids as such (but
// their order and equality), and how many heartbeats there are. record_offsets.jsonl may be missing in the candidate.
func Compare(goldenDir, candidateDir, differencesFile string) ([]Difference, error) {
	scenarioDir := filepath.Dir(filepath.Clean(goldenDir))
	spec, err := readComparison(scenarioDir)
	if err != nil {
		return nil, err
	}
	var intended []Intended
	if differencesFile != "" {
		if intended, err = ReadIntended(differencesFile); err != nil {
			return nil, err
		}
	}
	entries, err := os.ReadDir(goldenDir)
	if err != nil {
		return nil, fmt.Errorf("list recording: %w", err)
	}
	var differences []Difference
	for _, e := range entries {
		name := e.Name()
		if !strings.HasSuffix(name, ".json") && !strings.HasSuffix(name, ".jsonl") || name == "scenario.json" || slices.Contains(spec.Unstable, name) {
			continue
		}
		candidate := filepath.Join(candidateDir, name)
		if _, err := os.Stat(candidate); name == "record_offsets.jsonl" && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		found, err := compareFiles(filepath.Join(goldenDir, name), candidate, spec.Volatile)
		if err != nil {
			return nil, err
		}
		for _, d := range found {
			if !slices.ContainsFunc(intended, func(i Intended) bool { return i.covers(filepath.Base(scenarioDir), d) }) {
				differences = append(differences, d)
			}
		}
	}
	return differences, nil
}

// comparison is what a scenario says about its own comparison.
type comparison struct {
	Volatile []string `json:"volatile"`
	Unstable []string `json:"unstable_files"`
}

func readComparison(scenarioDir string) (comparison, error) {
	var c comparison
	b, err := os.ReadFile(filepath.Join(scenarioDir, "scenario.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		return c, fmt.Errorf("read scenario: %w", err)
	}
	return c, nil
}

func compareFiles(golden, candidate string, volatile []string) ([]Difference, error) {
	a, err := load(golden)
	if err != nil {
		return nil, err
	}
	b, err := load(candidate)
	if err != nil {
		return nil, err
	}
	a, b = withoutHeartbeatOffsets(a), withoutHeartbeatOffsets(b)
	normalize(a, volatile)
	normalize(b, volatile)
	differences := compareRows(a, b)
	for i := range differences {
		differences[i].File = filepath.Base(golden)
	}
	return differences, nil
}

// load reads a file of one JSON value, or of one value in each line.
func load(name string) ([]any, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read recording: %w", err)
	}
	defer func() { _ = f.Close() }()
	if strings.HasSuffix(name, ".json") {
		b, err := io.ReadAll(f)
		if err != nil {
			return nil, fmt.Errorf("read recording: %w", err)
		}
		v, err := parse(string(b))
		if err != nil {
			return nil, fmt.Errorf("read recording %s: %w", name, err)
		}
		if list, ok := v.(*array); ok {
			return list.items, nil
		}
		return []any{v}, nil
	}
	var rows []any
	r := bufio.NewReader(f)
	for n := 1; ; n++ {
		line, err := r.ReadString('\n')
		if strings.TrimSpace(line) != "" {
			v, err := parse(strings.TrimRight(line, "\r\n"))
			if err != nil {
				return nil, fmt.Errorf("read recording %s:%d: %w", name, n, err)
			}
			rows = append(rows, v)
		}
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read recording %s: %w", name, err)
		}
	}
}

const heartbeats = "__debezium-heartbeat"

// withoutHeartbeatOffsets drops offsets of single heartbeats, which depend on time.
func withoutHeartbeatOffsets(rows []any) []any {
	return slices.DeleteFunc(rows, func(r any) bool {
		o, ok := r.(*object)
		if !ok || !o.has("source") {
			return false
		}
		topic, _ := o.text("topic")
		return strings.HasPrefix(topic, heartbeats)
	})
}

// group is the rows that have an order among each other.
type group struct {
	name string
	rows []any
}

func groups(rows []any) []*group {
	var list []*group
	byName := map[string]*group{}
	for _, r := range rows {
		name := "rows"
		if o, ok := r.(*object); ok {
			if o.hasAll("topic", "partition") {
				topic, _ := o.text("topic")
				name = fmt.Sprintf("%s[%s]", topic, dump(o.get("partition")))
			} else if key, ok := o.get("key").(*array); ok {
				name = "offsets " + dump(key)
			}
		}
		g := byName[name]
		if g == nil {
			g = &group{name: name}
			byName[name] = g
			list = append(list, g)
		}
		// How many heartbeats there are depends on time.
		if n := len(g.rows); n > 0 && strings.HasPrefix(name, heartbeats) && equal(g.rows[n-1], r) {
			continue
		}
		g.rows = append(g.rows, r)
	}
	return list
}

func compareRows(golden, candidate []any) []Difference {
	ours := groups(candidate)
	find := func(name string) []any {
		if i := slices.IndexFunc(ours, func(g *group) bool { return g.name == name }); i >= 0 {
			g := ours[i]
			ours = slices.Delete(ours, i, i+1)
			return g.rows
		}
		return nil
	}
	var out []Difference
	for _, g := range groups(golden) {
		out = append(out, compareGroup(g.name, g.rows, find(g.name))...)
	}
	for _, g := range ours {
		out = append(out, compareGroup(g.name, nil, g.rows)...)
	}
	return out
}

// rowsShown is how many of the rows that only one side has are differences of their own.
const rowsShown = 3

func compareGroup(name string, a, b []any) []Difference {
	var out []Difference
	if len(a) != len(b) {
		out = append(out, Difference{Path: name + " (record count)", Golden: fmt.Sprint(len(a)), Candidate: fmt.Sprint(len(b))})
	}
	n := min(len(a), len(b))
	for i := range n {
		diff(a[i], b[i], "$", func(path, x, y string) {
			out = append(out, Difference{Path: fmt.Sprintf("%s #%d %s", name, i, path), Golden: x, Candidate: y})
		})
	}
	for i, x := range a[n:min(len(a), n+rowsShown)] {
		out = append(out, Difference{Path: fmt.Sprintf("%s #%d", name, n+i), Golden: dump(x), Candidate: missing})
	}
	for i, y := range b[n:min(len(b), n+rowsShown)] {
		out = append(out, Difference{Path: fmt.Sprintf("%s #%d", name, n+i), Golden: missing, Candidate: dump(y)})
	}
	return out
}

func diff(a, b any, path string, report func(path, a, b string)) {
	if x, ok := a.(*object); ok {
		if y, ok := b.(*object); ok {
			diffObjects(x, y, path, report)
			return
		}
	}
	if x, ok := a.(*array); ok {
		if y, ok := b.(*array); ok {
			if len(x.items) != len(y.items) {
				report(path+" (length)", fmt.Sprint(len(x.items)), fmt.Sprint(len(y.items)))
			}
			for i := range min(len(x.items), len(y.items)) {
				diff(x.items[i], y.items[i], fmt.Sprintf("%s[%d]", path, i), report)
			}
			return
		}
	}
	if !equal(a, b) {
		report(path, dump(a), dump(b))
	}
}

func diffObjects(a, b *object, path string, report func(path, a, b string)) {
	for _, name := range a.names {
		if b.has(name) {
			diff(a.get(name), b.get(name), path+"."+name, report)
		} else {
			report(path+"."+name, dump(a.get(name)), missing)
		}
	}
	for _, name := range b.names {
		if !a.has(name) {
			report(path+"."+name, missing, dump(b.get(name)))
		}
	}
	if !slices.Equal(a.names, b.names) && a.hasOnly(b.names...) {
		report(path+" (member order)", strings.Join(a.names, ","), strings.Join(b.names, ","))
	}
}
