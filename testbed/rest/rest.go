// Package rest plays recorded conversations with Kafka Connect's REST API against a worker and compares the answers.
//
// A folder has script/*.jsonl, the requests of one scenario each, and recorded/*.jsonl, the reference's answers to them.
package rest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Meta is the first line of a script.
type Meta struct {
	Scenario string   `json:"scenario"`
	Title    string   `json:"title"`
	Needs    []string `json:"needs"` // what the target must offer
}

// Step is one request and how its answer is compared.
type Step struct {
	Step       string            `json:"step"`
	Method     string            `json:"method"`
	Path       string            `json:"path"`
	Headers    map[string]string `json:"headers"`
	Body       json.RawMessage   `json:"body"` // sent as JSON; Raw as it is
	Raw        *string           `json:"raw"`
	To         string            `json:"to"` // "follower", or "" for the base
	Files      []File            `json:"files"`
	Delay      float64           `json:"delay_s"`
	Timeout    float64           `json:"timeout_s"`
	Until      *Until            `json:"until"`
	Keep409    bool              `json:"keep_409"`
	Compare    *bool             `json:"compare"`
	Reduce     string            `json:"reduce"`
	Loose      map[string]string `json:"loose"`      // pointer to a pattern that is enough, or "any"
	LooseText  bool              `json:"loose_text"` // the same for a body that is not JSON
	Superset   []string          `json:"superset"`   // pointers to what may have more
	Drop       []string          `json:"drop"`       // keys that race
	Alternates []Alternate       `json:"alt"`
}

// File is written before the request.
type File struct {
	Path    string `json:"path"`
	Content string `json:"content"`
	Append  bool   `json:"append"`
}

// Alternate is an answer that is right, too.
type Alternate struct {
	Status  int    `json:"status"`
	Message string `json:"message"` // a pattern
}

// Scenario is a script with its recording.
type Scenario struct {
	Name     string
	Meta     Meta
	Steps    []Step
	Recorded map[string]Record
}

// Record is an answer. Body is what JSON was decoded to, numbers as json.Number; Text is any other body.
type Record struct {
	Step    string            `json:"step"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    any               `json:"body"`
	Text    *string           `json:"text"`
	Note    string            `json:"note"`

	hasBody bool
}

// UnmarshalJSON keeps numbers as they are written and tells a null body from none.
func (r *Record) UnmarshalJSON(b []byte) error {
	type plain Record
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode((*plain)(r)); err != nil {
		return fmt.Errorf("read a recorded answer: %w", err)
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(b, &keys); err != nil {
		return fmt.Errorf("read a recorded answer: %w", err)
	}
	_, r.hasBody = keys["body"]
	return nil
}

// Load reads the scenarios of a folder, sorted by name.
func Load(dir string) ([]Scenario, error) {
	scripts, err := filepath.Glob(filepath.Join(dir, "script", "*.jsonl"))
	if err != nil || len(scripts) == 0 {
		return nil, fmt.Errorf("read scenarios in %s: there is none: %w", dir, errors.Join(err, os.ErrNotExist))
	}
	slices.Sort(scripts)
	var out []Scenario
	for _, path := range scripts {
		s := Scenario{Name: strings.TrimSuffix(filepath.Base(path), ".jsonl"), Recorded: map[string]Record{}}
		err := lines(path, func(i int, line []byte) error {
			if i == 0 {
				return json.Unmarshal(line, &s.Meta)
			}
			var step Step
			err := json.Unmarshal(line, &step)
			s.Steps = append(s.Steps, step)
			return err
		})
		if err != nil {
			return nil, err
		}
		err = lines(filepath.Join(dir, "recorded", s.Name+".jsonl"), func(_ int, line []byte) error {
			var r Record
			err := json.Unmarshal(line, &r)
			s.Recorded[r.Step] = r
			return err
		})
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func lines(path string, each func(i int, line []byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read scenario: %w", err)
	}
	defer func() { _ = f.Close() }()
	in := bufio.NewScanner(f)
	in.Buffer(nil, 64<<20)
	for i := 0; in.Scan(); {
		line := bytes.TrimSpace(in.Bytes())
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if err := each(i, line); err != nil {
			return fmt.Errorf("read scenario %s: line %.80s: %w", path, line, err)
		}
		i++
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("read scenario %s: %w", path, err)
	}
	return nil
}

// Player plays scenarios against a worker.
type Player struct {
	base, follower *url.URL
	have           []string
	vars           map[string]string
	hidden         [][2]string // texts of this run and the variables that stand for them in recordings
}

// NewPlayer returns a player. follower is another worker of the group, "" for the same; have is what the target offers
// (two-workers, postgres, basic-auth, disposable). vars need DIR, a folder that player and worker both reach; RUN, the prefix of
// names, is made when it is not given.
func NewPlayer(base, follower string, have []string, vars map[string]string) (*Player, error) {
	p := &Player{have: have, vars: map[string]string{
		"RUN": fmt.Sprintf("q%06x", rand.IntN(1<<24)), "PGHOST": "127.0.0.1", "PGPORT": "5432",
		"PGUSER": "postgres", "PGPASSWORD": "postgres", "PGDB": "postgres",
	}}
	for k, v := range vars {
		p.vars[k] = v
	}
	if p.vars["DIR"] == "" {
		return nil, errors.New("play scenarios: DIR is not given")
	}
	if follower == "" {
		follower = base
	}
	var err error
	if p.base, err = url.Parse(strings.TrimRight(base, "/")); err != nil {
		return nil, fmt.Errorf("play scenarios: %w", err)
	}
	if p.follower, err = url.Parse(strings.TrimRight(follower, "/")); err != nil {
		return nil, fmt.Errorf("play scenarios: %w", err)
	}
	if v := p.vars["PLUGINS"]; v != "" {
		p.hidden = append(p.hidden, [2]string{v, "PLUGINS"})
	}
	p.hidden = append(p.hidden, [2]string{p.vars["DIR"], "DIR"}, [2]string{p.vars["RUN"], "RUN"})
	for _, u := range []*url.URL{p.base, p.follower} {
		p.hidden = append(p.hidden, [2]string{u.String(), "BASE"}, [2]string{u.Host, "HOSTPORT"})
	}
	p.hidden = append(p.hidden, [2]string{p.vars["PGPORT"], "PGPORT"})
	return p, nil
}

// Lacks is what a scenario needs and the target does not offer.
func (p *Player) Lacks(s Scenario) []string {
	var out []string
	for _, n := range s.Meta.Needs {
		if !slices.Contains(p.have, n) {
			out = append(out, n)
		}
	}
	return out
}

// Difference is a step whose answer is not the recorded one.
type Difference struct {
	Scenario, Step, Request string
	Details                 []Detail
}

// Detail is one place in an answer.
type Detail struct{ Path, Recorded, Got string }

func (d Difference) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s/%s: %s", d.Scenario, d.Step, d.Request)
	for i, x := range d.Details {
		if i == 12 {
			fmt.Fprintf(&b, "\n  and %d more", len(d.Details)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %s\n    recorded %s\n    got      %s", x.Path, cut(x.Recorded), cut(x.Got))
	}
	return b.String()
}

func cut(s string) string {
	if len(s) > 600 {
		return s[:600] + "…"
	}
	return s
}

// Play plays one scenario and returns how many steps were compared, and the differences. An error is a worker that cannot be
// reached.
func (p *Player) Play(s Scenario) (compared int, out []Difference, err error) {
	for _, step := range s.Steps {
		got, err := p.step(step)
		if err != nil {
			return compared, out, fmt.Errorf("play %s/%s: %w", s.Name, step.Step, err)
		}
		if step.Compare != nil && !*step.Compare {
			continue
		}
		compared++
		want, ok := s.Recorded[step.Step]
		if !ok {
			out = append(out, Difference{Scenario: s.Name, Step: step.Step, Request: "not recorded"})
			continue
		}
		if d := Compare(step, want, got); len(d) > 0 {
			out = append(out, Difference{s.Name, step.Step, step.Method + " " + step.Path, d})
		}
	}
	return compared, out, nil
}

// Leave deletes what the scenarios have left on the worker.
func (p *Player) Leave() error {
	var names []string
	got, err := p.send(p.base, "GET", "/connectors", nil, nil)
	if err != nil || got.status != 200 {
		return err
	}
	if err := json.Unmarshal(got.body, &names); err != nil {
		return fmt.Errorf("list connectors: %w", err)
	}
	for _, n := range names {
		if strings.Contains(n, p.vars["RUN"]) {
			if _, err := p.send(p.base, "DELETE", "/connectors/"+url.PathEscape(n), nil, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	return net.JoinHostPort(u.Hostname(), map[string]string{"https": "443"}[u.Scheme]+map[string]string{"http": "80"}[u.Scheme])
}
