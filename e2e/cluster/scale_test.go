package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/herder"
	"github.com/freshet-io/freshet/testbed"
	"github.com/freshet-io/freshet/testbed/rounds"
)

// Bounds for a thousand connectors.
const (
	scaleKey       = "FRESHET_SCALE" // how many connectors; without it few
	few            = 150
	createLimit    = 60 * time.Second
	listLimit      = 200 * time.Millisecond
	rebalanceLimit = 10 * time.Second
)

// scale is a group with many connectors.
type scale struct {
	*group
	n     int
	began time.Time
	wait  time.Duration // waited() then
	used  time.Duration // by the workers then
}

// TestScale: one worker with many connectors, then three, then two. `make scale` runs it with a thousand.
func TestScale(t *testing.T) {
	t.Parallel()
	kafka := bed.Kafka(t)
	s := &scale{group: newGroup(t, kafka.NewTopic(t, 1, nil), []string{kafka.Bootstrap(), kafka.Bootstrap(), kafka.Bootstrap()}, nil), n: few}
	if text := os.Getenv(scaleKey); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s: %v", scaleKey, err)
		}
		s.n = n
	}
	one := s.members[0]
	s.start(one)
	s.answers(one)
	s.begin()
	s.createMany(one, testbed.WriteFile(t, t.TempDir(), "lines", "a line\n"))
	s.took("created", createLimit)
	s.runs(one)
	s.took("created, and all run", 2*createLimit)
	s.begin()
	rounds.Pass(t.Context(), time.Second)
	s.took("a second later", time.Minute)

	s.begin()
	var lists []time.Duration
	for range 9 {
		began := time.Now()
		s.statuses(one)
		lists = append(lists, time.Since(began))
	}
	slices.Sort(lists)
	median := lists[len(lists)/2]
	t.Logf("the list of statuses: %s", median.Round(time.Millisecond))
	if limit := s.lenient(listLimit); median > limit {
		t.Errorf("the list of statuses takes %s, want %s at most", median, limit)
	}

	for i, w := range s.members[1:] {
		s.start(w)
		s.answers(w)
		s.begin()
		s.runs(s.members[:i+2]...)
		s.took(fmt.Sprintf("worker %d has joined", i+2), rebalanceLimit)
	}
	last := s.members[2]
	s.begin()
	if code := last.Stop(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	s.runs(s.members[:2]...)
	s.took("a worker has left", rebalanceLimit)
}

// begin starts a measurement.
func (s *scale) begin() {
	s.Helper()
	s.began, s.wait = time.Now(), waited(s)
	s.used, _ = s.usage()
}

// lenient is a limit for what was done since begin: a multiple of it when something waited for processors or disks most of that time.
func (s *scale) lenient(limit time.Duration) time.Duration {
	s.Helper()
	if waited(s)-s.wait > time.Since(s.began)/2 {
		limit *= 5
	}
	return limit
}

// took ends a measurement.
func (s *scale) took(what string, limit time.Duration) {
	s.Helper()
	d := time.Since(s.began)
	used, memory := s.usage()
	s.Logf("%d connectors: %s in %s, with %s of CPU; resident memory of the workers: %d MiB", s.n, what, d.Round(time.Millisecond), used-s.used, memory)
	if limit = s.lenient(limit); d > limit {
		s.Errorf("%s took %s, want %s at most", what, d.Round(time.Millisecond), limit)
	}
}

// usage is the processor time that the workers have used, and the resident memory in MiB of each of them.
func (s *scale) usage() (used time.Duration, memory []int64) {
	s.Helper()
	for _, w := range s.members {
		if w.Program == nil || w.Ended() {
			continue
		}
		u, m := usage(s, w.Pid())
		used, memory = used+u, append(memory, m>>20)
	}
	return used, memory
}

// createMany makes connectors that read a file, from a few clients at once.
func (s *scale) createMany(w *worker, path string) {
	s.Helper()
	var clients sync.WaitGroup
	names := make(chan string)
	failed := make(chan error, 1)
	for range 4 {
		clients.Go(func() {
			for name := range names {
				_, err := w.api.Create(s.Context(), name, map[string]string{"connector.class": "FileStreamSource", "file": path, "topic": s.name}, "")
				if err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			}
		})
	}
	for i := range s.n {
		names <- fmt.Sprintf("c%04d", i)
	}
	close(names)
	clients.Wait()
	select {
	case err := <-failed:
		s.Fatal(err)
	default:
	}
}

// statuses asks for all of them.
func (s *scale) statuses(w *worker) map[string]struct{ Status herder.Status } {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.api.URL()+"/connectors?expand=status", nil)
	if err != nil {
		s.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	var out map[string]struct{ Status herder.Status }
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		s.Fatalf("list statuses: %s: %v", resp.Status, err)
	}
	return out
}

// runs waits until every connector runs and each of these workers has its share.
func (s *scale) runs(among ...*worker) {
	s.Helper()
	var complaint string
	until(s, func() string { return complaint }, func() bool {
		count := map[string]int{}
		for _, one := range s.statuses(among[0]) {
			if st := one.Status; st.Connector.State == runtime.Running && len(st.Tasks) == 1 && st.Tasks[0].State == runtime.Running {
				count[st.Tasks[0].WorkerID]++
			}
		}
		complaint = fmt.Sprintf("running by worker: %v", count)
		sum := 0
		for _, w := range among {
			sum += count[w.id]
		}
		counts := slices.Collect(maps.Values(count))
		return sum == s.n && len(counts) == len(among) && slices.Max(counts)-slices.Min(counts) <= 1
	})
}

// usage is the processor time that a process has used and its resident memory in bytes.
func usage(t testing.TB, pid int) (used time.Duration, memory int64) {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Logf("what a process uses is not known here: %v", err)
		return 0, 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	number := func(i int) int64 {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			t.Fatalf("read what a process uses: %v", err)
		}
		return n
	}
	return time.Duration(number(11)+number(12)) * 10 * time.Millisecond, number(21) * int64(os.Getpagesize())
}
