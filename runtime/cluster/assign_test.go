package cluster

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet-io/freshet/runtime/herder"
)

// simulation is a group whose members hear of rounds or do not, come, go, and keep what they have until they are told.
type simulation struct {
	now      time.Time
	delay    time.Duration
	work     map[herder.TaskID]bool
	has      map[string]map[herder.TaskID]bool
	h        history
	leader   string
	members  int
	deadline time.Duration // of the last plan
}

func (s *simulation) peers() []peer {
	var out []peer
	for _, id := range slices.Sorted(maps.Keys(s.has)) {
		out = append(out, peer{id, "http://" + id, slices.Collect(maps.Keys(s.has[id]))})
	}
	return out
}

// round lets the leader plan and tells the members that hear of it. It returns how many tasks members stopped.
func (s *simulation) round(hears func(id string) bool) (stopped int) {
	if s.has[s.leader] == nil {
		s.h = history{}
		for _, id := range slices.Sorted(maps.Keys(s.has)) {
			s.leader = id
		}
	}
	p, h := spread(s.h, s.now, s.delay, s.peers(), slices.Collect(maps.Keys(s.work)))
	if hears(s.leader) {
		s.h = h
	}
	s.deadline = p.delay
	for id, has := range s.has {
		if !hears(id) {
			continue
		}
		given := map[herder.TaskID]bool{}
		for _, task := range p.shares[id].tasks {
			given[task] = true
		}
		for _, task := range p.shares[id].revoked {
			if !has[task] || given[task] {
				panic(fmt.Sprintf("%s is to stop %v, which it has not, or is to keep", id, task))
			}
			delete(has, task)
			stopped++
		}
		for task := range has {
			if !given[task] {
				panic(fmt.Sprintf("%s loses %v without a word", id, task))
			}
		}
		maps.Copy(has, given)
	}
	return stopped
}

// twice returns a task that two members have.
func (s *simulation) twice() string {
	owner := map[herder.TaskID]string{}
	for id, has := range s.has {
		for task := range has {
			if other := owner[task]; other != "" {
				return fmt.Sprintf("%v runs on %s and %s", task, id, other)
			}
			owner[task] = id
		}
	}
	return ""
}

// spreadOut says what is wrong with the present state as a final one.
func (s *simulation) wrong() string {
	all := map[herder.TaskID]bool{}
	low, high := [2]int{1 << 30, 1 << 30}, [2]int{}
	for _, has := range s.has {
		var n [2]int
		for task := range has {
			all[task] = true
			n[kind(task)]++
		}
		for k := range n {
			low[k], high[k] = min(low[k], n[k]), max(high[k], n[k])
		}
	}
	switch {
	case !maps.Equal(all, s.work):
		return fmt.Sprintf("%d tasks run, of %d", len(all), len(s.work))
	case high[0]-low[0] > 1 || high[1]-low[1] > 1:
		return fmt.Sprintf("connectors and tasks are spread from %v to %v", low, high)
	}
	return ""
}

func everybody(string) bool { return true }

// Whatever happens in whatever order, nothing runs twice, members stop only what they are told to, and when all is calm everything
// runs, evenly spread, and rests.
func TestSpread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &simulation{
			now: time.Unix(1000, 0), work: map[herder.TaskID]bool{}, has: map[string]map[herder.TaskID]bool{},
			delay: rapid.SampledFrom([]time.Duration{0, time.Second, 5 * time.Minute}).Draw(t, "delay"),
		}
		join := func() {
			s.members++
			s.has[fmt.Sprintf("m%02d", s.members)] = map[herder.TaskID]bool{}
		}
		join()
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			ids := slices.Sorted(maps.Keys(s.has))
			some := rapid.SampledFrom(ids).Draw(t, "member")
			switch rapid.IntRange(0, 6).Draw(t, "step") {
			case 0:
				join()
			case 1: // it went away, and has stopped everything before anybody heard of it
				if len(ids) > 1 {
					delete(s.has, some)
				}
			case 2, 3:
				c := fmt.Sprintf("c%d", rapid.IntRange(0, 8).Draw(t, "connector"))
				n := rapid.IntRange(-1, 4).Draw(t, "tasks")
				maps.DeleteFunc(s.work, func(id herder.TaskID, _ bool) bool { return id.Connector == c })
				for i := -1; n >= 0 && i < n; i++ {
					s.work[herder.TaskID{Connector: c, Task: i}] = true
				}
			case 4:
				s.now = s.now.Add(time.Duration(rapid.IntRange(1, 400).Draw(t, "seconds")) * time.Second)
			default:
				deaf := rapid.SliceOfDistinct(rapid.SampledFrom(ids), rapid.ID[string]).Draw(t, "deaf")
				s.round(func(id string) bool { return !slices.Contains(deaf, id) })
			}
			if bad := s.twice(); bad != "" {
				t.Fatal(bad)
			}
		}
		for rounds := 0; ; rounds++ {
			stopped := s.round(everybody)
			if bad := s.twice(); bad != "" {
				t.Fatal(bad)
			}
			if stopped == 0 && s.deadline == 0 && s.wrong() == "" {
				break
			}
			if rounds > 10 {
				t.Fatalf("not at rest: %s", s.wrong())
			}
			s.now = s.now.Add(s.deadline)
		}
		before := fmt.Sprint(s.has)
		if s.round(everybody) != 0 || fmt.Sprint(s.has) != before {
			t.Fatalf("a round without a cause moves work")
		}
	})
}

// A member more, or one less for good: only what has to move moves.
func TestSpreadMovesLittle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &simulation{now: time.Unix(1000, 0), work: map[herder.TaskID]bool{}, has: map[string]map[herder.TaskID]bool{}}
		n, connectors := rapid.IntRange(1, 6).Draw(t, "members"), rapid.IntRange(0, 40).Draw(t, "connectors")
		for i := range n {
			s.has[fmt.Sprint("m", i)] = map[herder.TaskID]bool{}
		}
		for i := range connectors {
			s.work[herder.TaskID{Connector: fmt.Sprint("c", i), Task: -1}] = true
		}
		s.round(everybody)
		if bad := s.wrong(); bad != "" {
			t.Fatal(bad)
		}
		s.has["new"] = map[herder.TaskID]bool{}
		stopped := s.round(everybody)
		if want := connectors / (n + 1); stopped != want {
			t.Errorf("%d of %d connectors stopped for a member more than %d, want %d", stopped, connectors, n, want)
		}
		s.round(everybody)
		if bad := s.wrong(); bad != "" {
			t.Fatal(bad)
		}
		delete(s.has, "new")
		if stopped := s.round(everybody); stopped != 0 {
			t.Errorf("%d connectors stopped when a member left", stopped)
		}
		if bad := s.wrong(); bad != "" {
			t.Fatal(bad)
		}
	})
}

// The work of a member that went away waits for it: it gets the same back at once, others get it when the time is over.
func TestSpreadWaitsForAMemberToComeBack(t *testing.T) {
	const delay = 5 * time.Minute
	for _, comes := range []string{"back", "another", "nobody"} {
		s := &simulation{now: time.Unix(1000, 0), delay: delay, work: map[herder.TaskID]bool{}, has: map[string]map[herder.TaskID]bool{"a": {}, "b": {}, "c": {}}, leader: "c"}
		for i := range 9 {
			s.work[herder.TaskID{Connector: fmt.Sprint("c", i), Task: -1}] = true
			s.work[herder.TaskID{Connector: fmt.Sprint("c", i), Task: 0}] = true
		}
		s.round(everybody)
		lost := s.has["a"]
		delete(s.has, "a")
		s.now = s.now.Add(time.Second)
		s.round(everybody)
		if s.deadline != delay || len(s.has["b"])+len(s.has["c"]) != 12 {
			t.Fatalf("right after the loss the others have %d and %d, and the next round is in %v", len(s.has["b"]), len(s.has["c"]), s.deadline)
		}
		s.now = s.now.Add(time.Minute)
		switch comes {
		case "nobody":
			if s.round(everybody); s.deadline != delay-time.Minute {
				t.Errorf("a minute later the next round is in %v", s.deadline)
			}
			s.now = s.now.Add(s.deadline)
			s.round(everybody)
		default:
			url := map[string]string{"back": "http://a", "another": "http://d"}[comes]
			s.has["new"] = map[herder.TaskID]bool{}
			peers := s.peers()
			peers[slices.IndexFunc(peers, func(p peer) bool { return p.id == "new" })].url = url
			p, _ := spread(s.h, s.now, delay, peers, slices.Collect(maps.Keys(s.work)))
			got := map[herder.TaskID]bool{}
			for _, id := range p.shares["new"].tasks {
				got[id] = true
			}
			if !maps.Equal(got, lost) || p.delay != 0 || p.again {
				t.Errorf("%s: it has %v, want %v at once", comes, got, lost)
			}
			continue
		}
		if bad := s.wrong(); bad != "" || s.deadline != 0 {
			t.Errorf("%s: %s, next round in %v", comes, bad, s.deadline)
		}
	}
}

// Rounds that revoke one after the other pause in between, longer each time.
func TestSpreadPausesBetweenRevocations(t *testing.T) {
	s := &simulation{now: time.Unix(1000, 0), delay: 5 * time.Minute, work: map[herder.TaskID]bool{}, has: map[string]map[herder.TaskID]bool{"a": {}}, leader: "a"}
	for i := range 64 {
		s.work[herder.TaskID{Connector: fmt.Sprint("c", i), Task: -1}] = true
	}
	s.round(everybody)
	var pauses []time.Duration
	for i := range 3 {
		s.has[fmt.Sprint("n", i)] = map[herder.TaskID]bool{}
		for s.round(everybody) == 0 {
			if s.deadline == 0 {
				t.Fatal("a member without work is left alone")
			}
			pauses = append(pauses, s.deadline)
			s.now = s.now.Add(s.deadline)
		}
	}
	if want := []time.Duration{40 * time.Millisecond, 1600 * time.Millisecond}; !slices.Equal(pauses, want) {
		t.Errorf("pauses %v, want %v", pauses, want)
	}
}
